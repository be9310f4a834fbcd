// SPDX-License-Identifier: Apache-2.0
/**
 * The wire between pods: frames, calls and slice streams over blocking channels on virtual threads.
 *
 * <p>Reading order: {@code Transport} (bytes), {@code Frame} (what travels), {@code Handshake}, {@code Peers} and
 * {@code Server} (calls), {@code SliceSender}, {@code SliceReceiver}, {@code RemoteReader} (slices).
 */
@NullMarked
package dev.wormhole.transfer;

import org.jspecify.annotations.NullMarked;
