// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Command;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Programs on five pods while links fail, pods crash, leaders change, disks lose slices and burn. The observer of
 * {@link SimulatedNetwork} looks at every step; at the end everything heals and must come to rest in order.
 *
 * <p>{@code -Dsimulation.seeds=1000} runs more of them, {@code -Dsimulation.first=12345} begins elsewhere (with
 * {@code -Dsimulation.seeds=1}: one again).
 */
class RandomSchedulesTest {
    private static final int SEEDS = Integer.getInteger("simulation.seeds", 25);
    private static final long FIRST = Long.getLong("simulation.first", 1);

    @Test
    void randomSchedules() {
        long repeats = 0;
        long appends = 0;
        long leaders = 0;
        long counted = 0;
        long refused = 0;
        long taken = 0;
        for (long seed = FIRST; seed < FIRST + SEEDS; seed++) {
            var net = run(seed);
            repeats += net.repeats;
            appends += net.acknowledgedAppends.size();
            leaders += net.leaderChanges;
            counted += net.lockCounts.acknowledged;
            refused += net.lockCounts.refused;
            taken += net.lockCounts.taken;
        }
        System.out.println(
                "under locks: counted " + counted + ", refused " + refused + ", taken from silent pods " + taken);
        assertThat(counted).as("counted under locks").isGreaterThan(10L * SEEDS);
        assertThat(taken).as("locks taken").isPositive();
        // A simulation in which nothing happens proves nothing.
        assertThat(repeats).as("repeated batches").isPositive();
        assertThat(leaders).as("leader changes").isGreaterThan(SEEDS);
        assertThat(appends).as("acknowledged appends").isGreaterThan(10L * SEEDS);
    }

    private static SimulatedNetwork run(long seed) {
        var net = SimulatedNetwork.of(seed, 5, 3);
        net.programsRun = true;
        net.locksRun = true;
        var faults = new Faults(net);
        faults.next();
        net.sim.run(Duration.ofSeconds(60));
        faults.end();
        net.settle();
        return net;
    }

    /** One fault after the other, some for long enough that a pod is declared absent. */
    private static final class Faults {
        private final SimulatedNetwork net;
        private final Simulation sim;
        private boolean ended;
        private boolean burning;

        Faults(SimulatedNetwork net) {
            this.net = net;
            this.sim = net.sim;
        }

        void next() {
            sim.after(sim.millis(100, 1_500), () -> {
                if (ended) return;
                one();
                next();
            });
        }

        void end() {
            ended = true;
            sim.until("burned pods are replaced", Duration.ofMinutes(5), () -> !burning);
        }

        private SimulatedPod any() {
            return net.pods.get(sim.random.nextInt(net.pods.size()));
        }

        private void one() {
            var pod = any();
            switch (sim.random.nextInt(12)) {
                case 0, 1 -> {
                    if (!pod.up) return;
                    pod.crash();
                    sim.after(sim.chance(0.2) ? sim.millis(12_000, 20_000) : sim.millis(100, 4_000), () -> revive(pod));
                }
                case 2 -> {
                    net.isolate(pod);
                    sim.after(
                            sim.chance(0.2) ? sim.millis(12_000, 20_000) : sim.millis(100, 4_000), () -> net.heal(pod));
                }
                case 3, 4 -> {
                    var other = any();
                    if (other == pod) return;
                    net.cut(pod, other);
                    sim.after(sim.millis(100, 6_000), net::heal);
                }
                case 5 -> net.deposeLeader();
                case 6 -> {
                    net.loss = sim.chance(0.5) ? 0 : sim.random.nextDouble() * 0.3;
                    net.duplication = sim.chance(0.5) ? 0 : sim.random.nextDouble() * 0.5;
                    net.delayMillisMost = sim.chance(0.7) ? 3 : 200;
                }
                case 7, 8 -> loseSlice(pod);
                case 9 -> burn(pod);
                case 10 -> {
                    var admin = any();
                    if (!admin.sessionOpen || pod.incarnation == null) return;
                    admin.propose(new Command.SetDraining(pod.incarnation, true));
                    var draining = pod.incarnation;
                    sim.after(sim.millis(1_000, 8_000), () -> undrain(draining));
                }
                case 11 -> pod.clockSkewNanos = (long) (sim.random.nextGaussian() * 1e18);
                default -> throw new IllegalStateException();
            }
        }

        private void revive(SimulatedPod pod) {
            if (!pod.up && !pod.stopped) pod.start();
        }

        private void undrain(dev.wormhole.model.Incarnation draining) {
            for (var admin : net.pods)
                if (admin.up && admin.sessionOpen) {
                    admin.propose(new Command.SetDraining(draining, false)).whenComplete((_, failure) -> {
                        if (failure != null) undrain(draining);
                    });
                    sim.after(sim.millis(2_000, 3_000), () -> {
                        var record = net.view().pod(draining);
                        if (record != null && record.draining()) undrain(draining);
                    });
                    return;
                }
            sim.after(sim.millis(500, 1_000), () -> undrain(draining));
        }

        /** A bad block: only where another copy is, as redundancy promises no more. */
        private void loseSlice(SimulatedPod pod) {
            if (!pod.up || !pod.sessionOpen) return;
            var able = new ArrayList<SliceId>();
            for (SliceId slice : pod.store.keySet()) {
                var row = net.view().slice(slice);
                if (row != null && row.heldBy(pod.self()) && copiesElsewhere(pod, slice)) able.add(slice);
            }
            if (!able.isEmpty()) pod.loseSlice(able.get(sim.random.nextInt(able.size())));
        }

        private boolean copiesElsewhere(SimulatedPod pod, SliceId slice) {
            var row = net.view().slice(slice);
            return row != null
                    && row.holders().stream()
                            .anyMatch(h -> h.state().isCopy()
                                    && !h.incarnation().equals(pod.incarnation)
                                    && net.hasBytes(h.incarnation(), slice));
        }

        private void burn(SimulatedPod pod) {
            if (burning || pod.incarnation == null || !pod.sessionOpen || !net.mayBurn(pod)) return;
            burning = true;
            var gone = pod.incarnation;
            pod.burn();
            sim.after(sim.millis(500, 5_000), () -> replace(pod, gone));
        }

        /** An administrator removes the old incarnation, and the pod joins again with an empty disk. */
        private void replace(SimulatedPod pod, dev.wormhole.model.Incarnation gone) {
            if (net.view().pod(gone) == null) {
                revive(pod);
                burning = false;
                return;
            }
            for (var admin : List.copyOf(net.pods))
                if (admin.up && admin.sessionOpen && admin != pod) {
                    admin.propose(new Command.RemovePod(gone, true));
                    break;
                }
            sim.after(sim.millis(1_000, 2_000), () -> replace(pod, gone));
        }
    }
}
