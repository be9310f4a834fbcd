// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.SliceId;
import dev.wormhole.seal.Secret;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** All that a store promises, with its slices sealed; and what the seal promises beside. */
final class SealedSliceStoreTest extends SliceStoreTest {
    private static final int MIB = 1 << 20;
    private static final Secret KEY = secret(1);
    private static final SliceStore.Config CONFIG = new SliceStore.Config(1L << 40, 0, 0, 8 * MIB, 256 << 10, 16);
    private static final String MARK = "a sentence that nobody else would write";

    private final CrashingVolume disk = new CrashingVolume();
    private final List<SliceId> damaged = new ArrayList<>();

    static Secret secret(int number) {
        byte[] bytes = new byte[Secret.BYTES];
        Arrays.fill(bytes, (byte) number);
        return Secret.of(bytes);
    }

    @Override
    Optional<Secret> key() {
        return Optional.of(KEY);
    }

    private SliceStore open(Secret key) throws IOException {
        return SliceStore.open(disk, CONFIG, damaged::add, Runnable::run, new Random(1), Optional.of(key));
    }

    private static byte[] marked(int length) {
        var bytes = new byte[length];
        byte[] mark = MARK.getBytes(StandardCharsets.US_ASCII);
        for (int at = 0; at < length; at++) bytes[at] = mark[at % mark.length];
        return bytes;
    }

    private byte[] bytesOf(String path) throws IOException {
        try (var file = disk.open(path)) {
            var bytes = ByteBuffer.allocate((int) file.size());
            file.read(bytes, 0);
            return bytes.array();
        }
    }

    private void write(String path, byte[] bytes, int from, int count, int to) throws IOException {
        try (var file = disk.open(path)) {
            file.write(ByteBuffer.wrap(bytes, from, count), to);
            file.sync();
        }
    }

    @Test
    void nothingOfTheContentsIsOnTheDiskWhateverTheirWayThere() throws IOException {
        int[] lengths = {60, 4096, 70_000, MIB, MIB + 1, 5 * MIB};
        try (var store = open(KEY)) {
            for (int i = 0; i < lengths.length; i++) {
                SliceStoreTest.put(store, id(i + 1), marked(lengths[i]), i % 2 == 0 ? 0 : lengths[i]);
                store.sync(List.of(id(i + 1)));
            }
            try (var writer = store.stage(id(99), 9 * MIB)) { // written, and never sealed
                writer.append(ByteBuffer.wrap(marked(3 * MIB + 5)));
                assertNoMark();
            }
            for (int i = 0; i < lengths.length; i++)
                assertThat(Arrays.equals(SliceStoreTest.get(store, id(i + 1)), marked(lengths[i])))
                        .isTrue();
        }
        assertNoMark();
    }

    private void assertNoMark() throws IOException {
        int files = 0;
        for (var directory : directories()) {
            for (var entry : disk.list(directory)) {
                String text = new String(bytesOf(directory + "/" + entry.name()), StandardCharsets.ISO_8859_1);
                assertThat(text.contains(MARK.substring(0, 20)))
                        .as(entry.name())
                        .isFalse();
                files++;
            }
        }
        assertThat(files).isGreaterThan(2);
    }

    private static List<String> directories() {
        var directories = new ArrayList<>(List.of("packs"));
        for (int i = 0; i < 256; i++) directories.add("slices/" + "%02x".formatted(i));
        return directories;
    }

    @Test
    void noChangedByteOfAPackEverGivesWrongBytes() throws IOException {
        byte[] one = SliceStoreTest.content(id(1), 150);
        byte[] two = SliceStoreTest.content(id(2), 70);
        var store = open(KEY);
        SliceStoreTest.put(store, id(1), one, 0);
        SliceStoreTest.put(store, id(2), two, 0);
        store.sync(List.of(id(1), id(2)));
        String pack = PackFormat.packPath(1);
        byte[] sound = bytesOf(pack);
        int detected = 0;
        for (int at = PackFormat.HEADER_BYTES; at < sound.length; at++) {
            disk.flipBit(pack, at * 8L + at % 8);
            for (SliceId slice : List.of(id(1), id(2))) {
                try {
                    assertThat(SliceStoreTest.get(store, slice)).isEqualTo(slice.equals(id(1)) ? one : two);
                } catch (CorruptSliceException found) {
                    detected++;
                }
            }
            disk.flipBit(pack, at * 8L + at % 8);
        }
        assertThat(detected).isGreaterThanOrEqualTo(one.length + two.length + 2 * Checksums.TRAILER_BYTES);
        assertThat(SliceStoreTest.get(store, id(1))).isEqualTo(one);
        store.close();
    }

    /** Checksums of the same length and form in the right places: only the seal tells that they are not these slices. */
    @Test
    void whatWasSealedForAnotherPlaceIsDamage() throws IOException {
        var store = open(KEY);
        SliceStoreTest.put(store, id(1), SliceStoreTest.content(id(1), 1000), 0);
        SliceStoreTest.put(store, id(2), SliceStoreTest.content(id(2), 1000), 0);
        store.sync(List.of(id(1), id(2)));
        String pack = PackFormat.packPath(1);
        byte[] bytes = bytesOf(pack);
        int first = PackFormat.HEADER_BYTES + PackFormat.RECORD_HEADER_BYTES;
        int second = first + PackFormat.recordBytes(1000);
        int body = 1000 + Checksums.TRAILER_BYTES;
        write(pack, bytes, second, body, first);
        assertThatThrownBy(() -> SliceStoreTest.get(store, id(1))).isInstanceOf(CorruptSliceException.class);
        assertThat(SliceStoreTest.get(store, id(2))).isEqualTo(SliceStoreTest.content(id(2), 1000));

        // two blocks of one slice
        SliceStoreTest.put(store, id(3), SliceStoreTest.content(id(3), 2 * MIB), 0);
        store.sync(List.of(id(3)));
        String own = OwnFile.path(id(3), OwnFile.SUFFIX);
        byte[] file = bytesOf(own);
        int block = ContentStore.BLOCK_BYTES;
        int trailers = OwnFile.DATA_START + 2 * MIB;
        byte[] swapped = file.clone();
        System.arraycopy(file, OwnFile.DATA_START, swapped, OwnFile.DATA_START + block, block);
        System.arraycopy(file, trailers, swapped, trailers + Checksums.TRAILER_BYTES, Checksums.TRAILER_BYTES);
        int footer = trailers + 32 * Checksums.TRAILER_BYTES;
        ByteBuffer.wrap(swapped)
                .putInt(footer + 24, Checksums.crc(ByteBuffer.wrap(swapped, trailers, footer - trailers)))
                .putInt(footer + 60, 0)
                .putInt(footer + 60, footerCrc(swapped, footer));
        write(own, swapped, 0, swapped.length, 0);
        assertThat(SliceStoreTest.get(store, id(3), 0, block, true))
                .isEqualTo(Arrays.copyOf(SliceStoreTest.content(id(3), 2 * MIB), block));
        assertThatThrownBy(() -> SliceStoreTest.get(store, id(3), block, 10, false))
                .isInstanceOf(CorruptSliceException.class);
        store.close();
    }

    private static int footerCrc(byte[] file, int footer) {
        byte[] fixed = file.clone();
        ByteBuffer.wrap(fixed).putInt(footer + 24, ByteBuffer.wrap(file).getInt(footer + 24));
        return Checksums.crc(ByteBuffer.wrap(fixed, footer, 60));
    }

    @Test
    void aSliceThatWasCutWholeBlocksShorterIsDamage() throws IOException {
        var store = open(KEY);
        SliceStoreTest.put(store, id(1), SliceStoreTest.content(id(1), 2 * MIB), 0);
        store.sync(List.of(id(1)));
        store.close();
        String own = OwnFile.path(id(1), OwnFile.SUFFIX);
        byte[] file = bytesOf(own);
        // what somebody who can write, and compute checksums, would make of it: the first 31 blocks
        int length = 31 * ContentStore.BLOCK_BYTES;
        int oldTrailers = OwnFile.DATA_START + 2 * MIB;
        var cut = ByteBuffer.allocate((int) OwnFile.fileBytes(length));
        cut.put(file, 0, OwnFile.DATA_START + length);
        int trailers = cut.position();
        cut.put(file, oldTrailers, 31 * Checksums.TRAILER_BYTES);
        int footer = cut.position();
        cut.put(file, oldTrailers + 32 * Checksums.TRAILER_BYTES, OwnFile.FOOTER_BYTES);
        cut.putLong(footer + 16, length);
        cut.putInt(footer + 24, Checksums.crc(ByteBuffer.wrap(cut.array(), trailers, footer - trailers)));
        cut.putInt(footer + 60, Checksums.crc(ByteBuffer.wrap(cut.array(), footer, 60)));
        disk.delete(own);
        try (var made = disk.create(own)) {
            made.write(cut.clear(), 0);
            made.sync();
        }
        disk.syncDirectory(OwnFile.directory(id(1)));
        var again = open(KEY);
        assertThatThrownBy(() -> again.verify(id(1))).isInstanceOf(CorruptSliceException.class);
        assertThatThrownBy(() -> SliceStoreTest.get(again, id(1), 0, 10, true))
                .isInstanceOf(CorruptSliceException.class);
        again.close();
    }

    @Test
    void anotherKeyOpensNothing() throws IOException {
        try (var store = open(KEY)) {
            SliceStoreTest.put(store, id(1), marked(5000), 0);
            SliceStoreTest.put(store, id(2), marked(3 * MIB), 0);
            store.sync(List.of(id(1), id(2)));
        }
        try (var store = open(secret(2))) {
            for (int i = 1; i <= 2; i++) {
                SliceId slice = id(i);
                assertThatThrownBy(() -> SliceStoreTest.get(store, slice)).isInstanceOf(CorruptSliceException.class);
            }
        }
        try (var store = SliceStore.open(disk, CONFIG, damaged::add, Runnable::run, new Random(1))) {
            for (int i = 1; i <= 2; i++) {
                SliceId slice = id(i);
                assertThatThrownBy(() -> SliceStoreTest.get(store, slice)).isInstanceOf(CorruptSliceException.class);
            }
        }
        try (var store = open(KEY)) {
            assertThat(SliceStoreTest.get(store, id(1))).isEqualTo(marked(5000));
            assertThat(Arrays.equals(SliceStoreTest.get(store, id(2)), marked(3 * MIB)))
                    .isTrue();
        }
    }

    /** The same bytes under another id, or stored again, look like others: nobody can tell who has what. */
    @Test
    void equalContentsDoNotLookEqual() throws IOException {
        var store = open(KEY);
        SliceStoreTest.put(store, id(1), marked(1000), 0);
        SliceStoreTest.put(store, id(2), marked(1000), 0);
        store.sync(List.of(id(1), id(2)));
        byte[] pack = bytesOf(PackFormat.packPath(1));
        int first = PackFormat.HEADER_BYTES + PackFormat.RECORD_HEADER_BYTES;
        int second = first + PackFormat.recordBytes(1000);
        int equal = 0;
        for (int i = 0; i < 1000; i++) if (pack[first + i] == pack[second + i]) equal++;
        assertThat(equal).isLessThan(50);
        store.close();
    }
}
