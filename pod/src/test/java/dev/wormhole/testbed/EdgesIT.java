// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;

/** What the network between the pods can do to them: listen, knock at their ports, and give their machines other addresses. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
final class EdgesIT {
    private static final int PODS = 3;

    private Testbed bed;

    @BeforeAll
    void start() {
        bed = new Testbed(PODS + 1);
        for (int i = 1; i <= PODS; i++) bed.machine(i).listen = "0.0.0.0:7420";
        on(1).create(2);
        on(2).join(on(1));
        on(3).join(on(1));
        await("all vote", 30, () -> on(1).status().split("\"voter\": true", -1).length > PODS);
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    private Testbed.Machine on(int number) {
        return bed.machine(number);
    }

    // ---- who listens

    /** Everything that pod 1 sends and is sent, while pods write and read: nothing of it can be found there. */
    @Test
    @Order(1)
    void whoListensFindsNoNameAndNoContent() throws Exception {
        var name = "Zebrafink-\u00dcbergabe-7f3a91d2";
        var folder = "Kontoausz\u00fcge-c41be0";
        var marker = "vertraulich: Gr\u00f6\u00dfe 4711 von Zeile ";
        var control = "this is sent in clear 20c7";
        var content = new StringBuilder();
        for (int line = 0; content.length() < 3 << 20; line++)
            content.append(marker).append(line).append('\n');

        var file = bed.root.resolve("traffic.pcap");
        var capture = on(1).capture(file);
        Files.createDirectory(on(1).mount.resolve(folder));
        Files.writeString(on(1).mount.resolve(folder + "/" + name), content);
        Files.writeString(on(3).mount.resolve(folder + "/" + name + ".small"), marker);
        for (int reader : new int[] {2, 3}) {
            assertThat(on(reader).mount.resolve(folder + "/" + name)).hasContent(content.toString());
            assertThat(on(reader).mount.resolve(folder).toFile().list()).contains(name);
        }
        assertThat(on(1).mount.resolve(folder + "/" + name + ".small")).hasContent(marker);
        on(2).run("bash", "-c", "echo '" + control + " " + name + "' > /dev/udp/10.91.0.1/9999")
                .orFail("control");
        await("the control has come by", 10, () -> contains(file, control, StandardCharsets.UTF_8));
        capture.destroy();
        assertThat(capture.waitFor(10, TimeUnit.SECONDS)).isTrue();

        assertThat(Files.size(file)).as("what was listened to").isGreaterThan(content.length());
        assertThat(contains(file, control + " " + name, StandardCharsets.UTF_8))
                .as("what is sent in clear is found")
                .isTrue();
        // The name came by in the control alone.
        assertThat(count(file, name.getBytes(StandardCharsets.UTF_8)))
                .isEqualTo(count(file, (control + " " + name).getBytes(StandardCharsets.UTF_8)));
        for (var text : List.of(folder, "Kontoausz", marker, "vertraulich", "Zeile 1", ".small"))
            for (var charset : List.of(StandardCharsets.UTF_8, StandardCharsets.UTF_16LE, StandardCharsets.UTF_16BE))
                assertThat(contains(file, text, charset))
                        .as(text + " in " + charset)
                        .isFalse();
        Files.delete(file);
    }

    @Test
    @Order(2)
    void everyPortSpeaksTheNewestTlsAlone() {
        for (int port : new int[] {7420, 7421}) {
            assertThat(greeted(port, "-tls1_3")).as("port " + port).contains("TLSv1.3");
            for (var old : List.of("-tls1_2", "-tls1_1"))
                assertThat(greeted(port, old)).as(old + " at port " + port).doesNotContain("BEGIN CERTIFICATE");
        }
        var listening = on(1).run("ss", "-Hltn").orFail("ss").output();
        assertThat(Pattern.compile(":(\\d+) ").matcher(listening).results().map(match -> match.group(1)))
                .as(listening)
                .containsExactlyInAnyOrder("7420", "7421");
    }

    private String greeted(int port, String protocol) {
        return on(4).run(
                        "timeout",
                        "10",
                        "openssl",
                        "s_client",
                        "-connect",
                        "10.91.0.1:" + port,
                        protocol,
                        "-alpn",
                        "h2",
                        "-cipher",
                        "ALL:@SECLEVEL=0")
                .output();
    }

    private static boolean contains(Path file, String text, Charset charset) {
        return count(file, text.getBytes(charset)) > 0;
    }

    private static int count(Path file, byte[] wanted) {
        try {
            // One character for each byte.
            var all = Files.readString(file, StandardCharsets.ISO_8859_1);
            var text = new String(wanted, StandardCharsets.ISO_8859_1);
            int count = 0;
            for (int at = all.indexOf(text); at >= 0; at = all.indexOf(text, at + 1)) count++;
            return count;
        } catch (IOException failure) {
            throw new java.io.UncheckedIOException(failure);
        }
    }

    // ---- who knocks

    /** Hundreds of connections that show no certificate, on all ports of two pods, while programs go on. */
    @Test
    @Order(3)
    void whoKnocksStopsNobodyAndTakesNoMemory() throws Exception {
        var pids = List.of(on(1).pid(), on(2).pid());
        long before = resident(1) + resident(2);
        var knocking =
                on(4).start(Knocker.class, "6", "10.91.0.1:7420", "10.91.0.1:7421", "10.91.0.2:7420", "10.91.0.2:7421");
        int written = 0;
        while (knocking.isAlive()) {
            var file = "during-" + written++;
            Files.writeString(on(1).mount.resolve(file), file);
            assertThat(on(3).mount.resolve(file)).hasContent(file);
        }
        var said = new String(knocking.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        System.out.println("knocking: " + said.strip() + "; written and read meanwhile: " + written + "; resident "
                + before / 1024 + " KiB, then " + (resident(1) + resident(2)) / 1024 + " KiB");
        var told = Pattern.compile("opened (\\d+), standing (\\d+)").matcher(said);
        assertThat(told.find()).as(said).isTrue();
        assertThat(Integer.parseInt(told.group(1))).isGreaterThan(600);
        assertThat(Integer.parseInt(told.group(2))).as("standing at once").isLessThanOrEqualTo(4 * 64);
        assertThat(written).as("files written and read meanwhile").isGreaterThan(5);
        assertThat(List.of(on(1).pid(), on(2).pid())).isEqualTo(pids);
        assertThat(resident(1) + resident(2) - before).as("memory taken").isLessThan(128 << 20);
        for (int number : new int[] {1, 2}) {
            var log = log(number);
            assertThat(log)
                    .doesNotContain("ended by a bug")
                    .contains("the log's port refused", "the first port refused");
            // One line in ten seconds for each port.
            assertThat(log.split("since this was last said", -1)).hasSizeLessThan(12);
        }
    }

    private long resident(int number) throws IOException {
        var statm = Files.readString(Path.of("/proc", Long.toString(on(number).pid()), "statm"));
        return Long.parseLong(statm.split(" ")[1]) * 4096;
    }

    private String log(int number) throws IOException {
        return Files.readString(on(number).store.resolve("log/pod.log"));
    }

    // ---- whose the files are

    /** Machine 3 becomes one where all is one user's: its root is nobody in the network, its user is a number of the network. */
    @Test
    @Order(4)
    void theRootOfOneMachineIsNotRootOnTheOthers() throws Exception {
        var on1 = on(1).mount.toString();
        var on3 = on(3).mount.toString();
        Shell.sh(
                bed.root,
                "cd " + on1 + "; mkdir -m 777 shared; echo secret > shared/roots; chmod 600 shared/roots;"
                        + " echo hers > shared/hers; chown 4711:4711 shared/hers; chmod 640 shared/hers");
        Path file;
        try (var files = Files.walk(bed.root.resolve("config3"))) {
            file = files.filter(path -> path.toString().endsWith("pod-3.pod.toml"))
                    .findFirst()
                    .orElseThrow();
        }
        var before = Files.readString(file);
        on(3).down();
        Files.writeString(
                file,
                before.replaceAll("(?s)\\[mount\\].*", "")
                        + "[mount]\nowner = \"me\"\nuser = \"daemon\"\nuid = 4242\ngid = 4242\n");
        on(3).up();
        try {
            assertThat(Shell.sh(bed.root, "cd " + on3 + "/shared; stat -c '%n %U' roots hers")
                            .strip())
                    .isEqualTo("roots nobody\nhers daemon");
            var asRoot = Shell.run(bed.root, java.util.Map.of(), List.of("cat", on3 + "/shared/roots"));
            assertThat(asRoot.output()).contains("Permission denied").doesNotContain("secret");
            for (var attempt : List.of("chmod 666 roots", "chown daemon roots", "sh -c 'echo x > roots'"))
                assertThat(Shell.run(
                                        bed.root,
                                        java.util.Map.of(),
                                        List.of("sh", "-c", "cd " + on3 + "/shared && " + attempt))
                                .status())
                        .as(attempt)
                        .isNotZero();
            Shell.sh(
                    bed.root,
                    "cd " + on3 + "/shared; cp /bin/true byroot; chmod 4755 byroot; cat hers;"
                            + " setpriv --reuid=daemon --regid=daemon --clear-groups sh -c 'echo x > mine; echo more >> hers'");
            assertThat(Shell.sh(bed.root, "cd " + on1 + "/shared; stat -c '%n %u %g %a' byroot mine hers roots")
                            .strip())
                    .isEqualTo("byroot 65534 65534 755\nmine 4242 4242 644\nhers 4711 4711 640\nroots 0 0 600");
            assertThat(on(1).mount.resolve("shared/hers")).hasContent("hers\nmore");
        } finally {
            on(3).down();
            Files.writeString(file, before);
            on(3).up();
        }
    }

    // ---- who moves

    /** A machine's address changes under its pod, as DHCP may do at any time. */
    @Test
    @Order(5)
    void aPodThatRoamsIsFoundAgain() throws Exception {
        arrives(1, 3, "before");
        on(3).move("10.91.0.103");
        arrives(1, 3, "to-the-one-that-moved");
        arrives(3, 2, "from-the-one-that-moved");
        await("the log says where it is", 20, () -> on(1).status().contains("10.91.0.103:7420"));
    }

    /** The one that the others follow, too. */
    @Test
    @Order(6)
    void aLeaderThatRoamsIsFoundAgain() throws Exception {
        int leader = leader();
        on(leader).move("10.91.0." + (110 + leader));
        for (int number = 1; number <= PODS; number++) arrives(number, number % PODS + 1, "leader-moved-" + number);
    }

    /** A machine comes back at another address than it left from. */
    @Test
    @Order(7)
    void aPodThatComesBackElsewhereIsFoundAgain() throws Exception {
        on(2).down();
        on(2).move("10.91.0.122");
        on(2).up();
        arrives(1, 2, "to-the-one-that-came-back");
        arrives(2, 3, "from-the-one-that-came-back");
    }

    /** All machines get new addresses at once: nobody knows where anybody is, and they share a local network. */
    @Test
    @Order(8)
    void podsThatAllMovedAtOnceFindEachOtherOnTheLocalNetwork() throws Exception {
        for (int number = 1; number <= PODS; number++) on(number).kill();
        for (int number = 1; number <= PODS; number++) on(number).move("10.91.0." + (140 + number));
        Testbed.all(Testbed.Machine::up, List.of(on(1), on(2), on(3)));
        for (int number = 1; number <= PODS; number++) arrives(number, number % PODS + 1, "all-moved-" + number);
    }

    private int leader() {
        var status = on(1).status();
        for (int number = 1; number <= PODS; number++)
            if (Pattern.compile("\"leader\": \"pod-" + number + "\"")
                    .matcher(status)
                    .find()) return number;
        throw new AssertionError("no leader in " + status);
    }

    /** Within seconds what one pod's program writes is read on the other; tried again where it fails meanwhile. */
    private void arrives(int from, int to, String file) {
        long began = System.nanoTime();
        await(file + " is written on pod " + from, 20, () -> {
            try {
                Files.writeString(on(from).mount.resolve(file), file);
                return true;
            } catch (IOException notNow) {
                return false;
            }
        });
        await(file + " is read on pod " + to, 20, () -> {
            try {
                return Files.readString(on(to).mount.resolve(file)).equals(file);
            } catch (IOException notNow) {
                return false;
            }
        });
        System.out.println(file + ": " + (System.nanoTime() - began) / 1_000_000 + " ms");
    }
}
