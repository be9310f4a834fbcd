// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;

/** Certificates that live for seconds, and an authority that is replaced, with three real pods and programs that notice nothing. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
final class AuthorityIT {
    private static final String PASSPHRASE = "correct horse battery staple";
    private static final Pattern EXPIRES = Pattern.compile(
            "\"name\": \"(pod-\\d)\",.*?\"authority\": (\\d+),.*?\"expiresMillis\": (\\d+)", Pattern.DOTALL);

    private Testbed bed;

    @BeforeAll
    void start() throws IOException {
        bed = new Testbed(3);
        on(1).create(2);
        on(2).join(on(1));
        on(3).join(on(1));
        var file = bed.root.resolve("short.toml");
        Files.writeString(
                file, "[network]\nname = \"net\"\n[redundancy]\ncopies = 2\n[certificates]\nlifetime = \"10s\"\n");
        on(1).wormhole("apply", file.toString(), "--yes", "--store", on(1).store.toString())
                .orFail("apply");
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    private Testbed.Machine on(int number) {
        return bed.machine(number);
    }

    private String authority() {
        return on(1).wormhole("authority", "--json", "--store", on(1).store.toString())
                .orFail("authority")
                .output();
    }

    /** By pod: the authority that certified it, or when that ends. */
    private java.util.Map<String, Long> shown(int group) {
        var shown = new java.util.TreeMap<String, Long>();
        EXPIRES.matcher(authority())
                .results()
                .forEach(match -> shown.put(match.group(1), Long.parseLong(match.group(group))));
        return shown;
    }

    /** A program on one pod that writes, syncs, and reads on another, and counts; any failure ends it. */
    private static final class Program implements Runnable {
        private final Path here;
        private final Path there;
        private final Thread thread = Thread.ofPlatform().unstarted(this);
        private volatile boolean ending;
        private volatile Throwable failure;
        private volatile int rounds;
        private volatile long longestNanos;

        Program(Path here, Path there) {
            this.here = here;
            this.there = there;
            thread.start();
        }

        @Override
        public void run() {
            try {
                while (!ending) {
                    long began = System.nanoTime();
                    var name = "round-" + rounds % 10 + "-" + here.getFileName();
                    try (var channel = FileChannel.open(
                            here.resolve(name),
                            StandardOpenOption.CREATE,
                            StandardOpenOption.WRITE,
                            StandardOpenOption.TRUNCATE_EXISTING)) {
                        channel.write(
                                ByteBuffer.wrap(("round " + rounds).getBytes(java.nio.charset.StandardCharsets.UTF_8)));
                        channel.force(true);
                    }
                    var read = Files.readString(there.resolve(name));
                    if (!read.equals("round " + rounds)) throw new AssertionError(name + " has " + read);
                    rounds++;
                    longestNanos = Math.max(longestNanos, System.nanoTime() - began);
                }
            } catch (IOException | RuntimeException | AssertionError e) {
                failure = e;
            }
        }

        void end(String what) throws InterruptedException {
            ending = true;
            thread.join(20_000);
            System.out.println(what + ": " + rounds + " rounds, the longest " + longestNanos / 1_000_000 + " ms");
            assertThat(failure).as("in round " + rounds).isNull();
            assertThat(rounds).isGreaterThan(20);
        }
    }

    @Test
    @Order(1)
    void certificatesAndTheAuthorityChangeWhileProgramsGoOn() throws Exception {
        var programs = List.of(new Program(on(2).mount, on(1).mount), new Program(on(3).mount, on(2).mount));
        // All have short ones, and after that other ones.
        await(
                "short certificates",
                30,
                () -> shown(3).values().stream().filter(at -> at > 0).count() == 3
                        && shown(3).values().stream().allMatch(at -> at < System.currentTimeMillis() + 20_000));
        var first = shown(3);
        await(
                "renewed",
                30,
                () -> shown(3).entrySet().stream().allMatch(each -> each.getValue() > first.get(each.getKey())));

        on(1).wormhole("authority", "rotate", "--yes", "--store", on(1).store.toString())
                .orFail("rotate");
        await("the old authority is dropped", 30, () -> authority().contains("\"dropped\""));
        assertThat(shown(2).values()).containsOnly(2L);
        var after = shown(3);
        await(
                "renewed again",
                30,
                () -> shown(3).entrySet().stream().allMatch(each -> each.getValue() > after.get(each.getKey())));
        programs.get(0).end("pod-2 to pod-1");
        programs.get(1).end("pod-3 to pod-2");
        assertThat(status(2)).contains("\"situation\": \"healthy\"").doesNotContain("certificate of");
    }

    private String status(int number) {
        return on(number).status();
    }

    private Shell.Result ask(int number, String... command) {
        var all = new java.util.ArrayList<>(List.of(command));
        all.addAll(List.of("--store", on(number).store.toString()));
        return on(number).wormhole(all.toArray(String[]::new));
    }

    /** The first pod need not be there: whoever has the file and the passphrase makes another one an administrator's. */
    @Test
    @Order(2)
    void aRecoveryFileMakesAnotherPodAnAdministrators() throws Exception {
        var file = bed.root.resolve("recovery").toString();
        var passphrase = bed.root.resolve("passphrase");
        Files.writeString(passphrase, PASSPHRASE + "\n");
        var refused = ask(2, "authority", "export", file, "--passphrase-file", passphrase.toString());
        assertThat(refused.output()).contains("only an administrator's pod may do this");
        ask(1, "authority", "export", file, "--passphrase-file", passphrase.toString())
                .orFail("export");
        assertThat(Files.getPosixFilePermissions(Path.of(file))).hasSize(2);
        var again = ask(1, "authority", "export", file, "--passphrase-file", passphrase.toString());
        assertThat(again.output()).contains("is not overwritten");

        var wrong = bed.root.resolve("wrong");
        Files.writeString(wrong, "another passphrase\n");
        var no = ask(2, "authority", "restore", file, "--passphrase-file", wrong.toString());
        assertThat(no.status()).isEqualTo(4);
        assertThat(no.output()).contains("the passphrase is wrong").doesNotContain("another passphrase");
        assertThat(on(2).store.resolve("keys/authority.key")).doesNotExist();
        ask(2, "authority", "restore", file, "--passphrase-file", passphrase.toString())
                .orFail("restore");
        assertThat(on(2).store.resolve("keys/authority.key")).exists();
        assertThat(ask(2, "administrators").output()).contains("pod-1", "pod-2");
        ask(2, "invite").orFail("invite");
        assertThat(ask(1, "audit").output()).contains("exported authority", "claimed administration");
        assertThat(Files.readString(on(2).store.resolve("log/pod.log"))).doesNotContain("horse");
    }

    /** It sleeps while its certificate ends and the authority changes; an administrator's yes, and it goes on with what it has. */
    @Test
    @Order(3)
    void aPodThatSleptTooLongComesBackWhenAnAdministratorSaysYes() throws Exception {
        Files.writeString(on(3).mount.resolve("before"), "before it slept");
        on(3).down();
        long expires = shown(3).get("pod-3");
        ask(1, "authority", "rotate", "--yes").orFail("rotate");
        await("the others have renewed", 30, () -> shown(2).get("pod-1") == 3 && shown(2).get("pod-2") == 3);
        assertThat(authority()).contains("\"previous\"");
        assertThat(ask(1, "authority", "rotate", "--yes").output()).contains("not yet certified by the new one: pod-3");
        await("its certificate has expired", 20, () -> System.currentTimeMillis() > expires);
        assertThat(status(1)).contains("the certificate of pod-3 expired").contains("wormhole approve pod-3");
        assertThat(ask(1, "authority", "rotate", "--finish", "--yes")
                        .orFail("finish")
                        .output())
                .contains("to be let back", "pod-3");

        var up = CompletableFuture.supplyAsync(() -> on(3).wormhole("up", "pod-3"));
        var listed = new String[1];
        await("it asks to come back", 30, () -> {
            listed[0] = ask(1, "requests", "--json").orFail("requests").output();
            return listed[0].contains("pod-3");
        });
        assertThat(listed[0]).contains("\"member\": true");
        var fingerprint = Pattern.compile("[0-9a-f]{4}(-[0-9a-f]{4}){3}").matcher(listed[0]);
        assertThat(fingerprint.find()).isTrue();
        // It says what it waits for, and with which fingerprint.
        await("it says so", 10, () -> status(3).contains(fingerprint.group()));
        assertThat(status(3)).contains("it waits for an administrator: wormhole approve pod-3");
        ask(2, "approve", "pod-3").orFail("approve");
        up.get(60, TimeUnit.SECONDS).orFail("up");
        await("it writes again", 30, () -> {
            try {
                Files.writeString(on(3).mount.resolve("after"), "back");
                return true;
            } catch (IOException notYet) {
                return false;
            }
        });
        assertThat(on(3).mount.resolve("before")).hasContent("before it slept");
        assertThat(on(1).mount.resolve("after")).hasContent("back");
        await("it is certified by the new one", 20, () -> shown(2).get("pod-3") == 3);
        assertThat(ask(1, "audit").output()).contains("let back");
    }

    /** Nothing can be decided before some are let back: the administrator's pod certifies itself, and goes by what it knew. */
    @Test
    @Order(4)
    void aNetworkThatSleptAsAWholeWakesAgain() throws Exception {
        Testbed.all(Testbed.Machine::down, bed.machines);
        long slept = System.currentTimeMillis();
        Files.delete(on(2).store.resolve("keys/authority.key")); // the second one cannot help itself
        await("all certificates have expired", 20, () -> System.currentTimeMillis() > slept + 11_000);
        var ups = bed.machines.stream()
                .map(machine -> CompletableFuture.supplyAsync(
                        () -> machine.wormhole("up", machine.name),
                        task -> Thread.ofPlatform().start(task)))
                .toList();
        for (var name : List.of("pod-2", "pod-3"))
            await(name + " is let back", 60, () -> ask(1, "approve", name).status() == 0);
        for (var up : ups) up.get(60, TimeUnit.SECONDS).orFail("up");
        await("it writes again", 60, () -> {
            try {
                Files.writeString(on(2).mount.resolve("awake"), "awake");
                return true;
            } catch (IOException notYet) {
                return false;
            }
        });
        // Until it has caught up, the third pod's folder is as it was when it lost the network.
        await("the third pod sees it", 60, () -> Files.exists(on(3).mount.resolve("awake")));
        assertThat(on(3).mount.resolve("awake")).hasContent("awake");
        assertThat(on(1).mount.resolve("before")).hasContent("before it slept");
    }
}
