// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.mount.fuse.Reply;
import dev.wormhole.mount.fuse.Request;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * Off-heap room for one request and then its reply. The bytes of a WRITE, and those of a reply, begin on the same page
 * border, so that they go to and come from files without a copy, also with O_DIRECT. Memory is taken as it is touched.
 */
final class Slab {
    static final int PAYLOAD_BYTES = 1 << 20;

    private static final int PAGE_BYTES = 4096;
    private static final int BYTES = PAGE_BYTES + PAYLOAD_BYTES;

    private final long base;
    /** For errno, in the front page. */
    final MemorySegment state;

    private final ByteBuffer payload;

    Slab() {
        base = Libc.mapPages(BYTES);
        var all = MemorySegment.ofAddress(base).reinterpret(BYTES);
        state = all.asSlice(0, Libc.STATE_BYTES);
        payload = all.asSlice(PAGE_BYTES).asByteBuffer();
    }

    long requestAddress() {
        return payloadAddress() - Request.WRITE_PAYLOAD_OFFSET;
    }

    int requestBytesMax() {
        return Request.WRITE_PAYLOAD_OFFSET + PAYLOAD_BYTES;
    }

    long replyAddress() {
        return payloadAddress() - Reply.HEADER_BYTES;
    }

    long payloadAddress() {
        return base + PAGE_BYTES;
    }

    /** The payload's first bytes as a buffer, always the same object: a direct one, good until the slab is released. */
    ByteBuffer payload(int bytes) {
        return payload.clear().limit(bytes);
    }

    /** Gives the memory of the payload back to the system, not the addresses. */
    void drop() {
        Libc.dropPages(payloadAddress(), PAYLOAD_BYTES);
    }

    /** Nothing may use the slab or its buffer from now on. */
    void unmap() {
        Libc.unmapPages(base, BYTES);
    }
}
