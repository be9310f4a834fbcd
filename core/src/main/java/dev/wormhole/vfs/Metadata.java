// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.Outcome;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;

/** The replicated state as file operations use it: local reads, barriers, proposals. Thread-safe. */
public interface Metadata {
    NamespaceView view();

    /**
     * Returns once everything that any pod had committed before this call is applied here. Waiting operations share one
     * round trip. Interruptible; waits through leader changes.
     *
     * @throws DisconnectedException when no leader was heard for the declared time
     */
    void barrier() throws IOException, InterruptedException;

    /** Whether {@link #barrier} would return at once, without a round trip: this pod is fresh, or leads. */
    boolean barrierIsFree();

    /**
     * Proposes; completes after this pod has applied the command, so that {@link #view} shows it. Commands of one thread are
     * applied in the order proposed. Completes exceptionally with {@link DisconnectedException} when the network is lost for
     * longer than declared; with {@link InDoubtException} if the command had been sent.
     */
    CompletableFuture<Committed> propose(Command command);

    /** @param index log index of the entry that carried the command */
    record Committed(Outcome outcome, long index) {}

    /**
     * Completes when every pod that answers from what it has answers by this entry, so that a look that begins afterwards
     * anywhere sees it (DESIGN section 7). Nobody is waited for who is late or asks the leader anyway; with the network
     * lost, nobody at all.
     *
     * @param index of an entry of this pod that is applied here, as {@link Committed} has it
     */
    CompletableFuture<Void> told(long index);

    /** Completes when the entry is on the disks of min(2, present storing pods). */
    CompletableFuture<Void> onDisks(long index);

    /**
     * Whether the leader has not heard the pod for longer than a pod may answer from what it has: another's locks may be taken
     * then. Never true of one that is only not looked at.
     */
    boolean isSilent(Incarnation pod);

    /** Whether this pod has lost the network, see DESIGN section 8. */
    boolean disconnected();
}
