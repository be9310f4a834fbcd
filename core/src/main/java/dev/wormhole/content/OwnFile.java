// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.Ids;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * The bytes of a slice with a file of its own: a header page, the data, one trailer a block, a footer. The file's size
 * tells the slice's length. docs/formats/slices.md has the layout.
 */
final class OwnFile {
    static final String DIRECTORY = "slices";
    static final String SUFFIX = ".slice";
    static final String STAGED_SUFFIX = ".staged";
    static final String AGAIN_SUFFIX = ".again" + STAGED_SUFFIX;

    static final int DATA_START = 4096;
    static final int FOOTER_BYTES = 64;
    private static final long HEADER_MAGIC = 0x5748_534C_4943_0001L; // "WHSLIC", 1
    private static final long FOOTER_MAGIC = 0x5748_534C_454E_0001L; // "WHSLEN", 1

    private OwnFile() {}

    /** 256 directories; neighbours share one, so that a batch syncs few. */
    static String directory(SliceId slice) {
        return DIRECTORY + "/" + "%02x".formatted(Ids.counter(slice.value()) >>> 8 & 0xFF);
    }

    static String path(SliceId slice, String suffix) {
        return directory(slice) + "/" + "%016x".formatted(slice.value()) + suffix;
    }

    static long fileBytes(long length) {
        return DATA_START + length + (long) Checksums.blocks(length) * Checksums.TRAILER_BYTES + FOOTER_BYTES;
    }

    /** What the disk gives to such a file. */
    static long chargedBytes(long length) {
        return fileBytes(length) + 4095 & -4096L;
    }

    /** The slice's length by the file's size, or -1 if no slice makes such a file. */
    static long lengthOf(long fileBytes) {
        long body = fileBytes - DATA_START - FOOTER_BYTES;
        if (body < 0) return -1;
        long whole = body / (ContentStore.BLOCK_BYTES + Checksums.TRAILER_BYTES);
        long rest = body % (ContentStore.BLOCK_BYTES + Checksums.TRAILER_BYTES);
        if (rest == 0) return whole * ContentStore.BLOCK_BYTES;
        return rest <= Checksums.TRAILER_BYTES ? -1 : whole * ContentStore.BLOCK_BYTES + rest - Checksums.TRAILER_BYTES;
    }

    static ByteBuffer header(SliceId slice) {
        var header = ByteBuffer.allocate(DATA_START);
        header.putLong(HEADER_MAGIC).putInt(1).putInt(16).putLong(slice.value());
        return header.putInt(60, Checksums.crc(header.duplicate().clear().limit(60)))
                .clear();
    }

    /**
     * Trailers and footer, to be written right behind the data.
     *
     * @param tags with a seal, its words
     */
    static ByteBuffer end(SliceId slice, long length, int[] tags, @Nullable SliceSeal seal) {
        int blocks = Checksums.blocks(length);
        var end = ByteBuffer.allocate(blocks * Checksums.TRAILER_BYTES + FOOTER_BYTES);
        for (int block = 0; block < blocks; block++) {
            if (seal != null) SliceSeal.putTrailer(end, tags, block);
            else Checksums.putTrailer(end, tags[block]);
        }
        int footer = end.position();
        int crc = Checksums.crc(end.duplicate().flip());
        end.putLong(FOOTER_MAGIC).putLong(slice.value()).putLong(length).putInt(crc);
        if (seal != null) {
            int[] words = new int[SliceSeal.WORDS];
            try (var worker = seal.worker()) {
                worker.sealLength(slice, length, words);
            }
            for (int word : words) end.putInt(word);
        }
        end.putInt(
                footer + 60,
                Checksums.crc(end.duplicate().clear().limit(footer + 60).position(footer)));
        return end.clear();
    }

    /** Reads and checks trailers and footer. @return tags; with a seal, its words */
    static int[] readTags(Volume.VolumeFile file, SliceId slice, long length, @Nullable SliceSeal seal)
            throws IOException {
        int blocks = Checksums.blocks(length);
        int footer = blocks * Checksums.TRAILER_BYTES;
        var end = ByteBuffer.allocate(footer + FOOTER_BYTES);
        int n = file.read(end, DATA_START + length);
        boolean sound = n == end.capacity()
                && end.getLong(footer) == FOOTER_MAGIC
                && end.getLong(footer + 8) == slice.value()
                && end.getLong(footer + 16) == length
                && end.getInt(footer + 60)
                        == Checksums.crc(
                                end.duplicate().clear().limit(footer + 60).position(footer))
                && end.getInt(footer + 24)
                        == Checksums.crc(end.duplicate().clear().limit(footer));
        int[] tags = new int[seal == null ? blocks : Math.max(1, blocks) * SliceSeal.WORDS];
        if (seal != null && sound) {
            for (int i = 0; i < SliceSeal.WORDS; i++) tags[i] = end.getInt(footer + 28 + 4 * i);
            try (var worker = seal.worker()) {
                sound = worker.hasLength(slice, length, tags);
            }
            for (int block = 0; block < blocks && sound; block++)
                sound = SliceSeal.readTrailer(end, block * Checksums.TRAILER_BYTES, tags, block);
        }
        for (int block = 0; block < blocks && sound && seal == null; block++) {
            sound = Checksums.isTrailer(end, block * Checksums.TRAILER_BYTES);
            tags[block] = Checksums.trailerTag(end, block * Checksums.TRAILER_BYTES);
        }
        if (!sound) throw new CorruptSliceException(slice, length, path(slice, SUFFIX) + " (its checksums)");
        return tags;
    }
}
