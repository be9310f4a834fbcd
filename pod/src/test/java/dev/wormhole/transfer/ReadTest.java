// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
final class ReadTest {
    private static final int LENGTH = (7 << 20) + 4321;

    private final List<Node> open = new ArrayList<>();
    private final byte[] bytes = Node.bytes(42, LENGTH);
    private Node a = new Node(1);
    private Node b = new Node(2);
    private Node c = new Node(3);
    private SliceId slice = b.slice(1);
    private List<Incarnation> holders = List.of();

    @BeforeEach
    void start() throws IOException {
        for (var node : List.of(a, b, c)) open.add(node.start());
        Node.introduce(a, b, c);
        b.memory().put(slice, bytes);
        c.memory().put(slice, bytes);
        holders = List.of(b.id, c.id);
    }

    @AfterEach
    void close() {
        open.forEach(Node::close);
    }

    private byte[] read(long offset, int count) throws Exception {
        var into = ByteBuffer.allocate(count);
        a.reader.read(slice, holders, offset, into);
        assertThat(into.hasRemaining()).isFalse();
        return into.array();
    }

    private byte[] expected(long offset, int count) {
        return Arrays.copyOfRange(bytes, (int) offset, (int) offset + count);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void anyRangeIsWhatTheWriterWrote(long seed) throws Exception {
        var random = new Random(seed);
        for (var i = 0; i < 100; i++) {
            var offset = random.nextInt(LENGTH);
            var count = 1 + random.nextInt(Math.min(LENGTH - offset, random.nextInt(10) == 0 ? 3 << 20 : 100_000));
            assertThat(read(offset, count)).as("seed " + seed).isEqualTo(expected(offset, count));
        }
        assertThat(a.reader.cachedBytes()).isLessThanOrEqualTo(RemoteReader.Limits.DEFAULT.cacheBytesMax());
        assertThatThrownBy(() -> read(LENGTH - 10, 11))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("ends before");
        assertThatThrownBy(() -> read(LENGTH + 100_000, 1)).isInstanceOf(IOException.class);
    }

    @Test
    void readingOnComesAheadInLargeRequests() throws Exception {
        for (var offset = 0; offset + 4096 <= LENGTH; offset += 4096) {
            assertThat(read(offset, 4096)).isEqualTo(expected(offset, 4096));
        }
        var calls =
                a.peers.stats().get(b.id).calls() + a.peers.stats().get(c.id).calls();
        // 113 blocks by 1,793 reads; most came by the megabyte.
        assertThat(calls).isLessThan(40);
    }

    @Test
    void theCacheIsBounded() throws Exception {
        var reader = new RemoteReader(a.peers, new RemoteReader.Limits(1 << 20, 1 << 20, 1 << 20));
        for (var offset = 0; offset + 50_000 <= LENGTH; offset += 50_000) {
            var into = ByteBuffer.allocate(50_000);
            reader.read(slice, holders, offset, into);
            assertThat(into.array()).isEqualTo(expected(offset, 50_000));
            assertThat(reader.cachedBytes()).isLessThanOrEqualTo(1 << 20);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"cut", "down", "damaged", "lost", "stuck", "closed"})
    void anotherHolderGoesOnInTheMiddle(String how) throws Exception {
        var gate = new CountDownLatch(1);
        for (var offset = 0; offset + 100_000 <= LENGTH; offset += 100_000) {
            if (offset == 3_000_000) {
                switch (how) {
                    case "cut" -> a.to(b).cut = true;
                    case "down" -> {
                        a.to(b).down = true;
                        b.server.close();
                    }
                    case "damaged" -> a.to(b).flipAfterRead.set(100_000);
                    case "lost" -> b.memory().delete(List.of(slice));
                    case "stuck" -> b.memory().readGate = gate;
                    case "closed" -> a.peers.forget(b.id);
                    default -> throw new IllegalStateException(how);
                }
            }
            assertThat(read(offset, 100_000)).isEqualTo(expected(offset, 100_000));
        }
        gate.countDown();
    }

    @Test
    void damagedBlocksAreNeverDelivered() throws Exception {
        var random = new Random(99);
        holders = List.of(b.id);
        for (var i = 0; i < 40; i++) {
            a.reader.forget(slice);
            a.to(b).flipAfterRead.set(random.nextInt(70_000));
            var offset = random.nextInt(LENGTH - 100_000);
            assertThat(read(offset, 100_000)).as("seed 99").isEqualTo(expected(offset, 100_000));
        }
    }

    @Test
    void withoutAnyHolderItFailsAndNamesThem() throws Exception {
        a.to(b).cut = true;
        a.to(c).down = true;
        c.server.close();
        assertThatThrownBy(() -> read(0, 100))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("p2")
                .hasMessageContaining("p3");
        // And works again when one returns.
        a.to(b).cut = false;
        a.peers.heard(b.id);
        assertThat(read(0, 100)).isEqualTo(expected(0, 100));
    }

    @Test
    void aSliceThatIsStillArrivingIsNotGiven() throws Exception {
        var staging = b.slice(2);
        try (var writer = b.store.stage(staging, 100)) {
            writer.append(ByteBuffer.wrap(new byte[100]));
            assertThatThrownBy(() -> a.reader.read(staging, List.of(b.id), 0, ByteBuffer.allocate(100)))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("no slice");
        }
    }
}
