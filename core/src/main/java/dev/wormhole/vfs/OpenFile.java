// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

/** One open(2) of a file. */
final class OpenFile {
    static final int O_ACCMODE = 3;
    static final int O_RDONLY = 0;
    static final int O_WRONLY = 1;
    static final int O_EXCL = 0200;
    static final int O_TRUNC = 01000;
    static final int O_APPEND = 02000;
    static final int O_NOATIME = 01000000;

    final OpenInode inode;
    final boolean writable;
    final boolean append;
    final boolean keepsAccessTime;
    /** Content counter that the program last revalidated by opening. */
    final long view;

    volatile int lossesTold;

    OpenFile(OpenInode inode, int flags, long view) {
        this.inode = inode;
        this.view = view;
        int access = flags & O_ACCMODE;
        // reads are not refused: the kernel checks access, and reads through write-only handles to fill pages
        writable = access != O_RDONLY;
        append = writable && (flags & O_APPEND) != 0;
        keepsAccessTime = (flags & O_NOATIME) == 0;
        lossesTold = inode.losses;
    }

    boolean onlyReads() {
        return !writable;
    }

    static boolean writes(int flags) {
        return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
    }
}
