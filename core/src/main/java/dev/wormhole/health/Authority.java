// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import dev.wormhole.model.Incarnation;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;

/**
 * For how long a leader may be sure that no other one has taken over what it grants: a second from when a majority of the
 * voters, itself among them, followed it for certain. A voter's heartbeat brings back the time at which this leader had
 * answered its last one; the voter followed this leader when it sent it, so not earlier than that.
 *
 * <p>A new leader asks when a majority last followed anybody else, and lets that second pass before it counts on silence;
 * the two majorities share a voter, which follows nobody older once it was asked. Times are of the leader's own clock that
 * counts sleep. One owner, not thread-safe.
 */
public final class Authority {
    private final Incarnation self;
    private final long term;
    private final Map<Incarnation, Long> followedAt = new HashMap<>();

    /** @param term the leader's term: heartbeats of voters in another term say nothing */
    public Authority(Incarnation self, long term) {
        this.self = self;
        this.term = term;
    }

    public long term() {
        return term;
    }

    /**
     * A voter's heartbeat came.
     *
     * @param inTerm the term that it was in when it sent it
     * @param answeredNanos when this leader had answered its last one; 0 if it never did
     */
    public void followed(Incarnation voter, long inTerm, long answeredNanos) {
        if (inTerm == term && answeredNanos != 0) followedAt.merge(voter, answeredNanos, Math::max);
    }

    /** Nanoseconds that are left, 0 if none. */
    public long leftNanos(Collection<Incarnation> voters, long nowNanos) {
        long[] times = new long[voters.size()];
        int count = 0;
        for (Incarnation voter : voters) {
            if (voter.equals(self)) times[count++] = nowNanos;
            else {
                Long at = followedAt.get(voter);
                if (at != null) times[count++] = at;
            }
        }
        int majority = voters.size() / 2 + 1;
        if (count < majority) return 0;
        Arrays.sort(times, 0, count);
        return Math.clamp(times[count - majority] + Freshness.MOST_NANOS - nowNanos, 0, Freshness.MOST_NANOS);
    }
}
