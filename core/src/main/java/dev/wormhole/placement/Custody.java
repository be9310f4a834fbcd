// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.SliceRecord;
import org.jspecify.annotations.Nullable;

/**
 * What a store does about one slice, by what this pod has applied. Asked after an entry touched the slice, when received
 * bytes became durable, and of every slice once the pod's session is open. Pure and thread-safe.
 *
 * <p>Three rules make it safe to delete without asking anybody:
 * <ul>
 *   <li>After the commit that introduces a slice only a pod itself claims that it holds one (AddHolders in its own
 *       session). So it knows of every claim that could still be applied after a drop, and keeps the bytes while one is
 *       under way: a claim that comes after the drop makes it a holder again. A claim proposed by another pod could
 *       arrive after the bytes are gone, and a second drop would then rely on nothing.
 *   <li>Nothing is deleted before this start's session is open in the applied log. Until then the log is being applied
 *       again, so the state is older than the store, and batches of the start before may still come, with claims that
 *       nobody here remembers. (A discard told meanwhile is final, and may be carried out.)
 *   <li>A slice without a row is kept until the log says that it is dead: its commit may be under way.
 * </ul>
 */
public final class Custody {
    /** What to do. */
    public enum Verdict {
        /** Nothing now. */
        KEEP,
        /** Propose AddHolders for this pod. */
        CLAIM,
        /** Delete the bytes. */
        DELETE,
        /** The row says that this pod has it and it has not: propose LoseHolder. */
        REPORT_LOST
    }

    private Custody() {}

    /**
     * @param row the slice as applied here; null when there is none
     * @param dead whether {@link #isDead}, or a discard of it was told
     * @param stored whether this pod's store has the slice durable; one being received or written counts as not asked yet
     * @param dropped whether this pod's claim was just ended by a DropHolder that it applied
     * @param claimUnderWay whether this pod proposed a claim of it that is not answered
     * @param sessionOpen whether this pod has applied the opening of its present session
     */
    public static Verdict judge(
            Incarnation self,
            @Nullable SliceRecord row,
            boolean dead,
            boolean stored,
            boolean dropped,
            boolean claimUnderWay,
            boolean sessionOpen) {
        if (row == null) return stored && dead && sessionOpen ? Verdict.DELETE : Verdict.KEEP;
        if (row.heldBy(self)) return stored || !sessionOpen ? Verdict.KEEP : Verdict.REPORT_LOST;
        if (!stored || claimUnderWay || !sessionOpen) return Verdict.KEEP;
        return dropped ? Verdict.DELETE : Verdict.CLAIM;
    }

    /**
     * Whether a slice without a row can never get one: its writer's settled mark passed it, or its writer is no member any
     * more. A writer that this pod has not yet seen admitted is told from one that is gone by the incarnations, which are
     * granted in rising order: bytes of the newest incarnation are kept until a newer one joins.
     */
    public static boolean isDead(NamespaceView view, SliceId slice) {
        var writer = slice.writer();
        var record = view.pod(writer);
        if (record != null) return Ids.counter(slice.value()) < record.settledCounter();
        for (var pod : view.pods()) if (pod.incarnation().compareTo(writer) > 0) return true;
        return false;
    }
}
