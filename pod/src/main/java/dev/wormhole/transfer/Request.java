// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.model.Incarnation;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * A call as its handler sees it.
 *
 * @param caller the calling pod, checked at the handshake; null for a stranger
 * @param remote the caller's address, for people
 * @param body the call's bytes; owned by the handler
 * @param appliedIndex what the caller had applied of the log when it sent this
 * @param endsAtNanos {@link System#nanoTime} at which the caller stops waiting
 */
@SuppressWarnings("ArrayRecordComponent")
public record Request(@Nullable Incarnation caller, String remote, byte[] body, long appliedIndex, long endsAtNanos) {
    /** Time left to answer; never negative. */
    public Duration timeLeft() {
        return Duration.ofNanos(Math.max(0, endsAtNanos - System.nanoTime()));
    }
}
