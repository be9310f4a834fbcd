// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Locks of real programs on a real mount. Needs root, /dev/fuse and python3. */
class LockingTest extends MountedTest {
    LockingTest() throws Exception {}

    @Test
    void programsCannotTellItFromALocalFilesystem() throws Exception {
        Path script = directory.resolve("locks.py");
        try (InputStream in = Objects.requireNonNull(LockingTest.class.getResourceAsStream("locks.py"))) {
            Files.copy(in, script);
        }
        Path local = Files.createDirectory(directory.resolve("local"));
        String there = shell.must("python3 " + script + " " + local);
        assertThat(shell.must("python3 " + script + " .")).isEqualTo(there);
        assertThat(there).contains("EDEADL", "interrupted True", "not free 0");
    }

    @Test
    void whoWaitsForALockKeepsNobodyElseWaiting() throws Exception {
        Process holder = shell.start("exec 9> f; flock 9; echo held; read line");
        assertThat(holder.getInputStream().read()).isEqualTo('h');
        Process waiting = shell.start("""
                for i in $(seq 200); do (exec 8< f; flock 8; echo $i) & done
                wait
                """);
        var waiters = waiting.toHandle();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (waiters.descendants().filter(one -> isNamed(one, "flock")).count() < 200)
            if (System.nanoTime() > deadline) throw new AssertionError("they do not wait");
        assertThat(shell.must("echo new > new && cat new && ls | wc -l && flock -n new echo free"))
                .isEqualTo("new\n2\nfree");
        // one of them is killed while it waits, with everything that the others need
        var killed = waiters.descendants()
                .filter(one -> isNamed(one, "flock"))
                .findFirst()
                .orElseThrow();
        killed.destroyForcibly();
        killed.onExit().get(10, TimeUnit.SECONDS);
        holder.getOutputStream().close();
        String output = new String(waiting.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(output.lines().filter(line -> line.matches("\\d+"))).hasSizeGreaterThanOrEqualTo(199);
        assertThat(waiting.waitFor(10, TimeUnit.SECONDS)).isTrue();
    }

    private static boolean isNamed(ProcessHandle process, String name) {
        return process.info().command().orElse("").endsWith("/" + name);
    }

    @Test
    void theEndOfTheMountEndsAWait() throws Exception {
        Process holder = shell.start("exec 9> f; flock 9; echo held; read line");
        assertThat(holder.getInputStream().read()).isEqualTo('h');
        Process waiting = shell.start("exec 8< f; echo waits; flock 8; echo status $?");
        assertThat(waiting.getInputStream().read()).isEqualTo('w');
        FuseConnections.abort(mount.connection());
        assertThat(waiting.waitFor(20, TimeUnit.SECONDS)).isTrue();
        assertThat(new String(waiting.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .doesNotContain("status 0");
        holder.destroyForcibly();
    }
}
