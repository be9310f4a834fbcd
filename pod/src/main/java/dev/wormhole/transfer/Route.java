// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Where a push goes next, judged by how its attempts ended. Pure; one thread at a time.
 *
 * <p>Pods that refused are not asked again. One that stalled or could not be reached is set aside: it is tried again only
 * while nobody at all has the slice (an unreachable one just once), so that a dead pod never delays an answer that a live
 * one has given. A pod that only passes a slice on has it itself, so it never tries such a pod again.
 */
final class Route {
    /** How one attempt ended. */
    enum End {
        DONE,
        REFUSED,
        UNREACHABLE,
        STALLED,
        /** The connection broke, or bytes were damaged on it. */
        BROKEN
    }

    private static final int UNREACHABLE_MAX = 2;
    private static final int BROKEN_MAX = 3;

    private final boolean patient;
    private final List<Incarnation> targets;
    private final Set<Incarnation> durable = new LinkedHashSet<>();
    private final Set<Incarnation> late = new LinkedHashSet<>();
    private final Map<Incarnation, Integer> troubles = new HashMap<>();

    /** @param patient whether pods that stall are tried again while nobody has the slice */
    Route(List<Incarnation> chain, boolean patient) {
        this.patient = patient;
        targets = new ArrayList<>(new LinkedHashSet<>(chain));
    }

    /** The chain to try now; null when nothing more is to be done. */
    @Nullable List<Incarnation> next() {
        var prompt = new ArrayList<>(targets);
        prompt.removeAll(late);
        if (!prompt.isEmpty()) return prompt;
        return targets.isEmpty() || !durable.isEmpty() || !patient ? null : List.copyOf(targets);
    }

    /** Whether {@link #next} can only repeat what just failed, so that a short pause is due. */
    boolean pauses() {
        return late.containsAll(targets);
    }

    /** Everyone that has the slice durably, in the order in which it was learnt. */
    List<Incarnation> durable() {
        return List.copyOf(durable);
    }

    /**
     * @param chain what was tried
     * @param have pods that were told to have it
     * @param advanced whether bytes were newly accepted
     */
    void ended(List<Incarnation> chain, End end, Collection<Incarnation> have, boolean advanced) {
        durable.addAll(have);
        targets.removeAll(have);
        var first = chain.getFirst();
        switch (end) {
            case DONE -> {
                targets.remove(first);
                for (var behind : chain.subList(1, chain.size())) trouble(behind, UNREACHABLE_MAX);
            }
            case REFUSED -> targets.remove(first);
            case UNREACHABLE -> {
                late.add(first);
                trouble(first, UNREACHABLE_MAX);
            }
            case STALLED -> {
                late.add(first);
                // In front stands who was not asked for the longest time.
                if (targets.remove(first)) targets.add(first);
            }
            case BROKEN -> {
                if (!advanced) trouble(first, BROKEN_MAX);
            }
        }
    }

    private void trouble(Incarnation pod, int most) {
        if (targets.contains(pod) && troubles.merge(pod, 1, Integer::sum) >= most) targets.remove(pod);
    }
}
