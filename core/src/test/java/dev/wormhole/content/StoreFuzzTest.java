// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.testkit.Fuzz;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** Files of a store that a disk, or somebody, has changed: the store's header, the index of a pack, the records of a pack. */
class StoreFuzzTest {
    private static byte[] bytes(Volume volume, String path) throws IOException {
        ByteBuffer read = AtomicFile.read(volume, path, 1 << 20);
        if (read == null) throw new AssertionError("no " + path);
        var bytes = new byte[read.remaining()];
        read.get(bytes);
        return bytes;
    }

    private static byte[] header(int incarnation, String name) throws IOException {
        var volume = new CrashingVolume(1 << 20);
        new StoreHeader(name, new UUID(1, 2), 3, new Incarnation(incarnation), 4, 5, 0).write(volume);
        return bytes(volume, StoreHeader.FILE);
    }

    @Test
    void headers() throws Exception {
        Fuzz.of("store header", header(1, "net"), header(70_000, "n\u00fcrnberg-archiv"))
                .mendedBy(bytes -> {
                    if (bytes.length < 20) return bytes;
                    var buffer = ByteBuffer.wrap(bytes);
                    buffer.putInt(12, bytes.length);
                    buffer.putInt(
                            bytes.length - 4, Checksums.crc(buffer.duplicate().limit(bytes.length - 4)));
                    return bytes;
                })
                .run(
                        bytes -> {
                            var volume = new CrashingVolume(1 << 20);
                            AtomicFile.write(volume, StoreHeader.FILE, ByteBuffer.wrap(bytes));
                            StoreHeader.read(volume).orElseThrow().write(volume);
                            return bytes(volume, StoreHeader.FILE);
                        },
                        IOException.class);
    }

    /** What is not believed is scanned: nothing is thrown. */
    @Test
    void indexesOfPacks() throws Exception {
        var entries = new PackFormat.Entries();
        for (int i = 1; i < 40; i++) entries.add(i, 64 + 4096 * i, 1000 + i);
        var volume = new CrashingVolume(1 << 20);
        volume.createDirectory("packs");
        PackFormat.writeIndex(volume, 7, new PackFormat.Index(99, 1 << 18, 0, entries));
        Fuzz.of("index of a pack", bytes(volume, PackFormat.indexPath(7))).run(bytes -> {
            var damaged = new CrashingVolume(1 << 20);
            damaged.createDirectory("packs");
            AtomicFile.write(damaged, PackFormat.indexPath(7), ByteBuffer.wrap(bytes));
            PackFormat.readIndex(damaged, 7, 1 << 20);
            return null;
        });
    }

    /** Each record is either whole, and what was put, or damaged, or not there. */
    @Test
    void records() throws Exception {
        long salt = 4711;
        var pack = ByteBuffer.allocate(4 << 10);
        for (int i = 1; i <= 5; i++) {
            int start = pack.position();
            int length = 90 * i;
            PackFormat.putRecordHeader(pack, new SliceId(i), length, salt);
            var data = new byte[length];
            java.util.Arrays.fill(data, (byte) i);
            pack.put(data);
            Checksums.putTrailer(pack, Checksums.tag(new SliceId(i), 0, data, 0, length));
            PackFormat.putRecordEnd(pack, start, new SliceId(i), length, salt);
        }
        var whole = new byte[pack.position()];
        pack.flip().get(whole);
        Fuzz.of("records of a pack", whole).seeds(200).allocating(16 << 20).run(bytes -> {
            var volume = new CrashingVolume(1 << 20);
            AtomicFile.write(volume, "pack", ByteBuffer.wrap(bytes));
            try (var file = volume.open("pack")) {
                PackFormat.scan(file, 0, bytes.length, salt, null, new PackFormat.Found() {
                    @Override
                    public void whole(SliceId slice, int offset, int length) {
                        if (slice.value() < 1 || slice.value() > 5 || length != 90 * slice.value())
                            throw new AssertionError(slice + " of " + length + " bytes was never put");
                    }

                    @Override
                    public void damaged(SliceId slice, int offset) {}
                });
            }
            return null;
        });
    }
}
