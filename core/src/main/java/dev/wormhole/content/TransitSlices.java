// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.content.ContentStore.SliceWriter;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Slices on their way through a pod that has no room for them: in memory, a bounded number of bytes at a time, never
 * durable. Thread-safe.
 */
final class TransitSlices {
    /** What {@link #read} answers when there is no such slice. */
    static final int NONE = -2;

    private static final int PIECE_BYTES = 64 * 1024;
    private static final int PIECE_BYTES_MIN = 4096;

    private final long bytesMax;
    private final AtomicLong used = new AtomicLong();
    private final ConcurrentHashMap<SliceId, Transit> slices = new ConcurrentHashMap<>();

    /** @param bytesMax memory for all of them together */
    TransitSlices(long bytesMax) {
        this.bytesMax = bytesMax;
    }

    long bytes() {
        return used.get();
    }

    boolean has(SliceId slice) {
        return slices.containsKey(slice);
    }

    SliceWriter stage(SliceId slice, int expectedBytes) throws TransitFullException {
        var transit = new Transit(slice);
        if (slices.putIfAbsent(slice, transit) != null)
            throw new IllegalStateException("slice " + slice + " is in transit");
        try {
            transit.charge(expectedBytes);
            return transit;
        } catch (TransitFullException e) {
            transit.end();
            throw e;
        }
    }

    /** As {@link ContentStore#read}, or {@link #NONE}. */
    int read(SliceId slice, long offset, ByteBuffer into) {
        var transit = slices.get(slice);
        return transit == null ? NONE : transit.read(offset, into);
    }

    long length(SliceId slice) {
        var transit = slices.get(slice);
        return transit == null ? -1 : transit.length();
    }

    void end(SliceId slice) {
        var transit = slices.get(slice);
        if (transit != null) transit.end();
    }

    void endAll() {
        slices.values().forEach(Transit::end);
    }

    /** Memory of so many bytes: whole pieces, and a last one that doubles. */
    private static long memoryOf(long bytes) {
        long rest = bytes % PIECE_BYTES;
        return bytes - rest + (rest == 0 ? 0 : pieceOf((int) rest));
    }

    private static int pieceOf(int bytes) {
        return Math.max(PIECE_BYTES_MIN, Integer.highestOneBit(bytes * 2 - 1));
    }

    private final class Transit implements SliceWriter {
        private final SliceId slice;

        // guarded by this
        private byte[][] pieces = new byte[4][];
        private long length;
        private long charged;
        private boolean sealed;
        private boolean gone;

        Transit(SliceId slice) {
            this.slice = slice;
        }

        @Override
        public SliceId slice() {
            return slice;
        }

        @Override
        public synchronized long length() {
            return length;
        }

        /** Takes memory for a slice of so many bytes, all of it or none. */
        private synchronized void charge(long bytes) throws TransitFullException {
            long more = memoryOf(bytes) - charged;
            if (more <= 0) return;
            long before;
            do {
                before = used.get();
                if (before + more > bytesMax)
                    throw new TransitFullException("slices in transit take " + before + " of " + bytesMax + " bytes");
            } while (!used.compareAndSet(before, before + more));
            charged += more;
        }

        @Override
        public synchronized void append(ByteBuffer bytes) throws IOException {
            if (gone) throw new UnknownSliceException(slice);
            if (sealed) throw new IllegalStateException("slice " + slice + " is sealed");
            charge(length + bytes.remaining());
            while (bytes.hasRemaining()) {
                int index = (int) (length / PIECE_BYTES);
                int at = (int) (length % PIECE_BYTES);
                int count = Math.min(bytes.remaining(), PIECE_BYTES - at);
                if (index == pieces.length) pieces = Arrays.copyOf(pieces, 2 * index);
                byte[] piece = pieces[index];
                int needed = pieceOf(at + count);
                if (at == 0) pieces[index] = piece = new byte[needed];
                else if (piece.length < needed) pieces[index] = piece = Arrays.copyOf(piece, needed);
                bytes.get(piece, at, count);
                length += count;
            }
        }

        private synchronized int read(long offset, ByteBuffer into) {
            if (gone) return NONE;
            int count = (int) Math.min(into.remaining(), length - offset);
            if (count <= 0) return offset >= length ? -1 : 0;
            for (int done = 0; done < count; ) {
                int at = (int) ((offset + done) % PIECE_BYTES);
                int part = Math.min(count - done, PIECE_BYTES - at);
                into.put(pieces[(int) ((offset + done) / PIECE_BYTES)], at, part);
                done += part;
            }
            return count;
        }

        @Override
        public synchronized void seal() throws IOException {
            if (gone) throw new UnknownSliceException(slice);
            if (sealed) throw new IllegalStateException("slice " + slice + " is sealed");
            sealed = true;
        }

        @Override
        public void close() {
            synchronized (this) {
                if (sealed) return;
            }
            end();
        }

        void end() {
            synchronized (this) {
                if (gone) return;
                gone = true;
                pieces = new byte[0][];
                used.addAndGet(-charged);
            }
            slices.remove(slice, this);
        }
    }
}
