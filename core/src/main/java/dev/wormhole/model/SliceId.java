// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/** Names a slice for ever; its allocator is the incarnation that wrote it. Positive. */
public record SliceId(long value) implements Comparable<SliceId> {
    public SliceId {
        if (value <= 0) throw new IllegalArgumentException("slice id: " + value);
    }

    public Incarnation writer() {
        return new Incarnation(Ids.allocator(value));
    }

    @Override
    public int compareTo(SliceId other) {
        return Long.compare(value, other.value);
    }

    @Override
    public String toString() {
        return "s" + Ids.allocator(value) + "." + Ids.counter(value);
    }
}
