// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.lock.Deadlocks;
import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Rows.PodRow;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Locks of files between pods: who decides about them, and what is held and waited for where the log decides. */
final class LockChanges {
    private static final Outcome DONE = new Outcome.Done(0);

    private final Working state;
    /** The pod whose batch this is; null for an entry without a session. */
    private final @Nullable Incarnation by;

    LockChanges(Working state, @Nullable Incarnation by) {
        this.state = state;
        this.by = by;
    }

    private static Outcome refused(Errno errno) {
        return new Outcome.Refused(errno);
    }

    /** What a command that the holder itself should do is answered: it does it from memory. */
    private static Outcome yours(LockRow row) {
        return new Outcome.Done(-row.epoch);
    }

    // ---- rows

    private LockRow row(long inode) {
        byte[] row = state.get(Keys.of(Keys.LOCKS, inode));
        return row == null ? new LockRow(inode) : LockRow.decode(inode, row);
    }

    /** Writes the row and what is found by: pods that have a part in it, and owners that wait. */
    private void put(LockRow row) {
        byte[] key = Keys.of(Keys.LOCKS, row.inode);
        byte[] stored = state.get(key);
        LockRow before = stored == null ? new LockRow(row.inode) : LockRow.decode(row.inode, stored);
        if (row.isEmpty()) state.remove(key);
        else state.put(key, row.encode());
        Set<Integer> pods = row.pods();
        Set<Integer> podsBefore = before.pods();
        for (int pod : podsBefore) if (!pods.contains(pod)) state.remove(Keys.of(Keys.LOCKED_BY, pod, row.inode));
        for (int pod : pods)
            if (!podsBefore.contains(pod)) state.put(Keys.of(Keys.LOCKED_BY, pod, row.inode), Rows.MARK);
        Set<LockOwner> waiting = row.waiting();
        Set<LockOwner> waitingBefore = before.waiting();
        for (LockOwner owner : waitingBefore) if (!waiting.contains(owner)) state.remove(waits(owner, row.inode));
        for (LockOwner owner : waiting)
            if (!waitingBefore.contains(owner)) state.put(waits(owner, row.inode), Rows.MARK);
        state.tellLocks(new InodeId(row.inode));
    }

    private static byte[] waits(LockOwner owner, long inode) {
        return Keys.of(Keys.LOCK_WAIT, owner.pod().number(), owner.key(), inode);
    }

    /** For whom an owner waits, as far as the log knows. */
    private Set<LockOwner> blockersOf(LockOwner owner) {
        var blockers = new TreeSet<LockOwner>();
        state.scan(Keys.of(Keys.LOCK_WAIT, owner.pod().number(), owner.key()), (key, _) -> {
            LockRow row = row(Keys.id(key, 2));
            for (LockTable.Waiter waiter : row.table.waiters())
                if (waiter.wanted().space() == LockSpace.RANGES
                        && waiter.wanted().owner().equals(owner)) blockers.addAll(row.table.blockers(waiter.wanted()));
            return true;
        });
        return blockers;
    }

    private boolean isDeadlock(LockTable table, FileLock wanted) {
        return wanted.space() == LockSpace.RANGES
                && Deadlocks.closes(wanted.owner(), table.blockers(wanted), this::blockersOf);
    }

    // ---- commands

    Outcome lock(Command.Lock c) {
        FileLock wanted = c.wanted();
        if (by == null || !wanted.owner().pod().equals(by)) return refused(Errno.EINVAL);
        if (state.inode(c.inode()) == null) return refused(Errno.ENOENT);
        LockRow row = row(c.inode().value());
        if (row.lost.contains(by.number())) return refused(Errno.ESTALE);
        if (row.holder == by.number()) return yours(row);
        if (row.holder != 0) {
            boolean wait = c.mode() == Command.LockMode.WAIT;
            if (wait && !row.table.enqueue(new LockTable.Waiter(c.ticket(), wanted))) return refused(Errno.ENOLCK);
            if (wait || !row.asked) {
                row.asked = true;
                put(row);
            }
            return new Outcome.Done(wait ? Command.Lock.WAITING : Command.Lock.ASKED);
        }
        if (c.mode() == Command.LockMode.ASK) return DONE;
        if (row.table.isEmpty()) {
            give(row, by.number());
            return yours(row);
        }
        if (c.mode() == Command.LockMode.WAIT && row.table.conflict(wanted) != null && isDeadlock(row.table, wanted))
            return refused(Errno.EDEADLK);
        LockTable.Answer answer = row.table.lock(wanted, c.ticket(), c.mode() == Command.LockMode.WAIT);
        put(row); // also when refused: a changed flock gave up the old one
        return switch (answer) {
            case GRANTED -> new Outcome.Done(Command.Lock.GRANTED);
            case WAITING -> new Outcome.Done(Command.Lock.WAITING);
            case CONFLICT -> refused(Errno.EAGAIN);
            case FULL -> refused(Errno.ENOLCK);
        };
    }

    private void give(LockRow row, int pod) {
        row.holder = pod;
        row.epoch = state.index;
        row.asked = false;
        row.table = new LockTable();
        put(row);
    }

    Outcome unlock(Command.Unlock c) {
        if (by == null || !c.owner().pod().equals(by)) return refused(Errno.EINVAL);
        LockRow row = row(c.inode().value());
        if (row.holder == by.number()) return yours(row);
        if (row.holder != 0) return DONE;
        if (row.table.isTooFullToUnlock(c.space(), c.owner(), c.from(), c.to())) return refused(Errno.ENOLCK);
        if (row.table.unlock(c.space(), c.owner(), c.from(), c.to())) put(row);
        return DONE;
    }

    Outcome cancel(Command.CancelLock c) {
        if (by == null || !c.owner().pod().equals(by)) return refused(Errno.EINVAL);
        LockRow row = row(c.inode().value());
        if (row.holder == by.number()) return yours(row);
        if (!row.table.cancel(c.owner(), c.ticket())) return DONE;
        put(row);
        return new Outcome.Done(1);
    }

    Outcome share(Command.ShareLocks c) {
        LockRow row = row(c.inode().value());
        if (by == null || row.holder != by.number() || row.epoch != c.epoch()) return refused(Errno.ESTALE);
        var held = new LockTable();
        for (FileLock lock : c.held())
            if (!lock.owner().pod().equals(by) || held.lock(lock, 0, false) != LockTable.Answer.GRANTED)
                return refused(Errno.EINVAL);
        for (LockTable.Waiter waiter : c.waiters())
            if (!waiter.wanted().owner().pod().equals(by)) return refused(Errno.EINVAL);
        var waiters = new ArrayList<>(c.waiters());
        waiters.addAll(row.table.waiters());
        open(row, held, waiters);
        return DONE;
    }

    Outcome keep(Command.KeepLocks c) {
        LockRow row = row(c.inode().value());
        if (by == null || row.holder != 0 || row.table.isEmpty()) return refused(Errno.EAGAIN);
        if (!row.pods().equals(Set.of(by.number()))) return refused(Errno.EAGAIN);
        give(row, by.number());
        return yours(row);
    }

    Outcome take(Command.TakeLocks c) {
        if (by == null || by.equals(c.from())) return refused(Errno.EINVAL);
        PodRow pod = state.pods.get(c.from().number());
        if (pod == null) return DONE;
        if (pod.record().prompt()) return refused(Errno.EBUSY);
        LockRow row = row(c.inode().value());
        boolean decides = row.holder == c.from().number();
        boolean holds =
                row.table.held().stream().anyMatch(lock -> lock.owner().pod().equals(c.from()));
        if (!decides && !holds) return DONE;
        row.lost.add(c.from().number());
        leave(row, c.from());
        return new Outcome.Done(1);
    }

    Outcome forgo(Command.ForgoLocks c) {
        if (by == null) return refused(Errno.EINVAL);
        LockRow row = row(c.inode().value());
        if (row.lost.remove(by.number())) put(row);
        return DONE;
    }

    // ---- what others do to locks

    /** The pod's programs are gone, or have lost what they held: its locks, requests and right to decide end. */
    private void leave(LockRow row, Incarnation pod) {
        Predicate<LockOwner> its = owner -> owner.pod().equals(pod);
        if (row.holder == pod.number()) {
            var waiters = row.table.waiters().stream()
                    .filter(waiter -> !its.test(waiter.wanted().owner()))
                    .toList();
            open(row, new LockTable(), waiters);
        } else {
            if (row.holder != 0) row.table.withdraw(its);
            else row.table.end(its);
            put(row);
        }
    }

    /** From here on the log decides, or the one pod that waits where nothing is held. */
    private void open(LockRow row, LockTable held, List<LockTable.Waiter> waiters) {
        row.holder = 0;
        row.epoch = state.index;
        row.asked = false;
        row.table = held;
        if (held.isEmpty() && !waiters.isEmpty()) {
            int first = waiters.getFirst().wanted().owner().pod().number();
            if (waiters.stream()
                    .allMatch(waiter -> waiter.wanted().owner().pod().number() == first)) {
                give(row, first);
                return;
            }
        }
        put(row);
        for (LockTable.Waiter waiter : waiters) {
            // who would wait for ever asks again, and is told then
            if (held.conflict(waiter.wanted()) != null && isDeadlock(held, waiter.wanted())) continue;
            held.enqueue(waiter);
            held.promote();
            put(row);
        }
    }

    /** A new start of the pod, or none ever again. */
    void endPod(Incarnation pod) {
        state.scan(Keys.of(Keys.LOCKED_BY, pod.number()), (key, _) -> {
            LockRow row = row(Keys.id(key, 1));
            row.lost.remove(pod.number());
            leave(row, pod);
            return true;
        });
    }

    void removed(InodeRow inode) {
        LockRow row = new LockRow(inode.id);
        if (state.get(Keys.of(Keys.LOCKS, inode.id)) != null) put(row);
    }

    /** Whether this batch's pod may not change the file's bytes, because it lost a lock and may not know yet. */
    boolean isFenced(InodeId inode) {
        if (by == null) return false;
        byte[] row = state.get(Keys.of(Keys.LOCKS, inode.value()));
        return row != null && LockRow.decode(inode.value(), row).lost.contains(by.number());
    }
}
