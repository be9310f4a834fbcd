// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.vfs.Metadata.Committed;
import java.util.concurrent.CompletableFuture;

/** This pod has lost the network after a change was sent and before it was answered: it may be made, or may be made yet. */
public final class InDoubtException extends DisconnectedException {
    @SuppressWarnings("serial") // never written
    private final CompletableFuture<Committed> outcome;

    public InDoubtException(String message, CompletableFuture<Committed> outcome) {
        super(message);
        this.outcome = outcome;
    }

    /** Completes when it is known, which is after the network is back; exceptionally if it never will be. */
    public CompletableFuture<Committed> outcome() {
        return outcome;
    }
}
