// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.content.ContentStore;
import dev.wormhole.content.OutOfSpaceException;
import dev.wormhole.content.UnknownSliceException;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** A store in memory whose room, syncs and silence a test decides. */
final class MemoryStore implements ContentStore {
    private static final class Held {
        byte[] bytes = {};
        int length;
        boolean sealed;
        boolean durable;
    }

    private final Map<SliceId, Held> slices = new HashMap<>();
    long limitBytes = 1L << 30;
    private long used;
    int syncs;
    int staged;
    int reads;
    /** While set, syncs wait for it. */
    volatile @Nullable CountDownLatch syncGate;
    /** While set, reads wait for it. */
    volatile @Nullable CountDownLatch readGate;

    volatile @Nullable IOException syncFailure;

    /** A durable slice. */
    void put(SliceId slice, byte[] bytes) throws IOException {
        try (var writer = stage(slice, bytes.length)) {
            writer.append(ByteBuffer.wrap(bytes));
            writer.seal();
        }
        sync(java.util.List.of(slice));
    }

    /** Changes a byte without its owner's knowledge. */
    synchronized byte @Nullable [] bytes(SliceId slice) {
        var held = slices.get(slice);
        return held == null ? null : Arrays.copyOf(held.bytes, held.length);
    }

    @Override
    public synchronized SliceWriter stage(SliceId slice, long expectedBytes) throws IOException {
        if (slices.containsKey(slice)) throw new IllegalStateException("have " + slice);
        if (used + expectedBytes > limitBytes) throw new OutOfSpaceException("full");
        var held = new Held();
        slices.put(slice, held);
        staged++;
        return new SliceWriter() {
            @Override
            public SliceId slice() {
                return slice;
            }

            @Override
            public long length() {
                synchronized (MemoryStore.this) {
                    return held.length;
                }
            }

            @Override
            public void append(ByteBuffer bytes) throws IOException {
                synchronized (MemoryStore.this) {
                    if (held.sealed) throw new IllegalStateException("sealed " + slice);
                    if (used + bytes.remaining() > limitBytes) throw new OutOfSpaceException("full");
                    var after = held.length + bytes.remaining();
                    if (after > held.bytes.length) {
                        held.bytes = Arrays.copyOf(held.bytes, Math.max(after, (int) expectedBytes));
                    }
                    bytes.get(held.bytes, held.length, bytes.remaining());
                    used += after - held.length;
                    held.length = after;
                }
            }

            @Override
            public void seal() {
                synchronized (MemoryStore.this) {
                    held.sealed = true;
                }
            }

            @Override
            public void close() {
                synchronized (MemoryStore.this) {
                    if (!held.sealed && slices.remove(slice, held)) used -= held.length;
                }
            }
        };
    }

    @Override
    public void sync(Collection<SliceId> wanted) throws IOException {
        var gate = syncGate;
        try {
            if (gate != null) gate.await();
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        var failure = syncFailure;
        if (failure != null) throw failure;
        synchronized (this) {
            syncs++;
            for (var slice : wanted) {
                var held = slices.get(slice);
                if (held == null) throw new UnknownSliceException(slice);
                if (!held.sealed) throw new IllegalStateException("not sealed " + slice);
                held.durable = true;
            }
        }
    }

    @Override
    public int read(SliceId slice, long offset, ByteBuffer into) throws IOException {
        var gate = readGate;
        try {
            if (gate != null) gate.await();
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        byte[] all;
        int end;
        synchronized (this) {
            reads++;
            var held = slices.get(slice);
            if (held == null) throw new UnknownSliceException(slice);
            if (offset >= held.length) return -1;
            all = held.bytes;
            end = held.length;
        }
        var count = (int) Math.min(into.remaining(), end - offset);
        into.put(all, (int) offset, count);
        return count;
    }

    /** Refused, as by a store whose memory for them is used up. */
    @Override
    public SliceWriter stageTransit(SliceId slice, int expectedBytes) throws IOException {
        throw new dev.wormhole.content.TransitFullException("no slices in transit here");
    }

    @Override
    public void endTransit(Collection<SliceId> slices) {}

    @Override
    public long transitBytes() {
        return 0;
    }

    @Override
    public synchronized long length(SliceId slice) {
        var held = slices.get(slice);
        return held == null ? -1 : held.length;
    }

    @Override
    public synchronized boolean isDurable(SliceId slice) {
        var held = slices.get(slice);
        return held != null && held.durable;
    }

    @Override
    public synchronized void delete(Collection<SliceId> gone) {
        for (var slice : gone) {
            var held = slices.remove(slice);
            if (held != null) used -= held.length;
        }
    }

    @Override
    public synchronized void forEachDurable(Consumer<SliceId> visitor) {
        slices.forEach((slice, held) -> {
            if (held.durable) visitor.accept(slice);
        });
    }

    @Override
    public void verify(SliceId slice) {}

    @Override
    public synchronized Usage usage() {
        return new Usage(limitBytes, used, limitBytes - used, slices.size(), null);
    }

    @Override
    public void close() {}
}
