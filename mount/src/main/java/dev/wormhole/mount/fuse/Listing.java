// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

import static dev.wormhole.mount.fuse.Memory.clear;
import static dev.wormhole.mount.fuse.Memory.getInt;
import static dev.wormhole.mount.fuse.Memory.putBytes;
import static dev.wormhole.mount.fuse.Memory.putInt;
import static dev.wormhole.mount.fuse.Memory.putLong;

import org.jspecify.annotations.Nullable;

/** Fills the bytes of a READDIR or READDIRPLUS reply, entry by entry. One thread. */
public final class Listing {
    private static final int ENTRY_BYTES = 128;
    private static final int DIRENT_BYTES = 24;
    /** In an entry: seconds of the name and of the attributes, then nanoseconds of both. */
    private static final int VALIDITY_AT = 16;

    private static final int VALIDITY_BYTES = 24;
    private final long address;
    private final int capacityBytes;
    private final boolean attributes;
    private int lengthBytes;

    /** @param attributes READDIRPLUS: each entry has its attributes in front */
    public Listing(long address, int capacityBytes, boolean attributes) {
        this.address = address;
        this.capacityBytes = capacityBytes;
        this.attributes = attributes;
    }

    /**
     * Adds one entry unless there is no room for it.
     *
     * @param typeBits S_IFMT bits of the mode
     * @param cookie where a listing goes on behind this entry
     * @param entry counts as a lookup; null where none is meant ("." and "..", or a plain READDIR)
     */
    public boolean add(byte[] name, long inode, int typeBits, long cookie, Reply.@Nullable Entry entry) {
        int head = attributes ? ENTRY_BYTES : 0;
        int used = head + DIRENT_BYTES + name.length;
        int aligned = (used + 7) & ~7;
        if (capacityBytes - lengthBytes < aligned) return false;
        long out = address + lengthBytes;
        if (attributes) {
            if (entry == null) clear(out, ENTRY_BYTES); // node 0: a name without a reference
            else Reply.entry(entry, out);
        }
        long dirent = out + head;
        putLong(dirent, inode);
        putLong(dirent + 8, cookie);
        putInt(dirent + 16, name.length);
        putInt(dirent + 20, typeBits >>> 12);
        putBytes(dirent + DIRENT_BYTES, name);
        if (aligned > used) clear(out + used, aligned - used);
        lengthBytes += aligned;
        return true;
    }

    /** Takes back what the entries so far allow the kernel to believe: they are too old by now. */
    public void distrust() {
        if (!attributes) return;
        for (int at = 0; at < lengthBytes; ) {
            long out = address + at;
            clear(out + VALIDITY_AT, VALIDITY_BYTES);
            int used = ENTRY_BYTES + DIRENT_BYTES + getInt(out + ENTRY_BYTES + 16);
            at += (used + 7) & ~7;
        }
    }

    public int lengthBytes() {
        return lengthBytes;
    }
}
