// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.content.ContentStore;
import dev.wormhole.content.OutOfSpaceException;
import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.model.Acl;
import dev.wormhole.model.Answer;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeFlags;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Change;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Command.RenameMode;
import dev.wormhole.namespace.Command.XattrMode;
import dev.wormhole.namespace.DirectoryEntry;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.vfs.Metadata.Committed;
import dev.wormhole.vfs.Replication.Wish;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * File operations over the replicated state and this pod's store, the plain way of DESIGN section 7: a question about
 * shared things is answered from local state after a read barrier, a change is proposed and answered once it is applied
 * here. Bytes are staged by {@link WriteBack} and read by {@link ContentReader}.
 *
 * <p>What is kept per inode is kept for those that are open or have uncommitted bytes, and for the {@value #CLOSED_KEPT}
 * that were open last (whether the kernel's pages are still right, access times); the kernel's own references cost nothing
 * here, because an inode number is never used again.
 *
 * <p>A pod that has lost the network answers from what it has; changes are refused with EROFS.
 *
 * <p>Thread-safe. {@link #changed} is called by the one thread that applies the log.
 */
public final class WormholeFileSystem implements FileSystem, AutoCloseable {
    private static final System.Logger LOG = System.getLogger(WormholeFileSystem.class.getName());
    private static final int HANDLES_MAX = 1 << 20;
    private static final int CLOSED_KEPT = 32_768;
    /** A change that meets the changes of others looks again so often. */
    private static final int ATTEMPTS = 16;

    private static final int LIST_BATCH = 256;
    /** Places of "." and ".." in a listing; the place of an entry is its cookie, which is above them. */
    private static final long COOKIE_SELF = 1, COOKIE_PARENT = 2;

    private static final byte[] SYSTEM = "system.".getBytes(StandardCharsets.US_ASCII);
    private static final int XATTR_NAME_MAX = 255, XATTR_VALUE_MAX = 65_536;
    private static final long DAY_NANOS = TimeUnit.DAYS.toNanos(1);
    private static final int SEEK_DATA = 3, SEEK_HOLE = 4;
    private static final int KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16;
    private static final int COPY_EXTENTS_MAX = 4_096;
    private static final long PAGES_DROPPED_MILLIS = 10_000;

    private final Metadata metadata;
    private final ContentStore store;
    private final Replication replication;
    private final LongSupplier nextId;
    private final Incarnation self;
    private final InstantSource clock;
    private final FileSystemSettings settings;
    private final LongSupplier nanoClock;
    private final WriteBack writeBack;
    private final ContentReader reader;
    private final Locks locks;

    private final ConcurrentHashMap<InodeId, OpenInode> inodes = new ConcurrentHashMap<>();
    private final LinkedHashSet<OpenInode> closed = new LinkedHashSet<>(); // guarded by itself
    private final HandleTable<OpenFile> files = new HandleTable<>(HANDLES_MAX);
    private final HandleTable<OpenDirectory> directories = new HandleTable<>(HANDLES_MAX);
    private final Listings listings = new Listings();
    private final KernelNames kernelNames;
    private volatile KernelCache kernel = new NoKernel();

    /** Log indexes at which holds became due that are not committed yet, and how many. Guarded by itself. */
    private final TreeMap<Long, Integer> holdsDue = new TreeMap<>();

    private volatile long appliedIndex;
    private final Teller teller;
    private volatile boolean ended;

    /** One open(2) of a directory, and how far into names of equal cookie it has been listed. */
    private static final class OpenDirectory {
        final InodeId inode;
        final Map<Long, FileName> splits = new HashMap<>(0);

        OpenDirectory(InodeId inode) {
            this.inode = inode;
        }
    }

    private static final class NoKernel implements KernelCache {
        @Override
        public void attributesChanged(InodeId inode) {}

        @Override
        public void contentChanged(InodeId inode) {}

        @Override
        public void afterContent(InodeId inode, Runnable action) {
            action.run();
        }

        @Override
        public void afterAttributes(Runnable action) {
            action.run();
        }
    }

    /**
     * @param nextId gives ids of this incarnation, each once
     * @param self this pod's incarnation
     * @param clock labels times of writes
     * @param nanoClock the monotonic clock that the kernel counts validity by, {@link System#nanoTime} outside of tests
     */
    public WormholeFileSystem(
            Metadata metadata,
            ContentStore store,
            Replication replication,
            LongSupplier nextId,
            Incarnation self,
            InstantSource clock,
            LongSupplier nanoClock,
            FileSystemSettings settings) {
        this.metadata = metadata;
        this.store = store;
        this.replication = replication;
        this.nextId = nextId;
        this.self = self;
        this.clock = clock;
        this.settings = settings;
        this.nanoClock = nanoClock;
        this.kernelNames = new KernelNames(nanoClock);
        appliedIndex = metadata.view().appliedIndex();
        teller = new Teller(() -> kernel, nanoClock, appliedIndex);
        reader = new ContentReader(metadata, store, replication);
        writeBack = new WriteBack(metadata, store, replication, nextId, self, settings, nanoClock, new Effects());
        locks = new Locks(metadata, self, nanoClock, new LockedFiles());
    }

    /** What losing a lock, and telling others, does to files. */
    private final class LockedFiles implements Locks.Files {
        @Override
        public void commit(InodeId id) throws IOException, InterruptedException {
            OpenInode inode = inodes.get(id);
            if (inode != null && inode.dirty) writeBack.commit(inode, false, null);
        }

        @Override
        public void locked(InodeId id, boolean locked) {
            OpenInode inode = inodes.get(id);
            if (inode != null) inode.locked = locked;
        }

        @Override
        public void cutOff(InodeId id) {
            OpenInode inode = inodes.get(id);
            if (inode != null) inode.cutOff();
        }

        @Override
        public void forfeit(InodeId id) throws InterruptedException {
            OpenInode inode = inodes.get(id);
            if (inode == null) return;
            inode.awaitChanges();
            writeBack.forfeit(inode);
        }
    }

    /** What commits cause above them. */
    private final class Effects implements WriteBack.Told {
        @Override
        public void pagesStale(OpenInode inode) {
            kernel.contentChanged(inode.id);
        }

        @Override
        public void attributesChanged(OpenInode inode) {
            if (settings.validity().attributesChanged(inode.id, true) >= 0) kernel.attributesChanged(inode.id);
        }

        @Override
        public void clean(OpenInode inode) {
            if (inode.opens() == 0) retire(inode);
        }
    }

    @Override
    public void attach(KernelCache cache) {
        kernel = cache;
    }

    @Override
    public boolean answersFromMemory() {
        return !writeBack.appendsPending() && (metadata.barrierIsFree() || metadata.disconnected());
    }

    // ---- what the log tells

    /**
     * Told by the thread that applies the log, for every entry in order, after the tables hold it. Waits for nothing.
     *
     * @param index log index of the entry
     * @param own whether this pod proposed it
     */
    public void changed(long index, List<Change> changes, boolean own) {
        ValidityPolicy validity = settings.validity();
        long believedNanos = 0;
        List<InodeId> believed = List.of();
        for (Change change : changes) {
            switch (change) {
                case Change.InodeChanged(InodeId id, boolean content) -> {
                    OpenInode inode = inodes.get(id);
                    if (inode != null) inode.flagsFrom(metadata.view());
                    if (inode != null && content && !own)
                        inode.changedElsewhere(metadata.view(), nanoClock.getAsLong());
                    if (inode != null && content && inode.contentTold(metadata.view())) kernel.contentChanged(id);
                    long after = validity.attributesChanged(id, own);
                    if (after < 0) continue;
                    if (own) {
                        kernel.attributesChanged(id);
                        continue;
                    }
                    believedNanos = Math.max(believedNanos, after);
                    if (believed.isEmpty()) believed = new ArrayList<>();
                    believed.add(id);
                }
                case Change.EntryChanged(InodeId directory, FileName _) -> {
                    // first: who opens it from here on is not to keep what it reads
                    if (!own) believedNanos = Math.max(believedNanos, validity.namesChanged(directory));
                    if (listings.changed(directory, own) && !own) kernel.contentChanged(directory);
                }
                case Change.Orphaned(InodeId id) -> {
                    OpenInode inode = inodes.get(id);
                    if (inode != null) hold(inode, index);
                }
                case Change.PodsChanged() -> validity.podsChanged();
                case Change.Configured() -> forgetWishes();
                case Change.Replaced() -> {
                    replaced(index);
                    believedNanos = Math.max(believedNanos, validity.everythingChanged());
                }
                case Change.LocksChanged(InodeId id) -> locks.changed(id);
                case Change.Reaped _, Change.SlicesDiscarded _, Change.HoldersChanged _, Change.HolderDropped _ -> {}
            }
        }
        appliedIndex = index;
        teller.applied(index, believedNanos, believed);
    }

    /**
     * Who hears up to which log index this pod answers programs by what the log says, its kernel included; with growing
     * indexes, from any thread.
     */
    public void tell(LongConsumer listener) {
        teller.tell(listener);
    }

    /** Up to which log index orphans may be acknowledged: what is open here is held, and the log says so. */
    public long acknowledgeableIndex() {
        synchronized (holdsDue) {
            return holdsDue.isEmpty() ? appliedIndex : Math.min(appliedIndex, holdsDue.firstKey() - 1);
        }
    }

    private void hold(OpenInode inode, long index) {
        var held = new CompletableFuture<Void>();
        synchronized (holdsDue) {
            if (!inode.holdIfOpen(held)) return;
            holdsDue.merge(index, 1, Integer::sum);
        }
        Thread.ofVirtual().name("wormhole-hold").start(() -> {
            try {
                insist(new Command.Hold(inode.id, self));
            } finally {
                synchronized (holdsDue) {
                    holdsDue.merge(index, -1, (a, b) -> a + b == 0 ? null : a + b);
                }
                held.complete(null);
            }
        });
    }

    /** Proposes until the log has answered, whatever it says. */
    private void insist(Command command) {
        while (!ended) {
            try {
                Waiting.on(metadata.propose(command));
                return;
            } catch (IOException e) {
                LOG.log(System.Logger.Level.DEBUG, "proposed again: " + command, e);
            } catch (InterruptedException e) {
                throw new IllegalStateException("nobody interrupts this thread", e);
            }
            java.util.concurrent.locks.LockSupport.parkNanos(TimeUnit.SECONDS.toNanos(1));
        }
    }

    private void forgetWishes() {
        for (OpenInode inode : inodes.values()) inode.wish = null;
    }

    private void replaced(long index) {
        settings.validity().podsChanged();
        listings.everythingChanged();
        reader.forgetExtents();
        locks.wakeAll();
        for (OpenInode inode : inodes.values()) {
            inode.wish = null;
            inode.flagsFrom(metadata.view());
            if (inode.pagesUnknown()) kernel.contentChanged(inode.id);
            kernel.attributesChanged(inode.id);
            Attributes now = metadata.view().attributes(inode.id);
            if (now != null && now.links() == 0) hold(inode, index);
        }
    }

    // ---- waiting, proposing

    /** What any pod had committed before this is in the view from here on; without a network, what this pod has. */
    private void revalidate() throws IOException, InterruptedException {
        boolean stop = settings.onDisconnect() == FileSystemSettings.OnDisconnect.STOP;
        if (metadata.disconnected() && !stop) return;
        try {
            metadata.barrier();
        } catch (DisconnectedException e) {
            if (stop) throw e;
        }
    }

    /** Whether the flags of an open file forbid a change: nothing is refused for a flag that another pod has cleared. */
    private boolean forbids(OpenInode inode, int flags) throws IOException, InterruptedException {
        if ((inode.flags & flags) == 0) return false;
        revalidate();
        inode.flagsFrom(metadata.view());
        return (inode.flags & flags) != 0;
    }

    private boolean flagged(InodeId id, int flags) {
        Attributes now = metadata.view().attributes(id);
        return now != null && (now.flags() & flags) != 0;
    }

    /** Proposes a change that others are to see when this returns. */
    private Committed propose(Command command) throws IOException, InterruptedException {
        if (metadata.disconnected()) return disconnected();
        try {
            Committed committed = Waiting.on(metadata.propose(command));
            if (committed.outcome() instanceof Outcome.Done) awaitTold(committed.index());
            return committed;
        } catch (DisconnectedException e) {
            return disconnected();
        }
    }

    /** Waits until others see what this pod committed of the file. */
    private void awaitTold(OpenInode inode) throws IOException {
        long index = inode.ownIndex;
        if (index > 0) awaitTold(index);
    }

    /** An interrupt ends the wait; the change is made, and that is what the program is told. */
    private void awaitTold(long index) throws IOException {
        try {
            Waiting.on(metadata.told(index));
        } catch (InterruptedException e) {
            LOG.log(System.Logger.Level.DEBUG, "interrupted before all had seen entry {0}", index);
        }
    }

    private Committed disconnected() throws IOException {
        if (settings.onDisconnect() == FileSystemSettings.OnDisconnect.STOP)
            throw new DisconnectedException("this pod has lost the network");
        return new Committed(new Outcome.Refused(Errno.EROFS), 0);
    }

    private Outcome proposeFor(InodeId id, Command command) throws IOException, InterruptedException {
        Committed committed = propose(command);
        OpenInode inode = inodes.get(id);
        if (inode != null) inode.changedAt(committed.index());
        return committed.outcome();
    }

    @SuppressWarnings("NullAway") // Void has no value
    private static Answer<Void> done() {
        return Answer.ok(null);
    }

    private static <T> Answer<T> stale(Errno errno) {
        return Answer.refused(errno == Errno.ENOENT ? Errno.ESTALE : errno);
    }

    private long nowNanos() {
        Instant now = clock.instant();
        return now.getEpochSecond() * 1_000_000_000 + now.getNano();
    }

    // ---- names

    @Override
    public Answer<Entry> lookup(InodeId directory, FileName name) throws IOException, InterruptedException {
        revalidate();
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            long asOf = nanoClock.getAsLong();
            long entryNanos = settings.validity().entryNanos(directory);
            InodeId child = metadata.view().lookup(directory, name);
            Entry entry = child == null ? null : entry(entryNanos, child, true, asOf);
            if (child != null && entry == null) continue;
            kernelNames.told(
                    directory, name, entry != null && entry.attributes().isDirectory() ? child : null);
            return entry == null ? Answer.refused(Errno.ENOENT) : Answer.ok(entry);
        }
        return Answer.refused(Errno.ENOENT);
    }

    @Override
    public Answer<Entry> lookupSelf(InodeId inode) throws IOException, InterruptedException {
        revalidate();
        Entry entry = entry(0, inode, true, nanoClock.getAsLong());
        if (entry == null) return Answer.refused(Errno.ESTALE);
        OpenInode open = inodes.get(inode);
        boolean alive = entry.attributes().links() > 0 || open != null && open.opens() > 0;
        return alive ? Answer.ok(entry) : Answer.refused(Errno.ESTALE);
    }

    @Override
    public Answer<Entry> lookupParent(InodeId directory) throws IOException, InterruptedException {
        revalidate();
        InodeId parent = metadata.view().parent(directory);
        Entry entry = parent == null ? null : entry(0, parent, true, nanoClock.getAsLong());
        return entry == null ? Answer.refused(Errno.ESTALE) : Answer.ok(entry);
    }

    /**
     * @param entryNanos what was granted of the name, before it was looked up
     * @param asOfNanos when
     */
    private @Nullable Entry entry(long entryNanos, InodeId inode, boolean commitAppends, long asOfNanos)
            throws IOException, InterruptedException {
        long attributesNanos = settings.validity().attributesNanos(inode);
        Attributes attributes = current(inode, commitAppends);
        return attributes == null ? null : new Entry(attributes, entryNanos, attributesNanos, asOfNanos);
    }

    /** A name that this pod has just made. Null if others have already made something else of it. */
    private @Nullable Entry madeEntry(InodeId directory, @Nullable FileName name, InodeId inode)
            throws IOException, InterruptedException {
        long asOf = nanoClock.getAsLong();
        long entryNanos = name == null ? 0 : settings.validity().entryNanos(directory);
        if (name != null && !inode.equals(metadata.view().lookup(directory, name))) entryNanos = 0;
        return entry(entryNanos, inode, true, asOf);
    }

    private Answer<Entry> made(InodeId directory, FileName name, InodeId inode)
            throws IOException, InterruptedException {
        Entry entry = madeEntry(directory, name, inode);
        if (entry == null) return Answer.refused(Errno.ESTALE);
        if (entry.attributes().isDirectory()) kernelNames.told(directory, name, inode);
        return Answer.ok(entry);
    }

    @Override
    public Answer<Entry> make(
            Caller caller, InodeId directory, FileName name, FileType type, int permissions, int device, byte[] target)
            throws IOException, InterruptedException {
        if (metadata.view().lookup(directory, name) != null) {
            revalidate();
            if (metadata.view().lookup(directory, name) != null) return Answer.refused(Errno.EEXIST);
        }
        if (readOnly(directory)) return Answer.refused(Errno.EROFS);
        var id = new InodeId(nextId.getAsLong());
        Outcome outcome = propose(new Command.Create(
                        directory,
                        name,
                        id,
                        type,
                        permissions & 07777,
                        caller.uid(),
                        caller.gid(),
                        device,
                        target,
                        caller.umask()))
                .outcome();
        return switch (outcome) {
            case Outcome.Done _ -> made(directory, name, id);
            case Outcome.Refused(Errno errno) -> Answer.refused(errno);
        };
    }

    @Override
    public Answer<Created> create(Caller caller, InodeId directory, FileName name, int permissions, int flags)
            throws IOException, InterruptedException {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            if (metadata.view().lookup(directory, name) != null) {
                revalidate();
                InodeId existing = metadata.view().lookup(directory, name);
                if (existing != null) {
                    if ((flags & OpenFile.O_EXCL) != 0) return Answer.refused(Errno.EEXIST);
                    Attributes found = metadata.view().attributes(existing);
                    // a symbolic link, say, since the kernel looked: only it can follow, and looks again
                    if (found != null && !found.isDirectory() && found.type() != FileType.REGULAR)
                        return Answer.refused(Errno.ESTALE);
                    Answer<Opened> opened = openHere(existing, flags);
                    switch (opened) {
                        case Answer.Ok<Opened>(Opened file) -> {
                            Entry entry = madeEntry(directory, name, existing);
                            if (entry != null) return Answer.ok(new Created(entry, file));
                            release(file.handle());
                        }
                        case Answer.Refused<Opened>(Errno errno) -> {
                            if (errno != Errno.ESTALE) return Answer.refused(errno);
                        }
                    }
                    continue; // removed meanwhile
                }
            }
            Errno forbidden = writable(replication.wish(directory));
            if (forbidden != null) return Answer.refused(forbidden);
            var id = new InodeId(nextId.getAsLong());
            OpenInode inode = enter(id, true);
            boolean kept = false;
            try {
                Committed committed = propose(new Command.Create(
                        directory,
                        name,
                        id,
                        FileType.REGULAR,
                        permissions & 07777,
                        caller.uid(),
                        caller.gid(),
                        0,
                        new byte[0],
                        caller.umask()));
                inode.changedAt(committed.index());
                switch (committed.outcome()) {
                    case Outcome.Done _ -> {
                        Entry entry = madeEntry(directory, name, id);
                        if (entry == null) continue; // made and removed by others at once
                        Answer<Opened> opened =
                                handle(inode, flags, entry.attributes().content());
                        if (!(opened instanceof Answer.Ok<Opened>(Opened file))) return Answer.refused(Errno.EMFILE);
                        kept = true;
                        return Answer.ok(new Created(entry, file));
                    }
                    case Outcome.Refused(Errno errno) -> {
                        if (errno != Errno.EEXIST || (flags & OpenFile.O_EXCL) != 0) return Answer.refused(errno);
                    }
                }
            } finally {
                if (!kept) leave(inode);
            }
        }
        return Answer.refused(Errno.EBUSY);
    }

    @Override
    public Answer<Created> createUnnamed(Caller caller, InodeId directory, int permissions, int flags)
            throws IOException, InterruptedException {
        Attributes parent = metadata.view().attributes(directory);
        if (parent == null) return Answer.refused(Errno.ENOENT);
        if (!parent.isDirectory()) return Answer.refused(Errno.ENOTDIR);
        Errno forbidden = writable(replication.wish(directory));
        if (forbidden != null) return Answer.refused(forbidden);
        var id = new InodeId(nextId.getAsLong());
        OpenInode inode = enter(id, true);
        boolean kept = false;
        try {
            Committed committed = propose(new Command.CreateOrphan(
                    id, permissions & 07777, caller.uid(), caller.gid(), self, directory, caller.umask()));
            inode.changedAt(committed.index());
            if (committed.outcome() instanceof Outcome.Refused(Errno errno)) return Answer.refused(errno);
            inode.heldFromTheStart();
            Entry entry = madeEntry(directory, null, id);
            if (entry == null) return Answer.refused(Errno.ESTALE);
            Answer<Opened> opened = handle(inode, flags, entry.attributes().content());
            if (!(opened instanceof Answer.Ok<Opened>(Opened file))) return Answer.refused(Errno.EMFILE);
            kept = true;
            return Answer.ok(new Created(entry, file));
        } finally {
            if (!kept) leave(inode);
        }
    }

    @Override
    public Answer<Entry> link(InodeId inode, InodeId directory, FileName name)
            throws IOException, InterruptedException {
        if (readOnly(inode) || readOnly(directory)) return Answer.refused(Errno.EROFS);
        Outcome outcome = proposeFor(inode, new Command.Link(inode, directory, name));
        return switch (outcome) {
            case Outcome.Done _ -> made(directory, name, inode);
            case Outcome.Refused(Errno errno) -> Answer.refused(errno);
        };
    }

    @Override
    public Answer<Void> unlink(InodeId directory, FileName name) throws IOException, InterruptedException {
        return remove(directory, name, false);
    }

    @Override
    public Answer<Void> removeDirectory(InodeId directory, FileName name) throws IOException, InterruptedException {
        return remove(directory, name, true);
    }

    private Answer<Void> remove(InodeId directory, FileName name, boolean isDirectory)
            throws IOException, InterruptedException {
        InodeId refused = null;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            InodeId expected = metadata.view().lookup(directory, name);
            if (expected == null && attempt == 0) {
                revalidate(); // the view may be older than the program's other news
                expected = metadata.view().lookup(directory, name);
            }
            if (expected == null || expected.equals(refused)) return Answer.refused(Errno.ENOENT);
            if (isDirectory && kernelNames.mayMeanAnother(directory, name, expected))
                return Answer.refused(Errno.ESTALE);
            if (readOnly(directory) || readOnly(expected)) return Answer.refused(Errno.EROFS);
            Outcome outcome = proposeFor(
                    expected,
                    isDirectory
                            ? new Command.RemoveDirectory(directory, name, expected)
                            : new Command.Unlink(directory, name, expected));
            switch (outcome) {
                case Outcome.Done _ -> {
                    if (isDirectory) kernelNames.changed(directory, name);
                    return done();
                }
                case Outcome.Refused(Errno errno) -> {
                    if (errno != Errno.ENOENT) return Answer.refused(errno);
                    refused = expected; // the view now shows why
                }
            }
        }
        return Answer.refused(Errno.EBUSY);
    }

    @Override
    public Answer<Void> rename(
            InodeId fromDirectory, FileName fromName, InodeId toDirectory, FileName toName, RenameMode mode)
            throws IOException, InterruptedException {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            InodeId expected = metadata.view().lookup(fromDirectory, fromName);
            InodeId replaced = metadata.view().lookup(toDirectory, toName);
            if (attempt == 0
                    && (expected == null
                            || mode == RenameMode.NO_REPLACE && replaced != null
                            || mode == RenameMode.EXCHANGE && replaced == null)) {
                revalidate();
                continue;
            }
            if (expected == null) return Answer.refused(Errno.ENOENT);
            if (mode == RenameMode.NO_REPLACE && replaced != null) return Answer.refused(Errno.EEXIST);
            if (mode == RenameMode.EXCHANGE && replaced == null) return Answer.refused(Errno.ENOENT);
            if (mode == RenameMode.REPLACE && kernelNames.mayMeanAnother(toDirectory, toName, replaced))
                return Answer.refused(Errno.ESTALE);
            if (readOnly(fromDirectory)
                    || readOnly(expected)
                    || !toDirectory.equals(fromDirectory) && readOnly(toDirectory)
                    || replaced != null && readOnly(replaced)) return Answer.refused(Errno.EROFS);
            if (replaced != null && mode == RenameMode.REPLACE) {
                // what takes the place of committed bytes is committed first, so that a crash leaves one of them
                OpenInode renamed = inodes.get(expected);
                if (renamed != null && renamed.dirty) {
                    try {
                        writeBack.commit(renamed, false, null);
                    } catch (DisconnectedException e) {
                        return Answer.refused(Errno.EROFS);
                    } catch (OutOfSpaceException e) {
                        return Answer.refused(Errno.ENOSPC);
                    }
                }
            }
            Outcome outcome = proposeFor(
                    expected,
                    new Command.Rename(fromDirectory, fromName, expected, toDirectory, toName, replaced, mode));
            switch (outcome) {
                case Outcome.Done _ -> {
                    OpenInode renamed = inodes.get(expected);
                    if (renamed != null) renamed.wish = null; // another path may have other rules
                    // the kernel looks both names up before it uses them again
                    kernelNames.changed(fromDirectory, fromName);
                    kernelNames.changed(toDirectory, toName);
                    return done();
                }
                case Outcome.Refused(Errno errno) -> {
                    // something else than expected was there; it may be gone again, and is no reason for a program
                    if (errno == Errno.EEXIST && mode != RenameMode.NO_REPLACE) continue;
                    boolean looked = errno == Errno.ENOENT || errno == Errno.EEXIST;
                    boolean changed = !expected.equals(metadata.view().lookup(fromDirectory, fromName))
                            || !java.util.Objects.equals(
                                    replaced, metadata.view().lookup(toDirectory, toName));
                    if (!looked || !changed) return Answer.refused(errno);
                }
            }
        }
        return Answer.refused(Errno.EBUSY);
    }

    @Override
    public Answer<byte[]> readSymlink(InodeId inode) throws IOException, InterruptedException {
        byte[] target = metadata.view().symlinkTarget(inode);
        if (target == null) {
            revalidate();
            target = metadata.view().symlinkTarget(inode);
        }
        if (target != null) return Answer.ok(target);
        return Answer.refused(metadata.view().attributes(inode) == null ? Errno.ESTALE : Errno.EINVAL);
    }

    // ---- attributes

    @Override
    public Answer<Stat> attributes(InodeId inode, long handle) throws IOException, InterruptedException {
        revalidate();
        return stat(inode);
    }

    @Override
    public void forget(InodeId inode, long count) {
        // nothing is kept for a reference: see the class
    }

    private Answer<Stat> stat(InodeId inode) throws IOException, InterruptedException {
        long asOf = nanoClock.getAsLong();
        long attributesNanos = settings.validity().attributesNanos(inode);
        Attributes attributes = current(inode, true);
        return attributes == null
                ? Answer.refused(Errno.ESTALE)
                : Answer.ok(new Stat(attributes, attributesNanos, asOf));
    }

    /**
     * The inode as programs on this pod see it, with what is not committed yet; null if there is none.
     *
     * @param commitAppends appended bytes get their place first, so that the size is exact
     */
    private @Nullable Attributes current(InodeId id, boolean commitAppends) throws IOException, InterruptedException {
        OpenInode inode = inodes.get(id);
        if (inode == null) return metadata.view().attributes(id);
        if (commitAppends && inode.dirty) commitAppends(inode);
        if (!inode.dirty) {
            Attributes attributes = metadata.view().attributes(id);
            return attributes == null || inode.accessedNanos <= attributes.accessedNanos()
                    ? attributes
                    : merged(attributes, attributes.size(), attributes.allocatedBytes(), Long.MIN_VALUE, inode);
        }
        inode.lock.lock();
        try {
            Generation older = inode.committing;
            Generation newer = inode.current;
            Attributes attributes = metadata.view().attributes(id);
            if (attributes == null) return null;
            long size = Math.max(attributes.size(), inode.dirtyEnd());
            long fresh = 0;
            long modified = Long.MIN_VALUE;
            if (older != null) {
                fresh += older.ranges.bytes();
                modified = older.modifiedNanos;
            }
            if (newer != null) {
                fresh += newer.ranges.bytes();
                modified = Math.max(modified, newer.modifiedNanos);
                if (newer.append) size += newer.appended;
            }
            // overwritten bytes are not counted twice where the file is dense; exact again once committed
            long allocated = Math.max(attributes.allocatedBytes(), Math.min(size, attributes.allocatedBytes() + fresh));
            return merged(attributes, size, allocated, modified, inode);
        } finally {
            inode.lock.unlock();
        }
    }

    private static Attributes merged(Attributes a, long size, long allocated, long modifiedNanos, OpenInode inode) {
        boolean written = modifiedNanos != Long.MIN_VALUE;
        return new Attributes(
                a.inode(),
                a.type(),
                a.permissions(),
                a.links(),
                a.uid(),
                a.gid(),
                a.device(),
                size,
                allocated,
                Math.max(a.accessedNanos(), inode.accessedNanos),
                written ? modifiedNanos : a.modifiedNanos(),
                written ? Math.max(a.changedNanos(), modifiedNanos) : a.changedNanos(),
                a.bornNanos(),
                a.content(),
                a.layout(),
                a.flags());
    }

    @Override
    public Answer<Stat> setAttributes(InodeId id, long handle, Changes changes)
            throws IOException, InterruptedException {
        if (metadata.disconnected()) return Answer.refused(refusal(disconnected()));
        Long size = changes.size();
        OpenFile file = handle == 0 ? null : files.get(handle);
        OpenInode inode = file != null ? file.inode : inodes.get(id);
        if (size != null) {
            if (size < 0) return Answer.refused(Errno.EINVAL);
            if (file == null) { // a handle was judged when it was opened
                Errno forbidden = writable(replication.wish(id));
                if (forbidden != null) return Answer.refused(forbidden);
            }
        } else if (file == null && readOnly(id)) {
            return Answer.refused(Errno.EROFS);
        }
        if (changes.timesChosen() && flagged(id, InodeFlags.FIXED)) {
            revalidate();
            if (flagged(id, InodeFlags.FIXED)) return Answer.refused(Errno.EPERM);
        }
        Long accessed = changes.accessedNanos();
        if (accessed == null && inode != null && inode.accessedNanos != Long.MIN_VALUE) {
            Attributes now = metadata.view().attributes(id);
            if (now != null && inode.accessedNanos > now.accessedNanos()) accessed = inode.accessedNanos;
        }
        var command = new Command.SetAttributes(
                id,
                changes.permissions(),
                changes.uid(),
                changes.gid(),
                size,
                accessed,
                changes.modifiedNanos(),
                changes.killPrivileges());
        if (inode == null && size != null) {
            // pages of a file that is not open here may still be in the kernel
            Outcome outcome = proposeFor(id, command);
            return outcome instanceof Outcome.Refused(Errno errno) ? stale(errno) : stat(id);
        }
        Outcome outcome;
        OpenFile changing = size == null ? null : file;
        if (changing != null) beginChange(changing);
        try {
            outcome = inode == null
                    ? proposeFor(id, command)
                    : writeBack.commit(inode, false, command).outcome();
        } catch (DisconnectedException e) {
            return Answer.refused(refusal(disconnected()));
        } catch (OutOfSpaceException e) {
            return Answer.refused(Errno.ENOSPC);
        } finally {
            if (changing != null) changing.inode.endChange();
        }
        if (outcome instanceof Outcome.Refused(Errno errno)) return stale(errno);
        if (inode != null) {
            awaitTold(inode);
            if (changes.accessedNanos() != null) inode.accessedNanos = Long.MIN_VALUE;
            if (size != null) inode.accessedSinceChange = false;
        }
        return stat(id);
    }

    private static Errno refusal(Committed refused) {
        return refused.outcome() instanceof Outcome.Refused(Errno errno) ? errno : Errno.EIO;
    }

    // ---- open files

    /** Counts one more user of the inode; from here on it is held if its last name goes. */
    private OpenInode enter(InodeId id, boolean isNew) {
        OpenInode entered = inodes.compute(id, (key, known) -> {
            OpenInode inode = known != null
                    ? known
                    : new OpenInode(
                            id, isNew ? 0 : -1, isNew ? 0 : metadata.view().appliedIndex());
            inode.opened();
            return inode;
        });
        synchronized (closed) {
            closed.remove(entered);
        }
        return entered;
    }

    /** Ends what {@link #enter} began. */
    private void leave(OpenInode inode) {
        if (inode.closed() > 0) return;
        CompletableFuture<?> hold = inode.takeHoldIfClosed();
        if (hold != null) {
            Attributes now = metadata.view().attributes(inode.id);
            if (now == null || now.links() == 0) writeBack.drop(inode); // nobody can ever read what is not committed
            hold.thenRun(() -> Thread.ofVirtual()
                    .name("wormhole-release")
                    .start(() -> insist(new Command.Release(inode.id, self))));
        }
        if (inode.dirty) writeBack.requestCommit(inode);
        else retire(inode);
    }

    /** Keeps what is worth knowing of a closed inode, for a while. */
    private void retire(OpenInode inode) {
        OpenInode eldest = null;
        synchronized (closed) {
            closed.remove(inode);
            closed.add(inode);
            if (closed.size() > CLOSED_KEPT) {
                eldest = closed.iterator().next();
                closed.remove(eldest);
            }
        }
        if (eldest != null)
            inodes.computeIfPresent(eldest.id, (id, known) -> known.opens() == 0 && !known.dirty ? null : known);
    }

    /** A rule forbids changes of what the inode is, and of what is in it. */
    private boolean readOnly(InodeId id) {
        return replication.wish(id).readOnly();
    }

    private @Nullable Errno writable(Wish wish) {
        if (metadata.disconnected()) return Errno.EROFS;
        return wish.readOnly() || replication.presentStoringPods() < wish.minCopies() ? Errno.EROFS : null;
    }

    @Override
    public Answer<Opened> open(InodeId id, int flags) throws IOException, InterruptedException {
        revalidate();
        return openHere(id, flags);
    }

    private Answer<Opened> openHere(InodeId id, int flags) throws IOException, InterruptedException {
        OpenInode inode = enter(id, false);
        boolean kept = false;
        try {
            Attributes now = metadata.view().attributes(id);
            if (now == null) return Answer.refused(Errno.ESTALE);
            if (now.isDirectory()) return Answer.refused(Errno.EISDIR);
            if (now.type() != FileType.REGULAR) return Answer.refused(Errno.ESTALE);
            if (now.links() == 0 && inode.opens() == 1) return Answer.refused(Errno.ESTALE);
            inode.wish = null;
            if (OpenFile.writes(flags)) {
                boolean appends = (flags & (OpenFile.O_APPEND | OpenFile.O_TRUNC)) == OpenFile.O_APPEND;
                if ((now.flags() & (appends ? InodeFlags.IMMUTABLE : InodeFlags.FIXED)) != 0)
                    return Answer.refused(Errno.EPERM);
                Errno forbidden = writable(writeBack.wish(inode));
                if (forbidden != null) return Answer.refused(forbidden);
            }
            if (inode.dirty) commitAppends(inode);
            if ((flags & OpenFile.O_TRUNC) != 0) {
                Attributes seen = current(id, true);
                if (seen == null) return Answer.refused(Errno.ESTALE);
                if (seen.size() > 0 || seen.allocatedBytes() > 0) {
                    Committed truncated;
                    try {
                        truncated = writeBack.commit(
                                inode, false, new Command.SetAttributes(id, null, null, null, 0L, null, null, true));
                    } catch (DisconnectedException e) {
                        return Answer.refused(refusal(disconnected()));
                    } catch (OutOfSpaceException e) {
                        return Answer.refused(Errno.ENOSPC);
                    }
                    if (truncated.outcome() instanceof Outcome.Refused(Errno errno)) return stale(errno);
                    awaitTold(inode);
                }
                now = metadata.view().attributes(id);
                if (now == null) return Answer.refused(Errno.ESTALE);
            }
            Answer<Opened> opened = handle(inode, flags, now.content());
            kept = opened instanceof Answer.Ok<Opened>;
            return opened;
        } finally {
            if (!kept) leave(inode);
        }
    }

    private Answer<Opened> handle(OpenInode inode, int flags, long content) {
        var file = new OpenFile(inode, flags, content);
        long handle = files.add(file);
        if (handle == 0) return Answer.refused(Errno.EMFILE);
        inode.flagsFrom(metadata.view());
        boolean grows = inode.growsElsewhere(metadata.view(), nanoClock.getAsLong());
        boolean direct = file.append || file.onlyReads() && grows;
        boolean keep = inode.openedAt(content, direct) && !direct;
        // what was applied since the content was looked at was not told for pages that are only now right
        if (inode.contentTold(metadata.view())) kernel.contentChanged(inode.id);
        // reads of pages that it keeps are the kernel's alone: this open stands for them
        if (keep && file.onlyReads() && accessed(file)) kernel.attributesChanged(inode.id);
        return Answer.ok(new Opened(handle, keep, direct));
    }

    @Override
    public Answer<Integer> read(long handle, long offset, ByteBuffer into) throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null) return Answer.refused(Errno.EBADF);
        file.checkNotCutOff();
        if (offset < 0) return Answer.refused(Errno.EINVAL);
        if (metadata.disconnected() && settings.onDisconnect() == FileSystemSettings.OnDisconnect.STOP)
            throw new DisconnectedException("this pod has lost the network");
        OpenInode inode = file.inode;
        if (inode.dirty) commitAppends(inode);
        int count = reader.read(inode, offset, into);
        if (count < 0) return Answer.refused(Errno.ESTALE);
        accessed(file);
        return Answer.ok(count);
    }

    /** As relatime: noted when it is not newer than the last change, or a day old. Answers whether it was. */
    private boolean accessed(OpenFile file) {
        OpenInode inode = file.inode;
        if (!file.keepsAccessTime || inode.accessedSinceChange || (inode.flags & InodeFlags.NOATIME) != 0) return false;
        inode.accessedSinceChange = true;
        Attributes now = metadata.view().attributes(inode.id);
        if (now == null) return false;
        long known = Math.max(now.accessedNanos(), inode.accessedNanos);
        long clockNanos = nowNanos();
        boolean noted = known <= now.modifiedNanos() || known <= now.changedNanos() || clockNanos - known > DAY_NANOS;
        if (noted) inode.accessedNanos = clockNanos;
        return noted;
    }

    /** Appended bytes get their place, before anybody here looks at the file. */
    private void commitAppends(OpenInode inode) throws IOException, InterruptedException {
        inode.lock.lock();
        try {
            if (!inode.hasAppends()) return;
        } finally {
            inode.lock.unlock();
        }
        try {
            writeBack.commit(inode, false, null);
        } catch (DisconnectedException | OutOfSpaceException e) {
            // without a network, or room, they have no place yet; what is committed can be read
        }
    }

    @Override
    public Answer<Integer> write(long handle, long offset, ByteBuffer bytes, int how)
            throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null || !file.writable) return Answer.refused(Errno.EBADF);
        if (!bytes.hasRemaining()) return Answer.ok(0);
        if (offset < 0) return Answer.refused(Errno.EINVAL);
        boolean append = file.append && (how & AT_OFFSET) == 0;
        if (!append && offset > Long.MAX_VALUE - bytes.remaining()) return Answer.refused(Errno.EFBIG);
        // as Linux has it: a descriptor from before the file was append-only writes on wherever it likes
        int fixing = append == file.append ? InodeFlags.IMMUTABLE : InodeFlags.FIXED;
        if ((how & FROM_PAGES) == 0 && forbids(file.inode, fixing)) return Answer.refused(Errno.EPERM);
        if (metadata.disconnected()) return Answer.refused(refusal(disconnected()));
        beginChange(file);
        try {
            Answer<Integer> written =
                    writeBack.write(file, append, offset, bytes, nowNanos(), (how & KILL_PRIVILEGES) != 0);
            if ((file.inode.flags & InodeFlags.SYNC) != 0 && written instanceof Answer.Ok<Integer>)
                writeBack.sync(file.inode);
            return written;
        } catch (DisconnectedException e) {
            return Answer.refused(refusal(disconnected()));
        } catch (OutOfSpaceException e) {
            return Answer.refused(Errno.ENOSPC);
        } finally {
            file.inode.endChange();
        }
    }

    @Override
    public Answer<Void> flush(long handle) throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null) return Answer.refused(Errno.EBADF);
        file.checkNotCutOff();
        try {
            if (file.inode.dirty) writeBack.commit(file.inode, false, null);
            awaitTold(file.inode);
        } catch (DisconnectedException e) {
            return Answer.refused(refusal(disconnected()));
        } catch (OutOfSpaceException e) {
            file.lossesTold = file.inode.losses;
            return Answer.refused(Errno.ENOSPC);
        } catch (IOException e) {
            file.lossesTold = file.inode.losses;
            throw e;
        }
        tellLosses(file);
        return done();
    }

    @Override
    public Answer<Void> sync(long handle, boolean dataOnly) throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null) return Answer.refused(Errno.EBADF);
        file.checkNotCutOff();
        try {
            writeBack.sync(file.inode);
        } catch (DisconnectedException e) {
            return Answer.refused(refusal(disconnected()));
        } catch (OutOfSpaceException e) {
            file.lossesTold = file.inode.losses;
            return Answer.refused(Errno.ENOSPC);
        } catch (IOException e) {
            file.lossesTold = file.inode.losses;
            throw e;
        }
        tellLosses(file);
        return done();
    }

    private static void tellLosses(OpenFile file) throws IOException {
        int losses = file.inode.losses;
        if (losses == file.lossesTold) return;
        file.lossesTold = losses;
        throw new IOException("bytes written to " + file.inode.id + " could not be kept");
    }

    @Override
    public void release(long handle) {
        OpenFile file = files.remove(handle);
        if (file == null) return;
        try {
            for (OpenFile.Locker locker : file.released()) locks.end(file.inode.id, locker.space(), locker.owner());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // they go all the same
        }
        leave(file.inode);
    }

    /** Pairs with {@link OpenInode#endChange}. */
    private static void beginChange(OpenFile file) throws IOException {
        if (!file.inode.beginChange(file)) file.checkNotCutOff();
    }

    // ---- locks

    private FileLock lockOf(long handle, WantedLock wanted) {
        return new FileLock(
                wanted.whole() ? LockSpace.WHOLE : LockSpace.RANGES,
                new LockOwner(self, wanted.whole() ? handle : wanted.owner()),
                wanted.exclusive(),
                wanted.from(),
                wanted.to(),
                wanted.pid());
    }

    private static boolean isSound(WantedLock wanted) {
        return wanted.from() >= 0
                && wanted.to() >= wanted.from()
                && (!wanted.whole() || wanted.from() == 0 && wanted.to() == Long.MAX_VALUE);
    }

    @Override
    public Answer<Void> lock(long handle, WantedLock wanted, boolean wait) throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null) return Answer.refused(Errno.EBADF);
        if (!isSound(wanted)) return Answer.refused(Errno.EINVAL);
        if (!knowsLocks()) return Answer.refused(Errno.ENOLCK);
        FileLock lock = lockOf(handle, wanted);
        file.lockedBy(new OpenFile.Locker(lock.space(), lock.owner()));
        Answer<Void> answer = locks.lock(file, lock, wait);
        if (answer instanceof Answer.Ok<Void>) revalidate(file);
        return answer;
    }

    /** Whether this pod knows what became of its locks by now: what is decided from memory may have been taken away. */
    private boolean knowsLocks() throws IOException, InterruptedException {
        if (!metadata.disconnected()) {
            try {
                metadata.barrier();
                return true;
            } catch (DisconnectedException e) {
                // as if it had been lost before
            }
        }
        disconnected();
        return false;
    }

    /** What the program sees from here on is as of now. The lock is held already: an interrupt does not end this. */
    private void revalidate(OpenFile file) throws IOException {
        OpenInode inode = file.inode;
        Attributes now = metadata.view().attributes(inode.id);
        if (now == null) return;
        file.view = Math.max(file.view, now.content());
        if (inode.surelyHas(now.content())) return;
        kernel.contentChanged(inode.id);
        var dropped = new CompletableFuture<Void>();
        kernel.afterContent(inode.id, () -> dropped.complete(null));
        boolean interrupted = false;
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PAGES_DROPPED_MILLIS);
        try {
            while (true) {
                try {
                    long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
                    if (!Waiting.briefly(dropped, Math.max(0, left)))
                        throw new IOException("pages of " + inode.id + " could not be dropped within 10 s");
                    inode.droppedAt(now.content(), metadata.view());
                    return;
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) Thread.currentThread().interrupt();
        }
    }

    @Override
    public Answer<Void> unlock(long handle, WantedLock given) throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null) return Answer.refused(Errno.EBADF);
        if (!isSound(given)) return Answer.refused(Errno.EINVAL);
        FileLock lock = lockOf(handle, given);
        return locks.unlock(file.inode.id, lock.space(), lock.owner(), lock.from(), lock.to());
    }

    @Override
    public Answer<Optional<WantedLock>> lockInTheWay(long handle, WantedLock wanted)
            throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null) return Answer.refused(Errno.EBADF);
        if (!isSound(wanted)) return Answer.refused(Errno.EINVAL);
        if (!knowsLocks()) return Answer.refused(Errno.ENOLCK);
        return switch (locks.conflict(file, lockOf(handle, wanted))) {
            case Answer.Refused<Optional<FileLock>>(Errno errno) -> Answer.refused(errno);
            case Answer.Ok<Optional<FileLock>>(Optional<FileLock> found) ->
                Answer.ok(found.map(lock -> new WantedLock(
                        lock.space() == LockSpace.WHOLE,
                        lock.owner().key(),
                        lock.owner().pod().equals(self) ? lock.pid() : 0,
                        lock.exclusive(),
                        lock.from(),
                        lock.to())));
        };
    }

    @Override
    public void unlockAtClose(long handle, long owner) throws InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null) return;
        var locker = new LockOwner(self, owner);
        file.closedBy(new OpenFile.Locker(LockSpace.RANGES, locker));
        locks.end(file.inode.id, LockSpace.RANGES, locker);
    }

    /** The network is lost: programs that wait for a lock are told. */
    public void networkLost() {
        locks.wakeAll();
    }

    @Override
    public Answer<Void> allocate(long handle, long offset, long length, int mode)
            throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null || !file.writable) return Answer.refused(Errno.EBADF);
        if (offset < 0 || length <= 0) return Answer.refused(Errno.EINVAL);
        if (offset > Long.MAX_VALUE - length) return Answer.refused(Errno.EFBIG);
        boolean punch = mode == (PUNCH_HOLE | KEEP_SIZE);
        boolean zero = (mode & ~KEEP_SIZE) == ZERO_RANGE;
        if (!punch && !zero && (mode & ~KEEP_SIZE) != 0) return Answer.refused(Errno.EOPNOTSUPP);
        int fixing = mode == 0 || mode == KEEP_SIZE ? InodeFlags.IMMUTABLE : InodeFlags.FIXED;
        if (forbids(file.inode, fixing)) return Answer.refused(Errno.EPERM);
        if (metadata.disconnected()) return Answer.refused(refusal(disconnected()));
        OpenInode inode = file.inode;
        beginChange(file);
        try {
            if (punch || zero) {
                Committed committed =
                        writeBack.commit(inode, false, new Command.PunchHole(inode.id, offset, length, nowNanos()));
                if (committed.outcome() instanceof Outcome.Refused(Errno errno)) return stale(errno);
            } else {
                Attributes now = current(inode.id, true);
                if (now == null) return Answer.refused(Errno.ESTALE);
                long added = offset + length - Math.max(offset, Math.min(now.size(), offset + length));
                if (added > store.usage().freeBytes()
                        && added > replication.capacity().freeBytes()
                        && replication.rooms().stream().noneMatch(room -> room.freeBytes() >= added))
                    return Answer.refused(Errno.ENOSPC);
            }
            if ((mode & KEEP_SIZE) == 0) {
                Attributes now = current(inode.id, true);
                if (now == null) return Answer.refused(Errno.ESTALE);
                if (offset + length > now.size()) writeBack.extend(file, offset + length, nowNanos());
            }
        } catch (DisconnectedException e) {
            return Answer.refused(refusal(disconnected()));
        } catch (OutOfSpaceException e) {
            return Answer.refused(Errno.ENOSPC);
        } finally {
            inode.endChange();
        }
        return done();
    }

    @Override
    public Answer<Long> seek(long handle, long offset, int whence) throws IOException, InterruptedException {
        OpenFile file = files.get(handle);
        if (file == null) return Answer.refused(Errno.EBADF);
        file.checkNotCutOff();
        if (whence != SEEK_DATA && whence != SEEK_HOLE) return Answer.refused(Errno.EINVAL);
        if (offset < 0) return Answer.refused(Errno.ENXIO);
        if (file.inode.dirty) commitAppends(file.inode);
        long found = reader.seek(file.inode, offset, whence == SEEK_DATA);
        return found < 0 ? Answer.refused(Errno.ENXIO) : Answer.ok(found);
    }

    @Override
    public Answer<Long> copyRange(long fromHandle, long fromOffset, long toHandle, long toOffset, long length)
            throws IOException, InterruptedException {
        OpenFile from = files.get(fromHandle);
        OpenFile to = files.get(toHandle);
        if (from == null || to == null || !to.writable || to.append) return Answer.refused(Errno.EBADF);
        if (fromOffset < 0 || toOffset < 0 || length < 0) return Answer.refused(Errno.EINVAL);
        if (toOffset > Long.MAX_VALUE - length || fromOffset > Long.MAX_VALUE - length)
            return Answer.refused(Errno.EFBIG);
        if (forbids(to.inode, InodeFlags.IMMUTABLE)) return Answer.refused(Errno.EPERM);
        if (from.inode == to.inode && fromOffset < toOffset + length && toOffset < fromOffset + length && length > 0)
            return Answer.refused(Errno.EINVAL);
        if (metadata.disconnected()) return Answer.refused(refusal(disconnected()));
        from.checkNotCutOff();
        beginChange(to);
        try {
            for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
                writeBack.commit(from.inode, false, null);
                writeBack.commit(to.inode, false, null);
                Attributes source = metadata.view().attributes(from.inode.id);
                Attributes target = metadata.view().attributes(to.inode.id);
                if (source == null || target == null) return Answer.refused(Errno.ESTALE);
                long count = Math.min(length, source.size() - fromOffset);
                if (count <= 0) return Answer.ok(0L);
                long end = fromOffset + count;
                var shared = new ArrayList<Extent>();
                long covered = 0;
                for (Extent extent : metadata.view().extents(from.inode.id, fromOffset, end, COPY_EXTENTS_MAX + 1)) {
                    if (shared.size() == COPY_EXTENTS_MAX) {
                        end = extent.fileOffset();
                        count = end - fromOffset;
                        break;
                    }
                    Extent part = extent.within(fromOffset, end);
                    covered += part.length();
                    shared.add(new Extent(
                            part.fileOffset() - fromOffset + toOffset,
                            part.length(),
                            part.slice(),
                            part.sliceOffset()));
                }
                long now = nowNanos();
                if (covered < count && target.allocatedBytes() > 0) {
                    Committed punched = Waiting.on(writeBack.proposeOwn(
                            to.inode, new Command.PunchHole(to.inode.id, toOffset, count, now), true));
                    if (punched.outcome() instanceof Outcome.Refused(Errno errno)) return stale(errno);
                }
                Committed committed = Waiting.on(writeBack.proposeOwn(
                        to.inode,
                        new Command.Write(
                                to.inode.id,
                                Math.max(to.view, target.content()),
                                List.of(),
                                shared,
                                toOffset + count,
                                now,
                                0,
                                true),
                        true));
                switch (committed.outcome()) {
                    case Outcome.Done _ -> {
                        to.inode.accessedSinceChange = false;
                        return Answer.ok(count);
                    }
                    case Outcome.Refused(Errno errno) -> {
                        if (errno != Errno.ESTALE) return stale(errno); // else: overwritten meanwhile, look again
                    }
                }
            }
        } catch (DisconnectedException e) {
            return Answer.refused(refusal(disconnected()));
        } catch (OutOfSpaceException e) {
            return Answer.refused(Errno.ENOSPC);
        } finally {
            to.inode.endChange();
        }
        return Answer.refused(Errno.EBUSY);
    }

    // ---- directories

    @Override
    public Answer<Opened> openDirectory(InodeId directory) throws IOException, InterruptedException {
        revalidate();
        Attributes now = metadata.view().attributes(directory);
        if (now == null) return Answer.refused(Errno.ESTALE);
        if (!now.isDirectory()) return Answer.refused(Errno.ENOTDIR);
        long handle = directories.add(new OpenDirectory(directory));
        if (handle == 0) return Answer.refused(Errno.EMFILE);
        long asOf = nanoClock.getAsLong();
        long changes = listings.changes();
        boolean kept = listings.isKept(directory, asOf);
        boolean keep = kept
                || listings.readsAnew(
                        directory, asOf, changes, settings.validity().entryNanos(directory));
        return Answer.ok(new Opened(handle, kept, !keep));
    }

    @Override
    public Answer<Void> list(long handle, long afterCookie, boolean attributes, ListingSink sink)
            throws IOException, InterruptedException {
        OpenDirectory open = directories.get(handle);
        if (open == null) return Answer.refused(Errno.EBADF);
        if (afterCookie < 0) return Answer.refused(Errno.EINVAL);
        synchronized (open) {
            if (afterCookie == 0) open.splits.clear();
            listFrom(open, afterCookie, attributes, sink);
        }
        return done();
    }

    private void listFrom(OpenDirectory open, long afterCookie, boolean attributes, ListingSink sink)
            throws IOException, InterruptedException {
        InodeId directory = open.inode;
        if (afterCookie < COOKIE_SELF
                && !sink.take(new Listed(new byte[] {'.'}, directory, FileType.DIRECTORY, COOKIE_SELF, null))) return;
        if (afterCookie < COOKIE_PARENT) {
            InodeId parent = metadata.view().parent(directory);
            var up = new Listed(
                    new byte[] {'.', '.'},
                    parent == null ? directory : parent,
                    FileType.DIRECTORY,
                    COOKIE_PARENT,
                    null);
            if (!sink.take(up)) return;
        }
        long after = afterCookie <= COOKIE_PARENT ? 0 : afterCookie;
        // names that share the cookie and were not taken last time come first
        FileName behind = open.splits.remove(after);
        if (behind != null) after--;
        DirectoryEntry last = null;
        while (true) {
            long asOf = nanoClock.getAsLong();
            long entryNanos = attributes ? settings.validity().entryNanos(directory) : 0;
            List<DirectoryEntry> batch = metadata.view().entries(directory, after, LIST_BATCH);
            if (batch.isEmpty()) return;
            for (DirectoryEntry entry : batch) {
                after = entry.cookie();
                if (behind != null) {
                    if (entry.cookie() == afterCookie && entry.name().compareTo(behind) <= 0) {
                        last = entry;
                        continue;
                    }
                    if (entry.cookie() != afterCookie) behind = null;
                }
                Entry full = null;
                if (attributes) {
                    full = entry(entryNanos, entry.inode(), false, asOf);
                    if (full == null) continue; // removed meanwhile
                    if (entryNanos > 0 && entry.type() == FileType.DIRECTORY)
                        kernelNames.told(directory, entry.name(), entry.inode());
                }
                var listed = new Listed(entry.name().bytes(), entry.inode(), entry.type(), entry.cookie(), full);
                if (!sink.take(listed)) {
                    if (last != null && last.cookie() == entry.cookie()) open.splits.put(last.cookie(), last.name());
                    return;
                }
                last = entry;
            }
        }
    }

    @Override
    public Answer<Void> syncDirectory(long handle, boolean dataOnly) throws IOException, InterruptedException {
        if (directories.get(handle) == null) return Answer.refused(Errno.EBADF);
        try {
            writeBack.awaitOnDisks(metadata.view().appliedIndex());
        } catch (DisconnectedException e) {
            return Answer.refused(refusal(disconnected()));
        }
        return done();
    }

    @Override
    public void releaseDirectory(long handle) {
        directories.remove(handle);
    }

    // ---- extended attributes

    @Override
    public Answer<byte[]> xattr(InodeId inode, byte[] name) throws IOException, InterruptedException {
        revalidate();
        if (isSystem(name) && !java.util.Arrays.equals(name, Acl.ACCESS) && !java.util.Arrays.equals(name, Acl.DEFAULT))
            return Answer.refused(Errno.EOPNOTSUPP);
        byte[] value = metadata.view().xattr(inode, name);
        if (value != null) return Answer.ok(value);
        return Answer.refused(metadata.view().attributes(inode) == null ? Errno.ESTALE : Errno.ENODATA);
    }

    @Override
    public Answer<List<byte[]>> xattrNames(InodeId inode) throws IOException, InterruptedException {
        revalidate();
        return metadata.view().attributes(inode) == null
                ? Answer.refused(Errno.ESTALE)
                : Answer.ok(metadata.view().xattrNames(inode));
    }

    @Override
    public Answer<Void> setXattr(InodeId inode, byte[] name, byte[] value, XattrMode mode)
            throws IOException, InterruptedException {
        if (name.length == 0 || name.length > XATTR_NAME_MAX) return Answer.refused(Errno.ERANGE);
        if (value.length > XATTR_VALUE_MAX) return Answer.refused(Errno.E2BIG);
        if (isSystem(name)) return Answer.refused(Errno.EOPNOTSUPP);
        if (readOnly(inode)) return Answer.refused(Errno.EROFS);
        Outcome outcome = proposeFor(inode, new Command.SetXattr(inode, name, value, mode));
        return outcome instanceof Outcome.Refused(Errno errno) ? stale(errno) : done();
    }

    @Override
    public Answer<Void> removeXattr(InodeId inode, byte[] name) throws IOException, InterruptedException {
        if (name.length == 0 || name.length > XATTR_NAME_MAX) return Answer.refused(Errno.ERANGE);
        if (isSystem(name)) return Answer.refused(Errno.EOPNOTSUPP);
        if (readOnly(inode)) return Answer.refused(Errno.EROFS);
        Outcome outcome = proposeFor(inode, new Command.RemoveXattr(inode, name));
        return outcome instanceof Outcome.Refused(Errno errno) ? stale(errno) : done();
    }

    private static boolean isSystem(byte[] name) {
        return name.length >= SYSTEM.length
                && java.util.Arrays.equals(name, 0, SYSTEM.length, SYSTEM, 0, SYSTEM.length);
    }

    @Override
    public Answer<Void> setAcl(InodeId inode, boolean isDefault, byte[] acl, boolean killSetgid)
            throws IOException, InterruptedException {
        if (readOnly(inode)) return Answer.refused(Errno.EROFS);
        if (Acl.isEmpty(acl)) { // programs that copy files take away what mostly is not there
            revalidate();
            byte[] name = isDefault ? Acl.DEFAULT : Acl.ACCESS;
            if (metadata.view().attributes(inode) != null && metadata.view().xattr(inode, name) == null)
                return Answer.refused(Errno.ENODATA);
        }
        Outcome outcome = proposeFor(inode, new Command.SetAcl(inode, isDefault, acl, killSetgid));
        return outcome instanceof Outcome.Refused(Errno errno) ? stale(errno) : done();
    }

    @Override
    public Answer<Void> setFlags(InodeId inode, int flags) throws IOException, InterruptedException {
        if (readOnly(inode)) return Answer.refused(Errno.EROFS);
        Outcome outcome = proposeFor(inode, new Command.SetFlags(inode, flags));
        return outcome instanceof Outcome.Refused(Errno errno) ? stale(errno) : done();
    }

    // ---- the whole

    @Override
    public Space space() {
        Replication.Capacity capacity = replication.capacity();
        long inodesUsed = metadata.view().totals().inodes();
        long inodesFree = 1L << 32;
        return new Space(
                capacity.totalBytes() / 4096, capacity.freeBytes() / 4096, inodesUsed + inodesFree, inodesFree);
    }

    /**
     * Commits what is new and ends all work in the background; the mount is gone by then.
     *
     * @throws IOException when not everything could be committed within the deadline
     */
    @Override
    public void close() throws IOException {
        ended = true;
        locks.close();
        writeBack.close();
    }

    /** Ends as a power failure would: nothing is committed any more. */
    void crash() {
        ended = true;
        locks.close();
        writeBack.crash();
    }
}
