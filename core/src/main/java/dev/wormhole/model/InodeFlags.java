// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/** Inode flags (chattr(1)) that are kept, with the bits of Linux's FS_IOC_GETFLAGS. */
public final class InodeFlags {
    /** Every write is synced before it is answered. */
    public static final int SYNC = 0x8;
    /** Nothing of it changes, and its names stay; in a directory no name is made or removed. */
    public static final int IMMUTABLE = 0x10;
    /** As immutable, but bytes may be appended; in a directory names may be made. */
    public static final int APPEND = 0x20;
    /** For backup programs. */
    public static final int NODUMP = 0x40;
    /** Reading leaves the access time as it is. */
    public static final int NOATIME = 0x80;
    /** Changes of a directory's names are durable when they are answered. */
    public static final int DIRSYNC = 0x10000;

    /** Either of these: names and attributes stay as they are. */
    public static final int FIXED = IMMUTABLE | APPEND;

    private static final int DIRECTORY = SYNC | IMMUTABLE | APPEND | NODUMP | NOATIME | DIRSYNC;
    private static final int REGULAR = DIRECTORY & ~DIRSYNC;
    private static final int INHERITED = SYNC | NODUMP | NOATIME | DIRSYNC;

    private InodeFlags() {}

    /** Flags that something of this type can have. */
    public static int possible(FileType type) {
        return switch (type) {
            case DIRECTORY -> DIRECTORY;
            case REGULAR -> REGULAR;
            default -> NODUMP | NOATIME;
        };
    }

    /** Flags of something new in a directory that has these. */
    public static int inherited(int directoryFlags, FileType type) {
        return directoryFlags & INHERITED & possible(type);
    }
}
