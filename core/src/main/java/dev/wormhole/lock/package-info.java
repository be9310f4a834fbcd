// SPDX-License-Identifier: Apache-2.0
/** Which locks of one file stand beside each other, who waits for whom, and when nobody could ever go on. Pure. */
@NullMarked
package dev.wormhole.lock;

import org.jspecify.annotations.NullMarked;
