// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.model.Answer;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeFlags;
import dev.wormhole.model.InodeId;
import dev.wormhole.mount.fuse.Reply;
import dev.wormhole.mount.fuse.Request;
import dev.wormhole.vfs.FileSystem;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * ioctl(2): inode flags, as lsattr(1) and chattr(1) ask for them (FS_IOC_GETFLAGS, FS_IOC_SETFLAGS) and as struct fsxattr has
 * them. Who may change which is the kernel's to check; it sends 32-bit programs' calls as these too.
 */
final class InodeControls {
    private static final int GET_FLAGS = 0x80086601;
    private static final int SET_FLAGS = 0x40086602;
    private static final int GET_XATTR = 0x801c581f;
    private static final int SET_XATTR = 0x401c5820;
    private static final int FLAGS_BYTES = 4;
    private static final int XATTR_BYTES = 28;
    /** extsize, nextents, projid and cowextsize stand behind the flags; only projects would be asked for by programs. */
    private static final int PROJECT_AT = 12;

    private static final Reply ENOTTY = new Reply.Failed(25);

    /** Flags of struct fsxattr and what they are called by GETFLAGS. */
    private static final int[][] NAMES = {
        {0x8, InodeFlags.IMMUTABLE},
        {0x10, InodeFlags.APPEND},
        {0x20, InodeFlags.SYNC},
        {0x40, InodeFlags.NOATIME},
        {0x80, InodeFlags.NODUMP},
    };

    private InodeControls() {}

    static Reply answer(FileSystem fs, Request.Ioctl r) throws IOException, InterruptedException {
        var inode = new InodeId(r.header().node());
        boolean sets = r.command() == SET_FLAGS || r.command() == SET_XATTR;
        int bytes = switch (r.command()) {
            case GET_FLAGS, SET_FLAGS -> FLAGS_BYTES;
            case GET_XATTR, SET_XATTR -> XATTR_BYTES;
            default -> 0;
        };
        if (bytes == 0 || (sets ? r.in().length : r.outBytes()) < bytes) return ENOTTY;
        int flags;
        switch (fs.attributes(inode, 0)) {
            case Answer.Refused<FileSystem.Stat>(Errno errno) -> {
                return new Reply.Failed(errno.number());
            }
            case Answer.Ok<FileSystem.Stat>(var stat) -> {
                FileType type = stat.attributes().type();
                if (type != FileType.REGULAR && type != FileType.DIRECTORY) return ENOTTY;
                flags = stat.attributes().flags();
            }
        }
        var out = ByteBuffer.allocate(bytes).order(ByteOrder.nativeOrder());
        if (!sets) {
            out.putInt(0, r.command() == GET_FLAGS ? flags : named(flags));
            return new Reply.Controlled(out.array());
        }
        var in = ByteBuffer.wrap(r.in()).order(ByteOrder.nativeOrder());
        int wanted = in.getInt(0);
        if (r.command() == SET_XATTR) {
            int known = flagged(wanted);
            if (named(known) != wanted || in.getInt(PROJECT_AT) != 0)
                return new Reply.Failed(Errno.EOPNOTSUPP.number());
            wanted = known | flags & InodeFlags.DIRSYNC; // has no place in struct fsxattr
        }
        if (wanted == flags) return new Reply.Controlled(new byte[0]);
        return switch (fs.setFlags(inode, wanted)) {
            case Answer.Ok<Void> _ -> new Reply.Controlled(new byte[0]);
            case Answer.Refused<Void>(Errno errno) -> new Reply.Failed(errno.number());
        };
    }

    private static int named(int flags) {
        int named = 0;
        for (int[] name : NAMES) if ((flags & name[1]) != 0) named |= name[0];
        return named;
    }

    private static int flagged(int named) {
        int flags = 0;
        for (int[] name : NAMES) if ((named & name[0]) != 0) flags |= name[1];
        return flags;
    }
}
