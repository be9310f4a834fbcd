// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.pod.Approvals.Answer;
import dev.wormhole.pod.Approvals.Waiting;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

final class ApprovalsTest {
    private final AtomicLong clock = new AtomicLong(7);
    private final Approvals approvals = new Approvals(clock::get);

    private static byte[] key(int number) {
        return new byte[] {(byte) number, (byte) (number >> 8)};
    }

    private static Waiting named(String name, int key) {
        return new Waiting(name, "f" + key, "10.0.0.1:1", false);
    }

    @Test
    void whoWaitsIsToldWhatWasDecided() {
        assertThat(approvals.ask(key(1), named("a", 1))).isEqualTo(Answer.WAIT);
        assertThat(approvals.ask(key(2), named("b", 2))).isEqualTo(Answer.WAIT);
        assertThat(approvals.waiting()).containsExactly(named("a", 1), named("b", 2));
        assertThat(approvals.decide("a", "f2", true)).isFalse();
        assertThat(approvals.decide("a", "f1", true)).isTrue();
        assertThat(approvals.decide("b", "f2", false)).isTrue();
        assertThat(approvals.decide("b", "f2", true)).isFalse();
        assertThat(approvals.waiting()).isEmpty();
        assertThat(approvals.ask(key(1), named("a", 1))).isEqualTo(Answer.YES);
        assertThat(approvals.ask(key(1), named("a", 1))).isEqualTo(Answer.YES);
        assertThat(approvals.ask(key(2), named("b", 2))).isEqualTo(Answer.NO);
    }

    /** A yes is for a key and a name: neither serves another. */
    @Test
    void aYesIsForOneMachineOnly() {
        approvals.ask(key(1), named("a", 1));
        approvals.decide("a", "f1", true);
        assertThat(approvals.ask(key(2), named("a", 2))).isEqualTo(Answer.WAIT);
        assertThat(approvals.ask(key(1), named("nas-1", 1))).isEqualTo(Answer.WAIT);
        assertThat(approvals.ask(key(1), named("a", 1))).isEqualTo(Answer.WAIT);
    }

    @Test
    void whoStopsAskingIsForgottenAndCrowdsAreBounded() {
        for (int i = 0; i < Approvals.WAITING_MAX; i++)
            assertThat(approvals.ask(key(i), named("p" + i, i))).isEqualTo(Answer.WAIT);
        assertThat(approvals.ask(key(999), named("late", 999))).isEqualTo(Answer.TOO_MANY);
        assertThat(approvals.ask(key(0), named("p0", 0))).isEqualTo(Answer.WAIT);
        clock.addAndGet(Approvals.PATIENCE.toNanos());
        approvals.ask(key(5), named("p5", 5));
        clock.addAndGet(1);
        assertThat(approvals.waiting()).containsExactly(named("p5", 5));
        assertThat(approvals.ask(key(999), named("late", 999))).isEqualTo(Answer.WAIT);
    }
}
