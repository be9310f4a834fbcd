// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.testbed.Operation.Kind;
import dev.wormhole.testbed.Operation.Outcome;
import dev.wormhole.testbed.Testbed.Machine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.Timeout;

/**
 * Clients on three pods ask and write down what they are answered, while one pod at a time is killed and started again,
 * stands still, or is cut off. In the end all are killed at once, and everybody looks at everything once more. What was
 * answered must be what DESIGN section 7 promises, as {@link HistoryChecker} has it.
 *
 * <p>By default (close-to-open, {@code durability.reads = "local"}) a pod that lost the network shows what it has, as of the
 * cut, once {@code disconnected.after} has passed: that is no promise about others' changes, so no fault here lasts so long.
 * The strict mode is the plain way ({@code durability.reads = "leader"}) with {@code disconnected.reaction = "stop"}: names are
 * linearizable, through any fault. ({@code consistency = "strict"}, for content that is open, is not available yet.)
 *
 * <p>For longer: {@code -Dhistories.seconds=3600 -Dhistories.seed=7}. What clients do and what befalls the pods is by the
 * seed; in which order they meet is not.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
@Timeout(12 * 3600)
final class HistoriesIT {
    private static final int PODS = 3;
    private static final int CLIENTS = 6;
    private static final int SECONDS = Integer.getInteger("histories.seconds", 16);
    private static final long DEADLINE_NANOS = 30_000_000_000L;
    /** EINTR aside, all that a folder whose pod is away, or without a network, may say. */
    private static final List<Integer> FAILURES = List.of(5, 30, 103, 107);

    private enum Fault {
        KILL,
        FREEZE,
        CUT
    }

    /** From when to when a pod was not itself. */
    private record Trouble(int pod, Fault fault, long from, long to) {
        boolean excuses(Operation operation) {
            return operation.pod() == pod && operation.invoked() <= to && operation.responded() >= from;
        }
    }

    private final long seed = Long.getLong("histories.seed", System.nanoTime() % 1_000_000_000);
    private final Random random = new Random(seed);
    private Testbed bed;
    private String folder = "";

    @BeforeAll
    void start() {
        System.out.println("histories seed " + seed);
        bed = new Testbed(PODS);
        bed.machine(1).create(2);
        for (int pod = 2; pod <= PODS; pod++) bed.machine(pod).join(bed.machine(1));
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    private static final String WAITS = "after = \"30s\"\nreaction = \"freeze\"\n";
    private static final String STOPS = "after = \"5s\"\nreaction = \"stop\"\n";

    @Test
    @Order(1)
    void whatProgramsSawIsCloseToOpen() throws Exception {
        restart(Machine::down, WAITS);
        round("default", false, STOPS);
    }

    @Test
    @Order(2)
    void whatProgramsSawInTheStrictModeIsNeverStale() throws Exception {
        Path network = bed.root.resolve("config1/net/network.toml");
        String toml = Files.readString(network);
        assertThat(toml).contains("reads = \"local\"");
        Path changed = Files.writeString(
                bed.root.resolve("network.toml"), toml.replace("reads = \"local\"", "reads = \"leader\""));
        bed.machine(1).wormhole("apply", changed.toString(), "--yes").orFail("apply");
        round("strict", true, STOPS);
    }

    private void round(String name, boolean strict, String next) throws IOException {
        Path out = Files.createDirectory(bed.root.resolve("histories-" + name));
        folder = name;
        Files.createDirectory(bed.machine(1).mount.resolve(folder)); // empty, as the checker has it
        var troubles = new ArrayList<Trouble>();
        try (var program = new JavaProcess(bed.root, HistoryProgram.class, clients(out))) {
            trouble(strict, troubles);
            program.await(SECONDS + 4 * DEADLINE_NANOS / 1_000_000_000L);
        }
        List<Operation> history = read(out);
        restart(Machine::kill, next);
        history.addAll(lookAtAll(out, history));
        tell(name, history, troubles);

        assertThat(HistoryChecker.check(history, strict)).as("seed " + seed).isEmpty();
        assertThat(history.stream().filter(each -> each.responded() - each.invoked() > DEADLINE_NANOS))
                .as("longer than the deadline")
                .isEmpty();
        assertThat(history.stream().filter(each -> each.outcome() == Outcome.UNKNOWN && !mayFail(each, troubles)))
                .as("errors without a cause: " + troubles)
                .isEmpty();
        for (Kind kind : Kind.values())
            assertThat(history)
                    .as(kind + " that succeeded")
                    .anyMatch(each -> each.kind() == kind && each.outcome() == Outcome.DONE);
    }

    private String[] clients(Path out) {
        var arguments = new ArrayList<>(
                List.of(out.toString(), Integer.toString(SECONDS), Long.toString(seed), Integer.toString(CLIENTS)));
        for (Machine machine : bed.machines)
            arguments.add(machine.mount.resolve(folder).toString());
        return arguments.toArray(String[]::new);
    }

    /** Programs on other pods than the one in trouble meet no error, but where bytes are that only that pod has so far. */
    private static boolean mayFail(Operation operation, List<Trouble> troubles) {
        boolean known = FAILURES.stream().anyMatch(errno -> operation.answer().endsWith("errno " + errno));
        boolean bytes =
                operation.object().startsWith("log:") || operation.object().startsWith("file:");
        return known
                && troubles.stream()
                        .anyMatch(trouble -> trouble.excuses(operation)
                                || bytes && operation.invoked() <= trouble.to && operation.responded() >= trouble.from);
    }

    private void tell(String name, List<Operation> history, List<Trouble> troubles) {
        Map<Outcome, Long> outcomes = history.stream()
                .collect(Collectors.groupingBy(
                        Operation::outcome, () -> new EnumMap<>(Outcome.class), Collectors.counting()));
        Map<String, Long> errors = history.stream()
                .filter(each -> each.outcome() == Outcome.UNKNOWN)
                .collect(Collectors.groupingBy(
                        each -> each.kind() + each.answer().replaceFirst(".*errno", " errno"), Collectors.counting()));
        long longest = history.stream()
                .mapToLong(each -> each.responded() - each.invoked())
                .max()
                .orElse(0);
        System.out.println("histories, " + name + ": " + history.size() + " operations " + outcomes + ", errors "
                + errors
                + ", longest " + longest / 1_000_000 + " ms, troubles "
                + troubles.stream()
                        .map(each -> each.fault + " " + each.pod + " " + (each.to - each.from) / 1_000_000 + " ms")
                        .toList());
    }

    // ---- what befalls the pods

    private void trouble(boolean strict, List<Trouble> troubles) {
        long end = System.nanoTime() + (SECONDS - 4) * 1_000_000_000L;
        var due = new ArrayList<>(List.of(Fault.values()));
        Collections.shuffle(due, random);
        due.sort(Comparator.comparing(fault -> fault == Fault.KILL)); // the longest comes last, for short runs
        pause(1_000);
        while (System.nanoTime() < end) {
            if (due.isEmpty()) {
                due.addAll(List.of(Fault.values()));
                Collections.shuffle(due, random);
            }
            troubles.add(befall(bed.machine(1 + random.nextInt(PODS)), due.removeFirst(), strict));
            pause(200 + random.nextInt(800));
        }
    }

    private Trouble befall(Machine machine, Fault fault, boolean strict) {
        // strictly even a pod that gave the network up shows nothing old; by default it would
        long millis = 300 + random.nextInt(strict && random.nextInt(3) == 0 ? 7_000 : 2_500);
        long from = System.nanoTime();
        switch (fault) {
            case KILL -> {
                machine.kill();
                pause(random.nextInt(1_000));
                machine.up();
            }
            case FREEZE -> {
                machine.freeze();
                pause(millis);
                machine.thaw();
            }
            case CUT -> {
                machine.cut();
                pause(millis);
                machine.reconnect();
            }
        }
        // one at a time: the next one waits until this one can change something again
        await(
                machine.name + " is back",
                60,
                () -> Shell.run(
                                        bed.root,
                                        Map.of(),
                                        List.of(
                                                "touch",
                                                machine.mount.resolve("back").toString()))
                                .status()
                        == 0);
        return new Trouble(machine.number, fault, from, System.nanoTime());
    }

    private static void pause(long millis) {
        LockSupport.parkNanos(millis * 1_000_000);
    }

    /** Ends all pods and starts them again, with other words for what they do without the network. */
    private void restart(java.util.function.Consumer<Machine> end, String without) throws IOException {
        Testbed.all(end, bed.machines);
        for (Machine machine : bed.machines) {
            try (var files = Files.walk(bed.root.resolve("config" + machine.number))) {
                Path file = files.filter(each -> each.toString().endsWith(machine.name + ".pod.toml"))
                        .findFirst()
                        .orElseThrow();
                String toml = Files.readString(file);
                int at = toml.indexOf("[disconnected]\n");
                assertThat(at).isPositive();
                int next = toml.indexOf("\n[", at);
                Files.writeString(
                        file,
                        toml.substring(0, at) + "[disconnected]\n" + without + (next < 0 ? "" : toml.substring(next)));
            }
        }
        bed.upAll();
    }

    // ---- what was seen

    private static List<Operation> read(Path out) throws IOException {
        var history = new ArrayList<Operation>();
        try (var files = Files.newDirectoryStream(out, "history-*")) {
            for (Path file : files) for (String line : Files.readAllLines(file)) history.add(Operation.parse(line));
        }
        return history;
    }

    private List<Operation> lookAtAll(Path out, List<Operation> history) throws IOException {
        Path objects = Files.write(
                out.resolve("objects"),
                history.stream().map(Operation::object).distinct().sorted().toList());
        Path last = Files.createDirectory(out.resolve("last"));
        var arguments = new ArrayList<>(List.of(last.toString(), "look", objects.toString()));
        for (Machine machine : bed.machines)
            arguments.add(machine.mount.resolve(folder).toString());
        try (var program = new JavaProcess(bed.root, HistoryProgram.class, arguments.toArray(String[]::new))) {
            program.await(120);
        }
        List<Operation> looks = read(last);
        assertThat(looks).as("after a restart all can be read").noneMatch(each -> each.outcome() == Outcome.UNKNOWN);
        return looks;
    }
}
