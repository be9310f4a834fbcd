// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

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
    /** Content counter that the program last revalidated, by opening or by a lock. */
    volatile long view;

    /** Who locked through it and has not closed it since. Guarded by this. */
    private final Set<Locker> lockers = new HashSet<>(0);

    private final int cutOffsBefore;

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
        cutOffsBefore = inode.cutOffs;
    }

    record Locker(LockSpace space, LockOwner owner) {}

    /** Whether a lock that the programs of this pod had of the file was taken away since it was opened. */
    boolean isCutOff() {
        return inode.cutOffs != cutOffsBefore;
    }

    /** @throws IOException when it is cut off */
    void checkNotCutOff() throws IOException {
        if (isCutOff())
            throw new IOException(
                    "a lock of " + inode.id + " went to another pod while this one was silent: open it anew");
    }

    synchronized void lockedBy(Locker locker) {
        if (lockers.add(locker)) inode.lockerEnters(locker);
    }

    synchronized void closedBy(Locker locker) {
        if (lockers.remove(locker)) inode.lockerLeaves(locker);
    }

    /**
     * The last descriptor is gone. Answers whose locks go with it: of those who locked through it and did not close it, they are
     * the open file itself. The kernel may have given its name to the next file already; then they go with that one.
     */
    synchronized List<Locker> released() {
        var gone = new ArrayList<Locker>(lockers.size());
        for (Locker locker : lockers) if (inode.lockerLeaves(locker)) gone.add(locker);
        lockers.clear();
        return gone;
    }

    boolean onlyReads() {
        return !writable;
    }

    static boolean writes(int flags) {
        return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
    }
}
