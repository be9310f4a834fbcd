// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Answer;
import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a mount does when something waits, breaks, is killed or is in the way. Needs root and /dev/fuse. */
@Timeout(120)
class MountFaultsTest {
    @TempDir
    Path directory;

    private final List<LinuxMount> mounts = new ArrayList<>();
    private final List<Process> processes = new ArrayList<>();
    private final CopyOnWriteArrayList<Throwable> bugs = new CopyOnWriteArrayList<>();

    MountFaultsTest() {}

    private LinuxMount mount(MemoryFileSystem fs) throws Exception {
        var mount = LinuxMount.mount(fs, new LinuxMount.Options(directory.resolve("m"), "memory", bugs::add));
        mounts.add(mount);
        return mount;
    }

    @AfterEach
    void cleanUp() throws Exception {
        for (Process process : processes) process.destroyForcibly();
        for (LinuxMount mount : mounts) {
            mount.close();
            if (!mount.awaitUnmounted(Duration.ZERO)) FuseConnections.abort(mount.connection());
        }
        assertThat(bugs).isEmpty();
    }

    /** Operations that wait for a network that is gone, until they are interrupted or it comes back. */
    private static final class WaitingFileSystem extends MemoryFileSystem {
        final Semaphore waiting = new Semaphore(0);
        final CountDownLatch network = new CountDownLatch(1);
        final AtomicInteger interrupted = new AtomicInteger();

        private final Set<String> arrived = ConcurrentHashMap.newKeySet();

        private void await(String what) throws InterruptedException {
            if (arrived.add(what)) waiting.release();
            try {
                network.await();
            } catch (InterruptedException e) {
                interrupted.incrementAndGet();
                throw e;
            }
        }

        @Override
        public Answer<Integer> read(long handle, long offset, ByteBuffer into)
                throws IOException, InterruptedException {
            if (nameOf(handle).startsWith("remote")) await("read " + handle);
            return super.read(handle, offset, into);
        }

        @Override
        public Answer<Void> unlink(InodeId directory, FileName name) throws IOException, InterruptedException {
            if (name.toString().startsWith("remote")) await("unlink " + directory);
            return super.unlink(directory, name);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"cat %d/remote", "rm -f %d/remote"})
    void aSignalEndsTheWaitOfItsProgram(String command) throws Exception {
        var fs = new WaitingFileSystem();
        var shell = new Shell(mount(fs).mountPoint());
        shell.must("for i in $(seq 0 5); do mkdir $i; echo x > $i/remote; done");
        // the first wait on readers, the others where they were handed to
        int count = 6;
        var programs = new ArrayList<Process>();
        for (int i = 0; i < count; i++) {
            var program = shell.start("exec " + command.formatted(i));
            processes.add(program);
            programs.add(program);
        }
        assertThat(fs.waiting.tryAcquire(count, 30, TimeUnit.SECONDS)).isTrue();
        for (Process program : programs) {
            long child = program.children().findFirst().orElseThrow().pid();
            shellOf("/").must("kill -INT " + child);
        }
        for (Process program : programs) {
            assertThat(program.waitFor(30, TimeUnit.SECONDS)).isTrue();
            assertThat(program.exitValue()).isIn(130, 1); // killed by the signal, or told EINTR
        }
        assertThat(fs.interrupted).hasValue(programs.size());
        fs.network.countDown();
        shell.must("cat */remote && rm */remote");
    }

    /** A timer or a child that ended is no reason for EINTR from unlink, if the wait is short. */
    @Test
    void aHandledSignalDoesNotEndAShortWait() throws Exception {
        var fs = new WaitingFileSystem();
        var shell = new Shell(mount(fs).mountPoint());
        shell.must("mkdir d; echo x > d/remote");
        var program = shell.start("""
                exec python3 -c '
                import os, signal
                signal.signal(signal.SIGALRM, lambda *_: print("signalled"))
                signal.siginterrupt(signal.SIGALRM, True)
                os.unlink("d/remote")
                print("done")'
                """.replaceAll("(?m)^ {16}", ""));
        processes.add(program);
        assertThat(fs.waiting.tryAcquire(1, 30, TimeUnit.SECONDS)).isTrue();
        long child = program.children().findFirst().orElseThrow().pid();
        shellOf("/").must("kill -ALRM " + child);
        assertThat(program.waitFor(500, TimeUnit.MILLISECONDS)).isFalse();
        fs.network.countDown();
        assertThat(new String(program.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .isEqualTo("signalled\ndone\n");
    }

    @Test
    void twoHundredWaitingOperationsKeepNobodyElseWaiting() throws Exception {
        var fs = new WaitingFileSystem();
        fs.keepCache = false; // so that all reads reach the daemon
        var shell = new Shell(mount(fs).mountPoint());
        // long enough that the kernel reads ahead: such reads share one bound, small ones have none
        shell.must("""
                yes | head -c 1000000 > local
                for i in $(seq 200); do truncate -s 500000 remote$i; mkdir -p d/$i; echo $i > d/$i/remote; done
                """);
        var waiting = shell.start("""
                for i in $(seq 200); do cat remote$i & done
                for i in $(seq 100); do rm d/$i/remote & done
                wait
                """);
        processes.add(waiting);
        assertThat(fs.waiting.tryAcquire(300, 50, TimeUnit.SECONDS)).isTrue();
        assertThat(shell.must("""
                stat -c %s local; ls | wc -l
                cat local | wc -c
                dd if=local iflag=direct bs=1M status=none | wc -c
                echo new > new && cat new && mv new newer && cat newer && sync newer
                """)).isEqualTo("1000000\n202\n1000000\n1000000\nnew\nnew");
        fs.network.countDown();
        assertThat(waiting.getInputStream().readAllBytes()).isEqualTo(new byte[200 * 500_000]);
        assertThat(shell.must("find d -type f | wc -l")).isEqualTo("100");
    }

    @Test
    void failuresAreEioAndTheMountLivesOn() throws Exception {
        var fs = new MemoryFileSystem() {
            @Override
            public Answer<Integer> read(long handle, long offset, ByteBuffer into)
                    throws IOException, InterruptedException {
                if (nameOf(handle).equals("broken")) throw new IOException("disk sdx is gone");
                if (nameOf(handle).equals("bug")) throw new IllegalStateException("a bug, wanted by a test");
                return super.read(handle, offset, into);
            }
        };
        var shell = new Shell(mount(fs).mountPoint());
        shell.must("echo 1 > broken; echo 2 > bug; echo 3 > good");
        assertThat(shell.run("cat broken").output()).contains("Input/output error");
        assertThat(bugs).isEmpty();
        assertThat(shell.run("cat bug").output()).contains("Input/output error");
        assertThat(bugs).isNotEmpty().allSatisfy(bug -> assertThat(bug).hasMessage("a bug, wanted by a test"));
        bugs.clear();
        assertThat(shell.must("cat good")).isEqualTo("3");
    }

    @Test
    void everythingWorksWhenNothingIsAnsweredFromMemory() throws Exception {
        var fs = new MemoryFileSystem();
        fs.fromMemory = false;
        fs.validNanos = 0;
        var shell = new Shell(mount(fs).mountPoint());
        assertThat(shell.must("""
                mkdir d && for i in $(seq 300); do echo $i > d/$i & done; wait
                ls -l d | wc -l; cat d/* | wc -l
                find d -newer /proc/self/stat | wc -l
                seq 300 | xargs -P 8 -n 10 stat -c %s --printf='' 2>/dev/null || true
                rm -r d; ls | wc -l
                """)).isEqualTo("301\n300\n0\n0");
    }

    @Test
    void theKernelDropsWhatItIsTold() throws Exception {
        var fs = new MemoryFileSystem();
        fs.validNanos = Duration.ofHours(1).toNanos();
        var shell = new Shell(mount(fs).mountPoint());
        var inode = new InodeId(Long.parseLong(shell.must("printf old > f; stat -c %i f")));
        var reader = shell.start("exec 3<f; while read n; do dd if=/dev/fd/3 bs=3 count=1 status=none; echo; done");
        processes.add(reader);
        var lines = reader.inputReader(StandardCharsets.UTF_8);
        assertThat(shell.must("cat f; stat -c %s f")).isEqualTo("old3");

        fs.changeElsewhere(inode, "new".getBytes(StandardCharsets.UTF_8));
        assertThat(shell.must("cat f")).as("cached until told").isEqualTo("old");
        kernel(fs).contentChanged(inode);
        eventually(() -> shell.must("cat f").equals("new"));

        fs.changeElsewhere(inode, "longer".getBytes(StandardCharsets.UTF_8));
        assertThat(shell.must("stat -c %s f")).as("cached until told").isEqualTo("3");
        kernel(fs).attributesChanged(inode);
        eventually(() -> shell.must("stat -c %s f").equals("6"));
        assertThat(shell.must("cat f")).as("a changed size drops the pages").isEqualTo("longer");
        reader.getOutputStream().close();
        assertThat(lines.readLine()).isNull();
    }

    /** Dropping pages waits for a READ of them (notes: T5); attributes of this and of other files do not. */
    @Test
    void attributesAreToldWhileContentWaits() throws Exception {
        var fs = new WaitingFileSystem();
        fs.validNanos = Duration.ofHours(1).toNanos();
        var shell = new Shell(mount(fs).mountPoint());
        String[] ids = shell.must("echo 1 > remote; echo 2 > other; stat -c %i remote other")
                .split("\n");
        var remote = new InodeId(Long.parseLong(ids[0]));
        var other = new InodeId(Long.parseLong(ids[1]));
        shell.must("stat remote other");
        processes.add(shell.start("cat remote"));
        assertThat(fs.waiting.tryAcquire(30, TimeUnit.SECONDS)).isTrue();
        kernel(fs).contentChanged(remote);
        fs.changeElsewhere(other, new byte[77]);
        kernel(fs).attributesChanged(remote);
        kernel(fs).attributesChanged(other);
        eventually(() -> shell.must("stat -c %s other").equals("77"));
        fs.network.countDown();
    }

    @Test
    void aBusyMountIsDetachedAndServedToItsEnd() throws Exception {
        var mount = mount(new MemoryFileSystem());
        var shell = new Shell(mount.mountPoint());
        shell.must("echo still here > f");
        var user = shell.start("exec 3<f; cd /; echo ready; read line; cat <&3; exec 3<&-");
        processes.add(user);
        BufferedReader lines = user.inputReader(StandardCharsets.UTF_8);
        assertThat(lines.readLine()).isEqualTo("ready");
        assertThat(mount.unmount(Duration.ofMillis(100))).isFalse();
        assertThat(shell.must("ls -A")).isEmpty();
        assertThat(mount.awaitUnmounted(Duration.ZERO)).isFalse();
        user.getOutputStream().write('\n');
        user.getOutputStream().flush();
        assertThat(lines.readLine()).isEqualTo("still here");
        assertThat(mount.awaitUnmounted(Duration.ofSeconds(30))).isTrue();
        assertThat(mount.unmount(Duration.ZERO)).as("gone already").isTrue();
    }

    @Test
    void onlyItsOwnMountIsUnmounted() throws Exception {
        var mount = mount(new MemoryFileSystem());
        var root = shellOf("/");
        root.must("mount -t tmpfs above " + mount.mountPoint());
        try {
            assertThatThrownBy(() -> mount.unmount(Duration.ZERO)).hasMessageContaining("something else");
            assertThat(root.must("grep -c ' " + mount.mountPoint() + " ' /proc/self/mountinfo"))
                    .isEqualTo("2");
        } finally {
            root.must("umount " + mount.mountPoint());
        }
        assertThat(mount.unmount(Duration.ofSeconds(5))).isTrue();
        mount(new MemoryFileSystem());
        assertThat(mount.unmount(Duration.ZERO))
                .as("the newer mount at the same place stays")
                .isTrue();
        assertThat(root.must("grep -c ' " + mount.mountPoint() + " ' /proc/self/mountinfo"))
                .isEqualTo("1");
    }

    @Test
    void aKilledDaemonLeavesErrorsNotHangsAndIsReplaced() throws Exception {
        Path point = directory.resolve("m");
        var daemon = new ProcessBuilder(
                        ProcessHandle.current().info().command().orElseThrow(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        MemoryMount.class.getName(),
                        point.toString())
                .redirectErrorStream(true)
                .start();
        processes.add(daemon);
        assertThat(daemon.inputReader(StandardCharsets.UTF_8).readLine()).isEqualTo("mounted");
        var shell = new Shell(point);
        shell.must("echo x > f");
        var user = shell.start("exec 3<f 4>>f; echo ready; read line; stat f; cat <&3; echo y >&4; true");
        processes.add(user);
        var lines = user.inputReader(StandardCharsets.UTF_8);
        assertThat(lines.readLine()).isEqualTo("ready");
        assertThatThrownBy(() ->
                        LinuxMount.mount(new MemoryFileSystem(), new LinuxMount.Options(point, "memory", bugs::add)))
                .hasMessageContaining("mounted already");

        daemon.destroyForcibly().waitFor(); // SIGKILL
        user.getOutputStream().write('\n');
        user.getOutputStream().flush();
        assertThat(lines.readLine()).contains("Transport endpoint is not connected");
        assertThat(user.waitFor(30, TimeUnit.SECONDS)).isTrue();
        assertThat(shellOf("/").run("ls " + point).output()).contains("Transport endpoint is not connected");

        mount(new MemoryFileSystem());
        assertThat(shell.must("ls -A; echo again > f; cat f")).isEqualTo("again");
        assertThat(shellOf("/").must("grep -c ' " + point + " ' /proc/self/mountinfo"))
                .isEqualTo("1");
    }

    @Test
    void anAbortedConnectionEndsTheSession() throws Exception {
        var fs = new WaitingFileSystem();
        var mount = mount(fs);
        var shell = new Shell(mount.mountPoint());
        shell.must("echo x > remote");
        var user = shell.start("cat remote");
        processes.add(user);
        assertThat(fs.waiting.tryAcquire(30, TimeUnit.SECONDS)).isTrue();
        FuseConnections.abort(mount.connection());
        assertThat(user.waitFor(30, TimeUnit.SECONDS)).isTrue();
        assertThat(mount.awaitUnmounted(Duration.ofSeconds(30))).isTrue();
        assertThat(shellOf("/").run("ls " + mount.mountPoint()).output()).contains("not connected");
    }

    @Test
    void aMountPointIsJudgedInWords() throws Exception {
        Path full = Files.createDirectories(directory.resolve("full"));
        Files.createFile(full.resolve("x"));
        Path file = Files.createFile(directory.resolve("file"));
        var fs = new MemoryFileSystem();
        assertThatThrownBy(() -> LinuxMount.mount(fs, new LinuxMount.Options(full, "s", bugs::add)))
                .hasMessageContaining("not empty");
        assertThatThrownBy(() -> LinuxMount.mount(fs, new LinuxMount.Options(file, "s", bugs::add)))
                .hasMessageContaining("not a directory");
        Path spaced = directory.resolve("a b\\c/new");
        Path link = Files.createSymbolicLink(directory.resolve("link"), Files.createDirectories(spaced));
        try (var mount = LinuxMount.mount(fs, new LinuxMount.Options(link, "s", bugs::add))) {
            assertThat(mount.mountPoint()).isEqualTo(spaced.toRealPath());
            new Shell(spaced).must("echo x > f; cat f");
        }
    }

    @Test
    void theHelperOfOrdinaryUsersMountsToo() throws Exception {
        var fs = new MemoryFileSystem();
        var options = new LinuxMount.Options(directory.resolve("helped"), "memory", bugs::add);
        try (var mount = LinuxMount.mount(fs, options, true)) {
            new Shell(mount.mountPoint())
                    .must("echo x > f; cat f; grep helped /proc/self/mountinfo | grep nosuid,nodev");
        }
        assertThat(MountTable.topmostAt(directory.resolve("helped").toString())).isNull();
    }

    private static Shell shellOf(String directory) {
        return new Shell(Path.of(directory));
    }

    private static MemoryFileSystem.KernelCache kernel(MemoryFileSystem fs) {
        var kernel = fs.kernel;
        if (kernel == null) throw new AssertionError("not attached");
        return kernel;
    }

    private interface Check {
        boolean holds() throws Exception;
    }

    /** Notifications are written by other threads and nobody is told when: asks again, each time a whole program. */
    private static void eventually(Check check) throws Exception {
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (!check.holds()) assertThat(System.nanoTime()).as("still not so").isLessThan(deadline);
    }
}
