// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.lock.Deadlocks;
import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Acl;
import dev.wormhole.model.Answer;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeFlags;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Command.RenameMode;
import dev.wormhole.namespace.Command.XattrMode;
import dev.wormhole.vfs.FileSystem;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** A whole filesystem in memory, with the semantics that {@link FileSystem} states: the fake that real mounts serve. */
class MemoryFileSystem implements FileSystem {
    private static final int O_ACCMODE = 3;
    private static final int O_EXCL = 0200;
    private static final int O_TRUNC = 01000;
    private static final int O_APPEND = 02000;
    private static final int CHUNK = 128 << 10;
    private static final long SECOND = 1_000_000_000L;

    private static final class Node {
        final InodeId id;
        final FileType type;
        int permissions;
        int links;
        int uid;
        int gid;
        int device;
        long size;
        long accessed;
        long modified;
        long changed;
        long born;
        long content;
        int flags;
        int opens;
        byte[] target = new byte[0];

        @Nullable Node parent;

        final TreeMap<FileName, Name> names = new TreeMap<>();
        final TreeMap<Long, Name> order = new TreeMap<>();
        long cookies = 2;
        final List<byte @Nullable []> chunks = new ArrayList<>();
        final TreeMap<FileName, byte[]> xattrs = new TreeMap<>();
        final LockTable locks = new LockTable();

        Node(long id, FileType type) {
            this.id = new InodeId(id);
            this.type = type;
        }

        long allocated() {
            long bytes = 0;
            for (byte[] chunk : chunks) if (chunk != null) bytes += CHUNK;
            return bytes;
        }
    }

    private record Name(FileName name, Node node, long cookie) {}

    /** @param lockers who locked through it and has not closed it since */
    private record Handle(Node node, int flags, Set<LockOwner> lockers) {
        Handle(Node node, int flags) {
            this(node, flags, new HashSet<>(0));
        }
    }

    private static final Incarnation SELF = new Incarnation(1);

    private final Object lock = new Object();
    private final Map<Long, Node> nodes = new ConcurrentHashMap<>();
    private final Map<Long, Handle> handles = new ConcurrentHashMap<>();
    private final AtomicLong ids = new AtomicLong(1);
    /** References that the kernel holds, by inode. */
    final Map<Long, Long> references = new ConcurrentHashMap<>();

    volatile @Nullable KernelCache kernel;
    volatile long validNanos = SECOND;
    volatile boolean keepCache = true;
    volatile boolean fromMemory = true;

    MemoryFileSystem() {
        var root = new Node(ids.getAndIncrement(), FileType.DIRECTORY);
        root.permissions = 0755;
        root.links = 2;
        root.parent = root;
        root.accessed = root.modified = root.changed = root.born = now();
        nodes.put(1L, root);
    }

    private static long now() {
        Instant now = Instant.now();
        return now.getEpochSecond() * SECOND + now.getNano();
    }

    @SuppressWarnings("NullAway") // an Answer<Void> has nothing else to say
    static Answer<Void> done() {
        return new Answer.Ok<>(null);
    }

    private static <T> Answer<T> no(Errno errno) {
        return Answer.refused(errno);
    }

    private @Nullable Node node(InodeId id) {
        return nodes.get(id.value());
    }

    private Handle handle(long handle) {
        Handle open = handles.get(handle);
        if (open == null) throw new IllegalStateException("handle " + handle);
        return open;
    }

    private static Attributes attributes(Node n) {
        return new Attributes(
                n.id,
                n.type,
                n.permissions,
                n.links,
                n.uid,
                n.gid,
                n.device,
                n.type == FileType.SYMLINK ? n.target.length : n.size,
                n.allocated(),
                n.accessed,
                n.modified,
                n.changed,
                n.born,
                n.content,
                0,
                n.flags);
    }

    private Entry entry(Node n, boolean counted) {
        if (counted) references.merge(n.id.value(), 1L, Long::sum);
        return new Entry(attributes(n), validNanos, validNanos, System.nanoTime());
    }

    private Stat stat(Node n) {
        return new Stat(attributes(n), validNanos, System.nanoTime());
    }

    @Override
    public void attach(KernelCache cache) {
        kernel = cache;
    }

    @Override
    public boolean answersFromMemory() {
        return fromMemory;
    }

    @Override
    public Answer<Entry> lookup(InodeId directory, FileName name) throws IOException, InterruptedException {
        synchronized (lock) {
            Node parent = node(directory);
            Name found = parent == null ? null : parent.names.get(name);
            return found == null ? no(Errno.ENOENT) : Answer.ok(entry(found.node, true));
        }
    }

    @Override
    public Answer<Entry> lookupSelf(InodeId inode) {
        synchronized (lock) {
            Node n = node(inode);
            return n == null || n.links == 0 && n.opens == 0 ? no(Errno.ESTALE) : Answer.ok(entry(n, true));
        }
    }

    @Override
    public Answer<Entry> lookupParent(InodeId directory) {
        synchronized (lock) {
            Node n = node(directory);
            return n == null || n.parent == null ? no(Errno.ESTALE) : Answer.ok(entry(n.parent, true));
        }
    }

    @Override
    public Answer<Stat> attributes(InodeId inode, long handle) throws IOException, InterruptedException {
        synchronized (lock) {
            Node n = node(inode);
            return n == null ? no(Errno.ESTALE) : Answer.ok(stat(n));
        }
    }

    @Override
    public void forget(InodeId inode, long count) {
        references.compute(inode.value(), (id, had) -> {
            if (had == null || had < count) throw new IllegalStateException("forget " + count + " of " + had);
            return had == count ? null : had - count;
        });
    }

    @Override
    public Answer<Stat> setAttributes(InodeId inode, long handle, Changes changes)
            throws IOException, InterruptedException {
        synchronized (lock) {
            Node n = node(inode);
            if (n == null) return no(Errno.ESTALE);
            long now = now();
            if (isFixed(n)) return no(Errno.EPERM);
            if (changes.permissions() != null) {
                n.permissions = changes.permissions();
                Acl acl = Acl.decode(n.xattrs.getOrDefault(key(Acl.ACCESS), NO_BYTES));
                if (acl != null) access(n, acl.withPermissions(n.permissions));
            }
            if (changes.uid() != null) n.uid = changes.uid();
            if (changes.gid() != null) n.gid = changes.gid();
            if (changes.size() != null) {
                resize(n, changes.size());
                n.modified = now;
                n.content++;
            }
            if (changes.killPrivileges()) killPrivileges(n);
            if (changes.accessedNanos() != null) n.accessed = changes.accessedNanos();
            if (changes.modifiedNanos() != null) n.modified = changes.modifiedNanos();
            n.changed = now;
            return Answer.ok(stat(n));
        }
    }

    private static void killPrivileges(Node n) {
        n.permissions &= ~04000;
        if ((n.permissions & 010) != 0) n.permissions &= ~02000;
    }

    private static void resize(Node n, long size) {
        synchronized (n) {
            resizeLocked(n, size);
        }
    }

    private static void resizeLocked(Node n, long size) {
        if (size < n.size) {
            int keep = (int) ((size + CHUNK - 1) / CHUNK);
            while (n.chunks.size() > keep) n.chunks.removeLast();
            zero(n, size, n.size);
        }
        n.size = size;
    }

    private static void zero(Node n, long from, long to) {
        long at = from;
        while (at < to) {
            int index = (int) (at / CHUNK);
            int offset = (int) (at % CHUNK);
            int length = (int) Math.min(CHUNK - offset, to - at);
            if (index < n.chunks.size()) {
                byte[] chunk = n.chunks.get(index);
                if (length == CHUNK) n.chunks.set(index, null);
                else if (chunk != null) Arrays.fill(chunk, offset, offset + length, (byte) 0);
            }
            at += length;
        }
    }

    @Override
    public Answer<byte[]> readSymlink(InodeId inode) {
        synchronized (lock) {
            Node n = node(inode);
            return n == null ? no(Errno.ESTALE) : Answer.ok(n.target);
        }
    }

    private Answer<Node> add(
            Caller caller,
            InodeId directory,
            FileName name,
            FileType type,
            int permissions,
            int device,
            byte[] target) {
        Node parent = node(directory);
        if (parent == null || parent.links == 0) return no(Errno.ENOENT);
        if (parent.names.containsKey(name)) return no(Errno.EEXIST);
        if ((parent.flags & InodeFlags.IMMUTABLE) != 0) return no(Errno.EPERM);
        var n = fresh(caller, parent, type, permissions);
        n.device = device;
        n.target = target;
        n.links = type == FileType.DIRECTORY ? 2 : 1;
        n.parent = parent;
        if (type == FileType.DIRECTORY) parent.links++;
        put(parent, name, n);
        return Answer.ok(n);
    }

    private Node fresh(Caller caller, Node parent, FileType type, int permissions) {
        var n = new Node(ids.getAndIncrement(), type);
        boolean inherit = (parent.permissions & 02000) != 0;
        n.permissions = permissions | (inherit && type == FileType.DIRECTORY ? 02000 : 0);
        n.uid = caller.uid();
        n.gid = inherit ? parent.gid : caller.gid();
        n.flags = InodeFlags.inherited(parent.flags, type);
        byte[] acl = type == FileType.SYMLINK ? null : parent.xattrs.get(key(Acl.DEFAULT));
        Acl inherited = acl == null ? null : Acl.decode(acl);
        if (inherited == null) {
            n.permissions &= ~caller.umask();
        } else {
            access(n, inherited.forNew(n.permissions));
            if (type == FileType.DIRECTORY) n.xattrs.put(key(Acl.DEFAULT), inherited.encode());
        }
        n.accessed = n.modified = n.changed = n.born = now();
        nodes.put(n.id.value(), n);
        return n;
    }

    private static final byte[] NO_BYTES = {};

    private static boolean isFixed(Node n) {
        return (n.flags & InodeFlags.FIXED) != 0;
    }

    private static void access(Node n, Acl acl) {
        n.permissions = n.permissions & ~0777 | acl.permissions();
        if (acl.isExtended()) n.xattrs.put(key(Acl.ACCESS), acl.encode());
        else n.xattrs.remove(key(Acl.ACCESS));
    }

    private static void put(Node parent, FileName name, Node n) {
        var entry = new Name(name, n, ++parent.cookies);
        parent.names.put(name, entry);
        parent.order.put(entry.cookie, entry);
        parent.modified = parent.changed = now();
    }

    private static void take(Node parent, FileName name) {
        Name gone = parent.names.remove(name);
        if (gone != null) parent.order.remove(gone.cookie);
        parent.modified = parent.changed = now();
    }

    @Override
    public Answer<Entry> make(
            Caller caller,
            InodeId directory,
            FileName name,
            FileType type,
            int permissions,
            int device,
            byte[] target) {
        synchronized (lock) {
            return switch (add(caller, directory, name, type, permissions, device, target)) {
                case Answer.Ok<Node>(var n) -> Answer.ok(entry(n, true));
                case Answer.Refused<Node>(var errno) -> no(errno);
            };
        }
    }

    private Opened opened(Node n, int flags) {
        long handle = ids.getAndIncrement();
        n.opens++;
        handles.put(handle, new Handle(n, flags));
        return new Opened(handle, keepCache, false);
    }

    @Override
    public Answer<Created> create(Caller caller, InodeId directory, FileName name, int permissions, int flags)
            throws IOException, InterruptedException {
        synchronized (lock) {
            Node parent = node(directory);
            Name old = parent == null ? null : parent.names.get(name);
            if (old != null) {
                if ((flags & O_EXCL) != 0) return no(Errno.EEXIST);
                if ((flags & O_TRUNC) != 0) resize(old.node, 0);
                return Answer.ok(new Created(entry(old.node, true), opened(old.node, flags)));
            }
            return switch (add(caller, directory, name, FileType.REGULAR, permissions, 0, new byte[0])) {
                case Answer.Ok<Node>(var n) -> Answer.ok(new Created(entry(n, true), opened(n, flags)));
                case Answer.Refused<Node>(var errno) -> no(errno);
            };
        }
    }

    @Override
    public Answer<Created> createUnnamed(Caller caller, InodeId directory, int permissions, int flags) {
        synchronized (lock) {
            Node parent = node(directory);
            if (parent == null) return no(Errno.ENOENT);
            Node n = fresh(caller, parent, FileType.REGULAR, permissions);
            return Answer.ok(new Created(entry(n, true), opened(n, flags)));
        }
    }

    @Override
    public Answer<Entry> link(InodeId inode, InodeId directory, FileName name) {
        synchronized (lock) {
            Node n = node(inode);
            Node parent = node(directory);
            if (n == null || parent == null) return no(Errno.ENOENT);
            if (parent.names.containsKey(name)) return no(Errno.EEXIST);
            n.links++;
            n.changed = now();
            put(parent, name, n);
            return Answer.ok(entry(n, true));
        }
    }

    @Override
    public Answer<Void> unlink(InodeId directory, FileName name) throws IOException, InterruptedException {
        synchronized (lock) {
            Node parent = node(directory);
            Name found = parent == null ? null : parent.names.get(name);
            if (parent == null || found == null) return no(Errno.ENOENT);
            if (found.node.type == FileType.DIRECTORY) return no(Errno.EISDIR);
            if (isFixed(found.node) || isFixed(parent)) return no(Errno.EPERM);
            take(parent, name);
            lostName(found.node);
            return done();
        }
    }

    private void lostName(Node n) {
        n.links = n.type == FileType.DIRECTORY ? 0 : n.links - 1;
        n.changed = now();
        if (n.links == 0 && n.opens == 0) nodes.remove(n.id.value());
    }

    @Override
    public Answer<Void> removeDirectory(InodeId directory, FileName name) {
        synchronized (lock) {
            Node parent = node(directory);
            Name found = parent == null ? null : parent.names.get(name);
            if (parent == null || found == null) return no(Errno.ENOENT);
            if (found.node.type != FileType.DIRECTORY) return no(Errno.ENOTDIR);
            if (!found.node.names.isEmpty()) return no(Errno.ENOTEMPTY);
            take(parent, name);
            parent.links--;
            lostName(found.node);
            return done();
        }
    }

    @Override
    public Answer<Void> rename(
            InodeId fromDirectory, FileName fromName, InodeId toDirectory, FileName toName, RenameMode mode) {
        synchronized (lock) {
            Node from = node(fromDirectory);
            Node to = node(toDirectory);
            Name source = from == null ? null : from.names.get(fromName);
            if (from == null || to == null || source == null) return no(Errno.ENOENT);
            Name target = to.names.get(toName);
            if (target != null && mode == RenameMode.NO_REPLACE) return no(Errno.EEXIST);
            if (target == null && mode == RenameMode.EXCHANGE) return no(Errno.ENOENT);
            if (target != null && target.node == source.node) return done();
            if (isFixed(from) || isFixed(source.node) || target != null && isFixed(target.node)) return no(Errno.EPERM);
            boolean directory = source.node.type == FileType.DIRECTORY;
            if (target != null && mode == RenameMode.REPLACE) {
                boolean onto = target.node.type == FileType.DIRECTORY;
                if (directory && !onto) return no(Errno.ENOTDIR);
                if (!directory && onto) return no(Errno.EISDIR);
                if (!target.node.names.isEmpty()) return no(Errno.ENOTEMPTY);
                if (onto) to.links--;
                lostName(target.node);
            }
            take(from, fromName);
            if (target != null) take(to, toName);
            moveIn(source.node, from, to, toName);
            if (target != null && mode == RenameMode.EXCHANGE) moveIn(target.node, to, from, fromName);
            return done();
        }
    }

    private static void moveIn(Node n, Node from, Node to, FileName name) {
        put(to, name, n);
        n.changed = now();
        if (n.type == FileType.DIRECTORY) {
            from.links--;
            to.links++;
            n.parent = to;
        }
    }

    @Override
    public Answer<Opened> open(InodeId inode, int flags) throws IOException, InterruptedException {
        synchronized (lock) {
            Node n = node(inode);
            if (n == null || n.links == 0 && n.opens == 0) return no(Errno.ESTALE);
            boolean appends = (flags & O_APPEND) != 0 && (n.flags & InodeFlags.IMMUTABLE) == 0;
            if ((flags & O_ACCMODE) != 0 && isFixed(n) && !appends) return no(Errno.EPERM);
            if ((flags & O_TRUNC) != 0 && (flags & O_ACCMODE) != 0) {
                resize(n, 0);
                n.modified = n.changed = now();
            }
            return Answer.ok(opened(n, flags));
        }
    }

    @Override
    public Answer<Integer> read(long handle, long offset, ByteBuffer into) throws IOException, InterruptedException {
        Node n = handle(handle).node;
        synchronized (n) {
            int start = into.position();
            long at = offset;
            while (into.hasRemaining() && at < n.size) {
                int index = (int) (at / CHUNK);
                int from = (int) (at % CHUNK);
                int length = (int) Math.min(Math.min(CHUNK - from, into.remaining()), n.size - at);
                byte[] chunk = index < n.chunks.size() ? n.chunks.get(index) : null;
                into.put(chunk == null ? new byte[CHUNK] : chunk, from, length);
                at += length;
            }
            return Answer.ok(into.position() - start);
        }
    }

    @Override
    public Answer<Integer> write(long handle, long offset, ByteBuffer bytes, int how)
            throws IOException, InterruptedException {
        Handle open = handle(handle);
        Node n = open.node;
        int length = bytes.remaining();
        synchronized (n) {
            long at = (open.flags & O_APPEND) != 0 && (how & AT_OFFSET) == 0 ? n.size : offset;
            while (bytes.hasRemaining()) {
                int index = (int) (at / CHUNK);
                int from = (int) (at % CHUNK);
                int part = Math.min(CHUNK - from, bytes.remaining());
                while (n.chunks.size() <= index) n.chunks.add(null);
                byte[] chunk = n.chunks.get(index);
                if (chunk == null) n.chunks.set(index, chunk = new byte[CHUNK]);
                bytes.get(chunk, from, part);
                at += part;
            }
            n.size = Math.max(n.size, at);
            n.modified = n.changed = now();
            n.content++;
            if ((how & KILL_PRIVILEGES) != 0) killPrivileges(n);
        }
        return Answer.ok(length);
    }

    @Override
    public Answer<Void> flush(long handle) throws IOException, InterruptedException {
        handle(handle);
        return done();
    }

    @Override
    public Answer<Void> sync(long handle, boolean dataOnly) throws IOException, InterruptedException {
        handle(handle);
        return done();
    }

    @Override
    public void release(long handle) {
        Handle open = handles.remove(handle);
        if (open == null) throw new IllegalStateException("release of " + handle);
        synchronized (lock) {
            for (LockOwner owner : open.lockers)
                if (handles.values().stream().noneMatch(h -> h.node == open.node && h.lockers.contains(owner)))
                    open.node.locks.end(owner::equals);
            lock.notifyAll();
            if (--open.node.opens == 0 && open.node.links == 0) nodes.remove(open.node.id.value());
        }
    }

    // ---- locks

    private static FileLock lockOf(long handle, WantedLock wanted) {
        return new FileLock(
                wanted.whole() ? LockSpace.WHOLE : LockSpace.RANGES,
                new LockOwner(SELF, wanted.whole() ? handle : wanted.owner()),
                wanted.exclusive(),
                wanted.from(),
                wanted.to(),
                wanted.pid());
    }

    /** For whom an owner waits, in all files. */
    private Set<LockOwner> blockersOf(LockOwner owner) {
        var blockers = new HashSet<LockOwner>();
        for (Node node : nodes.values())
            for (var waiter : node.locks.waiters())
                if (waiter.wanted().owner().equals(owner)) blockers.addAll(node.locks.blockers(waiter.wanted()));
        return blockers;
    }

    @Override
    public Answer<Void> lock(long handle, WantedLock wanted, boolean wait) throws IOException, InterruptedException {
        Handle open = handle(handle);
        FileLock asked = lockOf(handle, wanted);
        synchronized (lock) {
            LockTable locks = open.node.locks;
            open.lockers.add(asked.owner());
            if (wait && !wanted.whole() && Deadlocks.closes(asked.owner(), locks.blockers(asked), this::blockersOf))
                return no(Errno.EDEADLK);
            long ticket = ids.getAndIncrement();
            LockTable.Answer answer = locks.lock(asked, ticket, wait);
            lock.notifyAll();
            try {
                while (locks.isWaiting(asked.owner(), ticket)) lock.wait();
            } catch (InterruptedException e) {
                if (locks.cancel(asked.owner(), ticket)) throw e;
            }
            return switch (answer) {
                case GRANTED, WAITING -> done();
                case CONFLICT -> no(Errno.EAGAIN);
                case FULL -> no(Errno.ENOLCK);
            };
        }
    }

    @Override
    public Answer<Void> unlock(long handle, WantedLock given) {
        FileLock lock = lockOf(handle, given);
        synchronized (this.lock) {
            handle(handle).node.locks.unlock(lock.space(), lock.owner(), lock.from(), lock.to());
            this.lock.notifyAll();
        }
        return done();
    }

    @Override
    public Answer<Optional<WantedLock>> lockInTheWay(long handle, WantedLock wanted) {
        synchronized (lock) {
            FileLock found = handle(handle).node.locks.conflict(lockOf(handle, wanted));
            if (found == null) return Answer.ok(Optional.empty());
            boolean whole = found.space() == LockSpace.WHOLE;
            return Answer.ok(Optional.of(new WantedLock(
                    whole, found.owner().key(), found.pid(), found.exclusive(), found.from(), found.to())));
        }
    }

    @Override
    public void unlockAtClose(long handle, long owner) {
        Handle open = handle(handle);
        var locker = new LockOwner(SELF, owner);
        synchronized (lock) {
            open.lockers.remove(locker);
            open.node.locks.unlock(LockSpace.RANGES, locker, 0, Long.MAX_VALUE);
            lock.notifyAll();
        }
    }

    /** The first of the names in its directory of what a handle has open; empty if it has none left. */
    String nameOf(long handle) {
        synchronized (lock) {
            Node n = handle(handle).node;
            if (n.parent == null) return "";
            for (Name name : n.parent.order.values()) if (name.node == n) return name.name.toString();
            return "";
        }
    }

    int openHandles() {
        return handles.size();
    }

    @Override
    public Answer<Void> allocate(long handle, long offset, long length, int mode) {
        Node n = handle(handle).node;
        synchronized (n) {
            boolean keepSize = (mode & 1) != 0;
            if ((mode & ~1) != 0 && mode != 3 && (mode & ~1) != 16) return no(Errno.EOPNOTSUPP);
            if ((mode & 18) != 0) zero(n, offset, Math.min(n.size, offset + length));
            if (!keepSize) n.size = Math.max(n.size, offset + length);
            return done();
        }
    }

    @Override
    public Answer<Long> seek(long handle, long offset, int whence) {
        Node n = handle(handle).node;
        synchronized (n) {
            if (offset < 0 || offset >= n.size) return no(Errno.ENXIO);
            boolean wantData = whence == 3;
            for (long at = offset; at < n.size; at = (at / CHUNK + 1) * CHUNK) {
                int index = (int) (at / CHUNK);
                boolean data = index < n.chunks.size() && n.chunks.get(index) != null;
                if (data == wantData) return Answer.ok(at);
            }
            return wantData ? no(Errno.ENXIO) : Answer.ok(n.size);
        }
    }

    @Override
    public Answer<Long> copyRange(long fromHandle, long fromOffset, long toHandle, long toOffset, long length)
            throws IOException, InterruptedException {
        long copied = 0;
        var buffer = ByteBuffer.allocate(CHUNK);
        while (copied < length) {
            buffer.clear().limit((int) Math.min(CHUNK, length - copied));
            if (!(read(fromHandle, fromOffset + copied, buffer) instanceof Answer.Ok<Integer>(var n)) || n == 0) break;
            write(toHandle, toOffset + copied, buffer.flip(), 0);
            copied += n;
        }
        return Answer.ok(copied);
    }

    @Override
    public Answer<Opened> openDirectory(InodeId directory) {
        synchronized (lock) {
            Node n = node(directory);
            return n == null ? no(Errno.ESTALE) : Answer.ok(opened(n, 0));
        }
    }

    @Override
    public Answer<Void> list(long handle, long afterCookie, boolean attributes, ListingSink sink) {
        Node n = handle(handle).node;
        synchronized (lock) {
            Node parent = n.parent == null ? n : n.parent;
            if (afterCookie < 1 && !sink.take(new Listed(new byte[] {'.'}, n.id, n.type, 1, null))) return done();
            if (afterCookie < 2 && !sink.take(new Listed(new byte[] {'.', '.'}, parent.id, n.type, 2, null)))
                return done();
            for (Name name : n.order.tailMap(Math.max(2, afterCookie), false).values()) {
                Entry entry = attributes ? entry(name.node, false) : null;
                if (!sink.take(new Listed(name.name.bytes(), name.node.id, name.node.type, name.cookie, entry)))
                    return done();
                if (attributes) references.merge(name.node.id.value(), 1L, Long::sum);
            }
            return done();
        }
    }

    @Override
    public Answer<Void> syncDirectory(long handle, boolean dataOnly) {
        return done();
    }

    @Override
    public void releaseDirectory(long handle) {
        release(handle);
    }

    private static FileName key(byte[] name) {
        return new FileName(name);
    }

    @Override
    public Answer<byte[]> xattr(InodeId inode, byte[] name) {
        synchronized (lock) {
            Node n = node(inode);
            byte[] value = n == null ? null : n.xattrs.get(key(name));
            return value == null ? no(Errno.ENODATA) : Answer.ok(value);
        }
    }

    @Override
    public Answer<List<byte[]>> xattrNames(InodeId inode) {
        synchronized (lock) {
            Node n = node(inode);
            if (n == null) return no(Errno.ESTALE);
            return Answer.ok(n.xattrs.keySet().stream().map(FileName::bytes).toList());
        }
    }

    @Override
    public Answer<Void> setXattr(InodeId inode, byte[] name, byte[] value, XattrMode mode) {
        synchronized (lock) {
            Node n = node(inode);
            if (n == null) return no(Errno.ESTALE);
            if (new String(name, StandardCharsets.ISO_8859_1).startsWith("system.")) return no(Errno.EOPNOTSUPP);
            boolean there = n.xattrs.containsKey(key(name));
            if (there && mode == XattrMode.CREATE) return no(Errno.EEXIST);
            if (!there && mode == XattrMode.REPLACE) return no(Errno.ENODATA);
            n.xattrs.put(key(name), value);
            n.changed = now();
            return done();
        }
    }

    @Override
    public Answer<Void> removeXattr(InodeId inode, byte[] name) {
        synchronized (lock) {
            Node n = node(inode);
            return n == null || n.xattrs.remove(key(name)) == null ? no(Errno.ENODATA) : done();
        }
    }

    @Override
    public Answer<Void> setAcl(InodeId inode, boolean isDefault, byte[] acl, boolean killSetgid) {
        synchronized (lock) {
            Node n = node(inode);
            if (n == null) return no(Errno.ESTALE);
            if (isFixed(n)) return no(Errno.EPERM);
            if (isDefault && n.type != FileType.DIRECTORY) return no(Errno.EACCES);
            FileName name = key(isDefault ? Acl.DEFAULT : Acl.ACCESS);
            if (Acl.isEmpty(acl)) return n.xattrs.remove(name) == null ? no(Errno.ENODATA) : done();
            Acl decoded = Acl.decode(acl);
            if (decoded == null) return no(Errno.EINVAL);
            if (isDefault) n.xattrs.put(name, acl);
            else access(n, decoded);
            if (killSetgid && !isDefault) n.permissions &= ~02000;
            n.changed = now();
            return done();
        }
    }

    @Override
    public Answer<Void> setFlags(InodeId inode, int flags) {
        synchronized (lock) {
            Node n = node(inode);
            if (n == null) return no(Errno.ESTALE);
            if ((flags & ~InodeFlags.possible(n.type)) != 0) return no(Errno.EOPNOTSUPP);
            n.flags = flags;
            n.changed = now();
            return done();
        }
    }

    @Override
    public Space space() {
        return new Space(1 << 20, 1 << 19, 1 << 20, 1 << 19);
    }

    /** As another pod would: the bytes change behind the kernel's back. */
    void changeElsewhere(InodeId inode, byte[] bytes) {
        Node n = node(inode);
        if (n == null) throw new IllegalStateException("no " + inode);
        synchronized (n) {
            n.chunks.clear();
            byte[] chunk = Arrays.copyOf(bytes, CHUNK);
            n.chunks.add(chunk);
            n.size = bytes.length;
            n.modified = n.changed = now();
            n.content++;
        }
    }
}
