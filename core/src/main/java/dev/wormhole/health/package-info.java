// SPDX-License-Identifier: Apache-2.0
/** Silence, situations and reactions: pure decisions from observations. */
@NullMarked
package dev.wormhole.health;

import org.jspecify.annotations.NullMarked;
