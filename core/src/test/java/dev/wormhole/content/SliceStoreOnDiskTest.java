// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.seal.Secret;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The store on a real disk: many slices, holes, formats of every released version. */
final class SliceStoreOnDiskTest {
    private static final SliceStore.Config CONFIG = new SliceStore.Config(1L << 40, 0, 0, 64 << 20, 64 << 20, 64);

    @TempDir
    Path directory;

    private final List<SliceId> damaged = new ArrayList<>();

    private SliceStore open(Volume volume) throws IOException {
        return SliceStore.open(volume, CONFIG, damaged::add, Runnable::run, new Random(1));
    }

    @Test
    void aMillionSmallSlicesAreThereAgain() throws IOException {
        int count = 1_000_000;
        var volume = new DiskVolume(directory);
        try (var store = open(volume)) {
            var batch = new ArrayList<SliceId>();
            var bytes = ByteBuffer.allocate(8);
            for (int i = 1; i <= count; i++) {
                SliceId slice = SliceStoreTest.id(i);
                batch.add(slice);
                try (var writer = store.stage(slice, 8)) {
                    writer.append(bytes.putLong(0, i).clear());
                    writer.seal();
                }
                if (batch.size() == 10_000) {
                    store.sync(batch);
                    batch.clear();
                }
            }
        }
        var counting = new CountingVolume(volume);
        try (var store = open(counting)) {
            assertThat(store.usage().slices()).isEqualTo(count);
            assertThat(counting.bytesRead).isLessThan(20L * count); // index files, not packs
            assertThat(store.indexBytes()).isLessThan(31L * count);
            var bytes = ByteBuffer.allocate(8);
            for (int i = 1; i <= count; i += 9973) {
                assertThat(store.read(SliceStoreTest.id(i), 0, bytes.clear())).isEqualTo(8);
                assertThat(bytes.getLong(0)).isEqualTo(i);
            }
            assertThat(store.openFiles()).isLessThanOrEqualTo(64);
        }
        for (var entry : volume.list("packs")) {
            if (entry.name().endsWith(".index"))
                assertThat(volume.delete("packs/" + entry.name())).isTrue();
        }
        try (var store = open(volume)) { // and without its index files
            assertThat(store.usage().slices()).isEqualTo(count);
        }
        assertThat(damaged).isEmpty();
    }

    @Test
    void holesGiveSpaceBackToTheDisk() throws Exception {
        var volume = new DiskVolume(directory);
        var config = new SliceStore.Config(1L << 40, 0, 0, 64 << 20, 8 << 20, 64);
        try (var store = SliceStore.open(volume, config, damaged::add, Runnable::run, new Random(1))) {
            var all = new ArrayList<SliceId>();
            for (int i = 1; i <= 20; i++) {
                SliceId slice = SliceStoreTest.id(i);
                all.add(slice);
                SliceStoreTest.put(store, slice, SliceStoreTest.content(slice, 1 << 20), 1 << 20);
            }
            store.sync(all);
            long before = blocks();
            store.delete(all.subList(0, 4));
            assertThat(blocks()).isLessThan(before - (3 << 20));
            for (SliceId slice : all.subList(4, 20)) {
                store.verify(slice);
            }
        }
        assertThat(damaged).isEmpty();
    }

    private long blocks() throws Exception {
        var du =
                new ProcessBuilder("du", "-s", "-B1", directory.resolve("packs").toString()).start();
        String out = new String(du.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.US_ASCII);
        assertThat(du.waitFor()).isZero();
        return Long.parseLong(out.substring(0, out.indexOf('\t')));
    }

    private static final StoreHeader SAMPLE_HEADER =
            new StoreHeader("sample", new UUID(11, 12), 13, new Incarnation(14), 15, 16, 0);
    private static final int[] SAMPLE_LENGTHS = {0, 1, 4096, 70_000, (1 << 20) + 9};
    private static final int[] SEALED_LENGTHS = {0, 1, 3000, 500};
    private static final Optional<Secret> SAMPLE_KEY = Optional.of(SealedSliceStoreTest.secret(7));

    /** Stored by the version named; new versions add a sample and keep the old ones. Run main of this class to make one. */
    @ParameterizedTest
    @ValueSource(strings = "v1")
    void storesOfReleasedVersionsAreRead(String version) throws IOException {
        copySample(version);
        var volume = new DiskVolume(directory);
        assertThat(StoreHeader.read(volume)).contains(SAMPLE_HEADER);
        assertThat(IdSource.open(volume, SAMPLE_HEADER.incarnation()).next())
                .isEqualTo(dev.wormhole.model.Ids.of(14, 1 + IdSource.BLOCK));
        try (var store = open(volume)) {
            for (int i = 0; i < SAMPLE_LENGTHS.length; i++) {
                SliceId slice = SliceStoreTest.id(i + 1);
                byte[] expected = new byte[SAMPLE_LENGTHS[i]];
                Arrays.fill(expected, (byte) ('a' + i));
                assertThat(Arrays.equals(SliceStoreTest.get(store, slice), expected))
                        .as("slice %s", slice)
                        .isTrue();
                store.verify(slice);
            }
            assertThat(store.usage().slices()).isEqualTo(SAMPLE_LENGTHS.length);
        }
        assertThat(damaged).isEmpty();
    }

    /** The same of an encrypted store; its fourth slice has a file of its own. */
    @ParameterizedTest
    @ValueSource(strings = "v1")
    void encryptedStoresOfReleasedVersionsAreRead(String version) throws IOException {
        copySample(version + "-sealed");
        try (var store = SliceStore.open(
                new DiskVolume(directory), CONFIG, damaged::add, Runnable::run, new Random(1), SAMPLE_KEY)) {
            for (int i = 0; i < SEALED_LENGTHS.length; i++) {
                SliceId slice = SliceStoreTest.id(i + 1);
                assertThat(SliceStoreTest.get(store, slice)).isEqualTo(sample(i, SEALED_LENGTHS[i]));
                store.verify(slice);
            }
            assertThat(store.usage().slices()).isEqualTo(SEALED_LENGTHS.length);
        }
        assertThat(damaged).isEmpty();
    }

    private static byte[] sample(int number, int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) ('a' + number));
        return bytes;
    }

    @Test
    void aStoreOfANewerVersionIsRefused() throws IOException {
        copySample("v1");
        byte[] header = Files.readAllBytes(directory.resolve(StoreHeader.FILE));
        header[11] = 2;
        Files.write(directory.resolve(StoreHeader.FILE), header);
        assertThatThrownBy(() -> StoreHeader.read(new DiskVolume(directory))).hasMessageContaining("format 2");
    }

    /** A sample is a text: for each file its path, then its bytes as runs, "hex" or "count*hex". */
    private void copySample(String version) throws IOException {
        String text;
        try (var in = Objects.requireNonNull(
                SliceStoreOnDiskTest.class.getResourceAsStream("/content/store-" + version + ".txt"))) {
            text = new String(in.readAllBytes(), java.nio.charset.StandardCharsets.US_ASCII);
        }
        var hex = java.util.HexFormat.of();
        Path file = null;
        for (String line : text.lines().toList()) {
            if (line.startsWith("#")) continue;
            if (line.startsWith("file ")) {
                file = directory.resolve(line.substring(5));
                Files.createDirectories(Objects.requireNonNull(file.getParent()));
                Files.write(file, new byte[0]);
                continue;
            }
            int star = line.indexOf('*');
            byte[] unit = hex.parseHex(line.substring(star + 1));
            int times = star < 0 ? 1 : Integer.parseInt(line.substring(0, star));
            var bytes = new java.io.ByteArrayOutputStream();
            for (int i = 0; i < times; i++) bytes.writeBytes(unit);
            Files.write(Objects.requireNonNull(file), bytes.toByteArray(), java.nio.file.StandardOpenOption.APPEND);
        }
    }

    /** Makes a sample of the present version: arguments are an empty directory, the file to write, and "sealed" for that one. */
    public static void main(String[] arguments) throws IOException {
        Path directory = Path.of(arguments[0]);
        var volume = new DiskVolume(directory);
        SAMPLE_HEADER.write(volume);
        long first = IdSource.create(volume, SAMPLE_HEADER.incarnation()).next();
        assertThat(first).isPositive();
        boolean sealed = arguments.length > 2;
        int[] lengths = sealed ? SEALED_LENGTHS : SAMPLE_LENGTHS;
        try (var store = SliceStore.open(
                volume, CONFIG, slice -> {}, Runnable::run, new Random(1), sealed ? SAMPLE_KEY : Optional.empty())) {
            for (int i = 0; i < lengths.length; i++) {
                int hint = sealed && i == 3 ? SliceStore.PACKED_SLICE_BYTES_MAX + 1 : 0;
                SliceStoreTest.put(store, SliceStoreTest.id(i + 1), sample(i, lengths[i]), hint);
                store.sync(List.of(SliceStoreTest.id(i + 1)));
            }
        }
        var text = new StringBuilder("# A store as version 1 wrote it: SliceStoreOnDiskTest reads it. Never edit.\n");
        try (var files = Files.walk(directory)) {
            for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                text.append("file ").append(directory.relativize(file)).append('\n');
                byte[] bytes = Files.readAllBytes(file);
                for (int at = 0; at < bytes.length; ) {
                    int run = at;
                    while (run < bytes.length && bytes[run] == bytes[at]) run++;
                    if (run - at >= 16) {
                        text.append(run - at).append("*%02x\n".formatted(bytes[at]));
                        at = run;
                        continue;
                    }
                    int end = Math.min(bytes.length, at + 32);
                    text.append(java.util.HexFormat.of().formatHex(bytes, at, end))
                            .append('\n');
                    at = end;
                }
            }
        }
        Files.writeString(Path.of(arguments[1]), text);
    }

    /** Counts what is read. */
    private static final class CountingVolume implements Volume {
        private final Volume volume;
        private long bytesRead;

        CountingVolume(Volume volume) {
            this.volume = volume;
        }

        private VolumeFile counted(VolumeFile file) {
            return new VolumeFile() {
                @Override
                public int read(ByteBuffer into, long position) throws IOException {
                    int n = file.read(into, position);
                    bytesRead += n;
                    return n;
                }

                @Override
                public void write(ByteBuffer from, long position) throws IOException {
                    file.write(from, position);
                }

                @Override
                public long size() throws IOException {
                    return file.size();
                }

                @Override
                public void sync() throws IOException {
                    file.sync();
                }

                @Override
                public boolean punchHole(long position, long bytes) throws IOException {
                    return file.punchHole(position, bytes);
                }

                @Override
                public void close() throws IOException {
                    file.close();
                }
            };
        }

        @Override
        public void createDirectory(String path) throws IOException {
            volume.createDirectory(path);
        }

        @Override
        public List<Entry> list(String path) throws IOException {
            return volume.list(path);
        }

        @Override
        public VolumeFile create(String path) throws IOException {
            return counted(volume.create(path));
        }

        @Override
        public VolumeFile open(String path) throws IOException {
            return counted(volume.open(path));
        }

        @Override
        public boolean exists(String path) throws IOException {
            return volume.exists(path);
        }

        @Override
        public void rename(String from, String to) throws IOException {
            volume.rename(from, to);
        }

        @Override
        public boolean delete(String path) throws IOException {
            return volume.delete(path);
        }

        @Override
        public void syncDirectory(String path) throws IOException {
            volume.syncDirectory(path);
        }

        @Override
        public void allocate(String path, long bytes) throws IOException {
            volume.allocate(path, bytes);
        }

        @Override
        public long freeBytes() throws IOException {
            return volume.freeBytes();
        }

        @Override
        public long totalBytes() throws IOException {
            return volume.totalBytes();
        }
    }
}
