// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

/** A place in the replicated log: every entry up to and with {@code index} is contained. Ordered by index. */
public record Position(long term, long index) implements Comparable<Position> {
    /** Before the first entry, which has index 0. */
    public static final Position NONE = new Position(0, -1);

    public Position {
        if (term < 0 || index < -1) throw new IllegalArgumentException("position: " + term + ":" + index);
    }

    @Override
    public int compareTo(Position other) {
        return Long.compare(index, other.index);
    }

    @Override
    public String toString() {
        return term + ":" + index;
    }
}
