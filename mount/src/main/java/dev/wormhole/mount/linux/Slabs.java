// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import java.util.ArrayDeque;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The slabs of one mount, at most so many. Released ones keep their addresses, only {@value #WARM_MAX} keep their memory:
 * who wrongly holds on to a buffer reads zeros and does not crash. Thread-safe.
 */
final class Slabs {
    private static final int WARM_MAX = 16;

    private final Semaphore permits;
    private final ReentrantLock lock = new ReentrantLock();
    private final ArrayDeque<Slab> warm = new ArrayDeque<>();
    private final ArrayDeque<Slab> cold = new ArrayDeque<>();

    Slabs(int max) {
        permits = new Semaphore(max);
    }

    /** Waits, not interruptibly, while all are in use. */
    Slab acquire() {
        permits.acquireUninterruptibly();
        lock.lock();
        try {
            Slab slab = warm.pollLast();
            if (slab == null) slab = cold.pollLast();
            if (slab != null) return slab;
        } finally {
            lock.unlock();
        }
        try {
            return new Slab();
        } catch (Throwable e) {
            permits.release();
            throw e;
        }
    }

    void release(Slab slab) {
        lock.lock();
        try {
            if (warm.size() < WARM_MAX) warm.addLast(slab);
            else {
                slab.drop();
                cold.addLast(slab);
            }
        } finally {
            lock.unlock();
        }
        permits.release();
    }

    /** Once all are released for good. */
    void unmapAll() {
        lock.lock();
        try {
            warm.forEach(Slab::unmap);
            cold.forEach(Slab::unmap);
            warm.clear();
            cold.clear();
        } finally {
            lock.unlock();
        }
    }
}
