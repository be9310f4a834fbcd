// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

/**
 * Whether programs on this pod look at shared things, so that others should wait for it: a pod at which nobody looks would
 * only slow down everybody's changes. After {@link #IDLE_NANOS} without a look it answers none from what it has any more
 * ({@link State#QUIET}), and when all that it granted has run out it says so ({@link State#AWAY}). A look then goes by a
 * barrier, and brings it back with the next heartbeat.
 *
 * <p>Times are nanoseconds of a clock that counts sleep. {@link #look} may be called by any thread, {@link #beat} by one.
 */
public final class Attention {
    public static final long IDLE_NANOS = 10_000_000_000L;
    /** Longer than anything granted to a kernel is good for. */
    private static final long RUN_OUT_NANOS = 1_250_000_000;

    public enum State {
        LOOKING,
        QUIET,
        AWAY
    }

    private volatile State state = State.LOOKING;
    private volatile long lookedAt;
    private long quietSince;

    public Attention(long nowNanos) {
        lookedAt = nowNanos;
    }

    /** Somebody looks. Answers whether that may be answered from what this pod has, if it is fresh. */
    public boolean look(long nowNanos) {
        lookedAt = nowNanos;
        return state == State.LOOKING;
    }

    /** Time passes, with every heartbeat. */
    public State beat(long nowNanos) {
        boolean idle = nowNanos - lookedAt >= IDLE_NANOS;
        if (!idle) {
            state = State.LOOKING;
        } else if (state == State.LOOKING) {
            state = State.QUIET;
            quietSince = nowNanos;
        } else if (state == State.QUIET && nowNanos - quietSince >= RUN_OUT_NANOS) {
            state = State.AWAY;
        }
        return state;
    }

    public State state() {
        return state;
    }
}
