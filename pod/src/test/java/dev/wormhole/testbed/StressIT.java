// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.wormhole.testbed.Testbed.Machine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.Timeout;

/**
 * Programs on three pods do random things to one tree, all at once, as fsstress does it. Then every pod must show the same
 * tree, byte for byte, and no pod's tables or store may contradict themselves.
 *
 * <p>For longer: {@code -Dstress.seconds=3600 -Dstress.seed=7 -Dstress.threads=8}. What threads do is by the seed; in which
 * order they meet is not.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
@Timeout(12 * 3600)
final class StressIT {
    private static final int PODS = 3;
    private static final int SECONDS = Integer.getInteger("stress.seconds", 15);
    private static final int THREADS = Integer.getInteger("stress.threads", 4);
    /** No operation may take longer, on a machine that is busy with all of this. */
    private static final long DEADLINE_MILLIS = 30_000;

    private Testbed bed;

    @BeforeAll
    void start() throws IOException {
        bed = new Testbed(PODS);
        bed.machine(1).create(2);
        for (int pod = 2; pod <= PODS; pod++) bed.machine(pod).join(bed.machine(1));
        Files.createDirectory(tree(1));
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    private Path tree(int pod) {
        return bed.machine(pod).mount.resolve("stress");
    }

    @Test
    @Order(1)
    void noOperationFailsWithoutCauseOrHangs() throws IOException {
        long seed = Long.getLong("stress.seed", System.nanoTime() % 1_000_000_000);
        System.out.println("stress seed " + seed);
        var programs = new ArrayList<JavaProcess>();
        var reports = new ArrayList<Path>();
        try {
            for (int pod = 1; pod <= PODS; pod++) {
                Path report = bed.root.resolve("report" + pod);
                reports.add(report);
                programs.add(new JavaProcess(
                        bed.root,
                        StressProgram.class,
                        tree(pod).toString(),
                        Integer.toString(SECONDS),
                        Long.toString(seed * 10 + pod),
                        Integer.toString(THREADS),
                        report.toString()));
            }
            for (JavaProcess program : programs) program.await(SECONDS + 2 * DEADLINE_MILLIS / 1_000);
        } finally {
            programs.forEach(JavaProcess::close);
        }
        var done = new TreeMap<String, Long>();
        var errors = new TreeMap<String, Long>();
        var millis = new TreeMap<String, Long>();
        var unexpected = new ArrayList<String>();
        for (Path report : reports)
            for (String line : Files.readAllLines(report)) {
                String[] parts = line.split(" ", 3);
                long count = Long.parseLong(parts[1]);
                switch (parts[0]) {
                    case "done" -> done.merge(parts[2], count, Long::sum);
                    case "error" -> errors.merge(parts[2], count, Long::sum);
                    case "millis" -> millis.merge(parts[2], count, Math::max);
                    default -> unexpected.add(parts[2]);
                }
            }
        long sum = done.values().stream().mapToLong(Long::longValue).sum();
        System.out.println("stress: " + sum + " operations done " + done + "\n  refused " + errors
                + "\n  longest, in ms " + millis);
        assertThat(unexpected).as("seed " + seed).isEmpty();
        assertThat(millis).as("all of what programs do").hasSize(StressProgram.Act.values().length);
        millis.forEach((act, longest) -> assertThat(longest).as(act + " in ms").isLessThan(DEADLINE_MILLIS));
    }

    @Test
    @Order(2)
    void allPodsShowTheSameTree() throws IOException {
        awaitRest();
        List<String> first = walk(1);
        System.out.println("stress: " + first.size() + " entries");
        assertThat(first).noneMatch(line -> line.startsWith("wrong"));
        assertThat(first).hasSizeGreaterThan(10);
        for (int pod = 2; pod <= PODS; pod++)
            assertThat(walk(pod)).as("pod " + pod).isEqualTo(first);
    }

    private List<String> walk(int pod) throws IOException {
        Path out = bed.root.resolve("walk" + pod);
        try (var program = new JavaProcess(bed.root, TreeWalk.class, tree(pod).toString(), out.toString())) {
            program.await(120);
        }
        return Files.readAllLines(out);
    }

    /** Copies are made, and what was deleted is gone. */
    private void awaitRest() {
        bed.machine(1)
                .wormhole("sync", "--store", bed.machine(1).store.toString())
                .orFail("sync");
        await("nothing is left to copy or to reclaim", 60 + SECONDS / 10, () -> {
            JsonObject replication = JsonParser.parseString(bed.machine(1).status())
                    .getAsJsonObject()
                    .getAsJsonObject("replication");
            return replication.getAsJsonArray("jobs").isEmpty()
                    && replication.get("belowCopies").getAsLong() == 0;
        });
    }

    @Test
    @Order(3)
    void noPodsTablesOrStoreContradictThemselves() {
        awaitRest();
        for (Machine machine : bed.machines) machine.down();
        for (Machine machine : bed.machines) {
            var result = machine.wormhole("check", "--json", "--bytes", "--store", machine.store.toString());
            System.out.println(machine.name + ": " + result.output().strip());
            JsonObject found = JsonParser.parseString(result.output()).getAsJsonObject();
            assertThat(found.getAsJsonArray("findings").asList())
                    .as(machine.name)
                    .map(JsonElement::getAsString)
                    .isEmpty();
            assertThat(result.status()).isZero();
            assertThat(found.get("inOrder").getAsBoolean())
                    .as("stopped in good order")
                    .isTrue();
            for (String leftover : List.of("orphans", "unnamedSlices", "deadSlices", "uncommittedSlices"))
                assertThat(found.get(leftover).getAsLong())
                        .as(machine.name + ": " + leftover)
                        .isZero();
            assertThat(found.get("storedSlices").getAsLong())
                    .as("slices of " + machine.name)
                    .isPositive();
        }
    }

    @Test
    @Order(4)
    void aDamagedStoreIsFound() throws IOException {
        Machine machine = bed.machine(3);
        Path packs = machine.store.resolve("packs");
        try (var files = Files.newDirectoryStream(packs, "*.pack")) {
            for (Path file : files) {
                byte[] bytes = Files.readAllBytes(file);
                java.util.Arrays.fill(bytes, Math.min(100, bytes.length), bytes.length, (byte) 7);
                Files.write(file, bytes);
            }
        }
        var damaged = machine.wormhole("check", "--bytes", "--store", machine.store.toString());
        assertThat(damaged.status()).isEqualTo(1);
        assertThat(damaged.output()).contains("WRONG: ", "is damaged");
        Files.move(packs, machine.store.resolve("elsewhere"));
        var gone = machine.wormhole("check", "--store", machine.store.toString());
        assertThat(gone.status()).isEqualTo(1);
        assertThat(gone.output()).contains("should be in this store and is not");
        assertThat(packs).doesNotExist();
    }
}
