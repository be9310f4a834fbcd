// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.placement.Move.Cause;
import java.util.ArrayList;
import java.util.HashSet;
import org.jspecify.annotations.Nullable;

/**
 * What is to be done about one slice. Nobody is in charge of repair: of the pods that have a copy and are present, the
 * first in an order that differs from slice to slice is responsible, and the others answer that they are not. Two pods may
 * see presence differently and both think so; a copy too many does no harm, and a drop is decided again in apply.
 *
 * <p>Three counts, never one: copies <em>kept</em> (pod not absent, not draining) decide whether one is missing, so a late
 * pod causes no copying; <em>sure</em> copies (present too) decide whether one may go, so a late pod is never relied on;
 * <em>live</em> copies (present, also draining) can be read. Pure and thread-safe; without garbage when all is as wished.
 */
public final class RepairPlanner {
    private RepairPlanner() {}

    /**
     * The next single move for a slice. Repeating plan, carry out, plan ends in None or Wait when nothing else changes.
     *
     * @param copiesWanted what the rules want for it, at least 1
     * @param self the pod that asks, which carries out what is answered
     */
    public static Move plan(SliceRecord slice, int copiesWanted, Members members, Incarnation self) {
        if (copiesWanted < 1) throw new IllegalArgumentException("copies wanted: " + copiesWanted);
        if (slice.names() == 0) return Move.None.UNNAMED;
        int copies = 0;
        int live = 0;
        int kept = 0;
        int sure = 0;
        int always = 0;
        boolean lateCopy = false;
        for (var holder : slice.holders()) {
            if (!holder.state().isCopy()) continue;
            copies++;
            var member = members.get(holder.incarnation());
            if (member == null) continue;
            if (member.presence() == Presence.PRESENT) live++;
            if (member.presence() == Presence.LATE) lateCopy = true;
            if (member.keeps()) {
                kept++;
                if (!member.intermittent()) always++;
            }
            if (member.isSure()) sure++;
        }
        var id = slice.slice();
        if (live == 0) {
            if (lateCopy) return new Move.Wait(id, Cause.HOLDER_LATE, "its pods are late: " + names(slice, members));
            return new Move.Wait(
                    id,
                    Cause.NO_LIVE_HOLDER,
                    copies == 0 ? "no pod has a copy" : "its pods are absent: " + names(slice, members));
        }
        if (!self.equals(responsible(slice, members))) return Move.None.ANOTHERS;

        if (kept < copiesWanted) {
            boolean leaving = kept + 1 >= copiesWanted && hasLeavingCopy(slice, members);
            return copyOrWait(
                    slice,
                    members,
                    leaving ? Cause.DRAINING : Cause.TOO_FEW_COPIES,
                    kept + " of " + copiesWanted + (leaving ? " copies beside a draining pod's" : " copies"));
        }
        if (always == 0) {
            var to = target(slice, members);
            if (to != null && !to.intermittent())
                return new Move.Copy(
                        id,
                        to.incarnation(),
                        Cause.ONLY_INTERMITTENT,
                        "only on pods that sleep at times: " + to.name() + " does not");
        }
        var surplus = drop(slice, copiesWanted, members, sure);
        if (surplus != null) return surplus;
        if (kept == copiesWanted && sure == kept && kept > 1) {
            var spread = spread(slice, copiesWanted, members);
            if (spread != null) return spread;
        }
        return Move.None.AS_WISHED;
    }

    /** The pod whose work this slice is; null when no present pod has a copy. */
    public static @Nullable Incarnation responsible(SliceRecord slice, Members members) {
        Incarnation first = null;
        long firstHash = 0;
        for (var holder : slice.holders()) {
            if (!holder.state().isCopy()) continue;
            var member = members.get(holder.incarnation());
            if (member == null || member.presence() != Presence.PRESENT) continue;
            long hash = Placement.hash(slice.slice(), holder.incarnation());
            if (first == null
                    || hash < firstHash
                    || hash == firstHash && holder.incarnation().compareTo(first) < 0) {
                first = holder.incarnation();
                firstHash = hash;
            }
        }
        return first;
    }

    /** How soon a slice's repair should come, smallest first: the number of copies that are kept. */
    public static int copiesKept(SliceRecord slice, Members members) {
        int kept = 0;
        for (var holder : slice.holders()) {
            if (!holder.state().isCopy()) continue;
            var member = members.get(holder.incarnation());
            if (member != null && member.keeps()) kept++;
        }
        return kept;
    }

    private static Move copyOrWait(SliceRecord slice, Members members, Cause cause, String reason) {
        var id = slice.slice();
        var to = target(slice, members);
        if (to != null) return new Move.Copy(id, to.incarnation(), cause, reason + ", " + to.name() + " takes one");
        var late = Placement.next(id, slice.lengthBytes(), havers(slice, members), members.all(), false);
        if (late != null) return new Move.Wait(id, Cause.TARGET_LATE, reason + ", and " + late.name() + " is late");
        return new Move.Wait(
                id, Cause.NO_ROOM, reason + ", and no other pod has room for " + slice.lengthBytes() + " bytes");
    }

    /** Zones count by the copies that stay; a holder whose copy does not stay accepts no slices, so it is no target either. */
    private static @Nullable Member target(SliceRecord slice, Members members) {
        var staying = havers(slice, members);
        staying.removeIf(member -> !member.keeps());
        return Placement.next(slice.slice(), slice.lengthBytes(), staying, members.all(), true);
    }

    /** Members that have a copy, in whatever state they are. */
    private static ArrayList<Member> havers(SliceRecord slice, Members members) {
        var having = new ArrayList<Member>(slice.holders().size());
        for (var holder : slice.holders()) {
            var member = members.get(holder.incarnation());
            if (member != null && holder.state().isCopy()) having.add(member);
        }
        return having;
    }

    private static boolean hasLeavingCopy(SliceRecord slice, Members members) {
        for (Member member : havers(slice, members))
            if (!member.stays() && member.presence() != Presence.ABSENT) return true;
        return false;
    }

    /** A copy that may go, relying on sure ones; null when there is none to spare. */
    private static @Nullable Move drop(SliceRecord slice, int copiesWanted, Members members, int sureCount) {
        if (sureCount < copiesWanted) return null;
        Member leaving = null;
        for (var holder : slice.holders()) {
            var member = members.get(holder.incarnation());
            if (member != null && member.isLive() && !member.stays()) leaving = member;
        }
        if (leaving == null && sureCount == copiesWanted) return null;
        var sure = havers(slice, members);
        sure.removeIf(member -> !member.isSure());
        var keep = Placement.keep(slice.slice(), copiesWanted, sure);
        var relyingOn = new ArrayList<Incarnation>(keep.size());
        for (Member member : keep) relyingOn.add(member.incarnation());
        if (leaving != null) {
            if (Placement.onlyIntermittent(keep) && !leaving.intermittent())
                return new Move.Wait(
                        slice.slice(),
                        Cause.ONLY_INTERMITTENT,
                        leaving.name() + " is leaving, and only pods that sleep at times would have it");
            return new Move.Drop(
                    slice.slice(),
                    leaving.incarnation(),
                    relyingOn,
                    Cause.DRAINING,
                    leaving.name() + " is leaving, and " + relyingOn.size() + " others have it");
        }
        for (Member member : sure) {
            if (relyingOn.contains(member.incarnation())) continue;
            return new Move.Drop(
                    slice.slice(),
                    member.incarnation(),
                    relyingOn,
                    Cause.TOO_MANY_COPIES,
                    sureCount + " copies, " + copiesWanted + " wanted");
        }
        return null;
    }

    /**
     * One copy more in a zone that has none, when copies share one; the copy too many then goes. Only when what would then
     * be kept has more zones than now, or the two moves would undo each other for ever.
     */
    private static Move.@Nullable Copy spread(SliceRecord slice, int copiesWanted, Members members) {
        int possible = Math.min(copiesWanted, members.zonesForSlices());
        if (possible < 2) return null;
        var having = havers(slice, members);
        having.removeIf(member -> !member.keeps());
        int zones = zones(having);
        if (zones >= possible) return null;
        var to = Placement.next(slice.slice(), slice.lengthBytes(), having, members.all(), true);
        if (to == null) return null;
        having.add(to);
        if (zones(Placement.keep(slice.slice(), copiesWanted, having)) <= zones) return null;
        return new Move.Copy(
                slice.slice(),
                to.incarnation(),
                Cause.SPREAD,
                copiesWanted + " copies in " + zones + (zones == 1 ? " zone, " : " zones, ") + to.name()
                        + " is in another");
    }

    private static int zones(Iterable<Member> members) {
        var zones = new HashSet<String>();
        for (Member member : members) zones.add(member.zone());
        return zones.size();
    }

    private static String names(SliceRecord slice, Members members) {
        var text = new StringBuilder();
        for (var holder : slice.holders()) {
            if (!holder.state().isCopy()) continue;
            if (!text.isEmpty()) text.append(", ");
            var member = members.get(holder.incarnation());
            text.append(member == null ? holder.incarnation().toString() : member.name());
        }
        return text.toString();
    }

    /** For a reader of plans: the slice's id and the move in one line. */
    public static String describe(SliceId slice, Move move) {
        return switch (move) {
            case Move.None(var reason) -> slice + ": nothing, " + reason;
            case Move.Copy(var id, var to, var _, var reason) -> id + ": copy to " + to + ", " + reason;
            case Move.Drop(var id, var holder, var relyingOn, var _, var reason) ->
                id + ": drop from " + holder + " relying on " + relyingOn + ", " + reason;
            case Move.Wait(var id, var _, var reason) -> id + ": wait, " + reason;
        };
    }
}
