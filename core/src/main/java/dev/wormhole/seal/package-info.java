// SPDX-License-Identifier: Apache-2.0
/** Encryption of what lies on a disk: secrets, and the seal of rows and log entries. Slices have theirs in content. */
@NullMarked
package dev.wormhole.seal;

import org.jspecify.annotations.NullMarked;
