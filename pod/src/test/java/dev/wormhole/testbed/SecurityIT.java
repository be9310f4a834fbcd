// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** Who is let in and who is not, with real pods: one network of two pods, another one of one, and machines that want in. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class SecurityIT {
    private static final int FIRST = 1;
    private static final int SECOND = 2;
    private static final int OUTSIDE = 3;
    private static final int OTHER_NETWORK = 4;

    private Testbed bed;

    @BeforeAll
    void start() {
        bed = new Testbed(4);
        // A folder that is there already, and open to all, is a store's like any other.
        Shell.sh(bed.root, "mkdir -m 755 " + on(FIRST).store);
        on(FIRST).create(2);
        on(SECOND).join(on(FIRST));
        on(OTHER_NETWORK).create(1);
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    private Testbed.Machine on(int number) {
        return bed.machine(number);
    }

    private void refused(Shell.Result result, String reason) {
        assertThat(result.status()).as(result.output()).isNotZero();
        assertThat(result.output()).contains(reason).doesNotContain("\tat ");
        assertThat(on(OUTSIDE).store).doesNotExist();
    }

    private String pods() {
        return on(FIRST)
                .wormhole("pods", "--json", "--store", on(FIRST).store.toString())
                .orFail("pods")
                .output();
    }

    // ---- invitations

    @Test
    void onlyWhoHasAValidInvitationJoins() throws IOException {
        var outside = on(OUTSIDE);
        var open = outside.wormhole(
                "join",
                on(FIRST).address,
                "--name",
                "pod-3",
                "--mount",
                outside.mount.toString(),
                "--store",
                outside.store.toString(),
                "--listen",
                outside.address);
        refused(open, "the network wants an invitation");

        var withdrawn = on(FIRST).invite();
        var listed = on(FIRST)
                .wormhole("invitations", "--json", "--store", on(FIRST).store.toString())
                .orFail("invitations")
                .output();
        assertThat(listed).doesNotContain(withdrawn);
        // Those that expire first come first: this one is the last.
        var ids = Pattern.compile("\"id\": \"([0-9a-f]{8})\"")
                .matcher(listed)
                .results()
                .map(match -> match.group(1))
                .toList();
        on(FIRST)
                .wormhole(
                        "invitations",
                        "--withdraw",
                        ids.getLast(),
                        "--store",
                        on(FIRST).store.toString())
                .orFail("withdraw");
        refused(outside.joinWith(withdrawn, on(FIRST)), "does not know this invitation");

        refused(outside.joinWith(on(FIRST).invite("--name", "nas-7"), on(FIRST)), "for a pod named nas-7");

        long expires = System.currentTimeMillis() + 1000;
        var expired = on(FIRST).invite("--for", "1s");
        await("the invitation has expired", 5, () -> System.currentTimeMillis() > expires + 1000);
        refused(outside.joinWith(expired, on(FIRST)), "the invitation has expired");

        assertThat(pods()).doesNotContain("\"pod-3\"");
    }

    /** One invitation for one pod: whoever has heard it, or asks at another pod, comes too late. */
    @Test
    void aUsedInvitationIsWorthNothing() throws IOException {
        var outside = on(OUTSIDE);
        var token = on(FIRST).invite();
        // Asked at the second pod, which is no administrator's.
        outside.joinWith(token, on(SECOND)).orFail("join");
        Files.writeString(outside.mount.resolve("from-3"), "hello");
        assertThat(on(FIRST).mount.resolve("from-3")).hasContent("hello");
        outside.wormhole("leave", "--store", outside.store.toString()).orFail("leave");
        await("the pod is gone", 20, () -> !Files.exists(outside.store));
        refused(outside.joinWith(token, on(FIRST)), "the invitation is used up");
        refused(outside.joinWith(token, on(SECOND)), "the invitation is used up");
    }

    /** Two machines at once with one invitation: one of them is in. */
    @Test
    void aUseCountsOnceHoweverManyAskAtOnce() throws Exception {
        var token = on(FIRST).invite("--name", "pod-3");
        var results = new java.util.concurrent.ConcurrentLinkedQueue<Shell.Result>();
        var threads = Stream.of(on(FIRST), on(SECOND))
                .map(asked -> Thread.ofPlatform().start(() -> {
                    var store = bed.root.resolve("race-" + asked.number);
                    results.add(on(OUTSIDE)
                            .wormhole(
                                    "join",
                                    asked.address,
                                    "--token",
                                    token,
                                    "--name",
                                    "pod-3",
                                    "--mount",
                                    bed.root.resolve("race-m" + asked.number).toString(),
                                    "--store",
                                    store.toString(),
                                    "--listen",
                                    "10.91.0." + OUTSIDE + ":" + (7500 + 10 * asked.number)));
                }))
                .toList();
        for (var thread : threads) thread.join();
        assertThat(results).extracting(Shell.Result::status).containsExactlyInAnyOrder(0, 1);
        for (int number : new int[] {FIRST, SECOND}) {
            var store = bed.root.resolve("race-" + number);
            if (Files.exists(store))
                on(OUTSIDE).wormhole("leave", "--store", store.toString()).orFail("leave");
        }
    }

    /** The pod at the address has another authority: the joiner says so, and has told it nothing. */
    @Test
    void whoJoinsThroughAManInTheMiddleNoticesIt() {
        refused(
                on(OUTSIDE).joinWith(on(FIRST).invite(), on(OTHER_NETWORK)),
                "not of the network that the invitation is for");
        refused(on(OUTSIDE).joinWith("A".repeat(48), on(FIRST)), "a join token");
    }

    @Test
    void onlyAnAdministratorsPodInvites() {
        var result = on(SECOND).wormhole("invite", "--store", on(SECOND).store.toString());
        assertThat(result.status()).isEqualTo(4);
        assertThat(result.output()).contains("only an administrator's pod may do this", "ask one of: pod-1");
    }

    /** A machine without an invitation waits; both sides see one fingerprint; a yes lets it in, a no does not. */
    @Test
    void anAdministratorsYesLetsAMachineIn() throws Exception {
        configure("approval");
        try {
            var machine = on(OUTSIDE);
            var asking = ask();
            var listed = awaitRequest(asking);
            assertThat(listed).contains("\"name\": \"pod-3\"");
            var fingerprint = Pattern.compile("([0-9a-f]{4}(-[0-9a-f]{4}){3})").matcher(listed);
            assertThat(fingerprint.find()).as(listed).isTrue();
            on(FIRST)
                    .wormhole("refuse", "pod-3", "--store", on(FIRST).store.toString())
                    .orFail("refuse");
            var refused = asking.get(60, java.util.concurrent.TimeUnit.SECONDS);
            refused(refused, "an administrator refused it");
            assertThat(refused.output()).contains(fingerprint.group(1));

            var again = ask();
            awaitRequest(again);
            on(FIRST)
                    .wormhole("approve", "pod-3", "--store", on(FIRST).store.toString())
                    .orFail("approve");
            again.get(60, java.util.concurrent.TimeUnit.SECONDS).orFail("join");
            Files.writeString(machine.mount.resolve("approved"), "yes");
            assertThat(on(FIRST).mount.resolve("approved")).hasContent("yes");
            machine.wormhole("leave", "--store", machine.store.toString()).orFail("leave");
        } finally {
            configure("token");
        }
    }

    private java.util.concurrent.CompletableFuture<Shell.Result> ask() {
        var machine = on(OUTSIDE);
        return java.util.concurrent.CompletableFuture.supplyAsync(() -> machine.wormhole(
                "join",
                on(SECOND).address,
                "--name",
                "pod-3",
                "--mount",
                machine.mount.toString(),
                "--store",
                machine.store.toString(),
                "--listen",
                machine.address));
    }

    private String awaitRequest(java.util.concurrent.CompletableFuture<Shell.Result> asking) {
        var told = new String[1];
        await("the machine waits", 60, () -> {
            assertThat(asking).as("join, which should wait").isNotDone();
            told[0] = on(FIRST)
                    .wormhole("requests", "--json", "--store", on(FIRST).store.toString())
                    .orFail("requests")
                    .output();
            return told[0].contains("pod-3");
        });
        return told[0];
    }

    private void configure(String join) throws IOException {
        var file = bed.root.resolve(join + ".toml");
        Files.writeString(file, "[network]\nname = \"net\"\njoin = \"" + join + "\"\n[redundancy]\ncopies = 2\n");
        on(FIRST)
                .wormhole(
                        "apply",
                        file.toString(),
                        "--yes",
                        "--store",
                        on(FIRST).store.toString())
                .orFail("apply");
    }

    // ---- connections

    @Test
    void nobodySpeaksForAnotherAndNoiseStopsNobody() throws Exception {
        var address = on(FIRST).address.split(":");
        var said = on(SECOND)
                .run(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx128m",
                        "-XX:+UseSerialGC",
                        "--enable-native-access=ALL-UNNAMED",
                        "--sun-misc-unsafe-memory-access=allow",
                        "-cp",
                        System.getProperty("java.class.path"),
                        "dev.wormhole.security.Intruder",
                        address[0],
                        address[1],
                        on(FIRST).store.toString(),
                        on(SECOND).store.toString())
                .orFail("intruder")
                .output();
        System.out.println(said);
        assertThat(outcome(said, "call as itself")).startsWith("answered");
        assertThat(outcome(said, "call as another pod")).contains("the certificate of p2 does not speak for p3");
        assertThat(outcome(said, "call with a foreign certificate")).doesNotContain("answered");
        assertThat(outcome(said, "call with an expired certificate")).doesNotContain("answered");
        assertThat(outcome(said, "call with a client's certificate")).contains("p2 is no member");
        assertThat(outcome(said, "call without a certificate")).contains("no certificate proves to be p2");
        assertThat(outcome(said, "call as a stranger")).contains("only pods of the network may do this");
        // It gets past the gate: what refuses it is that its group is another.
        assertThat(outcome(said, "vote as itself"))
                .doesNotContain("certificate")
                .doesNotContain("UNAVAILABLE");
        assertThat(outcome(said, "vote as another pod")).contains("certificate does not allow sender");
        assertThat(outcome(said, "vote with a client's certificate")).contains("certificate does not allow sender");
        for (var how : List.of("with a foreign certificate", "with an expired certificate", "without a certificate"))
            assertThat(outcome(said, "vote " + how)).startsWith("UNAVAILABLE");
        assertThat(outcome(said, "shouting")).endsWith("connections");

        // The pod goes on, with the same process, and others still reach it.
        Files.writeString(on(FIRST).mount.resolve("after-the-noise"), "still here");
        assertThat(on(SECOND).mount.resolve("after-the-noise")).hasContent("still here");
        var log = Files.readString(on(FIRST).store.resolve("log/pod.log"));
        assertThat(log).doesNotContain("ended by a bug").contains("connections since this was last said");
        assertThat(log.length()).isLessThan(200_000);
    }

    // ---- administration

    /** A second administrator's pod fetches the key and invites; thrown out, it is refused by all, also when it comes back. */
    @Test
    void aPodThatIsThrownOutStaysOut() throws IOException {
        var thief = on(OUTSIDE);
        thief.join(on(FIRST));
        var refused = on(SECOND)
                .wormhole(
                        "revoke", "pod-3", "--yes", "--store", on(SECOND).store.toString());
        assertThat(refused.output()).contains("only an administrator's pod may do this");
        var file = bed.root.resolve("more.toml");
        Files.writeString(file, "[network]\nname = \"net\"\n[redundancy]\ncopies = 1\n");
        assertThat(on(SECOND)
                        .wormhole(
                                "apply",
                                file.toString(),
                                "--yes",
                                "--store",
                                on(SECOND).store.toString())
                        .output())
                .contains("only an administrator's pod may do this");
        on(FIRST)
                .wormhole(
                        "administrators",
                        "--add",
                        "pod-2",
                        "--store",
                        on(FIRST).store.toString())
                .orFail("administrators");
        await(
                "the second pod has the key",
                20,
                () -> Files.exists(on(SECOND).store.resolve("keys/authority.key")));
        await("it says so", 5, () -> log(SECOND).contains("this pod has the authority's key now"));

        Files.writeString(thief.mount.resolve("held"), "by three");
        on(SECOND)
                .wormhole(
                        "revoke", "pod-3", "--yes", "--store", on(SECOND).store.toString())
                .orFail("revoke");
        assertThat(pods()).doesNotContain("\"pod-3\"");
        await("it is cut off", 20, () -> !writes(thief.mount.resolve("after")));
        assertThat(on(FIRST).mount.resolve("after")).doesNotExist();
        assertThat(on(FIRST).mount.resolve("held")).hasContent("by three");
        await("it hears why", 20, () -> log(OUTSIDE).contains("is no member of the network any more"));

        // After restarts of both sides too.
        thief.kill();
        on(FIRST).down();
        on(FIRST).up();
        thief.wormhole("up", thief.name);
        assertThat(writes(thief.mount.resolve("again"))).isFalse();
        assertThat(on(FIRST).mount.resolve("again")).doesNotExist();

        assertThat(on(SECOND)
                        .wormhole("audit", "--store", on(SECOND).store.toString())
                        .orFail("audit")
                        .output())
                .containsPattern("pod-1 +let in +pod-3")
                .containsPattern("pod-1 +made administrator +pod-2")
                .containsPattern("pod-2 +removed +pod-3");

        // A new machine takes its name, invited by the second administrator; the first one needs not be there.
        thief.wormhole("destroy", "--yes", "--store", thief.store.toString()).orFail("destroy");
        on(FIRST)
                .wormhole(
                        "administrators",
                        "--remove",
                        "pod-2",
                        "--store",
                        on(FIRST).store.toString())
                .orFail("administrators");
    }

    private String log(int number) {
        try {
            return Files.readString(on(number).store.resolve("log/pod.log"));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static boolean writes(Path file) {
        try {
            Files.writeString(file, "x");
            return true;
        } catch (IOException expected) {
            return false;
        }
    }

    private static String outcome(String said, String attempt) {
        return said.lines()
                .filter(line -> line.startsWith(attempt + ": "))
                .map(line -> line.substring(attempt.length() + 2))
                .findFirst()
                .orElseThrow(() -> new AssertionError("no \"" + attempt + "\" in:\n" + said));
    }

    // ---- secrets

    @Test
    void secretsAreForTheirOwnerAlone() throws IOException {
        for (var machine : List.of(on(FIRST), on(SECOND))) {
            var keys = machine.store.resolve("keys");
            assertThat(mode(machine.store)).isEqualTo("rwx------");
            assertThat(mode(keys)).isEqualTo("rwx------");
            try (var files = Files.list(keys)) {
                for (var file : files.toList())
                    assertThat(mode(file)).as(file.toString()).isEqualTo("rw-------");
            }
        }
        assertThat(on(FIRST).store.resolve("keys/authority.key")).exists();
        assertThat(on(SECOND).store.resolve("keys/authority.key")).doesNotExist();
        var token = on(FIRST).invite();
        for (var machine : List.of(on(FIRST), on(SECOND)))
            assertThat(Files.readString(machine.store.resolve("log/pod.log"))).doesNotContain(token);
    }

    private static String mode(Path path) throws IOException {
        return java.nio.file.attribute.PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    }

    /** A key that others could have read is not used until a person has looked at it. */
    @Test
    void aKeyThatOthersCanReadIsRefused() throws IOException {
        var machine = on(OTHER_NETWORK);
        machine.down();
        var key = machine.store.resolve("keys/pod.key");
        Files.setPosixFilePermissions(key, java.nio.file.attribute.PosixFilePermissions.fromString("rw-r--r--"));
        var result = machine.wormhole("up", machine.name);
        assertThat(result.status()).isNotZero();
        assertThat(result.output()).contains("is readable by others", "chmod 600");
        Files.setPosixFilePermissions(key, java.nio.file.attribute.PosixFilePermissions.fromString("rw-------"));
        machine.up();
    }
}
