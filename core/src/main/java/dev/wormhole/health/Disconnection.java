// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import java.time.Duration;

/**
 * A pod's own view of having lost the network: no leader for longer than any change of leaders takes. Times are of a clock
 * that also counts sleep (CLOCK_BOOTTIME), in nanoseconds: a pod that slept has lost the network until it hears it again.
 * Going back takes a little unbroken contact, so that a link that flaps does not freeze and thaw programs by turns. A
 * leader counts as hearing itself while a majority of voters answers it. One owner, not thread-safe.
 */
public final class Disconnection {
    public sealed interface View {
        record Connected() implements View {}

        /** @param sinceNanos when a leader was last heard, or the start if none ever was */
        record Disconnected(long sinceNanos) implements View {}
    }

    private static final View CONNECTED = new View.Connected();
    private final long afterNanos;
    private final long steadyNanos;
    private long lastHeardNanos;
    private long contactSinceNanos;
    private boolean inContact;
    private boolean everHeard;
    private View view = CONNECTED;

    /**
     * @param after silence until disconnected, {@code [disconnected] after}
     * @param steady unbroken contact until connected again; within it no gap is as long as itself
     */
    public Disconnection(Duration after, Duration steady, long nowNanos) {
        if (!after.isPositive() || steady.isNegative() || steady.compareTo(after) >= 0)
            throw new IllegalArgumentException("disconnected after " + after + ", steady " + steady);
        this.afterNanos = after.toNanos();
        this.steadyNanos = steady.toNanos();
        this.lastHeardNanos = nowNanos;
    }

    /**
     * A leader answered. The first one ever to do so connects at once, however long the start took before: there was no
     * contact that could have been lost.
     */
    public View heard(long nowNanos) {
        if (!everHeard) {
            everHeard = true;
            view = CONNECTED;
            lastHeardNanos = nowNanos;
            return view;
        }
        tick(nowNanos);
        if (view instanceof View.Disconnected) {
            if (!inContact || nowNanos - lastHeardNanos > steadyNanos) contactSinceNanos = nowNanos;
            inContact = true;
            if (nowNanos - contactSinceNanos >= steadyNanos) {
                view = CONNECTED;
                inContact = false;
            }
        }
        lastHeardNanos = nowNanos;
        return view;
    }

    /** Time passes. */
    public View tick(long nowNanos) {
        if (view == CONNECTED && nowNanos - lastHeardNanos >= afterNanos) {
            view = new View.Disconnected(lastHeardNanos);
            inContact = false;
        }
        return view;
    }

    public View view() {
        return view;
    }
}
