// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.model.Incarnation;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * Who speaks: sent in every handshake and compared there.
 *
 * @param network the network's id; a stranger that does not know it yet sends zeros
 * @param generation the life of the network's log that the speaker follows
 * @param incarnation the speaker; null for a stranger, that is a pod that has not joined
 */
public record Identity(
        UUID network, long generation, @Nullable Incarnation incarnation) {
    private static final UUID UNKNOWN = new UUID(0, 0);

    /** A pod that belongs to no network yet. */
    public static Identity stranger() {
        return new Identity(UNKNOWN, 0, null);
    }

    int number() {
        return incarnation == null ? 0 : incarnation.number();
    }
}
