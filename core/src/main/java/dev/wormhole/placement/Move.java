// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.util.List;

/** What one pod should do next about one slice, and why. */
public sealed interface Move {
    /** For counts and metrics; {@link #reason} says it with names and numbers. */
    enum Cause {
        /** As wished, or another pod's work. */
        NOTHING_TO_DO,
        /** Fewer copies than wanted. */
        TOO_FEW_COPIES,
        /** A pod that leaves still has to hand its copy on. */
        DRAINING,
        /** Only pods that sleep at times have it. */
        ONLY_INTERMITTENT,
        /** Its copies share a zone and need not. */
        SPREAD,
        /** More copies than wanted. */
        TOO_MANY_COPIES,
        /** Every copy is on a pod that is absent or removed, or there is none. */
        NO_LIVE_HOLDER,
        /** A copy exists, but its pod is late at the moment. */
        HOLDER_LATE,
        /** No other pod may take it: full, or there are too few. */
        NO_ROOM,
        /** The only pods with room are late at the moment. */
        TARGET_LATE
    }

    Cause cause();

    /** For people; ends without a full stop. */
    String reason();

    /** Nothing for this pod. */
    record None(String reason) implements Move {
        static final None AS_WISHED = new None("as wished");
        static final None UNNAMED = new None("nothing names it");
        static final None ANOTHERS = new None("another holder is responsible");

        @Override
        public Cause cause() {
            return Cause.NOTHING_TO_DO;
        }
    }

    /** Send this pod's copy there; when durable there, propose AddHolders. */
    record Copy(SliceId slice, Incarnation to, Cause cause, String reason) implements Move {}

    /** Propose DropHolder. */
    record Drop(SliceId slice, Incarnation holder, List<Incarnation> relyingOn, Cause cause, String reason)
            implements Move {
        public Drop {
            relyingOn = List.copyOf(relyingOn);
        }
    }

    /** Something is missing that cannot be mended now; look again when members change. */
    record Wait(SliceId slice, Cause cause, String reason) implements Move {}
}
