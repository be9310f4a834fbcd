// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/**
 * One life of a pod's store, and at the same time the allocator of its ids: 1 to 2^24-1, granted by the log, never
 * reused. Holders, sessions and Raft peers name incarnations, never pods.
 */
public record Incarnation(int number) implements Comparable<Incarnation> {
    public Incarnation {
        if (number <= 0 || number > Ids.ALLOCATOR_MAX) throw new IllegalArgumentException("incarnation: " + number);
    }

    @Override
    public int compareTo(Incarnation other) {
        return Integer.compare(number, other.number);
    }

    @Override
    public String toString() {
        return "p" + number;
    }
}
