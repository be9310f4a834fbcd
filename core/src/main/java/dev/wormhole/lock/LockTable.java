// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.lock;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The locks of one file and who waits for one, in the order of asking. What it answers depends on the calls before alone:
 * the same on every pod that makes the same calls. Not thread-safe.
 *
 * <p>A new request is granted when it conflicts with no held lock, also past waiting ones, as Linux does: a queue in which
 * nobody overtakes would make owners wait for waiters, which no deadlock detection sees. Those who wait are granted in order
 * of asking, each when nothing held conflicts with it.
 */
public final class LockTable {
    /** Locks and waiters of one file at most; each is a few dozen bytes in a row of the state. */
    public static final int ENTRIES_MAX = 8_192;

    private static final Comparator<FileLock> ORDER = Comparator.comparing(FileLock::space)
            .thenComparingLong(FileLock::from)
            .thenComparing(FileLock::owner);

    /** @param ticket names the request on its pod */
    public record Waiter(long ticket, FileLock wanted) {
        boolean is(LockOwner owner) {
            return wanted.owner().equals(owner);
        }
    }

    public enum Answer {
        GRANTED,
        /** Something held is in the way. */
        CONFLICT,
        WAITING,
        /** The table is full. */
        FULL
    }

    private final ArrayList<FileLock> held = new ArrayList<>(2);
    private final ArrayList<Waiter> waiters = new ArrayList<>(0);

    public LockTable() {}

    /** @param held locks that do not conflict, as {@link #held} gave them */
    public LockTable(Collection<FileLock> held, Collection<Waiter> waiters) {
        this.held.addAll(held);
        this.held.sort(ORDER);
        this.waiters.addAll(waiters);
    }

    /** In order: first ranges, by where they begin. */
    public List<FileLock> held() {
        return List.copyOf(held);
    }

    /** In the order in which they will be granted. */
    public List<Waiter> waiters() {
        return List.copyOf(waiters);
    }

    public boolean isEmpty() {
        return held.isEmpty() && waiters.isEmpty();
    }

    /** The first held lock in the way of this one; null if it could be held now. */
    public @Nullable FileLock conflict(FileLock wanted) {
        for (FileLock lock : held) if (lock.conflicts(wanted)) return lock;
        return null;
    }

    /** Whose locks are in the way of this one. */
    public Set<LockOwner> blockers(FileLock wanted) {
        var owners = new LinkedHashSet<LockOwner>();
        for (FileLock lock : held) if (lock.conflicts(wanted)) owners.add(lock.owner());
        return owners;
    }

    /**
     * Takes the lock, which replaces what its owner holds there. Changing a WHOLE lock gives up the old one first, as flock(2)
     * says, so that a refusal leaves none. A weaker lock in place of a stronger one may let others go on.
     *
     * @param ticket for WAITING
     * @param wait whether to wait if something is in the way
     */
    public Answer lock(FileLock wanted, long ticket, boolean wait) {
        if (wanted.space() == LockSpace.WHOLE) {
            for (FileLock lock : held)
                if (lock.space() == LockSpace.WHOLE && lock.owner().equals(wanted.owner())) {
                    if (lock.exclusive() == wanted.exclusive()) return Answer.GRANTED;
                    unlock(LockSpace.WHOLE, wanted.owner(), 0, Long.MAX_VALUE);
                    break;
                }
        }
        if (conflict(wanted) == null) {
            // a range in the middle of another makes three of one
            if (held.size() + waiters.size() + 2 > ENTRIES_MAX) return Answer.FULL;
            hold(wanted);
            promote();
            return Answer.GRANTED;
        }
        if (!wait) return Answer.CONFLICT;
        if (held.size() + waiters.size() + 2 > ENTRIES_MAX) return Answer.FULL;
        waiters.add(new Waiter(ticket, wanted));
        return Answer.WAITING;
    }

    /**
     * Ends what the owner holds of these bytes, and grants what can be granted then.
     *
     * @return whether the owner held something there
     */
    public boolean unlock(LockSpace space, LockOwner owner, long from, long to) {
        boolean changed = cut(space, owner, from, to);
        if (changed) promote();
        return changed;
    }

    /** Whether {@link #unlock} there would need more room than there is: it splits a range in two. */
    public boolean isTooFullToUnlock(LockSpace space, LockOwner owner, long from, long to) {
        if (held.size() + waiters.size() < ENTRIES_MAX) return false;
        for (FileLock lock : held)
            if (lock.space() == space && lock.owner().equals(owner) && lock.from() < from && lock.to() > to)
                return true;
        return false;
    }

    /** Adds a request behind the others, whether or not something is in its way. Answers false if the table is full. */
    public boolean enqueue(Waiter waiter) {
        if (held.size() + waiters.size() + 2 > ENTRIES_MAX) return false;
        waiters.add(waiter);
        return true;
    }

    /** Ends one request. Answers false if it does not wait: it was granted, or never asked. */
    public boolean cancel(LockOwner owner, long ticket) {
        return waiters.removeIf(waiter -> waiter.ticket() == ticket && waiter.is(owner));
    }

    /** Ends all requests of these owners, and grants nothing: what is held may be known elsewhere alone. */
    public void withdraw(Predicate<LockOwner> owners) {
        waiters.removeIf(waiter -> owners.test(waiter.wanted().owner()));
    }

    /** Ends all locks and requests of these owners, and grants what can be granted then. Answers whether any was held. */
    public boolean end(Predicate<LockOwner> owners) {
        boolean held = this.held.removeIf(lock -> owners.test(lock.owner()));
        withdraw(owners);
        promote();
        return held;
    }

    public boolean isWaiting(LockOwner owner, long ticket) {
        for (Waiter waiter : waiters) if (waiter.ticket() == ticket && waiter.is(owner)) return true;
        return false;
    }

    /** Whether the owner holds all of these bytes at least so strongly. */
    public boolean covers(FileLock wanted) {
        long next = wanted.from();
        for (FileLock lock : held) {
            if (lock.space() != wanted.space() || !lock.owner().equals(wanted.owner())) continue;
            if (lock.from() > next || lock.to() < next || wanted.exclusive() && !lock.exclusive()) continue;
            if (lock.to() >= wanted.to()) return true;
            next = lock.to() + 1;
        }
        return false;
    }

    public boolean holds(LockSpace space, LockOwner owner) {
        for (FileLock lock : held) if (lock.space() == space && lock.owner().equals(owner)) return true;
        return false;
    }

    /** Grants what can be granted, in order of asking. */
    public void promote() {
        for (int i = 0; i < waiters.size(); ) {
            FileLock wanted = waiters.get(i).wanted();
            if (conflict(wanted) != null) {
                i++;
                continue;
            }
            waiters.remove(i);
            hold(wanted);
            i = 0; // a lock that became weaker may let an earlier one go on
        }
    }

    // ---- inside

    /** Nothing is in the way. Neighbouring ranges of one kind become one. */
    private void hold(FileLock lock) {
        cut(lock.space(), lock.owner(), lock.from(), lock.to());
        long from = lock.from();
        long to = lock.to();
        for (int i = held.size() - 1; i >= 0; i--) {
            FileLock other = held.get(i);
            if (other.space() != lock.space()
                    || other.exclusive() != lock.exclusive()
                    || !other.owner().equals(lock.owner())) continue;
            if (other.to() != Long.MAX_VALUE && other.to() + 1 == from) from = other.from();
            else if (to != Long.MAX_VALUE && other.from() == to + 1) to = other.to();
            else continue;
            held.remove(i);
        }
        insert(lock.part(from, to));
    }

    private boolean cut(LockSpace space, LockOwner owner, long from, long to) {
        List<FileLock> rest = null;
        boolean changed = false;
        for (int i = held.size() - 1; i >= 0; i--) {
            FileLock lock = held.get(i);
            if (lock.space() != space || !lock.owner().equals(owner) || !lock.overlaps(from, to)) continue;
            held.remove(i);
            changed = true;
            if (lock.from() >= from && lock.to() <= to) continue;
            if (rest == null) rest = new ArrayList<>(2);
            if (lock.from() < from) rest.add(lock.part(lock.from(), from - 1));
            if (lock.to() > to) rest.add(lock.part(to + 1, lock.to()));
        }
        if (rest != null) rest.forEach(this::insert);
        return changed;
    }

    private void insert(FileLock lock) {
        int low = 0;
        int high = held.size();
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (ORDER.compare(held.get(middle), lock) < 0) low = middle + 1;
            else high = middle;
        }
        held.add(low, lock);
    }
}
