// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.content.ContentStore;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/** Checksums of a slice's blocks on the wire: CRC32C of each 64 KiB, the last one maybe shorter. */
final class Blocks {
    static final int BYTES = ContentStore.BLOCK_BYTES;

    private Blocks() {}

    static int count(long bytes) {
        return Math.toIntExact((bytes + BYTES - 1) / BYTES);
    }

    static int crc(ByteBuffer from, int at, int bytes) {
        var crc = new CRC32C();
        crc.update(from.slice(at, bytes));
        return (int) crc.getValue();
    }

    /** Writes the checksums of the data at {@code dataAt} to {@code crcAt}; moves no position. */
    static void sum(ByteBuffer buffer, int crcAt, int dataAt, int dataBytes) {
        for (var done = 0; done < dataBytes; done += BYTES) {
            buffer.putInt(crcAt + done / BYTES * 4, crc(buffer, dataAt + done, Math.min(BYTES, dataBytes - done)));
        }
    }

    /** @throws MalformedMessageException if a block differs from its checksum */
    static void verify(ByteBuffer buffer, int crcAt, int dataAt, int dataBytes) throws MalformedMessageException {
        for (var done = 0; done < dataBytes; done += BYTES) {
            var expected = buffer.getInt(crcAt + done / BYTES * 4);
            if (crc(buffer, dataAt + done, Math.min(BYTES, dataBytes - done)) != expected) {
                throw new MalformedMessageException("block damaged on its way");
            }
        }
    }
}
