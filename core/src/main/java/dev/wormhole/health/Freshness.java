// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import java.util.concurrent.atomic.AtomicLong;

/**
 * For how long this pod may answer for shared things from what it has, DESIGN section 7. It ends by itself: whatever stops
 * this process stops the renewals too.
 *
 * <p>Times are nanoseconds of a clock that goes on while the machine sleeps. Counting from the <em>sending</em> of the
 * acknowledged heartbeat makes the answer's way free. Thread-safe.
 */
public final class Freshness {
    /** Most that one acknowledgement is worth; less than {@link PeerWatch.Timing#lateAfter} by more than clocks drift. */
    public static final long MOST_NANOS = 1_000_000_000;

    private static final long NEVER = Long.MIN_VALUE;
    private final AtomicLong until = new AtomicLong(NEVER);

    /**
     * The leader acknowledged a heartbeat.
     *
     * @param sentNanos when this pod sent it
     * @param grantedNanos what the leader's acknowledgement carries, 0 for nothing
     */
    public void acknowledged(long sentNanos, long grantedNanos) {
        if (grantedNanos <= 0) return;
        long end = sentNanos + Math.min(grantedNanos, MOST_NANOS);
        until.accumulateAndGet(end, Math::max);
    }

    /** What was granted is worth nothing from here on: no longer prompt, or the state came as a whole. */
    public void lose() {
        until.set(NEVER);
    }

    /** Nanoseconds that are left, 0 if none. */
    public long leftNanos(long nowNanos) {
        long end = until.get();
        return end == NEVER ? 0 : Math.clamp(end - nowNanos, 0, MOST_NANOS);
    }
}
