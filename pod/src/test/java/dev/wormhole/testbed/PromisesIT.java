// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.wormhole.testbed.Testbed.Machine;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/**
 * What the manual promises about repair, leaving, full disks, witnesses, lost networks, rules and damage, tried with real
 * pods: one small and two larger ones with data, and a witness. Each test leaves the network as it found it.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class PromisesIT {
    private static final int SMALL = 1, LARGE = 2, OTHER = 3, WITNESS = 4, SPARE = 5;
    private static final String READ_ONLY = "Read-only file system";
    private static final String FAILED = "Input/output error";
    private static final String FULL = "No space left on device";

    private Testbed bed;

    @BeforeAll
    void start() {
        bed = new Testbed(5);
        on(SMALL).create(2, "--limit", "32MB");
        on(LARGE).join(on(SMALL), "--limit", "96MB");
        on(OTHER).join(on(SMALL), "--limit", "96MB");
        on(WITNESS).join(on(SMALL), "--role", "witness");
        awaitReady();
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    @Test
    void aPodGoneForLongIsRepairedWithoutAndItsCopiesGoWhenItIsBack() throws IOException {
        apply("rebuild_after = \"10m\"", "rebuild_after = \"5s\"");
        directory("gone");
        var files = new ArrayList<Path>();
        for (int i = 0; i < 6; i++)
            files.add(write(OTHER, "gone/f" + i, random(300_000, i)).getFileName());
        for (Path file : files) awaitHolders("gone/" + file, 2, Set.of());
        Process standing = new ProcessBuilder("sleep", "1000")
                .directory(path(OTHER, "gone").toFile())
                .start();
        try {
            on(OTHER).kill();
            await(
                    "the folder of a killed pod says so",
                    20,
                    () -> attempt("ls " + path(OTHER, "")).contains("Transport endpoint is not connected"));
            await("the pod counts as absent, and status says so", 60, () -> {
                var status = status(SMALL);
                return state(status, OTHER).equals("absent")
                        && status.getAsJsonArray("situationReasons").toString().contains("absent: pod-3");
            });
            for (Path file : files) awaitHolders("gone/" + file, 2, Set.of("pod-3"));
            awaitHealthy();
            for (int i = 0; i < 6; i++)
                for (int pod : List.of(SMALL, LARGE, WITNESS))
                    assertThat(read(pod, "gone/f" + i))
                            .as("f" + i + " on " + pod)
                            .isEqualTo(random(300_000, i));
            on(OTHER).up(); // over the mount that the killed one left, although a program stands in it
            awaitReady();
            for (Path file : files) awaitHolders("gone/" + file, 2, Set.of());
            for (int i = 0; i < 6; i++)
                for (int pod : List.of(SMALL, LARGE, OTHER, WITNESS))
                    assertThat(read(pod, "gone/f" + i))
                            .as("f" + i + " on " + pod)
                            .isEqualTo(random(300_000, i));
        } finally {
            standing.destroyForcibly();
        }
        apply();
        remove("gone");
    }

    @Test
    void aPodThatLeavesGivesItsDataToTheOthersFirst() throws IOException {
        on(SPARE).join(on(SMALL), "--limit", "96MB");
        directory("leave");
        for (int i = 0; i < 6; i++) write(SPARE, "leave/f" + i, random(200_000, 10 + i));
        on(SPARE).wormhole("leave").orFail("leave");
        for (int i = 0; i < 6; i++)
            for (int pod : List.of(SMALL, LARGE, OTHER, WITNESS))
                assertThat(read(pod, "leave/f" + i)).isEqualTo(random(200_000, 10 + i));
        for (int i = 0; i < 6; i++) awaitHolders("leave/f" + i, 2, Set.of("pod-5"));
        assertThat(status(SMALL).getAsJsonArray("pods").toString()).doesNotContain("pod-5");
        assertThat(on(SPARE).store).doesNotExist();
        assertThat(Shell.sh(bed.root, "cat /proc/self/mountinfo")).doesNotContain(on(SPARE).mount + " ");
        remove("leave");
    }

    @Test
    void aFullPodWritesThroughToTheOthersUntilAllAreFull() throws IOException {
        directory("full");
        byte[] content = random(8_000_000, 20);
        int written = 0;
        Path source = bed.root.resolve("source");
        Files.write(source, content);
        String said = "";
        while (said.isEmpty() && written < 30) {
            said = attempt("cp " + source + " " + path(SMALL, "full/f" + written));
            if (said.isEmpty()) written++;
        }
        assertThat(said).contains(FULL);
        assertThat(written).as("files of 8 MB through a pod of 32 MB").isBetween(6, 14);
        String last = "full/f" + (written - 1);
        // how many copies of the last one found room is a matter of what was written where before
        assertThat(holders(last)).as("the small pod is full").isNotEmpty().doesNotContain("pod-1");
        for (int i = 0; i < written; i++)
            for (int pod : List.of(SMALL, LARGE, OTHER, WITNESS))
                Shell.sh(bed.root, "cmp " + source + " " + path(pod, "full/f" + i));
        Shell.sh(bed.root, "rm -f " + path(SMALL, "full/f" + written));
        Shell.sh(bed.root, "rm " + path(SMALL, "full/f0") + " " + path(LARGE, "full/f1"));
        await(
                "what is removed makes room",
                60,
                () -> attempt("cp " + source + " " + path(SMALL, "full/again")).isEmpty());
        Shell.sh(bed.root, "cmp " + source + " " + path(OTHER, "full/again"));
        remove("full");
        await("the bytes are off the disks", 60, () -> usedBytes() < 40_000_000);
    }

    @Test
    void aWitnessHoldsNoBytesAndItsFolderWorksLikeAnyOther() throws IOException {
        directory("witness");
        byte[] content = random(3_000_000, 30);
        write(WITNESS, "witness/f", content);
        for (int i = 0; i < 20; i++) Shell.sh(bed.root, "echo " + i + " >> " + path(WITNESS, "witness/log"));
        Shell.sh(bed.root, "cd " + path(WITNESS, "witness") + "; dd if=f of=synced conv=fsync status=none; mv log l");
        awaitHolders("witness/f", 2, Set.of("pod-4"));
        awaitHolders("witness/synced", 2, Set.of("pod-4"));
        for (int pod : List.of(SMALL, LARGE, OTHER, WITNESS)) {
            assertThat(read(pod, "witness/f")).isEqualTo(content);
            assertThat(read(pod, "witness/synced")).isEqualTo(content);
            assertThat(Files.readAllLines(path(pod, "witness/l"))).hasSize(20);
        }
        assertThat(storesWith(Arrays.copyOf(content, 50_000)))
                .hasSizeGreaterThan(1)
                .doesNotContain(WITNESS);
        assertThat(pod(status(SMALL), WITNESS).get("role").getAsString()).isEqualTo("witness");
        assertThat(pod(status(SMALL), WITNESS).get("usedBytes").getAsLong()).isZero();
        remove("witness");
    }

    @Test
    void aPodWithoutItsNetworkDoesWhatItsFileSaysAndComesBackByItself() throws IOException {
        directory("cut");
        for (int pod : List.of(SMALL, LARGE)) write(pod, "cut/f" + pod, random(100_000, 40 + pod));
        edit(SMALL, "after = \"5s\"", "after = \"2s\"");
        edit(LARGE, "after = \"5s\"", "after = \"2s\"");
        edit(LARGE, "reaction = \"freeze\"", "reaction = \"stop\"");
        all(Machine::down, SMALL, LARGE, OTHER, WITNESS);

        on(SMALL).up(); // alone: without a majority it shows what it has
        assertThat(state(status(SMALL), SMALL)).isEqualTo("frozen");
        assertFrozen();
        all(Machine::up, LARGE, OTHER, WITNESS);
        awaitWritable(SMALL);
        awaitReady();

        on(SMALL).cut();
        on(LARGE).cut();
        await(
                "the frozen pod refuses changes",
                30,
                () -> attempt("touch " + path(SMALL, "cut/new")).contains(READ_ONLY));
        await(
                "the stopped pod fails",
                30,
                () -> attempt("cat " + path(LARGE, "cut/f2")).contains(FAILED));
        assertFrozen();
        for (String operation : List.of("ls D", "stat D/f2", "cat D/f2", "echo x >> D/f2", "touch D/new", "rm D/f2"))
            assertThat(attempt(operation.replace("D", path(LARGE, "cut").toString())))
                    .as(operation)
                    .contains(FAILED);
        assertThat(state(status(LARGE), LARGE)).isEqualTo("frozen");
        on(SMALL).reconnect();
        on(LARGE).reconnect();
        for (int pod : List.of(SMALL, LARGE)) awaitWritable(pod);
        awaitReady();
        for (int pod : List.of(SMALL, LARGE, OTHER, WITNESS))
            for (int writer : List.of(SMALL, LARGE))
                assertThat(read(pod, "cut/f" + writer)).isEqualTo(random(100_000, 40 + writer));
        remove("cut");
    }

    /** What is here can be read, nothing can be changed. */
    private void assertFrozen() {
        assertThat(read(SMALL, "cut/f1")).isEqualTo(random(100_000, 41));
        assertThat(attempt("ls " + path(SMALL, "cut"))).isEmpty();
        for (String operation : List.of("echo x >> D/f1", "touch D/new", "mkdir D/d", "rm D/f1", "mv D/f1 D/g"))
            assertThat(attempt(operation.replace("D", path(SMALL, "cut").toString())))
                    .as(operation)
                    .contains(READ_ONLY);
    }

    @Test
    void rulesAreKeptAndExplained() throws IOException {
        directory("rules/three");
        directory("rules/fixed");
        write(LARGE, "rules/fixed/f", random(1000, 50));
        apply("""

                [[rule]]
                path = "/rules/three/**"
                copies = 3

                [[rule]]
                path = "/rules/fixed/**"
                read_only = true
                """);
        write(LARGE, "rules/three/f", random(100_000, 51));
        awaitHolders("rules/three/f", 3, Set.of());
        assertThat(explain("rules/three/f").get("decidedBy").getAsString()).contains("/rules/three/**");
        for (int pod : List.of(SMALL, LARGE, OTHER, WITNESS)) {
            for (String operation : List.of(
                    "echo x > D/f",
                    "echo x >> D/f",
                    "truncate -s 1 D/f",
                    "touch D/new",
                    "rm D/f",
                    "mv D/f D/g",
                    "mkdir D/d",
                    "chmod 600 D/f"))
                assertThat(attempt(
                                operation.replace("D", path(pod, "rules/fixed").toString())))
                        .as(operation + " on " + pod)
                        .contains(READ_ONLY);
            assertThat(read(pod, "rules/fixed/f")).isEqualTo(random(1000, 50));
        }
        var fixed = explain("rules/fixed/f");
        assertThat(fixed.get("readOnly").getAsBoolean()).isTrue();
        assertThat(fixed.getAsJsonArray("notes").toString()).contains("/rules/fixed/**");

        apply("copies = 2 ", "copies = 3 ", "min_copies = 1", "min_copies = 3");
        on(OTHER).freeze();
        try {
            await(
                    "two pods are fewer than min_copies",
                    30,
                    () -> attempt("echo x > " + path(SMALL, "rules/min")).contains(READ_ONLY));
            await(
                    "so the witness hears",
                    30,
                    () -> attempt("echo x > " + path(WITNESS, "rules/min")).contains(READ_ONLY));
            assertThat(read(LARGE, "rules/three/f")).isEqualTo(random(100_000, 51));
            assertThat(explain("rules/three/f").getAsJsonArray("notes").toString())
                    .contains("min_copies is 3");
        } finally {
            on(OTHER).thaw();
        }
        awaitWritable(SMALL);
        apply();
        awaitReady();
        assertThat(attempt("echo x >> " + path(OTHER, "rules/fixed/f"))).isEmpty();
        remove("rules");
    }

    @Test
    void aDamagedCopyIsReadFromElsewhereAndMadeAnew() throws IOException {
        directory("damage");
        byte[] running = random(400_000, 60);
        byte[] down = random(400_000, 61);
        write(OTHER, "damage/running", running);
        write(OTHER, "damage/down", down);
        for (byte[] content : List.of(running, down))
            await("two copies are on disks", 30, () -> storesWith(content).size() == 2);

        damage(OTHER, running);
        assertThat(storesWith(running)).hasSize(1);
        readsRight("damage/running", running);
        await("a whole copy is made again", 60, () -> storesWith(running).size() == 2);
        awaitHolders("damage/running", 2, Set.of());

        on(OTHER).down();
        damage(OTHER, down);
        on(OTHER).up();
        readsRight("damage/down", down);
        await("a whole copy is made again", 60, () -> storesWith(down).size() == 2);
        awaitHolders("damage/down", 2, Set.of());
        awaitHealthy();
        assertThat(Files.readString(on(OTHER).store.resolve("log/pod.log"))).contains("is damaged in this store");
        readsRight("damage/running", running);
        remove("damage");
    }

    /** On every pod, past what kernels remember. */
    private void readsRight(String name, byte[] content) throws IOException {
        Path expected = bed.root.resolve("expected");
        Files.write(expected, content);
        for (int pod : List.of(OTHER, SMALL, LARGE, WITNESS))
            Shell.sh(
                    bed.root,
                    "dd if=" + path(pod, name) + " iflag=direct bs=1M status=none of=read-back; cmp read-back "
                            + expected);
    }

    /** Another byte in the middle of every 64 KiB block. */
    private void damage(int pod, byte[] content) throws IOException {
        for (Path file : storeFiles(pod)) {
            int at = indexOf(Files.readAllBytes(file), content);
            if (at < 0) continue;
            try (var raw = new RandomAccessFile(file.toFile(), "rw")) {
                for (int i = 30_000; i < content.length; i += 65_536) {
                    raw.seek(at + i);
                    raw.write(~content[i]);
                }
            }
            return;
        }
        throw new AssertionError("pod " + pod + " does not hold it");
    }

    @Test
    void aUserWhoIsNotRootHasANetworkOfTheirOwn() {
        Path home = bed.root.resolve("user");
        Path project = java.util.Objects.requireNonNull(Testbed.LAUNCHER.getParent());
        // In mounts of their own: a device node that everybody may open, as machines have it, and what this test
        // mounts.
        String script = """
                chmod 755 @root
                mkdir -p @home program/pod/target
                chown nobody @home
                cp -r @project/wormhole @project/bin program/
                cp -r @project/pod/target/app program/pod/target/
                chmod -R a+rX program
                mknod fuse c 10 229
                chmod 666 fuse
                mount --bind fuse /dev/fuse
                user() { runuser -u nobody -- env HOME=@home WORMHOLE_CONFIG=@home/config WORMHOLE_NO_BUILD=1 \
                    WORMHOLE_JAVA_HOME=@java "$@"; }
                wormhole() { user @root/program/wormhole "$@"; }
                trap 'wormhole down --force own >/dev/null 2>&1 || true' EXIT
                wormhole create mine --name own --mount @home/m --store @home/s --listen 127.0.0.1:8420
                grep -q '@home/m .*fuse.wormhole' /proc/self/mountinfo
                user sh -ec 'cd @home/m; echo hello > f; mkdir d; cp -r @root/program/bin d/; diff -r @root/program/bin d/bin;
                    sync f; mv f g; rm d/bin/*; test "$(cat g)" = hello; test "$(stat -c %U . g | uniq)" = nobody'
                wormhole down own
                if grep -q @home/m /proc/self/mountinfo; then exit 1; fi
                test -z "$(ls -A @home/m)"
                """.replace("@home", home.toString())
                .replace("@root", bed.root.toString())
                .replace("@project", project.toString())
                .replace("@java", System.getProperty("java.home"));
        on(SPARE).run("unshare", "-m", "sh", "-ec", script).orFail("a network of nobody's");
    }

    @Test
    void bashCompletesCommandsAndOptions() {
        String script = """
                source <("$0" completion bash)
                compopt() { :; } # refuses outside of a real completion
                function=$(complete -p wormhole | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
                completed() {
                    COMP_WORDS=(wormhole "$@") COMP_CWORD=$# COMP_LINE="wormhole $*" COMPREPLY=()
                    COMP_POINT=${#COMP_LINE}
                    "$function" wormhole "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
                    echo "$*: ${COMPREPLY[*]}"
                }
                completed st
                completed config ""
                completed status --js
                completed join --role ""
                """;
        assertThat(Shell.run(
                                bed.root,
                                Map.of("WORMHOLE_NO_BUILD", "1"),
                                List.of("bash", "--norc", "-c", script, Testbed.LAUNCHER.toString()))
                        .orFail("completion")
                        .output()
                        .lines())
                .containsExactly(
                        "st: status", "config : check show", "status --js: --json", "join --role : storage witness");
    }

    // ---- the network

    private Machine on(int pod) {
        return bed.machine(pod);
    }

    private void all(Consumer<Machine> act, Integer... pods) {
        Testbed.all(act, Stream.of(pods).map(this::on).toList());
    }

    private JsonObject status(int pod) {
        return JsonParser.parseString(on(pod).status()).getAsJsonObject();
    }

    private static JsonObject pod(JsonObject status, int pod) {
        for (JsonElement each : status.getAsJsonArray("pods"))
            if (each.getAsJsonObject().get("name").getAsString().equals("pod-" + pod)) return each.getAsJsonObject();
        throw new AssertionError("status does not know pod-" + pod);
    }

    private static String state(JsonObject status, int pod) {
        return pod(status, pod).get("state").getAsString();
    }

    private void awaitReady() {
        await("all pods are ready, three vote, one leads", 60, () -> {
            var status = status(SMALL);
            int voters = 0;
            for (JsonElement each : status.getAsJsonArray("pods"))
                if (each.getAsJsonObject().get("voter").getAsBoolean()) voters++;
            boolean ready = !status.get("leader").getAsString().isEmpty() && voters == 3;
            for (int pod : List.of(SMALL, LARGE, OTHER, WITNESS))
                ready &= state(status, pod).equals("ready");
            return ready;
        });
    }

    /** Nothing is below its copies, and status says so. */
    private void awaitHealthy() {
        await("the network is healthy", 60, () -> {
            var status = status(SMALL);
            return status.get("situation").getAsString().equals("healthy")
                    && status.getAsJsonObject("replication").get("belowCopies").getAsLong() == 0;
        });
    }

    private void awaitWritable(int pod) {
        await(
                "pod " + pod + " can be written",
                60,
                () -> attempt("touch " + path(pod, "writable")).isEmpty());
    }

    private long usedBytes() {
        long used = 0;
        for (JsonElement each : status(SMALL).getAsJsonArray("pods"))
            used += each.getAsJsonObject().get("usedBytes").getAsLong();
        return used;
    }

    /** The network's file as it was made, with replacements in pairs, or something more; without arguments as it was. */
    private void apply(String... changes) throws IOException {
        String toml = Files.readString(bed.root.resolve("config1/net/network.toml"));
        for (int i = 0; i + 1 < changes.length; i += 2) {
            assertThat(toml).contains(changes[i]);
            toml = toml.replaceFirst("(?m)^" + java.util.regex.Pattern.quote(changes[i]), changes[i + 1]);
        }
        if (changes.length % 2 == 1) toml += changes[changes.length - 1];
        Path file = bed.root.resolve("network.toml");
        Files.writeString(file, toml);
        on(SMALL).wormhole("apply", file.toString(), "--yes").orFail("apply");
    }

    private void edit(int pod, String before, String after) throws IOException {
        try (var files = Files.walk(bed.root.resolve("config" + pod))) {
            Path file = files.filter(each -> each.endsWith("pod-" + pod + ".pod.toml"))
                    .findFirst()
                    .orElseThrow();
            String toml = Files.readString(file);
            assertThat(toml).contains(before);
            Files.writeString(file, toml.replace(before, after));
        }
    }

    // ---- files

    private Path path(int pod, String name) {
        return on(pod).mount.resolve(name);
    }

    private void directory(String name) throws IOException {
        Files.createDirectories(path(SMALL, name));
    }

    private void remove(String name) {
        Shell.sh(bed.root, "rm -r " + path(LARGE, name));
    }

    private Path write(int pod, String name, byte[] content) throws IOException {
        return Files.write(path(pod, name), content);
    }

    private byte[] read(int pod, String name) {
        try {
            return Files.readAllBytes(path(pod, name));
        } catch (IOException failure) {
            throw new AssertionError(failure);
        }
    }

    private static byte[] random(int length, long seed) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    /** What a shell says to a failing command; empty when it does not fail. It may not hang. */
    private String attempt(String script) {
        var result = Shell.run(bed.root, Map.of(), List.of("timeout", "-k", "1", "30", "sh", "-ec", script));
        if (result.status() == 0) return "";
        return result.output().isEmpty() ? "status " + result.status() : result.output();
    }

    private JsonObject explain(String name) {
        return JsonParser.parseString(on(SMALL)
                        .wormhole("explain", path(SMALL, name).toString(), "--json")
                        .orFail("explain " + name)
                        .output())
                .getAsJsonObject();
    }

    private Set<String> holders(String name) {
        var holders = new TreeSet<String>();
        for (JsonElement each : explain(name).getAsJsonArray("holders"))
            holders.add(each.getAsJsonObject().get("pod").getAsString());
        return holders;
    }

    /** Until so many pods, others than the ones left out, have copies of the whole file, and no further one has. */
    private void awaitHolders(String name, int count, Set<String> leftOut) {
        await(name + " has " + count + " copies", 60, () -> {
            var holders = new TreeSet<String>();
            var explanation = explain(name);
            for (JsonElement each : explanation.getAsJsonArray("holders"))
                holders.add(each.getAsJsonObject().get("pod").getAsString());
            holders.removeAll(leftOut);
            return holders.size() == count && explanation.get("copiesHad").getAsInt() >= count;
        });
    }

    private List<Path> storeFiles(int pod) {
        var files = new ArrayList<Path>();
        for (String folder : List.of("packs", "slices")) {
            try (var paths = Files.walk(on(pod).store.resolve(folder))) {
                paths.filter(Files::isRegularFile).forEach(files::add);
            } catch (IOException failure) {
                throw new AssertionError(failure);
            }
        }
        return files;
    }

    /** The pods on whose disks these bytes stand in one piece. */
    private Set<Integer> storesWith(byte[] content) {
        var stores = new TreeSet<Integer>();
        for (int pod : List.of(SMALL, LARGE, OTHER, WITNESS)) {
            for (Path file : storeFiles(pod)) {
                try {
                    if (Files.size(file) >= content.length && indexOf(Files.readAllBytes(file), content) >= 0)
                        stores.add(pod);
                } catch (IOException goneMeanwhile) {
                    // then it is not there
                }
            }
        }
        return stores;
    }

    /** -1 if nowhere. */
    private static int indexOf(byte[] bytes, byte[] content) {
        for (int at = 0; at + content.length <= bytes.length; at++)
            if (bytes[at] == content[0] && Arrays.equals(bytes, at, at + content.length, content, 0, content.length))
                return at;
        return -1;
    }
}
