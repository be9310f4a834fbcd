// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Counts what content occupies and refuses what would touch the limit, the disk's {@code keep_free} or the reserve.
 * Bytes are charged before they are staged, so that sealing and syncing never run out.
 */
final class Space {
    /** The disk is asked again after so many charged bytes, earlier when it is nearly full. */
    private static final long LOOK_AGAIN_BYTES = 16 << 20;

    private final Volume volume;
    private final long limitBytes;
    private final long keepFreeBytes;
    private final AtomicLong used = new AtomicLong();
    private final AtomicLong unwritten = new AtomicLong();
    private final AtomicLong allowance = new AtomicLong();
    private volatile long withheldBytes;

    Space(Volume volume, long limitBytes, long keepFreeBytes) {
        this.volume = volume;
        this.limitBytes = limitBytes;
        this.keepFreeBytes = keepFreeBytes;
    }

    /** Takes bytes for a slice that is being staged. */
    void charge(long bytes) throws IOException {
        long before;
        do {
            before = used.get();
            if (before + bytes > limitBytes) {
                throw new OutOfSpaceException("content uses " + before + " of " + limitBytes + " bytes");
            }
        } while (!used.compareAndSet(before, before + bytes));
        if (allowance.addAndGet(-bytes) < 0) askDisk(bytes);
    }

    private void askDisk(long bytes) throws IOException {
        long free;
        try {
            free = diskFree() - bytes;
        } catch (IOException e) {
            used.addAndGet(-bytes);
            throw e;
        }
        if (free < 0) {
            used.addAndGet(-bytes);
            allowance.set(0);
            throw new OutOfSpaceException("the disk has no room that content may use");
        }
        allowance.set(Math.min(LOOK_AGAIN_BYTES, free / 4));
    }

    private long diskFree() throws IOException {
        return volume.freeBytes() - keepFreeBytes - withheldBytes - unwritten.get();
    }

    /** Counts bytes that are there whatever we say; negative ones are given back. */
    void add(long bytes) {
        used.addAndGet(bytes);
    }

    /** Counts staged bytes that the disk does not know of yet. */
    void addUnwritten(long bytes) {
        unwritten.addAndGet(bytes);
    }

    /** Free space of the disk that is kept for the reserve while its file is released. */
    void withhold(long bytes) {
        withheldBytes = bytes;
        allowance.set(0);
    }

    long used() {
        return used.get();
    }

    long limit() {
        return limitBytes;
    }

    long free() {
        try {
            return Math.max(0, Math.min(limitBytes - used.get(), diskFree()));
        } catch (IOException e) {
            return 0;
        }
    }
}
