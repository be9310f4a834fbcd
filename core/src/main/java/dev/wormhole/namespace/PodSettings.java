// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.util.List;

/**
 * What a pod's own file tells the network about it.
 *
 * @param name unique in the network, 1-63 of [a-z0-9-]
 * @param intermittent sleeps at times: repaired without it only late, no voter while there are others
 * @param zone empty when none is declared
 * @param addresses HOST:PORT, where other pods find it, best first
 * @param limitBytes most bytes of slices that it takes; 0 for a witness
 */
public record PodSettings(
        String name, Role role, boolean intermittent, String zone, List<String> addresses, long limitBytes) {
    public enum Role {
        STORAGE,
        WITNESS
    }

    public PodSettings {
        addresses = List.copyOf(addresses);
        if (limitBytes < 0) throw new IllegalArgumentException("limit bytes: " + limitBytes);
    }
}
