// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.testbed.Testbed.Machine;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Locks of real programs on three pods, one of which freezes or dies. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
final class LocksIT {
    private static final String EXCLUSIVE = "fcntl.lockf(f, fcntl.LOCK_EX)";
    private static final String AT_ONCE = "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)";

    private Testbed bed;
    private Path obeys;
    private final List<Program> programs = new ArrayList<>();

    @BeforeAll
    void start() throws IOException {
        bed = new Testbed(3);
        bed.machine(1).create(2);
        bed.machine(2).join(bed.machine(1));
        bed.machine(3).join(bed.machine(1));
        await("three pods are ready voters", 60, () -> {
            String status = bed.machine(1).status();
            return status.split("\"voter\": ?true", -1).length == 4
                    && status.split("\"state\": ?\"ready\"", -1).length == 4;
        });
        obeys = bed.root.resolve("obeys.py");
        try (InputStream in = Objects.requireNonNull(LocksIT.class.getResourceAsStream("obeys.py"))) {
            Files.copy(in, obeys);
        }
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    @AfterEach
    void end() {
        programs.forEach(Program::kill);
        programs.clear();
    }

    /** A program on one pod, told what to do line by line. */
    private final class Program {
        private final Process process;
        private final Writer to;
        private final BufferedReader from;
        private final Machine machine;

        Program(int pod) {
            machine = bed.machine(pod);
            try {
                process = new ProcessBuilder("python3", obeys.toString())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            to = new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8);
            from = process.inputReader(StandardCharsets.UTF_8);
            programs.add(this);
        }

        Program open(String name) {
            assertThat(run("f = os.open('" + machine.mount.resolve(name) + "', os.O_RDWR | os.O_CREAT, 0o644)"))
                    .isEqualTo("done");
            return this;
        }

        /** Begins; the answer comes later. */
        CompletableFuture<String> begin(String line) {
            try {
                to.write(line + "\n");
                to.flush();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            var answer = new CompletableFuture<String>();
            Thread.ofVirtual().start(() -> {
                try {
                    answer.complete(from.readLine());
                } catch (IOException e) {
                    answer.completeExceptionally(e);
                }
            });
            return answer;
        }

        String run(String line) {
            return within(30, begin(line));
        }

        void kill() {
            process.destroyForcibly();
            try {
                process.waitFor(20, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static String within(int seconds, CompletableFuture<String> answer) {
        try {
            return answer.get(seconds, TimeUnit.SECONDS);
        } catch (TimeoutException | ExecutionException | InterruptedException e) {
            throw new AssertionError("no answer within " + seconds + " s", e);
        }
    }

    private Path file(int pod, String name) {
        return bed.machine(pod).mount.resolve(name);
    }

    @ParameterizedTest
    @Order(1)
    @ValueSource(strings = {"fcntl.lockf, True", "fcntl.flock, False"})
    void noCountUnderALockIsLost(String how) throws IOException {
        String name = "count " + how.replaceAll("[^a-zA-Z]", "");
        Files.writeString(file(1, name), "0");
        var counting = new ArrayList<CompletableFuture<String>>();
        for (int pod = 1; pod <= 3; pod++)
            for (int i = 0; i < 2; i++)
                counting.add(new Program(pod).begin("count('" + file(pod, name) + "', 8, " + how + ")"));
        for (var one : counting) assertThat(within(60, one)).isEqualTo("8");
        assertThat(Files.readString(file(2, name))).isEqualTo("48");
    }

    @Test
    @Order(2)
    void aDatabaseIsUsedFromTwoPodsInTurnAndAtOnce() {
        var a = new Program(1);
        var b = new Program(2);
        assertThat(a.run("d = sqlite3.connect('" + file(1, "db") + "', timeout=60)"))
                .isEqualTo("done");
        assertThat(a.run("d.execute('create table t(x)') and d.commit()")).isEqualTo("None");
        assertThat(a.run("d.close()")).isEqualTo("None");
        for (int i = 0; i < 4; i++)
            assertThat((i % 2 == 0 ? a : b).run("insert('" + file(1 + i % 2, "db") + "', " + i + ", " + (i + 1) + ")"))
                    .isEqualTo("1");
        var first = a.begin("insert('" + file(1, "db") + "', 100, 105)");
        var second = b.begin("insert('" + file(2, "db") + "', 200, 205)");
        assertThat(within(60, first)).isEqualTo("5");
        assertThat(within(60, second)).isEqualTo("5");
        var c = new Program(3);
        assertThat(c.run("d = sqlite3.connect('" + file(3, "db") + "', timeout=60)"))
                .isEqualTo("done");
        assertThat(c.run("d.execute('select count(distinct x) from t').fetchone()"))
                .isEqualTo("(14,)");
        assertThat(c.run("d.execute('pragma integrity_check').fetchone()")).isEqualTo("('ok',)");
    }

    @Test
    @Order(3)
    void aCycleOverTwoPodsIsRefusedAndAKilledProgramLocksNothing() {
        var a = new Program(1).open("p");
        var b = new Program(2).open("q");
        assertThat(a.run("g = os.open('" + file(1, "q") + "', os.O_RDWR)")).isEqualTo("done");
        assertThat(b.run("g = os.open('" + file(2, "p") + "', os.O_RDWR)")).isEqualTo("done");
        assertThat(a.run(EXCLUSIVE)).isEqualTo("None");
        assertThat(b.run(EXCLUSIVE)).isEqualTo("None");
        // one of the two is told, whoever comes second
        var first = a.begin("fcntl.lockf(g, fcntl.LOCK_EX)");
        var second = b.begin("fcntl.lockf(g, fcntl.LOCK_EX)");
        var told = CompletableFuture.anyOf(first, second).thenApply(Object::toString);
        assertThat(within(20, told)).startsWith("EDEADL");
        a.kill();
        b.kill();
        var c = new Program(3).open("p");
        assertThat(c.run(EXCLUSIVE)).isEqualTo("None");
    }

    @ParameterizedTest
    @Order(4)
    @ValueSource(booleans = {false, true})
    void theLockOfAFrozenPodGoesToWhoAsksAndItsProgramIsTold(boolean known) throws IOException {
        String name = "frozen" + known;
        var holder = new Program(3).open(name);
        var other = new Program(1).open(name);
        assertThat(holder.run(EXCLUSIVE)).isEqualTo("None");
        assertThat(holder.run("os.pwrite(f, b'old', 0)")).isEqualTo("3");
        if (known) assertThat(other.run(AT_ONCE)).isEqualTo("EAGAIN");
        bed.machine(3).freeze();
        CompletableFuture<String> late;
        try {
            long start = System.nanoTime();
            assertThat(within(10, other.begin(EXCLUSIVE))).isEqualTo("None");
            assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(6));
            assertThat(other.run("os.pwrite(f, b'new!', 0)")).isEqualTo("4");
            assertThat(other.run("os.fsync(f)")).isEqualTo("None");
            late = holder.begin("os.pwrite(f, b'OLD', 0)");
        } finally {
            bed.machine(3).thaw();
        }
        assertThat(within(20, late)).isIn("3", "EIO");
        await(
                "the program is told",
                10,
                () -> holder.run("os.pwrite(f, b'OLD', 0)").equals("EIO"));
        assertThat(holder.run("os.pread(f, 4, 0)")).isEqualTo("EIO");
        assertThat(holder.run("os.fsync(f)")).isEqualTo("EIO");
        assertThat(holder.run("os.close(f)")).isEqualTo("EIO");
        assertThat(Files.readString(file(1, name))).isEqualTo("new!");
        assertThat(Files.readString(file(3, name))).isEqualTo("new!");
        assertThat(other.run("os.close(f)")).isEqualTo("None");
        holder.open(name);
        assertThat(holder.run(EXCLUSIVE)).isEqualTo("None");
    }

    @Test
    @Order(5)
    void theLockOfAKilledDaemonGoesToWhoAsks() {
        var holder = new Program(3).open("killed");
        var other = new Program(2).open("killed");
        assertThat(holder.run("fcntl.flock(f, fcntl.LOCK_EX)")).isEqualTo("None");
        bed.machine(3).kill();
        assertThat(within(15, other.begin("fcntl.flock(f, fcntl.LOCK_EX)"))).isEqualTo("None");
        assertThat(holder.run("os.pwrite(f, b'x', 0)")).isEqualTo("ENOTCONN");
        holder.kill();
        bed.machine(3).up();
        var again = new Program(3).open("killed");
        var waits = again.begin("fcntl.flock(f, fcntl.LOCK_EX)");
        other.kill();
        assertThat(within(20, waits)).isEqualTo("None");
    }
}
