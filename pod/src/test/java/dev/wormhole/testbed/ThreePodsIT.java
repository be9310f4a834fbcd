// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Three pods with two copies: one folder, whatever befalls one of them. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class ThreePodsIT {
    private Testbed bed;

    @BeforeAll
    void start() {
        bed = new Testbed(3);
        bed.machine(1).create(2);
        bed.machine(2).join(bed.machine(1));
        bed.machine(3).join(bed.machine(1));
        awaitVoters();
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    private void awaitVoters() {
        await("three pods are ready voters", 60, () -> {
            var status = bed.machine(1)
                    .wormhole(
                            "status", "--json", "--store", bed.machine(1).store.toString());
            return status.output().split("\"voter\": ?true", -1).length == 4
                    && status.output().split("\"state\": ?\"ready\"", -1).length == 4;
        });
    }

    /** A pod that comes back may be told of as it was, by a message from before; it is back when it shows what is new. */
    private void awaitInStep(int pod, int other) throws IOException {
        String name = "seen-by-" + pod + "-" + System.nanoTime();
        Files.createFile(folder(other, name));
        await("pod " + pod + " sees the present", 20, () -> Files.exists(folder(pod, name)));
    }

    private Path folder(int pod, String name) {
        return bed.machine(pod).mount.resolve(name);
    }

    private Path common(String name) throws IOException {
        Files.createDirectories(folder(1, name));
        return folder(1, name);
    }

    @Test
    void whatIsClosedOnOnePodIsSeenByTheNextOpenOnAnother() throws IOException {
        common("close-to-open");
        for (int i = 0; i < 100; i++) {
            int writer = 1 + i % 3;
            int reader = 1 + (i + 1) % 3;
            String content = "version " + i;
            Files.writeString(folder(writer, "close-to-open/f"), content);
            assertThat(Files.readString(folder(reader, "close-to-open/f"))).isEqualTo(content);
            Files.createDirectory(folder(writer, "close-to-open/d" + i));
            assertThat(Files.isDirectory(folder(reader, "close-to-open/d" + i))).isTrue();
            Files.delete(folder(reader, "close-to-open/d" + i));
            assertThat(Files.exists(folder(writer, "close-to-open/d" + i))).isFalse();
        }
    }

    @Test
    void aBigFileReadsBackEverywhere() throws IOException {
        Path file = common("big").resolve("random");
        byte[] chunk = new byte[1 << 20];
        var random = new Random(7);
        var digest = sha256();
        try (var channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            for (int i = 0; i < 96; i++) {
                random.nextBytes(chunk);
                digest.update(chunk);
                channel.write(ByteBuffer.wrap(chunk));
            }
        }
        String expected = java.util.HexFormat.of().formatHex(digest.digest());
        for (int pod = 1; pod <= 3; pod++)
            assertThat(Shell.sh(bed.root, "sha256sum < " + folder(pod, "big/random")))
                    .as("pod " + pod)
                    .startsWith(expected);
        Files.delete(file);
    }

    @Test
    void appendsFromThreePodsLoseNoLineAndTearNone() throws Exception {
        Path log = common("append").resolve("log");
        Files.createFile(log);
        var threads = new java.util.ArrayList<Thread>();
        var failures = new java.util.concurrent.ConcurrentLinkedQueue<Throwable>();
        for (int pod = 1; pod <= 3; pod++) {
            int writer = pod;
            threads.add(Thread.ofPlatform().start(() -> {
                try (var channel = FileChannel.open(folder(writer, "append/log"), StandardOpenOption.APPEND)) {
                    for (int i = 0; i < 50; i++) {
                        channel.write(ByteBuffer.wrap(
                                ("pod " + writer + " line " + i + "\n").getBytes(StandardCharsets.UTF_8)));
                        if (i % 5 == 0) channel.force(true);
                    }
                } catch (IOException failure) {
                    failures.add(failure);
                }
            }));
        }
        for (Thread thread : threads) thread.join();
        assertThat(failures).isEmpty();
        for (int reader = 1; reader <= 3; reader++) {
            List<String> lines = Files.readAllLines(folder(reader, "append/log"));
            assertThat(lines).hasSize(150);
            for (int writer = 1; writer <= 3; writer++) {
                String prefix = "pod " + writer + " ";
                assertThat(lines.stream()
                                .filter(line -> line.startsWith(prefix))
                                .toList())
                        .containsExactlyElementsOf(java.util.stream.IntStream.range(0, 50)
                                .mapToObj(i -> prefix + "line " + i)
                                .toList());
            }
        }
    }

    @Test
    void aFileUnlinkedElsewhereLivesUntilItsLastClose() throws IOException {
        Path file = common("orphan").resolve("f");
        Files.writeString(file, "still here");
        try (var channel = FileChannel.open(folder(2, "orphan/f"), StandardOpenOption.READ)) {
            Files.delete(folder(3, "orphan/f"));
            assertThat(Files.exists(folder(2, "orphan/f"))).isFalse();
            var bytes = ByteBuffer.allocate(100);
            for (int i = 0; i < 30; i++) {
                bytes.clear();
                assertThat(channel.read(bytes, 0)).isEqualTo("still here".length());
                java.util.concurrent.locks.LockSupport.parkNanos(100_000_000);
            }
        }
    }

    @ParameterizedTest(name = "{0} of the {1}")
    @CsvSource({"kill,leader", "kill,follower", "freeze,leader", "freeze,follower", "cut,leader", "cut,follower"})
    void programsOnTheOthersGoOn(String fault, String victimRole) throws Exception {
        awaitVoters();
        String directory = "fault-" + fault + "-" + victimRole;
        common(directory);
        int leader = leader();
        int victim = victimRole.equals("leader") ? leader : 1 + leader % 3;
        var machine = bed.machine(victim);
        var acknowledged = new java.util.HashMap<Integer, Path>();
        var workers = new java.util.HashMap<Integer, Worker>();
        for (int pod = 1; pod <= 3; pod++) {
            acknowledged.put(pod, bed.root.resolve(directory + "-" + pod));
            workers.put(pod, new Worker(folder(pod, directory), "w" + pod, acknowledged.get(pod)));
        }
        pause(3);
        switch (fault) {
            case "kill" -> machine.kill();
            case "freeze" -> machine.freeze();
            default -> machine.cut();
        }
        pause(6);
        for (int pod = 1; pod <= 3; pod++) {
            if (pod == victim) continue;
            var report = workers.get(pod).stop();
            assertThat(report.errors()).as(pod + ": " + report.firstError()).isZero();
            assertThat(report.operations()).isPositive();
        }
        switch (fault) {
            case "kill" -> {
                workers.get(victim).close();
                machine.up();
            }
            case "freeze" -> machine.thaw();
            default -> machine.reconnect();
        }
        if (!fault.equals("kill")) workers.get(victim).stop();
        awaitVoters();
        awaitInStep(victim, 1 + victim % 3);
        for (int pod = 1; pod <= 3; pod++)
            for (int reader = 1; reader <= 3; reader++) verify(acknowledged.get(pod), folder(reader, directory));
    }

    @Test
    void allThreeKilledAtOnceKeepWhatWasSynced() throws Exception {
        awaitVoters();
        common("all-killed");
        var workers = new java.util.ArrayList<Worker>();
        for (int pod = 1; pod <= 3; pod++)
            workers.add(new Worker(folder(pod, "all-killed"), "w" + pod, bed.root.resolve("all-killed-" + pod)));
        pause(4);
        for (var machine : bed.machines) machine.kill();
        for (var worker : workers) worker.close();
        bed.upAll();
        awaitVoters();
        for (int pod = 1; pod <= 3; pod++)
            for (int reader = 1; reader <= 3; reader++)
                verify(bed.root.resolve("all-killed-" + pod), folder(reader, "all-killed"));
    }

    @Test
    void ordinaryProgramsWorkWithAReaderOnAnotherPod() throws IOException {
        Path work = common("programs");
        String here = work.toString();
        String there = folder(2, "programs").toString();
        Shell.sh(
                bed.root,
                "mkdir origin; cd origin; git init -q .; for i in $(seq 200); do mkdir -p d$((i%7)); head -c $((i*37)) /dev/urandom > d$((i%7))/f$i; done; git add -A; git -c user.name=t -c user.email=t@t commit -qm one");
        Shell.sh(bed.root, "git clone -q --no-local origin " + here + "/clone");
        Shell.sh(
                bed.root,
                "cd " + here
                        + "/clone; for i in 1 2 3; do echo $i >> d1/f1; git -c user.name=t -c user.email=t@t commit -qam $i; done; git gc -q; git fsck --full");
        Shell.sh(
                bed.root,
                "git -c safe.directory='*' -C " + there + "/clone fsck --full && git -c safe.directory='*' -C " + there
                        + "/clone status --porcelain");
        Shell.sh(
                bed.root,
                "tar -C origin -cf origin.tar .; mkdir " + here + "/tar; tar -xf origin.tar -C " + here
                        + "/tar; diff -r origin " + there + "/tar");
        Shell.sh(
                bed.root,
                "rsync -a --checksum origin/ " + here + "/rsync/; diff -r origin " + there
                        + "/rsync; rsync -a --delete origin/d1/ " + there + "/rsync/; diff -r origin/d1 " + here
                        + "/rsync");
        for (String mode : List.of("delete", "wal"))
            Shell.sh(
                    bed.root,
                    "sqlite3 " + here + "/" + mode + ".db \"pragma journal_mode=" + mode
                            + "; create table t(a); insert into t select value from generate_series(1,500); update t set a=a+1; pragma integrity_check;\" | grep -qx ok");
        assertThat(Shell.sh(bed.root, "sqlite3 " + there + "/delete.db 'select sum(a) from t; pragma integrity_check'"))
                .isEqualTo("125750\nok\n");
        Files.writeString(work.resolve("Makefile"), "all: a.o b.o\n\tcat a.o b.o > all\n%.o: %.c\n\tcp $< $@\n");
        Files.writeString(work.resolve("a.c"), "int a;\n");
        Files.writeString(work.resolve("b.c"), "int b;\n");
        Shell.sh(
                bed.root,
                "make -s -C " + here + " && make -s -C " + there + " -q all && cmp " + here + "/all " + there + "/all");
        Shell.sh(
                bed.root,
                "cd " + here
                        + "; ln -s clone link; ln Makefile hard; mkfifo fifo; setfattr -n user.k -v v Makefile; chmod 750 a.c; chown 12:34 b.c; touch -d '1969-01-01 00:00:00.5 UTC' a.c");
        assertThat(
                        Shell.sh(
                                bed.root,
                                "cd " + there
                                        + "; readlink link; stat -c '%h' hard; stat -c '%F' fifo; getfattr --only-values -n user.k hard; echo; stat -c '%a %y' a.c; stat -c '%u:%g' b.c | tr -d '\\n'"))
                .startsWith("clone\n2\nfifo\nv\n750 1969-01-01 00:00:00.5")
                .endsWith("12:34");
    }

    @Test
    void deletedBytesLeaveEveryDisk() throws IOException {
        Path file = common("space").resolve("f");
        long before = bytesOfStores();
        Shell.sh(bed.root, "dd if=/dev/urandom of=" + file + " bs=1M count=128 conv=fsync status=none");
        await("two copies are on disk", 30, () -> bytesOfStores() - before >= 2L * 120 << 20);
        Files.delete(file);
        await("the bytes are gone from every store", 60, () -> bytesOfStores() - before < 40L << 20);
    }

    @Test
    void whatIsMountedInsideAndWhereProgramsStandSurvivesOthersChanges() throws Exception {
        Path work = common("inside");
        Files.createDirectories(work.resolve("mnt/deep"));
        Files.createDirectory(work.resolve("cwd"));
        Files.writeString(work.resolve("held"), "x");
        Shell.sh(bed.root, "mount -t tmpfs none " + work.resolve("mnt"));
        try {
            Process standing = new ProcessBuilder(
                            "sh", "-c", "exec 5< ../held; echo ready; read x; pwd -P; readlink /proc/self/fd/5")
                    .directory(work.resolve("cwd").toFile())
                    .redirectErrorStream(true)
                    .start();
            var output = new java.io.BufferedReader(
                    new java.io.InputStreamReader(standing.getInputStream(), StandardCharsets.UTF_8));
            assertThat(output.readLine()).isEqualTo("ready");
            for (int i = 0; i < 200; i++) {
                Path other = folder(2 + i % 2, "inside/n" + i % 10);
                Files.writeString(other, "a");
                Files.move(
                        other,
                        folder(3 - i % 2, "inside/m" + i % 10),
                        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
            }
            assertThat(Shell.sh(bed.root, "findmnt -n -o FSTYPE " + work.resolve("mnt")))
                    .isEqualTo("tmpfs\n");
            standing.getOutputStream().write('\n');
            standing.getOutputStream().close();
            assertThat(output.readLine()).isEqualTo(work.resolve("cwd").toString());
            assertThat(output.readLine()).isEqualTo(work.resolve("held").toString());
        } finally {
            Shell.sh(bed.root, "umount " + work.resolve("mnt"));
        }
    }

    private long bytesOfStores() {
        long sum = 0;
        for (var machine : bed.machines)
            sum += Long.parseLong(
                    Shell.sh(bed.root, "du -s -B1 " + machine.store).split("\\s+")[0]);
        return sum;
    }

    private int leader() {
        for (int pod = 1; pod <= 3; pod++) {
            var pods = com.google.gson.JsonParser.parseString(bed.machine(pod).status())
                    .getAsJsonObject()
                    .getAsJsonArray("pods");
            for (var each : pods)
                if (each.getAsJsonObject().get("leader").getAsBoolean())
                    return Integer.parseInt(
                            each.getAsJsonObject().get("name").getAsString().substring("pod-".length()));
        }
        throw new AssertionError("no leader");
    }

    /** Files at odd places are never removed by the worker: all of them must be there, and no file may be torn. */
    private static void verify(Path list, Path folder) throws IOException {
        Map<String, String> acknowledged = Worker.acknowledged(list);
        assertThat(acknowledged).isNotEmpty();
        for (var file : acknowledged.entrySet()) {
            int number = Integer.parseInt(file.getKey().substring(file.getKey().indexOf('-') + 1));
            Path path = folder.resolve(file.getKey());
            if (number % 2 == 1 || Files.exists(path))
                assertThat(Files.readString(path)).as(path.toString()).isEqualTo(file.getValue());
        }
    }

    /** Lets programs run for a while: the length of a phase, not a wait for something. */
    private static void pause(int seconds) throws InterruptedException {
        new java.util.concurrent.CountDownLatch(1).await(seconds, java.util.concurrent.TimeUnit.SECONDS);
    }

    private static java.security.MessageDigest sha256() {
        try {
            return java.security.MessageDigest.getInstance("SHA-256");
        } catch (java.security.NoSuchAlgorithmException never) {
            throw new IllegalStateException(never);
        }
    }
}
