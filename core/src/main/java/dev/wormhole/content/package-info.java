// SPDX-License-Identifier: Apache-2.0
/** Immutable slices on a volume: append, seal, read, verify, delete. */
@NullMarked
package dev.wormhole.content;

import org.jspecify.annotations.NullMarked;
