// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.lock.Deadlocks;
import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Answer;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.LockRecord;
import dev.wormhole.namespace.Outcome;
import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Locks of files, as programs on this pod ask for them.
 *
 * <p>The first pod whose program locks a file gets the right to decide about its locks: from then on they are here, in
 * memory, and cost nothing. When another pod asks, this one commits what was written under them and tells the log what is
 * held; from then on each lock and unlock is a command, and who waits is woken by the entry that lets him go on. When a pod is
 * alone again with its locks, it decides again; a right that nobody uses is given back after a minute.
 *
 * <p>Who decides follows from the log alone: {@link #sync} reads it, under the one lock of this class, for each entry that
 * changed it, before the entry's proposals are answered. A request waits by looking at whatever decides at the time.
 *
 * <p>A pod whose locks were taken while it was silent cuts off the programs that relied on them, gives up what was written
 * under them, and only then answers the log, which refuses its bytes until then.
 *
 * <p>Thread-safe. Nothing waits for log, disk or kernel inside the lock.
 */
final class Locks {
    private static final System.Logger LOG = System.getLogger(Locks.class.getName());
    /** Files about which this pod decides. */
    private static final int DECIDED_MAX = 4_096;

    private static final long IDLE_NANOS = TimeUnit.SECONDS.toNanos(60);
    private static final long SWEEP_MILLIS = 1_000;
    /** Rounds of the sweep that this pod must have been alone with its locks before it decides again. */
    private static final int ALONE_ROUNDS = 2;

    private static final long LOOK_MILLIS = 250;
    private static final long RETRY_MILLIS = 100;
    /** For so long bytes written under a lock may fail to be committed before they are given up for the one who asks. */
    private static final long COMMIT_NANOS = TimeUnit.SECONDS.toNanos(10);
    /** For so long an interrupted program is kept, to be told what became of its request. */
    private static final long GRACE_NANOS = TimeUnit.SECONDS.toNanos(2);
    /** For so long a close waits until its locks are gone everywhere; they go in any case. */
    private static final long CLOSE_MILLIS = 5_000;

    /** What locks need of the files. None is called inside the lock. */
    interface Files {
        /** Commits what is new of the file, if it is open here. */
        void commit(InodeId inode) throws IOException, InterruptedException;

        /** From here on bytes written belong to a lock, or do not. Waits for nothing. */
        void locked(InodeId inode, boolean locked);

        /** Every handle of the file is to fail from now on. Waits for nothing. */
        void cutOff(InodeId inode);

        /** Gives up what was written under a lock and is not committed; returns when none of it can be committed any more. */
        void forfeit(InodeId inode) throws InterruptedException;
    }

    /** A file that has to do with locks here. All guarded by the lock. */
    private final class State {
        final InodeId inode;
        final Condition changed = lock.newCondition();
        /** What is held and waited for, while this pod decides. */
        @Nullable LockTable table;

        long epoch;
        /** It is being told, or taken back: it stands still meanwhile. */
        boolean moving;
        /** What stood in the log when this pod took it back. */
        @Nullable LockTable kept;
        /** The log is being answered that locks are lost. */
        boolean forgoing;

        boolean watching;
        int users;
        int proposals;
        int aloneRounds;
        long usedNanos = nanoClock.getAsLong();
        final Map<Long, FileLock> wanting = new HashMap<>(2);

        State(InodeId inode) {
            this.inode = inode;
        }
    }

    private final Metadata metadata;
    private final Incarnation self;
    private final LongSupplier nanoClock;
    private final Files files;
    private final AtomicLong tickets = new AtomicLong();
    private final ReentrantLock lock = new ReentrantLock();
    private final ConcurrentHashMap<InodeId, State> states = new ConcurrentHashMap<>();
    private final CountDownLatch ended = new CountDownLatch(1);
    private int decided;

    Locks(Metadata metadata, Incarnation self, LongSupplier nanoClock, Files files) {
        this.metadata = metadata;
        this.self = self;
        this.nanoClock = nanoClock;
        this.files = files;
        Thread.ofVirtual().name("wormhole-locks").start(this::sweep);
    }

    // ---- what the log says

    /** Told by the thread that applies the log. */
    void changed(InodeId inode) {
        LockRecord row = metadata.view().locks(inode);
        if (!states.containsKey(inode) && (row == null || !row.names(self))) return;
        lock.lock();
        try {
            sync(states.computeIfAbsent(inode, State::new));
        } finally {
            lock.unlock();
        }
    }

    /** Everything may have changed, or the network was lost. */
    void wakeAll() {
        lock.lock();
        try {
            for (State state : states.values()) sync(state);
        } finally {
            lock.unlock();
        }
    }

    /** Brings what is here in line with the log. The row is read inside the lock: an older one is never acted on. */
    private void sync(State state) {
        LockRecord row = metadata.view().locks(state.inode);
        LockRecord mine = row != null && self.equals(row.holder()) ? row : null;
        boolean named = row != null && row.names(self);
        boolean lost = row != null && row.lost().contains(self);
        LockTable table = state.table;
        boolean held = table == null || !table.held().isEmpty();
        if (table != null && (mine == null || mine.epoch() != state.epoch)) {
            state.table = null;
            decided--;
        }
        if (mine != null && state.table == null) {
            state.table = state.kept == null ? new LockTable() : state.kept;
            state.epoch = mine.epoch();
            state.usedNanos = nanoClock.getAsLong();
            decided++;
        }
        if (mine != null) state.kept = null;
        if (lost && !state.forgoing) {
            state.forgoing = true;
            if (held) files.cutOff(state.inode);
            LOG.log(
                    System.Logger.Level.WARNING,
                    "locks of {0} went to another pod while this one was silent{1}",
                    state.inode,
                    held ? "; programs that have it open get EIO" : "");
            background("wormhole-forgo", () -> forgo(state));
        }
        if (mine != null && mine.asked()) tell(state);
        if (state.table == null && named) tellWaiters();
        note(state, row);
        state.changed.signalAll();
        if (state.users == 0 && state.table == null && !state.moving && !state.forgoing && !named)
            states.remove(state.inode, state);
    }

    private void note(State state, @Nullable LockRecord row) {
        boolean held = state.table != null
                ? !state.table.held().isEmpty()
                : row != null
                        && row.held().stream().anyMatch(one -> one.owner().pod().equals(self));
        files.locked(state.inode, held);
    }

    // ---- programs

    /**
     * Asks for a lock. Refused: EAGAIN (something is in the way), EDEADLK, ENOLCK (too many locks, or no network), ESTALE (the
     * file is gone).
     *
     * @throws IOException when the handle was cut off
     */
    Answer<Void> lock(OpenFile file, FileLock wanted, boolean wait) throws IOException, InterruptedException {
        State state = enter(file.inode.id);
        long ticket = tickets.incrementAndGet();
        try {
            lock.lock();
            try {
                state.wanting.put(ticket, wanted);
            } finally {
                lock.unlock();
            }
            return request(state, file, wanted, ticket, wait);
        } catch (InterruptedException e) {
            if (cancel(state, wanted, ticket)) return done();
            throw e;
        } catch (DisconnectedException e) {
            abandon(state.inode, wanted, ticket);
            return Answer.refused(Errno.ENOLCK);
        } catch (IOException e) {
            abandon(state.inode, wanted, ticket);
            throw e;
        } finally {
            lock.lock();
            try {
                state.wanting.remove(ticket);
            } finally {
                lock.unlock();
            }
            leave(state);
        }
    }

    private Answer<Void> request(State state, OpenFile file, FileLock wanted, long ticket, boolean wait)
            throws IOException, InterruptedException {
        while (true) {
            lock.lock();
            try {
                awaitStill(state, file);
                LockTable table = state.table;
                if (table != null) {
                    if (wait && table.conflict(wanted) != null && isDeadlock(table, wanted))
                        return Answer.refused(Errno.EDEADLK);
                    LockTable.Answer answer = table.lock(wanted, ticket, wait);
                    note(state, null);
                    state.changed.signalAll();
                    switch (answer) {
                        case GRANTED -> {
                            return done();
                        }
                        case CONFLICT -> {
                            return Answer.refused(Errno.EAGAIN);
                        }
                        case FULL -> {
                            return Answer.refused(Errno.ENOLCK);
                        }
                        case WAITING -> {
                            // a cycle by way of other pods is seen by the log alone
                            if (wanted.space() == LockSpace.RANGES && isAnythingShared()) tell(state);
                        }
                    }
                    if (awaitGrant(state, file, wanted, ticket)) return done();
                    continue;
                }
                state.proposals++;
            } finally {
                lock.unlock();
            }
            Outcome outcome;
            try {
                outcome = Waiting.on(metadata.propose(new Command.Lock(
                                state.inode, wanted, ticket, wait ? Command.LockMode.WAIT : Command.LockMode.TRY)))
                        .outcome();
            } finally {
                proposed(state);
            }
            switch (outcome) {
                case Outcome.Done(long value) -> {
                    if (value == Command.Lock.GRANTED) return done();
                    lock.lock();
                    try {
                        if (value < 0) sync(state);
                        else if (value == Command.Lock.ASKED) awaitTold(state, file);
                        else if (awaitGrant(state, file, wanted, ticket)) return done();
                    } finally {
                        lock.unlock();
                    }
                }
                case Outcome.Refused refused -> {
                    Errno errno = refused.errno();
                    switch (errno) {
                        case ESTALE -> awaitForgone(state, file);
                        case EAGAIN -> {
                            if (!takeFromSilent(state.inode, wanted)) return Answer.refused(errno);
                        }
                        case ENOENT -> {
                            return Answer.refused(Errno.ESTALE);
                        }
                        default -> {
                            return Answer.refused(errno);
                        }
                    }
                }
            }
        }
    }

    /**
     * The lock in the way, if there is one.
     *
     * @throws IOException when the handle was cut off
     */
    Answer<Optional<FileLock>> conflict(OpenFile file, FileLock wanted) throws IOException, InterruptedException {
        State state = enter(file.inode.id);
        try {
            while (true) {
                lock.lock();
                try {
                    awaitStill(state, file);
                    if (state.table != null) return Answer.ok(Optional.ofNullable(state.table.conflict(wanted)));
                    LockRecord row = metadata.view().locks(state.inode);
                    if (row == null) return Answer.ok(Optional.empty());
                    if (row.holder() == null)
                        return Answer.ok(
                                Optional.ofNullable(new LockTable(row.held(), row.waiters()).conflict(wanted)));
                    state.proposals++;
                } finally {
                    lock.unlock();
                }
                Outcome outcome;
                try {
                    outcome = Waiting.on(
                                    metadata.propose(new Command.Lock(state.inode, wanted, 0, Command.LockMode.ASK)))
                            .outcome();
                } finally {
                    proposed(state);
                }
                if (outcome instanceof Outcome.Refused refused) {
                    if (refused.errno() == Errno.ENOENT) return Answer.refused(Errno.ESTALE);
                    if (refused.errno() != Errno.ESTALE) return Answer.refused(refused.errno());
                    awaitForgone(state, file);
                    continue;
                }
                lock.lock();
                try {
                    state.wanting.put(0L, wanted);
                    sync(state);
                    awaitTold(state, file);
                } finally {
                    state.wanting.remove(0L);
                    lock.unlock();
                }
            }
        } catch (DisconnectedException e) {
            return Answer.refused(Errno.ENOLCK);
        } finally {
            leave(state);
        }
    }

    /** Ends what the owner holds there, once what was written under it is committed where another pod may look. */
    Answer<Void> unlock(InodeId inode, LockSpace space, LockOwner owner, long from, long to)
            throws IOException, InterruptedException {
        if (!states.containsKey(inode)) return done();
        State state = enter(inode);
        try {
            while (true) {
                lock.lock();
                try {
                    awaitStill(state, null);
                    LockTable table = state.table;
                    if (table != null) {
                        if (table.isTooFullToUnlock(space, owner, from, to)) return Answer.refused(Errno.ENOLCK);
                        table.unlock(space, owner, from, to);
                        note(state, null);
                        state.changed.signalAll();
                        return done();
                    }
                    LockRecord row = metadata.view().locks(inode);
                    if (row == null || !new LockTable(row.held(), row.waiters()).holds(space, owner)) return done();
                } finally {
                    lock.unlock();
                }
                files.commit(inode);
                lock.lock();
                try {
                    if (state.moving) continue;
                    state.proposals++;
                } finally {
                    lock.unlock();
                }
                Outcome outcome;
                try {
                    outcome = Waiting.on(metadata.propose(new Command.Unlock(inode, space, owner, from, to)))
                            .outcome();
                } finally {
                    proposed(state);
                }
                if (outcome instanceof Outcome.Refused refused) return Answer.refused(refused.errno());
                if (outcome instanceof Outcome.Done(long value) && value == 0) return done();
            }
        } finally {
            leave(state);
        }
    }

    /**
     * Ends all that the owner holds there, whatever happens; waits a while until it is gone everywhere. An interrupt ends the
     * wait.
     */
    void end(InodeId inode, LockSpace space, LockOwner owner) throws InterruptedException {
        State state = states.get(inode);
        if (state == null) return;
        lock.lock();
        try {
            LockTable table = state.table;
            if (table != null && !state.moving) {
                table.unlock(space, owner, 0, Long.MAX_VALUE);
                note(state, null);
                state.changed.signalAll();
                return;
            }
        } finally {
            lock.unlock();
        }
        var gone = new CompletableFuture<Void>();
        background("wormhole-unlock", () -> {
            insistOnUnlock(inode, space, owner, 0, Long.MAX_VALUE);
            gone.complete(null);
        });
        try {
            if (!metadata.disconnected()) Waiting.briefly(gone, CLOSE_MILLIS);
        } catch (IOException e) {
            throw new IllegalStateException("it completes with nothing", e);
        }
    }

    private void insistOnUnlock(InodeId inode, LockSpace space, LockOwner owner, long from, long to)
            throws InterruptedException {
        long since = nanoClock.getAsLong();
        while (!hasEnded()) {
            try {
                unlock(inode, space, owner, from, to);
                return;
            } catch (IOException e) {
                if (!metadata.disconnected() && nanoClock.getAsLong() - since > COMMIT_NANOS) files.forfeit(inode);
            }
            pause(RETRY_MILLIS);
        }
    }

    // ---- waiting, inside the lock

    private void check(@Nullable OpenFile file) throws IOException {
        if (file != null) file.checkNotCutOff();
        if (hasEnded()) throw new IOException("the pod is stopping");
    }

    private void awaitStill(State state, @Nullable OpenFile file) throws IOException, InterruptedException {
        while (state.moving) {
            check(file);
            if (metadata.disconnected()) throw new DisconnectedException("no network to ask about locks");
            state.changed.await();
        }
        check(file);
    }

    /** Until the lock is granted, or has to be asked for again. */
    private boolean awaitGrant(State state, OpenFile file, FileLock wanted, long ticket)
            throws IOException, InterruptedException {
        while (true) {
            check(file);
            if (!state.moving) {
                LockTable table = state.table;
                boolean waits;
                if (table == null) {
                    LockRecord row = metadata.view().locks(state.inode);
                    if (row == null || row.lost().contains(self)) return false;
                    table = new LockTable(row.held(), row.waiters());
                    watch(state);
                }
                waits = table.isWaiting(wanted.owner(), ticket);
                if (!waits) return table.covers(wanted);
            }
            if (metadata.disconnected()) throw new DisconnectedException("no network to ask about locks");
            state.changed.await();
        }
    }

    /** Until the pod that decides has told, or another one decides. */
    private void awaitTold(State state, OpenFile file) throws IOException, InterruptedException {
        LockRecord first = metadata.view().locks(state.inode);
        if (first == null || first.holder() == null || self.equals(first.holder())) return;
        while (true) {
            check(file);
            LockRecord row = metadata.view().locks(state.inode);
            if (row == null || row.epoch() != first.epoch() || !first.holder().equals(row.holder())) return;
            watch(state);
            if (metadata.disconnected()) throw new DisconnectedException("no network to ask about locks");
            state.changed.await();
        }
    }

    /** Until the log has been answered that locks of the file are lost here. */
    private void awaitForgone(State state, OpenFile file) throws IOException, InterruptedException {
        lock.lock();
        try {
            sync(state);
            while (true) {
                check(file);
                LockRecord row = metadata.view().locks(state.inode);
                if (row == null || !row.lost().contains(self)) return;
                if (metadata.disconnected()) throw new DisconnectedException("no network to ask about locks");
                state.changed.await();
            }
        } finally {
            lock.unlock();
        }
    }

    private State enter(InodeId inode) {
        lock.lock();
        try {
            State state = states.computeIfAbsent(inode, State::new);
            state.users++;
            return state;
        } finally {
            lock.unlock();
        }
    }

    private void leave(State state) {
        lock.lock();
        try {
            state.users--;
            state.usedNanos = nanoClock.getAsLong();
            if (state.users == 0 && state.table == null) sync(state);
        } finally {
            lock.unlock();
        }
    }

    private void proposed(State state) {
        lock.lock();
        try {
            state.proposals--;
            state.changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    // ---- deadlocks among what this pod decides; the log finds those over several pods

    private boolean isDeadlock(LockTable table, FileLock wanted) {
        return wanted.space() == LockSpace.RANGES
                && Deadlocks.closes(wanted.owner(), table.blockers(wanted), this::blockersOf);
    }

    private Set<LockOwner> blockersOf(LockOwner owner) {
        var blockers = new TreeSet<LockOwner>();
        for (State state : states.values()) {
            LockTable table = state.table;
            if (table == null || state.wanting.isEmpty()) continue;
            for (LockTable.Waiter waiter : table.waiters())
                if (waiter.wanted().space() == LockSpace.RANGES
                        && waiter.wanted().owner().equals(owner)) blockers.addAll(table.blockers(waiter.wanted()));
        }
        return blockers;
    }

    private boolean isAnythingShared() {
        for (State state : states.values()) {
            if (state.table != null) continue;
            LockRecord row = metadata.view().locks(state.inode);
            if (row != null && row.names(self)) return true;
        }
        return false;
    }

    /** A file's locks went to the log: who waits here is to be seen there too. */
    private void tellWaiters() {
        for (State state : states.values()) {
            LockTable table = state.table;
            if (table != null
                    && table.waiters().stream().anyMatch(w -> w.wanted().space() == LockSpace.RANGES)) tell(state);
        }
    }

    // ---- the end of a request that its program gave up

    /** Answers whether it is granted all the same. */
    private boolean cancel(State state, FileLock wanted, long ticket) {
        long deadline = System.nanoTime() + GRACE_NANOS;
        try {
            while (true) {
                lock.lock();
                try {
                    while (state.moving) {
                        long left = deadline - System.nanoTime();
                        if (left <= 0) throw new IOException("it is still being told what is held");
                        state.changed.awaitNanos(left);
                    }
                    LockTable table = state.table;
                    if (table != null) {
                        boolean granted = !table.cancel(wanted.owner(), ticket) && table.covers(wanted);
                        state.changed.signalAll();
                        return granted;
                    }
                    state.proposals++;
                } finally {
                    lock.unlock();
                }
                CompletableFuture<Metadata.Committed> cancelled;
                try {
                    cancelled = metadata.propose(new Command.CancelLock(state.inode, wanted.owner(), ticket));
                    if (!Waiting.briefly(cancelled, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime())))
                        throw new IOException("the log does not answer");
                } finally {
                    proposed(state);
                }
                if (!(cancelled.join().outcome() instanceof Outcome.Done(long value)) || value == 1) return false;
                LockRecord row = metadata.view().locks(state.inode);
                if (value == 0) return row != null && new LockTable(row.held(), row.waiters()).covers(wanted);
            }
        } catch (IOException | InterruptedException e) {
            abandon(state.inode, wanted, ticket);
            return false;
        }
    }

    /** Nobody is told any more: the request ends behind the caller's back, granted or not. */
    private void abandon(InodeId inode, FileLock wanted, long ticket) {
        background("wormhole-unlock", () -> {
            while (!hasEnded()) {
                try {
                    boolean here = false;
                    lock.lock();
                    try {
                        State state = states.get(inode);
                        if (state != null && !state.moving && state.table != null) {
                            here = true;
                            if (state.table.cancel(wanted.owner(), ticket)) return;
                        }
                    } finally {
                        lock.unlock();
                    }
                    if (!here
                            && Waiting.on(metadata.propose(new Command.CancelLock(inode, wanted.owner(), ticket)))
                                            .outcome()
                                    instanceof Outcome.Done(long value)) {
                        if (value == 1) return;
                        if (value < 0) continue;
                    }
                    insistOnUnlock(inode, wanted.space(), wanted.owner(), wanted.from(), wanted.to());
                    return;
                } catch (IOException e) {
                    pause(RETRY_MILLIS);
                }
            }
        });
    }

    // ---- telling, taking back, taking away, giving up

    /** This pod stops deciding: what was written is committed, then the log is told what is held. Inside the lock. */
    private void tell(State state) {
        if (state.moving || state.table == null || hasEnded()) return;
        state.moving = true;
        long epoch = state.epoch;
        background("wormhole-tell-locks", () -> {
            try {
                tell(state, epoch);
            } finally {
                still(state);
            }
        });
    }

    private void tell(State state, long epoch) throws InterruptedException {
        long since = nanoClock.getAsLong();
        while (!hasEnded()) {
            try {
                files.commit(state.inode);
                Command told;
                lock.lock();
                try {
                    LockTable table = state.table;
                    if (table == null || state.epoch != epoch) return;
                    told = new Command.ShareLocks(state.inode, epoch, table.held(), table.waiters());
                } finally {
                    lock.unlock();
                }
                Waiting.on(metadata.propose(told));
                return;
            } catch (IOException e) {
                lock.lock();
                try {
                    if (state.epoch != epoch || state.table == null) return;
                } finally {
                    lock.unlock();
                }
                if (!metadata.disconnected() && nanoClock.getAsLong() - since > COMMIT_NANOS) {
                    LOG.log(
                            System.Logger.Level.ERROR,
                            "bytes written to " + state.inode + " under a lock are given up",
                            e);
                    files.forfeit(state.inode);
                }
            }
            pause(RETRY_MILLIS);
        }
    }

    private void still(State state) {
        lock.lock();
        try {
            state.moving = false;
            state.kept = null;
            sync(state);
        } finally {
            lock.unlock();
        }
    }

    /** This pod decides again, if it is alone. Inside the lock. */
    private void keep(State state) {
        state.moving = true;
        background("wormhole-keep-locks", () -> {
            try {
                lock.lock();
                try {
                    while (state.proposals > 0) state.changed.await();
                    LockRecord row = metadata.view().locks(state.inode);
                    if (row == null || row.holder() != null || !isAlone(row)) return;
                    state.kept = new LockTable(row.held(), row.waiters());
                } finally {
                    lock.unlock();
                }
                Waiting.on(metadata.propose(new Command.KeepLocks(state.inode)));
            } catch (IOException e) {
                insistOnKeeping(state.inode); // it may yet be applied
            } finally {
                still(state);
            }
        });
    }

    private void insistOnKeeping(InodeId inode) throws InterruptedException {
        while (!hasEnded()) {
            try {
                Waiting.on(metadata.propose(new Command.KeepLocks(inode)));
                return;
            } catch (IOException e) {
                pause(RETRY_MILLIS);
            }
        }
    }

    private boolean isAlone(LockRecord row) {
        return row.lost().isEmpty()
                && row.held().stream().allMatch(one -> one.owner().pod().equals(self))
                && row.waiters().stream()
                        .allMatch(one -> one.wanted().owner().pod().equals(self));
    }

    /** Takes locks from silent pods, for as long as somebody here waits for them. Inside the lock. */
    private void watch(State state) {
        if (state.watching) return;
        state.watching = true;
        background("wormhole-watch-locks", () -> {
            try {
                while (!hasEnded()) {
                    FileLock[] wanted;
                    lock.lock();
                    try {
                        wanted = state.wanting.values().toArray(FileLock[]::new);
                        if (wanted.length == 0 || state.table != null) {
                            state.watching = false;
                            return;
                        }
                    } finally {
                        lock.unlock();
                    }
                    try {
                        takeFromSilent(state.inode, wanted);
                    } catch (IOException e) {
                        // the network is looked for; the next round tries again
                    }
                    pause(LOOK_MILLIS);
                }
            } finally {
                lock.lock();
                state.watching = false;
                lock.unlock();
            }
        });
    }

    /** Takes away what stands in the way of these and belongs to pods that are silent. Answers whether anything was. */
    private boolean takeFromSilent(InodeId inode, FileLock... wanted) throws IOException, InterruptedException {
        LockRecord row = metadata.view().locks(inode);
        if (row == null) return false;
        var pods = new HashSet<Incarnation>();
        if (row.holder() != null) {
            pods.add(row.holder());
        } else {
            for (FileLock held : row.held())
                for (FileLock one : wanted)
                    if (held.conflicts(one)) pods.add(held.owner().pod());
        }
        boolean taken = false;
        for (Incarnation pod : pods) {
            if (pod.equals(self) || !metadata.isSilent(pod)) continue;
            Outcome outcome = Waiting.on(metadata.propose(new Command.TakeLocks(inode, pod)))
                    .outcome();
            if (!(outcome instanceof Outcome.Done(long value)) || value != 1) continue;
            LOG.log(System.Logger.Level.INFO, "took the locks of {0} from {1}, which is silent", inode, pod);
            taken = true;
        }
        return taken;
    }

    private void forgo(State state) throws InterruptedException {
        files.forfeit(state.inode);
        while (!hasEnded()) {
            try {
                Waiting.on(metadata.propose(new Command.ForgoLocks(state.inode)));
                break;
            } catch (IOException e) {
                pause(RETRY_MILLIS);
            }
        }
        lock.lock();
        try {
            state.forgoing = false;
            sync(state);
        } finally {
            lock.unlock();
        }
    }

    // ---- in the background

    private void sweep() {
        try {
            while (!ended.await(SWEEP_MILLIS, TimeUnit.MILLISECONDS)) {
                if (states.isEmpty() || metadata.disconnected()) continue;
                lock.lock();
                try {
                    long now = nanoClock.getAsLong();
                    for (State state : states.values()) {
                        if (state.moving) continue;
                        LockTable table = state.table;
                        if (table == null) {
                            lookWhetherAlone(state);
                        } else if (table.isEmpty() && state.users == 0) {
                            if (decided > DECIDED_MAX || now - state.usedNanos > IDLE_NANOS) tell(state);
                        }
                    }
                } finally {
                    lock.unlock();
                }
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException("nobody interrupts the sweep", e);
        }
    }

    private void lookWhetherAlone(State state) {
        LockRecord row = metadata.view().locks(state.inode);
        boolean alone = row != null && row.holder() == null && !row.held().isEmpty() && isAlone(row);
        state.aloneRounds = alone ? state.aloneRounds + 1 : 0;
        if (state.aloneRounds < ALONE_ROUNDS) return;
        state.aloneRounds = 0;
        keep(state);
    }

    private interface Task {
        void run() throws InterruptedException;
    }

    private static void background(String name, Task task) {
        Thread.ofVirtual().name(name).start(() -> {
            try {
                task.run();
            } catch (InterruptedException e) {
                throw new IllegalStateException("nobody interrupts " + name, e);
            }
        });
    }

    private void pause(long millis) throws InterruptedException {
        boolean stop = ended.await(millis, TimeUnit.MILLISECONDS);
        if (stop) LOG.log(System.Logger.Level.DEBUG, "ended while waiting to try again");
    }

    private boolean hasEnded() {
        return ended.getCount() == 0;
    }

    @SuppressWarnings("NullAway") // Void has no value
    private static Answer<Void> done() {
        return Answer.ok(null);
    }

    /** Whoever waits is answered EIO; what is held is the log's to end, with the pod's session. */
    void close() {
        ended.countDown();
        wakeAll();
    }
}
