// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.HostPort;
import dev.wormhole.config.NetworkConfig;
import dev.wormhole.consensus.Member;
import dev.wormhole.health.PeerWatch;
import dev.wormhole.health.Presence;
import dev.wormhole.health.VoterPlan;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerException;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * The pulse of a pod: every 250 ms it tells the leader how it is and learns how the others are. On the leader the same
 * beat does what one pod must do for all: declare absence, choose voters, let bytes go that nothing names, reap orphans.
 */
final class Steward implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(Steward.class.getName());
    private static final int VOTERS_MOST = 3;
    private static final int LIST_MAX = 2000;
    private static final long HOUSEKEEPING_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

    private final Incarnation self;
    private final PodLog log;
    private final Peers peers;
    private final ClusterView cluster;
    private final Supplier<PodState> state;
    private final Supplier<NetworkConfig> config;
    private final Runnable lostNetwork;
    private final Orphans orphans;
    private final Thread beat;
    private volatile boolean closed;

    /** What the leader knows of one pod; guarded by this. */
    private record Heard(PodState state, long atNanos) {}

    private final Map<Incarnation, Heard> heard = new HashMap<>();
    private @Nullable PeerWatch watch;
    private boolean changingMembers;
    private Set<SliceId> unnamedBefore = Set.of();
    private boolean letting;
    private boolean reaping;
    private long housekeptNanos;

    /** The file system's part in the life of orphans. */
    interface Orphans {
        /** An index up to which every hold of this pod is committed. */
        long acknowledgeableIndex();
    }

    Steward(
            Incarnation self,
            PodLog log,
            Peers peers,
            ClusterView cluster,
            Supplier<PodState> state,
            Supplier<NetworkConfig> config,
            Orphans orphans,
            Runnable lostNetwork) {
        this.self = self;
        this.log = log;
        this.peers = peers;
        this.cluster = cluster;
        this.state = state;
        this.config = config;
        this.orphans = orphans;
        this.lostNetwork = lostNetwork;
        this.beat = Thread.ofPlatform().name("heartbeat").daemon().unstarted(this::run);
    }

    void start(Server server) {
        server.handle(Calls.HEARTBEAT, this::heartbeat);
        beat.start();
    }

    private void run() {
        long next = System.nanoTime();
        while (!closed) {
            try {
                beat();
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "heartbeat failed", bug);
            }
            next += Calls.HEARTBEAT_EVERY.toNanos();
            long wait = next - System.nanoTime();
            if (wait < 0) next = System.nanoTime();
            java.util.concurrent.locks.LockSupport.parkNanos(Math.max(0, wait));
        }
    }

    private void beat() {
        var leader = log.leader();
        if (leader.isPresent() && leader.get().equals(self)) {
            if (log.heardLeader()) lostNetwork.run();
            lead();
        } else {
            synchronized (this) {
                watch = null;
            }
            leader.ifPresent(this::tell);
        }
        if (log.checkConnection()) lostNetwork.run();
        acknowledgeOrphans();
    }

    /** One call under way at most: a leader that does not answer must not gather calls. */
    private final java.util.concurrent.atomic.AtomicBoolean telling = new java.util.concurrent.atomic.AtomicBoolean();

    private void tell(Incarnation leader) {
        if (!telling.compareAndSet(false, true)) return;
        var body = Messages.writer();
        state.get().write(body);
        peers.call(leader, Calls.HEARTBEAT, body.toBytes(), Calls.HEARTBEAT_DEADLINE)
                .whenComplete((reply, failure) -> {
                    telling.set(false);
                    if (failure != null) return;
                    try {
                        cluster.seen(ClusterView.read(Messages.reader(reply.body())));
                        if (log.heardLeader()) lostNetwork.run();
                    } catch (IOException malformed) {
                        LOG.log(Level.WARNING, "the leader {0} answered a heartbeat with nonsense: {1}", new Object[] {
                            leader, malformed.getMessage()
                        });
                    }
                });
    }

    private byte[] heartbeat(Request request) throws PeerException, IOException {
        if (!log.leads()) throw new PeerRefused(Calls.NOT_LEADER, "this pod does not lead");
        var told = PodState.read(Messages.reader(request.body()));
        var caller = request.caller();
        if (caller == null || !caller.equals(told.incarnation()))
            throw new PeerRefused(PeerRefused.WRONG_POD, "a pod speaks for itself alone");
        long now = System.nanoTime();
        synchronized (this) {
            heard.put(caller, new Heard(told, now));
            if (watch != null) {
                watch.committed(log.raft().committed());
                watch.heard(caller, told.appliedIndex());
            }
        }
        var answer = Messages.writer();
        ClusterView.write(answer, List.copyOf(cluster.allSeen().values()));
        return answer.toBytes();
    }

    // ---- on the leader

    private void lead() {
        long now = System.nanoTime();
        var redundancy = config.get().redundancy();
        List<PeerWatch.Declaration> declarations;
        var seen = new ArrayList<ClusterView.Seen>();
        synchronized (this) {
            var pods = cluster.records();
            var known = watch;
            if (known == null) {
                var silences = new HashMap<Incarnation, Long>();
                cluster.allSeen().forEach((pod, last) -> {
                    if (last.presence() != Presence.PRESENT)
                        silences.put(pod, TimeUnit.MILLISECONDS.toNanos(last.silentMillis()));
                });
                known = new PeerWatch(
                        PeerWatch.Timing.of(redundancy.rebuildAfter(), redundancy.rebuildAfterIntermittent()),
                        self,
                        pods,
                        now,
                        silences);
                watch = known;
                watchedRedundancy = redundancy;
            } else if (!redundancy.equals(watchedRedundancy)) {
                watch = null; // other times were declared: begin to watch anew, from what is known
            }
            known.members(pods);
            known.committed(log.raft().committed());
            declarations = known.tick(now);
            for (PodRecord pod : pods) {
                if (pod.incarnation().equals(self)) {
                    seen.add(new ClusterView.Seen(state.get(), Presence.PRESENT, 0));
                    continue;
                }
                var last = heard.get(pod.incarnation());
                var presence = known.presence(pod.incarnation());
                if (last != null && presence != null)
                    seen.add(new ClusterView.Seen(
                            last.state(), presence, TimeUnit.NANOSECONDS.toMillis(now - last.atNanos())));
            }
            heard.keySet()
                    .removeIf(pod -> pods.stream()
                            .noneMatch(record -> record.incarnation().equals(pod)));
        }
        cluster.seen(seen);
        for (var declaration : declarations) {
            LOG.info(declaration.reason());
            log.propose(new Command.SetAbsent(declaration.incarnation(), declaration.absent()));
        }
        if (now - housekeptNanos < HOUSEKEEPING_NANOS) return;
        housekeptNanos = now;
        chooseMembers();
        letGo();
        reap();
    }

    private NetworkConfig.@Nullable Redundancy watchedRedundancy;

    /** One step at a time towards: every member follows the log, and the planned ones vote. */
    private void chooseMembers() {
        var status = log.raft().status();
        synchronized (this) {
            if (changingMembers) return;
        }
        var voters = incarnations(status.voters());
        var listeners = incarnations(status.listeners());
        var members = cluster.members();
        String reason = null;
        for (PodRecord pod : cluster.records()) {
            if (voters.contains(pod.incarnation()) || listeners.contains(pod.incarnation())) continue;
            listeners.add(pod.incarnation());
            reason = pod.settings().name() + " joins the log";
        }
        if (reason == null) {
            for (Incarnation listener : List.copyOf(listeners)) {
                if (members.get(listener) != null) continue;
                listeners.remove(listener);
                reason = listener + " is no member any more";
            }
        }
        if (reason == null) {
            var step = VoterPlan.next(List.copyOf(voters), self, members, VOTERS_MOST);
            switch (step) {
                case VoterPlan.Step.Keep _ -> {
                    return;
                }
                case VoterPlan.Step.Add(var pod, var why) -> {
                    if (!caughtUp(pod)) return;
                    listeners.remove(pod);
                    voters.add(pod);
                    reason = why;
                }
                case VoterPlan.Step.Remove(var pod, var why) -> {
                    voters.remove(pod);
                    if (members.get(pod) != null) listeners.add(pod);
                    reason = why;
                    if (pod.equals(self)) {
                        handOver(voters);
                        return;
                    }
                }
            }
        }
        var asVoters = addresses(voters);
        var asListeners = addresses(listeners);
        if (asVoters.isEmpty() || asListeners.isEmpty()) return;
        synchronized (this) {
            changingMembers = true;
        }
        String why = reason;
        LOG.log(Level.INFO, "the log''s members change: {0}; voters {1}, listeners {2}", new Object[] {
            why, voters, listeners
        });
        log.raft().setMembers(asVoters.get(), asListeners.get()).whenComplete((_, failure) -> {
            synchronized (this) {
                changingMembers = false;
            }
            if (failure != null)
                LOG.log(Level.WARNING, "the log''s members did not change ({0}): {1}", new Object[] {
                    why, failure.getMessage()
                });
        });
    }

    /** A pod votes once it follows: it has told an index near what is committed. */
    private synchronized boolean caughtUp(Incarnation pod) {
        var last = heard.get(pod);
        return last != null && last.state().appliedIndex() + 1000 >= log.raft().committed();
    }

    private void handOver(List<Incarnation> others) {
        for (Incarnation other : others) {
            if (cluster.members().get(other) == null) continue;
            log.raft().transferLeadership(other).exceptionally(failure -> {
                LOG.log(Level.WARNING, "leadership was not handed to {0}: {1}", new Object[] {
                    other, failure.getMessage()
                });
                return null;
            });
            return;
        }
    }

    private static List<Incarnation> incarnations(List<Member> members) {
        var list = new ArrayList<Incarnation>();
        for (Member member : members) list.add(member.incarnation());
        return list;
    }

    private Optional<List<Member>> addresses(List<Incarnation> pods) {
        var list = new ArrayList<Member>();
        for (Incarnation pod : pods) {
            PodRecord record = null;
            for (PodRecord each : cluster.records()) if (each.incarnation().equals(pod)) record = each;
            if (record == null || record.settings().addresses().isEmpty()) {
                LOG.log(Level.WARNING, "no address of {0} is known", pod);
                return Optional.empty();
            }
            list.add(new Member(pod, logAddress(record.settings().addresses().getFirst())));
        }
        return Optional.of(list);
    }

    /** The log listens on the port above the pod's own. */
    static InetSocketAddress logAddress(String address) {
        var at = HostPort.parse(address);
        return InetSocketAddress.createUnresolved(at.host(), at.port() + 1);
    }

    /** Slices that nothing has named for a whole round: a reader that looked just before has had its time. */
    private void letGo() {
        NamespaceView view = log.view();
        if (view.totals().unnamedSlices() == 0) {
            unnamedBefore = Set.of();
            return;
        }
        if (letting) return;
        var now = view.unnamedSlices(LIST_MAX);
        var due = new ArrayList<SliceId>();
        for (SliceId slice : now) if (unnamedBefore.contains(slice)) due.add(slice);
        unnamedBefore = new HashSet<>(now);
        if (due.isEmpty()) return;
        letting = true;
        log.propose(new Command.Discard(due)).whenComplete((_, failure) -> letting = false);
    }

    private void reap() {
        NamespaceView view = log.view();
        if (view.totals().orphans() == 0 || reaping) return;
        long acknowledged = Long.MAX_VALUE;
        for (PodRecord pod : view.pods()) // fresh: acknowledgements are told to nobody
        if (!pod.absent()) acknowledged = Math.min(acknowledged, pod.orphansAcknowledgedIndex());
        var due = new ArrayList<InodeId>();
        for (var orphan : view.orphans(null, LIST_MAX))
            if (orphan.holders().isEmpty() && orphan.orphanedIndex() <= acknowledged) due.add(orphan.inode());
        if (due.isEmpty()) return;
        reaping = true;
        log.propose(new Command.Reap(due)).whenComplete((_, failure) -> reaping = false);
    }

    // ---- on every pod

    private boolean acknowledging;
    private long acknowledgedNanos;

    private void acknowledgeOrphans() {
        long now = System.nanoTime();
        if (acknowledging || log.disconnected() || now - acknowledgedNanos < HOUSEKEEPING_NANOS) return;
        NamespaceView view = log.view();
        if (view.totals().orphans() == 0) return;
        PodRecord own = view.pod(self);
        if (own == null) return;
        long index = orphans.acknowledgeableIndex();
        boolean owed = false;
        for (var orphan : view.orphans(null, LIST_MAX))
            owed |= orphan.orphanedIndex() > own.orphansAcknowledgedIndex() && orphan.orphanedIndex() <= index;
        if (!owed) return;
        acknowledging = true;
        acknowledgedNanos = now;
        log.propose(new Command.AcknowledgeOrphans(self, index)).whenComplete((_, failure) -> acknowledging = false);
    }

    @Override
    public void close() {
        closed = true;
        java.util.concurrent.locks.LockSupport.unpark(beat);
    }
}
