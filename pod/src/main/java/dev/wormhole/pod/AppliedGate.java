// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import java.util.ArrayList;
import java.util.List;
import java.util.PriorityQueue;
import java.util.concurrent.CompletableFuture;

/** The log index that this pod has applied, and those who wait for it. Thread-safe. */
final class AppliedGate {
    private record Waiter(long index, CompletableFuture<Void> future) {}

    private final PriorityQueue<Waiter> waiters = new PriorityQueue<>((a, b) -> Long.compare(a.index, b.index));
    private volatile long applied;

    AppliedGate(long applied) {
        this.applied = applied;
    }

    long applied() {
        return applied;
    }

    /** Completes once the index has been applied here; cancel it to stop waiting. */
    CompletableFuture<Void> reach(long index) {
        if (applied >= index) return CompletableFuture.completedFuture(null);
        var future = new CompletableFuture<Void>();
        var waiter = new Waiter(index, future);
        synchronized (waiters) {
            if (applied >= index) return CompletableFuture.completedFuture(null);
            waiters.add(waiter);
        }
        future.whenComplete((done, failure) -> {
            if (failure == null) return;
            synchronized (waiters) {
                waiters.remove(waiter);
            }
        });
        return future;
    }

    /** Told by the thread that applies the log, with growing indexes. */
    void advance(long index) {
        List<Waiter> due = List.of();
        synchronized (waiters) {
            if (index <= applied) return;
            applied = index;
            while (!waiters.isEmpty() && waiters.peek().index <= index) {
                if (due.isEmpty()) due = new ArrayList<>();
                due.add(waiters.poll());
            }
        }
        for (Waiter waiter : due) waiter.future.complete(null);
    }
}
