// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

/** Slices on their way to other pods, so that two who want the same one sent send it once. Thread-safe. */
final class Pushes {
    private static final System.Logger LOG = System.getLogger(Pushes.class.getName());
    private final Replication replication;
    private final ConcurrentHashMap<SliceId, CompletableFuture<List<Incarnation>>> running = new ConcurrentHashMap<>();

    Pushes(Replication replication) {
        this.replication = replication;
    }

    /** Sends it, or joins whoever does; completes with the pods that have it, never exceptionally. */
    CompletableFuture<List<Incarnation>> start(SliceId slice, long lengthBytes, int copies, boolean keptHere) {
        var mine = new CompletableFuture<List<Incarnation>>();
        var before = running.putIfAbsent(slice, mine);
        if (before != null) return before;
        replication.push(slice, lengthBytes, copies, keptHere).whenComplete((pods, failure) -> {
            running.remove(slice, mine);
            if (failure != null) LOG.log(System.Logger.Level.WARNING, "a push failed instead of answering", failure);
            mine.complete(failure != null || pods == null ? List.of() : pods);
        });
        return mine;
    }
}
