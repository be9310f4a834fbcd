// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Incarnation;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Brings one slice to as many pods as are wanted, each tried once. A try that answers with less than was asked of it, or
 * that has not answered after a while, is followed by one with other pods; the first to reach what is wanted decides. So a
 * pod that is frozen, but not yet known to be, costs the hedge's delay and not the try's deadline. What a late try still
 * brings to its pods is a copy that nobody asked for; whoever holds it finds that out.
 *
 * <p>Thread-safe; tries end by themselves, so the result does.
 */
final class HedgedPush {
    /** The way to pods. */
    interface Pods {
        /**
         * Whom to try next, best first.
         *
         * @param left out of the choice, because they have it or were tried
         * @param wanted how many; fewer where there are no more
         */
        List<Incarnation> choose(Set<Incarnation> left, int wanted);

        /** Those of the chain that have it durably, within a deadline; never fails. */
        CompletableFuture<List<Incarnation>> send(List<Incarnation> chain);
    }

    private final Pods pods;
    private final int wanted;
    private final Duration hedgeAfter;
    private final Set<Incarnation> durable = new LinkedHashSet<>();
    private final Set<Incarnation> tried = new LinkedHashSet<>();
    private int underWay;
    private final CompletableFuture<List<Incarnation>> result = new CompletableFuture<>();

    private HedgedPush(Pods pods, int wanted, Duration hedgeAfter) {
        this.pods = pods;
        this.wanted = wanted;
        this.hedgeAfter = hedgeAfter;
    }

    /** @return the pods that have it: at least {@code wanted}, or all that could be found */
    static CompletableFuture<List<Incarnation>> of(Pods pods, int wanted, Duration hedgeAfter) {
        var push = new HedgedPush(pods, wanted, hedgeAfter);
        push.next();
        return push.result;
    }

    private void next() {
        List<Incarnation> chain;
        List<Incarnation> all = null;
        synchronized (this) {
            if (result.isDone()) return;
            int missing = wanted - durable.size();
            chain = missing <= 0 ? List.of() : pods.choose(Set.copyOf(tried), missing);
            if (chain.isEmpty()) {
                if (missing <= 0 || underWay == 0) all = List.copyOf(durable);
            } else {
                tried.addAll(chain);
                underWay++;
            }
        }
        if (all != null) result.complete(all);
        if (chain.isEmpty()) return;
        var sent = pods.send(chain);
        sent.whenComplete((took, bug) -> {
            if (bug != null) {
                result.completeExceptionally(bug);
                return;
            }
            synchronized (this) {
                underWay--;
                durable.addAll(took);
            }
            next();
        });
        if (sent.isDone()) return;
        var unused = sent.copy()
                .orTimeout(hedgeAfter.toNanos(), TimeUnit.NANOSECONDS)
                .whenComplete((_, late) -> {
                    if (late instanceof TimeoutException) Thread.startVirtualThread(this::next);
                });
    }
}
