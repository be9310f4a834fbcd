// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static dev.wormhole.vfs.Program.O_APPEND;
import static dev.wormhole.vfs.Program.O_CREAT;
import static dev.wormhole.vfs.Program.O_RDWR;
import static dev.wormhole.vfs.Program.async;
import static dev.wormhole.vfs.Program.ok;
import static dev.wormhole.vfs.Program.refusal;
import static dev.wormhole.vfs.SimulatedNetwork.within10Seconds;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.SliceRecord;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a pod that has no room does: it writes through to those that have. */
@Timeout(60)
class FullPodTest {
    private static final int MIB = 1 << 20;

    private SimulatedNetwork network;

    @BeforeEach
    void start() {
        network = new SimulatedNetwork();
        network.settings = SimulatedNetwork.settings(Duration.ofHours(1), Duration.ofSeconds(5));
    }

    @AfterEach
    void stop() throws IOException {
        network.close();
    }

    private static byte[] random(int seed, int length) {
        var bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static List<SliceRecord> slices(SimulatedNetwork.Pod pod, String name) throws Exception {
        var slices = new ArrayList<SliceRecord>();
        for (var extent : pod.view().extents(pod.program().inode(name), 0, Long.MAX_VALUE))
            slices.add(pod.view().slice(extent.slice()));
        return slices;
    }

    /** Writes until there is no more room, and answers how many bytes went in. */
    private static int fill(Program program, String name, int seed, int part, int most) throws Exception {
        byte[] content = random(seed, most);
        long handle = program.open(name, O_RDWR | O_CREAT);
        int at = 0;
        while (at < most) {
            var buffer = ByteBuffer.wrap(content, at, Math.min(part, most - at));
            var answer = program.files().write(handle, at, buffer, 0);
            if (answer instanceof dev.wormhole.model.Answer.Refused<Integer>(Errno errno)) {
                assertThat(errno).isEqualTo(Errno.ENOSPC);
                break;
            }
            at += ok(answer);
        }
        program.close(handle);
        return at;
    }

    private void removeAndCollect(Program program, String... names) throws Exception {
        for (String name : names) program.unlink(name);
        network.settle();
        network.collect();
        network.settle();
    }

    @Test
    void aFullPodWritesThroughToAnotherAndBothReadIt() throws Exception {
        SimulatedNetwork.Pod full = network.add(3 * MIB);
        SimulatedNetwork.Pod roomy = network.add(64 * MIB);
        byte[] bytes = random(1, 10 * MIB);
        long handle = full.program().open("f", O_RDWR | O_CREAT);
        for (int at = 0; at < bytes.length; at += 100_000)
            full.program()
                    .write(handle, at, java.util.Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + 100_000)));
        assertThat(full.program().read(handle, 0, bytes.length)).isEqualTo(bytes); // nothing is committed yet
        full.program().sync(handle);
        assertThat(full.program().read(handle, 0, bytes.length)).isEqualTo(bytes);
        full.program().close(handle);
        assertThat(roomy.program().content("f")).isEqualTo(bytes);
        assertThat(full.store().transitBytes()).isZero();
        for (SliceRecord slice : slices(full, "f")) {
            assertThat(slice.heldBy(roomy.incarnation())).isTrue();
            assertThat(slice.heldBy(full.incarnation())).isEqualTo(full.store().isDurable(slice.slice()));
        }
        roomy.kill(2);
        roomy.start();
        full.kill(3);
        full.start();
        assertThat(roomy.program().content("f")).isEqualTo(bytes);
        assertThat(full.program().content("f")).isEqualTo(bytes);
    }

    @Test
    void afterDeletionAFullPodKeepsNewBytesItselfAgain() throws Exception {
        SimulatedNetwork.Pod full = network.add(2 * MIB);
        SimulatedNetwork.Pod roomy = network.add(64 * MIB);
        full.program().put("old", random(1, 1_500_000));
        full.program().put("through", random(2, 1_500_000));
        network.settle();
        assertThat(slices(full, "through")).anyMatch(slice -> !slice.heldBy(full.incarnation()));
        removeAndCollect(full.program(), "old", "through");
        full.program().put("new", random(3, 1_000_000));
        network.settle();
        assertThat(slices(full, "new")).allMatch(slice -> slice.heldBy(full.incarnation()));
        assertThat(slices(full, "new")).allMatch(slice -> slice.heldBy(roomy.incarnation()));
    }

    @Test
    void aWitnessWritesAndReadsAndASyncIsOnTwoDisks() throws Exception {
        SimulatedNetwork.Pod one = network.add();
        SimulatedNetwork.Pod two = network.add();
        SimulatedNetwork.Pod witness = network.add(0);
        Program program = witness.program();
        byte[] bytes = random(1, 300_000);
        long handle = program.open("f", O_RDWR | O_CREAT);
        program.write(handle, 0, bytes);
        assertThat(program.read(handle, 0, bytes.length)).isEqualTo(bytes);
        long before = network.lastIndex();
        program.sync(handle);
        assertThat(network.commandsAfter(before)).hasSize(1);
        SliceRecord slice = slices(witness, "f").getFirst();
        assertThat(slice.holders())
                .extracting(SliceRecord.Holder::incarnation)
                .containsExactlyInAnyOrder(one.incarnation(), two.incarnation());
        for (SimulatedNetwork.Pod pod : List.of(one, two))
            assertThat(pod.store().isDurable(slice.slice())).isTrue();

        long log = program.open("log", O_RDWR | O_CREAT | O_APPEND);
        for (int i = 0; i < 20; i++) program.write(log, i * 10L, "0123456789".getBytes());
        program.close(log);
        program.close(handle);
        one.kill(1);
        assertThat(two.program().content("f")).isEqualTo(bytes);
        assertThat(program.content("f")).isEqualTo(bytes);
        assertThat(new String(program.content("log"))).isEqualTo("0123456789".repeat(20));
        assertThat(witness.store().transitBytes()).isZero();
        assertThat(witness.store().usage().slices()).isZero();
    }

    @Test
    void aSyncWaitsForTheSecondDiskAndACloseForTheFirst() throws Exception {
        SimulatedNetwork.Pod one = network.add();
        SimulatedNetwork.Pod two = network.add(10 * MIB);
        SimulatedNetwork.Pod witness = network.add(0);
        Program program = witness.program();
        two.store().full = true; // and nobody knows
        two.toldRoom = 10 * MIB;
        long handle = program.open("f", O_RDWR | O_CREAT);
        program.write(handle, 0, random(1, 1000));
        CompletableFuture<Void> syncing = async(() -> ok(program.files().sync(handle, false)));
        assertThatThrownBy(() -> syncing.get(300, TimeUnit.MILLISECONDS)).isInstanceOf(TimeoutException.class);
        two.store().full = false;
        within10Seconds(syncing);
        assertThat(slices(witness, "f").getFirst().holders()).hasSize(2);

        two.store().full = true;
        program.write(handle, 0, random(2, 1000));
        program.close(handle);
        assertThat(slices(witness, "f").getFirst().holders())
                .extracting(SliceRecord.Holder::incarnation)
                .containsExactly(one.incarnation());
        assertThat(one.program().content("f")).isEqualTo(random(2, 1000));
    }

    @Test
    void aSyncIsContentWithThisPodWhenTheOtherOneIsFull() throws Exception {
        SimulatedNetwork.Pod full = network.add(0);
        SimulatedNetwork.Pod late = network.add(2 * MIB);
        SimulatedNetwork.Pod roomy = network.add();
        full.program().put("x", random(1, 10));
        assertThat(fill(late.program(), "y", 2, 100_000, 2 * MIB)).isEqualTo(2 * MIB);
        long handle = roomy.program().open("f", O_RDWR | O_CREAT);
        roomy.program().write(handle, 0, random(3, 500_000));
        roomy.program().sync(handle);
        assertThat(slices(roomy, "f").getFirst().holders()).hasSize(1);
        roomy.program().close(handle);
    }

    @Test
    void aFullNetworkRefusesAndTakesAgainAfterDeletions() throws Exception {
        SimulatedNetwork.Pod one = network.add(3 * MIB);
        SimulatedNetwork.Pod two = network.add(5 * MIB);
        Program program = one.program();
        network.wish = new Replication.Wish(1, 1, false);
        for (int round = 0; round < 3; round++) {
            int some = fill(program, "a", round, 70_000, 20 * MIB);
            int more = fill(two.program(), "b", round, 70_000, 20 * MIB);
            assertThat(some + more).isBetween(6 * MIB, 8 * MIB);
            assertThat(refusal(() -> {
                        program.put("c", random(9, 100_000));
                        return null;
                    }))
                    .isEqualTo(Errno.ENOSPC);
            assertThat(program.content("a")).isEqualTo(java.util.Arrays.copyOf(random(round, 20 * MIB), some));
            assertThat(program.content("b")).isEqualTo(java.util.Arrays.copyOf(random(round, 20 * MIB), more));
            removeAndCollect(program, "a", "b", "c");
            assertThat(one.store().usage().slices() + two.store().usage().slices())
                    .isZero();
            assertThat(one.store().transitBytes()).isZero();
        }
    }

    @Test
    void bytesThatFindNoRoomAfterAllStayAndAreReportedUntilThereIs() throws Exception {
        SimulatedNetwork.Pod full = network.add(0);
        SimulatedNetwork.Pod other = network.add();
        Program program = full.program();
        byte[] bytes = random(1, 50_000);
        long handle = program.open("f", O_RDWR | O_CREAT);
        program.write(handle, 0, bytes); // taken: the other one has room
        other.toldRoom = 1L << 30;
        other.store().full = true;
        assertThat(refusal(() -> ok(program.files().sync(handle, false)))).isEqualTo(Errno.ENOSPC);
        assertThat(refusal(() -> ok(program.files().flush(handle)))).isEqualTo(Errno.ENOSPC);
        assertThat(program.read(handle, 0, bytes.length)).isEqualTo(bytes);
        assertThat(other.program().content("f")).isEmpty();
        other.toldRoom = -1; // now everybody knows
        assertThat(refusal(() -> ok(program.files().write(handle, 0, ByteBuffer.wrap(new byte[10]), 0))))
                .isEqualTo(Errno.ENOSPC);
        other.store().full = false;
        program.sync(handle);
        program.close(handle);
        assertThat(other.program().content("f")).isEqualTo(bytes);
        assertThat(full.store().transitBytes()).isZero();
    }

    @Test
    void bytesThatFindNoRoomElsewhereStayHereOnceThereIsRoom() throws Exception {
        SimulatedNetwork.Pod full = network.add(2 * MIB);
        SimulatedNetwork.Pod other = network.add(64 * MIB);
        Program program = full.program();
        program.put("old", random(1, 1_900_000));
        byte[] bytes = random(2, 400_000);
        long handle = program.open("f", O_RDWR | O_CREAT);
        program.write(handle, 0, bytes);
        assertThat(full.store().transitBytes()).isPositive();
        other.store().full = true;
        assertThat(refusal(() -> ok(program.files().flush(handle)))).isEqualTo(Errno.ENOSPC);
        removeAndCollect(program, "old");
        program.close(handle);
        assertThat(full.store().transitBytes()).isZero();
        assertThat(slices(full, "f")).allMatch(slice -> slice.heldBy(full.incarnation()));
        assertThat(program.content("f")).isEqualTo(bytes);
    }

    @Test
    void aFileThatIsRemovedFreesItsBytesInTransit() throws Exception {
        SimulatedNetwork.Pod full = network.add(0);
        SimulatedNetwork.Pod other = network.add();
        Program program = full.program();
        long handle = program.open("f", O_RDWR | O_CREAT);
        program.write(handle, 0, random(1, 50_000));
        other.store().full = true;
        assertThat(refusal(() -> {
                    program.close(handle);
                    return null;
                }))
                .isEqualTo(Errno.ENOSPC);
        program.unlink("f");
        network.settle();
        network.collect();
        network.settle();
        other.store().full = false;
        long next = program.open("g", O_RDWR | O_CREAT);
        program.write(next, 0, random(2, 50_000));
        program.close(next);
        full.files().close();
        assertThat(full.store().transitBytes()).isZero();
        assertThat(other.program().content("g")).isEqualTo(random(2, 50_000));
    }

    @Test
    void writersWaitWhileTooMuchIsInTransit() throws Exception {
        SimulatedNetwork.Pod witness = network.add(0);
        SimulatedNetwork.Pod other = network.add(512 * MIB);
        Program program = witness.program();
        network.pushGate = new CountDownLatch(1);
        byte[] part = random(1, MIB);
        CompletableFuture<Void> writing = async(() -> {
            long handle = program.open("f", O_RDWR | O_CREAT);
            for (int i = 0; i < 100; i++) program.write(handle, (long) i * MIB, part);
            program.close(handle);
            return null;
        });
        assertThatThrownBy(() -> writing.get(1, TimeUnit.SECONDS)).isInstanceOf(TimeoutException.class);
        assertThat(witness.store().transitBytes()).isBetween(32L * MIB, 64L * MIB);
        network.pushGate.countDown();
        within10Seconds(writing);
        assertThat(witness.store().transitBytes()).isZero();
        long handle = other.program().open("f", 0);
        for (int i = 0; i < 100; i++)
            assertThat(other.program().read(handle, (long) i * MIB, MIB)).isEqualTo(part);
    }

    @Test
    void aSliceThatNoMemberHasIsNotCommitted() throws Exception {
        SimulatedNetwork.Pod one = network.add();
        one.program().put("f", new byte[10]);
        var slice = new SliceId(dev.wormhole.model.Ids.of(one.incarnation().number(), 1L << 30));
        for (List<Incarnation> nobody : List.of(List.<Incarnation>of(), List.of(new Incarnation(77))))
            assertThat(one.await(new Command.Write(
                            one.program().inode("f"),
                            0,
                            List.of(new Command.NewSlice(slice, 10, nobody)),
                            List.of(new dev.wormhole.model.Extent(0, 10, slice, 0)),
                            10,
                            network.now(),
                            1,
                            false)))
                    .isEqualTo(new dev.wormhole.namespace.Outcome.Refused(Errno.ESTALE));
    }
}
