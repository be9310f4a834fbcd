// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.ContentStore;
import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.placement.Placement;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerException;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.RemoteReader;
import dev.wormhole.transfer.Server;
import dev.wormhole.transfer.SliceSender;
import dev.wormhole.vfs.Replication;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/** Copies of slices on other pods: where they should be, getting them there, reading them from there. Thread-safe. */
final class PodReplication implements Replication {
    private static final int SLICES_ASKED_MAX = 1000;
    /** A pod that takes a small slice does so in milliseconds; after this another one is tried. */
    private static final Duration PUSH_DEADLINE = Duration.ofMillis(1200);

    /** Then another one is tried beside it; well above what a busy disk takes, as that makes a copy too many. */
    private static final Duration HEDGE_AFTER = Duration.ofMillis(400);

    private static final Duration COPY_DEADLINE = Duration.ofSeconds(30);
    /** A push of this many bytes may take a second longer. */
    private static final long BYTES_PER_SECOND = 10L << 20;

    private final Incarnation self;
    private final ClusterView cluster;
    private final NetworkSettings settings;
    private final Peers peers;
    private final SliceSender sender;
    private final RemoteReader reader;
    private final Runnable tooFewCopies;

    /** @param tooFewCopies told when a push found fewer pods than wanted: repair will look again */
    PodReplication(
            Incarnation self,
            ClusterView cluster,
            NetworkSettings settings,
            Peers peers,
            SliceSender sender,
            RemoteReader reader,
            Runnable tooFewCopies) {
        this.self = self;
        this.cluster = cluster;
        this.settings = settings;
        this.peers = peers;
        this.sender = sender;
        this.reader = reader;
        this.tooFewCopies = tooFewCopies;
    }

    @Override
    public CompletableFuture<List<Incarnation>> push(SliceId slice, long lengthBytes, int copies, boolean keptHere) {
        var own = cluster.members().get(self);
        int wanted = copies - (keptHere && own != null && own.stores() ? 1 : 0);
        var pods = new HedgedPush.Pods() {
            @Override
            public List<Incarnation> choose(Set<Incarnation> left, int count) {
                return targets(slice, lengthBytes, keptHere, left, count);
            }

            @Override
            public CompletableFuture<List<Incarnation>> send(List<Incarnation> chain) {
                return sender.push(slice, lengthBytes, chain, deadline(PUSH_DEADLINE, lengthBytes))
                        .whenComplete((took, bug) -> {
                            if (bug != null) return;
                            for (Incarnation target : chain) if (!took.contains(target)) cluster.suspect(target);
                        });
            }
        };
        return HedgedPush.of(pods, wanted, deadline(HEDGE_AFTER, lengthBytes)).whenComplete((durable, _) -> {
            if (durable != null && durable.size() < wanted) tooFewCopies.run();
        });
    }

    /** @param keptHere this pod has a copy: others are chosen to stand beside it, in other zones */
    private List<Incarnation> targets(
            SliceId slice, long lengthBytes, boolean keptHere, Set<Incarnation> left, int count) {
        var candidates = new ArrayList<Member>();
        for (Member member : cluster.members().all()) {
            var pod = member.incarnation();
            if (pod.equals(self) ? keptHere : !left.contains(pod) && member.presence() == Presence.PRESENT)
                candidates.add(member);
        }
        return Placement.targets(slice, lengthBytes, count + 1, new Members(candidates)).stream()
                .filter(pod -> !pod.equals(self))
                .limit(count)
                .toList();
    }

    /** Sends one slice to one pod, for repair: true if it is durable there. */
    CompletableFuture<Boolean> copyTo(SliceId slice, long lengthBytes, Incarnation to) {
        return sender.push(slice, lengthBytes, List.of(to), deadline(COPY_DEADLINE, lengthBytes))
                .thenApply(durable -> durable.contains(to));
    }

    /** Other pods ask before they let a copy go that relies on this pod's. */
    static void serve(Server server, ContentStore store) {
        server.handle(Calls.HOLDS, request -> {
            var slices = Messages.reader(request.body()).getList(SLICES_ASKED_MAX, Messages.Reader::getSlice);
            byte[] answer = new byte[slices.size()];
            for (int i = 0; i < answer.length; i++) answer[i] = (byte) (store.isDurable(slices.get(i)) ? 1 : 0);
            return answer;
        });
    }

    /** Whether every one of the pods says, now, that it has the slice durably. */
    boolean allHold(SliceId slice, List<Incarnation> pods, ContentStore own) throws InterruptedException {
        byte[] body = Messages.writer()
                .putList(List.of(slice), Messages.Writer::putSlice)
                .toBytes();
        for (Incarnation pod : pods) {
            try {
                boolean holds = pod.equals(self)
                        ? own.isDurable(slice)
                        : peers.await(pod, Calls.HOLDS, body, Calls.HOLDS_DEADLINE)
                                        .body()[0]
                                == 1;
                if (!holds) return false;
            } catch (PeerException | ArrayIndexOutOfBoundsException noAnswer) {
                return false;
            }
        }
        return true;
    }

    private static Duration deadline(Duration least, long lengthBytes) {
        return least.plusSeconds(lengthBytes / BYTES_PER_SECOND);
    }

    @Override
    public void read(SliceRecord slice, long offset, ByteBuffer into) throws IOException, InterruptedException {
        var members = cluster.members();
        var holders = new ArrayList<Incarnation>();
        for (var holder : slice.holders())
            if (holder.state().isCopy() && !holder.incarnation().equals(self)) holders.add(holder.incarnation());
        if (holders.isEmpty())
            throw new IOException("no other pod has slice " + slice.slice() + ", and this one cannot read it");
        holders.sort(Comparator.comparing(pod -> {
            var member = members.get(pod);
            return member == null ? Presence.ABSENT : member.presence();
        }));
        try {
            reader.read(slice.slice(), holders, offset, into);
        } catch (IOException failure) {
            var names = new ArrayList<String>();
            for (Incarnation holder : holders) names.add(cluster.name(holder));
            throw new IOException(
                    "slice " + slice.slice() + " cannot be read from its holders " + names + ": "
                            + failure.getMessage(),
                    failure);
        }
    }

    @Override
    public Wish wish(InodeId inode) {
        var wish = settings.wish(inode);
        return new Wish(wish.copies(), wish.minCopies(), wish.readOnly());
    }

    int copiesWanted(InodeId inode) {
        return settings.wish(inode).copies();
    }

    @Override
    public int presentStoringPods() {
        return cluster.presentStoring().size();
    }

    @Override
    public List<Room> rooms() {
        var rooms = new ArrayList<Room>();
        for (Member member : cluster.members().all())
            if (member.acceptsSlices() && !member.incarnation().equals(self))
                rooms.add(new Room(member.incarnation(), member.freeBytes(), member.presence() == Presence.PRESENT));
        return rooms;
    }

    /**
     * Room for new data with the default copies: every copy goes to another pod, so the largest pod cannot be filled
     * beyond what the others can match.
     */
    @Override
    public Capacity capacity() {
        var total = new ArrayList<Long>();
        var free = new ArrayList<Long>();
        for (Member member : cluster.members().all()) {
            if (!member.acceptsSlices()) continue;
            var seen = cluster.seen(member.incarnation());
            if (seen == null) continue;
            free.add(seen.state().freeBytes());
            total.add(seen.state().usedBytes() + seen.state().freeBytes());
        }
        int copies = Math.max(1, Math.min(settings.get().redundancy().copies(), Math.max(1, free.size())));
        return new Capacity(fits(total, copies), fits(free, copies));
    }

    /** The most bytes x such that x bytes can be stored {@code copies} times on different pods. */
    static long fits(List<Long> rooms, int copies) {
        var sorted = new ArrayList<>(rooms);
        sorted.sort(Comparator.reverseOrder());
        long sum = 0;
        for (long room : sorted) sum += room;
        // A pod larger than x can hold only x of it: take the largest away while they are.
        for (int i = 0; i < copies && i < sorted.size(); i++) {
            long x = sum / (copies - i);
            if (sorted.get(i) <= x) return x;
            sum -= sorted.get(i);
        }
        return 0;
    }
}
