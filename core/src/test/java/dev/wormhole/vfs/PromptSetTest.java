// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.InodeId;
import dev.wormhole.vfs.PromptNetwork.Pod;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/**
 * The schedules of {@code protocols.md} 1, 2, 3, 15 and 22 that the prompt set must survive, and random ones.
 *
 * <p>{@code -Dsimulation.seeds=1000} runs more of them, {@code -Dsimulation.first=12345} begins elsewhere.
 */
class PromptSetTest {
    private static final int SEEDS = Integer.getInteger("simulation.seeds", 60);
    private static final long FIRST = Long.getLong("simulation.first", 1);
    private static final InodeId NAME = new InodeId(1);
    private static final InodeId FILE = new InodeId(4);

    private static PromptNetwork steady(long seed) {
        var net = new PromptNetwork(seed, 3, 3);
        for (Pod pod : net.pods) pod.lookOften();
        net.sim.until(
                "all prompt", Duration.ofSeconds(20), () -> net.pods.stream().allMatch(Pod::isPrompt));
        net.sim.run(Duration.ofSeconds(1));
        return net;
    }

    private static Pod leader(PromptNetwork net) {
        net.sim.until("a leader", Duration.ofSeconds(20), () -> net.newest() != null);
        var leader = net.newest();
        if (leader == null) throw new AssertionError();
        return leader;
    }

    private static Pod other(PromptNetwork net, Pod... than) {
        return net.pods.stream()
                .filter(pod -> !java.util.List.of(than).contains(pod))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void inQuietTimesEveryPodAnswersFromWhatItHas() {
        var net = steady(7);
        long local = net.looksLocal + net.looksCached;
        net.sim.run(Duration.ofSeconds(30));
        assertThat(net.looksLocal + net.looksCached - local).isGreaterThan(5_000);
        assertThat(net.pods).allMatch(pod -> pod.fresh() > 0);
        assertThat(net.changes).isGreaterThan(100);
    }

    /** 2: the daemon stands still, its kernel does not. */
    @Test
    void s2_aFrozenDaemonsKernelStopsAnsweringBeforeOthersGoOn() {
        for (long seed = 1; seed < 20; seed++) {
            var net = steady(seed);
            Pod frozen = other(net, leader(net));
            net.freeze(frozen, Duration.ofSeconds(5).toNanos());
            Pod changing = other(net, frozen);
            changing.change(NAME);
            changing.change(FILE);
            long before = net.changes;
            net.sim.run(Duration.ofMillis(2_000));
            assertThat(net.changes).as("others go on").isGreaterThan(before);
            net.sim.run(Duration.ofSeconds(10));
            net.sim.until("back", Duration.ofSeconds(10), frozen::isPrompt);
        }
    }

    /** 3b: it answers heartbeats and applies nothing. */
    @Test
    void s3_aStuckPodIsNotWaitedForForEver() {
        var net = steady(3);
        Pod stuck = other(net, leader(net));
        stuck.stuck = true;
        net.sim.run(Duration.ofSeconds(2));
        long before = net.changes;
        net.sim.run(Duration.ofSeconds(3));
        assertThat(net.changes - before).isGreaterThan(10);
        assertThat(stuck.fresh()).isZero();
        stuck.stuck = false;
        stuck.apply();
        net.sim.until("prompt again", Duration.ofSeconds(20), stuck::isPrompt);
    }

    /** 3c: the old leader believes, its listeners with it, and the new one does not wait longer than it must. */
    @Test
    void s3_anOldLeaderThatGoesOnBelievingGrantsNothingThatMatters() {
        for (long seed = 1; seed < 30; seed++) {
            var net = new PromptNetwork(seed, 5, 3);
            net.sim.until(
                    "all prompt",
                    Duration.ofSeconds(20),
                    () -> net.pods.stream().allMatch(Pod::isPrompt));
            for (Pod pod : net.pods) pod.lookOften();
            Pod old = leader(net);
            // the old leader keeps one listener, the other voters and the other listener are on the other side
            Pod listener = net.pod(4);
            for (Pod pod : net.pods)
                if (pod != old && pod != listener) {
                    net.cut(old, pod);
                    net.cut(listener, pod);
                }
            net.sim.until("another leader", Duration.ofSeconds(10), () -> net.newest() != null && net.newest() != old);
            net.sim.run(Duration.ofSeconds(4));
            assertThat(old.fresh()).isZero();
            assertThat(listener.fresh()).isZero();
            net.heal();
            net.sim.until(
                    "all prompt again",
                    Duration.ofSeconds(30),
                    () -> net.pods.stream().allMatch(Pod::isPrompt));
        }
    }

    @Test
    void s3_aDeadLeaderCostsNoSecondWait() {
        for (long seed = 1; seed < 20; seed++) {
            var net = steady(seed);
            Pod dead = leader(net);
            net.freeze(dead, Duration.ofMinutes(1).toNanos());
            long began = net.sim.now();
            Pod changing = other(net, dead);
            net.sim.until("another leader", Duration.ofSeconds(10), () -> net.newest() != null && net.newest() != dead);
            net.sim.run(Duration.ofMillis(1));
            long before = net.changes;
            changing.change(FILE);
            net.sim.until("a change", Duration.ofSeconds(10), () -> net.changes > before);
            // election 1.7 s, or silence 1.25 s, and then asking, a beat and a commit
            assertThat(net.sim.now() - began)
                    .as("seed " + seed)
                    .isLessThan(Duration.ofMillis(2_500).toNanos());
        }
    }

    @Test
    void whoStopsInGoodOrderIsNotWaitedFor() {
        var net = steady(5);
        Pod stopping = other(net, leader(net));
        stopping.answers = false;
        net.sim.until(
                "out",
                Duration.ofMillis(1_000),
                () -> net.pods.stream().noneMatch(p -> p != stopping && net.promptIn(p, stopping)));
    }

    @Test
    void whereNobodyLooksNobodyWaits() {
        var net = steady(8);
        Pod idle = other(net, leader(net));
        idle.nobodyLooks = true;
        net.sim.until(
                "out",
                Duration.ofSeconds(13),
                () -> net.pods.stream().noneMatch(p -> p != idle && net.promptIn(p, idle)));
        idle.nobodyLooks = false;
        net.sim.until("back", Duration.ofSeconds(1), idle::isPrompt);
        net.sim.until("fresh", Duration.ofSeconds(1), () -> idle.fresh() > 0);
    }

    @Test
    void withoutTheSwitchNobodyIsWaitedFor() {
        var net = steady(6);
        net.promptWanted = false;
        net.sim.until("none", Duration.ofSeconds(5), () -> net.pods.stream().noneMatch(Pod::isPrompt));
        net.sim.run(Duration.ofSeconds(2));
        net.promptWanted = true;
        net.sim.until("all", Duration.ofSeconds(10), () -> net.pods.stream().allMatch(Pod::isPrompt));
    }

    @Test
    void randomSchedules() {
        long local = 0;
        long cached = 0;
        long changes = 0;
        long leaders = 0;
        for (long seed = FIRST; seed < FIRST + SEEDS; seed++) {
            var net = new PromptNetwork(seed, 5, 3);
            for (Pod pod : net.pods) pod.lookOften();
            var random = net.sim.random;
            for (int i = 0; i < 100; i++) {
                net.sim.run(Duration.ofMillis(random.nextInt(900)));
                Pod pod = net.pods.get(random.nextInt(5));
                switch (random.nextInt(14)) {
                    case 0, 1 -> net.freeze(pod, net.sim.millis(50, 3_000));
                    case 2 -> net.isolate(pod);
                    case 3 -> net.cut(pod, net.pods.get(random.nextInt(5)));
                    case 4, 5, 6 -> net.heal();
                    case 7 -> net.elect();
                    case 8 -> pod.stuck = !pod.stuck;
                    case 9 -> net.loss = net.loss > 0 ? 0 : random.nextDouble() * 0.2;
                    case 10 -> net.delayMicrosMost = random.nextBoolean() ? 1_500 : 150_000;
                    case 11 -> net.promptWanted = random.nextInt(4) != 0;
                    case 12, 13 -> pod.nobodyLooks = !pod.nobodyLooks;
                    default -> throw new IllegalStateException();
                }
            }
            net.heal();
            net.loss = 0;
            net.delayMicrosMost = 1_500;
            net.promptWanted = true;
            for (Pod pod : net.pods) {
                pod.stuck = false;
                pod.nobodyLooks = false;
                pod.apply();
            }
            net.sim.until(
                    "all prompt",
                    Duration.ofSeconds(60),
                    () -> net.pods.stream().allMatch(Pod::isPrompt));
            local += net.looksLocal;
            cached += net.looksCached;
            changes += net.changes;
            leaders += net.leaderChanges;
        }
        // A simulation in which nothing happens proves nothing.
        assertThat(local).as("local answers").isGreaterThan(1_000L * SEEDS);
        assertThat(cached).as("answers of kernels").isGreaterThan(200L * SEEDS);
        assertThat(changes).as("changes").isGreaterThan(100L * SEEDS);
        assertThat(leaders).as("leader changes").isGreaterThan(2L * SEEDS);
    }
}
