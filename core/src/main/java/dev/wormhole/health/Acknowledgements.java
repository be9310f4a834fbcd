// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * Whether every pod of the prompt set has told that it answers by a change: what a proposer waits for before its program is
 * answered. Pods tell log indexes, each covering all before it. Thread-safe; futures complete on the thread that tells.
 */
public final class Acknowledgements {
    private record Waiter(long index, CompletableFuture<Void> future) {}

    private final Map<Incarnation, Long> told = new HashMap<>();
    private final PriorityQueue<Waiter> waiters = new PriorityQueue<>((a, b) -> Long.compare(a.index, b.index));
    private Set<Incarnation> waitedFor = Set.of();
    /** What all of them have told. */
    private volatile long all = Long.MAX_VALUE;

    /**
     * The prompt set as the log has it, without this pod. Told by the thread that applies the log, before anybody may ask
     * for an entry from there on.
     */
    public void promptSet(Collection<Incarnation> others) {
        change(() -> waitedFor = Set.copyOf(others));
    }

    /** A pod answers by everything up to the index. */
    public void told(Incarnation pod, long index) {
        change(() -> told.merge(pod, index, Math::max));
    }

    /**
     * Completes once each pod of the prompt set has told the index, or has left the set. Cancel it to stop waiting.
     *
     * @param index of an entry that this pod proposed and has applied: only of those do others tell at once
     */
    public CompletableFuture<Void> all(long index) {
        if (index <= all) return CompletableFuture.completedFuture(null);
        var waiter = new Waiter(index, new CompletableFuture<>());
        synchronized (this) {
            if (index <= all) return CompletableFuture.completedFuture(null);
            waiters.add(waiter);
        }
        waiter.future.whenComplete((_, failure) -> {
            if (failure == null) return;
            synchronized (this) {
                waiters.remove(waiter);
            }
        });
        return waiter.future;
    }

    /** Nobody is waited for any more: the network is lost, or this pod stops. */
    public void giveUp() {
        List<Waiter> left;
        synchronized (this) {
            left = List.copyOf(waiters);
            waiters.clear();
        }
        for (Waiter waiter : left) waiter.future.complete(null);
    }

    private void change(Runnable change) {
        List<Waiter> due = List.of();
        synchronized (this) {
            change.run();
            long least = Long.MAX_VALUE;
            for (Incarnation pod : waitedFor) least = Math.min(least, told.getOrDefault(pod, 0L));
            all = least;
            while (!waiters.isEmpty() && waiters.peek().index <= least) {
                if (due.isEmpty()) due = new ArrayList<>();
                due.add(waiters.poll());
            }
        }
        for (Waiter waiter : due) waiter.future.complete(null);
    }
}
