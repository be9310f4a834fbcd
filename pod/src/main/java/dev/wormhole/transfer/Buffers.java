// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.nio.ByteBuffer;
import java.util.concurrent.ArrayBlockingQueue;

/**
 * Direct buffers for bytes in bulk, kept for reuse up to a number; when all are out, a heap buffer that the collector
 * takes back, so direct memory stays bounded. Thread-safe.
 */
final class Buffers {
    /** Sixteen blocks and what stands before them. */
    static final int BYTES = (1 << 20) + 16 * 1024;

    private static final int DIRECT_MAX = 12;

    private final ArrayBlockingQueue<ByteBuffer> free = new ArrayBlockingQueue<>(DIRECT_MAX);
    private int made;

    /** An empty buffer of {@link #BYTES}. */
    ByteBuffer take() {
        var buffer = free.poll();
        if (buffer != null) return buffer.clear();
        synchronized (this) {
            if (made < DIRECT_MAX) {
                made++;
                return ByteBuffer.allocateDirect(BYTES);
            }
        }
        return ByteBuffer.allocate(BYTES);
    }

    /** Only when nobody else can still read it. */
    void give(ByteBuffer buffer) {
        if (buffer.isDirect()) {
            var _ = free.offer(buffer);
        }
    }

    /** In place of {@link #give}, when a writing thread may still hold it: the collector takes it. */
    void lose(ByteBuffer buffer) {
        if (buffer.isDirect()) {
            synchronized (this) {
                made--;
            }
        }
    }
}
