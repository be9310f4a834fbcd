// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.namespace;

import org.jspecify.annotations.NullMarked;
