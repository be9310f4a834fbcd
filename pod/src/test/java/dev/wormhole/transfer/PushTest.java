// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
final class PushTest {
    private static final Duration LONG = Duration.ofSeconds(20);
    private static final int SMALL = 5000;
    private static final int LARGE = (9 << 20) + 12_345;

    private final List<Node> open = new ArrayList<>();

    private Node node(int number) throws IOException {
        var node = new Node(number).start();
        open.add(node);
        return node;
    }

    @AfterEach
    void close() {
        open.forEach(Node::close);
    }

    private static SliceId sealed(Node node, long counter, byte[] bytes) throws IOException {
        var slice = node.slice(counter);
        try (var writer = node.store.stage(slice, bytes.length)) {
            writer.append(ByteBuffer.wrap(bytes));
            writer.seal();
        }
        return slice;
    }

    private static List<Incarnation> push(Node from, SliceId slice, Node... chain) throws Exception {
        return push(from, slice, LONG, chain).get(40, TimeUnit.SECONDS);
    }

    private static CompletableFuture<List<Incarnation>> push(
            Node from, SliceId slice, Duration deadline, Node... chain) {
        var pods = new ArrayList<Incarnation>();
        for (var node : chain) pods.add(node.id);
        return from.sender.push(slice, from.store.length(slice), pods, deadline);
    }

    private static void has(Node node, SliceId slice, byte[] bytes) {
        assertThat(node.store.isDurable(slice)).isTrue();
        assertThat(node.memory().bytes(slice)).isEqualTo(bytes);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, SMALL, 65_536, 65_537, 262_144, 262_145, 524_288, 1 << 20, LARGE})
    void aChainHasItDurablyWithoutTheWriterHavingSynced(int length) throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        var d = node(4);
        Node.introduce(a, b, c, d);
        var bytes = Node.bytes(length, length);
        var slice = sealed(a, 1, bytes);
        assertThat(push(a, slice, b, c, d)).containsExactlyInAnyOrder(b.id, c.id, d.id);
        for (var node : List.of(b, c, d)) has(node, slice, bytes);
        assertThat(a.store.isDurable(slice)).isFalse();
        // The writer has sent it once.
        assertThat(a.to(c).connects).hasValue(0);
        var sent = a.peers.stats().get(b.id).bytesOut();
        assertThat(push(a, slice, b, c, d)).containsExactlyInAnyOrder(b.id, c.id, d.id);
        if (length > SliceSender.SMALL_BYTES_MAX) {
            assertThat(a.peers.stats().get(b.id).bytesOut() - sent).isLessThan(10_000);
        }
        for (var node : List.of(b, c, d)) assertThat(node.memory().staged).isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(ints = {SMALL, LARGE})
    void aDeadMiddleIsLeftOut(int length) throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        var d = node(4);
        Node.introduce(a, b, c, d);
        b.to(c).cut = true;
        a.to(c).cut = true;
        var bytes = Node.bytes(length, length);
        var slice = sealed(a, 1, bytes);
        assertThat(push(a, slice, b, c, d)).containsExactlyInAnyOrder(b.id, d.id);
        has(b, slice, bytes);
        has(d, slice, bytes);
    }

    @ParameterizedTest
    @ValueSource(ints = {SMALL, LARGE})
    void aDeadEndDoesNotKeepTheLiveOnesAnswerUntilTheDeadline(int length) throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        Node.introduce(a, b, c);
        b.to(c).cut = true;
        a.to(c).cut = true;
        var slice = sealed(a, 1, Node.bytes(1, length));
        // The deadline is longer than the test may take.
        assertThat(push(a, slice, Duration.ofMinutes(10), b, c).get()).containsExactly(b.id);
        has(b, slice, Node.bytes(1, length));
    }

    @ParameterizedTest
    @ValueSource(ints = {SMALL, LARGE})
    void aDeadHeadIsPassedOver(int length) throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        Node.introduce(a, b, c);
        var bytes = Node.bytes(length, length);
        var warm = sealed(a, 9, Node.bytes(1, length));
        assertThat(push(a, warm, b)).containsExactly(b.id);
        a.to(b).cut = true; // in the middle of a standing connection
        var slice = sealed(a, 1, bytes);
        assertThat(push(a, slice, b, c)).containsExactly(c.id);
        has(c, slice, bytes);
    }

    @ParameterizedTest
    @ValueSource(ints = {SMALL, LARGE})
    void aPodThatCannotBeReachedEndsThePushWithNobody(int length) throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        a.to(b).down = true;
        var slice = sealed(a, 1, Node.bytes(1, length));
        assertThat(push(a, slice, b)).isEmpty();
        a.to(b).cut = true;
        a.to(b).down = false;
        assertThat(push(a, slice, Duration.ofMillis(1500), b).get(20, TimeUnit.SECONDS))
                .isEmpty();
    }

    @Test
    void aBrokenPushGoesOnWhereItBroke() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        var bytes = Node.bytes(5, LARGE);
        var slice = sealed(a, 1, bytes);
        a.to(b).breakAfterWritten.set(6 << 20);
        assertThat(push(a, slice, b)).containsExactly(b.id);
        has(b, slice, bytes);
        assertThat(b.memory().staged).isEqualTo(1);
        // Less than the whole again: it did not begin anew.
        assertThat(a.peers.stats().get(b.id).bytesOut()).isLessThan(LARGE + (4 << 20));
    }

    @ParameterizedTest
    @ValueSource(longs = {100, 1000, 70_000, 700_000, 3_000_000})
    void damagedBytesAreNeverStaged(long at) throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        var bytes = Node.bytes(6, LARGE);
        var slice = sealed(a, 1, bytes);
        a.to(b).flipAfterWritten.set(at);
        assertThat(push(a, slice, b)).containsExactly(b.id);
        has(b, slice, bytes);
        assertThat(a.to(b).flipAfterWritten).hasValue(-1);
        var small = sealed(a, 2, Node.bytes(7, SMALL));
        a.to(b).flipAfterWritten.set(at % 4000);
        assertThat(push(a, small, b)).containsExactly(b.id);
        has(b, small, Node.bytes(7, SMALL));
    }

    @ParameterizedTest
    @ValueSource(ints = {SMALL, LARGE})
    void noRoomIsRefusedAndTheRestOfTheChainTakesIt(int length) throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        Node.introduce(a, b, c);
        b.memory().limitBytes = 1000;
        var bytes = Node.bytes(length, length);
        var slice = sealed(a, 1, bytes);
        assertThat(push(a, slice, b, c)).containsExactly(c.id);
        has(c, slice, bytes);
        assertThat(b.memory().length(slice)).isEqualTo(-1);
        assertThat(b.receiver.incomingBytes()).isZero();
        b.memory().limitBytes = 1 << 30;
        assertThat(push(a, slice, b)).containsExactly(b.id);
    }

    @Test
    void aFailedSyncIsNoCopy() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        b.memory().syncFailure = new IOException("disk on fire");
        var small = sealed(a, 1, Node.bytes(1, SMALL));
        var large = sealed(a, 2, Node.bytes(1, LARGE));
        assertThat(push(a, small, b)).isEmpty();
        assertThat(push(a, large, b)).isEmpty();
        b.memory().syncFailure = null;
        assertThat(push(a, small, b)).containsExactly(b.id);
        assertThat(push(a, large, b)).containsExactly(b.id);
        has(b, large, Node.bytes(1, LARGE));
    }

    @Test
    void smallSlicesShareFramesAndSyncs() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        var slices = new ArrayList<SliceId>();
        for (var i = 1; i <= 1000; i++) slices.add(sealed(a, i, Node.bytes(i, 4096)));
        var gate = new CountDownLatch(1);
        b.memory().syncGate = gate;
        var all = a.sender.pushMany(slices, List.of(b.id), LONG);
        gate.countDown();
        for (var one : all) assertThat(one.get(30, TimeUnit.SECONDS)).containsExactly(b.id);
        for (var i = 0; i < 1000; i++) has(b, slices.get(i), Node.bytes(i + 1, 4096));
        assertThat(b.memory().syncs).isLessThan(50);
        assertThat(a.peers.stats().get(b.id).calls()).isLessThan(50);
    }

    @ParameterizedTest
    @ValueSource(ints = {SMALL, LARGE})
    void severalPushesOfOneSliceBecomeOne(int length) throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        Node.introduce(a, b, c);
        var bytes = Node.bytes(length, length);
        var slice = sealed(a, 1, bytes);
        b.memory().put(slice, bytes);
        var gate = new CountDownLatch(1);
        c.memory().syncGate = gate;
        var first = push(a, slice, LONG, c);
        var second = push(b, slice, LONG, c);
        var third = push(a, slice, LONG, c);
        gate.countDown();
        for (var one : List.of(first, second, third))
            assertThat(one.get(30, TimeUnit.SECONDS)).containsExactly(c.id);
        has(c, slice, bytes);
        assertThat(c.memory().staged).isEqualTo(1);
    }

    @Test
    void anotherPodFinishesWhatOneBegan() throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        Node.introduce(a, b, c);
        var bytes = Node.bytes(8, LARGE);
        var slice = sealed(a, 1, bytes);
        b.memory().put(slice, bytes);
        a.to(c).breakAfterWritten.set(4 << 20);
        var lost = push(a, slice, LONG, c);
        var other = push(b, slice, LONG, c);
        assertThat(other.get(30, TimeUnit.SECONDS)).containsExactly(c.id);
        assertThat(lost.get(30, TimeUnit.SECONDS)).containsExactly(c.id);
        has(c, slice, bytes);
        assertThat(c.memory().staged).isEqualTo(1);
    }

    @Test
    void streamsBeyondTheReceiversBoundWaitAndArrive() throws Exception {
        var a = node(1);
        var b = new Node(
                2,
                new MemoryStore(),
                Peers.Limits.DEFAULT,
                Server.Limits.DEFAULT,
                new SliceReceiver.Limits(2, 2L << 20));
        open.add(b);
        b.start();
        Node.introduce(a, b);
        var all = new ArrayList<CompletableFuture<List<Incarnation>>>();
        for (var i = 1; i <= 6; i++) all.add(push(a, sealed(a, i, Node.bytes(i, 1 << 20)), LONG, b));
        for (var one : all) assertThat(one.get(30, TimeUnit.SECONDS)).containsExactly(b.id);
        for (var i = 1; i <= 6; i++) has(b, a.slice(i), Node.bytes(i, 1 << 20));
        assertThat(b.receiver.incomingBytes()).isZero();
    }

    @Test
    void aSlowPeerThatMovesIsNotGivenUp() throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        Node.introduce(a, b, c);
        a.to(b).delayMillis = 60;
        var bytes = Node.bytes(6, LARGE);
        var slice = sealed(a, 1, bytes);
        assertThat(push(a, slice, b, c)).containsExactlyInAnyOrder(b.id, c.id);
        has(b, slice, bytes);
        has(c, slice, bytes);
        assertThat(a.to(c).connects).hasValue(0);
    }

    @Test
    void bulkDoesNotDelayControl() throws Exception {
        var a = node(1);
        var b = new Node(2);
        open.add(b);
        b.server.handle(300, Request::body);
        b.start();
        Node.introduce(a, b);
        // All pushes hang in their syncs, with their streams and groups full of bytes.
        var gate = new CountDownLatch(1);
        b.memory().syncGate = gate;
        var all = new ArrayList<CompletableFuture<List<Incarnation>>>();
        for (var i = 1; i <= 20; i++) {
            all.add(push(a, sealed(a, i, Node.bytes(i, i % 2 == 0 ? SMALL : LARGE)), LONG, b));
        }
        for (var i = 0; i < 100; i++) {
            assertThat(a.peers.await(b.id, 300, new byte[] {3}, LONG).body()).containsExactly(3);
        }
        gate.countDown();
        for (var one : all) assertThat(one.get(30, TimeUnit.SECONDS)).containsExactly(b.id);
    }
}
