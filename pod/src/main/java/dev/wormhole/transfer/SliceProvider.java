// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.content.ContentStore;
import dev.wormhole.content.CorruptSliceException;
import dev.wormhole.content.UnknownSliceException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * Gives blocks of durable local slices to other pods. Request: slice id, offset (long, at a block), blocks (int, 1 to 16).
 * Reply: the slice's length (long), bytes that follow (int), a CRC32C per block, the bytes; fewer blocks at the slice's
 * end. A bad block refuses the whole request as CORRUPT_SLICE.
 */
public final class SliceProvider {
    static final int BLOCKS_MAX = 16;
    /** Requests that hold a buffer at a time. */
    private static final int READS_MAX = 24;

    private final ContentStore store;
    private final Buffers buffers = new Buffers();
    private final Semaphore reads = new Semaphore(READS_MAX);

    /** Registers itself with the server, which must not have started. */
    public SliceProvider(Server server, ContentStore store) {
        this.store = store;
        server.handleRaw(Kinds.READ_BLOCKS, this::read, Server.Option.UNINTERRUPTED);
    }

    private ByteBuffer[] read(Request request, Server.Exchange exchange) throws IOException, InterruptedException {
        var in = Messages.reader(request.body());
        var slice = in.getSlice();
        var offset = in.getLong();
        var blocks = in.getInt();
        in.end();
        if (offset < 0 || offset % Blocks.BYTES != 0 || blocks < 1 || blocks > BLOCKS_MAX) {
            throw new MalformedMessageException(blocks + " blocks at " + offset);
        }
        if (!store.isDurable(slice)) throw new PeerRefused(PeerRefused.UNKNOWN_SLICE, "no slice " + slice + " here");
        if (!reads.tryAcquire(request.timeLeft().toNanos(), TimeUnit.NANOSECONDS)) {
            throw new PeerRefused(PeerRefused.OVERLOADED, "too many reads at a time");
        }
        var buffer = buffers.take();
        exchange.afterwards(() -> {
            buffers.give(buffer);
            reads.release();
        });
        try {
            var length = store.length(slice);
            var bytes = (int) Math.clamp(length - offset, 0, blocks * Blocks.BYTES);
            var dataAt = 12 + 4 * Blocks.count(bytes);
            buffer.putLong(length).putInt(bytes).position(dataAt).limit(dataAt + bytes);
            var at = offset;
            while (buffer.hasRemaining()) {
                var read = store.read(slice, at, buffer);
                if (read <= 0) throw new UnknownSliceException(slice); // deleted meanwhile
                at += read;
            }
            Blocks.sum(buffer, 12, dataAt, bytes);
            return new ByteBuffer[] {buffer.position(0)};
        } catch (UnknownSliceException e) {
            throw new PeerRefused(PeerRefused.UNKNOWN_SLICE, String.valueOf(e.getMessage()));
        } catch (CorruptSliceException e) {
            throw new PeerRefused(PeerRefused.CORRUPT_SLICE, String.valueOf(e.getMessage()));
        }
    }
}
