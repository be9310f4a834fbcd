// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Incarnation;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class HedgedPushTest {
    private static final Duration NEVER = Duration.ofHours(1);
    private static final Incarnation A = new Incarnation(1), B = new Incarnation(2), C = new Incarnation(3);

    /** Pods that answer when the test says so. */
    private static final class Scripted implements HedgedPush.Pods {
        final List<Incarnation> pods;
        final Map<Incarnation, CompletableFuture<List<Incarnation>>> answers = new HashMap<>();
        final BlockingQueue<List<Incarnation>> sent = new LinkedBlockingQueue<>();

        Scripted(Incarnation... pods) {
            this.pods = List.of(pods);
            for (Incarnation pod : pods) answers.put(pod, new CompletableFuture<>());
        }

        @Override
        public List<Incarnation> choose(Set<Incarnation> left, int wanted) {
            var chosen = new ArrayList<Incarnation>();
            for (Incarnation pod : pods) if (!left.contains(pod) && chosen.size() < wanted) chosen.add(pod);
            return chosen;
        }

        @Override
        public CompletableFuture<List<Incarnation>> send(List<Incarnation> chain) {
            sent.add(chain);
            return answers.get(chain.getFirst());
        }

        void answer(Incarnation first, Incarnation... took) {
            answers.get(first).complete(List.of(took));
        }
    }

    @Test
    void aFrozenPodIsPassedOverAfterTheDelay() throws Exception {
        var pods = new Scripted(A, B, C);
        var result = HedgedPush.of(pods, 1, Duration.ofMillis(1));
        assertThat(pods.sent.take()).containsExactly(A);
        assertThat(pods.sent.take()).containsExactly(B);
        pods.answer(B, B);
        assertThat(result.get(10, TimeUnit.SECONDS)).containsExactly(B);
    }

    @Test
    void onePodIsEnoughWhileItAnswers() throws Exception {
        var pods = new Scripted(A, B, C);
        var result = HedgedPush.of(pods, 1, NEVER);
        pods.answer(A, A);
        assertThat(result.get(10, TimeUnit.SECONDS)).containsExactly(A);
        assertThat(pods.sent).hasSize(1);
    }

    @Test
    void whatAChainDidNotTakeGoesToOthersAtOnce() throws Exception {
        var pods = new Scripted(A, B, C);
        var result = HedgedPush.of(pods, 2, NEVER);
        assertThat(pods.sent.take()).containsExactly(A, B);
        pods.answer(A, B);
        assertThat(pods.sent.take()).containsExactly(C);
        pods.answer(C, C);
        assertThat(result.get(10, TimeUnit.SECONDS)).containsExactly(B, C);
    }

    @Test
    void itEndsWithLessWhenAllWereTried() throws Exception {
        var pods = new Scripted(A, B);
        var result = HedgedPush.of(pods, 1, Duration.ofMillis(1));
        pods.sent.take();
        pods.sent.take();
        pods.answer(B);
        assertThat(result).isNotDone();
        pods.answer(A);
        assertThat(result.get(10, TimeUnit.SECONDS)).isEmpty();
        assertThat(HedgedPush.of(pods, 0, NEVER)).isCompletedWithValue(List.of());
        assertThat(pods.sent).isEmpty();
    }
}
