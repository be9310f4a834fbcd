// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.HostPort;
import dev.wormhole.config.NetworkConfig;
import dev.wormhole.config.NetworkConfig.Reads;
import dev.wormhole.consensus.Member;
import dev.wormhole.health.Following;
import dev.wormhole.health.Leadership;
import dev.wormhole.health.PeerWatch;
import dev.wormhole.health.Presence;
import dev.wormhole.health.VoterPlan;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.mount.linux.OsClock;
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
import java.time.Duration;
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
    /** Beats of a leader that has just begun, or misses somebody whom programs wait for. */
    private static final Duration URGENT_EVERY = Duration.ofMillis(50);

    private static final long ANSWER_NANOS = TimeUnit.SECONDS.toNanos(5);
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
    private @Nullable Leadership leadership;
    private final Following following = new Following(OsClock.boottimeNanos());
    /** The leader that answered last, its term, and its own time of answering, to be given back. */
    private record Echo(Incarnation leader, long term, long nanos, long receivedNanos) {}

    private volatile @Nullable Echo echo;
    private final Set<Incarnation> changingPrompt = new HashSet<>();
    private boolean changingMembers;
    private Set<SliceId> unnamedBefore = Set.of();
    private boolean letting;
    private boolean reaping;
    private volatile long housekeptNanos;
    /** Members that are not in the log yet: those that are being asked, and when others answered. Guarded by this. */
    private final Set<Incarnation> asked = new HashSet<>();

    private final Map<Incarnation, Long> answered = new HashMap<>();

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
        server.handle(Calls.LEADS, this::answerLeader);
        log.onLeader(this::wake);
        beat.start();
    }

    /** Something happened that the others, or this pod as the leader, should know of before the next beat. */
    void wake() {
        java.util.concurrent.locks.LockSupport.unpark(beat);
    }

    private void run() {
        while (!closed) {
            long began = System.nanoTime();
            try {
                beat();
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "heartbeat failed", bug);
            }
            var every = isUrgent() ? URGENT_EVERY : Calls.HEARTBEAT_EVERY;
            java.util.concurrent.locks.LockSupport.parkNanos(
                    Math.max(1, every.toNanos() - (System.nanoTime() - began)));
        }
    }

    private synchronized boolean isUrgent() {
        return leadership != null && leadership.isUrgent();
    }

    private void beat() {
        var leader = log.leader();
        if (leader.isPresent() && leader.get().equals(self)) {
            if (log.heardLeader()) lostNetwork.run();
            lead();
        } else {
            synchronized (this) {
                leadership = null;
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
        long sent = OsClock.boottimeNanos();
        long term = log.raft().term();
        var before = echo;
        boolean same = before != null && before.term == term && before.leader.equals(leader);
        if (!following.mayFollow(term, before != null && same ? before.receivedNanos : Long.MIN_VALUE)) {
            telling.set(false);
            return;
        }
        var body = Messages.writer();
        state.get().write(body);
        body.putBoolean(log.visibility().beat()).putVarint(term).putLong(before != null && same ? before.nanos : 0);
        peers.call(leader, Calls.HEARTBEAT, body.toBytes(), Calls.HEARTBEAT_DEADLINE)
                .whenComplete((reply, failure) -> {
                    telling.set(false);
                    if (failure != null) return;
                    try {
                        var answer = Messages.reader(reply.body());
                        var pods = ClusterView.read(answer);
                        long granted = answer.getVarint();
                        echo = new Echo(leader, term, answer.getLong(), OsClock.boottimeNanos());
                        log.visibility().acknowledged(sent, granted);
                        cluster.seen(pods);
                        for (var pod : pods)
                            log.visibility()
                                    .heard(
                                            pod.state().incarnation(),
                                            pod.state().appliedIndex());
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
        var body = Messages.reader(request.body());
        var told = PodState.read(body);
        var word = new Leadership.Word(told.appliedIndex(), body.getBoolean());
        long term = body.getVarint();
        long answered = body.getLong();
        var caller = request.caller();
        if (caller == null || !caller.equals(told.incarnation()))
            throw new PeerRefused(PeerRefused.WRONG_POD, "a pod speaks for itself alone");
        long granted = 0;
        synchronized (this) {
            heard.put(caller, new Heard(told, System.nanoTime()));
            if (leadership != null) {
                long now = OsClock.boottimeNanos();
                granted = leadership.heartbeat(caller, term, answered, word, now);
                log.visibility().acknowledged(now, leadership.own(now));
            }
        }
        log.visibility().heard(caller, told.appliedIndex());
        var answer = Messages.writer();
        ClusterView.write(answer, List.copyOf(cluster.allSeen().values()));
        answer.putVarint(granted).putLong(OsClock.boottimeNanos());
        return answer.toBytes();
    }

    private byte[] answerLeader(Request request) throws IOException {
        long term = Messages.reader(request.body()).getVarint();
        long since = following.asked(term, OsClock.boottimeNanos());
        var answer = Messages.writer();
        state.get().write(answer);
        return answer.putBoolean(log.visibility().answers()).putVarint(since).toBytes();
    }

    // ---- on the leader

    private void lead() {
        long now = System.nanoTime();
        long boottime = OsClock.boottimeNanos();
        var network = config.get();
        var timing = PeerWatch.Timing.of(
                network.redundancy().rebuildAfter(), network.redundancy().rebuildAfterIntermittent());
        var own = new Leadership.Word(log.visibility().told(), log.visibility().beat());
        var pods = cluster.records();
        var voters = log.raft().voters();
        long term = log.raft().term();
        Leadership.Decisions decisions;
        Leadership begun = null;
        var seen = new ArrayList<ClusterView.Seen>();
        synchronized (this) {
            var known = leadership;
            if (known == null || known.term() != term) {
                known = begin(term, timing, pods, voters, boottime);
                leadership = known;
                begun = known;
            }
            decisions = known.tick(
                    own,
                    timing,
                    pods,
                    voters,
                    log.raft().committed(),
                    network.durability().reads() == Reads.LOCAL,
                    boottime);
            log.visibility().acknowledged(boottime, known.own(boottime));
            for (PodRecord pod : pods) {
                if (pod.incarnation().equals(self)) {
                    seen.add(new ClusterView.Seen(state.get(), Presence.PRESENT, 0));
                    continue;
                }
                var last = heard.get(pod.incarnation());
                var presence = known.presence(pod.incarnation());
                if (last == null || presence == null) {
                    var before = cluster.seen(pod.incarnation()); // nothing newer is known while this leader asks
                    if (before != null && known.isAsking()) seen.add(before);
                    continue;
                }
                seen.add(new ClusterView.Seen(
                        last.state(), presence, TimeUnit.NANOSECONDS.toMillis(now - last.atNanos())));
            }
            heard.keySet()
                    .removeIf(pod -> pods.stream()
                            .noneMatch(record -> record.incarnation().equals(pod)));
        }
        if (begun != null) ask(begun, pods);
        for (var change : decisions.promptness()) changePrompt(change);
        cluster.seen(seen);
        for (var declaration : decisions.absences()) {
            LOG.info(declaration.reason());
            log.propose(new Command.SetAbsent(declaration.incarnation(), declaration.absent()));
        }
        if (now - housekeptNanos < HOUSEKEEPING_NANOS) return;
        housekeptNanos = now;
        chooseMembers();
        letGo();
        reap();
    }

    private Leadership begin(
            long term, PeerWatch.Timing timing, List<PodRecord> pods, List<Incarnation> voters, long boottime) {
        var silences = new HashMap<Incarnation, Long>();
        cluster.allSeen().forEach((pod, last) -> {
            if (last.presence() != Presence.PRESENT)
                silences.put(pod, TimeUnit.MILLISECONDS.toNanos(last.silentMillis()));
        });
        heard.clear();
        changingPrompt.clear();
        return new Leadership(self, term, timing, pods, voters, silences, following, boottime);
    }

    private void ask(Leadership begun, List<PodRecord> pods) {
        byte[] body = Messages.writer().putVarint(begun.term()).toBytes();
        for (PodRecord pod : pods) {
            var who = pod.incarnation();
            if (who.equals(self)) continue;
            peers.call(who, Calls.LEADS, body, Calls.LEADS_DEADLINE).whenComplete((reply, failure) -> {
                if (failure != null) return;
                try {
                    var answer = Messages.reader(reply.body());
                    var told = PodState.read(answer);
                    if (!told.incarnation().equals(who)) throw new IOException("it answers as " + told.incarnation());
                    var word = new Leadership.Word(told.appliedIndex(), answer.getBoolean());
                    long since = answer.getVarint();
                    synchronized (this) {
                        if (leadership != begun) return;
                        heard.put(who, new Heard(told, System.nanoTime()));
                        begun.answered(who, word, since, OsClock.boottimeNanos());
                    }
                } catch (IOException malformed) {
                    LOG.log(Level.WARNING, "{0} answered its new leader with nonsense: {1}", new Object[] {
                        who, malformed.getMessage()
                    });
                }
            });
        }
    }

    /** The same decision comes with every tick until the log has it: it is sent again after a while only. */
    private void changePrompt(PeerWatch.Promptness change) {
        synchronized (this) {
            if (!changingPrompt.add(change.incarnation())) return;
        }
        LOG.log(Level.INFO, "{0} {1} the prompt set: {2}", new Object[] {
            cluster.name(change.incarnation()), change.prompt() ? "enters" : "leaves", change.reason()
        });
        log.appendAsLeader(new Command.SetPrompt(change.incarnation(), change.startCount(), change.prompt()))
                .whenComplete((_, _) -> {
                    synchronized (this) {
                        changingPrompt.remove(change.incarnation());
                    }
                });
    }

    /** One step at a time towards: every member follows the log, and the planned ones vote. */
    private void chooseMembers() {
        synchronized (this) {
            if (changingMembers) return;
        }
        var voters = new ArrayList<>(log.raft().voters());
        var listeners = new ArrayList<>(log.raft().listeners());
        var members = cluster.members();
        String reason = null;
        for (PodRecord pod : cluster.records()) {
            if (voters.contains(pod.incarnation()) || listeners.contains(pod.incarnation())) continue;
            if (!answers(pod.incarnation())) continue;
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

    /**
     * Who is not in this log yet is added once it answers: the change waits for all that come, and after a re-forming some may
     * not come for long.
     */
    private boolean answers(Incarnation pod) {
        synchronized (this) {
            var at = answered.get(pod);
            if (at != null && System.nanoTime() - at < ANSWER_NANOS) return true;
            if (!asked.add(pod)) return false;
        }
        peers.call(pod, Calls.HOLDS, Messages.writer().putVarint(0).toBytes(), Calls.HOLDS_DEADLINE)
                .whenComplete((_, failure) -> {
                    synchronized (this) {
                        asked.remove(pod);
                        if (failure != null) return;
                        answered.put(pod, System.nanoTime());
                        housekeptNanos = System.nanoTime() - HOUSEKEEPING_NANOS;
                    }
                    wake();
                });
        return false;
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
