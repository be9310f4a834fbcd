// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.InodeId;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Which listings the kernel may answer by itself: those that it has read since the directory's last change, and not long ago.
 *
 * <p>A directory's times do not tell whether it changed, because programs set them back. And a listing is worth keeping only
 * as long as the names that came with it are valid: then one READDIRPLUS renews them all, where a kept listing would have the
 * kernel ask for every name.
 *
 * <p>Thread-safe. Memory is bounded: at {@value #LISTINGS_MAX} directories all are forgotten.
 */
final class Listings {
    private static final int LISTINGS_MAX = 16_384;
    /** Until when, by the monotonic clock, the names of the listing that the kernel reads since then are valid. */
    private final ConcurrentHashMap<InodeId, Long> keptUntil = new ConcurrentHashMap<>();

    /**
     * A program opens the directory, after what others changed is known here. Answers whether what the kernel has kept is
     * right; if not, it reads anew, and {@link #readsAnew} is to be called before it is told so.
     */
    boolean isKept(InodeId directory, long nowNanos) {
        Long until = keptUntil.get(directory);
        return until != null && nowNanos - until < 0;
    }

    /** @param validNanos for how long a name in it may be believed */
    void readsAnew(InodeId directory, long nowNanos, long validNanos) {
        if (validNanos <= 0) return;
        if (keptUntil.size() >= LISTINGS_MAX) keptUntil.clear();
        keptUntil.put(directory, nowNanos + validNanos);
    }

    /** A name in the directory changed. Answers whether the kernel may have kept the listing. */
    boolean changed(InodeId directory) {
        return keptUntil.remove(directory) != null;
    }

    void everythingChanged() {
        keptUntil.clear();
    }
}
