// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/**
 * The layout of every 63-bit id: 24 bits of allocator above 39 bits of counter. The log grants an allocator to each
 * incarnation of a store and never twice, so ids made on different pods never meet; the counters below an allocator are
 * reserved on disk in blocks before use. Ids are always positive.
 */
public final class Ids {
    public static final int COUNTER_BITS = 39;
    public static final long COUNTER_MAX = (1L << COUNTER_BITS) - 1;
    public static final int ALLOCATOR_MAX = (1 << 24) - 1;

    private Ids() {}

    /** @throws IllegalArgumentException if either part is out of its range */
    public static long of(int allocator, long counter) {
        if (allocator < 0 || allocator > ALLOCATOR_MAX) throw new IllegalArgumentException("allocator: " + allocator);
        if (counter < 0 || counter > COUNTER_MAX) throw new IllegalArgumentException("counter: " + counter);
        return (long) allocator << COUNTER_BITS | counter;
    }

    public static int allocator(long id) {
        return (int) (id >>> COUNTER_BITS);
    }

    public static long counter(long id) {
        return id & COUNTER_MAX;
    }
}
