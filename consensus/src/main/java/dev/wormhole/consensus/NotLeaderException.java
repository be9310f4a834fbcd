// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.util.Optional;

/**
 * This pod does not lead the log now, or does not yet, or no longer. Nothing is said about whether an entry handed in
 * before is or will be committed: repeat it at the leader, under the same session and sequence.
 */
public final class NotLeaderException extends IOException {
    private static final long serialVersionUID = 1;
    private final transient Optional<Incarnation> leader;

    NotLeaderException(String message, Optional<Incarnation> leader) {
        super(message + leader.map(l -> "; the leader is " + l).orElse("; no other leader is known"));
        this.leader = leader;
    }

    /** Who leads, as far as this pod knows; never this pod itself. */
    public Optional<Incarnation> leader() {
        return leader;
    }
}
