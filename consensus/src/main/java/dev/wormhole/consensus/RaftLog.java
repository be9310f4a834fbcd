// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.stream.Stream;
import org.apache.ratis.conf.Parameters;
import org.apache.ratis.conf.RaftProperties;
import org.apache.ratis.grpc.GrpcConfigKeys;
import org.apache.ratis.grpc.GrpcTlsConfig;
import org.apache.ratis.proto.RaftProtos.AppendEntriesRequestProto;
import org.apache.ratis.proto.RaftProtos.RaftConfigurationProto;
import org.apache.ratis.proto.RaftProtos.RaftGroupIdProto;
import org.apache.ratis.proto.RaftProtos.RaftPeerProto;
import org.apache.ratis.proto.RaftProtos.RaftPeerRole;
import org.apache.ratis.proto.RaftProtos.RaftRpcRequestProto;
import org.apache.ratis.proto.RaftProtos.ServerRpcProto;
import org.apache.ratis.proto.RaftProtos.StartLeaderElectionRequestProto;
import org.apache.ratis.proto.RaftProtos.TermIndexProto;
import org.apache.ratis.protocol.ClientId;
import org.apache.ratis.protocol.Message;
import org.apache.ratis.protocol.RaftClientAsynchronousProtocol;
import org.apache.ratis.protocol.RaftClientReply;
import org.apache.ratis.protocol.RaftClientRequest;
import org.apache.ratis.protocol.RaftGroup;
import org.apache.ratis.protocol.RaftGroupId;
import org.apache.ratis.protocol.RaftPeer;
import org.apache.ratis.protocol.RaftPeerId;
import org.apache.ratis.protocol.SetConfigurationRequest;
import org.apache.ratis.protocol.SnapshotManagementRequest;
import org.apache.ratis.protocol.TransferLeadershipRequest;
import org.apache.ratis.protocol.exceptions.LeaderNotReadyException;
import org.apache.ratis.protocol.exceptions.LeaderSteppingDownException;
import org.apache.ratis.protocol.exceptions.ServerNotReadyException;
import org.apache.ratis.server.DivisionInfo;
import org.apache.ratis.server.RaftConfiguration;
import org.apache.ratis.server.RaftServer;
import org.apache.ratis.server.RaftServerConfigKeys;
import org.apache.ratis.server.protocol.TermIndex;
import org.apache.ratis.server.storage.RaftStorage;
import org.apache.ratis.thirdparty.com.google.protobuf.UnsafeByteOperations;
import org.apache.ratis.util.ExitUtils;
import org.apache.ratis.util.LifeCycle;
import org.apache.ratis.util.SizeInBytes;
import org.apache.ratis.util.TimeDuration;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One replicated log, followed by one pod: a Ratis server with one group, whose peers are incarnations ("p7"), so that a
 * store that was wiped or restored is never taken for its former life.
 *
 * <p><b>Order and durability.</b> Entries are applied in one order everywhere. What is applied on a pod is flushed on that
 * pod, and committed: flushed by a majority of the voters. Entries given to {@link #append} by one thread keep its order.
 *
 * <p><b>Life.</b> Ratis closes its server by itself when a member was removed, when the process stood still for long, or
 * when a disk failed; a watch rebuilds it over the same files and the same {@link Applier}, with growing pauses, unless
 * the applier failed. Meanwhile this pod is {@link Status.Role#STOPPED} and calls answer {@link NotLeaderException}.
 *
 * <p><b>Threads.</b> All methods may be called by any thread and do not block on other pods, except {@link #open} and
 * {@link #close}. Futures complete on threads of the log: what depends on them must not block. Each has a deadline, after
 * which it fails with an IOException while the act itself may still happen.
 *
 * <p><b>Log lines.</b> Ratis and its gRPC are talkative: set {@link #NOISY_LOGGERS} to WARN, or to ERROR where an absent
 * peer is normal.
 */
public final class RaftLog implements AutoCloseable {
    /** Parents of the loggers that say several lines a second at INFO, and some at WARN while a peer is away. */
    public static final List<String> NOISY_LOGGERS =
            List.of("org.apache.ratis", "org.apache.ratis.thirdparty.io.grpc", "org.apache.ratis.thirdparty.io.netty");

    private static final Logger LOG = LoggerFactory.getLogger(RaftLog.class);
    private static final Duration TICK = Duration.ofMillis(500);
    private static final Duration REBUILD_PAUSE_MAX = Duration.ofSeconds(30);
    /** The part of the shortest election timeout that the leader may answer reads alone; the rest is for drift. */
    private static final double LEASE_RATIO = 0.9;
    /** Sleep of the machine that makes a lease worthless; far above the error of reading two clocks. */
    private static final long SLEPT_NANOS_MAX = 100_000_000;
    /** Entries between snapshots below which a quiet log is left alone. */
    private static final long QUIET_ENTRIES = 16;

    static {
        // Ratis would end the process when its port is taken, and when any thread of the process dies of an exception.
        Thread.UncaughtExceptionHandler before = Thread.getDefaultUncaughtExceptionHandler();
        ExitUtils.disableSystemExit();
        Thread.setDefaultUncaughtExceptionHandler(before);
    }

    private final Settings settings;
    private final Applier applier;
    private final Addresses addresses;
    private final RaftGroupId groupId;
    private final RaftPeerId selfId;
    private final ClientId clientId = ClientId.randomId();
    private final AtomicLong calls = new AtomicLong();
    private final Object appending = new Object();
    private final ScheduledExecutorService watch;
    private final ExecutorService notices;
    private final AtomicBoolean noticeQueued = new AtomicBoolean();
    private final AtomicReference<Position> committedElsewhere = new AtomicReference<>(Position.NONE);
    private volatile long learntCommittedNanos;
    private final AtomicBoolean committing = new AtomicBoolean();
    private final AtomicBoolean failed = new AtomicBoolean();
    private final AtomicBoolean closed = new AtomicBoolean();

    private volatile @Nullable Engine engine;
    private Optional<Incarnation> leaderTold = Optional.empty(); // thread of notices
    private volatile long sleptAtLeadership = SuspendClock.sleptNanos();
    private volatile boolean ledAndReady;
    // thread of the watch
    private Duration rebuildPause = TICK;
    private long rebuildAtNanos = System.nanoTime();
    private long lastSnapshotNanos = System.nanoTime();
    private long misplacedSinceNanos;
    private boolean snapshotAsked;

    /** One running Ratis server. */
    private record Engine(RaftServer server, RaftServer.Division division, LogMachine machine) {
        RaftClientAsynchronousProtocol direct() {
            // Ratis' division takes requests itself; the way through the server costs a change of threads.
            return division instanceof RaftClientAsynchronousProtocol p ? p : server;
        }

        boolean alive() {
            return server.getLifeCycleState().isRunning()
                    && !division.getInfo().getLifeCycleState().isClosingOrClosed()
                    && division.getInfo().getLifeCycleState() != LifeCycle.State.EXCEPTION;
        }
    }

    private RaftLog(Settings settings, Applier applier) {
        this.settings = settings;
        this.applier = applier;
        this.addresses = new Addresses(settings.group());
        this.groupId = RaftGroupId.valueOf(settings.group());
        this.selfId = peerId(settings.self().incarnation());
        this.watch = Executors.newSingleThreadScheduledExecutor(thread("watch"));
        this.notices = Executors.newSingleThreadExecutor(thread("notices"));
    }

    /**
     * Opens the log in its directory, brings the state up to the newest snapshot, and begins to follow. Entries between
     * the state's position and what was committed are applied as soon as a leader says how far that is.
     *
     * @throws IOException if the storage is damaged or older than the state, or the port is taken
     */
    public static RaftLog open(Settings settings, Applier applier) throws IOException {
        RaftLog log = new RaftLog(settings, applier);
        long beganNanos = System.nanoTime();
        try {
            log.engine = log.start();
        } catch (IOException | RuntimeException e) {
            log.watch.shutdownNow();
            log.notices.shutdownNow();
            throw e;
        }
        // Never more than one tick is queued: the next is timed when one ends.
        var unused =
                log.watch.scheduleWithFixedDelay(log::tick, TICK.toMillis(), TICK.toMillis(), TimeUnit.MILLISECONDS);
        // A lease that this pod renewed before it stopped is over by then.
        long due = settings.timing().electionMin().toNanos() - (System.nanoTime() - beganNanos);
        var unusedToo = log.watch.schedule(log::standAlone, Math.max(0, due), TimeUnit.NANOSECONDS);
        return log;
    }

    /**
     * Commits an entry; on the leader only.
     *
     * @param entry at most {@link Settings.Sizes#entryBytesMax} bytes; must not change afterwards
     * @return completes when the entry is committed, flushed and applied here. Fails with {@link NotLeaderException} at
     *     once or when leadership is lost, with another IOException when too much waits already or the deadline passes.
     *     After a failure the entry may still be committed
     */
    public CompletableFuture<Appended> append(byte[] entry) {
        if (entry.length > settings.sizes().entryBytesMax()) {
            throw new IllegalArgumentException("entry of " + entry.length + " bytes");
        }
        Engine running = leading();
        if (running == null) return failed(notLeader());
        CompletableFuture<RaftClientReply> reply;
        synchronized (appending) {
            RaftClientRequest request = request(
                    Message.valueOf(UnsafeByteOperations.unsafeWrap(entry)), RaftClientRequest.writeRequestType());
            try {
                reply = running.direct().submitClientRequestAsync(request);
            } catch (IOException | RuntimeException e) {
                return failed(translate("append", e));
            }
        }
        return finish("append", reply, settings.timing().call(), r -> {
            var at = running.division().getRaftLog().getTermIndex(r.getLogIndex());
            return new Appended(new Position(at == null ? 0 : at.getTerm(), r.getLogIndex()));
        });
    }

    /**
     * Confirms leadership and tells an index such that everything committed anywhere before this call has at most that
     * index, and is applied here. On the leader only; mostly answered at once, by the lease.
     */
    public CompletableFuture<Long> readIndex() {
        Engine running = leading();
        if (running == null) return failed(notLeader());
        CompletableFuture<RaftClientReply> reply;
        try {
            reply = running.direct()
                    .submitClientRequestAsync(request(Message.EMPTY, RaftClientRequest.readRequestType()));
        } catch (IOException | RuntimeException e) {
            return failed(translate("read index", e));
        }
        return finish("read index", reply, settings.timing().call(), _ -> {
            // A machine that slept has a lease that only seems to run: nanoTime stood still with it.
            if (sleptSinceLeadership()) throw new CompletionException(notLeader());
            return running.machine().getLastAppliedTermIndex().getIndex();
        });
    }

    /** Highest index known here to be committed; cheap. */
    public long committed() {
        Engine running = engine;
        return running == null
                ? applier.position().index()
                : running.division().getRaftLog().getLastCommittedIndex();
    }

    /**
     * Takes another pod's word, which must be true, that an entry is committed, and applies up to it as soon as it is on this
     * disk. Ratis itself tells a follower with the next entry, behind that entry's sync, or with a heartbeat; so a lost word
     * costs only time. On the leader it does nothing.
     *
     * @param entry as its leader applied it: with another term than in this pod's log it is ignored
     */
    public void learnCommitted(Position entry) {
        if (entry.index() <= committed() || closed.get()) return;
        committedElsewhere.accumulateAndGet(entry, (a, b) -> a.compareTo(b) >= 0 ? a : b);
        learntCommittedNanos = System.nanoTime();
        if (committing.compareAndSet(false, true)) commit(notices);
    }

    private void commit(Executor executor) {
        try {
            executor.execute(() -> {
                Position entry = committedElsewhere.get();
                tellRatis(entry).whenComplete((_, _) -> committed(entry));
            });
        } catch (RejectedExecutionException e) {
            committing.set(false); // closing
        }
    }

    /** Ratis was told what has reached this disk. */
    private void committed(Position told) {
        boolean reached = committed() >= told.index();
        boolean more = committedElsewhere.get().compareTo(told) > 0;
        boolean fresh = System.nanoTime() - learntCommittedNanos
                < settings.timing().electionMin().toNanos();
        if (more || !reached && fresh && !closed.get()) {
            // Ratis has no event for an entry that reaches the disk after the word of its commit.
            commit(reached ? notices : CompletableFuture.delayedExecutor(1, TimeUnit.MILLISECONDS, notices));
            return;
        }
        committing.set(false);
        if (committedElsewhere.get().compareTo(told) > 0 && committing.compareAndSet(false, true)) commit(notices);
    }

    /**
     * A heartbeat as the leader would send it, once for what is here and on the disk by now: it counts as a sign of the
     * leader, and must not be one oftener than the leader gave it.
     */
    private CompletableFuture<?> tellRatis(Position committed) {
        CompletableFuture<?> nothing = CompletableFuture.completedFuture(null);
        Engine running = engine;
        if (running == null || closed.get()) return nothing;
        var log = running.division().getRaftLog();
        TermIndex here = log.getTermIndex(committed.index());
        long reached = Math.min(committed.index(), log.getFlushIndex());
        // Where the entry is the leader's, so is everything before it.
        if (here == null || here.getTerm() != committed.term() || reached <= log.getLastCommittedIndex())
            return nothing;
        TermIndex last = log.getTermIndex(reached);
        DivisionInfo info = running.division().getInfo();
        RaftPeerId leader = info.getLeaderId();
        if (last == null || leader == null || leader.equals(selfId)) return nothing;
        var heartbeat = AppendEntriesRequestProto.newBuilder()
                .setServerRequest(toSelf(leader))
                .setLeaderTerm(info.getCurrentTerm())
                .setPreviousLog(last.toProto())
                .setLeaderCommit(reached)
                .build();
        try {
            return running.server().appendEntriesAsync(heartbeat);
        } catch (IOException | RuntimeException e) {
            return CompletableFuture.failedFuture(e); // its leader tells it too
        }
    }

    /** The head of a message of the protocol between members, as that member would send it to this one. */
    private RaftRpcRequestProto toSelf(RaftPeerId from) {
        return RaftRpcRequestProto.newBuilder()
                .setRequestorId(from.toByteString())
                .setReplyId(selfId.toByteString())
                .setRaftGroupId(RaftGroupIdProto.newBuilder().setId(groupId.toByteString()))
                .setCallId(calls.incrementAndGet())
                .build();
    }

    /** How many vote, by the newest configuration known here; 0 while the log is being rebuilt. Cheap. */
    public int voterCount() {
        Engine running = engine;
        return running == null
                ? 0
                : running.division()
                        .getRaftConf()
                        .getAllPeers(RaftPeerRole.FOLLOWER)
                        .size();
    }

    /** Who votes, by the newest configuration known here; none while the log is being rebuilt. */
    public List<Incarnation> voters() {
        return incarnations(RaftPeerRole.FOLLOWER);
    }

    /** Who follows without a vote, by the newest configuration known here; none while the log is being rebuilt. */
    public List<Incarnation> listeners() {
        return incarnations(RaftPeerRole.LISTENER);
    }

    private List<Incarnation> incarnations(RaftPeerRole role) {
        Engine running = engine;
        if (running == null) return List.of();
        return members(running.division().getRaftConf(), role).stream()
                .map(Member::incarnation)
                .toList();
    }

    /** The newest term that this pod has taken part in; never goes back. 0 while the log is stopped. */
    public long term() {
        Engine running = engine;
        return running == null ? 0 : running.division().getInfo().getCurrentTerm();
    }

    /** What this pod knows now. Reads a few file sizes. */
    public Status status() {
        Engine running = engine;
        if (running == null || failed.get() || !running.alive()) {
            long applied = applier.position().index();
            return new Status(
                    Status.Role.STOPPED,
                    false,
                    0,
                    Optional.empty(),
                    applied,
                    applied,
                    applied,
                    List.of(),
                    List.of(),
                    logBytes(),
                    List.of());
        }
        DivisionInfo info = running.division().getInfo();
        RaftConfiguration configuration = running.division().getRaftConf();
        List<Member> voters = members(configuration, RaftPeerRole.FOLLOWER);
        List<Member> listeners = members(configuration, RaftPeerRole.LISTENER);
        var log = running.division().getRaftLog();
        return new Status(
                role(info, voters, listeners),
                info.isLeaderReady(),
                info.getCurrentTerm(),
                Optional.ofNullable(info.getLeaderId()).flatMap(RaftLog::incarnation),
                log.getLastCommittedIndex(),
                running.machine().getLastAppliedTermIndex().getIndex(),
                log.getFlushIndex(),
                voters,
                listeners,
                logBytes(),
                followers(info, log.getNextIndex() - 1));
    }

    /**
     * Replaces the members; on the leader only. New members must run and wait ({@link Settings.Start#JOIN}); the future
     * completes when new voters have caught up and the change is committed. New addresses of old members are accepted
     * alike.
     *
     * <p>Who changes between listening and voting is taken out first and then added: whoever is elected while a member
     * is in Ratis' joint configuration in both roles fails. In between it follows nobody, for moments. When leadership is
     * lost there, it stays outside until somebody repeats the call. Who is silent changes in one step.
     *
     * @return fails with {@link MembershipException} if another change is under way, or if as many new voters come as old
     *     ones stay (from one voter to two is allowed): such a change could leave the log without a leader. Go from one
     *     to two to three. Fails with {@link NotLeaderException} also when leadership is lost on the way, because the
     *     second voter's answers are needed from the first moment; look at {@link #status} and repeat
     */
    public CompletableFuture<Void> setMembers(List<Member> voters, List<Member> listeners) {
        Set<Incarnation> all = new HashSet<>();
        for (Member member : concat(voters, listeners)) {
            if (!all.add(member.incarnation())) throw new IllegalArgumentException("twice: " + member);
        }
        if (voters.isEmpty()) throw new IllegalArgumentException("no voter");
        Engine running = leading();
        if (running == null) return failed(notLeader());
        RaftConfiguration configuration = running.division().getRaftConf();
        Set<Incarnation> votersNow = incarnations(members(configuration, RaftPeerRole.FOLLOWER));
        Set<Incarnation> listenersNow = incarnations(members(configuration, RaftPeerRole.LISTENER));
        long coming = voters.stream()
                .filter(v -> !votersNow.contains(v.incarnation()))
                .count();
        long staying = voters.size() - coming;
        boolean oneToTwo = votersNow.size() == 1 && voters.size() == 2 && coming == 1;
        if (coming >= staying && coming > 0 && !oneToTwo) {
            return failed(new MembershipException("refused: of " + voters.size() + " voters " + coming
                    + " would be new, which is not less than those that stay; add one at a time"));
        }
        addresses.learn(concat(voters, listeners));
        // Who does not answer could not be added again: it changes in one step, which asks nothing of it.
        Set<Incarnation> silent = silent(running);
        listenersNow.removeAll(silent);
        votersNow.removeAll(silent);
        List<Member> sameVoters = without(listenersNow, voters);
        List<Member> sameListeners = without(votersNow, listeners);
        if (sameVoters.size() == voters.size() && sameListeners.size() == listeners.size())
            return change(running, voters, listeners);
        // Not on the thread that completes the first change: Ratis forgets what is asked for from there.
        return change(running, sameVoters, sameListeners)
                .thenComposeAsync(_ -> change(running, voters, listeners), notices);
    }

    private Set<Incarnation> silent(Engine running) {
        Set<Incarnation> silent = new HashSet<>();
        for (Status.Follower follower : followers(running.division().getInfo(), 0))
            if (follower.silence().compareTo(settings.timing().electionMax()) > 0) silent.add(follower.incarnation());
        return silent;
    }

    private CompletableFuture<Void> change(Engine running, List<Member> voters, List<Member> listeners) {
        RaftConfiguration configuration = running.division().getRaftConf();
        Set<Incarnation> known = incarnations(members(configuration, RaftPeerRole.FOLLOWER));
        known.addAll(incarnations(members(configuration, RaftPeerRole.LISTENER)));
        // Whoever is elected in a joint configuration sends to its old members for ever, and fails, with every change
        // after, when one of them is added again.
        for (Status.Follower follower : followers(running.division().getInfo(), 0)) {
            if (known.contains(follower.incarnation())) continue;
            LOG.warn("{}: still sends to {}, which is no member; stepping down", selfId, follower.incarnation());
            stepDown().whenComplete((_, e) -> {
                if (e != null) LOG.info("{}: step down: {}", selfId, e.toString());
            });
            return failed(new MembershipException(
                    "leadership is given up first, because this leader still sends to " + follower.incarnation()));
        }
        // Ratis sees no change where only addresses differ; the priority, equal for all, makes it see one.
        int priority = configuration.getAllPeers(RaftPeerRole.FOLLOWER).stream()
                .mapToInt(RaftPeer::getPriority)
                .max()
                .orElse(0);
        if (sameMembersElsewhere(configuration, voters, listeners)) priority = 1 - Math.min(priority, 1);
        SetConfigurationRequest request = new SetConfigurationRequest(
                clientId,
                selfId,
                groupId,
                calls.incrementAndGet(),
                peers(voters, RaftPeerRole.FOLLOWER, priority),
                peers(listeners, RaftPeerRole.LISTENER, priority));
        return finish(
                        "set members",
                        started(() -> running.server().setConfigurationAsync(request)),
                        settings.timing().membership(),
                        _ -> (Void) null)
                .whenComplete((_, e) -> {
                    if (e != null) stepDownIfDeaf(running);
                });
    }

    /**
     * When new members do not answer, Ratis ends its senders to all that it has not seen catch up as voters: those to old
     * listeners too, and none of them comes back before there is another leader.
     */
    private void stepDownIfDeaf(Engine running) {
        DivisionInfo info = running.division().getInfo();
        if (closed.get() || !info.isLeader()) return;
        RaftConfiguration configuration = running.division().getRaftConf();
        Set<Incarnation> members = incarnations(members(configuration, RaftPeerRole.FOLLOWER));
        members.addAll(incarnations(members(configuration, RaftPeerRole.LISTENER)));
        members.remove(settings.self().incarnation());
        for (Status.Follower follower : followers(info, 0)) members.remove(follower.incarnation());
        if (members.isEmpty()) return;
        LOG.warn("{}: sends to {} no more, after a change that failed; stepping down", selfId, members);
        stepDown().whenComplete((_, e) -> {
            if (e != null) LOG.info("{}: step down: {}", selfId, e.toString());
        });
    }

    private static Set<Incarnation> incarnations(List<Member> members) {
        Set<Incarnation> incarnations = new HashSet<>();
        for (Member member : members) incarnations.add(member.incarnation());
        return incarnations;
    }

    private static List<Member> without(Set<Incarnation> some, List<Member> members) {
        return members.stream().filter(m -> !some.contains(m.incarnation())).toList();
    }

    /** Tells where members are now, by whatever way the pod learnt it; used from the next connection on, at once. */
    public void learn(Collection<Member> members) {
        reconnect(addresses.learn(members));
    }

    /**
     * An address of this machine is gone. Connections that began at it fall silent without an end, for as long as TCP has
     * patience: they are begun anew. Returns at once.
     */
    public void reconnect() {
        List<Incarnation> others = new ArrayList<>(voters());
        others.addAll(listeners());
        reconnect(others);
    }

    /** Ratis closes what it has of a peer in up to three seconds, and its senders go on with something new. */
    private void reconnect(List<Incarnation> to) {
        Engine running = engine;
        if (running == null) return;
        for (Incarnation other : to) {
            if (other.equals(settings.self().incarnation())) continue;
            Thread.ofVirtual().name("log-reconnect-" + other).start(() -> {
                try {
                    running.server()
                            .getServerRpc()
                            .handleException(peerId(other), new IOException("its address has changed"), true);
                } catch (RuntimeException e) {
                    LOG.info("{}: reconnecting to {}: {}", selfId, other, e.toString());
                }
            });
        }
    }

    /** Makes another voter the leader; on the leader only. Appends fail with {@link NotLeaderException} meanwhile. */
    public CompletableFuture<Void> transferLeadership(Incarnation to) {
        return lead("transfer leadership", peerId(to));
    }

    /** Gives up leadership to whoever is elected, which may be this pod again; on the leader only. */
    public CompletableFuture<Void> stepDown() {
        return lead("step down", null);
    }

    /**
     * Takes a snapshot now, on any pod.
     *
     * @return the index of the newest snapshot; negative if none can be taken now, because one is being installed
     *     elsewhere from here, or the state is still being replayed
     */
    public CompletableFuture<Long> snapshotNow() {
        Engine running = engine;
        if (running == null) return failed(new IOException("snapshot: the log is stopped"));
        Duration deadline = settings.timing().membership();
        SnapshotManagementRequest request = SnapshotManagementRequest.newCreate(
                clientId, selfId, groupId, calls.incrementAndGet(), deadline.toMillis(), 1);
        return finish(
                "snapshot",
                started(() -> running.server().snapshotManagementAsync(request)),
                deadline,
                RaftClientReply::getLogIndex);
    }

    /** Leaves without giving up membership. The state is not flushed: that is its owner's part, after this. */
    @Override
    public void close() {
        if (!closed.compareAndSet(false, true)) return;
        watch.shutdown();
        boolean interrupted = false;
        while (true) {
            try {
                if (watch.awaitTermination(1, TimeUnit.SECONDS)) break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        Engine running = engine;
        engine = null;
        if (running != null) stop(running);
        notices.shutdown();
        if (interrupted) Thread.currentThread().interrupt();
    }

    // ---- the Ratis server ----

    private Engine start() throws IOException {
        Files.createDirectories(settings.directory());
        // Ratis notices a taken port late, with its storage already locked, and wants to end the process.
        try (ServerSocketChannel probe = ServerSocketChannel.open()) {
            probe.bind(settings.listen());
        } catch (IOException e) {
            throw new IOException("cannot listen at " + settings.listen(), e);
        }
        Snapshots.recoverSwap(settings.directory().resolve(settings.group().toString()));
        LogMachine machine =
                new LogMachine(applier, settings.sizes(), this::notice, this::configured, this::applierFailed);
        RaftPeer self = peers(
                        List.of(settings.self()),
                        settings.start() == Settings.Start.JOIN ? RaftPeerRole.LISTENER : RaftPeerRole.FOLLOWER,
                        0)
                .getFirst();
        Parameters parameters = new Parameters();
        Holder holder = new Holder();
        Gate gate = new Gate(settings, LEASE_RATIO, () -> holder.division, machine::syncInstalled);
        GrpcConfigKeys.Server.setServicesCustomizer(parameters, (builder, _) -> {
            settings.tls().ifPresent(tls -> Doorway.before(builder, tls));
            return builder.intercept(gate);
        });
        settings.tls()
                .ifPresent(tls ->
                        GrpcConfigKeys.TLS.setConf(parameters, new GrpcTlsConfig(tls.keys(), tls.trust(), true)));
        RaftServer server = RaftServer.newBuilder()
                .setServerId(selfId)
                .setGroup(RaftGroup.valueOf(groupId, self))
                .setStateMachineRegistry(_ -> machine)
                .setProperties(properties())
                .setParameters(parameters)
                .setOption(RaftStorage.StartupOption.RECOVER)
                .build();
        try {
            RaftServer.Division division = server.getDivision(groupId);
            holder.division = division;
            server.start();
            var last = division.getRaftLog().getLastEntryTermIndex();
            long end = Math.max(
                    last == null ? -1 : last.getIndex(), division.getRaftLog().getSnapshotIndex());
            if (end < applier.position().index()) {
                throw new IOException("the log in " + settings.directory() + " ends at " + end + " but the state is at "
                        + applier.position() + ": the disk went back in time; join as a new incarnation");
            }
            return new Engine(server, division, machine);
        } catch (IOException | RuntimeException e) {
            server.close();
            if (e instanceof CompletionException && e.getCause() instanceof IOException cause) throw cause;
            if (e instanceof ExitUtils.ExitException) throw new IOException("the log's server does not start", e);
            throw e;
        }
    }

    /** Filled once the server is built, for what must be handed to it before. */
    private static final class Holder {
        volatile RaftServer.@Nullable Division division;
    }

    private static void stop(Engine running) {
        try {
            running.server().close();
        } catch (IOException e) {
            LOG.warn("closing the log", e);
        }
    }

    private RaftProperties properties() {
        Settings.Timing timing = settings.timing();
        Settings.Sizes sizes = settings.sizes();
        RaftProperties p = new RaftProperties();
        RaftServerConfigKeys.setStorageDir(p, List.of(settings.directory().toFile()));
        GrpcConfigKeys.Server.setPort(p, settings.listen().getPort());
        InetSocketAddress listen = settings.listen();
        if (listen.getAddress() == null || !listen.getAddress().isAnyLocalAddress()) {
            GrpcConfigKeys.Server.setHost(p, listen.getHostString());
        }

        TimeDuration min = millis(timing.electionMin());
        TimeDuration max = millis(timing.electionMax());
        RaftServerConfigKeys.Rpc.setTimeoutMin(p, min);
        RaftServerConfigKeys.Rpc.setTimeoutMax(p, max);
        RaftServerConfigKeys.Rpc.setFirstElectionTimeoutMin(p, min);
        RaftServerConfigKeys.Rpc.setFirstElectionTimeoutMax(p, max);
        RaftServerConfigKeys.Rpc.setRequestTimeout(p, millis(timing.request()));
        // A new voter counts as silent for an election timeout already when it is added, and a listener that became one
        // votes only once it has the entry that says so: a leader that gave up in between could never be elected again.
        RaftServerConfigKeys.LeaderElection.setLeaderStepDownWaitTime(
                p, millis(timing.electionMax().multipliedBy(3)));
        RaftServerConfigKeys.LeaderElection.setPreVote(p, true);
        RaftServerConfigKeys.setStagingTimeout(p, millis(timing.electionMax().multipliedBy(10)));
        // A pause never closes the server; leadership is lost by the pause itself.
        RaftServerConfigKeys.setCloseThreshold(p, TimeDuration.valueOf(3650, TimeUnit.DAYS));

        // One entry must fit into every buffer on its way.
        int sendBytes = Math.max(2 * sizes.entryBytesMax(), 1 << 20);
        RaftServerConfigKeys.Log.setSegmentSizeMax(p, SizeInBytes.valueOf(sizes.segmentBytes()));
        RaftServerConfigKeys.Log.setPreallocatedSize(p, SizeInBytes.valueOf(Math.min(sizes.segmentBytes(), 4 << 20)));
        RaftServerConfigKeys.Log.setSegmentCacheNumMax(p, 2);
        RaftServerConfigKeys.Log.setSegmentCacheSizeMax(p, SizeInBytes.valueOf(2L * sizes.segmentBytes()));
        RaftServerConfigKeys.Log.setWriteBufferSize(p, SizeInBytes.valueOf(sendBytes + (64 << 10)));
        RaftServerConfigKeys.Log.setQueueByteLimit(p, SizeInBytes.valueOf(4L * sendBytes));
        // An entry and a sync of its own for each commit, on every member: learnCommitted tells it sooner, without
        // them.
        RaftServerConfigKeys.Log.setLogMetadataEnabled(p, false);
        RaftServerConfigKeys.Log.setPurgeUptoSnapshotIndex(p, true);
        RaftServerConfigKeys.Log.setPurgePreservationLogNum(p, sizes.entriesKept());
        RaftServerConfigKeys.Log.setPurgeGap(p, sizes.purgeEntriesMin());
        RaftServerConfigKeys.Log.Appender.setBufferByteLimit(p, SizeInBytes.valueOf(sendBytes));
        RaftServerConfigKeys.Log.Appender.setSnapshotChunkSizeMax(p, SizeInBytes.valueOf(1 << 20));
        RaftServerConfigKeys.Log.Appender.setWaitTimeMin(p, TimeDuration.ONE_MILLISECOND);
        RaftServerConfigKeys.Log.Appender.setRetryPolicy(p, "MultipleLinearRandomRetry,1ms,10,100ms,100000");
        RaftServerConfigKeys.Write.setByteLimit(p, SizeInBytes.valueOf(Math.max(16L << 20, 4L * sendBytes)));
        RaftServerConfigKeys.Write.setElementLimit(p, 4096);
        // Sessions in the state tell repeats apart; Ratis' own memory of them would be large for nothing.
        RaftServerConfigKeys.RetryCache.setExpiryTime(p, TimeDuration.valueOf(1, TimeUnit.SECONDS));

        RaftServerConfigKeys.Snapshot.setAutoTriggerEnabled(p, true);
        RaftServerConfigKeys.Snapshot.setAutoTriggerThreshold(p, sizes.snapshotEntries());
        RaftServerConfigKeys.Snapshot.setTriggerWhenStopEnabled(p, false);
        RaftServerConfigKeys.Snapshot.setTriggerWhenRemoveEnabled(p, false);

        RaftServerConfigKeys.Read.setOption(p, RaftServerConfigKeys.Read.Option.LINEARIZABLE);
        RaftServerConfigKeys.Read.setLeaderLeaseEnabled(p, true);
        RaftServerConfigKeys.Read.setLeaderLeaseTimeoutRatio(p, LEASE_RATIO);
        RaftServerConfigKeys.Read.setTimeout(p, millis(timing.request()));

        GrpcConfigKeys.setFlowControlWindow(p, SizeInBytes.valueOf(1 << 20));
        GrpcConfigKeys.setMessageSizeMax(p, SizeInBytes.valueOf(2L * sendBytes + (2 << 20)));
        GrpcConfigKeys.Server.setLeaderOutstandingAppendsMax(p, 8);
        GrpcConfigKeys.Server.setHeartbeatChannel(p, true);
        GrpcConfigKeys.Server.setInstallSnapshotRequestElementLimit(p, 4);
        GrpcConfigKeys.Server.setInstallSnapshotRequestTimeout(
                p, millis(timing.request().multipliedBy(5)));
        return p;
    }

    private void applierFailed(Throwable cause) {
        if (!failed.compareAndSet(false, true)) return;
        LOG.error("{}: the state failed; the log stops here", selfId, cause);
        applier.bug(cause);
    }

    private void configured(RaftConfigurationProto configuration) {
        List<Member> told = new ArrayList<>();
        for (List<RaftPeerProto> peers : List.of(configuration.getPeersList(), configuration.getListenersList())) {
            for (RaftPeerProto peer : peers) {
                incarnation(RaftPeerId.valueOf(peer.getId()))
                        .ifPresent(i -> told.add(Addresses.named(i, peer.getAddress())));
            }
        }
        addresses.learn(told);
    }

    // ---- the watch ----

    private void tick() {
        try {
            Engine running = engine;
            if (closed.get()) return;
            if (failed.get()) {
                notice();
                return;
            }
            if (running == null || !running.alive()) {
                rebuild(running);
                return;
            }
            rebuildPause = TICK;
            notice();
            if (ledAndReady
                    && sleptSinceLeadership()
                    && running.division().getInfo().isLeader()) {
                LOG.warn("{}: the machine slept; stepping down", selfId);
                stepDown().whenComplete((_, e) -> {
                    if (e != null) LOG.info("{}: step down: {}", selfId, e.toString());
                });
            }
            snapshotIfDue(running);
            restartIfMisplaced(running);
        } catch (RuntimeException | IOException e) {
            LOG.warn("{}: watching the log", selfId, e);
        }
    }

    private void rebuild(@Nullable Engine dead) throws IOException {
        if (dead != null) {
            LOG.warn("{}: Ratis closed its server; rebuilding it in {}", selfId, rebuildPause);
            engine = null;
            stop(dead);
            notice();
            // At least an election timeout: a leader's lease that this pod helped to renew must be over before it
            // votes.
            Duration pause = rebuildPause.compareTo(settings.timing().electionMin()) < 0
                    ? settings.timing().electionMin()
                    : rebuildPause;
            rebuildAtNanos = System.nanoTime() + pause.toNanos();
        }
        if (System.nanoTime() - rebuildAtNanos < 0) return;
        rebuildPause = rebuildPause.multipliedBy(2);
        if (rebuildPause.compareTo(REBUILD_PAUSE_MAX) > 0) rebuildPause = REBUILD_PAUSE_MAX;
        rebuildAtNanos = System.nanoTime() + rebuildPause.toNanos();
        engine = start();
        snapshotAsked = false;
    }

    /** A pod that has the only vote stands for election without waiting whether it hears a leader: nobody else can lead. */
    private void standAlone() {
        Engine running = engine;
        if (running == null || closed.get() || !running.division().getInfo().isFollower()) return;
        RaftConfiguration configuration = running.division().getRaftConf();
        boolean alone = configuration.getAllPeers(RaftPeerRole.FOLLOWER).size() == 1
                && configuration.getPeer(selfId, RaftPeerRole.FOLLOWER) != null
                && configuration.getPreviousPeers(RaftPeerRole.FOLLOWER).isEmpty();
        if (!alone) return;
        var last = running.division().getRaftLog().getLastEntryTermIndex();
        var request = StartLeaderElectionRequestProto.newBuilder()
                .setServerRequest(toSelf(selfId))
                .setLeaderLastEntry(last == null ? TermIndexProto.getDefaultInstance() : last.toProto())
                .build();
        try {
            // Refused where the log does not end in the current term: then the election timeout does it.
            var unused = running.server().startLeaderElection(request);
        } catch (IOException | RuntimeException e) {
            LOG.info("{}: an early election: {}", selfId, e.toString());
        }
    }

    private void snapshotIfDue(Engine running) {
        LogMachine machine = running.machine();
        boolean full = machine.bytesSinceSnapshot() > settings.sizes().snapshotLogBytes();
        boolean old = System.nanoTime() - lastSnapshotNanos
                        > settings.timing().snapshotInterval().toNanos()
                && machine.entriesSinceSnapshot() > QUIET_ENTRIES;
        if (snapshotAsked || !full && !old) return;
        snapshotAsked = true;
        snapshotNow()
                .whenCompleteAsync(
                        (index, e) -> {
                            snapshotAsked = false;
                            if (e != null) LOG.info("{}: snapshot: {}", selfId, e.toString());
                            else if (index >= 0) lastSnapshotNanos = System.nanoTime();
                        },
                        watch);
    }

    /** Ratis gives a voter that became a listener its new role only at the next start. */
    private void restartIfMisplaced(Engine running) {
        DivisionInfo info = running.division().getInfo();
        RaftConfiguration configuration = running.division().getRaftConf();
        boolean misplaced = info.getCurrentRole() != RaftPeerRole.LISTENER
                && configuration.getPeer(selfId, RaftPeerRole.FOLLOWER) == null
                && configuration.getPeer(selfId, RaftPeerRole.LISTENER) != null
                && configuration.getLogEntryIndex()
                        <= running.division().getRaftLog().getLastCommittedIndex();
        if (!misplaced) {
            misplacedSinceNanos = 0;
        } else if (misplacedSinceNanos == 0) {
            misplacedSinceNanos = System.nanoTime();
        } else if (System.nanoTime() - misplacedSinceNanos > TimeUnit.SECONDS.toNanos(1)) {
            misplacedSinceNanos = 0;
            LOG.info("{}: lost its vote; restarting as a listener", selfId);
            engine = null;
            stop(running);
            rebuildAtNanos = System.nanoTime() + settings.timing().electionMin().toNanos();
        }
    }

    private boolean sleptSinceLeadership() {
        return Math.abs(SuspendClock.sleptNanos() - sleptAtLeadership) > SLEPT_NANOS_MAX;
    }

    /** Tells the applier who leads, if that changed; at most one notice waits. */
    private void notice() {
        Engine running = engine;
        boolean ready = leading() != null;
        if (ready && !ledAndReady) sleptAtLeadership = SuspendClock.sleptNanos();
        ledAndReady = ready;
        if (leader(running).equals(leaderTold) || !noticeQueued.compareAndSet(false, true)) return;
        try {
            notices.execute(() -> {
                noticeQueued.set(false);
                Optional<Incarnation> now = leader(engine);
                if (now.equals(leaderTold)) return;
                leaderTold = now;
                applier.leaderChanged(now);
            });
        } catch (RejectedExecutionException e) {
            noticeQueued.set(false); // closing
        }
    }

    private Optional<Incarnation> leader(@Nullable Engine running) {
        if (running == null || failed.get() || !running.alive()) return Optional.empty();
        DivisionInfo info = running.division().getInfo();
        RaftPeerId leader = info.getLeaderId();
        if (leader == null || leader.equals(selfId) && !info.isLeaderReady()) return Optional.empty();
        return incarnation(leader);
    }

    /** For tests: what Ratis does to its server when it gives up. */
    void closeServerAsRatisWould() throws IOException {
        Engine running = engine;
        if (running != null) running.server().close();
    }

    /** What runs, if it leads and takes entries. */
    private @Nullable Engine leading() {
        Engine running = engine;
        if (running == null || failed.get() || !running.division().getInfo().isLeaderReady()) return null;
        return running;
    }

    // ---- requests and answers ----

    private RaftClientRequest request(Message message, RaftClientRequest.Type type) {
        return RaftClientRequest.newBuilder()
                .setClientId(clientId)
                .setServerId(selfId)
                .setGroupId(groupId)
                .setCallId(calls.incrementAndGet())
                .setMessage(message)
                .setType(type)
                .build();
    }

    private CompletableFuture<Void> lead(String act, @Nullable RaftPeerId to) {
        Engine running = engine;
        if (running == null || !running.division().getInfo().isLeader()) return failed(notLeader());
        Duration deadline = settings.timing().call();
        TransferLeadershipRequest request = new TransferLeadershipRequest(
                clientId,
                selfId,
                groupId,
                calls.incrementAndGet(),
                to,
                settings.timing().request().toMillis());
        return finish(act, started(() -> running.server().transferLeadershipAsync(request)), deadline, _ -> null);
    }

    private interface Start {
        CompletableFuture<RaftClientReply> run() throws IOException;
    }

    private static CompletableFuture<RaftClientReply> started(Start start) {
        try {
            return start.run();
        } catch (IOException | RuntimeException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    private <T> CompletableFuture<T> finish(
            String act,
            CompletableFuture<RaftClientReply> reply,
            Duration deadline,
            Function<RaftClientReply, @Nullable T> value) {
        CompletableFuture<T> result = new CompletableFuture<>();
        reply.whenComplete((r, e) -> {
            if (e != null) {
                result.completeExceptionally(translate(act, e));
            } else if (!r.isSuccess()) {
                result.completeExceptionally(translate(act, r.getException()));
            } else {
                try {
                    result.complete(value.apply(r));
                } catch (CompletionException refused) {
                    result.completeExceptionally(refused.getCause());
                }
            }
        });
        if (result.isDone()) return result;
        return result.orTimeout(deadline.toNanos(), TimeUnit.NANOSECONDS)
                .exceptionallyCompose(
                        e -> CompletableFuture.failedFuture(e instanceof TimeoutException ? translate(act, e) : e));
    }

    private Exception translate(String act, @Nullable Throwable thrown) {
        Throwable cause = thrown;
        while (cause instanceof CompletionException && cause.getCause() != null) cause = cause.getCause();
        return switch (cause) {
            case NotLeaderException e -> e;
            case MembershipException e -> e;
            case org.apache.ratis.protocol.exceptions.NotLeaderException _ -> notLeader();
            case LeaderNotReadyException _ -> notLeader();
            case LeaderSteppingDownException _ -> notLeader();
            case ServerNotReadyException _ -> notLeader();
            case org.apache.ratis.protocol.exceptions.SetConfigurationException e ->
                new MembershipException("refused: " + e.getMessage());
            case org.apache.ratis.protocol.exceptions.ReconfigurationInProgressException e ->
                new MembershipException("another change is under way: " + e.getMessage());
            case org.apache.ratis.protocol.exceptions.ReconfigurationTimeoutException e ->
                new MembershipException("new members do not answer: " + e.getMessage());
            case org.apache.ratis.protocol.exceptions.TransferLeadershipException e ->
                new MembershipException("leadership stays: " + e.getMessage());
            case org.apache.ratis.protocol.exceptions.ReadIndexException _ -> notLeader();
            case org.apache.ratis.protocol.exceptions.ReadException _ -> notLeader();
            case TimeoutException _ -> new IOException(act + ": no answer within the deadline");
            case null -> new IOException(act + " failed");
            default -> new IOException(act + ": " + (cause.getMessage() == null ? cause : cause.getMessage()), cause);
        };
    }

    private NotLeaderException notLeader() {
        Engine running = engine;
        Optional<Incarnation> leader = running == null
                ? Optional.empty()
                : Optional.ofNullable(running.division().getInfo().getLeaderId())
                        .filter(l -> !l.equals(selfId))
                        .flatMap(RaftLog::incarnation);
        return new NotLeaderException(selfId + " does not lead", leader);
    }

    private static <T> CompletableFuture<T> failed(Exception e) {
        return CompletableFuture.failedFuture(e);
    }

    // ---- members ----

    static RaftPeerId peerId(Incarnation incarnation) {
        return RaftPeerId.valueOf(incarnation.toString());
    }

    static Optional<Incarnation> incarnation(RaftPeerId id) {
        String text = id.toString();
        if (!text.matches("p[1-9]\\d{0,7}")) return Optional.empty();
        return Optional.of(new Incarnation(Integer.parseInt(text.substring(1))));
    }

    private List<RaftPeer> peers(List<Member> members, RaftPeerRole role, int priority) {
        return members.stream()
                .map(m -> RaftPeer.newBuilder()
                        .setId(peerId(m.incarnation()))
                        .setAddress(addresses.name(m))
                        .setPriority(priority)
                        .setStartupRole(role)
                        .build())
                .toList();
    }

    private List<Member> members(RaftConfiguration configuration, RaftPeerRole role) {
        List<Member> members = new ArrayList<>();
        for (RaftPeer peer : configuration.getAllPeers(role)) {
            incarnation(peer.getId()).ifPresent(i -> members.add(addresses.member(i, peer.getAddress())));
        }
        members.sort(java.util.Comparator.comparing(Member::incarnation));
        return List.copyOf(members);
    }

    private boolean sameMembersElsewhere(RaftConfiguration configuration, List<Member> voters, List<Member> listeners) {
        Set<String> names = new HashSet<>();
        Set<RaftPeerId> oldVoters = new HashSet<>();
        Set<RaftPeerId> oldListeners = new HashSet<>();
        for (RaftPeer peer : configuration.getAllPeers(RaftPeerRole.FOLLOWER)) {
            names.add(peer.getAddress());
            oldVoters.add(peer.getId());
        }
        for (RaftPeer peer : configuration.getAllPeers(RaftPeerRole.LISTENER)) {
            names.add(peer.getAddress());
            oldListeners.add(peer.getId());
        }
        Set<RaftPeerId> newVoters = new HashSet<>();
        Set<RaftPeerId> newListeners = new HashSet<>();
        for (Member voter : voters) newVoters.add(peerId(voter.incarnation()));
        for (Member listener : listeners) newListeners.add(peerId(listener.incarnation()));
        return oldVoters.equals(newVoters)
                && oldListeners.equals(newListeners)
                && !concat(voters, listeners).stream().allMatch(m -> names.contains(addresses.name(m)));
    }

    private Status.Role role(DivisionInfo info, List<Member> voters, List<Member> listeners) {
        Incarnation self = settings.self().incarnation();
        if (voters.stream().anyMatch(m -> m.incarnation().equals(self))) {
            if (info.isLeader()) return Status.Role.LEADER;
            return info.isCandidate() ? Status.Role.CANDIDATE : Status.Role.VOTER;
        }
        return listeners.stream().anyMatch(m -> m.incarnation().equals(self))
                        && info.getLifeCycleState().isRunning()
                ? Status.Role.LISTENER
                : Status.Role.OUTSIDE;
    }

    private static List<Status.Follower> followers(DivisionInfo info, long last) {
        if (!info.isLeader()) return List.of();
        long[] match = info.getFollowerMatchIndices();
        List<ServerRpcProto> heard = info.getRoleInfoProto().getLeaderInfo().getFollowerInfoList();
        // Ratis tells both in the order of its senders, but in two calls: between them a member may have come or gone.
        boolean paired = match != null && match.length == heard.size();
        List<Status.Follower> followers = new ArrayList<>();
        for (int i = 0; i < heard.size(); i++) {
            long flushed = paired ? match[i] : -1;
            Duration silence = Duration.ofMillis(heard.get(i).getLastRpcElapsedTimeMs());
            long lag = last - flushed;
            incarnation(RaftPeerId.valueOf(heard.get(i).getId().getId()))
                    .ifPresent(f -> followers.add(new Status.Follower(f, flushed, lag, silence)));
        }
        return List.copyOf(followers);
    }

    private long logBytes() {
        Path current = settings.directory().resolve(settings.group().toString()).resolve("current");
        try (Stream<Path> files = Files.list(current)) {
            return files.mapToLong(f -> f.toFile().length()).sum();
        } catch (IOException | java.io.UncheckedIOException e) {
            return 0; // not there yet
        }
    }

    private static TimeDuration millis(Duration duration) {
        return TimeDuration.valueOf(duration.toMillis(), TimeUnit.MILLISECONDS);
    }

    private static <T> List<T> concat(List<T> a, List<T> b) {
        List<T> both = new ArrayList<>(a);
        both.addAll(b);
        return both;
    }

    private ThreadFactory thread(String purpose) {
        return Thread.ofPlatform()
                .daemon()
                .name("log-" + settings.self().incarnation() + "-" + purpose)
                .factory();
    }
}
