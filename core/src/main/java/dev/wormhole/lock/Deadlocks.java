// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.lock;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.HashSet;
import java.util.function.Function;

/** Whether a wait could never end, because those waited for wait for the one who asks. */
public final class Deadlocks {
    /** Owners looked at; who waits for more is taken to go on one day. */
    private static final int OWNERS_MAX = 1_000;

    private Deadlocks() {}

    /**
     * @param owner who is about to wait
     * @param blockers for whom
     * @param blockersOf for whom an owner waits already, empty if for nobody
     */
    public static boolean closes(
            LockOwner owner,
            Collection<LockOwner> blockers,
            Function<LockOwner, ? extends Collection<LockOwner>> blockersOf) {
        var seen = new HashSet<LockOwner>(blockers);
        var next = new ArrayDeque<LockOwner>(blockers);
        while (!next.isEmpty() && seen.size() <= OWNERS_MAX) {
            LockOwner one = next.poll();
            if (one.equals(owner)) return true;
            for (LockOwner further : blockersOf.apply(one)) if (seen.add(further)) next.add(further);
        }
        return false;
    }
}
