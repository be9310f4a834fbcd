// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;

/**
 * New ids of one incarnation, inodes and slices from one counter. Ids are reserved in blocks of
 * {@value #BLOCK}, durably, before the first of a block is given out; a start begins behind all that were ever
 * reserved, so none comes twice whatever crashed. Thread-safe; {@link #next} is one atomic step except once a block.
 *
 * <p>File {@code ids}, 32 bytes, big-endian: magic (8), incarnation (4), 0 (4), first counter that is not reserved (8),
 * 0 (4), CRC32C of the 28 bytes before (4).
 */
public final class IdSource {
    public static final String FILE = "ids";
    public static final int BLOCK = 65_536;

    private static final long MAGIC = 0x5748_4944_5300_0001L; // "WHIDS", 1
    private static final int FILE_BYTES = 32;

    private final Volume volume;
    private final Incarnation incarnation;
    private final long first;
    private final AtomicLong counter;
    private volatile long reserved;

    private IdSource(Volume volume, Incarnation incarnation, long first) {
        this.volume = volume;
        this.incarnation = incarnation;
        this.first = first;
        this.counter = new AtomicLong(first);
        this.reserved = first;
    }

    /** Begins the ids of a new incarnation; what another incarnation had reserved here is forgotten. */
    public static IdSource create(Volume volume, Incarnation incarnation) throws IOException {
        var existing = AtomicFile.read(volume, FILE, FILE_BYTES);
        if (existing != null && incarnationOf(existing) == incarnation.number()) {
            throw new IllegalStateException("incarnation " + incarnation + " has ids already");
        }
        var ids = new IdSource(volume, incarnation, 1);
        ids.reserve();
        return ids;
    }

    /**
     * Goes on behind everything this incarnation ever reserved.
     *
     * @throws IOException if the file is missing, damaged or another incarnation's: then the pod needs a new incarnation
     */
    public static IdSource open(Volume volume, Incarnation incarnation) throws IOException {
        var bytes = AtomicFile.read(volume, FILE, FILE_BYTES);
        if (bytes == null) throw new IOException("the store has no file of ids: it needs a new incarnation");
        int owner = incarnationOf(bytes);
        if (owner != incarnation.number()) throw new IOException("the store's ids are those of incarnation " + owner);
        var ids = new IdSource(volume, incarnation, bytes.getLong(16));
        ids.reserve();
        return ids;
    }

    private static int incarnationOf(ByteBuffer bytes) throws IOException {
        boolean sound = bytes.remaining() == FILE_BYTES
                && bytes.getLong(0) == MAGIC
                && bytes.getInt(28) == Checksums.crc(bytes.duplicate().limit(28));
        if (!sound) throw new IOException("the store's file of ids is damaged: it needs a new incarnation");
        return bytes.getInt(8);
    }

    private void reserve() throws IOException {
        long upTo = reserved + BLOCK;
        if (upTo - 1 > Ids.COUNTER_MAX) throw new IOException("incarnation " + incarnation + " has used up its ids");
        var bytes = ByteBuffer.allocate(FILE_BYTES);
        bytes.putLong(MAGIC)
                .putInt(incarnation.number())
                .putInt(0)
                .putLong(upTo)
                .putInt(0);
        bytes.putInt(Checksums.crc(bytes.duplicate().flip()));
        AtomicFile.write(volume, FILE, bytes.clear());
        reserved = upTo;
    }

    /** An id never given out before. @throws IOException if the next block cannot be reserved; may be tried again */
    public long next() throws IOException {
        while (true) {
            long now = counter.get();
            if (now >= reserved) {
                synchronized (this) {
                    if (counter.get() >= reserved) reserve();
                }
            } else if (counter.compareAndSet(now, now + 1)) {
                return Ids.of(incarnation.number(), now);
            }
        }
    }

    public SliceId nextSlice() throws IOException {
        return new SliceId(next());
    }

    public InodeId nextInode() throws IOException {
        return new InodeId(next());
    }

    /** The first id of this start: lower ones that nothing names are dead. */
    public long settledBefore() {
        return Ids.of(incarnation.number(), first);
    }
}
