// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/** Names an inode for ever; never reused. Equal to the FUSE node id. Positive. */
public record InodeId(long value) implements Comparable<InodeId> {
    public static final InodeId ROOT = new InodeId(1);

    public InodeId {
        if (value <= 0) throw new IllegalArgumentException("inode id: " + value);
    }

    @Override
    public int compareTo(InodeId other) {
        return Long.compare(value, other.value);
    }

    @Override
    public String toString() {
        return "i" + Ids.allocator(value) + "." + Ids.counter(value);
    }
}
