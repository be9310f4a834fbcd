// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.lock;

/**
 * A lock, held or wanted.
 *
 * @param from first byte, from 0
 * @param to last byte, {@link Long#MAX_VALUE} for the end of the file wherever it will be; of WHOLE always all bytes
 * @param pid process that asked for it, in its machine's numbers
 */
public record FileLock(LockSpace space, LockOwner owner, boolean exclusive, long from, long to, int pid) {
    public FileLock {
        if (from < 0 || to < from) throw new IllegalArgumentException("lock of " + from + " to " + to);
        if (space == LockSpace.WHOLE && (from != 0 || to != Long.MAX_VALUE))
            throw new IllegalArgumentException("flock of " + from + " to " + to);
    }

    public boolean overlaps(long otherFrom, long otherTo) {
        return from <= otherTo && otherFrom <= to;
    }

    /** Whether the two cannot be held at once. */
    public boolean conflicts(FileLock other) {
        return space == other.space
                && (exclusive || other.exclusive)
                && overlaps(other.from, other.to)
                && !owner.equals(other.owner);
    }

    FileLock part(long newFrom, long newTo) {
        return new FileLock(space, owner, exclusive, newFrom, newTo, pid);
    }
}
