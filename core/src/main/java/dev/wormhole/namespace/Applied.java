// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What the application of one entry of the log did.
 *
 * @param session the entry's session, null for one without
 * @param sequence the entry's place in its session
 * @param outcomes one for each command, in order, if the status is FRESH or REPEAT; else empty. Empty too for the repeat of
 *     a batch that its proposer has said to be answered
 * @param changes what became different, in order; the tables hold it already
 * @param diverged the entry carried a digest that this replica does not have: the pod stops serving
 */
public record Applied(
        long index,
        Status status,
        @Nullable SessionId session,
        long sequence,
        List<Outcome> outcomes,
        List<Change> changes,
        boolean diverged) {
    public Applied {
        outcomes = List.copyOf(outcomes);
        changes = List.copyOf(changes);
    }

    public enum Status {
        /** Applied now. */
        FRESH,
        /** This batch was applied before under another index; the outcomes are those of then. */
        REPEAT,
        /** A batch before this one is missing; nothing was applied, the proposer sends again from the missing one. */
        GAP,
        /** The session was never opened or has ended, or commands that need one came without; nothing was applied. */
        NO_SESSION,
        /** Proposed in another life of the log; nothing was applied. */
        WRONG_GENERATION,
        /** The index had been applied before (the log is replayed after a restart); nothing was done. */
        SKIPPED
    }
}
