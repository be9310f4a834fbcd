// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.SliceRecord;
import java.util.ArrayList;
import java.util.List;

/**
 * How the network stands, computed by every pod from the same replicated facts. Only declared absence counts: a pod that
 * is merely late changes nothing here.
 *
 * @param reasons for people, most important first; also reports that do not change the level
 */
public record Situation(Level level, List<String> reasons) {
    /** In order of gravity. */
    public enum Level {
        HEALTHY,
        /** Copies are missing, and there is room to make them. */
        RECOVERABLE,
        /** No file is lost, but there is no room to make the missing copies. */
        DEGRADED,
        /** Bytes of files are missing. */
        CRITICAL
    }

    public Situation {
        reasons = List.copyOf(reasons);
    }

    /**
     * @param slicesBelowCopies slices with fewer copies than wanted, at least one
     * @param bytesToCopy bytes that making these copies writes
     * @param bytesOnOnePod of slices with a single copy, where two or more are wanted
     * @param slicesWithoutRoom of these, the ones for which no further pod has room
     * @param bytesFree what all pods that take slices still take together
     * @param slicesMissing slices without any copy on a pod that is not absent, with two or more wanted
     * @param singleSlicesMissing the same of slices declared with one copy
     * @param exampleMissing one of the missing slices, for the reader to begin with
     * @param absent names of absent pods
     */
    public record Facts(
            long slices,
            long slicesBelowCopies,
            long bytesToCopy,
            long bytesOnOnePod,
            long slicesWithoutRoom,
            long bytesFree,
            long slicesMissing,
            long singleSlicesMissing,
            List<SliceId> exampleMissing,
            List<String> absent) {
        public Facts {
            exampleMissing = List.copyOf(exampleMissing);
            absent = List.copyOf(absent);
        }
    }

    /** Judges the facts. */
    public static Situation of(Facts facts) {
        var reasons = new ArrayList<String>();
        var level = Level.HEALTHY;
        if (facts.slicesBelowCopies() > 0) {
            boolean room = facts.slicesWithoutRoom() == 0 && facts.bytesToCopy() <= facts.bytesFree();
            level = room ? Level.RECOVERABLE : Level.DEGRADED;
            reasons.add(facts.slicesBelowCopies() + " of " + facts.slices() + " slices are below their copies, "
                    + facts.bytesToCopy() + " bytes to copy");
            if (facts.slicesWithoutRoom() > 0)
                reasons.add(facts.slicesWithoutRoom() + " slices find no further pod with room");
            else if (!room) reasons.add("only " + facts.bytesFree() + " bytes are free for them");
        }
        if (facts.slicesMissing() > 0) {
            level = Level.CRITICAL;
            reasons.addFirst(facts.slicesMissing() + " slices have no copy on any pod that is not absent, for example "
                    + facts.exampleMissing());
        }
        if (facts.singleSlicesMissing() > 0)
            reasons.add(facts.singleSlicesMissing() + " slices declared with one copy are on absent pods or lost");
        if (!facts.absent().isEmpty()) reasons.add("absent: " + String.join(", ", facts.absent()));
        return new Situation(level, reasons);
    }

    /** Adds facts up during a walk over all slices. One owner, not thread-safe. */
    public static final class Counter {
        private static final int EXAMPLES_MAX = 3;
        private final Members members;
        private final List<SliceId> examples = new ArrayList<>();
        private long slices;
        private long below;
        private long bytesToCopy;
        private long bytesOnOnePod;
        private long withoutRoom;
        private long missing;
        private long singleMissing;

        public Counter(Members members) {
            this.members = members;
        }

        /** Counts one slice. A copy on a draining pod is a copy: it is handed on before the pod leaves. */
        public void add(SliceRecord slice, int copiesWanted) {
            if (slice.names() == 0) return;
            slices++;
            int copies = 0;
            boolean arrived = false;
            for (var holder : slice.holders()) {
                var member = members.get(holder.incarnation());
                if (member == null || member.presence() == Presence.ABSENT) continue;
                if (holder.state().isCopy()) copies++;
                else arrived = true;
            }
            if (copies == 0 && !arrived) {
                if (copiesWanted <= 1) {
                    singleMissing++;
                    return;
                }
                missing++;
                if (examples.size() < EXAMPLES_MAX) examples.add(slice.slice());
                return;
            }
            int lacking = copiesWanted - copies;
            if (lacking <= 0) return;
            below++;
            bytesToCopy += lacking * slice.lengthBytes();
            if (copies <= 1) bytesOnOnePod += slice.lengthBytes();
            int places = 0;
            for (Member member : members.all())
                if (places < lacking
                        && member.acceptsSlices()
                        && !slice.heldBy(member.incarnation())
                        && member.freeBytes() >= slice.lengthBytes()) places++;
            if (places < lacking) withoutRoom++;
        }

        public Facts facts() {
            long free = 0;
            var absent = new ArrayList<String>();
            for (Member member : members.all()) {
                if (member.acceptsSlices()) free += member.freeBytes();
                if (member.presence() == Presence.ABSENT) absent.add(member.name());
            }
            return new Facts(
                    slices,
                    below,
                    bytesToCopy,
                    bytesOnOnePod,
                    withoutRoom,
                    free,
                    missing,
                    singleMissing,
                    examples,
                    absent);
        }
    }
}
