// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * The log as this pod sees it, at one moment but not atomically.
 *
 * @param role by the configuration: a member without a vote is a listener, whatever Ratis calls it
 * @param ready whether {@link RaftLog#append} works here
 * @param committed highest index known to be committed; on a follower at most what it has flushed itself
 * @param applied highest index applied and readable here
 * @param flushed highest index on this pod's disk
 * @param logBytes size of the log's files
 * @param followers on the leader, everyone else in the configuration; else empty
 */
public record Status(
        Role role,
        boolean ready,
        long term,
        Optional<Incarnation> leader,
        long committed,
        long applied,
        long flushed,
        List<Member> voters,
        List<Member> listeners,
        long logBytes,
        List<Follower> followers) {

    public enum Role {
        LEADER,
        /** A voter that does not lead. */
        VOTER,
        /** A voter that stands for election: there is no leader as far as it knows. */
        CANDIDATE,
        LISTENER,
        /** Not, or not yet, or no longer in the configuration. */
        OUTSIDE,
        /** Closed, being restarted, or stopped by a bug. */
        STOPPED
    }

    /**
     * @param flushed highest index known to be on its disk; -1 if unknown
     * @param lag entries it lacks
     * @param silence since it last answered
     */
    public record Follower(Incarnation incarnation, long flushed, long lag, Duration silence) {}
}
