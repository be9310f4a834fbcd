// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which pods should hold a slice. Weighted rendezvous hashing: every pod draws a number for every slice, pods with more
 * free space draw better ones, and a pod that comes or goes moves only the slices that it wins or held. The answer depends
 * on the arguments alone, so every pod that knows the same comes to the same.
 *
 * <p>In this order: present before late, the first copy beside the writer's on a pod that is always present, zones without
 * a copy before zones with one, then the draw. Absent, draining, full and witness pods are never chosen. Thread-safe.
 */
public final class Placement {
    private Placement() {}

    /**
     * The pods that should hold a slice, the writer first when it stores and stays. Fewer than {@code copies} when there
     * are no more; one more when all of them are intermittent and some other pod is not, because a pod that sleeps never
     * has the only copy.
     *
     * @param lengthBytes what each of them must have room for; the writer has it already
     */
    public static List<Incarnation> targets(SliceId slice, long lengthBytes, int copies, Members members) {
        var chosen = select(slice, lengthBytes, copies, members.all());
        var targets = new ArrayList<Incarnation>(chosen.size());
        for (Member member : chosen) targets.add(member.incarnation());
        return targets;
    }

    /** As {@link #targets}, among those who have the slice already: the ones to keep. */
    static List<Member> keep(SliceId slice, int copies, List<Member> holders) {
        return select(slice, 0, copies, holders);
    }

    private static List<Member> select(SliceId slice, long lengthBytes, int copies, List<Member> candidates) {
        var chosen = new ArrayList<Member>(copies + 1);
        if (copies <= 0) return chosen;
        var writer = slice.writer();
        for (Member member : candidates)
            if (member.incarnation().equals(writer) && member.acceptsSlices() && member.presence() == Presence.PRESENT)
                chosen.add(member);
        while (chosen.size() < copies) {
            var best = next(slice, lengthBytes, chosen, candidates, false);
            if (best == null) break;
            chosen.add(best);
        }
        if (onlyIntermittent(chosen)) {
            var further = next(slice, lengthBytes, chosen, candidates, false);
            if (further != null && !further.intermittent()) chosen.add(further);
        }
        return chosen;
    }

    /**
     * The best pod for one more copy beside those that have one.
     *
     * @param presentOnly passes over late pods too
     * @return null when no other pod may take it
     */
    static @Nullable Member next(
            SliceId slice, long lengthBytes, List<Member> having, List<Member> candidates, boolean presentOnly) {
        boolean alwaysWanted = onlyIntermittent(having);
        Member best = null;
        int bestRank = 0;
        double bestDraw = 0;
        for (Member member : candidates) {
            if (!member.acceptsSlices() || member.freeBytes() < lengthBytes) continue;
            if (presentOnly && member.presence() != Presence.PRESENT) continue;
            boolean has = false;
            boolean zoneTaken = false;
            for (Member holder : having) {
                has |= holder.incarnation().equals(member.incarnation());
                zoneTaken |= holder.zone().equals(member.zone());
            }
            if (has) continue;
            int rank = (member.presence() == Presence.LATE ? 4 : 0)
                    + (alwaysWanted && member.intermittent() ? 2 : 0)
                    + (zoneTaken ? 1 : 0);
            double draw = draw(slice, member);
            if (best == null || rank < bestRank || rank == bestRank && draw > bestDraw) {
                best = member;
                bestRank = rank;
                bestDraw = draw;
            }
        }
        return best;
    }

    /** True also for none at all: the first one should be an always-present pod. */
    static boolean onlyIntermittent(List<Member> members) {
        for (Member member : members) if (!member.intermittent()) return false;
        return true;
    }

    /** -weight / ln(u) of a uniform u: the chance to be the largest is in proportion to the weight. StrictMath: the same everywhere. */
    private static double draw(SliceId slice, Member member) {
        double uniform = ((hash(slice, member.incarnation()) >>> 11) + 0.5) * 0x1p-53;
        return -(member.freeBytes() + 1.0) / StrictMath.log(uniform);
    }

    /** A stable order of pods that differs from slice to slice. */
    static long hash(SliceId slice, Incarnation incarnation) {
        return mix(mix(slice.value()) + incarnation.number());
    }

    private static long mix(long z) {
        z += 0x9e3779b97f4a7c15L;
        z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }
}
