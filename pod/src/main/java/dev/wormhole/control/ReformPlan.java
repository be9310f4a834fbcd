// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a pod knows before it re-forms its network.
 *
 * @param generation that would end, as people count
 * @param lastEntry of the log that this pod has: what was acknowledged after it is known to lost pods alone
 * @param authority this pod has the authority's key; else it makes a new authority, and all others must be invited again
 * @param refusal why the network is not to be re-formed from here now, null where nothing speaks against it
 * @param hint what to do instead
 * @param members all of them, this pod first
 */
public record ReformPlan(
        long generation,
        long lastEntry,
        boolean authority,
        @Nullable String refusal,
        @Nullable String hint,
        List<Member> members) {
    public ReformPlan {
        members = Commands.list(members);
    }

    /**
     * @param answers it answered this pod just now
     * @param lastHeardMillis since the network's leader heard it, as far as this pod was told; -1 if unknown
     */
    public record Member(String name, boolean voter, boolean administrator, boolean answers, long lastHeardMillis) {}

    /** @param without names of the pods that are dropped */
    public record Order(List<String> without) {
        public Order {
            without = Commands.list(without);
        }
    }
}
