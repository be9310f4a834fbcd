// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

/**
 * What stat(2) shows. Times are nanoseconds since 1970, any sign.
 *
 * @param blocks of 512 bytes
 * @param mode type and permission bits
 * @param device st_rdev in the kernel's 32-bit encoding
 * @param flags FS_..._FL bits of FS_IOC_GETFLAGS
 */
public record InodeAttributes(
        long inode,
        long size,
        long blocks,
        long accessedNanos,
        long modifiedNanos,
        long changedNanos,
        long bornNanos,
        int mode,
        int links,
        int uid,
        int gid,
        int device,
        int flags) {}
