// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

import static dev.wormhole.mount.fuse.Memory.clear;
import static dev.wormhole.mount.fuse.Memory.putBytes;
import static dev.wormhole.mount.fuse.Memory.putInt;
import static dev.wormhole.mount.fuse.Memory.putLong;
import static dev.wormhole.mount.fuse.Memory.putShort;

/** What a request is answered with. Immutable. */
public sealed interface Reply {
    /** struct fuse_out_header; what the reply says follows. */
    int HEADER_BYTES = 16;

    int BLOCK_BYTES = 4096;
    /** STATX_ATTR_IMMUTABLE, APPEND and NODUMP: the bits of FS_IOC_GETFLAGS. */
    int STATX_FLAGS = 0x70;

    int NAME_BYTES_MAX = 255;

    /** @param errno positive */
    record Failed(int errno) implements Reply {
        public Failed {
            if (errno <= 0 || errno > 511) throw new IllegalArgumentException("errno: " + errno);
        }
    }

    /** Success that says nothing more. */
    record Done() implements Reply {
        public static final Done INSTANCE = new Done();
    }

    /** A name found or made; the kernel counts one more reference to the inode. Validities: nanoseconds, 0 for none. */
    record Entry(InodeAttributes attributes, long entryValidNanos, long attributesValidNanos) implements Reply {}

    record Attributes(InodeAttributes attributes, long validNanos) implements Reply {}

    /** As {@link Attributes}, in the format that has room for the time of birth. */
    record ExtendedAttributes(InodeAttributes attributes, long validNanos) implements Reply {}

    /** @param flags the constants here */
    record Opened(long handle, int flags) implements Reply {
        public static final int DIRECT_IO = 1;
        public static final int KEEP_CACHE = 1 << 1;
        public static final int CACHE_DIR = 1 << 3;
    }

    record Created(Entry entry, Opened opened) implements Reply {}

    /** Bytes taken of a WRITE or COPY_FILE_RANGE. */
    record Written(int bytes) implements Reply {}

    /** The length of an extended attribute or of the list of their names. */
    record XattrSize(int bytes) implements Reply {}

    /** A position (LSEEK) or a count (COPY_FILE_RANGE_64) of 64 bits. */
    record Wide(long value) implements Reply {}

    /** A lock in the way, or of type NONE that there is none. */
    record Lock(Request.LockRange lock) implements Reply {}

    record Bytes(byte[] bytes) implements Reply {}

    /** What an IOCTL that succeeded answers. */
    record Controlled(byte[] bytes) implements Reply {}

    /** The bytes stand behind the header's place already. */
    record InPlace(int length) implements Reply {}

    /** In blocks of 4,096 bytes. */
    record Space(long blocks, long freeBlocks, long inodes, long freeInodes) implements Reply {}

    record Agreed(Negotiation terms) implements Reply {}

    /**
     * Writes the reply with its header to the address, where there must be room for it.
     *
     * @return bytes to write to the device
     */
    static int encode(Reply reply, long unique, long address) {
        long out = address + HEADER_BYTES;
        int error = 0;
        int length = switch (reply) {
            case Failed(int errno) -> {
                error = -errno;
                yield 0;
            }
            case Done() -> 0;
            case Entry entry -> entry(entry, out);
            case Attributes(var attributes, long valid) -> {
                validity(valid, out, out + 8);
                putInt(out + 12, 0);
                attributes(attributes, out + 16);
                yield 104;
            }
            case ExtendedAttributes(var attributes, long valid) -> statx(attributes, valid, out);
            case Opened opened -> opened(opened, out);
            case Created(var entry, var opened) -> {
                int bytes = entry(entry, out);
                yield bytes + opened(opened, out + bytes);
            }
            case Written(int bytes) -> pair(bytes, out);
            case XattrSize(int bytes) -> pair(bytes, out);
            case Wide(long value) -> {
                putLong(out, value);
                yield 8;
            }
            case Bytes(byte[] bytes) -> {
                putBytes(out, bytes);
                yield bytes.length;
            }
            case Controlled(byte[] bytes) -> {
                clear(out, 16);
                putBytes(out + 16, bytes);
                yield 16 + bytes.length;
            }
            case Lock(var lock) -> lock(lock, out);
            case InPlace(int bytes) -> bytes;
            case Space space -> space(space, out);
            case Agreed(var terms) -> init(terms, out);
        };
        putInt(address, HEADER_BYTES + length);
        putInt(address + 4, error);
        putLong(address + 8, unique);
        return HEADER_BYTES + length;
    }

    /** struct fuse_entry_out. Generation is 0: an inode number is never used again. */
    static int entry(Entry entry, long out) {
        putLong(out, entry.attributes().inode());
        putLong(out + 8, 0);
        validity(entry.entryValidNanos(), out + 16, out + 32);
        validity(entry.attributesValidNanos(), out + 24, out + 36);
        attributes(entry.attributes(), out + 40);
        return 128;
    }

    /** struct fuse_attr, 88 bytes. */
    static void attributes(InodeAttributes a, long out) {
        putLong(out, a.inode());
        putLong(out + 8, a.size());
        putLong(out + 16, a.blocks());
        time(a.accessedNanos(), out + 24, out + 48);
        time(a.modifiedNanos(), out + 32, out + 52);
        time(a.changedNanos(), out + 40, out + 56);
        putInt(out + 60, a.mode());
        putInt(out + 64, a.links());
        putInt(out + 68, a.uid());
        putInt(out + 72, a.gid());
        putInt(out + 76, a.device());
        putInt(out + 80, BLOCK_BYTES);
        putInt(out + 84, 0);
    }

    private static void time(long nanos, long seconds, long rest) {
        putLong(seconds, Math.floorDiv(nanos, 1_000_000_000L));
        putInt(rest, Math.floorMod(nanos, 1_000_000_000));
    }

    private static void validity(long nanos, long seconds, long rest) {
        long positive = Math.max(0, nanos);
        putLong(seconds, positive / 1_000_000_000);
        putInt(rest, (int) (positive % 1_000_000_000));
    }

    private static int opened(Opened opened, long out) {
        putLong(out, opened.handle());
        putInt(out + 8, opened.flags());
        putInt(out + 12, 0);
        return 16;
    }

    private static int pair(int first, long out) {
        putInt(out, first);
        putInt(out + 4, 0);
        return 8;
    }

    /** struct fuse_statx_out: 32 bytes, then struct fuse_statx. */
    private static int statx(InodeAttributes a, long validNanos, long out) {
        clear(out, 288);
        validity(validNanos, out, out + 8);
        long x = out + 32;
        putInt(x, 0xfff); // STATX_BASIC_STATS | STATX_BTIME
        putInt(x + 4, BLOCK_BYTES);
        putLong(x + 8, a.flags() & STATX_FLAGS);
        putInt(x + 16, a.links());
        putInt(x + 20, a.uid());
        putInt(x + 24, a.gid());
        putShort(x + 28, a.mode());
        putLong(x + 32, a.inode());
        putLong(x + 40, a.size());
        putLong(x + 48, a.blocks());
        putLong(x + 56, STATX_FLAGS);
        time(a.accessedNanos(), x + 64, x + 72);
        time(a.bornNanos(), x + 80, x + 88);
        time(a.changedNanos(), x + 96, x + 104);
        time(a.modifiedNanos(), x + 112, x + 120);
        putInt(x + 128, (a.device() & 0xfff00) >>> 8);
        putInt(x + 132, (a.device() & 0xff) | (a.device() >>> 12 & 0xfff00));
        return 288;
    }

    /** struct fuse_lk_out. */
    private static int lock(Request.LockRange lock, long out) {
        putLong(out, lock.from());
        putLong(out + 8, lock.to());
        putInt(out + 16, lock.type());
        putInt(out + 20, lock.pid());
        return 24;
    }

    /** struct fuse_kstatfs. */
    private static int space(Space space, long out) {
        clear(out, 80);
        putLong(out, space.blocks());
        putLong(out + 8, space.freeBlocks());
        putLong(out + 16, space.freeBlocks());
        putLong(out + 24, space.inodes());
        putLong(out + 32, space.freeInodes());
        putInt(out + 40, BLOCK_BYTES);
        putInt(out + 44, NAME_BYTES_MAX);
        putInt(out + 48, BLOCK_BYTES);
        return 80;
    }

    /** struct fuse_init_out. */
    private static int init(Negotiation n, long out) {
        clear(out, 64);
        putInt(out, Negotiation.MAJOR);
        putInt(out + 4, n.minor());
        putInt(out + 8, n.maxReadaheadBytes());
        putInt(out + 12, (int) n.flags());
        putShort(out + 16, n.maxBackground());
        putShort(out + 18, n.congestionThreshold());
        putInt(out + 20, n.maxWriteBytes());
        putInt(out + 24, 1); // times are kept to the nanosecond
        putShort(out + 28, n.maxWriteBytes() / n.pageBytes());
        putInt(out + 32, (int) (n.flags() >>> 32));
        return 64;
    }
}
