// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.health.PeerWatch.Declaration;
import dev.wormhole.health.PeerWatch.Timing;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.namespace.PodSettings.Role;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PeerWatchTest {
    private static final Incarnation A = new Incarnation(1);
    private static final Incarnation B = new Incarnation(2);
    private static final Incarnation LAPTOP = new Incarnation(3);
    private static final long BEAT = Duration.ofMillis(250).toNanos();
    private static final Timing TIMING = Timing.of(Duration.ofMinutes(10), Duration.ofDays(30));

    private final List<PodRecord> pods = new ArrayList<>(List.of(pod(A, false), pod(B, false), pod(LAPTOP, true)));
    private long now = 1_000_000_007L;
    private PeerWatch watch = new PeerWatch(TIMING, A, pods, now, Map.of(), 0);
    private List<Declaration> declared = List.of();

    private static PodRecord pod(Incarnation incarnation, boolean intermittent) {
        var settings =
                new PodSettings("pod" + incarnation.number(), Role.STORAGE, intermittent, "", List.of(), 1 << 20);
        return new PodRecord(incarnation, settings, false, false, true, 1, 0, 0);
    }

    private void absent(Incarnation incarnation, boolean absent) {
        pods.replaceAll(p -> p.incarnation().equals(incarnation)
                ? new PodRecord(incarnation, p.settings(), false, absent, true, 1, 0, 0)
                : p);
        watch.members(pods);
    }

    /** Time passes by heartbeats; the pods given are heard at each with everything applied. */
    private void pass(Duration time, Incarnation... heard) {
        for (long left = time.toNanos(); left > 0; left -= BEAT) {
            now += Math.min(left, BEAT);
            declared = watch.tick(now);
            for (Incarnation pod : heard) watch.heard(pod, Long.MAX_VALUE, true);
        }
    }

    @Test
    void silenceMakesLateAndOneHeartbeatMakesPresent() {
        pass(Duration.ofSeconds(1), LAPTOP);
        assertThat(watch.presence(B)).isEqualTo(Presence.PRESENT);
        pass(Duration.ofMillis(250), LAPTOP);
        assertThat(watch.presence(B)).isEqualTo(Presence.LATE);
        assertThat(watch.presence(LAPTOP)).isEqualTo(Presence.PRESENT);
        assertThat(watch.presence(A)).as("itself").isEqualTo(Presence.PRESENT);
        watch.heard(B, 0, true);
        assertThat(watch.presence(B)).isEqualTo(Presence.PRESENT);
        assertThat(watch.isSteady(B)).as("not before 2 s").isFalse();
        pass(Duration.ofSeconds(2), B);
        assertThat(watch.isSteady(B)).isTrue();
        assertThat(watch.presence(new Incarnation(99))).isNull();
    }

    /** Schedule 3 (b): the heartbeat thread lives, the disk hangs. */
    @Test
    void aPodThatAnswersButAppliesNothingIsLateAndThenAbsent() {
        watch.heard(B, 5, true);
        watch.committed(6);
        watch.heard(B, 5, true); // owes 6 from its next heartbeat on
        for (int i = 0; i < 7; i++) {
            now += BEAT;
            watch.tick(now);
            watch.heard(B, 5, true);
        }
        assertThat(watch.presence(B)).isEqualTo(Presence.LATE);
        assertThat(watch.mayRenew(B)).isFalse();
        for (int i = 0; i < 4 * 601; i++) {
            now += BEAT;
            declared = watch.tick(now);
            watch.heard(B, 5, true);
            watch.heard(LAPTOP, 6, true);
        }
        assertThat(declared).extracting(Declaration::incarnation).containsExactly(B);
        assertThat(declared.getFirst().reason()).contains("applied nothing");
        watch.heard(B, 6, true);
        assertThat(watch.presence(B)).isEqualTo(Presence.PRESENT);
    }

    @Test
    void aPodThatIsBehindButMovesIsNotLateAndIsNotRenewed() {
        for (int i = 1; i <= 100; i++) {
            now += BEAT;
            watch.tick(now);
            watch.committed(1000L * i);
            watch.heard(B, 10L * i, true);
        }
        assertThat(watch.presence(B)).isEqualTo(Presence.PRESENT);
        assertThat(watch.mayRenew(B)).isFalse();
    }

    @Test
    void underLoadAPodOwesOnlyWhatWasCommittedOneHeartbeatEarlier() {
        for (int i = 1; i <= 100; i++) {
            now += BEAT;
            watch.tick(now);
            watch.committed(1000L * i);
            watch.heard(B, 1000L * (i - 1) + 1, true);
        }
        assertThat(watch.mayRenew(B)).isTrue();
    }

    @Test
    void absenceTakesItsTimeAndIsLongerForAPodThatSleeps() {
        pass(Duration.ofMinutes(10).minusSeconds(1));
        assertThat(declared).isEmpty();
        pass(Duration.ofSeconds(1));
        assertThat(declared)
                .extracting(Declaration::incarnation, Declaration::absent)
                .containsExactly(org.assertj.core.groups.Tuple.tuple(B, true));
        pass(Duration.ofSeconds(1));
        assertThat(declared).as("until the log says so").hasSize(1);
        absent(B, true);
        pass(Duration.ofSeconds(1));
        assertThat(declared).isEmpty();
        assertThat(watch.presence(B)).isEqualTo(Presence.ABSENT);
        assertThat(watch.presence(LAPTOP)).isEqualTo(Presence.LATE);
    }

    @Test
    void backFromAbsentOnlyWhenHeardAndCaughtUp() {
        absent(B, true);
        watch.committed(100);
        pass(Duration.ofSeconds(5));
        assertThat(declared).isEmpty();
        for (int applied : new int[] {10, 50, 99}) {
            now += BEAT;
            watch.heard(B, applied, true);
            assertThat(watch.tick(now)).as("applied " + applied).isEmpty();
        }
        watch.heard(B, 100, true);
        declared = watch.tick(now + BEAT);
        assertThat(declared)
                .extracting(Declaration::incarnation, Declaration::absent)
                .containsExactly(org.assertj.core.groups.Tuple.tuple(B, false));
        assertThat(watch.presence(B)).as("the log decides").isEqualTo(Presence.ABSENT);
    }

    /** Found by the simulation: nobody else could declare it back. */
    @Test
    void aLeaderThatTheLogCallsAbsentDeclaresItselfBack() {
        absent(A, true);
        pass(Duration.ofMillis(250), B, LAPTOP);
        assertThat(declared)
                .extracting(Declaration::incarnation, Declaration::absent)
                .containsExactly(org.assertj.core.groups.Tuple.tuple(A, false));
        absent(A, false);
        pass(Duration.ofMillis(250), B, LAPTOP);
        assertThat(declared).isEmpty();
    }

    @Test
    void silenceSurvivesAChangeOfTheLeader() {
        pass(Duration.ofMinutes(6), LAPTOP);
        var informed = watch.silences();
        var elsewhere = Map.of(
                B, Duration.ofMinutes(7).toNanos(), A, Duration.ofSeconds(1).toNanos());
        var begin = PeerWatch.latestOf(List.of(elsewhere, informed));
        assertThat(begin)
                .as("the best informed one counts")
                .containsEntry(B, Duration.ofMinutes(6).toNanos());
        now = 17; // another machine, another clock
        watch = new PeerWatch(TIMING, LAPTOP, pods, now, begin, 0);
        assertThat(watch.presence(B)).as("late at once: no second wait").isEqualTo(Presence.LATE);
        assertThat(watch.presence(A)).as("the old leader died a second ago").isEqualTo(Presence.PRESENT);
        pass(Duration.ofMillis(250));
        assertThat(watch.presence(A)).isEqualTo(Presence.LATE);
        pass(Duration.ofMinutes(4).minusMillis(500));
        assertThat(declared).isEmpty();
        pass(Duration.ofMillis(250));
        assertThat(declared).extracting(Declaration::incarnation).containsExactly(B);
    }

    @Test
    void aLeaderThatWasFrozenBlamesNobody() {
        pass(Duration.ofSeconds(1), B, LAPTOP);
        now += Duration.ofHours(8).toNanos();
        assertThat(watch.tick(now)).isEmpty();
        assertThat(watch.presence(B)).isEqualTo(Presence.PRESENT);
        assertThat(watch.tick(now - 5)).as("a clock that goes back is no time").isEmpty();
    }

    /** By seed: nobody heard within the bound is late, nobody silent beyond it is present, absence never comes early. */
    @Test
    void lateIsExactlySilence() {
        for (long seed = 0; seed < 300; seed++) {
            var random = new Random(seed);
            var w = new PeerWatch(TIMING, A, pods, 0, Map.of(), 0);
            long time = 0;
            long heard = 0;
            for (int i = 0; i < 200; i++) {
                time += random.nextInt(600) * 1_000_000L;
                w.tick(time);
                if (random.nextInt(3) == 0) {
                    w.heard(B, 1, true);
                    heard = time;
                }
                var expected = time - heard >= 1_250_000_000L ? Presence.LATE : Presence.PRESENT;
                assertThat(w.presence(B)).as("seed " + seed + " step " + i).isEqualTo(expected);
            }
        }
    }

    @Test
    void disconnectionNeedsSilenceAndEndsAfterUnbrokenContact() {
        long second = Duration.ofSeconds(1).toNanos();
        var view = new Disconnection(Duration.ofSeconds(5), Duration.ofMillis(500), 0);
        assertThat(view.tick(5 * second - 1)).isInstanceOf(Disconnection.View.Connected.class);
        assertThat(view.heard(5 * second - 1)).isInstanceOf(Disconnection.View.Connected.class);
        assertThat(view.tick(10 * second)).isEqualTo(new Disconnection.View.Disconnected(5 * second - 1));
        assertThat(view.heard(11 * second))
                .as("one word is not yet contact")
                .isInstanceOf(Disconnection.View.Disconnected.class);
        assertThat(view.heard(12 * second)).as("a gap begins anew").isInstanceOf(Disconnection.View.Disconnected.class);
        assertThat(view.heard(12 * second + second / 4)).isInstanceOf(Disconnection.View.Disconnected.class);
        assertThat(view.heard(12 * second + second / 2)).isInstanceOf(Disconnection.View.Connected.class);
        assertThat(view.heard(20 * second))
                .as("a pod that slept had lost it, whoever speaks first")
                .isEqualTo(new Disconnection.View.Disconnected(12 * second + second / 2));
    }
}
