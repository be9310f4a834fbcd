// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * Block checksums. A block's <em>tag</em> is the CRC32C of its bytes, xored with a mixture of the slice's id and the
 * block's number: right bytes in the wrong place (a misdirected write, an offset that is out of date) do not pass.
 *
 * <p>On disk a tag is a <em>trailer</em> of 33 bytes: algorithm (1 = CRC32C), then 32 bytes of which the first four are
 * the tag, big-endian, and the others zero.
 */
final class Checksums {
    static final int TRAILER_BYTES = 33;
    static final byte CRC32C_TAG = 1;

    private Checksums() {}

    static int blocks(long length) {
        return (int) ((length + ContentStore.BLOCK_BYTES - 1) / ContentStore.BLOCK_BYTES);
    }

    static int blockLength(long length, int block) {
        return (int) Math.min(ContentStore.BLOCK_BYTES, length - (long) block * ContentStore.BLOCK_BYTES);
    }

    static int crc(ByteBuffer bytes) {
        var crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    private static int place(SliceId slice, int block) {
        long h = (slice.value() + block * 0x9E3779B97F4A7C15L) * 0xBF58476D1CE4E5B9L;
        h ^= h >>> 32;
        h *= 0x94D049BB133111EBL;
        return (int) (h >>> 32);
    }

    /** The tag of a whole block; leaves the buffer's position and limit alone. */
    static int tag(SliceId slice, int block, ByteBuffer bytes, int position, int length) {
        int oldPosition = bytes.position();
        int oldLimit = bytes.limit();
        bytes.limit(position + length).position(position);
        int crc = crc(bytes);
        bytes.limit(oldLimit).position(oldPosition);
        return crc ^ place(slice, block);
    }

    static int tag(SliceId slice, int block, byte[] bytes, int from, int length) {
        var crc = new CRC32C();
        crc.update(bytes, from, length);
        return (int) crc.getValue() ^ place(slice, block);
    }

    /** Puts 33 bytes. */
    static void putTrailer(ByteBuffer into, int tag) {
        into.put(CRC32C_TAG).putInt(tag).putLong(0).putLong(0).putLong(0).putInt(0);
    }

    /** Whether the 33 bytes at a position are a trailer that we understand. */
    static boolean isTrailer(ByteBuffer from, int at) {
        return from.get(at) == CRC32C_TAG
                && from.getLong(at + 5) == 0
                && from.getLong(at + 13) == 0
                && from.getLong(at + 21) == 0
                && from.getInt(at + 29) == 0;
    }

    static int trailerTag(ByteBuffer from, int at) {
        return from.getInt(at + 1);
    }
}
