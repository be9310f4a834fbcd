// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.Testbed.await;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * A network whose majority is lost, and goes on without it: two of three pods die having acknowledged what the third never
 * heard, and come back when it has gone on.
 */
final class ReformIT {
    private static final String LATE = "acknowledged by two pods and never heard of by the third";

    private Testbed bed;

    @AfterEach
    void stop() {
        if (bed == null) return;
        // Of the second pod on its machine, where the test ended before it left.
        on(2).run("umount", "-l", bed.root.resolve("replaced").toString());
        bed.close();
    }

    private Testbed.Machine on(int number) {
        return bed.machine(number);
    }

    private Shell.Result at(int number, String... command) {
        var arguments = new ArrayList<>(List.of(command));
        arguments.addAll(List.of("--store", on(number).store.toString()));
        return on(number).wormhole(arguments.toArray(String[]::new));
    }

    private void three() throws IOException {
        bed = new Testbed(4);
        on(1).create(3);
        on(2).join(on(1));
        on(3).join(on(1));
        Files.writeString(on(1).mount.resolve("before"), "of all three");
        at(1, "sync").orFail("sync");
        await("three voters", 30, () -> on(1).status().split("\"voter\": true", -1).length == 4);
    }

    /** The third is cut off, the others go on, and die. */
    private void loseTheMajority() throws IOException {
        on(3).cut();
        await("the third is not waited for", 20, () -> on(1).status().contains("\"late\""));
        Files.writeString(on(1).mount.resolve("late"), LATE);
        at(1, "sync").orFail("sync");
        on(1).kill();
        on(2).kill();
        // It stays cut off: their machines' kernels would still send what they had not sent yet.
        await("the third has lost the network", 20, () -> on(3).status().contains("lost the network"));
    }

    private boolean hasLateBytes(int number) {
        return on(number)
                        .run("grep", "-rqaF", LATE, on(number).store.toString())
                        .status()
                == 0;
    }

    private boolean runs(int number) {
        try {
            return on(number).pid() > 0;
        } catch (AssertionError gone) {
            return false;
        }
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException none) {
            return "";
        }
    }

    /** Without the authority's key, so with a new authority; pods that return are out, and one is taken in again. */
    @Test
    void aSurvivorGoesOnAndTheOldMajorityServesNoMore() throws Exception {
        three();
        var tooEarly = at(3, "reform", "--yes");
        assertThat(tooEarly.status()).as(tooEarly.output()).isEqualTo(4);
        assertThat(tooEarly.output()).contains("the network has a leader");
        loseTheMajority();
        assertThat(at(3, "reform").output()).contains("What cannot be known here", "nothing was done");
        assertThat(at(3, "reform", "--yes", "--without", "nas").output()).contains("there is no pod named nas");

        var reformed = at(3, "reform", "--yes", "--without", "pod-1,pod-2").orFail("reform");
        assertThat(reformed.output())
                .contains("new authority", "pod-1 is thrown out", "does not answer", "generation 2");
        on(3).reconnect();
        assertThat(on(3).mount.resolve("before")).hasContent("of all three");
        assertThat(on(3).mount.resolve("late")).doesNotExist();
        Files.writeString(on(3).mount.resolve("after"), "of the third alone");
        assertThat(at(3, "pods").output()).contains("pod-3").doesNotContain("pod-1", "pod-2");

        // The majority of the old voters is back, with all it needs to elect a leader.
        assertThat(hasLateBytes(1)).isTrue();
        Testbed.all(machine -> machine.wormhole("up", machine.name), List.of(on(1), on(2)));
        await("the old majority serves no more", 30, () -> !runs(1) && !runs(2));
        for (int old : new int[] {1, 2}) {
            assertThat(read(on(old).mount.resolve("before"))).isEmpty();
            assertThat(hasLateBytes(old)).isTrue();
            var again = on(old).wormhole("up", on(old).name);
            assertThat(again.status()).isNotZero();
            assertThat(again.output())
                    .contains(
                            "re-formed without this pod", "pod-3 began generation 2", "keeps every byte", "join 10.91");
        }
        assertThat(read(on(3).mount.resolve("after"))).isEqualTo("of the third alone");

        // One of them is taken in again, with what its store has, and with what only it knows of.
        var token = on(3).invite("--admin");
        on(1).wormhole(
                        "join",
                        on(3).address,
                        "--token",
                        token,
                        "--store",
                        on(1).store.toString())
                .orFail("join with the old store");
        assertThat(on(1).mount.resolve("after")).hasContent("of the third alone");
        assertThat(on(1).mount.resolve("before")).hasContent("of all three");
        Files.writeString(on(1).mount.resolve("together"), "again");
        assertThat(on(3).mount.resolve("together")).hasContent("again");
        assertThat(hasLateBytes(1)).isTrue();
        await(
                "its copies count again",
                20,
                () -> at(3, "explain", on(3).mount.resolve("before").toString())
                        .output()
                        .contains("pod-1"));
        assertThat(at(3, "administrators").output()).contains("pod-1");

        replaceADeadPod();
    }

    /** Its place is taken only when it is gone, and only with an invitation for that. */
    private void replaceADeadPod() throws Exception {
        var alive = at(3, "invite", "--replace", "pod-1");
        assertThat(alive.status()).as(alive.output()).isEqualTo(4);
        assertThat(alive.output()).contains("pod pod-1 is there");
        on(4).join(on(3));
        await("three voters", 30, () -> on(3).status().split("\"voter\": true", -1).length == 4);
        on(1).kill();
        await("pod-1 is late", 20, () -> on(3).status().contains("\"late\""));
        var store = bed.root.resolve("replacement");
        var mount = bed.root.resolve("replaced");
        var plain = replaceWith(on(3).invite(), store, mount);
        assertThat(plain.output()).contains("a pod named pod-1 is a member already", "wormhole invite --replace pod-1");
        replaceWith(on(3).invite("--replace", "pod-1"), store, mount).orFail("replace");
        assertThat(mount.resolve("after")).hasContent("of the third alone");
        assertThat(at(3, "pods", "--json").output().split("\"pod-1\"", -1)).hasSize(2);
        on(2).wormhole("leave", "--store", store.toString()).orFail("leave");
    }

    private Shell.Result replaceWith(String token, Path store, Path mount) {
        return on(2).wormhole(
                        "join",
                        on(3).address,
                        "--token",
                        token,
                        "--replace",
                        "pod-1",
                        "--mount",
                        mount.toString(),
                        "--store",
                        store.toString(),
                        "--listen",
                        "10.91.0.2:7520");
    }

    /** With the authority's key: those that stay go over by themselves. */
    @Test
    void thoseThatStayFollowByThemselves() throws Exception {
        three();
        at(1, "administrators", "--add", "pod-3").orFail("add");
        await("the key is there", 20, () -> Files.exists(on(3).store.resolve("keys/authority.key")));
        loseTheMajority();
        at(3, "reform", "--yes", "--without", "pod-2").orFail("reform");
        on(3).reconnect();
        Files.writeString(on(3).mount.resolve("after"), "of the third alone");
        Testbed.all(machine -> machine.wormhole("up", machine.name), List.of(on(1), on(2)));
        await("the first follows", 40, () -> read(on(1).mount.resolve("after")).equals("of the third alone"));
        await("the second is out", 30, () -> !runs(2));
        assertThat(on(1).mount.resolve("before")).hasContent("of all three");
        assertThat(on(1).mount.resolve("late")).doesNotExist();
        assertThat(hasLateBytes(1)).isTrue();
        Files.writeString(on(1).mount.resolve("together"), "again");
        assertThat(on(3).mount.resolve("together")).hasContent("again");
    }
}
