// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.consensus.Appended;
import dev.wormhole.consensus.Applier;
import dev.wormhole.consensus.NotLeaderException;
import dev.wormhole.consensus.Position;
import dev.wormhole.consensus.RaftLog;
import dev.wormhole.consensus.RocksTable;
import dev.wormhole.health.Disconnection;
import dev.wormhole.model.Incarnation;
import dev.wormhole.mount.linux.OsClock;
import dev.wormhole.namespace.Applied;
import dev.wormhole.namespace.Change;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Entry;
import dev.wormhole.namespace.MalformedEntryException;
import dev.wormhole.namespace.Namespace;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.Proposer;
import dev.wormhole.namespace.SessionId;
import dev.wormhole.namespace.Table;
import dev.wormhole.seal.Secret;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import dev.wormhole.vfs.DisconnectedException;
import dev.wormhole.vfs.InDoubtException;
import dev.wormhole.vfs.Metadata;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * This pod's place at the log: applies it to the namespace, proposes through the pod's session to whoever leads, asks for
 * read barriers, and knows whether the network is there. Thread-safe.
 *
 * <p>A proposal goes from one thread to the leader and is answered by this pod's own apply. What did not arrive is sent
 * again, which the session makes harmless.
 */
final class PodLog implements Metadata, Applier, AutoCloseable {
    private static final Logger LOG = Logger.getLogger(PodLog.class.getName());
    private static final int PROPOSALS_MAX = 8192;
    private static final long NAMESPACE_CACHE_BYTES = 16L << 20;
    /** The leader has the others compare their state with its own after so many entries. */
    private static final int DIGEST_EVERY = 4096;

    private static final long SEND_AGAIN_NANOS = TimeUnit.MILLISECONDS.toNanos(1500);
    /** Longer than a disk takes to spin up: a pod that gets no entries for so long answers errors instead of waiting on. */
    private static final long STANDSTILL_NANOS = TimeUnit.SECONDS.toNanos(30);

    private static final long RETRY_NANOS = TimeUnit.MILLISECONDS.toNanos(15);

    /** Told of every applied entry's changes on the applying thread: must not block. */
    interface Listener {
        /** @param own whether this pod proposed it, in this start */
        void changed(long index, List<Change> changes, boolean own);
    }

    private final Incarnation self;
    private final SessionId session;
    private final long generation;
    private final RocksTable rocks;
    private final PositionedTable table;
    private final LogSeal seal;
    private final Namespace namespace;
    private final Peers peers;
    private final ClusterView cluster;
    private final Consumer<String> fatal;
    private final AppliedGate gate;
    private final Visibility visibility;
    private final CommitNews news;
    private final Barriers barriers = new Barriers(this::barrierRound);
    private final Proposer proposer = new Proposer(SEND_AGAIN_NANOS);
    private final Semaphore proposals = new Semaphore(PROPOSALS_MAX);
    private final List<Listener> listeners = new CopyOnWriteArrayList<>();
    private final Thread sender;
    private final Disconnection disconnection;
    private volatile @Nullable RaftLog raft;
    private volatile Optional<Incarnation> leader = Optional.empty();
    private volatile Runnable leaderListener = () -> {};
    /**
     * Index of the newest entry with commands that was applied. The log's own entries in between carry no change, and a
     * follower hears of the last of them only with the next heartbeat: a barrier must not wait for those.
     */
    private volatile Position commandsApplied;

    /** Entries applied since the start, by the applying thread alone. */
    private long entriesApplied;

    private volatile boolean armed;
    private volatile boolean disconnected;
    private volatile boolean closed;
    private volatile boolean sessionOpen;
    private volatile boolean sessionRefused;

    /**
     * @param seal of rows and entries
     * @param startCount this start of the store: names the session
     * @param disconnectedAfter without a leader for so long
     * @param fatal told once when this pod cannot go on, with the reason
     */
    PodLog(
            Incarnation self,
            long startCount,
            long generation,
            RocksTable rocks,
            LogSeal seal,
            Peers peers,
            ClusterView cluster,
            Duration disconnectedAfter,
            Consumer<String> fatal) {
        this.self = self;
        this.session = new SessionId(self, startCount);
        this.generation = generation;
        this.rocks = rocks;
        this.table = new PositionedTable(rocks);
        this.seal = seal;
        this.namespace = new Namespace(seal.table(table), generation, NAMESPACE_CACHE_BYTES);
        this.peers = peers;
        this.cluster = cluster;
        this.fatal = fatal;
        this.visibility = new Visibility(self, peers);
        visibility.members(namespace.view());
        this.commandsApplied = rocks.position();
        this.gate = new AppliedGate(commandsApplied.index());
        this.news = new CommitNews(self, peers, cluster);
        this.disconnection = new Disconnection(disconnectedAfter, Duration.ofMillis(300), OsClock.boottimeNanos());
        this.sender = Thread.ofPlatform().name("proposer").daemon().unstarted(this::send);
    }

    /** Begins to propose and to answer others. */
    void start(RaftLog log, Server server) {
        raft = log;
        server.handleLater(Calls.SUBMIT, this::submitted, Server.Option.ORDERED);
        server.handleLater(Calls.BARRIER, request -> answerBarrier());
        server.handleLater(Calls.APPLIED, this::answerApplied);
        server.handle(Calls.TOLD, visibility::heard);
        server.handle(Calls.COMMITTED, this::heardCommitted);
        sender.start();
    }

    /** What seals names and log of this network, if anything; for those who join. */
    Optional<Secret> networkKey() {
        return seal.secret();
    }

    void listen(Listener listener) {
        listeners.add(listener);
    }

    RaftLog raft() {
        var log = raft;
        if (log == null) throw new IllegalStateException("the log is not open yet");
        return log;
    }

    /** Where members are now, by what they told the network. */
    void learn(List<dev.wormhole.consensus.Member> members) {
        var log = raft;
        if (log != null) log.learn(members);
    }

    /** This machine has lost an address. */
    void reconnect() {
        var log = raft;
        if (log != null) log.reconnect();
    }

    Visibility visibility() {
        return visibility;
    }

    /** Told when another pod leads, or none; must not block. */
    void onLeader(Runnable action) {
        leaderListener = action;
    }

    /** Appends a command in this leader's own term or never: without a session, sent once. */
    CompletableFuture<?> appendAsLeader(Command command) {
        byte[] entry =
                Entry.withoutSession(generation, nowNanos(), List.of(command)).encode();
        return submitTo(Optional.of(self), entry);
    }

    Optional<Incarnation> leader() {
        return leader;
    }

    boolean leads() {
        return leader.isPresent() && leader.get().equals(self);
    }

    long applied() {
        return gate.applied();
    }

    // ---- opening the session

    /**
     * Opens this start's session and waits until this pod has applied that; before it nothing else can be proposed.
     *
     * @param settledCounter ids below it that no row names are dead
     */
    void openSession(long settledCounter) throws IOException, InterruptedException {
        sendWithoutSession(
                new Command.OpenSession(self, session.startCount(), settledCounter),
                () -> {
                    var pod = view().pod(self);
                    return pod != null
                            && pod.startCount() == session.startCount()
                            && pod.settledCounter() == settledCounter;
                },
                "to open the session of " + self);
        // A store that was put back to before its last start sends the very same opening; but that start has proposed.
        barrier();
        if (namespace.lastSequence(session) > 0) throw restored();
        sessionOpen = true;
        LockSupport.unpark(sender);
    }

    private IOException restored() {
        return new IOException("the network knows a later life of this store: it is an old image of " + self
                + " that was put back. It cannot go on under that name; its files stay as they are. Join again with an"
                + " empty store and another --name");
    }

    /** Sends a command that may run twice until its effect is seen here. */
    void sendWithoutSession(Command command, java.util.function.BooleanSupplier done, String purpose)
            throws IOException, InterruptedException {
        byte[] entry =
                Entry.withoutSession(generation, nowNanos(), List.of(command)).encode();
        String last = "no leader is known";
        while (!done.getAsBoolean()) {
            if (sessionRefused) throw restored();
            if (closed) throw new IOException("stopping while waiting " + purpose);
            try {
                var sent = submitTo(leader, entry);
                sent.get(Calls.SUBMIT_DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
                for (int i = 0; i < 100 && !done.getAsBoolean(); i++) Thread.sleep(5);
            } catch (ExecutionException | TimeoutException failure) {
                String now = Causes.message(failure);
                if (!now.equals(last)) LOG.log(Level.INFO, "waiting {0}: {1}", new Object[] {purpose, now});
                last = now;
                Thread.sleep(100);
            }
        }
    }

    // ---- Metadata

    @Override
    public NamespaceView view() {
        return namespace.view();
    }

    @Override
    public CompletableFuture<Committed> propose(Command command) {
        if (disconnected && armed) return CompletableFuture.failedFuture(lost());
        if (!proposals.tryAcquire()) {
            try {
                if (!proposals.tryAcquire(30, TimeUnit.SECONDS))
                    return CompletableFuture.failedFuture(
                            new IOException("the log has not taken a command for 30 s: " + PROPOSALS_MAX + " wait"));
            } catch (InterruptedException interrupt) {
                Thread.currentThread().interrupt();
                return CompletableFuture.failedFuture(new IOException("interrupted before the command was sent"));
            }
        }
        var future = proposer.propose(command);
        LockSupport.unpark(sender);
        return future.handle((applied, failure) -> {
            proposals.release();
            if (failure instanceof RuntimeException bug) throw bug;
            if (failure != null) throw new java.util.concurrent.CompletionException(toldAs(failure));
            return committed(applied);
        });
    }

    private static Throwable toldAs(Throwable failure) {
        if (!(failure instanceof Proposer.InDoubtException doubt)) return failure;
        return doubt.getCause() instanceof DisconnectedException disconnected
                ? new InDoubtException(
                        String.valueOf(disconnected.getMessage()),
                        doubt.outcome().thenApply(PodLog::committed))
                : doubt;
    }

    private static Committed committed(Proposer.Applied applied) {
        return new Committed(applied.outcome(), applied.index());
    }

    @Override
    public void barrier() throws IOException, InterruptedException {
        if (visibility.freshNanos() > 0) return;
        long applied = gate.applied();
        long movedNanos = System.nanoTime();
        while (true) {
            if (disconnected && armed) throw lost();
            if (closed) throw new IOException("the pod is stopping");
            try {
                long index = barriers.index().get(2, TimeUnit.SECONDS);
                if (gate.applied() < index) gate.reach(index).get(2, TimeUnit.SECONDS);
                return;
            } catch (ExecutionException | TimeoutException again) {
                long now = gate.applied();
                if (now != applied) movedNanos = System.nanoTime();
                else if (armed && System.nanoTime() - movedNanos > STANDSTILL_NANOS)
                    throw new IOException("this pod hears a leader, but has applied nothing beyond command " + now
                            + " of its log for " + TimeUnit.NANOSECONDS.toSeconds(STANDSTILL_NANOS) + " s");
                applied = now;
                Thread.sleep(5);
            }
        }
    }

    @Override
    public boolean barrierIsFree() {
        return visibility.freshNanos() > 0 || leads() && !disconnected;
    }

    @Override
    public CompletableFuture<Void> told(long index) {
        return disconnected ? CompletableFuture.completedFuture(null) : visibility.all(index);
    }

    private CompletableFuture<Long> barrierRound() {
        var to = leader;
        if (to.isEmpty()) return CompletableFuture.failedFuture(new IOException("no leader is known"));
        if (to.get().equals(self)) return raft().readIndex().thenApply(_ -> commandsApplied.index());
        return peers.call(to.get(), Calls.BARRIER, new byte[0], Calls.BARRIER_DEADLINE)
                .thenApply(reply -> {
                    try {
                        var covered = CommitNews.read(Messages.reader(reply.body()));
                        raft().learnCommitted(covered);
                        return Math.max(0, covered.index());
                    } catch (IOException malformed) {
                        throw new java.util.concurrent.CompletionException(malformed);
                    }
                });
    }

    private CompletableFuture<byte[]> answerBarrier() {
        return raft().readIndex().handle((index, failure) -> {
            if (failure != null) throw new java.util.concurrent.CompletionException(refusal(failure));
            return CommitNews.write(Messages.writer(), commandsApplied).toBytes();
        });
    }

    /**
     * With two voters or more an entry that is committed is on two disks. With one voter, the leader, it is on the
     * leader's and, if that is another pod, on this one's, because applied implies flushed; the leader itself waits for
     * one other storing pod that is present.
     */
    @Override
    public CompletableFuture<Void> onDisks(long index) {
        if (!leads() || raft().voterCount() > 1) return CompletableFuture.completedFuture(null);
        var others = new ArrayList<Incarnation>();
        for (var member : cluster.presentStoring())
            if (!member.incarnation().equals(self)) others.add(member.incarnation());
        if (others.isEmpty()) return CompletableFuture.completedFuture(null);
        var done = new CompletableFuture<Void>();
        var left = new java.util.concurrent.atomic.AtomicInteger(others.size());
        byte[] body = Messages.writer().putVarint(index).toBytes();
        for (Incarnation other : others)
            peers.call(other, Calls.APPLIED, body, Duration.ofMillis(1500)).whenComplete((reply, failure) -> {
                if (failure == null) {
                    done.complete(null);
                    return;
                }
                cluster.suspect(other);
                // Nobody else is there: answered by this disk alone, and counted as recoverable, never as safe.
                if (left.decrementAndGet() == 0) done.complete(null);
            });
        return done;
    }

    private CompletableFuture<byte[]> answerApplied(Request request) throws IOException {
        long index = Messages.reader(request.body()).getVarint();
        return gate.reach(index).thenApply(_ -> new byte[0]);
    }

    @Override
    public boolean isSilent(Incarnation pod) {
        return cluster.isSilent(pod);
    }

    @Override
    public boolean disconnected() {
        return disconnected;
    }

    private static DisconnectedException lost() {
        return new DisconnectedException("this pod has lost the network: no leader is heard");
    }

    /** A leader answered this pod just now. True when this pod learns at this moment that it had lost the network. */
    boolean heardLeader() {
        return observe(true);
    }

    /** The start goes on without the network: as lost, until {@link #armDisconnection}. */
    void freeze() {
        if (!armed) disconnected = true;
        if (armed) disconnected = false;
    }

    /** The start is over: from now on losing the network has consequences. */
    void armDisconnection() {
        synchronized (disconnection) {
            disconnection.heard(OsClock.boottimeNanos());
        }
        armed = true;
        disconnected = false;
    }

    /** Time passes; true once, when the network has just been lost. */
    boolean checkConnection() {
        return observe(false);
    }

    private boolean observe(boolean heard) {
        if (!armed) return false;
        boolean was;
        boolean is;
        synchronized (disconnection) {
            was = disconnected;
            long now = OsClock.boottimeNanos();
            var view = heard ? disconnection.heard(now) : disconnection.tick(now);
            is = view instanceof Disconnection.View.Disconnected;
            disconnected = is;
        }
        if (was && !is) LOG.info("the network is back");
        if (was || !is) return false;
        LOG.warning("this pod has lost the network: no leader is heard");
        proposer.giveUp(lost());
        visibility.giveUp();
        return true;
    }

    // ---- sending

    private void send() {
        while (!closed) {
            long now = System.nanoTime();
            // What is proposed before the session is open waits: the log would know nothing of its session.
            var batch = sessionOpen ? proposer.next(now) : null;
            if (batch == null) {
                long wake = sessionOpen ? proposer.wakeNanos(now) : Long.MAX_VALUE;
                LockSupport.parkNanos(wake == Long.MAX_VALUE ? TimeUnit.SECONDS.toNanos(1) : Math.max(1, wake - now));
                continue;
            }
            byte[] entry = batch.encoded();
            if (entry == null) {
                entry = Entry.of(
                                generation,
                                session,
                                batch.sequence(),
                                batch.lowestUnanswered(),
                                nowNanos(),
                                batch.commands())
                        .encode();
                batch.remember(entry);
            }
            long sequence = batch.sequence();
            submitTo(leader, entry).whenComplete((_, failure) -> {
                if (failure == null) return;
                proposer.sendAgain(sequence, System.nanoTime() + RETRY_NANOS);
                LockSupport.unpark(sender);
            });
        }
    }

    private CompletableFuture<?> submitTo(Optional<Incarnation> to, byte[] entry) {
        if (to.isEmpty()) return CompletableFuture.failedFuture(new IOException("no leader is known"));
        if (!to.get().equals(self)) {
            var leading = to.get();
            return peers.call(leading, Calls.SUBMIT, entry, Calls.SUBMIT_DEADLINE)
                    .thenAccept(reply -> {
                        try {
                            var answer = Messages.reader(reply.body());
                            raft().learnCommitted(CommitNews.read(answer));
                            visibility.heard(leading, answer.getVarint());
                        } catch (IOException malformed) {
                            throw new java.util.concurrent.CompletionException(malformed);
                        }
                    });
        }
        try {
            byte[] stamped = entry.clone();
            Entry.stampLeader(stamped, nowNanos());
            return append(stamped);
        } catch (MalformedEntryException bug) {
            throw new IllegalStateException(bug);
        }
    }

    /** As the log of every pod keeps it. */
    private CompletableFuture<Appended> append(byte[] entry) {
        return raft().append(seal.seal(entry));
    }

    private CompletableFuture<byte[]> submitted(Request request) throws IOException {
        byte[] entry = request.body();
        // Another pod's bytes enter the log only if every pod can read them, and if they are its own.
        if (!isOf(request.caller(), Entry.decode(entry)))
            throw new PeerRefused(PeerRefused.WRONG_POD, "a pod speaks for itself alone");
        Entry.stampLeader(entry, nowNanos());
        return append(entry).handle((appended, failure) -> {
            if (failure != null) throw new java.util.concurrent.CompletionException(refusal(failure));
            var caller = request.caller();
            return CommitNews.write(Messages.writer(), appended.position())
                    .putVarint(caller == null ? 0 : visibility.tellWithAnswer(caller))
                    .toBytes();
        });
    }

    /** In its own session, or opening it. */
    private static boolean isOf(@Nullable Incarnation caller, Entry entry) {
        var in = entry.session();
        if (caller == null) return false;
        if (in != null) return in.incarnation().equals(caller);
        for (Command command : entry.commands())
            if (!(command instanceof Command.OpenSession open)
                    || !open.incarnation().equals(caller)) return false;
        return true;
    }

    private byte[] heardCommitted(Request request) throws IOException {
        var entry = CommitNews.read(Messages.reader(request.body()));
        if (leader.isPresent() && leader.get().equals(request.caller())) raft().learnCommitted(entry);
        return new byte[0];
    }

    private static Exception refusal(Throwable failure) {
        Throwable cause = Causes.of(failure);
        if (cause instanceof NotLeaderException)
            return new PeerRefused(Calls.NOT_LEADER, String.valueOf(cause.getMessage()));
        return new PeerRefused(PeerRefused.FAILED, String.valueOf(cause.getMessage()));
    }

    static long nowNanos() {
        var now = java.time.Instant.now();
        return now.getEpochSecond() * 1_000_000_000L + now.getNano();
    }

    // ---- Applier: the thread that applies the log

    @Override
    public void apply(long term, long index, byte[] bytes) {
        Applied applied;
        try {
            table.at(term, index);
            Entry entry = Entry.decode(seal.open(index, bytes));
            applied = namespace.apply(index, entry);
            if (entry.session() == null) noteRefusal(entry, applied);
            table.passed(term, index);
        } catch (MalformedEntryException unreadable) {
            throw new IllegalStateException(
                    "entry " + index + " of the log cannot be read: " + unreadable.getMessage(), unreadable);
        }
        if (applied.diverged()) {
            throw new IllegalStateException("this pod's state differs from the network's at entry " + index
                    + "; its store is kept, reinstall the pod with: wormhole leave, wormhole join");
        }
        for (Change change : applied.changes())
            if (change instanceof Change.PodsChanged) visibility.members(namespace.view());
        var by = applied.session();
        var position = new Position(term, index);
        var from = by == null ? self : by.incarnation();
        if (leads()) news.applied(position, from); // who proposed is told with the answer
        if (by != null) visibility.owes(from, index, leads());
        commandsApplied = position;
        gate.advance(index);
        tell(index, applied.changes(), session.equals(by));
        if (++entriesApplied % DIGEST_EVERY == 0 && leads() && armed) {
            var digest = new Command.Digest(index, namespace.digest());
            Thread.startVirtualThread(() -> propose(digest)); // waits when the log is full, which this thread must not
        }
        if (!session.equals(by)) return;
        switch (applied.status()) {
            case FRESH, REPEAT -> {
                if (!applied.outcomes().isEmpty()) proposer.applied(applied.sequence(), index, applied.outcomes());
                LockSupport.unpark(sender);
            }
            case NO_SESSION -> {
                LOG.warning("the session " + session + " is gone");
                proposer.sessionLost();
                fatal.accept("the network ended this pod's session " + session
                        + ": another start of the same store took over, or the pod was removed");
            }
            case GAP, WRONG_GENERATION, SKIPPED ->
                LOG.log(Level.WARNING, "batch {0} of this pod was not applied: {1}", new Object[] {
                    applied.sequence(), applied.status()
                });
        }
    }

    /** This start's session was refused: the store went back in time, and nothing else would ever tell. */
    private void noteRefusal(Entry entry, Applied applied) {
        for (int i = 0; i < applied.outcomes().size(); i++)
            if (applied.outcomes().get(i) instanceof Outcome.Refused
                    && entry.commands().get(i) instanceof Command.OpenSession open
                    && open.incarnation().equals(self)
                    && open.startCount() == session.startCount()) sessionRefused = true;
    }

    private void tell(long index, List<Change> changes, boolean own) {
        for (Listener listener : listeners) listener.changed(index, changes, own);
    }

    @Override
    public void applyEmpty(long term, long index) {
        rocks.advance(term, index);
        namespace.applyEmpty(index);
        gate.advance(index);
        tell(index, List.of(), false);
    }

    @Override
    public Position position() {
        return rocks.position();
    }

    @Override
    public void takeSnapshot(Path directory) throws IOException {
        rocks.checkpoint(directory);
    }

    @Override
    public void installSnapshot(Path directory) throws IOException {
        rocks.replaceWith(directory);
        namespace.reload();
        commandsApplied = rocks.position();
        gate.advance(commandsApplied.index());
        LOG.info("installed a snapshot of the log up to " + rocks.position());
        visibility.replaced(namespace.view());
        tell(rocks.position().index(), List.of(new Change.Replaced()), false);
        LockSupport.unpark(sender);
    }

    @Override
    public void leaderChanged(Optional<Incarnation> now) {
        leader = now;
        LOG.info(now.map(pod -> cluster.name(pod) + " (" + pod + ") leads the log")
                .orElse("the log has no leader"));
        if (now.isPresent()) proposer.leaderChanged(System.nanoTime());
        leaderListener.run();
        LockSupport.unpark(sender);
    }

    @Override
    public void bug(Throwable cause) {
        LOG.log(Level.SEVERE, "the log stopped on this pod", cause);
        fatal.accept("the log stopped on this pod: " + cause.getMessage());
    }

    @Override
    public void close() {
        closed = true;
        LockSupport.unpark(sender);
        proposer.giveUp(new IOException("the pod is stopping"));
        visibility.giveUp();
    }

    /** Gives the batches of the namespace the log position that they belong to. Only the applying thread writes. */
    static final class PositionedTable implements Table {
        private final RocksTable rocks;
        private long term;
        private long index = -1;

        PositionedTable(RocksTable rocks) {
            this.rocks = rocks;
        }

        void at(long term, long index) {
            this.term = term;
            this.index = index;
        }

        /** The entry is done, also if it wrote nothing. */
        void passed(long term, long index) {
            if (rocks.position().index() < index) rocks.advance(term, index);
            this.index = -1;
        }

        @Override
        public byte @Nullable [] get(byte[] key) {
            return rocks.get(key);
        }

        @Override
        public Scan scan(byte[] from, byte @Nullable [] to) {
            return rocks.scan(from, to);
        }

        @Override
        public void write(WriteBatch batch) {
            if (index < 0) rocks.write(batch);
            else rocks.write(batch, term, index);
        }

        @Override
        public Snapshot snapshot() {
            return rocks.snapshot();
        }
    }
}
