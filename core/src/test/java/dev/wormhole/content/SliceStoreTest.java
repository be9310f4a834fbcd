// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Ids;
import dev.wormhole.model.SliceId;
import dev.wormhole.seal.Secret;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the store promises, on a volume in memory that can fail in every way. */
class SliceStoreTest {
    private static final int BLOCK = ContentStore.BLOCK_BYTES;
    private static final int MIB = 1 << 20;
    private static final SliceStore.Config SMALL_PACKS = new SliceStore.Config(1L << 40, 0, 0, 8 * MIB, 256 << 10, 16);

    /** More for a night: -Dwormhole.crash.runs=1000. */
    private static final int RUNS_A_SEED = Integer.getInteger("wormhole.crash.runs", 6);

    private final CrashingVolume volume = new CrashingVolume();
    private final Set<SliceId> damaged = ConcurrentHashMap.newKeySet();

    /** What the store seals its slices with; none here. */
    Optional<Secret> key() {
        return Optional.empty();
    }

    private SliceStore openOn(
            Volume disk, SliceStore.Config config, Consumer<SliceId> damaged, Executor maintenance, Random random)
            throws IOException {
        return SliceStore.open(disk, config, damaged, maintenance, random, key());
    }

    private SliceStore open() throws IOException {
        return open(SMALL_PACKS);
    }

    private SliceStore open(SliceStore.Config config) throws IOException {
        return openOn(volume, config, damaged::add, Runnable::run, new Random(1));
    }

    static SliceId id(long counter) {
        return new SliceId(Ids.of(7, counter));
    }

    /** Bytes that tell their slice. */
    static byte[] content(SliceId slice, int length) {
        var bytes = ByteBuffer.allocate(length + 7 & ~7);
        long state = slice.value();
        while (bytes.hasRemaining()) {
            state = (state + 0x9E3779B97F4A7C15L) * 0xD1342543DE82EF95L;
            bytes.putLong(state ^ state >>> 29);
        }
        return Arrays.copyOf(bytes.array(), length);
    }

    static void put(ContentStore store, SliceId slice, byte[] bytes, long hint) throws IOException {
        try (var writer = store.stage(slice, hint)) {
            writer.append(ByteBuffer.wrap(bytes));
            writer.seal();
        }
    }

    static byte[] get(ContentStore store, SliceId slice) throws IOException {
        return get(store, slice, 0, (int) store.length(slice), false);
    }

    static byte[] get(ContentStore store, SliceId slice, long offset, int count, boolean direct) throws IOException {
        var into = direct ? ByteBuffer.allocateDirect(count) : ByteBuffer.allocate(count);
        int n = store.read(slice, offset, into);
        byte[] bytes = new byte[Math.max(0, n)];
        into.flip().get(bytes);
        return bytes;
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77, MIB, MIB + 1, 3 * MIB + 5, 4 * MIB})
    void everyLengthIsReadBackAtEveryStage(int length) throws IOException {
        SliceId slice = id(length + 1);
        byte[] bytes = content(slice, length);
        for (long hint : new long[] {0, length}) {
            try (var store = open()) {
                var random = new Random(length);
                var writer = store.stage(slice, hint);
                for (int at = 0; at < length; ) {
                    int n = Math.min(length - at, 1 + random.nextInt(random.nextBoolean() ? 3 * BLOCK : 5000));
                    var part = random.nextBoolean() ? ByteBuffer.allocate(n) : ByteBuffer.allocateDirect(n);
                    writer.append(part.put(bytes, at, n).flip());
                    at += n;
                    if (random.nextInt(20) == 0 || at == length) {
                        assertThat(Arrays.equals(get(store, slice), Arrays.copyOf(bytes, at)))
                                .isTrue();
                    }
                }
                writer.seal();
                assertThat(Arrays.equals(get(store, slice), bytes)).isTrue();
                assertThat(store.isDurable(slice)).isFalse();
                store.sync(List.of(slice));
                assertThat(store.isDurable(slice)).isTrue();
                checkReads(store, slice, bytes, random);
                assertThat(store.stagedMemoryBytes()).isZero();
            }
            volume.crash(length);
            try (var store = open()) {
                checkReads(store, slice, bytes, new Random(length));
                store.verify(slice);
                long used = store.usage().usedBytes();
                assertThat(used)
                        .isBetween((long) length, 2L * length + 10_000L); // the first may be dead and not reclaimed
                store.delete(List.of(slice));
                assertThat(store.length(slice)).isEqualTo(-1);
                assertThatThrownBy(() -> get(store, slice, 0, 1, false)).isInstanceOf(UnknownSliceException.class);
            }
        }
        assertThat(damaged).isEmpty();
    }

    private static void checkReads(SliceStore store, SliceId slice, byte[] bytes, Random random) throws IOException {
        assertThat(store.length(slice)).isEqualTo(bytes.length);
        assertThat(store.read(slice, bytes.length, ByteBuffer.allocate(1))).isEqualTo(-1);
        assertThat(Arrays.equals(get(store, slice), bytes)).isTrue();
        assertThat(Arrays.equals(get(store, slice, 0, bytes.length + 10, true), bytes))
                .isTrue();
        for (int i = 0; i < 30 && bytes.length > 0; i++) {
            int from = random.nextInt(bytes.length);
            if (random.nextBoolean()) from = from / BLOCK * BLOCK;
            int count = 1 + random.nextInt(random.nextBoolean() ? 100 : bytes.length);
            byte[] expected = Arrays.copyOfRange(bytes, from, Math.min(bytes.length, from + count));
            assertThat(Arrays.equals(get(store, slice, from, count, random.nextBoolean()), expected))
                    .isTrue();
        }
    }

    /** Random work, power cuts at any instant, and a model of what must be there. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void whatWasSyncedSurvivesEveryCrash(long firstSeed) throws IOException {
        for (long seed = firstSeed * 1000; seed < firstSeed * 1000 + RUNS_A_SEED; seed++) {
            try {
                new CrashRun(seed).run();
            } catch (Throwable e) {
                throw new AssertionError("seed " + seed + ": " + e, e);
            }
        }
    }

    /** The daemon dies between write and sync, the machine only later: what opening found must not go any more. */
    @Test
    void whatAnOpenStoreCallsDurableIs() throws IOException {
        for (int seed = 0; seed < 20; seed++) {
            var disk = new CrashingVolume();
            var store = openOn(disk, SMALL_PACKS, damaged::add, Runnable::run, new Random(1));
            put(store, id(1), content(id(1), 5000), 0);
            store.sync(List.of(id(1)));
            put(store, id(2), content(id(2), 5000), 0);
            disk.cutPowerAfter(1);
            assertThatThrownBy(() -> store.sync(List.of(id(2)))).isInstanceOf(IOException.class);
            disk.kill();
            var again = openOn(disk, SMALL_PACKS, damaged::add, Runnable::run, new Random(2));
            assertThat(again.isDurable(id(2))).isTrue();
            disk.crash(seed);
            var last = openOn(disk, SMALL_PACKS, damaged::add, Runnable::run, new Random(3));
            assertThat(get(last, id(2))).isEqualTo(content(id(2), 5000));
        }
    }

    private final class CrashRun {
        private final Random random;
        private final long seed;
        private final CrashingVolume volume = new CrashingVolume();
        private final Set<SliceId> damaged = new HashSet<>();
        private final java.util.TreeMap<SliceId, Integer> synced = new java.util.TreeMap<>();
        private final java.util.TreeMap<SliceId, Integer> sealed = new java.util.TreeMap<>();
        private final java.util.TreeMap<SliceId, Integer> doubtful = new java.util.TreeMap<>();
        private final List<ContentStore.SliceWriter> open = new ArrayList<>();
        private long next = 1;

        CrashRun(long seed) {
            this.seed = seed;
            this.random = new Random(seed);
        }

        void run() throws IOException {
            for (int life = 0; life < 6; life++) {
                var store = openOn(
                        volume,
                        new SliceStore.Config(1L << 40, 0, 4096, random.nextBoolean() ? 200_000 : 8 * MIB, 64 << 10, 8),
                        damaged::add,
                        Runnable::run,
                        random);
                check(store);
                volume.cutPowerAfter(random.nextInt(400));
                try {
                    for (int i = 0; i < 150; i++) step(store);
                    if (random.nextBoolean()) store.close();
                } catch (IOException power) {
                    assertThat(power.getMessage()).isNotNull();
                }
                doubtful.putAll(sealed);
                sealed.clear();
                open.clear();
                if (random.nextInt(3) == 0) volume.kill();
                else volume.crash(seed * 31 + life);
            }
        }

        private void check(SliceStore store) throws IOException {
            for (var entry : synced.entrySet()) expectWhole(store, entry.getKey(), entry.getValue());
            for (var entry : doubtful.entrySet()) {
                if (store.length(entry.getKey()) >= 0) expectWhole(store, entry.getKey(), entry.getValue());
            }
            for (SliceId slice : damaged) assertThat(synced.keySet()).doesNotContain(slice);
            damaged.clear();
            var there = new ArrayList<SliceId>();
            store.forEachDurable(there::add);
            assertThat(there).containsAll(synced.keySet()).doesNotHaveDuplicates();
            there.removeAll(synced.keySet());
            assertThat(doubtful.keySet()).containsAll(there);
            for (SliceId slice : List.copyOf(there)) { // an open store calls them durable: the log may name them
                if (random.nextBoolean()) continue;
                there.remove(slice);
                synced.put(slice, doubtful.getOrDefault(slice, -1));
                doubtful.remove(slice);
            }
            store.delete(there); // what the pod does with what the log does not name
            assertThat(store.usage().slices()).isEqualTo(synced.size());
            assertThat(store.usage().fault()).isNull();
        }

        private void expectWhole(SliceStore store, SliceId slice, int length) throws IOException {
            assertThat(Arrays.equals(get(store, slice), content(slice, length)))
                    .as("%s of %s bytes", slice, length)
                    .isTrue();
            store.verify(slice);
        }

        private SliceId any(java.util.TreeMap<SliceId, Integer> slices) {
            return List.copyOf(slices.keySet()).get(random.nextInt(slices.size()));
        }

        private void step(SliceStore store) throws IOException {
            switch (random.nextInt(10)) {
                case 0, 1, 2, 3 -> {
                    SliceId slice = id(next++);
                    int length = switch (random.nextInt(12)) {
                        case 0 -> MIB + random.nextInt(MIB);
                        case 1 -> random.nextInt(3 * BLOCK);
                        default -> random.nextInt(9000);
                    };
                    boolean again = !doubtful.isEmpty() && random.nextInt(8) == 0;
                    if (again) { // a slice that was deleted or lost comes once more
                        slice = any(doubtful);
                        length = doubtful.getOrDefault(slice, 0);
                        if (store.length(slice) >= 0) return;
                    }
                    doubtful.put(slice, length);
                    put(store, slice, content(slice, length), random.nextBoolean() ? length : 0);
                    doubtful.remove(slice);
                    sealed.put(slice, length);
                }
                case 4 -> {
                    var writer = store.stage(id(next++), random.nextInt(2 * MIB));
                    writer.append(ByteBuffer.wrap(new byte[random.nextInt(MIB)]));
                    open.add(writer);
                    if (open.size() > 3) open.removeFirst().close();
                }
                case 5, 6 -> {
                    if (sealed.isEmpty()) return;
                    var some = new java.util.TreeMap<>(sealed);
                    if (random.nextBoolean()) some.keySet().removeIf(slice -> random.nextBoolean());
                    store.sync(some.keySet());
                    synced.putAll(some);
                    sealed.keySet().removeAll(some.keySet());
                }
                case 7, 8 -> {
                    var from = random.nextInt(4) > 0 ? synced : sealed;
                    var gone = new ArrayList<SliceId>();
                    int rate = 1 + random.nextInt(8);
                    for (var entry : from.entrySet()) {
                        if (random.nextInt(rate) != 0) continue;
                        gone.add(entry.getKey());
                        doubtful.put(entry.getKey(), entry.getValue());
                    }
                    from.keySet().removeAll(gone);
                    store.delete(gone);
                    for (SliceId slice : gone) assertThat(store.length(slice)).isEqualTo(-1);
                }
                default -> {
                    var from = random.nextBoolean() ? synced : sealed;
                    if (!from.isEmpty()) {
                        SliceId slice = any(from);
                        expectRead(store, slice, from.getOrDefault(slice, 0));
                    }
                }
            }
        }

        private void expectRead(SliceStore store, SliceId slice, int length) throws IOException {
            byte[] bytes = content(slice, length);
            int from = random.nextInt(length + 1);
            int count = random.nextInt(length + 1);
            byte[] expected = Arrays.copyOfRange(bytes, from, Math.min(length, from + count));
            assertThat(Arrays.equals(get(store, slice, from, count, random.nextBoolean()), expected))
                    .as("%s at %s", slice, from)
                    .isTrue();
        }
    }

    @Test
    void noFlippedBitIsEverDelivered() throws IOException {
        long seed = 42;
        var random = new Random(seed);
        int[] lengths = {100, 4096, BLOCK, 3 * BLOCK + 5, MIB + 77};
        int detected = 0;
        for (int round = 0; round < 300; round++) {
            var disk = new CrashingVolume();
            int length = lengths[round % lengths.length];
            SliceId slice = id(9);
            byte[] bytes = content(slice, length);
            var config = new SliceStore.Config(1L << 40, 0, 0, 8 * MIB, MIB, 8);
            try (var store = openOn(disk, config, damaged::add, Runnable::run, random)) {
                put(store, slice, bytes, 0);
                store.sync(List.of(slice));
                boolean own = length > MIB;
                String path = own ? OwnFile.path(slice, OwnFile.SUFFIX) : PackFormat.packPath(1);
                String directory = AtomicFile.directoryOf(path);
                long size = disk.list(directory).getFirst().bytes();
                int from = own ? OwnFile.DATA_START : PackFormat.HEADER_BYTES + PackFormat.RECORD_HEADER_BYTES;
                disk.flipBit(path, from * 8L + random.nextLong((size - from) * 8));
                var into = random.nextBoolean() ? ByteBuffer.allocateDirect(length) : ByteBuffer.allocate(length);
                try {
                    store.read(slice, 0, into);
                    byte[] got = new byte[length];
                    into.flip().get(got); // a bit of padding or of the footer: the data must be right
                    assertThat(Arrays.equals(got, bytes))
                            .as("seed %s round %s", seed, round)
                            .isTrue();
                } catch (CorruptSliceException e) {
                    detected++;
                    assertThat(into.position()).isZero();
                    for (int i = 0; i < length; i++) {
                        if (into.get(i) != 0) throw new AssertionError("a byte of a bad block was delivered");
                    }
                    assertThatThrownBy(() -> store.verify(slice)).isInstanceOf(CorruptSliceException.class);
                }
            }
        }
        assertThat(detected).isGreaterThan(250);
    }

    @Test
    void damageInAPackIsReportedWhenItIsScannedAndTheRestIsThere() throws IOException {
        var slices = new ArrayList<SliceId>();
        var offsets = new ArrayList<Integer>();
        var store = open();
        int offset = PackFormat.HEADER_BYTES;
        for (int i = 1; i <= 10; i++) {
            SliceId slice = id(i);
            slices.add(slice);
            offsets.add(offset);
            put(store, slice, content(slice, 1000 * i), 0);
            store.sync(List.of(slice));
            offset += PackFormat.recordBytes(1000 * i);
        }
        String pack = PackFormat.packPath(1);
        volume.flipBit(pack, (offsets.get(2) + 12) * 8L); // the header of the third
        volume.flipBit(pack, (offsets.get(3) + 5) * 8L); // and of the fourth
        volume.flipBit(pack, (offsets.get(6) + 500) * 8L); // bytes of the seventh
        volume.crash(5);
        var again = open();
        assertThat(damaged).containsExactlyInAnyOrder(slices.get(2), slices.get(3), slices.get(6));
        for (int i = 0; i < 10; i++) {
            if (damaged.contains(slices.get(i))) {
                assertThat(again.length(slices.get(i))).isEqualTo(-1);
            } else {
                assertThat(get(again, slices.get(i))).isEqualTo(content(slices.get(i), 1000 * (i + 1)));
            }
        }
        again.close();
    }

    @Test
    void aDamagedPackHeaderOrIndexLosesNothing() throws IOException {
        try (var store = open()) {
            put(store, id(1), content(id(1), 5000), 0);
            store.sync(List.of(id(1)));
        }
        volume.flipBit(PackFormat.packPath(1), 30 * 8L);
        volume.flipBit(PackFormat.indexPath(1), 70 * 8L);
        try (var store = open()) {
            assertThat(get(store, id(1))).isEqualTo(content(id(1), 5000));
        }
        assertThat(damaged).isEmpty();
    }

    @Test
    void storedBytesThatLookLikeARecordAreNotTakenForOne() throws IOException {
        var store = open();
        put(store, id(1), content(id(1), 3000), 0);
        store.sync(List.of(id(1)));
        byte[] pack = new byte[(int) volume.list("packs").getFirst().bytes()];
        try (var file = volume.open(PackFormat.packPath(1))) {
            file.read(ByteBuffer.wrap(pack), 0);
        }
        store.delete(List.of(id(1)));
        store.close();
        var other = new CrashingVolume(); // a user of another store keeps a copy of that pack as a file
        var second = openOn(other, SMALL_PACKS, damaged::add, Runnable::run, new Random(2));
        put(second, id(2), Arrays.copyOfRange(pack, 64 - PackFormat.RECORD_HEADER_BYTES % 8, pack.length), 0);
        second.sync(List.of(id(2)));
        other.flipBit(
                PackFormat.packPath(1), (PackFormat.HEADER_BYTES + 3) * 8L); // so that the scan goes into its data
        other.crash(1);
        var again = openOn(other, SMALL_PACKS, damaged::add, Runnable::run, new Random(3));
        assertThat(again.length(id(1))).isEqualTo(-1);
    }

    @Test
    void aFailedSyncOfAPackIsWrittenElsewhere() throws IOException {
        var store = open();
        put(store, id(1), content(id(1), 5000), 0);
        store.sync(List.of(id(1)));
        put(store, id(2), content(id(2), 5000), 0);
        put(store, id(3), content(id(3), 2 * MIB), 0);
        var failedOnce = new HashSet<String>();
        volume.failSyncs(path -> (path.endsWith(".pack") || path.endsWith(".staged"))
                && !path.contains("again")
                && !path.contains("0000000002")
                && failedOnce.add(path));
        store.sync(List.of(id(2), id(3)));
        assertThat(failedOnce).hasSize(2);
        assertThat(store.usage().fault()).isNotNull();
        volume.failSyncs(path -> false);
        put(store, id(4), content(id(4), 5000), 0);
        store.sync(List.of(id(4)));
        volume.crash(3);
        var again = open();
        for (int i : new int[] {1, 2, 4}) assertThat(get(again, id(i))).isEqualTo(content(id(i), 5000));
        assertThat(Arrays.equals(get(again, id(3)), content(id(3), 2 * MIB))).isTrue();
    }

    @Test
    void whenEverySyncFailsTheCallerIsToldAndNothingIsDurable() throws IOException {
        var store = open();
        put(store, id(1), content(id(1), 5000), 0);
        put(store, id(2), content(id(2), 2 * MIB), 0);
        volume.failSyncs(path -> true);
        assertThatThrownBy(() -> store.sync(List.of(id(1)))).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> store.sync(List.of(id(2)))).isInstanceOf(IOException.class);
        assertThat(store.isDurable(id(1))).isFalse();
        assertThat(store.isDurable(id(2))).isFalse();
        assertThat(store.usage().fault()).contains("injected");
        volume.failSyncs(path -> false);
        store.sync(List.of(id(1))); // still in memory: another pack takes it
        volume.crash(1);
        assertThat(get(open(), id(1))).isEqualTo(content(id(1), 5000));
    }

    @Test
    void spaceIsRefusedWhenStagedAndNeverLater() throws IOException {
        var store = open(new SliceStore.Config(3 * MIB, 0, 0, 64 * MIB, MIB, 8));
        int stored = 0;
        IOException refused = null;
        while (refused == null) {
            try {
                put(store, id(++stored), content(id(stored), 100_000), 0);
            } catch (OutOfSpaceException e) {
                refused = e;
            }
        }
        assertThat(stored).isBetween(29, 32);
        assertThatThrownBy(() -> store.stage(id(1000), 2 * MIB)).isInstanceOf(OutOfSpaceException.class);
        assertThat(store.usage().usedBytes()).isLessThanOrEqualTo(3 * MIB);
        var all = new ArrayList<SliceId>();
        for (int i = 1; i < stored; i++) all.add(id(i));
        store.sync(all);
        store.delete(all.subList(0, 20)); // and removal gives room again
        put(store, id(2000), content(id(2000), MIB), 0);
        store.sync(List.of(id(2000)));
        store.close();
    }

    @Test
    void theReserveAndKeepFreeAreNotForContent() throws IOException {
        volume.capacity(10 * MIB);
        var config = new SliceStore.Config(1L << 40, MIB, 4 * MIB, 64 * MIB, 4 * MIB, 8);
        var store = open(config);
        assertThat(volume.freeBytes()).isEqualTo(6 * MIB);
        assertThat(store.usage().freeBytes()).isEqualTo(5 * MIB);
        store.releaseReserve();
        assertThat(volume.freeBytes()).isEqualTo(10 * MIB);
        assertThat(store.usage().freeBytes()).isEqualTo(5 * MIB);
        int n = 0;
        try {
            while (true) put(store, id(++n), content(id(n), 500_000), 0);
        } catch (OutOfSpaceException e) {
            assertThat(n).isBetween(9, 12);
        }
        for (int i = 1; i < n; i++) store.sync(List.of(id(i)));
        assertThat(volume.freeBytes()).isGreaterThanOrEqualTo(4 * MIB);
        assertThat(store.restoreReserve()).isTrue();
        assertThat(volume.freeBytes()).isLessThan(2 * MIB);
        store.close();
    }

    @Test
    void aFullDiskFailsTheWriterAndNothingElse() throws IOException {
        var store = open();
        put(store, id(1), content(id(1), 5000), 0);
        store.sync(List.of(id(1)));
        var writer = store.stage(id(2), 4 * MIB);
        volume.capacity(2 * MIB); // others filled the disk meanwhile
        assertThatThrownBy(() -> {
                    for (int i = 0; i < 4; i++) writer.append(ByteBuffer.allocateDirect(MIB));
                })
                .isInstanceOf(IOException.class);
        writer.close();
        assertThat(volume.names(OwnFile.directory(id(2)))).isEmpty();
        assertThat(get(store, id(1))).isEqualTo(content(id(1), 5000));
        assertThat(store.stagedMemoryBytes()).isZero();
        put(store, id(3), content(id(3), 5000), 0);
        store.sync(List.of(id(3)));
    }

    @Test
    void onlySealedSlicesAreSynced() throws IOException {
        var store = open();
        var writer = store.stage(id(1), 0);
        assertThatThrownBy(() -> store.sync(List.of(id(1)))).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> store.sync(List.of(id(2)))).isInstanceOf(UnknownSliceException.class);
        assertThatThrownBy(() -> store.stage(id(1), 0)).isInstanceOf(IllegalStateException.class);
        writer.seal();
        assertThatThrownBy(() -> writer.append(ByteBuffer.allocate(1))).isInstanceOf(IllegalStateException.class);
        store.sync(List.of(id(1)));
        assertThatThrownBy(() -> store.stage(id(1), 0)).isInstanceOf(IllegalStateException.class);
        store.delete(List.of(id(1), id(2)));
        put(store, id(1), content(id(1), 10), 0); // a slice may come back
        assertThat(get(store, id(1))).isEqualTo(content(id(1), 10));
    }

    @Test
    void deletedSpaceComesBackByHolesAndByMoving() throws IOException {
        var store = open();
        var all = new ArrayList<SliceId>();
        for (int i = 1; i <= 400; i++) {
            all.add(id(i));
            put(store, id(i), content(id(i), 8000), 0);
        }
        store.sync(all);
        long full = store.usage().usedBytes();
        var half = new ArrayList<SliceId>();
        for (int i = 0; i < 400; i++) if (i % 16 >= 8) half.add(all.get(i));
        store.delete(half);
        assertThat(store.usage().usedBytes()).isLessThan(full * 7 / 10); // holes
        all.removeAll(half);
        for (SliceId slice : all) store.verify(slice);
        int packsBefore = volume.names("packs").size();
        var most = new ArrayList<SliceId>();
        for (int i = 0; i < all.size(); i++) if (i % 10 != 0) most.add(all.get(i));
        store.delete(most);
        all.removeAll(most);
        assertThat(volume.names("packs").size()).isLessThan(packsBefore / 2); // packs that were mostly dead are gone
        assertThat(store.usage().usedBytes()).isLessThan(full / 10);
        volume.crash(11);
        var again = open();
        for (SliceId slice : all) {
            assertThat(Arrays.equals(get(again, slice), content(slice, 8000))).isTrue();
        }
        again.close();
    }

    @Test
    void manySyncsShareTheDisk() throws Exception {
        var store = open(new SliceStore.Config(1L << 40, 0, 0, 64 * MIB, 64 * MIB, 8));
        int threads = 8;
        int each = 200;
        var next = new AtomicInteger();
        try (var executor = Executors.newVirtualThreadPerTaskExecutor()) {
            var results = new ArrayList<Future<?>>();
            for (int t = 0; t < threads; t++) {
                results.add(executor.submit(() -> {
                    for (int i = 0; i < each; i++) {
                        SliceId slice = id(next.incrementAndGet());
                        put(store, slice, content(slice, 4096), 4096);
                        store.sync(List.of(slice));
                    }
                    return null;
                }));
            }
            for (var result : results) result.get();
        }
        assertThat(store.usage().slices()).isEqualTo(threads * each);
        volume.crash(1);
        var again = open();
        for (int i = 1; i <= threads * each; i++)
            assertThat(again.isDurable(id(i))).isTrue();
    }

    @Test
    void readersNeverSeeWrongBytesWhileSlicesAreDeletedAndMoved() throws Exception {
        long seed = 99;
        try (var executor = Executors.newFixedThreadPool(4)) {
            var store = openOn(volume, SMALL_PACKS, damaged::add, executor, new Random(1));
            int count = 3000;
            for (int from = 0; from < count; from += 100) {
                var batch = new ArrayList<SliceId>();
                for (int i = from; i < from + 100; i++) {
                    SliceId slice = id(i + 1);
                    batch.add(slice);
                    put(store, slice, content(slice, i % 500 == 0 ? MIB + 5 : 3000), 0);
                }
                store.sync(batch);
            }
            var stop = new AtomicBoolean();
            var deleting = ConcurrentHashMap.<SliceId>newKeySet();
            var reads = new AtomicInteger();
            var readers = new ArrayList<Future<?>>();
            for (int r = 0; r < 3; r++) {
                var random = new Random(seed + r);
                readers.add(executor.submit(() -> {
                    while (!stop.get()) {
                        SliceId slice = id(1 + random.nextInt(count));
                        boolean mayBeGone = deleting.contains(slice);
                        try {
                            int length = (slice.value() - id(1).value()) % 500 == 0 ? MIB + 5 : 3000;
                            byte[] got = get(store, slice, 0, length, random.nextBoolean());
                            if (!Arrays.equals(got, content(slice, length))) throw new AssertionError(slice + " wrong");
                            reads.incrementAndGet();
                        } catch (UnknownSliceException e) {
                            if (!mayBeGone && !deleting.contains(slice)) throw e;
                        }
                    }
                    return null;
                }));
            }
            var random = new Random(seed);
            for (int round = 0; round < 60; round++) {
                var gone = new ArrayList<SliceId>();
                for (int i = 0; i < 45; i++) gone.add(id(1 + random.nextInt(count)));
                deleting.addAll(gone);
                store.delete(gone);
                int wanted = reads.get() + 5;
                while (reads.get() < wanted && readers.stream().noneMatch(Future::isDone)) Thread.onSpinWait();
            }
            stop.set(true);
            for (var reader : readers) reader.get();
            for (int i = 1; i <= count; i++) {
                if (!deleting.contains(id(i))) store.verify(id(i));
            }
            assertThat(damaged).as("seed %s", seed).isEmpty();
            store.close();
        }
    }

    @Test
    void stagingMemoryAndOpenFilesAreBounded() throws IOException {
        var store = open(new SliceStore.Config(1L << 40, 0, 0, 2 * MIB, MIB, 16));
        var writers = new ArrayList<ContentStore.SliceWriter>();
        for (int i = 1; i <= 100; i++) { // sealed and never synced
            put(store, id(i), content(id(i), 90_000), 0);
            assertThat(store.stagedMemoryBytes()).isLessThanOrEqualTo(2 * MIB + 200_000);
        }
        for (int i = 101; i <= 160; i++) { // and open ones, which cannot be synced
            var writer = store.stage(id(i), 0);
            writer.append(ByteBuffer.wrap(content(id(i), 300_000)));
            writers.add(writer);
            assertThat(store.openFiles()).isLessThanOrEqualTo(16);
        }
        for (int i = 1; i <= 160; i++) {
            assertThat(Arrays.equals(get(store, id(i)), content(id(i), i <= 100 ? 90_000 : 300_000)))
                    .isTrue();
        }
        for (var writer : writers) writer.seal();
        var all = new ArrayList<SliceId>();
        for (int i = 1; i <= 160; i++) all.add(id(i));
        store.sync(all);
        assertThat(store.stagedMemoryBytes()).isZero();
        volume.crash(4);
        var again = open();
        for (int i = 1; i <= 160; i++) again.verify(id(i));
        assertThat(again.openFiles()).isLessThanOrEqualTo(16);
    }

    // ---- in transit

    @Test
    void slicesInTransitAreReadInEveryStateAndNeverCount() throws IOException {
        for (int length : new int[] {1, 4095, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 300_000, 16 * MIB}) {
            SliceId slice = id(length);
            byte[] bytes = content(slice, length);
            var random = new Random(length);
            try (var store = open(new SliceStore.Config(0, 0, 0, 8 * MIB, 256 << 10, 16))) {
                assertThatThrownBy(() -> store.stage(slice, 0)).isInstanceOf(OutOfSpaceException.class);
                var writer = store.stageTransit(slice, Math.min(length, 5000));
                for (int at = 0; at < length; ) {
                    int n = Math.min(length - at, 1 + random.nextInt(random.nextBoolean() ? 3 * MIB : 5000));
                    writer.append(ByteBuffer.wrap(bytes, at, n));
                    at += n;
                    assertThat(store.length(slice)).isEqualTo(at);
                    int from = random.nextInt(at);
                    assertThat(get(store, slice, from, at - from, random.nextBoolean()))
                            .isEqualTo(Arrays.copyOfRange(bytes, from, at));
                }
                writer.seal();
                writer.close();
                assertThat(get(store, slice)).isEqualTo(bytes);
                assertThat(get(store, slice, length, 1, false)).isEmpty();
                assertThat(store.isDurable(slice)).isFalse();
                assertThat(store.usage().usedBytes()).isZero();
                store.forEachDurable(seen -> assertThat(seen).isNull());
                assertThatThrownBy(() -> store.sync(List.of(slice))).isInstanceOf(UnknownSliceException.class);
                assertThatThrownBy(() -> writer.append(ByteBuffer.wrap(bytes)))
                        .isInstanceOf(IllegalStateException.class);
                assertThatThrownBy(() -> store.stageTransit(slice, 1)).isInstanceOf(IllegalStateException.class);
                if (random.nextBoolean()) store.endTransit(List.of(slice));
                else store.delete(List.of(slice));
                assertThat(store.length(slice)).isEqualTo(-1);
                assertThatThrownBy(() -> get(store, slice, 0, 1, false)).isInstanceOf(UnknownSliceException.class);
                assertThat(store.transitBytes()).isZero();
            }
        }
    }

    @Test
    void theMemoryForSlicesInTransitIsBoundedAndARefusalTakesNothing() throws IOException {
        try (var store = open()) {
            var writers = new ArrayList<ContentStore.SliceWriter>();
            byte[] bytes = new byte[MIB + 1];
            for (int i = 0; ; i++) {
                try {
                    writers.add(store.stageTransit(id(i), bytes.length));
                } catch (TransitFullException full) {
                    break;
                }
                writers.getLast().append(ByteBuffer.wrap(bytes));
            }
            assertThat(store.transitBytes()).isBetween(60L * MIB, SliceStore.TRANSIT_BYTES_MAX);
            var refused = ByteBuffer.wrap(bytes);
            var last = writers.getLast();
            assertThatThrownBy(() -> last.append(ByteBuffer.allocate(5 * MIB)))
                    .isInstanceOf(TransitFullException.class);
            assertThat(last.length()).isEqualTo(bytes.length);
            writers.getFirst().close(); // not sealed: given up
            writers.get(1).seal();
            store.endTransit(List.of(id(1)));
            last.append(refused);
            assertThat(refused.hasRemaining()).isFalse();
            for (var writer : writers) writer.close();
            assertThat(store.transitBytes()).isZero();
        }
    }

    @Test
    void aSliceThatComesBackWhileItsCopyIsInTransitStays() throws IOException {
        SliceId slice = id(1);
        byte[] bytes = content(slice, 10_000);
        try (var store = open()) {
            var writer = store.stageTransit(slice, bytes.length);
            writer.append(ByteBuffer.wrap(bytes));
            writer.seal();
            put(store, slice, bytes, 0);
            store.sync(List.of(slice));
            store.endTransit(List.of(slice));
            assertThat(store.isDurable(slice)).isTrue();
            assertThat(get(store, slice)).isEqualTo(bytes);
        }
    }
}
