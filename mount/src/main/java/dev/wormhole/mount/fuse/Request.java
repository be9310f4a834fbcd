// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

import static dev.wormhole.mount.fuse.Memory.getBytes;
import static dev.wormhole.mount.fuse.Memory.getInt;
import static dev.wormhole.mount.fuse.Memory.getLong;
import static dev.wormhole.mount.fuse.Memory.getShort;

/**
 * One message of the kernel, decoded. Everything but the bytes of a {@link Write} is copied out, so a request outlives the
 * buffer it was read into; names are bytes without their NUL. Immutable.
 */
public sealed interface Request {
    /** struct fuse_in_header. */
    int HEADER_BYTES = 40;
    /** Header and struct fuse_write_in: a WRITE's bytes begin this far behind the request. */
    int WRITE_PAYLOAD_OFFSET = 80;

    /** Of the years 1677 to 2262, which nanoseconds in 64 bits can tell. */
    long SECONDS_MAX = Long.MAX_VALUE / 1_000_000_000;

    Header header();

    /**
     * Who asks for what.
     *
     * @param unique names the request until its reply; even, and never reused in a mount
     * @param node the inode it is about
     * @param gid the caller's filesystem group
     */
    record Header(long unique, long node, int uid, int gid, int pid) {}

    record Lookup(Header header, byte[] name) implements Request {}

    /** No reply. */
    record Forget(Header header, long count) implements Request {}

    /** No reply. Both arrays have the same length. */
    record BatchForget(Header header, long[] nodes, long[] counts) implements Request {}

    /** @param handle the open file asked through, or 0 */
    record GetAttr(Header header, long handle) implements Request {}

    /** @param mask STATX_ bits that are wanted */
    record Statx(Header header, long handle, int mask) implements Request {}

    /** Only the parts that {@code valid} names (see the constants) have a meaning. Times are nanoseconds since 1970. */
    record SetAttr(
            Header header,
            int valid,
            long handle,
            long size,
            long accessedNanos,
            long modifiedNanos,
            int mode,
            int newUid,
            int newGid)
            implements Request {
        public static final int MODE = 1;
        public static final int UID = 1 << 1;
        public static final int GID = 1 << 2;
        public static final int SIZE = 1 << 3;
        public static final int ATIME = 1 << 4;
        public static final int MTIME = 1 << 5;
        public static final int HANDLE = 1 << 6;
        public static final int ATIME_NOW = 1 << 7;
        public static final int MTIME_NOW = 1 << 8;
        public static final int KILL_SUIDGID = 1 << 11;

        public boolean has(int bit) {
            return (valid & bit) != 0;
        }
    }

    record ReadLink(Header header) implements Request {}

    record Symlink(Header header, byte[] name, byte[] target) implements Request {}

    /** The umask is the caller's, not applied yet (where {@link Flags#DONT_MASK} was agreed). */
    record MkNod(Header header, byte[] name, int mode, int device, int umask) implements Request {}

    record MkDir(Header header, byte[] name, int mode, int umask) implements Request {}

    record Unlink(Header header, byte[] name) implements Request {}

    record RmDir(Header header, byte[] name) implements Request {}

    /** RENAME and RENAME2. */
    record Rename(Header header, byte[] name, long newDirectory, byte[] newName, int flags) implements Request {
        public static final int NO_REPLACE = 1;
        public static final int EXCHANGE = 2;
    }

    /** The header's node is the directory. */
    record Link(Header header, long inode, byte[] name) implements Request {}

    record Open(Header header, int flags, boolean killPrivileges) implements Request {}

    record Read(Header header, long handle, long offset, int size) implements Request {}

    /**
     * @param payload address of {@code size} bytes in the buffer that the request was decoded from
     * @param fromPages written by a mapping, now laid down by the kernel
     * @param openFlags the descriptor's flags as they are now
     */
    record Write(
            Header header,
            long handle,
            long offset,
            int size,
            long payload,
            boolean killPrivileges,
            boolean fromPages,
            int openFlags)
            implements Request {}

    record StatFs(Header header) implements Request {}

    record Release(Header header, long handle) implements Request {}

    /** @param lockOwner who closes, as {@link LockRange} names it */
    record Flush(Header header, long handle, long lockOwner) implements Request {}

    /**
     * A lock of fcntl(2), or of flock(2) with {@code whole}.
     *
     * @param owner the kernel's name for a process's table of files, or for an open file; reused when that is gone
     * @param to last byte
     * @param type {@link #SHARED}, {@link #EXCLUSIVE} or {@link #NONE}
     */
    record LockRange(long owner, long from, long to, int type, int pid, boolean whole) {
        public static final int SHARED = 0;
        public static final int EXCLUSIVE = 1;
        public static final int NONE = 2;
    }

    record GetLock(Header header, long handle, LockRange wanted) implements Request {}

    /** SETLK, and SETLKW with {@code waits}. */
    record SetLock(Header header, long handle, LockRange wanted, boolean waits) implements Request {
        /** Whether it may take for ever. */
        public boolean mayWaitLong() {
            return waits && wanted.type() != LockRange.NONE;
        }
    }

    record Fsync(Header header, long handle, boolean dataOnly) implements Request {}

    /** @param killSetgid an ACL by a caller that is not of the file's group */
    record SetXattr(Header header, byte[] name, byte[] value, int flags, boolean killSetgid) implements Request {
        public static final int CREATE = 1;
        public static final int REPLACE = 2;
    }

    /** @param size room for the value; 0 asks for its length */
    record GetXattr(Header header, byte[] name, int size) implements Request {}

    /** @param size room for the names; 0 asks for their length */
    record ListXattr(Header header, int size) implements Request {}

    record RemoveXattr(Header header, byte[] name) implements Request {}

    record Init(Header header, int major, int minor, int maxReadaheadBytes, long flags) implements Request {}

    record OpenDir(Header header) implements Request {}

    /** READDIR, and READDIRPLUS with {@code attributes}. */
    record ReadDir(Header header, long handle, long cookie, int size, boolean attributes) implements Request {}

    record ReleaseDir(Header header, long handle) implements Request {}

    record FsyncDir(Header header, long handle, boolean dataOnly) implements Request {}

    record Create(Header header, byte[] name, int flags, int mode, int umask) implements Request {}

    record TmpFile(Header header, int flags, int mode, int umask) implements Request {}

    /** No reply, unless it must be asked again. @param interrupted the unique of the request it is about */
    record Interrupt(Header header, long interrupted) implements Request {}

    record Destroy(Header header) implements Request {}

    record Fallocate(Header header, long handle, long offset, long length, int mode) implements Request {}

    record Lseek(Header header, long handle, long offset, int whence) implements Request {}

    /** @param wide COPY_FILE_RANGE_64: the reply has room for 64 bits */
    record CopyFileRange(
            Header header, long handle, long offset, long toHandle, long toOffset, long length, boolean wide)
            implements Request {}

    /** @param in what the program gave; @param outBytes room for the answer */
    record Ioctl(Header header, int command, byte[] in, int outBytes) implements Request {}

    record SyncFs(Header header) implements Request {}

    /** Anything else; the answer is ENOSYS. */
    record Unknown(Header header, int opcode) implements Request {}

    /**
     * Decodes the request at the address.
     *
     * @param bytes how many were read from the device
     * @throws ProtocolException if they are not one whole request
     */
    static Request decode(long address, int bytes) {
        if (bytes < HEADER_BYTES || getInt(address) != bytes)
            throw new ProtocolException("request of " + bytes + " bytes"
                    + (bytes < HEADER_BYTES ? "" : " says " + getInt(address) + ", opcode " + getInt(address + 4)));
        int opcode = getInt(address + 4);
        var header = new Header(
                getLong(address + 8),
                getLong(address + 16),
                getInt(address + 24),
                getInt(address + 28),
                getInt(address + 32));
        long in = address + HEADER_BYTES;
        long end = address + bytes - 8L * Short.toUnsignedInt(getShort(address + 36)); // extensions stand behind
        return switch (opcode) {
            case Opcode.LOOKUP -> new Lookup(header, name(opcode, in, end));
            case Opcode.FORGET -> new Forget(header, getLong(need(opcode, in, 8, end)));
            case Opcode.BATCH_FORGET -> batchForget(header, in, end);
            case Opcode.GETATTR ->
                new GetAttr(header, (getInt(need(opcode, in, 16, end)) & 1) != 0 ? getLong(in + 8) : 0);
            case Opcode.STATX ->
                new Statx(header, (getInt(need(opcode, in, 24, end)) & 1) != 0 ? getLong(in + 8) : 0, getInt(in + 20));
            case Opcode.SETATTR -> setAttr(header, need(opcode, in, 88, end));
            case Opcode.READLINK -> new ReadLink(header);
            case Opcode.SYMLINK -> {
                byte[] name = name(opcode, in, end);
                yield new Symlink(header, name, name(opcode, in + name.length + 1, end));
            }
            case Opcode.MKNOD ->
                new MkNod(
                        header,
                        name(opcode, in + 16, end),
                        getInt(need(opcode, in, 16, end)),
                        getInt(in + 4),
                        getInt(in + 8));
            case Opcode.MKDIR ->
                new MkDir(header, name(opcode, in + 8, end), getInt(need(opcode, in, 8, end)), getInt(in + 4));
            case Opcode.UNLINK -> new Unlink(header, name(opcode, in, end));
            case Opcode.RMDIR -> new RmDir(header, name(opcode, in, end));
            case Opcode.RENAME -> rename(header, getLong(need(opcode, in, 8, end)), in + 8, end, 0);
            case Opcode.RENAME2 -> rename(header, getLong(need(opcode, in, 16, end)), in + 16, end, getInt(in + 8));
            case Opcode.LINK -> new Link(header, getLong(need(opcode, in, 8, end)), name(opcode, in + 8, end));
            case Opcode.OPEN -> new Open(header, getInt(need(opcode, in, 8, end)), (getInt(in + 4) & 1) != 0);
            case Opcode.READ ->
                new Read(header, getLong(need(opcode, in, 40, end)), getLong(in + 8), size(opcode, in + 16));
            case Opcode.WRITE -> {
                int size = size(opcode, need(opcode, in, 40, end) + 16);
                need(opcode, in + 40, size, end);
                int how = getInt(in + 20);
                yield new Write(
                        header,
                        getLong(in),
                        getLong(in + 8),
                        size,
                        in + 40,
                        (how & 4) != 0,
                        (how & 1) != 0,
                        getInt(in + 32));
            }
            case Opcode.STATFS -> new StatFs(header);
            case Opcode.RELEASE -> new Release(header, getLong(need(opcode, in, 24, end)));
            case Opcode.FLUSH -> new Flush(header, getLong(need(opcode, in, 24, end)), getLong(in + 16));
            case Opcode.GETLK -> new GetLock(header, getLong(need(opcode, in, 48, end)), lock(opcode, in));
            case Opcode.SETLK, Opcode.SETLKW ->
                new SetLock(header, getLong(need(opcode, in, 48, end)), lock(opcode, in), opcode == Opcode.SETLKW);
            case Opcode.FSYNC -> new Fsync(header, getLong(need(opcode, in, 16, end)), (getInt(in + 8) & 1) != 0);
            case Opcode.SETXATTR -> {
                int size = size(opcode, need(opcode, in, 16, end));
                byte[] name = name(opcode, in + 16, end);
                long value = need(opcode, in + 16 + name.length + 1, size, end);
                yield new SetXattr(header, name, getBytes(value, size), getInt(in + 4), (getInt(in + 8) & 1) != 0);
            }
            case Opcode.GETXATTR ->
                new GetXattr(header, name(opcode, in + 8, end), size(opcode, need(opcode, in, 8, end)));
            case Opcode.LISTXATTR -> new ListXattr(header, size(opcode, need(opcode, in, 8, end)));
            case Opcode.REMOVEXATTR -> new RemoveXattr(header, name(opcode, in, end));
            case Opcode.INIT -> init(header, need(opcode, in, 16, end), end);
            case Opcode.OPENDIR -> new OpenDir(header);
            case Opcode.READDIR, Opcode.READDIRPLUS ->
                new ReadDir(
                        header,
                        getLong(need(opcode, in, 40, end)),
                        getLong(in + 8),
                        size(opcode, in + 16),
                        opcode == Opcode.READDIRPLUS);
            case Opcode.RELEASEDIR -> new ReleaseDir(header, getLong(need(opcode, in, 24, end)));
            case Opcode.FSYNCDIR -> new FsyncDir(header, getLong(need(opcode, in, 16, end)), (getInt(in + 8) & 1) != 0);
            case Opcode.CREATE ->
                new Create(
                        header,
                        name(opcode, in + 16, end),
                        getInt(need(opcode, in, 16, end)),
                        getInt(in + 4),
                        getInt(in + 8));
            case Opcode.TMPFILE ->
                new TmpFile(header, getInt(need(opcode, in, 16, end)), getInt(in + 4), getInt(in + 8));
            case Opcode.IOCTL -> {
                int size = size(opcode, need(opcode, in, 32, end) + 24);
                long given = need(opcode, in + 32, size, end);
                yield new Ioctl(header, getInt(in + 12), getBytes(given, size), size(opcode, in + 28));
            }
            case Opcode.INTERRUPT -> new Interrupt(header, getLong(need(opcode, in, 8, end)));
            case Opcode.DESTROY -> new Destroy(header);
            case Opcode.FALLOCATE ->
                new Fallocate(
                        header, getLong(need(opcode, in, 32, end)), getLong(in + 8), getLong(in + 16), getInt(in + 24));
            case Opcode.LSEEK ->
                new Lseek(header, getLong(need(opcode, in, 24, end)), getLong(in + 8), getInt(in + 16));
            case Opcode.COPY_FILE_RANGE, Opcode.COPY_FILE_RANGE_64 ->
                new CopyFileRange(
                        header,
                        getLong(need(opcode, in, 56, end)),
                        getLong(in + 8),
                        getLong(in + 24),
                        getLong(in + 32),
                        getLong(in + 40),
                        opcode == Opcode.COPY_FILE_RANGE_64);
            case Opcode.SYNCFS -> new SyncFs(header);
            default -> new Unknown(header, opcode);
        };
    }

    /** The unique of a message that {@link #decode} refused, so that it can be answered all the same; 0 if it has none. */
    static long uniqueOf(long address, int bytes) {
        return bytes < 16 ? 0 : getLong(address + 8);
    }

    private static BatchForget batchForget(Header header, long in, long end) {
        int count = size(Opcode.BATCH_FORGET, need(Opcode.BATCH_FORGET, in, 8, end));
        need(Opcode.BATCH_FORGET, in + 8, 16L * count, end);
        var nodes = new long[count];
        var counts = new long[count];
        for (int i = 0; i < count; i++) {
            nodes[i] = getLong(in + 8 + 16L * i);
            counts[i] = getLong(in + 16 + 16L * i);
        }
        return new BatchForget(header, nodes, counts);
    }

    private static SetAttr setAttr(Header header, long in) {
        int valid = getInt(in);
        return new SetAttr(
                header,
                valid,
                (valid & SetAttr.HANDLE) != 0 ? getLong(in + 8) : 0,
                getLong(in + 16),
                nanos(getLong(in + 32), getInt(in + 56)),
                nanos(getLong(in + 40), getInt(in + 60)),
                getInt(in + 68),
                getInt(in + 76),
                getInt(in + 80));
    }

    /** The nearest time that can be told: as Linux, times beyond a filesystem's reach become its last or first. */
    private static long nanos(long seconds, int rest) {
        if (seconds >= SECONDS_MAX) return Long.MAX_VALUE;
        if (seconds < -SECONDS_MAX) return Long.MIN_VALUE;
        return seconds * 1_000_000_000 + rest;
    }

    /** struct fuse_lk_in behind its handle. */
    private static LockRange lock(int opcode, long in) {
        int type = getInt(in + 32);
        if (type < LockRange.SHARED || type > LockRange.NONE)
            throw new ProtocolException("opcode " + opcode + " with lock type " + type);
        return new LockRange(
                getLong(in + 8), getLong(in + 16), getLong(in + 24), type, getInt(in + 36), (getInt(in + 40) & 1) != 0);
    }

    private static Rename rename(Header header, long newDirectory, long names, long end, int flags) {
        byte[] name = name(Opcode.RENAME, names, end);
        return new Rename(header, name, newDirectory, name(Opcode.RENAME, names + name.length + 1, end), flags);
    }

    private static Init init(Header header, long in, long end) {
        long flags = Integer.toUnsignedLong(getInt(in + 12));
        if ((flags & Flags.INIT_EXT) != 0 && end - in >= 20) flags |= (long) getInt(in + 16) << 32;
        return new Init(header, getInt(in), getInt(in + 4), getInt(in + 8), flags);
    }

    private static long need(int opcode, long from, long bytes, long end) {
        if (bytes < 0 || end - from < bytes)
            throw new ProtocolException("opcode " + opcode + " ends " + (bytes - (end - from)) + " bytes early");
        return from;
    }

    private static int size(int opcode, long address) {
        int size = getInt(address);
        if (size < 0) throw new ProtocolException("opcode " + opcode + " with size " + Integer.toUnsignedString(size));
        return size;
    }

    private static byte[] name(int opcode, long from, long end) {
        long nul = from > end ? end : Memory.indexOfNul(from, end);
        if (nul >= end) throw new ProtocolException("opcode " + opcode + " with an unterminated name");
        return getBytes(from, (int) (nul - from));
    }
}
