// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.InodeId;
import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * Up to which log index this pod has <em>told</em>: applied it, and nobody here is answered otherwise any more, its kernel
 * included. Entries are told in order; one that the kernel may still answer against waits, and those behind it.
 *
 * <p>The thread that applies the log never waits here. While something waits, a virtual thread sees to it.
 */
final class Teller {
    private record Due(long index, long notBeforeNanos, List<InodeId> drop) {}

    private final Supplier<FileSystem.KernelCache> kernel;
    private final LongSupplier nanoClock;
    private final ArrayDeque<Due> due = new ArrayDeque<>(); // guarded by itself
    private boolean waiting; // guarded by due
    private volatile LongConsumer told = _ -> {};
    private volatile long index;

    Teller(Supplier<FileSystem.KernelCache> kernel, LongSupplier nanoClock, long index) {
        this.kernel = kernel;
        this.nanoClock = nanoClock;
        this.index = index;
    }

    /** Who hears of it, with growing indexes. Must not block. */
    void tell(LongConsumer listener) {
        told = listener;
        listener.accept(index);
    }

    long index() {
        return index;
    }

    /**
     * Told by the thread that applies the log.
     *
     * @param afterNanos for so long names that the entry changed may be believed here
     * @param drop attributes of these are taken back from the kernel after that
     */
    void applied(long appliedIndex, long afterNanos, List<InodeId> drop) {
        synchronized (due) {
            if (waiting || afterNanos > 0 || !drop.isEmpty()) {
                due.add(new Due(appliedIndex, afterNanos > 0 ? nanoClock.getAsLong() + afterNanos : 0, drop));
                if (!waiting) {
                    waiting = true;
                    Thread.ofVirtual().name("wormhole-teller").start(this::run);
                }
                return;
            }
        }
        reached(appliedIndex);
    }

    private void reached(long appliedIndex) {
        index = appliedIndex;
        told.accept(appliedIndex);
    }

    private void run() {
        while (true) {
            Due next;
            synchronized (due) {
                next = due.peek();
                if (next == null) {
                    waiting = false;
                    return;
                }
            }
            while (next.notBeforeNanos != 0) {
                long left = next.notBeforeNanos - nanoClock.getAsLong();
                if (left <= 0) break;
                LockSupport.parkNanos(left);
            }
            if (!next.drop.isEmpty()) drop(next.drop);
            reached(next.index);
            synchronized (due) {
                due.poll();
            }
        }
    }

    private void drop(List<InodeId> inodes) {
        var cache = kernel.get();
        for (InodeId inode : inodes) cache.attributesChanged(inode);
        var dropped = new CountDownLatch(1);
        cache.afterAttributes(dropped::countDown);
        try {
            dropped.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException("nobody interrupts this thread", e);
        }
    }
}
