// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Command;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Pods that made a slice durable after its commit: told to the log as lists, every 200 ms or 512 slices. Bounded: above
 * 65,536 waiting slices new ones are not taken, and repair finds those copies later. Thread-safe.
 */
final class LateHolders {
    static final int SLICES_PER_COMMAND = 512;
    private static final int WAITING_MAX = 65_536;
    private final Metadata metadata;
    private final Map<Incarnation, Batch> waiting = new HashMap<>();
    private int waitingCount;

    private static final class Batch {
        final List<SliceId> slices = new ArrayList<>();
        final CompletableFuture<Long> told = new CompletableFuture<>();
    }

    LateHolders(Metadata metadata) {
        this.metadata = metadata;
    }

    /** Completes with the log index once the log says so; exceptionally when it could not be told. */
    CompletableFuture<Long> report(Incarnation holder, SliceId slice) {
        Batch full = null;
        CompletableFuture<Long> told;
        synchronized (this) {
            if (waitingCount >= WAITING_MAX)
                return CompletableFuture.failedFuture(new java.io.IOException("too many late holders wait"));
            Batch batch = waiting.computeIfAbsent(holder, key -> new Batch());
            batch.slices.add(slice);
            waitingCount++;
            told = batch.told;
            if (batch.slices.size() >= SLICES_PER_COMMAND) full = take(holder);
        }
        if (full != null) propose(holder, full);
        return told;
    }

    /** Tells everything that waits; called every 200 ms, and by whoever cannot wait so long. */
    void tellNow() {
        Map<Incarnation, Batch> all;
        synchronized (this) {
            if (waiting.isEmpty()) return;
            all = new HashMap<>(waiting);
            waiting.clear();
            waitingCount = 0;
        }
        all.forEach(this::propose);
    }

    private @Nullable Batch take(Incarnation holder) {
        Batch batch = waiting.remove(holder);
        if (batch != null) waitingCount -= batch.slices.size();
        return batch;
    }

    private void propose(Incarnation holder, Batch batch) {
        metadata.propose(new Command.AddHolders(holder, HolderState.DURABLE, List.copyOf(batch.slices)))
                .whenComplete((committed, failure) -> {
                    if (failure != null) batch.told.completeExceptionally(failure);
                    else batch.told.complete(committed.index());
                });
    }
}
