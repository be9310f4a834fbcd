// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Read barriers shared by those who wait: one round trip to the leader is under way, and whoever comes meanwhile shares
 * the next one, because only a round that began after their call covers what was committed before it. Thread-safe.
 */
final class Barriers {
    private final Supplier<CompletableFuture<Long>> round;
    private boolean underWay;
    private @Nullable CompletableFuture<Long> next;

    /** @param round asks the leader for an index that covers everything committed so far; ends within a deadline */
    Barriers(Supplier<CompletableFuture<Long>> round) {
        this.round = round;
    }

    /** The index to wait for; fails as the round that carries it does. */
    CompletableFuture<Long> index() {
        CompletableFuture<Long> mine;
        synchronized (this) {
            if (underWay) {
                if (next == null) next = new CompletableFuture<>();
                return next;
            }
            underWay = true;
            mine = new CompletableFuture<>();
        }
        begin(mine);
        return mine;
    }

    private void begin(CompletableFuture<Long> waiting) {
        CompletableFuture<Long> answer;
        try {
            answer = round.get();
        } catch (RuntimeException failure) {
            answer = CompletableFuture.failedFuture(failure);
        }
        answer.whenComplete((index, failure) -> {
            CompletableFuture<Long> following;
            synchronized (this) {
                following = next;
                next = null;
                underWay = following != null;
            }
            if (following != null) begin(following);
            if (failure != null) waiting.completeExceptionally(failure);
            else waiting.complete(index);
        });
    }
}
