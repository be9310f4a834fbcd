// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

import static dev.wormhole.mount.fuse.Memory.putInt;
import static dev.wormhole.mount.fuse.Memory.putLong;

/** What is told to the kernel unasked. */
public final class Notification {
    /** Header and struct fuse_notify_inval_inode_out. */
    public static final int INVALIDATE_INODE_BYTES = 40;

    private static final int INVAL_INODE = 2;

    private Notification() {}

    /** Attributes alone: takes no page lock. Writes {@link #INVALIDATE_INODE_BYTES} to the address and returns them. */
    public static int attributesOfInode(long inode, long address) {
        return invalidate(inode, -1, 0, address);
    }

    /** Attributes and all pages, of a directory the listing: waits for READs of the inode that are not answered. */
    public static int contentOfInode(long inode, long address) {
        return invalidate(inode, 0, 0, address);
    }

    private static int invalidate(long inode, long offset, long length, long address) {
        putInt(address, INVALIDATE_INODE_BYTES);
        putInt(address + 4, INVAL_INODE);
        putLong(address + 8, 0);
        putLong(address + 16, inode);
        putLong(address + 24, offset);
        putLong(address + 32, length);
        return INVALIDATE_INODE_BYTES;
    }
}
