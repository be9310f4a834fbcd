// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.content.ContentStore;
import dev.wormhole.content.CorruptSliceException;
import dev.wormhole.content.OutOfSpaceException;
import dev.wormhole.content.TransitFullException;
import dev.wormhole.content.UnknownSliceException;
import dev.wormhole.model.Answer;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Extent;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Command.NewSlice;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.vfs.Generation.StagedSlice;
import dev.wormhole.vfs.Metadata.Committed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * From written to committed. Bytes of a write go into a staged slice at once; a commit seals the slices, makes them durable
 * here and sends them on (both at the same time), and then proposes one command that names them. What is being committed
 * stands apart from what is written meanwhile; one commit per inode is under way at a time, of as many inodes as there are.
 *
 * <p>A commit runs on a thread of its own, so that an interrupted caller stops waiting and nothing else: bytes that could
 * not be committed stay new and are tried again, with the next sync, close, or five seconds later. They are given up only
 * when the inode is gone or the store cannot read them back; every handle is then told once. Bytes whose commit was sent
 * when the network was lost are in doubt: they stand apart until the answer is known, as a second commit would append them
 * twice, or put them over what others wrote since.
 *
 * <p>A pod without room writes through: the slices are in transit, a bounded number of bytes at a time, and a commit names
 * other pods alone, after they have them. Writers wait for earlier slices to leave. ENOSPC is answered to a write when no
 * other pod has room either, by what they last told; if they told too much, to the sync or close.
 *
 * <p>Thread-safe.
 */
final class WriteBack {
    private static final System.Logger LOG = System.getLogger(WriteBack.class.getName());
    /** Extents of one command; a file written at random offsets is committed when it has half as many. */
    private static final int RANGES_MAX = 4_096;

    private static final int BACKGROUND_COMMITS_MAX = 64;
    private static final Duration ROOM_DEADLINE = Duration.ofSeconds(30);
    private static final Duration WATCH_EVERY = Duration.ofMillis(200);
    private static final int COPIES_FOR_SAFETY = 2;
    /** What a slice takes beside its bytes and a 512th of them, at most, and a little more. */
    private static final int SLICE_OVERHEAD_BYTES = 12_288;

    private static final Committed NOTHING = new Committed(new Outcome.Done(0), 0);

    private final Metadata metadata;
    private final ContentStore store;
    private final Replication replication;
    private final LongSupplier nextId;
    private final Incarnation self;
    private final FileSystemSettings settings;
    private final LongSupplier nanoClock;
    private final Told told;
    private final Pushes pushes;

    private final Set<OpenInode> dirtyInodes = ConcurrentHashMap.newKeySet();
    private final AtomicLong stagedBytes = new AtomicLong();
    private final AtomicInteger inodesWithAppends = new AtomicInteger();
    /** Counts times that slices in transit left. */
    private final AtomicLong transitLeft = new AtomicLong();
    /** Counts commits that failed because no other pod had room. */
    private final AtomicInteger refusedForRoom = new AtomicInteger();

    private final Semaphore background = new Semaphore(BACKGROUND_COMMITS_MAX);
    private final Object room = new Object();
    private final Thread watcher;
    /** The watch waits until something is dirty. */
    private volatile boolean idle;

    private final CountDownLatch stopped = new CountDownLatch(1);
    private final AtomicBoolean spaceTold = new AtomicBoolean();
    private volatile long onDisksIndex;

    /** What the filesystem above learns. */
    interface Told {
        /** The kernel's pages of the inode are stale. */
        void pagesStale(OpenInode inode);

        /** Attributes changed by a commit that the kernel did not ask for. */
        void attributesChanged(OpenInode inode);

        /** The inode has no uncommitted bytes any more. */
        void clean(OpenInode inode);
    }

    WriteBack(
            Metadata metadata,
            ContentStore store,
            Replication replication,
            LongSupplier nextId,
            Incarnation self,
            FileSystemSettings settings,
            LongSupplier nanoClock,
            Told told) {
        this.metadata = metadata;
        this.store = store;
        this.replication = replication;
        this.nextId = nextId;
        this.self = self;
        this.settings = settings;
        this.nanoClock = nanoClock;
        this.told = told;
        pushes = new Pushes(replication);
        watcher = Thread.ofVirtual().name("wormhole-write-back").unstarted(this::watch);
        watcher.start();
    }

    boolean appendsPending() {
        return inodesWithAppends.get() > 0;
    }

    // ---- taking bytes

    /**
     * Takes the buffer's bytes, as many as there is space for. The handle is writable and the range is valid.
     *
     * @param append the offset does not count
     */
    Answer<Integer> write(
            OpenFile file, boolean append, long offset, ByteBuffer bytes, long nowNanos, boolean killPrivileges)
            throws IOException, InterruptedException {
        OpenInode inode = file.inode;
        waitForRoom(inode, bytes.remaining());
        int start = bytes.position();
        int refusedBefore = refusedForRoom.get();
        long deadline = System.nanoTime() + ROOM_DEADLINE.toNanos();
        while (true) {
            long leftBefore = transitLeft.get();
            boolean wait = false;
            inode.lock.lock();
            try {
                if (!(append ? inode.hasWrites() : inode.hasAppends())) {
                    take(inode, file, append, offset + bytes.position() - start, bytes, nowNanos, killPrivileges);
                    return Answer.ok(bytes.position() - start);
                }
            } catch (TransitFullException e) {
                wait = true;
            } catch (OutOfSpaceException e) {
                return full(bytes.position() - start, e.getMessage());
            } catch (IOException e) {
                if (bytes.position() == start) throw e;
                return Answer.ok(bytes.position() - start);
            } finally {
                inode.lock.unlock();
            }
            if (!wait) {
                commit(inode, false, null); // appends and writes keep their order: what came first is committed first
            } else if (refusedForRoom.get() != refusedBefore
                    && roomElsewhere() < store.transitBytes() + bytes.remaining()) {
                return full(bytes.position() - start, "what came before finds no room either");
            } else if (System.nanoTime() > deadline) {
                if (bytes.position() > start) return Answer.ok(bytes.position() - start);
                throw new IOException("new bytes cannot be sent to pods with room for 30 s");
            } else {
                awaitTransit(leftBefore);
            }
        }
    }

    private Answer<Integer> full(int taken, @Nullable String why) {
        if (spaceTold.compareAndSet(false, true))
            LOG.log(System.Logger.Level.WARNING, "no room for new bytes, here or elsewhere: {0}", why);
        return taken > 0 ? Answer.ok(taken) : Answer.refused(Errno.ENOSPC);
    }

    /** Takes all bytes; on an exception those up to the buffer's position. The lock is held. */
    private void take(
            OpenInode inode,
            OpenFile file,
            boolean append,
            long offset,
            ByteBuffer bytes,
            long nowNanos,
            boolean killPrivileges)
            throws IOException {
        Generation into = current(inode, append);
        int start = bytes.position();
        long stagedBefore = into.stagedBytes;
        if (append && into.appended == 0) into.appendExpectedAt = offset;
        boolean sealed = false;
        try {
            sealed = into.take(store, nextId, this::admit, offset, bytes);
        } finally {
            if (bytes.position() == start) {
                if (into.slices.isEmpty() && into.end == 0) dropEmpty(inode);
            } else {
                stagedBytes.addAndGet(into.stagedBytes - stagedBefore);
                into.modifiedNanos = nowNanos;
                into.killPrivileges |= killPrivileges;
                into.underLock |= inode.locked;
                into.view = Math.min(into.view, Math.max(file.view, inode.ownContent));
                inode.accessedSinceChange = false;
            }
        }
        if (sealed) for (StagedSlice slice : into.slices) if (slice.sealed) push(inode, slice);
        if (into.stagedBytes >= settings.commitBytes()
                || into.transitBytes >= Generation.SLICE_BYTES
                || into.ranges.count() >= RANGES_MAX / 2) requestCommit(inode);
    }

    /** See {@link Generation.Admission}. Counts what is on its way there already, as if it all went to the roomiest pod. */
    private void admit(int bytes) throws IOException {
        long room = roomElsewhere();
        if (room < bytes + SLICE_OVERHEAD_BYTES)
            throw new OutOfSpaceException("this pod is full, and no other one takes more than " + room + " bytes");
        if (room < store.transitBytes() + bytes)
            throw new TransitFullException("bytes on their way may fill the other pods");
    }

    /** Whether a slice of so many bytes fits, with what stores add to it. */
    private static boolean takes(Replication.Room room, long bytes) {
        return room.freeBytes() >= bytes + bytes / 512 + SLICE_OVERHEAD_BYTES;
    }

    private long roomElsewhere() {
        long most = 0;
        for (Replication.Room room : replication.rooms()) most = Math.max(most, room.freeBytes());
        return most;
    }

    private void awaitTransit(long leftBefore) throws IOException, InterruptedException {
        if (metadata.disconnected()) throw new DisconnectedException("no network to send new bytes to");
        for (OpenInode inode : dirtyInodes) {
            Generation now = inode.current; // a racy look: at worst it is seen 100 ms later
            if (now != null && now.transitBytes > 0) requestCommit(inode);
        }
        synchronized (room) {
            if (transitLeft.get() == leftBefore) room.wait(100);
        }
    }

    private void endTransit(List<SliceId> slices) {
        store.endTransit(slices);
        transitLeft.incrementAndGet();
        synchronized (room) {
            room.notifyAll();
        }
    }

    /** Makes the file at least so long with the next commit. */
    void extend(OpenFile file, long size, long nowNanos) throws IOException, InterruptedException {
        OpenInode inode = file.inode;
        while (true) {
            inode.lock.lock();
            try {
                if (!inode.hasAppends()) {
                    Generation into = current(inode, false);
                    into.end = Math.max(into.end, size);
                    into.modifiedNanos = nowNanos;
                    into.underLock |= inode.locked;
                    into.view = Math.min(into.view, Math.max(file.view, inode.ownContent));
                    return;
                }
            } finally {
                inode.lock.unlock();
            }
            commit(inode, false, null);
        }
    }

    private Generation current(OpenInode inode, boolean append) {
        Generation now = inode.current;
        if (now != null) return now;
        if (append && !inode.hasAppends()) inodesWithAppends.incrementAndGet();
        now = new Generation(append, nanoClock.getAsLong());
        inode.current = now;
        inode.dirty = true;
        dirtyInodes.add(inode);
        if (idle) LockSupport.unpark(watcher);
        return now;
    }

    private void dropEmpty(OpenInode inode) {
        Generation empty = inode.current;
        inode.current = null;
        settled(inode, empty);
    }

    /** Under the lock, when a generation ended: keeps the counts of what is dirty right. */
    private void settled(OpenInode inode, @Nullable Generation ended) {
        if (ended != null && ended.append && !inode.hasAppends()) inodesWithAppends.decrementAndGet();
        if (inode.current == null && inode.committing == null) {
            inode.dirty = false;
            dirtyInodes.remove(inode);
        }
    }

    private void waitForRoom(OpenInode inode, int bytes) throws IOException, InterruptedException {
        if (hasRoom(inode, bytes)) return;
        long deadline = System.nanoTime() + ROOM_DEADLINE.toNanos();
        while (!hasRoom(inode, bytes)) {
            if (metadata.disconnected()) throw new DisconnectedException("no network to commit new bytes to");
            if (System.nanoTime() > deadline) throw new IOException("new bytes cannot be committed for 30 s");
            if (stagedBytes.get() + bytes > settings.stagedBytesMax()) dirtyInodes.forEach(this::requestCommit);
            else requestCommit(inode);
            synchronized (room) {
                if (!hasRoom(inode, bytes)) room.wait(100);
            }
        }
    }

    private boolean hasRoom(OpenInode inode, int bytes) {
        if (stagedBytes.get() + bytes > settings.stagedBytesMax()) return false;
        if (!inode.dirty) return true;
        inode.lock.lock();
        try {
            Generation now = inode.current;
            return now == null || now.stagedBytes < 2 * settings.commitBytes() && now.ranges.count() < RANGES_MAX;
        } finally {
            inode.lock.unlock();
        }
    }

    // ---- committing

    /**
     * Commits what is new at this moment and then, in the same batch, proposes {@code after}. Returns once both are applied
     * here; its answer is that of {@code after}, and says nothing without one.
     *
     * @param replicated waits for min(2, copies) disks before it commits
     * @throws IOException when the bytes could not be committed; they stay new
     */
    Committed commit(OpenInode inode, boolean replicated, @Nullable Command after)
            throws IOException, InterruptedException {
        while (true) {
            CompletableFuture<Void> running;
            CompletableFuture<Committed> afterwards = null;
            boolean settling = false;
            inode.lock.lock();
            try {
                if (inode.committing != null && inode.isInDoubt()) {
                    Generation doubtful = inode.committing;
                    settling = true;
                    running = start(done -> run(inode, doubtful, replicated, null, new CompletableFuture<>(), done));
                    inode.committed = running;
                } else if (inode.committing != null) {
                    running = inode.committed;
                } else if (inode.current != null) {
                    Generation generation = inode.current;
                    inode.current = null;
                    inode.committing = generation;
                    var answer = new CompletableFuture<Committed>();
                    running = start(done -> run(inode, generation, replicated, after, answer, done));
                    inode.committed = running;
                    afterwards = answer;
                } else {
                    break;
                }
            } finally {
                inode.lock.unlock();
            }
            if (afterwards != null) {
                Waiting.on(running);
                return Waiting.on(afterwards);
            }
            try {
                Waiting.on(running);
            } catch (IOException e) {
                if (settling) throw e;
                // its bytes are new again: the next round commits them and tells if it cannot
            }
        }
        return after == null ? NOTHING : Waiting.on(proposeOwn(inode, after, true));
    }

    private static CompletableFuture<Void> start(Consumer<CompletableFuture<Void>> commit) {
        var done = new CompletableFuture<Void>();
        Thread.ofVirtual().name("wormhole-commit").start(() -> commit.accept(done));
        return done;
    }

    /** Proposes a change of the bytes that came through the kernel, or of other attributes. */
    CompletableFuture<Committed> proposeOwn(OpenInode inode, Command command, boolean givesContent) {
        inode.ownStarted();
        return metadata.propose(command).whenComplete((committed, failure) -> {
            long content = -1;
            if (failure == null) {
                inode.changedAt(committed.index());
                if (givesContent && committed.outcome() instanceof Outcome.Done(long value)) content = value;
            }
            if (inode.ownEnded(content, metadata.view())) told.pagesStale(inode);
        });
    }

    private void run(
            OpenInode inode,
            Generation generation,
            boolean replicated,
            @Nullable Command after,
            CompletableFuture<Committed> afterwards,
            CompletableFuture<Void> done) {
        CompletableFuture<Committed> second = null;
        Throwable failure = null;
        try {
            if (generation.doubt != null) settleDoubt(inode, generation, generation.doubt);
            else second = propose(inode, generation, replicated, after);
        } catch (Throwable e) {
            failure = e;
        }
        finish(inode, generation, failure);
        if (failure == null) done.complete(null);
        else done.completeExceptionally(failure);
        if (second == null) afterwards.complete(NOTHING);
        else
            second.whenComplete((committed, e) -> {
                if (e != null) afterwards.completeExceptionally(e);
                else afterwards.complete(committed);
            });
        told.clean(inode);
        if (failure instanceof Error error) throw error;
    }

    /** Returns once the log has taken the bytes; the answer to {@code after}, null without one, may come later. */
    private @Nullable CompletableFuture<Committed> propose(
            OpenInode inode, Generation generation, boolean replicated, @Nullable Command after)
            throws IOException, InterruptedException {
        if (generation.transitBytes > 0) {
            if (metadata.view().attributes(inode.id) == null)
                throw new GoneException(inode.id + " is gone, its new bytes with it");
            if (generation.crowded && store.usage().freeBytes() > 2 * generation.transitBytes)
                generation.restage = true;
        }
        if (generation.restage) restage(inode, generation);
        generation.seal();
        List<NewSlice> slices = settle(inode, generation, replicated);
        inode.ownStarted();
        boolean ended = false;
        try {
            CompletableFuture<Committed> first = metadata.propose(command(inode, generation, slices));
            var second = after == null ? null : proposeOwn(inode, after, true);
            Committed committed;
            try {
                committed = Waiting.on(first);
            } catch (InDoubtException e) {
                generation.doubt = new Generation.Doubt(slices, e.outcome());
                throw e;
            }
            ended = true;
            committed(inode, generation, slices, committed);
            return second;
        } finally {
            if (!ended && inode.ownEnded(-1, metadata.view())) told.pagesStale(inode);
        }
    }

    /** Waits for what became of a commit that was sent before the network was lost. */
    private void settleDoubt(OpenInode inode, Generation generation, Generation.Doubt doubt)
            throws IOException, InterruptedException {
        while (true) {
            if (metadata.disconnected()) throw new DisconnectedException("no network to ask what became of new bytes");
            try {
                if (Waiting.briefly(doubt.outcome(), 250)) break;
            } catch (IOException never) {
                generation.doubt = null; // and nothing can be proposed any more
                throw never;
            }
            if (stopped.getCount() == 0) throw new IOException("the filesystem is closing");
        }
        generation.doubt = null;
        inode.ownStarted();
        committed(inode, generation, doubt.slices(), doubt.outcome().resultNow());
    }

    /** Durable here, and sent on as far as this commit waits for it. */
    private List<NewSlice> settle(OpenInode inode, Generation generation, boolean replicated)
            throws IOException, InterruptedException {
        if (generation.slices.isEmpty()) return List.of();
        int copies = wish(inode).copies();
        List<SliceId> ids = new ArrayList<>(generation.slices.size());
        for (StagedSlice slice : generation.slices) {
            if (!slice.transit) ids.add(slice.id());
            push(inode, slice);
        }
        try {
            if (!ids.isEmpty()) store.sync(ids);
        } catch (IOException e) {
            generation.restage = true; // a failed sync is never tried again on the same bytes
            throw e;
        }
        boolean forSync = replicated && settings.fsync().get() == FileSystemSettings.Fsync.REPLICATED;
        if (copies > 1 && replication.presentStoringPods() > 1) {
            long deadline = System.nanoTime() + (forSync ? settings.syncDeadline() : settings.closeWait()).toNanos();
            for (StagedSlice slice : generation.slices) {
                var push = slice.push;
                if (push == null || slice.transit) continue;
                try {
                    push.get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
                } catch (TimeoutException e) {
                    break; // those that answer later tell the log themselves
                } catch (ExecutionException e) {
                    throw new IllegalStateException("a push failed instead of answering", e);
                }
            }
        }
        long deadline = System.nanoTime() + settings.syncDeadline().toNanos();
        for (StagedSlice slice : generation.slices) if (slice.transit) awaitElsewhere(inode, slice, forSync, deadline);
        var slices = new ArrayList<NewSlice>(generation.slices.size());
        for (StagedSlice slice : generation.slices) {
            var push = slice.push;
            List<Incarnation> others = push == null ? List.of() : push.getNow(List.of());
            var holders = new ArrayList<Incarnation>(1 + others.size());
            if (!slice.transit) holders.add(self);
            for (Incarnation other : others) if (!holders.contains(other)) holders.add(other);
            slices.add(new NewSlice(slice.id(), slice.length, holders));
        }
        return slices;
    }

    private void push(OpenInode inode, StagedSlice slice) {
        if (slice.push != null) return;
        int copies = Math.min(COPIES_FOR_SAFETY, wish(inode).copies());
        if (slice.transit) {
            int others = 0;
            for (Replication.Room room : replication.rooms()) if (takes(room, slice.length)) others++;
            slice.push = pushes.start(slice.id(), slice.length, Math.max(1, Math.min(copies, others)), false);
        } else if (copies > 1) {
            slice.push = pushes.start(slice.id(), slice.length, copies, true);
        }
    }

    /**
     * Returns once a slice that does not stay here is durable on another pod, for a sync on min(2, copies) of those that are
     * present and have room.
     *
     * @throws OutOfSpaceException when nobody takes it
     */
    private void awaitElsewhere(OpenInode inode, StagedSlice slice, boolean forSync, long deadline)
            throws IOException, InterruptedException {
        int wanted = forSync ? Math.min(COPIES_FOR_SAFETY, wish(inode).copies()) : 1;
        while (true) {
            push(inode, slice);
            List<Incarnation> pods;
            try {
                pods = Objects.requireNonNull(slice.push)
                        .get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
            } catch (TimeoutException e) {
                throw new IOException(
                        "slice " + slice.id() + ", which this pod has no room for, is not yet on another", e);
            } catch (ExecutionException e) {
                throw new IllegalStateException("a push failed instead of answering", e);
            }
            if (!pods.isEmpty() && (pods.size() >= wanted || !isRoomBeside(pods, slice.length))) return;
            slice.push = null;
            if (pods.isEmpty())
                throw new OutOfSpaceException(
                        "this pod has no room for slice " + slice.id() + ", and no other pod took it");
            if (System.nanoTime() > deadline)
                throw new IOException("slice " + slice.id() + " is only on " + pods + ", and not on this pod");
            if (stopped.await(100, TimeUnit.MILLISECONDS)) throw new IOException("the filesystem is closing");
        }
    }

    /** Whether a present pod beside these, and beside this one, has room for so many bytes. */
    private boolean isRoomBeside(Collection<Incarnation> pods, long bytes) {
        for (Replication.Room room : replication.rooms())
            if (room.present() && takes(room, bytes) && !pods.contains(room.pod())) return true;
        return false;
    }

    private Command command(OpenInode inode, Generation generation, List<NewSlice> slices) {
        List<Extent> extents = generation.ranges.extents();
        int safeCopies = Math.min(COPIES_FOR_SAFETY, wish(inode).copies());
        return generation.append
                ? new Command.Append(
                        inode.id, slices, extents, generation.modifiedNanos, safeCopies, generation.killPrivileges)
                : new Command.Write(
                        inode.id,
                        generation.view == Long.MAX_VALUE ? 0 : generation.view,
                        slices,
                        extents,
                        generation.end,
                        generation.modifiedNanos,
                        safeCopies,
                        generation.killPrivileges);
    }

    /** What the log answered to the command. */
    private void committed(OpenInode inode, Generation generation, List<NewSlice> slices, Committed committed)
            throws IOException {
        switch (committed.outcome()) {
            case Outcome.Done(long value) -> {
                inode.changedAt(committed.index());
                long content = value;
                boolean stale = false;
                if (generation.append) {
                    Attributes now = metadata.view().attributes(inode.id);
                    content = now == null ? -1 : now.content();
                    stale = value != generation.appendExpectedAt && inode.pagesUnknown();
                }
                stale |= inode.ownEnded(content, metadata.view());
                if (stale) told.pagesStale(inode);
                else told.attributesChanged(inode);
                inode.lock.lock();
                try {
                    inode.ownContent = Math.max(inode.ownContent, content);
                    if (inode.safetyKnownAt >= 0)
                        inode.safetyKnownAt = content == inode.safetyKnownAt + 1 ? content : -1;
                    int wanted = Math.min(COPIES_FOR_SAFETY, wish(inode).copies());
                    for (NewSlice slice : slices) if (slice.durableOn().size() < wanted) inode.unsafe(slice.slice());
                } finally {
                    inode.lock.unlock();
                }
                for (int i = 0; i < slices.size(); i++) goOn(inode, slices.get(i), generation.slices.get(i));
            }
            case Outcome.Refused(Errno errno) -> {
                if (inode.ownEnded(-1, metadata.view())) told.pagesStale(inode);
                if (errno == Errno.ENOENT) throw new GoneException(inode.id + " is gone, its new bytes with it");
                if (errno == Errno.EIO && generation.underLock)
                    throw new GoneException("the lock of " + inode.id + " under which bytes were written is lost");
                generation.restage = errno != Errno.EIO;
                throw new IOException("commit of " + inode.id + " refused: " + errno);
            }
        }
    }

    /** The inode does not exist any more, or the lock is not held any more under which the bytes were written. */
    private static final class GoneException extends IOException {
        GoneException(String message) {
            super(message);
        }
    }

    /**
     * What becomes of copies that were not durable when the commit named its holders: their pods tell the log themselves. A
     * slice in transit leaves when there are as many elsewhere as there can be.
     */
    private void goOn(OpenInode inode, NewSlice slice, StagedSlice staged) {
        var push = staged.push;
        if (push == null) return;
        SliceId id = slice.slice();
        int copies = wish(inode).copies();
        if (staged.transit) {
            List<Incarnation> pods = slice.durableOn();
            if (pods.size() < copies && isRoomBeside(pods, slice.lengthBytes()))
                pushes.start(id, slice.lengthBytes(), copies, false).thenRun(() -> endTransit(List.of(id)));
            else endTransit(List.of(id));
            return;
        }
        push.thenAccept(pods -> {
            if (1 + pods.size() >= Math.min(COPIES_FOR_SAFETY, copies)) {
                inode.lock.lock();
                try {
                    inode.safe(List.of(id));
                } finally {
                    inode.lock.unlock();
                }
            }
            if (copies > COPIES_FOR_SAFETY) pushes.start(id, slice.lengthBytes(), copies, true);
        });
    }

    private void finish(OpenInode inode, Generation generation, @Nullable Throwable failure) {
        boolean gone = failure instanceof GoneException;
        boolean known = generation.crowded && failure instanceof OutOfSpaceException;
        inode.lock.lock();
        try {
            if (failure != null && generation.doubt != null) {
                generation.sinceNanos = nanoClock.getAsLong();
            } else if (failure == null || gone) {
                inode.committing = null;
                stagedBytes.addAndGet(-generation.stagedBytes);
                if (gone) inode.losses++;
                settled(inode, generation);
            } else {
                inode.committing = null;
                generation.sinceNanos = nanoClock.getAsLong();
                generation.crowded = failure instanceof OutOfSpaceException;
                if (generation.crowded) refusedForRoom.incrementAndGet();
                if (inode.current != null) generation.absorb(inode.current);
                inode.current = generation;
            }
        } finally {
            inode.lock.unlock();
        }
        synchronized (room) {
            room.notifyAll();
        }
        if (gone) giveUp(generation.slices);
        if (failure != null)
            LOG.log(
                    known || failure instanceof DisconnectedException
                            ? System.Logger.Level.DEBUG
                            : System.Logger.Level.WARNING,
                    "new bytes of " + inode.id
                            + (gone ? " are given up" : " are not committed and will be tried again"),
                    failure);
    }

    /** Copies the new bytes into other slices, because their own cannot be committed any more. */
    private void restage(OpenInode inode, Generation generation) throws IOException {
        var fresh = new Generation(generation.append, generation.sinceNanos);
        var buffer = ByteBuffer.allocate(ContentStore.BLOCK_BYTES);
        boolean whole = false;
        int lost = 0;
        try {
            for (int i = 0; i < generation.ranges.count(); i++) {
                long at = generation.ranges.from(i);
                long end = generation.ranges.to(i);
                var slice = new SliceId(generation.ranges.slice(i));
                long offset = generation.ranges.sliceOffset(i);
                while (at < end) {
                    buffer.clear().limit((int) Math.min(buffer.capacity(), end - at));
                    int wanted = buffer.remaining();
                    try {
                        while (buffer.hasRemaining())
                            if (store.read(slice, offset + buffer.position(), buffer) < 0)
                                throw new UnknownSliceException(slice);
                        buffer.flip();
                        fresh.take(store, nextId, this::admit, at, buffer);
                    } catch (UnknownSliceException | CorruptSliceException e) {
                        lost++;
                        LOG.log(System.Logger.Level.ERROR, wanted + " new bytes of " + inode.id + " are lost", e);
                    }
                    at += wanted;
                    offset += wanted;
                }
            }
            fresh.seal();
            whole = true;
        } finally {
            if (!whole) giveUp(fresh.slices);
        }
        List<StagedSlice> old = generation.slices;
        inode.lock.lock();
        try {
            stagedBytes.addAndGet(fresh.stagedBytes - generation.stagedBytes);
            generation.ranges = fresh.ranges;
            generation.slices = fresh.slices;
            generation.stagedBytes = fresh.stagedBytes;
            generation.transitBytes = fresh.transitBytes;
            if (generation.append) generation.appended = fresh.appended;
            generation.restage = false;
            if (lost > 0) inode.losses++;
        } finally {
            inode.lock.unlock();
        }
        giveUp(old);
    }

    /** Slices that will not be proposed any more. Those that the log took nevertheless, after a doubt, stay. */
    private void giveUp(List<StagedSlice> slices) {
        var sealed = new ArrayList<SliceId>();
        for (StagedSlice slice : slices) {
            if (slice.sealed) sealed.add(slice.id());
            else slice.writer.close();
            if (slice.transit) endTransit(List.of(slice.id()));
        }
        if (sealed.isEmpty()) return;
        // other pods may have them; the answer does not matter: what is not abandoned now is settled by the next start
        metadata.propose(new Command.Abandon(sealed))
                .whenComplete((committed, failure) -> Thread.ofVirtual().start(() -> {
                    try {
                        if (failure != null) return;
                        sealed.removeIf(slice -> metadata.view().slice(slice) != null);
                        store.delete(sealed);
                    } catch (IOException e) {
                        LOG.log(System.Logger.Level.WARNING, "slices given up were not deleted", e);
                    }
                }));
    }

    /** Gives up what is new, because nobody can ever read it. */
    void drop(OpenInode inode) {
        Generation dropped;
        inode.lock.lock();
        try {
            dropped = inode.current;
            inode.current = null;
            if (dropped != null) stagedBytes.addAndGet(-dropped.stagedBytes);
            settled(inode, dropped);
        } finally {
            inode.lock.unlock();
        }
        if (dropped != null) giveUp(dropped.slices);
    }

    /** Gives up what was written under a lock; returns when none of it can be committed any more. */
    void forfeit(OpenInode inode) throws InterruptedException {
        while (true) {
            Generation dropped = null;
            CompletableFuture<Void> running = null;
            inode.lock.lock();
            try {
                if (inode.committing != null && !inode.isInDoubt()) {
                    running = inode.committed;
                } else if (inode.committing != null && inode.committing.underLock) {
                    dropped = inode.committing; // the log takes it only if the lock holds when the commit arrives
                    inode.committing = null;
                } else if (inode.current != null && inode.current.underLock) {
                    dropped = inode.current;
                    inode.current = null;
                }
                if (dropped != null) {
                    stagedBytes.addAndGet(-dropped.stagedBytes);
                    inode.losses++;
                    settled(inode, dropped);
                }
            } finally {
                inode.lock.unlock();
            }
            if (dropped != null) {
                giveUp(dropped.slices);
                continue;
            }
            if (running == null) return;
            try {
                Waiting.on(running);
            } catch (IOException e) {
                // its bytes are new again, and looked at in the next round
            }
        }
    }

    // ---- durable

    /** Commits, and returns once everything committed so far is as durable as declared. */
    void sync(OpenInode inode) throws IOException, InterruptedException {
        commit(inode, true, null);
        if (settings.fsync().get() == FileSystemSettings.Fsync.LOCAL) return;
        makeSafe(inode);
        awaitOnDisks(inode.lastIndex());
    }

    void awaitOnDisks(long index) throws IOException, InterruptedException {
        if (index <= onDisksIndex || settings.fsync().get() == FileSystemSettings.Fsync.LOCAL) return;
        CompletableFuture<Void> durable = metadata.onDisks(index);
        long deadline = System.nanoTime() + settings.syncDeadline().toNanos();
        while (!Waiting.briefly(durable, 250)) {
            if (metadata.disconnected()) throw new DisconnectedException("no network to make changes durable in");
            if (System.nanoTime() > deadline) throw new IOException("log entry " + index + " is not yet on two disks");
        }
        synchronized (this) {
            onDisksIndex = Math.max(onDisksIndex, index);
        }
    }

    /**
     * Makes committed slices durable on min(2, copies) of the pods that are present and have room, as far as this pod has
     * their bytes. A pod that answers that it has a slice counts at once; it tells the log itself.
     */
    private void makeSafe(OpenInode inode) throws IOException, InterruptedException {
        long deadline = System.nanoTime() + settings.syncDeadline().toNanos();
        var sent = new HashSet<SliceId>(0);
        for (int round = 0; ; round++) {
            Attributes now = metadata.view().attributes(inode.id);
            if (now == null) return;
            @Nullable List<SliceId> doubtful;
            inode.lock.lock();
            try {
                boolean known = inode.safetyKnownAt >= 0 && inode.safetyKnownAt == now.content();
                if (known && inode.unsafe().isEmpty()) return;
                doubtful = known ? new ArrayList<>(inode.unsafe()) : null; // null: look at all
            } finally {
                inode.lock.unlock();
            }
            int wanted = Math.min(COPIES_FOR_SAFETY, Math.min(wish(inode).copies(), replication.presentStoringPods()));
            if (wanted < COPIES_FOR_SAFETY && wish(inode).copies() >= COPIES_FOR_SAFETY)
                return; // nobody else is there: answered, and the file counts as recoverable, not as safe
            Map<SliceId, SliceRecord> unsafe =
                    doubtful == null ? scan(inode, now.size(), wanted) : look(doubtful, wanted);
            unsafe.keySet().removeAll(sent);
            if (unsafe.isEmpty()) {
                inode.lock.lock();
                try {
                    if (doubtful != null) inode.safe(doubtful);
                    else inode.allSafeAt(now.content());
                } finally {
                    inode.lock.unlock();
                }
                return;
            }
            if (System.nanoTime() > deadline)
                throw new IOException(inode.id + " is not yet on " + wanted + " disks: " + unsafe.size()
                        + " slices, the first is " + unsafe.values().iterator().next());
            // not at once again: whoever could not take them needs a moment
            if (round > 0 && stopped.await(100, TimeUnit.MILLISECONDS))
                throw new IOException("the filesystem is closing");
            spread(unsafe, wanted, deadline, sent);
        }
    }

    private Map<SliceId, SliceRecord> scan(OpenInode inode, long size, int wanted) {
        var unsafe = new LinkedHashMap<SliceId, SliceRecord>();
        long from = 0;
        while (true) {
            List<Extent> some = metadata.view().extents(inode.id, from, size, RANGES_MAX);
            unsafe.putAll(look(some.stream().map(Extent::slice).toList(), wanted));
            if (some.size() < RANGES_MAX) return unsafe;
            from = some.getLast().fileEnd();
        }
    }

    private Map<SliceId, SliceRecord> look(List<SliceId> slices, int wanted) {
        var unsafe = new LinkedHashMap<SliceId, SliceRecord>();
        for (SliceId id : slices) {
            SliceRecord slice = metadata.view().slice(id);
            if (slice == null || unsafe.containsKey(id)) continue; // displaced and gone, or seen
            if (copies(slice).size() < wanted && store.isDurable(id)) unsafe.put(id, slice);
        }
        return unsafe;
    }

    private static Set<Incarnation> copies(SliceRecord slice) {
        var pods = new HashSet<Incarnation>();
        for (SliceRecord.Holder holder : slice.holders()) if (holder.state().isCopy()) pods.add(holder.incarnation());
        return pods;
    }

    /**
     * Sends slices that are here to another pod; those on as many disks as can be are added to {@code safe}. This pod's own copy
     * counts once the log says that it is meant to keep it.
     */
    private void spread(Map<SliceId, SliceRecord> slices, int wanted, long deadline, Set<SliceId> safe)
            throws InterruptedException {
        var running = new LinkedHashMap<SliceRecord, CompletableFuture<List<Incarnation>>>();
        for (SliceRecord slice : slices.values())
            running.put(slice, pushes.start(slice.slice(), slice.lengthBytes(), wanted, true));
        for (var push : running.entrySet()) {
            Set<Incarnation> pods = copies(push.getKey());
            try {
                pods.addAll(push.getValue().get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS));
            } catch (TimeoutException e) {
                continue; // the others may have answered
            } catch (ExecutionException e) {
                throw new IllegalStateException("a push failed instead of answering", e);
            }
            SliceRecord slice = push.getKey();
            if (pods.size() >= wanted || !isRoomBeside(pods, slice.lengthBytes())) safe.add(slice.slice());
        }
    }

    Replication.Wish wish(OpenInode inode) {
        Replication.Wish wish = inode.wish;
        if (wish == null) inode.wish = wish = replication.wish(inode.id);
        return wish;
    }

    // ---- in the background

    /** Has what is new committed soon, without waiting. */
    void requestCommit(OpenInode inode) {
        if (!inode.dirty || !inode.commitRequested.compareAndSet(false, true)) return;
        Thread.ofVirtual().name("wormhole-background-commit").start(() -> {
            try {
                background.acquire();
                try {
                    inode.commitRequested.set(false);
                    if (stopped.getCount() > 0) commit(inode, false, null);
                } finally {
                    background.release();
                }
            } catch (IOException e) {
                // logged where it happened; the bytes are still new
            } catch (InterruptedException e) {
                throw new IllegalStateException("nobody interrupts background commits", e);
            }
        });
    }

    private void watch() {
        long commitAfter = settings.commitAfter().toNanos();
        while (stopped.getCount() > 0) {
            idle = true;
            if (dirtyInodes.isEmpty()) {
                if (stopped.getCount() > 0) LockSupport.park(this);
                continue;
            }
            idle = false;
            LockSupport.parkNanos(this, WATCH_EVERY.toNanos());
            if (metadata.disconnected()) continue;
            long now = nanoClock.getAsLong();
            for (OpenInode inode : dirtyInodes) {
                Generation oldest = inode.committing; // a racy look: at worst it is seen 200 ms later
                if (oldest == null || oldest.doubt == null) oldest = inode.current;
                if (oldest != null && now - oldest.sinceNanos >= commitAfter) requestCommit(inode);
            }
        }
    }

    /** Commits everything, as far as the deadline allows, and ends the work in the background. */
    void close() throws IOException {
        var commits = new ArrayList<CompletableFuture<Void>>();
        for (OpenInode inode : dirtyInodes) {
            var done = new CompletableFuture<Void>();
            commits.add(done);
            Thread.ofVirtual().start(() -> {
                try {
                    commit(inode, false, null);
                    done.complete(null);
                } catch (Throwable e) {
                    if (metadata.view().attributes(inode.id) == null) done.complete(null); // nobody can miss them
                    else done.completeExceptionally(e);
                }
            });
        }
        try {
            CompletableFuture.allOf(commits.toArray(CompletableFuture[]::new))
                    .get(settings.shutdownDeadline().toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while new bytes were being committed", e);
        } catch (ExecutionException | TimeoutException e) {
            throw new IOException("new bytes could not all be committed", e);
        } finally {
            crash();
        }
    }

    /** Ends the work in the background and leaves everything else as a crash would. */
    void crash() {
        stopped.countDown();
        LockSupport.unpark(watcher);
    }
}
