// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.model.Acl;
import dev.wormhole.model.Answer;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeId;
import dev.wormhole.mount.fuse.InodeAttributes;
import dev.wormhole.mount.fuse.Listing;
import dev.wormhole.mount.fuse.Negotiation;
import dev.wormhole.mount.fuse.Reply;
import dev.wormhole.mount.fuse.Request;
import dev.wormhole.namespace.Command.RenameMode;
import dev.wormhole.namespace.Command.XattrMode;
import dev.wormhole.vfs.FileSystem;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** What each request asks of the {@link FileSystem}, and the answer as a reply. Thread-safe. */
final class Operations {
    private static final Reply ENOSYS = new Reply.Failed(Errno.ENOSYS.number());
    private static final int O_APPEND = 02000;
    private static final int O_TRUNC = 01000;
    private static final int SET_IDS = 06000;
    private static final int UID_OR_GID = Request.SetAttr.UID | Request.SetAttr.GID;
    private static final int ANYTHING =
            UID_OR_GID | Request.SetAttr.MODE | Request.SetAttr.SIZE | Request.SetAttr.ATIME | Request.SetAttr.MTIME;
    private static final byte[] TRUSTED = "trusted.".getBytes(StandardCharsets.US_ASCII);
    private static final byte[][] XATTR_SPACES = {
        "user.".getBytes(StandardCharsets.US_ASCII), "security.".getBytes(StandardCharsets.US_ASCII), TRUSTED
    };
    private static final byte[] NOTHING = {};
    /** Most bytes that a reply of 32 bits can tell of, in whole pages. */
    private static final long COPY_BYTES_MAX = 0x7fff_f000L;

    private final FileSystem fs;
    private final FileSystem.KernelCache kernel;
    private final InstantSource clock;

    Operations(FileSystem fs, FileSystem.KernelCache kernel, InstantSource clock) {
        this.fs = fs;
        this.kernel = kernel;
        this.clock = clock;
    }

    /** Whether a reply is made in, or a request's bytes are in, a slab's payload. */
    static boolean needsPayload(Request request) {
        return request instanceof Request.Read
                || request instanceof Request.Write
                || request instanceof Request.ReadDir;
    }

    /**
     * Asks the filesystem.
     *
     * @param slab where {@link #needsPayload} says so: the one a WRITE came in, or one for what is read
     * @return the reply; null if the kernel expects none
     */
    @Nullable Reply answer(Request request, @Nullable Slab slab) throws IOException, InterruptedException {
        return switch (request) {
            case Request.Lookup r -> lookup(r);
            case Request.GetAttr(var h, long handle) ->
                reply(fs.attributes(node(h), handle), Operations::attributesReply);
            case Request.Statx(var h, long handle, int _) ->
                reply(
                        fs.attributes(node(h), handle),
                        s -> new Reply.ExtendedAttributes(attributes(s.attributes()), validNanos(s)));
            case Request.Read r -> {
                int size = Math.min(r.size(), Slab.PAYLOAD_BYTES);
                yield reply(fs.read(r.handle(), r.offset(), payload(slab).payload(size)), Reply.InPlace::new);
            }
            case Request.Write r ->
                reply(fs.write(r.handle(), r.offset(), payload(slab).payload(r.size()), how(r)), Reply.Written::new);
            case Request.Open r -> open(r);
            case Request.Flush r -> flush(r);
            case Request.GetLock(var _, long handle, var wanted) ->
                reply(
                        fs.lockInTheWay(handle, lock(wanted)),
                        found -> new Reply.Lock(found.map(Operations::lock)
                                .orElse(new Request.LockRange(
                                        0, wanted.from(), wanted.to(), Request.LockRange.NONE, 0, wanted.whole()))));
            case Request.SetLock(var _, long handle, var wanted, boolean wait) ->
                done(
                        wanted.type() == Request.LockRange.NONE
                                ? fs.unlock(handle, lock(wanted))
                                : fs.lock(handle, lock(wanted), wait));
            case Request.Release(var _, long handle) -> {
                fs.release(handle);
                yield Reply.Done.INSTANCE;
            }
            case Request.OpenDir(var h) ->
                reply(
                        fs.openDirectory(node(h)),
                        o -> new Reply.Opened(
                                o.handle(),
                                o.directIo()
                                        ? 0
                                        : Reply.Opened.CACHE_DIR | (o.keepCache() ? Reply.Opened.KEEP_CACHE : 0)));
            case Request.ReadDir r -> list(r, payload(slab));
            case Request.ReleaseDir(var _, long handle) -> {
                fs.releaseDirectory(handle);
                yield Reply.Done.INSTANCE;
            }
            case Request.Forget(var h, long count) -> {
                fs.forget(node(h), count);
                yield null;
            }
            case Request.BatchForget(var _, long[] nodes, long[] counts) -> {
                for (int i = 0; i < nodes.length; i++) fs.forget(new InodeId(nodes[i]), counts[i]);
                yield null;
            }
            case Request.Create r -> create(r);
            case Request.TmpFile(var h, int flags, int mode, int umask) ->
                reply(fs.createUnnamed(caller(h, umask), node(h), mode & 07777, flags), Operations::createdReply);
            case Request.SetAttr r -> setAttributes(r);
            case Request.ReadLink(var h) -> reply(fs.readSymlink(node(h)), Reply.Bytes::new);
            case Request.Symlink(var h, byte[] name, byte[] target) ->
                make(caller(h, 0), h, name, FileType.SYMLINK, 0777, 0, target);
            case Request.MkNod(var h, byte[] name, int mode, int device, int umask) -> {
                FileType type = FileType.ofMode(mode);
                yield type == null
                        ? refused(Errno.EINVAL)
                        : make(caller(h, umask), h, name, type, mode & 07777, device, new byte[0]);
            }
            case Request.MkDir(var h, byte[] name, int mode, int umask) ->
                make(caller(h, umask), h, name, FileType.DIRECTORY, mode & 07777, 0, new byte[0]);
            case Request.Unlink(var h, byte[] name) ->
                tooLong(name) ? refused(Errno.ENAMETOOLONG) : done(fs.unlink(node(h), new FileName(name)));
            case Request.RmDir(var h, byte[] name) ->
                tooLong(name) ? refused(Errno.ENAMETOOLONG) : done(fs.removeDirectory(node(h), new FileName(name)));
            case Request.Rename r -> rename(r);
            case Request.Link(var h, long inode, byte[] name) ->
                tooLong(name)
                        ? refused(Errno.ENAMETOOLONG)
                        : reply(fs.link(new InodeId(inode), node(h), new FileName(name)), Operations::entryReply);
            case Request.StatFs _ -> {
                var space = fs.space();
                yield new Reply.Space(space.blocks(), space.freeBlocks(), space.inodes(), space.freeInodes());
            }
            case Request.Fsync(var _, long handle, boolean dataOnly) -> done(fs.sync(handle, dataOnly));
            case Request.FsyncDir(var _, long handle, boolean dataOnly) -> done(fs.syncDirectory(handle, dataOnly));
            case Request.SetXattr r -> setXattr(r);
            case Request.GetXattr(var h, byte[] name, int size) -> {
                Errno unknown = unknown(name);
                yield unknown != null ? refused(unknown) : sized(fs.xattr(node(h), name), size);
            }
            case Request.ListXattr(var h, int size) ->
                switch (fs.xattrNames(node(h))) {
                    case Answer.Ok<List<byte[]>>(var names) -> sized(Answer.ok(joined(names, h.uid() == 0)), size);
                    case Answer.Refused<List<byte[]>>(var errno) -> refused(errno);
                };
            case Request.RemoveXattr(var h, byte[] name) -> removeXattr(node(h), name);
            case Request.Fallocate(var _, long handle, long offset, long length, int mode) ->
                done(fs.allocate(handle, offset, length, mode));
            case Request.Lseek(var _, long handle, long offset, int whence) ->
                reply(fs.seek(handle, offset, whence), Reply.Wide::new);
            case Request.CopyFileRange r -> copyRange(r);
            case Request.Init r -> new Reply.Agreed(Negotiation.of(r, Slab.PAYLOAD_BYTES, Libc.pageBytes()));
            case Request.Destroy _ -> Reply.Done.INSTANCE;
            case Request.Interrupt _ -> throw new IllegalStateException("INTERRUPT is the session's");
            case Request.SyncFs _ -> ENOSYS;
            case Request.Ioctl r -> InodeControls.answer(fs, r);
            case Request.Unknown _ -> ENOSYS;
        };
    }

    /** The kernel never got this reply: gives back the references that it granted. */
    void undo(Request request, Reply reply) {
        switch (reply) {
            case Reply.Entry(var attributes, long _, long _) -> fs.forget(new InodeId(attributes.inode()), 1);
            case Reply.Created(var entry, var opened) -> {
                fs.release(opened.handle());
                fs.forget(new InodeId(entry.attributes().inode()), 1);
            }
            case Reply.Opened(long handle, int _) -> {
                if (request instanceof Request.OpenDir) fs.releaseDirectory(handle);
                else fs.release(handle);
            }
            default -> {
                // nothing granted
            }
        }
    }

    private Reply lookup(Request.Lookup r) throws IOException, InterruptedException {
        byte[] name = r.name();
        InodeId directory = node(r.header());
        if (name.length <= 2 && name.length > 0 && name[0] == '.') { // only for exported handles
            if (name.length == 1) return reply(fs.lookupSelf(directory), Operations::entryReply);
            if (name[1] == '.') return reply(fs.lookupParent(directory), Operations::entryReply);
        }
        if (tooLong(name)) return refused(Errno.ENAMETOOLONG);
        return reply(fs.lookup(directory, new FileName(name)), Operations::entryReply);
    }

    private Reply open(Request.Open r) throws IOException, InterruptedException {
        InodeId inode = node(r.header());
        if (r.killPrivileges() && (r.flags() & O_TRUNC) != 0) {
            var found = fs.attributes(inode, 0);
            if (found instanceof Answer.Ok<FileSystem.Stat>(var stat)
                    && (stat.attributes().permissions() & SET_IDS) != 0) return openClearingSetIds(inode, r.flags());
        }
        return reply(fs.open(inode, r.flags()), Operations::openedReply);
    }

    /** O_TRUNC as an open and a truncation, as only the latter can also clear suid and sgid. */
    private Reply openClearingSetIds(InodeId inode, int flags) throws IOException, InterruptedException {
        var opened = fs.open(inode, flags & ~O_TRUNC);
        if (!(opened instanceof Answer.Ok<FileSystem.Opened>(var file))) return reply(opened, Operations::openedReply);
        var truncation = new FileSystem.Changes(null, null, null, 0L, null, null, true, false);
        boolean truncated = false;
        try {
            if (fs.setAttributes(inode, file.handle(), truncation)
                    instanceof Answer.Refused<FileSystem.Stat>(var errno)) return refused(errno);
            truncated = true;
            kernel.attributesChanged(inode); // it expects OPEN to change the size, not the mode
            return openedReply(new FileSystem.Opened(file.handle(), false, file.directIo()));
        } finally {
            if (!truncated) fs.release(file.handle());
        }
    }

    /** The locks of who closes go even if his bytes could not be kept: he is told that. */
    private Reply flush(Request.Flush r) throws IOException, InterruptedException {
        try {
            return done(fs.flush(r.handle()));
        } finally {
            fs.unlockAtClose(r.handle(), r.lockOwner());
        }
    }

    private static FileSystem.WantedLock lock(Request.LockRange lock) {
        return new FileSystem.WantedLock(
                lock.whole(),
                lock.owner(),
                lock.pid(),
                lock.type() == Request.LockRange.EXCLUSIVE,
                lock.from(),
                lock.to());
    }

    private static Request.LockRange lock(FileSystem.WantedLock lock) {
        return new Request.LockRange(
                lock.owner(),
                lock.from(),
                lock.to(),
                lock.exclusive() ? Request.LockRange.EXCLUSIVE : Request.LockRange.SHARED,
                lock.pid(),
                lock.whole());
    }

    private Reply create(Request.Create r) throws IOException, InterruptedException {
        if (tooLong(r.name())) return refused(Errno.ENAMETOOLONG);
        var h = r.header();
        return reply(
                fs.create(caller(h, r.umask()), node(h), new FileName(r.name()), r.mode() & 07777, r.flags()),
                Operations::createdReply);
    }

    private Reply make(
            FileSystem.Caller caller,
            Request.Header h,
            byte[] name,
            FileType type,
            int permissions,
            int device,
            byte[] target)
            throws IOException, InterruptedException {
        if (tooLong(name)) return refused(Errno.ENAMETOOLONG);
        return reply(
                fs.make(caller, node(h), new FileName(name), type, permissions, device, target),
                Operations::entryReply);
    }

    private Reply setAttributes(Request.SetAttr r) throws IOException, InterruptedException {
        Instant now = clock.instant();
        long nowNanos = Math.addExact(Math.multiplyExact(now.getEpochSecond(), 1_000_000_000L), now.getNano());
        boolean killPrivileges = r.has(Request.SetAttr.KILL_SUIDGID)
                || (r.has(UID_OR_GID) || !r.has(ANYTHING)) && isFile(node(r.header()));
        var changes = new FileSystem.Changes(
                r.has(Request.SetAttr.MODE) ? (Integer) (r.mode() & 07777) : null,
                r.has(Request.SetAttr.UID) ? (Integer) r.newUid() : null,
                r.has(Request.SetAttr.GID) ? (Integer) r.newGid() : null,
                r.has(Request.SetAttr.SIZE) ? (Long) r.size() : null,
                r.has(Request.SetAttr.ATIME)
                        ? (Long) (r.has(Request.SetAttr.ATIME_NOW) ? nowNanos : r.accessedNanos())
                        : null,
                r.has(Request.SetAttr.MTIME)
                        ? (Long) (r.has(Request.SetAttr.MTIME_NOW) ? nowNanos : r.modifiedNanos())
                        : null,
                killPrivileges,
                r.has(Request.SetAttr.ATIME) && !r.has(Request.SetAttr.ATIME_NOW)
                        || r.has(Request.SetAttr.MTIME) && !r.has(Request.SetAttr.MTIME_NOW));
        return reply(fs.setAttributes(node(r.header()), r.handle(), changes), Operations::attributesReply);
    }

    /**
     * HANDLE_KILLPRIV_V2 makes clearing suid and sgid at a change of owner ours, of files alone, not of directories. A
     * SETATTR that changes nothing is how the kernel asks for it ahead of a write.
     */
    private boolean isFile(InodeId inode) throws IOException, InterruptedException {
        return fs.attributes(inode, 0) instanceof Answer.Ok<FileSystem.Stat>(var stat)
                && stat.attributes().type() == FileType.REGULAR;
    }

    private Reply rename(Request.Rename r) throws IOException, InterruptedException {
        if (tooLong(r.name()) || tooLong(r.newName())) return refused(Errno.ENAMETOOLONG);
        RenameMode mode = switch (r.flags()) {
            case 0 -> RenameMode.REPLACE;
            case Request.Rename.NO_REPLACE -> RenameMode.NO_REPLACE;
            case Request.Rename.EXCHANGE -> RenameMode.EXCHANGE;
            default -> null;
        };
        if (mode == null) return refused(Errno.EINVAL);
        return done(fs.rename(
                node(r.header()),
                new FileName(r.name()),
                new InodeId(r.newDirectory()),
                new FileName(r.newName()),
                mode));
    }

    private Reply setXattr(Request.SetXattr r) throws IOException, InterruptedException {
        if (isAcl(r.name())) return done(fs.setAcl(node(r.header()), isDefault(r.name()), r.value(), r.killSetgid()));
        Errno unknown = unknown(r.name());
        if (unknown != null) return refused(unknown);
        XattrMode mode = switch (r.flags()) {
            case 0 -> XattrMode.ANY;
            case Request.SetXattr.CREATE -> XattrMode.CREATE;
            case Request.SetXattr.REPLACE -> XattrMode.REPLACE;
            default -> null;
        };
        if (mode == null) return refused(Errno.EINVAL);
        return done(fs.setXattr(node(r.header()), r.name(), r.value(), mode));
    }

    private Reply removeXattr(InodeId inode, byte[] name) throws IOException, InterruptedException {
        if (isAcl(name)) return done(fs.setAcl(inode, isDefault(name), NOTHING, false));
        Errno unknown = unknown(name);
        return unknown != null ? refused(unknown) : done(fs.removeXattr(inode, name));
    }

    private Reply copyRange(Request.CopyFileRange r) throws IOException, InterruptedException {
        var copied =
                fs.copyRange(r.handle(), r.offset(), r.toHandle(), r.toOffset(), Math.min(r.length(), COPY_BYTES_MAX));
        return r.wide()
                ? reply(copied, Reply.Wide::new)
                : reply(copied, bytes -> new Reply.Written(Math.toIntExact(bytes)));
    }

    private Reply list(Request.ReadDir r, Slab slab) throws IOException, InterruptedException {
        var listing = new Listing(slab.payloadAddress(), Math.min(r.size(), Slab.PAYLOAD_BYTES), r.attributes());
        long[] oldest = {Long.MAX_VALUE};
        long now = System.nanoTime();
        var listed = fs.list(r.handle(), r.cookie(), r.attributes(), e -> {
            var entry = e.entry();
            boolean counted = entry != null && !isDots(e.name());
            if (entry != null) oldest[0] = Math.min(oldest[0], entry.asOfNanos() - now);
            return listing.add(
                    e.name(),
                    e.inode().value(),
                    e.type().modeBits(),
                    e.cookie(),
                    counted && entry != null ? trusted(entry) : null);
        });
        if (oldest[0] != Long.MAX_VALUE && isOld(now + oldest[0])) listing.distrust();
        return switch (listed) {
            case Answer.Ok<Void> _ -> new Reply.InPlace(listing.lengthBytes());
            case Answer.Refused<Void>(var errno) -> refused(errno);
        };
    }

    // -- details --

    private static Slab payload(@Nullable Slab slab) {
        if (slab == null) throw new IllegalStateException("no slab");
        return slab;
    }

    private static InodeId node(Request.Header header) {
        return new InodeId(header.node());
    }

    private static FileSystem.Caller caller(Request.Header header, int umask) {
        return new FileSystem.Caller(header.uid(), header.gid(), header.pid(), umask & 0777);
    }

    private static boolean tooLong(byte[] name) {
        return name.length > FileName.BYTES_MAX;
    }

    private static boolean isDots(byte[] name) {
        return name[0] == '.' && (name.length == 1 || name.length == 2 && name[1] == '.');
    }

    private static int how(Request.Write r) {
        return (r.killPrivileges() ? FileSystem.KILL_PRIVILEGES : 0)
                | (r.fromPages() ? FileSystem.FROM_PAGES : 0)
                | ((r.openFlags() & O_APPEND) == 0 || r.fromPages() ? FileSystem.AT_OFFSET : 0);
    }

    private static boolean isAcl(byte[] name) {
        return Arrays.equals(name, Acl.ACCESS) || isDefault(name);
    }

    private static boolean isDefault(byte[] name) {
        return Arrays.equals(name, Acl.DEFAULT);
    }

    /** @param trusted whether the caller may see those of the administrator */
    private static byte[] joined(List<byte[]> all, boolean trusted) {
        List<byte[]> names =
                trusted ? all : all.stream().filter(name -> !isTrusted(name)).toList();
        int length = 0;
        for (byte[] name : names) length += name.length + 1;
        var joined = new byte[length];
        int at = 0;
        for (byte[] name : names) {
            System.arraycopy(name, 0, joined, at, name.length);
            at += name.length + 1;
        }
        return joined;
    }

    private static boolean isTrusted(byte[] name) {
        return startsWith(name, TRUSTED);
    }

    private static boolean startsWith(byte[] name, byte[] prefix) {
        return name.length >= prefix.length && Arrays.equals(name, 0, prefix.length, prefix, 0, prefix.length);
    }

    /** Why there can be no such attribute: its space of names is none of Linux's, or it is nothing else. */
    private static @Nullable Errno unknown(byte[] name) {
        if (isAcl(name)) return null;
        for (byte[] space : XATTR_SPACES) {
            if (startsWith(name, space)) return name.length > space.length ? null : Errno.EINVAL;
        }
        return Errno.EOPNOTSUPP;
    }

    private static Reply sized(Answer<byte[]> value, int size) {
        return reply(value, bytes -> {
            if (size == 0) return new Reply.XattrSize(bytes.length);
            return bytes.length > size ? refused(Errno.ERANGE) : new Reply.Bytes(bytes);
        });
    }

    private static Reply refused(Errno errno) {
        return new Reply.Failed(errno.number());
    }

    private static <T> Reply reply(Answer<T> answer, Function<T, Reply> success) {
        return switch (answer) {
            case Answer.Ok<T>(var value) -> success.apply(value);
            case Answer.Refused<T>(var errno) -> refused(errno);
        };
    }

    private static Reply done(Answer<Void> answer) {
        return switch (answer) {
            case Answer.Ok<Void> _ -> Reply.Done.INSTANCE;
            case Answer.Refused<Void>(var errno) -> refused(errno);
        };
    }

    private static Reply.Entry trusted(FileSystem.Entry entry) {
        return new Reply.Entry(attributes(entry.attributes()), entry.entryValidNanos(), entry.attributesValidNanos());
    }

    /** What was granted so long ago is granted no more: somebody may have been told that it has run out. */
    private static boolean isOld(long asOfNanos) {
        return System.nanoTime() - asOfNanos >= FileSystem.REPLY_NANOS;
    }

    private static Reply.Entry entryReply(FileSystem.Entry entry) {
        if (entry.entryValidNanos() == 0 && entry.attributesValidNanos() == 0 || !isOld(entry.asOfNanos()))
            return trusted(entry);
        return new Reply.Entry(attributes(entry.attributes()), 0, 0);
    }

    private static long validNanos(FileSystem.Stat stat) {
        return stat.validNanos() == 0 || isOld(stat.asOfNanos()) ? 0 : stat.validNanos();
    }

    private static Reply attributesReply(FileSystem.Stat stat) {
        return new Reply.Attributes(attributes(stat.attributes()), validNanos(stat));
    }

    private static Reply.Opened openedReply(FileSystem.Opened opened) {
        return new Reply.Opened(
                opened.handle(),
                opened.directIo() ? Reply.Opened.DIRECT_IO : opened.keepCache() ? Reply.Opened.KEEP_CACHE : 0);
    }

    private static Reply createdReply(FileSystem.Created created) {
        return new Reply.Created(entryReply(created.entry()), openedReply(created.opened()));
    }

    private static InodeAttributes attributes(Attributes a) {
        return new InodeAttributes(
                a.inode().value(),
                a.size(),
                (a.allocatedBytes() + 511) / 512,
                a.accessedNanos(),
                a.modifiedNanos(),
                a.changedNanos(),
                a.bornNanos(),
                a.mode(),
                a.links(),
                a.uid(),
                a.gid(),
                a.device(),
                a.flags());
    }
}
