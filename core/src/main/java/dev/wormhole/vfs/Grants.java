// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.InodeId;
import java.util.concurrent.atomic.AtomicLongArray;

/**
 * What this pod's kernel was told to believe of shared things, and so for how long a change made elsewhere is not yet told
 * (DESIGN section 7). Names are never taken back: a change of them waits until the last grant in its directory has run out,
 * and then no name there is granted for {@link #CONTESTED_NANOS}. Attributes are taken back by a notification, and not
 * granted for {@link #CHANGED_NANOS}.
 *
 * <p>Whoever answers asks for the grant <em>before</em> looking at the state, and the change is in the state before it is
 * asked for here: so either the answer has it, or the grant is seen. The grant counts for {@link #REPLY_NANOS} longer than
 * it is worth; a reply that takes longer to leave must not carry it ({@link #isStill}).
 *
 * <p>Directories and inodes share places by hash, which costs a needless wait at times and no memory. Times are nanoseconds
 * since any moment, of the clock that the kernel counts validity by. Thread-safe.
 */
final class Grants {
    static final long NAME_NANOS = 100_000_000;
    static final long CONTESTED_NANOS = 10_000_000_000L;
    static final long CHANGED_NANOS = 1_000_000_000;
    static final long REPLY_NANOS = 5_000_000;
    private static final int PLACES = 1 << 14;

    private final AtomicLongArray namesUntil = new AtomicLongArray(PLACES);
    private final AtomicLongArray contestedUntil = new AtomicLongArray(PLACES);
    private final AtomicLongArray attributesUntil = new AtomicLongArray(PLACES);
    private final AtomicLongArray attributesGrantedAt = new AtomicLongArray(PLACES);
    private final AtomicLongArray changedUntil = new AtomicLongArray(PLACES);

    private static int place(InodeId inode) {
        return (int) (inode.value() * 0x9E37_79B9_7F4A_7C15L >>> 50);
    }

    /**
     * A name of the directory is about to be answered.
     *
     * @param freshNanos what is left of this pod's freshness
     * @return nanoseconds for which it may be believed
     */
    long name(InodeId directory, long now, long freshNanos) {
        int place = place(directory);
        if (freshNanos <= 0 || now < contestedUntil.get(place)) return 0;
        long valid = Math.min(NAME_NANOS, freshNanos);
        raise(namesUntil, place, now + valid + REPLY_NANOS);
        return valid;
    }

    /** The inode's attributes are about to be answered; nanoseconds for which they may be believed. */
    long attributes(InodeId inode, long now, long freshNanos) {
        int place = place(inode);
        if (freshNanos <= 0 || now < changedUntil.get(place)) return 0;
        raise(attributesUntil, place, now + freshNanos + REPLY_NANOS);
        raise(attributesGrantedAt, place, now);
        return freshNanos;
    }

    private static void raise(AtomicLongArray times, int place, long to) {
        long known = times.get(place);
        while (known < to && !times.compareAndSet(place, known, to)) known = times.get(place);
    }

    /** Whether a reply of a grant made then may still carry it. */
    static boolean isStill(long grantedAt, long now) {
        return now - grantedAt < REPLY_NANOS;
    }

    /** A name of the directory was changed by another pod. Answers until when the old one may be believed. */
    long nameChanged(InodeId directory, long now) {
        int place = place(directory);
        raise(contestedUntil, place, now + CONTESTED_NANOS);
        return namesUntil.get(place);
    }

    /**
     * Attributes were changed by another pod.
     *
     * @return when the kernel is to be told: not before the replies under way have left; -1 if it believes nothing of it
     */
    long attributesChanged(InodeId inode, long now) {
        int place = place(inode);
        raise(changedUntil, place, now + CHANGED_NANOS);
        if (attributesUntil.get(place) <= now) return -1;
        return attributesGrantedAt.get(place) + REPLY_NANOS;
    }

    /** Attributes were changed by this pod itself: as {@link #attributesChanged}, and they may be granted again at once. */
    long ownAttributesChanged(InodeId inode, long now) {
        int place = place(inode);
        return attributesUntil.get(place) <= now ? -1 : now;
    }

    /** Until when anything may be believed at all, after everything may have changed at once. */
    long everythingChanged(long now) {
        long last = 0;
        for (int place = 0; place < PLACES; place++) {
            last = Math.max(last, Math.max(namesUntil.get(place), attributesUntil.get(place)));
            raise(changedUntil, place, now + CHANGED_NANOS);
        }
        return last;
    }
}
