// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.config.Surroundings;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.control.StoreFiles;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The commands in this process, with daemons of their own processes that have no filesystem ({@link FakeDaemon}). */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class CliTest {
    @TempDir
    Path temporary;

    private final List<Process> started = new ArrayList<>();
    private final List<MountTable.Mount> mounts = new ArrayList<>();
    private String input = "";
    private boolean terminal;
    private Path directory = Path.of("/");

    private record Ran(int code, String out, String err) {}

    @BeforeEach
    void here() {
        directory = temporary;
    }

    @AfterEach
    void stopAll() throws InterruptedException {
        for (var process : started) process.destroyForcibly().waitFor();
    }

    private Ran wormhole(String... args) {
        var out = new StringWriter();
        var err = new StringWriter();
        var host = new Host(
                new PrintWriter(out, true),
                new PrintWriter(err, true),
                new BufferedReader(new StringReader(input)),
                terminal,
                directory,
                Map.of("WORMHOLE_CONFIG", temporary.resolve("etc").toString(), "PATH", System.getenv("PATH")),
                true,
                new Surroundings("Host.One", false, temporary.resolve("var"), List.of("10.1.2.3")),
                () -> new MountTable(mounts),
                this::launch);
        var code = Wormhole.run(host, args);
        // progress appears after a second, and so on a slow machine only
        var told = err.toString()
                .lines()
                .filter(line -> !line.matches(
                        "[a-z0-9/-]+: (starting|mounting|moving data.*|does not answer.*)|starting pod-."))
                .collect(Collectors.joining("\n"));
        return new Ran(code, out.toString(), told.isEmpty() ? "" : told + "\n");
    }

    private Process launch(Path podToml, Path output, java.util.Optional<String> passphrase) throws IOException {
        var process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-Xmx64m",
                        "-cp",
                        System.getProperty("java.class.path"),
                        FakeDaemon.class.getName(),
                        podToml.toString(),
                        temporary.resolve("net").toString())
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start();
        started.add(process);
        return process;
    }

    private static void needsFuse() {
        assertThat(new File("/dev/fuse")).as("these tests need FUSE").exists();
    }

    private Ran create(String pod, String... more) {
        var args = new ArrayList<>(
                List.of("create", "atelier", "--mount", "mnt/" + pod, "--name", pod, "--listen", "127.0.0.1:7499"));
        args.addAll(List.of(more));
        return wormhole(args.toArray(String[]::new));
    }

    // -- the command line ------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(
            strings = {
                "create",
                "invite",
                "invitations",
                "requests",
                "approve",
                "refuse",
                "administrators",
                "revoke",
                "audit",
                "join",
                "up",
                "down",
                "status",
                "pods",
                "explain",
                "sync",
                "config",
                "config check",
                "config show",
                "apply",
                "leave",
                "destroy",
                "check",
                "demo",
                "completion",
                "version",
                "daemon"
            })
    void everyCommandHasHelp(String command) {
        var ran = wormhole((command + " --help").split(" "));
        assertThat(ran.code).isEqualTo(0);
        assertThat(ran.out).startsWith("Usage: wormhole " + command);
        assertThat(ran.err).isEmpty();
    }

    @Test
    void wrongUsageIsCode2AndSaysWhatToDo() {
        assertThat(wormhole()).isEqualTo(new Ran(2, "", "wormhole: which command?\n  see wormhole --help\n"));
        assertThat(wormhole("statsu").err).contains("Did you mean", "wormhole status");
        assertThat(wormhole("config").code).isEqualTo(2);
        assertThat(wormhole("create").err).contains("Missing required parameter: 'NAME'", "wormhole create --help");
        assertThat(wormhole("create", "x", "--copies", "two").err).contains("--copies", "two");
        assertThat(wormhole("create", "My Net").err).isEqualTo("wormhole: network My Net could be \"my-net\"\n");
        assertThat(wormhole("create", "x", "--copies", "99", "--mount", "m").code)
                .isEqualTo(2);
        assertThat(wormhole("create", "x").err)
                .isEqualTo("wormhole: where should the folder appear?\n  say --mount DIR, such as --mount /mnt/x\n");
        assertThat(wormhole("join", "a:b", "--mount", "m").err).contains("has no port from 0 to 65535");
        assertThat(wormhole("join", "a", "--mount", "m", "--role", "client").err)
                .contains("not available yet");
        assertThat(wormhole("demo", "--pods", "0").code).isEqualTo(2);
    }

    @Test
    void completionScriptsKnowTheCommands() throws Exception {
        var bash = wormhole("completion", "bash");
        assertThat(bash.code).isEqualTo(0);
        var script = Files.writeString(temporary.resolve("complete.sh"), bash.out);
        var check = new ProcessBuilder("bash", "-n", script.toString()).start();
        assertThat(check.waitFor()).isEqualTo(0);
        assertThat(bash.out).contains("explain", "--dry-run");
        assertThat(wormhole("completion", "zsh").out).contains("bashcompinit");
        assertThat(wormhole("completion", "fish").code).isEqualTo(2);
    }

    @Test
    void aBugShowsNoStackTraceUnlessAsked() {
        var ran = wormhole("explain", "a\0b");
        assertThat(ran.code).isNotEqualTo(0);
        assertThat(ran.err).doesNotContain("\tat ");
    }

    // -- configuration files ---------------------------------------------------------------------------------------

    @Test
    void configCheckTellsAllErrorsOfAllFiles() throws Exception {
        Files.writeString(temporary.resolve("network.toml"), "[network]\nname = \"a\"\n");
        Files.writeString(temporary.resolve("bad.toml"), "[redundancy]\ncopys = 2\nspread = \"zone\"\n");
        Files.writeString(temporary.resolve("x.pod.toml"), "[pod]\nnam = \"a\"\n");
        Files.writeString(temporary.resolve("y.toml"), "[pod]\nname = \"a\"\n");
        var ran = wormhole("config", "check", "network.toml", "bad.toml", "x.pod.toml", "y.toml");
        assertThat(ran.code).isEqualTo(5);
        assertThat(ran.out).isEqualTo("network.toml: a good network file\ny.toml: a good pod file\n");
        assertThat(ran.err).isEqualTo("""
                        bad.toml:2:1: unknown key copys in [redundancy]; did you mean copies?
                        bad.toml:3:1: key redundancy.spread is not available yet (planned); remove it
                        x.pod.toml:2:1: unknown key nam in [pod]; did you mean name?
                        """);
        assertThat(wormhole("config", "check", "none.toml").err)
                .isEqualTo("wormhole: cannot read none.toml: there is no such file or folder\n");
        assertThat(wormhole("config", "show", "bad.toml").code).isEqualTo(5);
        assertThat(wormhole("config", "show", "network.toml").out).contains("name = \"a\"", "copies = 2");
    }

    // -- pods ------------------------------------------------------------------------------------------------------

    @Test
    void withoutAPodCommandsSayHowToGetOne() {
        var ran = wormhole("status");
        assertThat(ran.code).isEqualTo(3);
        assertThat(ran.err).contains("this machine has no pod", "wormhole create NAME");
        assertThat(wormhole("up").code).isEqualTo(1);
    }

    @Test
    void aNetworkLivesFromCreateToDestroy() throws Exception {
        needsFuse();
        var created = create("one", "--limit", "1GB", "--copies", "3");
        assertThat(created.err).isEmpty();
        assertThat(created.code).isEqualTo(0);
        assertThat(created.out).contains("network atelier is up", "wormhole invite");
        var store = temporary.resolve("var/atelier/one");
        assertThat(store.resolve("start.json")).doesNotExist();
        assertThat(Files.readString(temporary.resolve("etc/atelier/one.pod.toml")))
                .contains("name = \"one\"", "network = \"atelier\"", "limit = \"1GB\"");
        assertThat(Files.readString(temporary.resolve("etc/atelier/network.toml")))
                .contains("copies = 3", "pods = [\"127.0.0.1:7499\"]");

        assertThat(create("one").err).contains("the store " + store + " is not empty");
        assertThat(create("two").code).isEqualTo(4);

        var invited = wormhole("invite", "--for", "10m", "--name", "two");
        assertThat(invited.out)
                .isEqualTo("wormhole join 127.0.0.1:7499 --token " + "A".repeat(48) + " --name two --mount DIR\n");
        assertThat(invited.err)
                .startsWith("invitation 0badcafe: for one pod, until ")
                .doesNotContain("AAAA");
        assertThat(wormhole("invite", "--for", "10").err).contains("--for 10 lacks a unit");
        assertThat(wormhole("invite", "--uses", "0").err).contains("--uses must be from 1");
        assertThat(wormhole("invite", "--client").err).contains("not available yet");
        var file = temporary.resolve("two.token");
        var handed = wormhole("invite", "--token-file", file.toString());
        assertThat(handed.out).isEqualTo("wormhole join 127.0.0.1:7499 --token-file two.token --mount DIR\n");
        assertThat(Files.readString(file)).isEqualTo("A".repeat(48) + "\n");
        assertThat(java.nio.file.attribute.PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
                .isEqualTo("rw-------");
        assertThat(wormhole("invite", "--token-file", file.toString()).err).contains("exists; it is not overwritten");
        assertThat(wormhole("join", "a", "--mount", "m", "--token", "half").err).contains("this is no join token");

        var joined = wormhole(
                "join", "127.0.0.1:7499", "--mount", "mnt/two", "--name", "two", "--token-file", file.toString());
        assertThat(joined.code).as(joined.err).isEqualTo(0);
        assertThat(joined.out).contains("pod two is in network atelier, with 2 pods");
        assertThat(temporary.resolve("etc/atelier/two.pod.toml")).exists();
        assertThat(temporary.resolve("etc/127-0-0-1-7499")).doesNotExist();

        assertThat(wormhole("status").err).contains("which pod?", "atelier/one, atelier/two");
        var status = wormhole("status", "--pod", "two");
        assertThat(status.out)
                .contains(
                        "network atelier: recoverable, copies = 3, leader pod-1 (as two sees it)",
                        "warning: one pod only",
                        "2 below the copies wished (5.0 MB to copy)",
                        "repair: pod-9 absent for 12 min, 1.0 MB of 5.0 MB");
        var json = Json.to(NetworkStatus.class, Json.parse(wormhole("status", "--json", "--pod", "one").out));
        assertThat(json.pods()).extracting(NetworkStatus.PodStatus::name).containsExactly("one", "two");
        assertThat(json.pods().getFirst().pid()).isEqualTo(started.getFirst().pid());

        // which pod is asked follows from where one is, without a look into the mount
        mounts.add(new MountTable.Mount(temporary.resolve("mnt/one"), "fuse.wormhole", "wormhole:" + store));
        directory = temporary.resolve("mnt/one/deep/er");
        assertThat(wormhole("status").out).contains("as one sees it");
        assertThat(wormhole("explain", "../f").out)
                .contains(
                        "/deep/f: file, 4.1 kB, inode 99",
                        "copies: 2 wanted (redundancy.copies), 1 had; 1 of 1 slices");
        assertThat(wormhole("explain", "missing").err).isEqualTo("wormhole: no such file: /deep/er/missing\n");
        directory = temporary;
        assertThat(wormhole("explain", "elsewhere").err).contains("is in no Wormhole folder");
        assertThat(wormhole("explain", "mnt/one", "--json").out).contains("\"path\": \"/\"");

        var check = wormhole("check", "--pod", "two");
        assertThat(check.code).isEqualTo(4);
        assertThat(check.err).contains("pod atelier/two runs, process", "wormhole down");
        assertThat(wormhole("check", "--store", "none").err)
                .isEqualTo("wormhole: there is no store in " + temporary.resolve("none") + "\n");
        assertThat(temporary.resolve("none")).doesNotExist();

        var down = wormhole("down", "two");
        assertThat(down).isEqualTo(new Ran(0, "pod two is down\n", ""));
        assertThat(hasEnded(started.get(1))).isTrue();
        var unreachable = wormhole("pods", "--pod", "two");
        assertThat(unreachable.code).isEqualTo(3);
        assertThat(unreachable.err).contains("no pod answers at", "wormhole up");
        assertThat(wormhole("up").out).isEqualTo("pod one is up\npod two is up\n");
        assertThat(wormhole("sync", "--pod", "two").code).isEqualTo(0);

        var left = wormhole("leave", "--pod", "two");
        assertThat(left.code).as(left.err).isEqualTo(0);
        assertThat(temporary.resolve("var/127-0-0-1-7499/two")).doesNotExist();
        assertThat(temporary.resolve("etc/atelier/two.pod.toml")).doesNotExist();

        mounts.clear();
        assertThat(wormhole("destroy").err).contains("nothing was deleted", "--yes");
        assertThat(store).exists();
        terminal = true;
        input = "n\n";
        assertThat(wormhole("destroy").code).isEqualTo(4);
        input = "y\n";
        assertThat(wormhole("destroy").code).isEqualTo(0);
        assertThat(store).doesNotExist();
        assertThat(temporary.resolve("etc/atelier")).doesNotExist();
        assertThat(started).allMatch(CliTest::hasEnded);
    }

    @Test
    void aFailedStartSaysWhyAndLeavesNothing() {
        needsFuse();
        var ran = create("broken");
        assertThat(ran.code).isEqualTo(1);
        assertThat(ran.err).startsWith("wormhole: pod broken did not start: the port 1 is taken\n");
        assertThat(temporary.resolve("var/atelier/broken")).doesNotExist();
        assertThat(temporary.resolve("mnt/broken")).doesNotExist();
        assertThat(temporary.resolve("etc/atelier")).doesNotExist();

        var dead = create("dead");
        assertThat(dead.code).isEqualTo(1);
        assertThat(dead.err)
                .contains("its daemon ended", "it printed:", "Killed by fate")
                .doesNotContain("\tat ", "inner");

        var lonely = wormhole("join", "127.0.0.1:1", "--mount", "mnt/x", "--name", "x");
        assertThat(lonely.err).contains("no network at 127.0.0.1:1");
        assertThat(temporary.resolve("var/127-0-0-1-1/x")).doesNotExist();
        assertThat(started).allMatch(CliTest::hasEnded);
    }

    /** Ended as the system sees it; that this process has reaped it comes a moment later. */
    private static boolean hasEnded(Process process) {
        try {
            return process.waitFor(10, java.util.concurrent.TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void aPodThatDoesNotStopIsEndedByForceOnly() throws Exception {
        needsFuse();
        assertThat(create("deaf").code).isEqualTo(0);
        var ran = wormhole("down", "--force");
        assertThat(ran.code).as(ran.err).isEqualTo(0);
        assertThat(hasEnded(started.getFirst())).isTrue();
        // and it starts again, over its dead socket
        assertThat(wormhole("up").code).isEqualTo(0);
    }

    @Test
    void aRefusalIsCode4() {
        needsFuse();
        assertThat(create("stubborn").code).isEqualTo(0);
        assertThat(wormhole("leave"))
                .isEqualTo(new Ran(4, "", "wormhole: 3 files would have fewer copies than 2\n  add a pod first\n"));
        assertThat(temporary.resolve("var/atelier/stubborn")).exists();
    }

    @Test
    void applyShowsTheDifferenceAndAsksWhereSafetyIsLost() throws Exception {
        needsFuse();
        assertThat(create("one").code).isEqualTo(0);
        var file = temporary.resolve("network.toml");
        Files.writeString(file, wormhole("config", "show").out);
        assertThat(wormhole("apply", "network.toml").out).isEqualTo("nothing to change\n");

        Files.writeString(file, Files.readString(file).replace("copies = 2", "copies = 3"));
        assertThat(wormhole("apply", "network.toml", "--dry-run").out).isEqualTo("  redundancy.copies: 2 -> 3\n");
        assertThat(wormhole("config", "show").out).contains("\ncopies = 2");
        assertThat(wormhole("apply", "network.toml").out).isEqualTo("  redundancy.copies: 2 -> 3\napplied\n");
        assertThat(wormhole("config", "show").out).contains("\ncopies = 3");

        Files.writeString(file, Files.readString(file).replace("copies = 3", "copies = 1"));
        var refused = wormhole("apply", "network.toml");
        assertThat(refused.code).isEqualTo(4);
        assertThat(refused.out).isEqualTo("! redundancy.copies: 3 -> 1   (less safe)\n");
        assertThat(wormhole("apply", "network.toml", "--yes").code).isEqualTo(0);

        Files.writeString(file, "[network]\nname = \"other\"\n");
        assertThat(wormhole("apply", "network.toml", "--yes").code).isEqualTo(4);
        Files.writeString(file, "[network]\nnam = \"other\"\n");
        var wrong = wormhole("apply", "network.toml");
        assertThat(wrong)
                .isEqualTo(new Ran(5, "", "network.toml:2:1: unknown key nam in [network]; did you mean name?\n"));
    }

    @Test
    void nothingThatIsNoStoreIsDeleted() throws Exception {
        var precious = Files.createDirectories(temporary.resolve("precious"));
        Files.writeString(precious.resolve("thesis"), "");
        var ran = wormhole("destroy", "--yes", "--store", precious.toString());
        assertThat(ran.code).isEqualTo(4);
        assertThat(ran.err).contains("does not look like the store of a pod");
        assertThat(precious.resolve("thesis")).exists();
    }

    @Test
    void aMountPointWithFilesIsRefused() throws Exception {
        needsFuse();
        Files.createDirectories(temporary.resolve("full"));
        Files.writeString(temporary.resolve("full/file"), "");
        assertThat(wormhole("create", "n", "--mount", "full").err)
                .contains("full is not empty; what is in it would be hidden");
        assertThat(wormhole("create", "n", "--mount", "full/file").err).contains("is no folder");
        assertThat(wormhole("create", "n", "--mount", "s/m", "--store", "s").err)
                .contains("lie in each other");
        mounts.add(new MountTable.Mount(temporary.resolve("disk"), "ext4", "/dev/sda1"));
        assertThat(wormhole("create", "n", "--mount", "disk").err).contains("a mount of something else (ext4)");
        assertThat(temporary.resolve("etc")).doesNotExist();
    }

    // -- demo ------------------------------------------------------------------------------------------------------

    @Test
    void theDemoStartsRestartsAndRemovesWhatItMade() throws Exception {
        needsFuse();
        var first = wormhole("demo");
        assertThat(first.code).as(first.err).isEqualTo(0);
        var demo = temporary.resolve("wormhole-demo");
        assertThat(first.out).startsWith("3 pods share one folder, with 2 copies of every file");
        assertThat(first.out).contains(demo.resolve("pod-3").toString(), "demo --stop " + demo);
        assertThat(started).hasSize(3).allMatch(Process::isAlive);
        assertThat(StoreFiles.runningDaemon(demo.resolve(".wormhole/pod-2"))).isPresent();
        directory = demo;
        assertThat(wormhole("status").out).contains("network demo", "pod-3");
        directory = temporary;

        started.get(1).destroyForcibly().waitFor();
        var again = wormhole("demo");
        assertThat(again.code).as(again.err).isEqualTo(0);
        assertThat(started).hasSize(4);
        assertThat(started.get(0).isAlive()).isTrue();

        for (var process : started) process.destroyForcibly().waitFor();
        assertThat(wormhole("demo").code).isEqualTo(0);
        assertThat(started).hasSize(7);

        var mine = Files.writeString(demo.resolve("notes.txt"), "mine");
        var stopped = wormhole("demo", "--stop");
        assertThat(stopped.code).as(stopped.err).isEqualTo(0);
        assertThat(started).allMatch(CliTest::hasEnded);
        assertThat(mine).exists();
        assertThat(demo.resolve(".wormhole")).doesNotExist();
        assertThat(demo.resolve("pod-1")).doesNotExist();
        Files.delete(mine);
        assertThat(wormhole("demo", "--stop").out).contains("no demo in");
    }

    @Test
    void theDemoRefusesFoldersOfOthers() throws Exception {
        needsFuse();
        Files.createDirectories(temporary.resolve("x/.wormhole"));
        assertThat(wormhole("demo", "x").err).contains("exists and is no demo");
        Files.createDirectories(temporary.resolve("y/pod-2"));
        Files.writeString(temporary.resolve("y/pod-2/file"), "");
        assertThat(wormhole("demo", "y").code).isEqualTo(4);
        assertThat(temporary.resolve("y/.wormhole")).doesNotExist();
    }

    @Test
    void aDemoLeavesTheFolderThatWasThere() throws Exception {
        needsFuse();
        Files.createDirectories(temporary.resolve("z"));
        assertThat(wormhole("demo", "z", "--pods", "1").code).isEqualTo(0);
        assertThat(wormhole("demo", "z", "--stop").code).isEqualTo(0);
        assertThat(temporary.resolve("z")).isEmptyDirectory();
    }

    @Test
    void demoPortsAreFreeInPairsAndRemembered() throws Exception {
        var demo = Demo.plan(temporary.resolve("d"), true, 2, port -> port != 17421 && port != 17424);
        assertThat(demo.pods()).extracting(Demo.Pod::port).containsExactly(17422, 17426);
        demo.save();
        assertThat(Demo.load(temporary.resolve("d"))).contains(demo);
        assertThat(Demo.around(temporary.resolve("d/pod-1/deep"))).contains(demo);
        assertThat(Demo.around(temporary)).isEmpty();
    }

    // -- mounts ----------------------------------------------------------------------------------------------------

    @Test
    void mountinfoIsReadWithItsEscapes() {
        var table = MountTable.parse("""
                22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
                36 22 0:42 / /mnt/a\\040b rw,nosuid shared:7 master:2 - fuse.wormhole wormhole:/srv/st\\134ore\\303\\251 rw
                37 36 0:43 / /mnt/a\\040b/inner rw - tmpfs tmpfs rw
                38 22 0:44 / /mnt/other rw - fuse.bindfs bindfs rw
                nonsense
                """);
        assertThat(table.mounts()).hasSize(4);
        var found = table.containing(Path.of("/mnt/a b/x/y")).orElseThrow();
        assertThat(found.point()).isEqualTo(Path.of("/mnt/a b"));
        assertThat(found.store()).contains(Path.of("/srv/st\\oreé"));
        assertThat(table.containing(Path.of("/mnt/a b/inner/z")).orElseThrow().isWormhole())
                .isFalse();
        assertThat(table.containing(Path.of("/mnt/other/z")).orElseThrow().store())
                .isEmpty();
        assertThat(table.containing(Path.of("/mnt/a bc")).orElseThrow().point()).isEqualTo(Path.of("/"));
        assertThat(table.at(Path.of("/mnt"))).isEmpty();
        assertThat(table.below(Path.of("/mnt/a b"))).hasSize(2);
    }

    @Test
    void theMountTableOfThisMachineIsReadable() {
        assertThat(MountTable.read()
                        .containing(Path.of("/proc/self"))
                        .orElseThrow()
                        .type())
                .isEqualTo("proc");
    }

    // -- output ----------------------------------------------------------------------------------------------------

    @Test
    void tablesAlignAndDropEmptyColumns() {
        assertThat(Console.table(
                        List.of("POD", "ZONE", "USED>"),
                        List.of(List.of("pod-1", "", "1.0 GB"), List.of("x", "", "7 B"))))
                .containsExactly("POD      USED", "pod-1  1.0 GB", "x         7 B");
    }
}
