// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/** The store's own small files: header and ids. */
final class StoreFilesTest {
    private static final StoreHeader HEADER =
            new StoreHeader("hüttchen", new UUID(1, -2), 3, new Incarnation(4), -5, 6, 7);

    @Test
    void headerIsTheOldOrTheNewOneAfterEveryCrash() throws IOException {
        var seen = new HashSet<Long>();
        for (int seed = 0; seed < 300; seed++) {
            var volume = new CrashingVolume();
            HEADER.write(volume);
            volume.cutPowerAfter(new Random(seed).nextInt(7));
            boolean written = false;
            try {
                HEADER.started().write(volume);
                written = true;
            } catch (IOException power) {
                assertThat(power).hasMessageContaining("power");
            }
            volume.crash(seed);
            var header = StoreHeader.read(volume).orElseThrow();
            assertThat(header).isIn(HEADER, HEADER.started());
            if (written) assertThat(header).as("seed %s", seed).isEqualTo(HEADER.started());
            seen.add(header.startCount());
        }
        assertThat(seen).containsExactlyInAnyOrder(6L, 7L);
    }

    @Test
    void everyFlippedBitOfHeaderAndIdsIsNoticed() throws IOException {
        var volume = new CrashingVolume();
        assertThat(StoreHeader.read(volume)).isEmpty();
        HEADER.write(volume);
        long bits = volume.list("").getFirst().bytes() * 8;
        for (long bit = 0; bit < bits; bit++) {
            volume.flipBit(StoreHeader.FILE, bit);
            assertThatThrownBy(() -> StoreHeader.read(volume)).isInstanceOf(IOException.class);
            volume.flipBit(StoreHeader.FILE, bit);
        }
        assertThat(StoreHeader.read(volume)).contains(HEADER);
        assertThat(IdSource.create(volume, new Incarnation(4)).next()).isEqualTo(Ids.of(4, 1));
        for (long bit = 0; bit < 32 * 8; bit++) {
            volume.flipBit(IdSource.FILE, bit);
            assertThatThrownBy(() -> IdSource.open(volume, new Incarnation(4))).isInstanceOf(IOException.class);
            volume.flipBit(IdSource.FILE, bit);
        }
    }

    @Test
    void noIdComesTwiceWhateverCrashes() throws IOException {
        for (int seed = 0; seed < 40; seed++) {
            var random = new Random(seed);
            var volume = new CrashingVolume();
            long last = 0;
            var ids = IdSource.create(volume, new Incarnation(9));
            for (int life = 0; life < 5; life++) {
                assertThat(ids.settledBefore()).as("seed %s", seed).isGreaterThan(last);
                volume.cutPowerAfter(random.nextInt(12));
                try {
                    int count = random.nextInt(3 * IdSource.BLOCK);
                    for (int i = 0; i < count; i++) {
                        long id = ids.next();
                        if (id <= last) throw new AssertionError("seed " + seed + ": " + id + " after " + last);
                        last = id;
                    }
                } catch (IOException power) {
                    assertThat(power).hasMessageContaining("power");
                }
                volume.crash(seed * 7L + life);
                ids = IdSource.open(volume, new Incarnation(9));
            }
        }
    }

    @Test
    void threadsNeverShareAnId() throws Exception {
        var ids = IdSource.create(new CrashingVolume(), new Incarnation(9));
        Set<Long> seen = ConcurrentHashMap.newKeySet();
        int each = IdSource.BLOCK;
        try (var executor = Executors.newFixedThreadPool(4)) {
            var results = new java.util.ArrayList<Future<?>>();
            for (int t = 0; t < 4; t++) {
                results.add(executor.submit(() -> {
                    for (int i = 0; i < each; i++) {
                        if (!seen.add(ids.next())) throw new AssertionError("an id came twice");
                    }
                    return null;
                }));
            }
            for (var result : results) result.get();
        }
        assertThat(seen).hasSize(4 * each);
    }

    @Test
    void idsOfAnotherIncarnationAreNotContinued() throws IOException {
        var volume = new CrashingVolume();
        assertThatThrownBy(() -> IdSource.open(volume, new Incarnation(1))).hasMessageContaining("new incarnation");
        IdSource.create(volume, new Incarnation(1));
        assertThatThrownBy(() -> IdSource.open(volume, new Incarnation(2))).hasMessageContaining("incarnation 1");
        assertThatThrownBy(() -> IdSource.create(volume, new Incarnation(1))).isInstanceOf(IllegalStateException.class);
        assertThat(IdSource.create(volume, new Incarnation(2)).next()).isEqualTo(Ids.of(2, 1));
    }
}
