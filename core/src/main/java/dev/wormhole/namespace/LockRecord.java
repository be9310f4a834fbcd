// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Incarnation;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the log knows of a file's locks. Either one pod decides about them from memory, and the log does not know them; or
 * nobody does, and here they are.
 *
 * @param holder the pod that decides; null if the log does
 * @param epoch log index at which that became so
 * @param asked another pod wants to lock: the holder is to tell what is held
 * @param held empty while there is a holder
 * @param waiters in order; while there is a holder, those of other pods
 * @param lost pods whose locks were taken away because they were silent, and which have not yet answered that they ended
 *     what relied on them: their changes of the file's bytes are refused
 */
public record LockRecord(
        @Nullable Incarnation holder,
        long epoch,
        boolean asked,
        List<FileLock> held,
        List<LockTable.Waiter> waiters,
        Set<Incarnation> lost) {
    /** Whether this pod has a part in it. */
    public boolean names(Incarnation pod) {
        return pod.equals(holder)
                || lost.contains(pod)
                || held.stream().anyMatch(lock -> lock.owner().pod().equals(pod))
                || waiters.stream()
                        .anyMatch(waiter -> waiter.wanted().owner().pod().equals(pod));
    }
}
