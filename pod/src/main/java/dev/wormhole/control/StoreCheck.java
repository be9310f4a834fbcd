// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.util.List;

/**
 * What a look into the store of a pod that does not run found.
 *
 * @param incarnation of the store
 * @param inOrder the pod was stopped, not killed. If it was killed its tables may be of a moment before, and its log has the rest:
 *     then it is not told what they count on and the store has not
 * @param appliedIndex of the log, that the tables are of
 * @param orphans inodes without a name that are not deleted yet
 * @param slices that the log knows
 * @param unnamedSlices of them, that nothing names any more and that are not let go yet
 * @param slicesWithoutCopy of them, named, and no pod is known to have them durable
 * @param storedSlices in this store
 * @param deadSlices of them, that the log let go; the next start deletes them
 * @param uncommittedSlices of them, that the log does not know (yet)
 * @param unclaimedSlices of them, that the log knows, but not that they are here; the next start tells or deletes them
 * @param findings what must not be, for people; empty if nothing is wrong
 */
public record StoreCheck(
        String store,
        String network,
        int incarnation,
        boolean inOrder,
        long appliedIndex,
        long inodes,
        long orphans,
        long slices,
        long unnamedSlices,
        long slicesWithoutCopy,
        long storedSlices,
        long storedBytes,
        long deadSlices,
        long uncommittedSlices,
        long unclaimedSlices,
        List<String> findings) {
    public StoreCheck {
        findings = List.copyOf(findings);
    }
}
