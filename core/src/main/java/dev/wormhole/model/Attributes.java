// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/**
 * What stat(2) shows of an inode, plus its two version counters. Times are nanoseconds since 1970, any sign.
 *
 * @param permissions the lower 12 bits of st_mode (suid, sgid, sticky, rwx)
 * @param links number of names; for a directory 2 plus its subdirectories; 0 for an orphan
 * @param size bytes; for a symlink the target's length; for a directory 0
 * @param allocatedBytes bytes of the file that are not holes (st_blocks * 512)
 * @param device st_rdev of a device node in the kernel's encoding, else 0
 * @param content goes up whenever the bytes change; conflicts and caches compare it
 * @param layout goes up whenever the extents change, also when the bytes stay (compaction)
 * @param flags {@link InodeFlags}
 */
public record Attributes(
        InodeId inode,
        FileType type,
        int permissions,
        int links,
        int uid,
        int gid,
        int device,
        long size,
        long allocatedBytes,
        long accessedNanos,
        long modifiedNanos,
        long changedNanos,
        long bornNanos,
        long content,
        long layout,
        int flags) {
    public Attributes {
        if ((permissions & ~07777) != 0) throw new IllegalArgumentException("permissions: " + permissions);
        if (links < 0 || size < 0 || allocatedBytes < 0)
            throw new IllegalArgumentException("links " + links + ", size " + size + ", allocated " + allocatedBytes);
    }

    /** st_mode: type bits and permissions. */
    public int mode() {
        return type.modeBits() | permissions;
    }

    public boolean isDirectory() {
        return type == FileType.DIRECTORY;
    }
}
