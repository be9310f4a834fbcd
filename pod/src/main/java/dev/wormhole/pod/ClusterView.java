// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.transfer.Messages;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * What this pod knows of the others: members from the log, presence and room from the leader's last word, or, on the
 * leader, from their heartbeats. Thread-safe; answers are snapshots.
 */
final class ClusterView {
    /**
     * One pod as the leader sees it.
     *
     * @param silentMillis since the leader last heard it
     */
    record Seen(PodState state, Presence presence, long silentMillis) {}

    private static final int PODS_MAX = 10_000;
    /** A leader's word is repeated four times a second. */
    private static final long WORD_NANOS = TimeUnit.SECONDS.toNanos(1);

    private static final long MISSING_NANOS = TimeUnit.SECONDS.toNanos(3);

    private final Incarnation self;
    /** Members that the leader does not speak of, and since when. Guarded by this. */
    private final Map<Incarnation, Long> missingSinceNanos = new HashMap<>();
    /** Late by this pod's own word alone. Guarded by this. */
    private final java.util.Set<Incarnation> suspected = new java.util.HashSet<>();

    private volatile Map<Incarnation, Seen> seen = Map.of();
    private volatile long seenAtNanos = System.nanoTime();
    private volatile List<PodRecord> records = List.of();
    private volatile Members members = new Members(List.of());

    ClusterView(Incarnation self) {
        this.self = self;
    }

    /** The log's members changed. */
    synchronized void members(List<PodRecord> pods) {
        records = List.copyOf(pods);
        recompute();
    }

    /** The leader's word came, or this pod as leader counted. */
    synchronized void seen(List<Seen> pods) {
        var map = new HashMap<Incarnation, Seen>();
        for (Seen pod : pods) map.put(pod.state().incarnation(), pod);
        seen = Map.copyOf(map);
        seenAtNanos = System.nanoTime();
        suspected.clear();
        missingSinceNanos.keySet().removeAll(map.keySet());
        for (PodRecord record : records)
            if (!map.containsKey(record.incarnation()))
                missingSinceNanos.putIfAbsent(record.incarnation(), seenAtNanos);
        recompute();
    }

    /** Somebody saw that a pod does not answer: it counts as late until the leader's next word. */
    synchronized void suspect(Incarnation pod) {
        var known = seen.get(pod);
        if (known == null || known.presence() != Presence.PRESENT) return;
        var map = new HashMap<>(seen);
        map.put(pod, new Seen(known.state(), Presence.LATE, known.silentMillis()));
        suspected.add(pod);
        seen = Map.copyOf(map);
        recompute();
    }

    /**
     * Whether the leader, whose word is not old, has not heard the pod for long enough that it may answer nothing from what it
     * has. Of a pod that the leader does not speak of, once that has been so for a while.
     */
    synchronized boolean isSilent(Incarnation pod) {
        long now = System.nanoTime();
        if (pod.equals(self) || now - seenAtNanos > WORD_NANOS) return false;
        var known = seen.get(pod);
        if (known != null) return known.presence() != Presence.PRESENT && !suspected.contains(pod);
        Long since = missingSinceNanos.get(pod);
        return since != null && now - since > MISSING_NANOS;
    }

    private void recompute() {
        var list = new ArrayList<Member>(records.size());
        for (PodRecord record : records) {
            var known = seen.get(record.incarnation());
            boolean late =
                    !record.incarnation().equals(self) && (known == null || known.presence() != Presence.PRESENT);
            long free = known == null ? 0 : known.state().freeBytes();
            list.add(Member.of(record, late, free));
        }
        members = new Members(list);
    }

    Members members() {
        return members;
    }

    List<PodRecord> records() {
        return records;
    }

    @Nullable Seen seen(Incarnation pod) {
        return seen.get(pod);
    }

    /** Since a leader heard that pod, as far as this pod knows: the leader's word grows old too when none comes any more. */
    long silentMillis(Seen pod) {
        return pod.silentMillis() + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - seenAtNanos);
    }

    Map<Incarnation, Seen> allSeen() {
        return new TreeMap<>(seen);
    }

    /** Present pods that store, this one among them if it does. */
    List<Member> presentStoring() {
        var list = new ArrayList<Member>();
        for (Member member : members.all())
            if (member.stores() && member.presence() == Presence.PRESENT) list.add(member);
        return list;
    }

    String name(Incarnation pod) {
        for (PodRecord record : records)
            if (record.incarnation().equals(pod)) return record.settings().name();
        return pod.toString();
    }

    // ---- on the wire, as the answer to a heartbeat

    static void write(Messages.Writer to, List<Seen> pods) {
        to.putList(pods, (writer, pod) -> {
            pod.state().write(writer);
            writer.putByte(pod.presence().ordinal()).putVarint(pod.silentMillis());
        });
    }

    static List<Seen> read(Messages.Reader from) throws IOException {
        return from.getList(PODS_MAX, reader -> {
            var state = PodState.read(reader);
            int presence = reader.getByte();
            if (presence >= Presence.values().length) throw new IOException("presence " + presence + " is not known");
            return new Seen(state, Presence.values()[presence], reader.getVarint());
        });
    }
}
