// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.InodeId;
import java.io.IOException;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

class ProposerTest {
    private static final Command COMMAND = new Command.Reap(List.of(InodeId.ROOT));

    private final Proposer proposer = new Proposer(1_000);

    /** What was sent may be in the log: who gave up learns it afterwards, and the session goes on with the same number. */
    @Test
    void whatWasSentBeforeTheNetworkWasLostIsToldInTheEnd() throws Exception {
        var first = proposer.propose(COMMAND);
        var batch = Objects.requireNonNull(proposer.next(0));
        var queued = proposer.propose(COMMAND);
        var lost = new IOException("the network is lost");
        proposer.giveUp(lost);
        proposer.giveUp(lost);
        assertThat(queued.exceptionNow()).as("never sent").isSameAs(lost);
        assertThat(first.exceptionNow())
                .isInstanceOf(Proposer.InDoubtException.class)
                .hasCause(lost);
        var outcome = ((Proposer.InDoubtException) first.exceptionNow()).outcome();
        assertThat(outcome).isNotDone();
        assertThat(proposer.next(2_000)).as("sent again").isSameAs(batch);
        proposer.applied(batch.sequence(), 7, List.of(new Outcome.Done(3)));
        assertThat(outcome.resultNow()).isEqualTo(new Proposer.Applied(new Outcome.Done(3), 7));
    }

    @Test
    void aSessionThatIsLostLeavesNobodyWaiting() {
        CompletableFuture<Proposer.Applied> first = proposer.propose(COMMAND);
        assertThat(proposer.next(0)).isNotNull();
        proposer.giveUp(new IOException("the network is lost"));
        var outcome = ((Proposer.InDoubtException) first.exceptionNow()).outcome();
        proposer.sessionLost();
        assertThat(outcome.exceptionNow()).isInstanceOf(Proposer.SessionLostException.class);
    }
}
