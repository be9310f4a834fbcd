// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.SliceRecord;
import java.util.HashSet;
import org.jspecify.annotations.Nullable;

/**
 * Judges a move by what the slice would have afterwards, sharing no code with the planner: every move is checked before it
 * is carried out, whoever planned it. Asked of a drop: when it is done, are there still as many sure copies as wanted, on
 * the very pods relied on, and no fewer that count than before? Pure and thread-safe.
 */
public final class PlanChecker {
    private PlanChecker() {}

    /** @return why the move must not be carried out, for people; null when it may */
    public static @Nullable String objection(SliceRecord slice, int copiesWanted, Members members, Move move) {
        return switch (move) {
            case Move.None _, Move.Wait _ -> null;
            case Move.Copy copy -> {
                if (!copy.slice().equals(slice.slice())) yield "about " + copy.slice() + ", not " + slice.slice();
                yield objectionToCopy(slice, members, copy.to());
            }
            case Move.Drop drop -> {
                if (!drop.slice().equals(slice.slice())) yield "about " + drop.slice() + ", not " + slice.slice();
                yield objectionToDrop(slice, copiesWanted, members, drop);
            }
        };
    }

    private static @Nullable String objectionToCopy(SliceRecord slice, Members members, Incarnation to) {
        if (slice.names() == 0) return "nothing names the slice";
        var target = members.get(to);
        if (target == null) return to + " is no member";
        if (target.presence() != Presence.PRESENT) return target.name() + " is not present";
        if (target.draining()) return target.name() + " is draining";
        if (!target.stores()) return target.name() + " stores nothing";
        if (target.freeBytes() < slice.lengthBytes()) return target.name() + " has no room";
        if (slice.heldBy(to)) return target.name() + " has it already";
        for (var holder : slice.holders()) {
            var source = members.get(holder.incarnation());
            if (holder.state().isCopy() && source != null && source.presence() == Presence.PRESENT) return null;
        }
        return "no present pod has a copy to send";
    }

    private static @Nullable String objectionToDrop(
            SliceRecord slice, int copiesWanted, Members members, Move.Drop drop) {
        if (slice.holders().stream().noneMatch(h -> h.incarnation().equals(drop.holder())))
            return drop.holder() + " holds nothing";
        int wanted = Math.max(1, copiesWanted);
        var reliedOn = new HashSet<>(drop.relyingOn());
        if (reliedOn.size() != drop.relyingOn().size()) return "relies on a pod twice";
        if (reliedOn.contains(drop.holder())) return "relies on the copy that goes";
        if (reliedOn.size() < wanted) return "relies on " + reliedOn.size() + " copies of " + wanted;
        boolean anyAlways = false;
        for (Incarnation incarnation : reliedOn) {
            var member = members.get(incarnation);
            if (member == null) return "relies on " + incarnation + ", which is no member";
            if (!slice.heldBy(incarnation)) return "relies on " + member.name() + ", which has no copy";
            if (member.presence() != Presence.PRESENT) return "relies on " + member.name() + ", which is not present";
            if (member.draining() || !member.stores()) return "relies on " + member.name() + ", which is leaving";
            anyAlways |= !member.intermittent();
        }
        var gone = members.get(drop.holder());
        if (!anyAlways && gone != null && !gone.intermittent()) return "only pods that sleep at times would have it";
        int before = counting(slice, members, null);
        int after = counting(slice, members, drop.holder());
        if (after < Math.min(before, wanted)) return after + " copies would be left of " + before;
        return null;
    }

    /** Copies on members that are present and stay, but for one. */
    private static int counting(SliceRecord slice, Members members, @Nullable Incarnation without) {
        int count = 0;
        for (var holder : slice.holders()) {
            Member member = members.get(holder.incarnation());
            if (!holder.state().isCopy()
                    || member == null
                    || holder.incarnation().equals(without)) continue;
            if (member.presence() == Presence.PRESENT && !member.draining() && member.stores()) count++;
        }
        return count;
    }
}
