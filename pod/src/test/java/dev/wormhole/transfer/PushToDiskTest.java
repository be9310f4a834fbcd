// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.content.DiskVolume;
import dev.wormhole.content.SliceStore;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The real store at both ends. */
@Timeout(120)
final class PushToDiskTest {
    private static final Duration LONG = Duration.ofSeconds(60);

    @TempDir
    Path directory = Path.of("");

    private SliceStore store(String name) throws IOException {
        var at = Files.createDirectories(directory.resolve(name));
        var config = new SliceStore.Config(1L << 30, 0, 0, 32 << 20, 16 << 20, 32);
        return SliceStore.open(
                new DiskVolume(at),
                config,
                slice -> {
                    throw new IllegalStateException("damaged: " + slice);
                },
                Thread::startVirtualThread,
                new Random(1));
    }

    private static Node node(int number, SliceStore store) throws IOException {
        return new Node(number, store, Peers.Limits.DEFAULT, Server.Limits.DEFAULT, SliceReceiver.Limits.DEFAULT)
                .start();
    }

    @Test
    void whatAPushToldDurableIsThereAfterReopening() throws Exception {
        var expected = new HashMap<SliceId, byte[]>();
        var atB = new ArrayList<SliceId>();
        var atC = new ArrayList<SliceId>();
        try (var storeA = store("a");
                var storeB = store("b");
                var storeC = store("c");
                var a = node(1, storeA);
                var b = node(2, storeB);
                var c = node(3, storeC)) {
            Node.introduce(a, b, c);
            var chain = List.of(b.id, c.id);
            var all = new ArrayList<CompletableFuture<List<Incarnation>>>();
            var random = new Random(17);
            for (var i = 1; i <= 300; i++) {
                var length = i % 30 == 0 ? random.nextInt(5 << 20) : i % 7 == 0 ? 0 : random.nextInt(20_000);
                var bytes = Node.bytes(i, length);
                var slice = a.slice(i);
                try (var writer = storeA.stage(slice, length)) {
                    writer.append(ByteBuffer.wrap(bytes));
                    writer.seal();
                }
                expected.put(slice, bytes);
                if (i == 120) a.to(b).breakAfterWritten.set(3 << 20);
                if (i == 200) a.to(b).flipAfterWritten.set(100_000);
                all.add(a.sender.push(slice, length, chain, LONG));
            }
            // On a busy machine a pod may be silent for its second and be left out; one of them has each slice.
            for (var i = 0; i < all.size(); i++) {
                var have = all.get(i).get(90, TimeUnit.SECONDS);
                assertThat(have).isNotEmpty();
                var slice = a.slice(i + 1);
                if (have.contains(b.id)) atB.add(slice);
                if (have.contains(c.id)) atC.add(slice);
                var into = ByteBuffer.allocate(expected.get(slice).length);
                a.reader.read(slice, have, 0, into);
                assertThat(into.array()).isEqualTo(expected.get(slice));
            }
            // Sent away and back again: a deleted slice can be taken anew.
            var one = a.slice(1);
            storeB.delete(List.of(one));
            assertThat(a.sender
                            .push(one, storeA.length(one), List.of(b.id), LONG)
                            .get())
                    .containsExactly(b.id);
        }
        areThere("b", atB, expected);
        areThere("c", atC, expected);
    }

    private void areThere(String name, List<SliceId> slices, Map<SliceId, byte[]> expected) throws IOException {
        try (var again = store(name)) {
            for (var slice : slices) {
                assertThat(again.isDurable(slice)).as("%s", slice).isTrue();
                var into = ByteBuffer.allocate(expected.get(slice).length);
                while (into.hasRemaining())
                    assertThat(again.read(slice, into.position(), into)).isPositive();
                assertThat(into.array()).as("%s", slice).isEqualTo(expected.get(slice));
            }
        }
    }
}
