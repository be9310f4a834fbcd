// SPDX-License-Identifier: Apache-2.0
/** Identities, attributes, extents, errno: the words every layer shares. */
@NullMarked
package dev.wormhole.model;

import org.jspecify.annotations.NullMarked;
