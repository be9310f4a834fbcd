// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** Encrypted stores of real pods: nothing of names and contents is on their disks, and only who has the key starts them. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class AtRestIT {
    private static final int FOUNDER = 1;
    private static final int SECOND = 2;
    private static final int PLAIN_NETWORK = 3;

    /** None of them is anywhere in Wormhole. */
    private static final List<String> MARKS = List.of("Zwiebelfisch", "Kaltmamsell", "Quittenbrot", "Sandmuschel");

    private Testbed bed;
    private Path key;
    private Path passphrase;

    @BeforeAll
    void start() throws IOException {
        bed = new Testbed(3);
        key = bed.root.resolve("usb").resolve("pod.key");
        Files.createDirectory(key.getParent());
        passphrase = Files.writeString(bed.root.resolve("passphrase"), "correct horse battery\n");
        on(FOUNDER).create(2, "--key-file", key.toString());
        on(SECOND).join(on(FOUNDER), "--passphrase-file", passphrase.toString());
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    private Testbed.Machine on(int number) {
        return bed.machine(number);
    }

    @Test
    void nothingOfNamesAndContentsIsOnTheDisks() throws IOException {
        var folder = Files.createDirectory(on(FOUNDER).mount.resolve("Zwiebelfisch"));
        var small = "a few words on Kaltmamsell\n".getBytes(StandardCharsets.UTF_8);
        var large = "many more about Kaltmamsell\n".repeat(120_000).getBytes(StandardCharsets.UTF_8); // 3.4 MB
        Files.write(folder.resolve("Zwiebelfisch-small"), small);
        Files.write(folder.resolve("Zwiebelfisch-large"), large);
        Files.createSymbolicLink(folder.resolve("link"), Path.of("to/Quittenbrot"));
        Files.createLink(folder.resolve("Sandmuschel"), folder.resolve("Zwiebelfisch-small"));
        Files.setAttribute(folder, "user:Sandmuschel", "Quittenbrot".getBytes(StandardCharsets.UTF_8));
        Shell.sh(bed.root, "sync -f " + on(FOUNDER).mount);
        on(FOUNDER).wormhole("sync", "--store", on(FOUNDER).store.toString()).orFail("sync");
        assertThat(Files.readAllBytes(on(SECOND).mount.resolve("Zwiebelfisch/Zwiebelfisch-large")))
                .isEqualTo(large);
        assertNoMark();

        // Killed, so that the log is replayed; then orderly, so that tables and indexes are written.
        on(FOUNDER).kill();
        var other = Files.writeString(bed.root.resolve("other"), "incorrect horse\n");
        on(SECOND).down();
        refused(on(SECOND).wormhole("up", "pod-2", "--passphrase-file", other.toString()), "does not open");
        refused(on(SECOND).wormhole("up", "pod-2"), "--passphrase-file");
        var away = Files.move(key, key.resolveSibling("away"));
        refused(on(FOUNDER).wormhole("up", "pod-1"), "the key file " + key + " is missing");
        Files.move(away, key);
        on(SECOND)
                .wormhole(
                        "passphrase",
                        "--store",
                        on(SECOND).store.toString(),
                        "--passphrase-file",
                        passphrase.toString(),
                        "--new-passphrase-file",
                        other.toString())
                .orFail("passphrase");
        Testbed.all(
                machine -> machine.wormhole("up", machine.name, "--passphrase-file", other.toString())
                        .orFail("up"),
                List.of(on(FOUNDER), on(SECOND)));
        for (int pod : List.of(FOUNDER, SECOND)) {
            var again = on(pod).mount.resolve("Zwiebelfisch");
            assertThat(Files.readAllBytes(again.resolve("Sandmuschel"))).isEqualTo(small);
            assertThat(Files.readAllBytes(again.resolve("Zwiebelfisch-large"))).isEqualTo(large);
            assertThat(Files.readSymbolicLink(again.resolve("link"))).isEqualTo(Path.of("to/Quittenbrot"));
            assertThat((byte[]) Files.getAttribute(again, "user:Sandmuschel")).isEqualTo("Quittenbrot".getBytes());
            assertThat(again.toFile().list()).hasSize(4);
        }
        on(SECOND).down();
        on(FOUNDER).down();
        assertNoMark();
        on(SECOND)
                .wormhole(
                        "check",
                        "--bytes",
                        "--store",
                        on(SECOND).store.toString(),
                        "--passphrase-file",
                        other.toString())
                .orFail("check");
        refused(
                on(FOUNDER).wormhole("check", "--store", on(FOUNDER).store.toString(), "--key-file", other.toString()),
                "is readable by others");

        // What the store was made as, it stays.
        var toml = bed.root.resolve("config1/net/pod-1.pod.toml");
        Files.writeString(
                toml,
                Files.readString(toml)
                        .replaceAll("(?m)^key_file.*\n", "")
                        .replaceAll("(?m)^encrypt = true", "encrypt = false"));
        refused(on(FOUNDER).wormhole("up", "pod-1"), "the store is encrypted and its pod.toml does not say so");
    }

    private static void refused(Shell.Result result, String reason) {
        assertThat(result.status()).as(result.output()).isNotZero();
        assertThat(result.output()).contains(reason).doesNotContain("\tat ");
    }

    /** In no file of any store, whole or as UTF-16; hidden under no name either. */
    private void assertNoMark() throws IOException {
        int files = 0;
        for (int pod : List.of(FOUNDER, SECOND)) {
            try (var paths = Files.walk(on(pod).store)) {
                for (var path : paths.filter(Files::isRegularFile).toList()) {
                    for (String mark : MARKS) assertThat(path.toString()).doesNotContain(mark);
                    assertThat(found(path)).as("in " + path).isEmpty();
                    files++;
                }
            }
        }
        assertThat(files).isGreaterThan(20);
    }

    /** Some files, such as the reserve, are larger than this test's memory. */
    private static List<String> found(Path file) throws IOException {
        int overlap = MARKS.stream().mapToInt(String::length).max().orElseThrow() - 1;
        var buffer = new byte[4 << 20];
        int kept = 0;
        try (var in = Files.newInputStream(file)) {
            for (int read = in.read(buffer); read >= 0; read = in.read(buffer, kept, buffer.length - kept)) {
                int end = kept + read;
                var text = new String(buffer, 0, end, StandardCharsets.ISO_8859_1);
                var found = MARKS.stream().filter(text::contains).toList();
                if (!found.isEmpty()) return found;
                kept = Math.min(overlap, end);
                System.arraycopy(buffer, end - kept, buffer, 0, kept);
            }
        }
        return List.of();
    }

    @Test
    void aNetworkThatKeepsNamesInClearIsNotForAnEncryptedPod() {
        var alone = on(PLAIN_NETWORK);
        alone.create(1);
        var store = bed.root.resolve("not-made");
        var refused = alone.wormhole(
                "join",
                alone.address,
                "--token",
                alone.invite(),
                "--name",
                "pod-9",
                "--mount",
                bed.root.resolve("m9").toString(),
                "--store",
                store.toString(),
                "--listen",
                "10.91.0." + PLAIN_NETWORK + ":7520",
                "--encrypt");
        refused(refused, "founded without encryption");
        assertThat(store).doesNotExist();
        assertThat(alone.status()).doesNotContain("pod-9"); // the name is free
    }
}
