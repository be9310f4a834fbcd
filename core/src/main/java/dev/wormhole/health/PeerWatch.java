// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The leader's watch over the other pods: who is late, and whom to declare absent or back. Fed with heartbeats and with
 * ticks of a monotonic clock, reads none itself. One owner, not thread-safe.
 *
 * <p><b>Late</b>: not heard for {@code lateAfter}, or its applied-and-told index behind what was committed one heartbeat
 * of its own earlier and not moving for as long. <b>Absent</b>: late for {@code rebuildAfter} (intermittent pods have
 * their own); declared through the log, so this answers a {@link Declaration} until the log says so. Back from absent:
 * heard, and caught up.
 *
 * <p><b>Prompt</b>: who is waited for before a change is acknowledged. A pod enters when it has been steady, and leaves
 * when it is late or says that it answers no more. What it was granted must have ended by then: of this leader's grants
 * because none follows the decision, of an older leader's because that one could last grant a second after a majority
 * followed it ({@link Authority}).
 *
 * <p>Silence survives a change of the leader: {@link #silences} travels in the acknowledgements of heartbeats, voters add
 * the time since, and a new leader begins from {@link #latestOf} what a majority of them was told. Silence is summed from
 * ticks, and a tick counts for {@code tickMax} at most: a leader that was itself frozen or asleep blames nobody for that.
 */
public final class PeerWatch {
    /**
     * @param lateAfter silence or standing still until late, 1.25 s
     * @param steadyAfter unbroken presence until a pod counts as steady again, 2 s
     * @param tickMax most that one tick may add; more means that this pod stood still itself
     */
    public record Timing(
            Duration lateAfter,
            Duration steadyAfter,
            Duration rebuildAfter,
            Duration rebuildAfterIntermittent,
            Duration tickMax) {
        public Timing {
            if (!lateAfter.isPositive() || !tickMax.isPositive() || rebuildAfter.compareTo(lateAfter) < 0)
                throw new IllegalArgumentException(
                        "late after " + lateAfter + ", rebuild after " + rebuildAfter + ", tick " + tickMax);
        }

        /** DESIGN section 8, with the two times that an administrator declares. */
        public static Timing of(Duration rebuildAfter, Duration rebuildAfterIntermittent) {
            return new Timing(
                    Duration.ofMillis(1250),
                    Duration.ofSeconds(2),
                    rebuildAfter,
                    rebuildAfterIntermittent,
                    Duration.ofMillis(625));
        }
    }

    /** To be proposed as SetAbsent. */
    public record Declaration(Incarnation incarnation, boolean absent, String reason) {}

    /** To be proposed as SetPrompt, without a session. */
    public record Promptness(Incarnation incarnation, long startCount, boolean prompt, String reason) {}

    private static final class Peer {
        String name = "";
        boolean intermittent;
        boolean absent;
        boolean prompt;
        long startCount;
        /** It has told that it answers programs, and so may be waited for. */
        boolean answers;
        /** Watch time since when nothing is granted to it, because it is to leave the prompt set; NOT_STUCK if it is not. */
        long deniedAt = NOT_STUCK;

        long appliedIndex;
        /** What was committed when it was last heard: it should have told of that by the next time. */
        long owedIndex;
        /** Watch time at which it was last heard. */
        long heardAt;
        /** Watch time since when it owes and does not move; NOT_STUCK when it does neither. */
        long stuckAt = NOT_STUCK;

        boolean heardByThisLeader;
        /** Watch time since when it has not been late. */
        long presentSince;
    }

    private static final long NOT_STUCK = Long.MIN_VALUE;
    private Timing timing;
    private final Incarnation self;
    private final Map<Incarnation, Peer> peers = new TreeMap<>();
    /**
     * This pod itself: never late, but its applying may be stuck. The log may call it absent: it was declared so before it
     * came back and was elected.
     */
    private final Peer own = new Peer();

    /** Watch time from which on nothing that an older leader granted is left. */
    private final long othersGrantsEndAt;
    /** Sum of the counted ticks, nanoseconds. */
    private long time;

    private long lastTickNanos;
    private long committedIndex;

    /**
     * Begins to lead.
     *
     * @param self never late in its own eyes
     * @param nowNanos of the monotonic clock that {@link #tick} will give too
     * @param silences nanoseconds since each pod was last heard by a leader; pods missing here count as heard now
     * @param sinceOlderNanos for so long no older leader can have counted on a majority of the voters ({@link Following});
     *     0 if that is not known
     */
    public PeerWatch(
            Timing timing,
            Incarnation self,
            List<PodRecord> pods,
            long nowNanos,
            Map<Incarnation, Long> silences,
            long sinceOlderNanos) {
        this.timing = timing;
        this.self = self;
        this.lastTickNanos = nowNanos;
        members(pods);
        for (var entry : peers.entrySet()) {
            long silence = Math.max(0, silences.getOrDefault(entry.getKey(), 0L));
            entry.getValue().heardAt = time - silence;
        }
        othersGrantsEndAt = time + timing.lateAfter().toNanos() - Math.max(0, sinceOlderNanos);
    }

    /** The log's members and declarations changed: new pods are watched from now on, removed ones no more. */
    public void members(List<PodRecord> pods) {
        var gone = new ArrayList<>(peers.keySet());
        for (PodRecord pod : pods) {
            gone.remove(pod.incarnation());
            var peer = pod.incarnation().equals(self)
                    ? own
                    : peers.computeIfAbsent(pod.incarnation(), _ -> {
                        var fresh = new Peer();
                        fresh.heardAt = time;
                        fresh.presentSince = time;
                        return fresh;
                    });
            peer.name = pod.settings().name();
            peer.intermittent = pod.settings().intermittent();
            peer.absent = pod.absent();
            peer.prompt = pod.prompt();
            peer.startCount = pod.startCount();
            if (!peer.prompt) peer.deniedAt = NOT_STUCK;
        }
        gone.forEach(peers::remove);
    }

    /** Other times were declared. */
    public void timing(Timing declared) {
        timing = declared;
    }

    /** The log's commit index moved. */
    public void committed(long index) {
        committedIndex = Math.max(committedIndex, index);
    }

    /**
     * A heartbeat came; call {@link #tick} before, so that its time is known.
     *
     * @param appliedIndex what the pod has applied and told, never less than before in one life of a store
     * @param answers whether it answers programs; once it says no, it does not until it says yes
     */
    public void heard(Incarnation incarnation, long appliedIndex, boolean answers) {
        var peer = peer(incarnation);
        if (peer == null) return;
        peer.answers = answers;
        boolean wasLate = isLate(peer);
        boolean moved = appliedIndex > peer.appliedIndex || !peer.heardByThisLeader;
        if (!peer.heardByThisLeader) peer.owedIndex = committedIndex; // it owes nothing yet, but back means caught up
        peer.appliedIndex = Math.max(peer.appliedIndex, appliedIndex);
        peer.heardAt = time;
        peer.heardByThisLeader = true;
        if (peer.appliedIndex >= peer.owedIndex) peer.stuckAt = NOT_STUCK;
        else if (moved || peer.stuckAt == NOT_STUCK) peer.stuckAt = time;
        peer.owedIndex = committedIndex;
        if (wasLate && !isLate(peer)) peer.presentSince = time;
    }

    /** Time passes. Answers what is to be declared, the same again until the log says it ({@link #members}). */
    public List<Declaration> tick(long nowNanos) {
        long step = Math.clamp(nowNanos - lastTickNanos, 0, timing.tickMax().toNanos());
        lastTickNanos = nowNanos;
        time += step;
        var declarations = new ArrayList<Declaration>();
        if (own.absent) declarations.add(new Declaration(self, false, "back, and leading"));
        for (var entry : peers.entrySet()) {
            var peer = entry.getValue();
            if (peer.absent) {
                if (peer.heardByThisLeader && !isLate(peer) && peer.stuckAt == NOT_STUCK)
                    declarations.add(new Declaration(entry.getKey(), false, peer.name + " is back and has caught up"));
                continue;
            }
            var limit = peer.intermittent ? timing.rebuildAfterIntermittent() : timing.rebuildAfter();
            long gone = gone(peer);
            if (gone >= limit.toNanos())
                declarations.add(new Declaration(
                        entry.getKey(),
                        true,
                        peer.name + (time - peer.heardAt >= limit.toNanos() ? " was not heard" : " applied nothing")
                                + " for " + Duration.ofNanos(gone).toSeconds() + " s"));
        }
        return declarations;
    }

    /** Present, late or absent; null for a pod that is no member. The watching pod itself is present. */
    public @Nullable Presence presence(Incarnation incarnation) {
        if (incarnation.equals(self)) return Presence.PRESENT;
        var peer = peers.get(incarnation);
        if (peer == null) return null;
        return peer.absent ? Presence.ABSENT : isLate(peer) ? Presence.LATE : Presence.PRESENT;
    }

    /** Whether it has been present without a break for the time of steadiness, as re-entering the prompt set asks. */
    public boolean isSteady(Incarnation incarnation) {
        if (incarnation.equals(self)) return true;
        var peer = peers.get(incarnation);
        return peer != null
                && !peer.absent
                && !isLate(peer)
                && time - peer.presentSince >= timing.steadyAfter().toNanos();
    }

    /**
     * Whether the pod's freshness may be renewed by the acknowledgement of the heartbeat just heard: it is prompt and stays
     * so, and has told what was committed one heartbeat earlier.
     */
    public boolean mayRenew(Incarnation incarnation) {
        var peer = peer(incarnation);
        return peer != null
                && peer.prompt
                && peer.answers
                && peer.deniedAt == NOT_STUCK
                && !peer.absent
                && peer.heardByThisLeader
                && peer.stuckAt == NOT_STUCK
                && !isLate(peer);
    }

    /**
     * Who is to enter or leave the prompt set, the same again until the log says it ({@link #members}). Call it after
     * {@link #tick}; whoever is named as leaving is granted nothing more.
     *
     * @param wanted whether there is to be a prompt set at all
     */
    public List<Promptness> promptness(boolean wanted) {
        var changes = new ArrayList<Promptness>();
        consider(self, own, wanted, changes);
        peers.forEach((incarnation, peer) -> consider(incarnation, peer, wanted, changes));
        return changes;
    }

    private void consider(Incarnation incarnation, Peer peer, boolean wanted, List<Promptness> changes) {
        boolean welcome = wanted && !peer.intermittent && !peer.absent;
        if (!peer.prompt) {
            if (welcome && peer.answers && peer.heardByThisLeader && peer.stuckAt == NOT_STUCK && isSteady(incarnation))
                changes.add(new Promptness(incarnation, peer.startCount, true, peer.name + " is steady"));
            return;
        }
        boolean silent = peer.heardByThisLeader && !peer.answers;
        if (peer.deniedAt == NOT_STUCK && (!welcome || silent || isLate(peer))) peer.deniedAt = time;
        if (peer.deniedAt == NOT_STUCK || time < othersGrantsEndAt && !silent) return;
        // A late pod was granted nothing since it was last heard; one that is not must first outlive its last grant.
        if (!silent
                && !isLate(peer)
                && time - peer.deniedAt < timing.lateAfter().toNanos()) return;
        changes.add(new Promptness(
                incarnation,
                peer.startCount,
                false,
                peer.name
                        + (silent
                                ? " answers nobody by itself"
                                : isLate(peer) ? " is late" : " is not to be waited for")));
    }

    private @Nullable Peer peer(Incarnation incarnation) {
        return incarnation.equals(self) ? own : peers.get(incarnation);
    }

    /** A pod that changes wait for has missed a heartbeat: look again soon. */
    public boolean isUneasy() {
        for (Peer peer : peers.values())
            if (peer.prompt && gone(peer) > timing.lateAfter().toNanos() / 2) return true;
        return false;
    }

    /** For how many nanoseconds each pod has been silent or stuck, to travel with acknowledgements. */
    public Map<Incarnation, Long> silences() {
        var silences = new TreeMap<Incarnation, Long>();
        peers.forEach((incarnation, peer) -> silences.put(incarnation, gone(peer)));
        return silences;
    }

    /**
     * What a new leader begins with: of what several voters were told, each with the time since added, the shortest silence
     * of each pod. Nobody is blamed for longer than the best informed one knows.
     */
    public static Map<Incarnation, Long> latestOf(List<Map<Incarnation, Long>> told) {
        var latest = new HashMap<Incarnation, Long>();
        for (var silences : told)
            silences.forEach((incarnation, silence) -> latest.merge(incarnation, silence, Math::min));
        return latest;
    }

    private long gone(Peer peer) {
        long silent = time - peer.heardAt;
        return peer.stuckAt == NOT_STUCK ? silent : Math.max(silent, time - peer.stuckAt);
    }

    private boolean isLate(Peer peer) {
        return gone(peer) >= timing.lateAfter().toNanos();
    }
}
