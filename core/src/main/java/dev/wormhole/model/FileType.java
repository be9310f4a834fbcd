// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/** The kind of an inode. The order is part of the formats: append only. {@link #modeBits} are Linux's S_IFMT values. */
public enum FileType {
    REGULAR(0100000),
    DIRECTORY(0040000),
    SYMLINK(0120000),
    FIFO(0010000),
    SOCKET(0140000),
    CHARACTER_DEVICE(0020000),
    BLOCK_DEVICE(0060000);

    private static final FileType[] VALUES = values();
    private final int modeBits;

    FileType(int modeBits) {
        this.modeBits = modeBits;
    }

    public int modeBits() {
        return modeBits;
    }

    /** The type in a st_mode; no type bits mean a regular file, as in mknod(2). Null for a value Linux does not know. */
    public static @org.jspecify.annotations.Nullable FileType ofMode(int mode) {
        int bits = mode & 0170000;
        if (bits == 0) return REGULAR;
        for (FileType type : VALUES) if (type.modeBits == bits) return type;
        return null;
    }
}
