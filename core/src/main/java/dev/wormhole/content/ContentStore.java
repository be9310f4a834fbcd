// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Immutable slices on this pod's volumes. A slice is staged by one writer, sealed, made durable, read by many, deleted.
 * Thread-safe; one {@link SliceWriter} belongs to one thread at a time.
 *
 * <p>After a crash at any instant a store opens with every slice that {@link #sync} returned for, whole; staged and
 * unsynced slices are gone or whole, never torn.
 */
public interface ContentStore extends AutoCloseable {
    /** Checksums cover blocks of so many bytes of a slice; the last block may be shorter. */
    int BLOCK_BYTES = 64 * 1024;

    /**
     * Begins a slice.
     *
     * @param expectedBytes a hint, 0 if unknown: small slices go into packs
     * @throws OutOfSpaceException when the volume's limit or reserve would be touched
     * @throws IllegalStateException if the store has a slice of that id, staged or sealed. One that was deleted or given
     *     up may come again: an id names the same bytes for ever
     */
    SliceWriter stage(SliceId slice, long expectedBytes) throws IOException;

    /**
     * Begins a slice that is to go on to other pods, because this one has no room for it: kept in memory, beside the limit.
     * It is read like any other and never becomes durable: {@link #sync} does not know it, and it is gone after a crash.
     * {@link #endTransit} or {@link #delete} ends it. The store may get a lasting slice of the same id meanwhile.
     *
     * @param expectedBytes taken from the memory for such slices at once, so that appending so much cannot fail for it
     * @throws TransitFullException when that memory is used up; so does {@link SliceWriter#append}, which took nothing then
     * @throws IllegalStateException if the store has a slice of that id
     */
    SliceWriter stageTransit(SliceId slice, int expectedBytes) throws IOException;

    /** Lets slices in transit go, and nothing else; unknown ones are passed over. */
    void endTransit(Collection<SliceId> slices);

    /** Memory that slices in transit take. */
    long transitBytes();

    /** Makes sealed slices durable: on return they survive power loss. Shares disk syncs between callers. */
    void sync(Collection<SliceId> slices) throws IOException;

    /**
     * Reads verified bytes of a staged or sealed slice into the buffer's remaining space.
     *
     * @return bytes read, less than asked only at the slice's end; -1 if offset is at or behind the end
     * @throws UnknownSliceException when the store has no such slice
     * @throws CorruptSliceException when a checksum does not match; no byte of a bad block is delivered
     */
    int read(SliceId slice, long offset, ByteBuffer into) throws IOException;

    /** Length, or -1 if the store has no such slice; of a staged one what was appended so far. */
    long length(SliceId slice);

    /** Whether it is sealed and {@link #sync} has returned for it (or it was there when the store opened). */
    boolean isDurable(SliceId slice);

    /** Deletes slices; unknown ones are passed over. Open reads finish or fail with UnknownSliceException. */
    void delete(Collection<SliceId> slices) throws IOException;

    /** Every durable slice, in no order; may miss or include ones that come or go meanwhile. */
    void forEachDurable(Consumer<SliceId> visitor);

    /** Reads a whole slice back and checks every block, past any cache of our own. */
    void verify(SliceId slice) throws IOException;

    Usage usage();

    /**
     * @param limitBytes most bytes that content may use, from the declared limit and the disk's size
     * @param usedBytes bytes of slices, staged ones and unreclaimed dead ones included
     * @param freeBytes bytes that {@link #stage} still takes: the limit and the reserve are both kept
     * @param slices number of durable slices
     * @param fault what is wrong with the disk, for people; null when nothing is known to be
     */
    record Usage(
            long limitBytes,
            long usedBytes,
            long freeBytes,
            long slices,
            @Nullable String fault) {}

    @Override
    void close() throws IOException;

    /** A slice being written. Nothing of it can be committed before {@link #seal}. */
    interface SliceWriter extends AutoCloseable {
        SliceId slice();

        long length();

        /** Appends the buffer's remaining bytes; readable at once through {@link ContentStore#read}. */
        void append(ByteBuffer bytes) throws IOException;

        /** Ends writing. Not yet durable: see {@link ContentStore#sync}. */
        void seal() throws IOException;

        /** Gives up a slice that is not sealed; does nothing otherwise. */
        @Override
        void close();
    }
}
