// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.InodeId;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Which listings the kernel may answer by itself: those that it has read since the directory's last change, and not long ago.
 *
 * <p>A directory's times do not tell whether it changed, because programs set them back. And a listing is worth keeping only
 * as long as the names that came with it are valid: then one READDIRPLUS renews them all, where a kept listing would have the
 * kernel ask for every name.
 *
 * <p>What a READDIR has read before a change of others may reach the kernel after the next open made it drop what it had. So a
 * directory that others change is not kept by anybody: neither by the opens that come then, nor by one that comes at the same
 * time.
 *
 * <p>Thread-safe. Memory is bounded: at {@value #LISTINGS_MAX} directories all are forgotten.
 */
final class Listings {
    private static final int LISTINGS_MAX = 16_384;
    /** Until when, by the monotonic clock, the names of the listing that the kernel reads since then are valid. */
    private final ConcurrentHashMap<InodeId, Long> keptUntil = new ConcurrentHashMap<>();
    /** Changes that others made of any directory. */
    private final AtomicLong changes = new AtomicLong();

    /**
     * A program opens the directory, after what others changed is known here. Answers whether what the kernel has kept is
     * right; if not, it reads anew, and {@link #readsAnew} is to be called before it is told so.
     */
    boolean isKept(InodeId directory, long nowNanos) {
        Long until = keptUntil.get(directory);
        return until != null && nowNanos - until < 0;
    }

    /** To be looked at before it is asked for how long names may be believed. */
    long changes() {
        return changes.get();
    }

    /**
     * Answers whether the kernel may keep what it reads.
     *
     * @param changesBefore {@link #changes} before {@code validNanos} was known
     * @param validNanos for how long a name in it may be believed
     */
    boolean readsAnew(InodeId directory, long nowNanos, long changesBefore, long validNanos) {
        if (validNanos <= 0) return false;
        if (keptUntil.size() >= LISTINGS_MAX) keptUntil.clear();
        keptUntil.put(directory, nowNanos + validNanos);
        if (changes.get() == changesBefore) return true; // a change that comes now finds it
        keptUntil.remove(directory);
        return false;
    }

    /**
     * A name in the directory changed; the state shows it already. Answers whether the kernel may have kept the listing.
     *
     * @param own whether the change came through the kernel, which then knows
     */
    boolean changed(InodeId directory, boolean own) {
        if (!own) changes.incrementAndGet();
        return keptUntil.remove(directory) != null;
    }

    void everythingChanged() {
        changes.incrementAndGet();
        keptUntil.clear();
    }
}
