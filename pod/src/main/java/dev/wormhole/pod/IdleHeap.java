// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/**
 * Gives memory back to the machine when the pod has nothing to do. The serial collector returns memory only when it collects
 * the whole heap, which in an idle process never happens: after busy hours all of the maximum would stay taken. A whole
 * collection of what a pod keeps takes some 60 ms, so it is made only when almost nothing was allocated for a while and the
 * heap has grown since the last one.
 */
final class IdleHeap implements AutoCloseable {
    private static final Duration LOOK_EVERY = Duration.ofSeconds(15);
    private static final long WORTHWHILE_BYTES = 16L << 20;
    /** An idle pod fills the young generation less than once in a look. */
    private static final long IDLE_COLLECTIONS_MAX = 1;

    private final Thread thread;
    private volatile boolean closed;
    private long collections = collections();
    private long keptBytes =
            ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getInit();

    IdleHeap() {
        thread = Thread.ofPlatform().name("idle-heap").daemon().unstarted(this::run);
    }

    void start() {
        thread.start();
    }

    private void run() {
        while (!closed) {
            LockSupport.parkNanos(LOOK_EVERY.toNanos());
            if (!closed) look();
        }
    }

    /** Answers whether the heap was collected. */
    boolean look() {
        long before = collections;
        collections = collections();
        boolean idle = collections - before <= IDLE_COLLECTIONS_MAX;
        if (!idle || Runtime.getRuntime().totalMemory() < keptBytes + WORTHWHILE_BYTES) return false;
        System.gc();
        keptBytes = Runtime.getRuntime().totalMemory();
        collections = collections();
        return true;
    }

    private static long collections() {
        long sum = 0;
        for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans())
            sum += collector.getCollectionCount();
        return sum;
    }

    @Override
    public void close() {
        closed = true;
        LockSupport.unpark(thread);
    }
}
