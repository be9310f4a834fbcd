// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.Set;
import java.util.TreeSet;

/** A file's locks as one entry's commands work on them, and as bytes; see docs/formats/tables.md. */
final class LockRow {
    static final int LOCK_BYTES = 33;
    private static final int ASKED = 1;
    private static final int EXCLUSIVE = 1;
    private static final int WHOLE = 2;

    final long inode;
    /** Incarnation, 0 for none. */
    int holder;

    long epoch;
    boolean asked;
    LockTable table = new LockTable();
    final TreeSet<Integer> lost = new TreeSet<>();

    LockRow(long inode) {
        this.inode = inode;
    }

    boolean isEmpty() {
        return holder == 0 && table.isEmpty() && lost.isEmpty();
    }

    /** Everybody who has a part in it. */
    Set<Integer> pods() {
        var pods = new TreeSet<>(lost);
        if (holder != 0) pods.add(holder);
        for (FileLock lock : table.held()) pods.add(lock.owner().pod().number());
        for (LockTable.Waiter waiter : table.waiters())
            pods.add(waiter.wanted().owner().pod().number());
        return pods;
    }

    /** Whose ranges are waited for; nobody can wait for himself over a WHOLE lock but by way of others. */
    Set<LockOwner> waiting() {
        var owners = new TreeSet<LockOwner>();
        for (LockTable.Waiter waiter : table.waiters())
            if (waiter.wanted().space() == LockSpace.RANGES)
                owners.add(waiter.wanted().owner());
        return owners;
    }

    LockRecord record() {
        var pods = new TreeSet<Incarnation>();
        for (int pod : lost) pods.add(new Incarnation(pod));
        return new LockRecord(
                holder == 0 ? null : new Incarnation(holder), epoch, asked, table.held(), table.waiters(), pods);
    }

    byte[] encode() {
        var held = table.held();
        var waiters = table.waiters();
        var to = new ByteSink(32 + 4 * lost.size() + LOCK_BYTES * held.size() + (8 + LOCK_BYTES) * waiters.size());
        to.u8(Rows.FORMAT).i32(holder).i64(epoch).u8(asked ? ASKED : 0).i32(lost.size());
        for (int pod : lost) to.i32(pod);
        to.i32(held.size());
        for (FileLock lock : held) lock(to, lock);
        to.i32(waiters.size());
        for (LockTable.Waiter waiter : waiters) waiter(to, waiter);
        return to.toBytes();
    }

    static LockRow decode(long inode, byte[] row) {
        Rows.checkFormat(row, Rows.FORMAT);
        try {
            var from = new ByteSource(row, 1, row.length);
            var decoded = new LockRow(inode);
            decoded.holder = from.i32();
            decoded.epoch = from.i64();
            decoded.asked = from.flag();
            for (int i = from.count(4); i > 0; i--) decoded.lost.add(from.i32());
            var held = new ArrayList<FileLock>();
            for (int i = from.count(LOCK_BYTES); i > 0; i--) held.add(lock(from));
            var waiters = new ArrayList<LockTable.Waiter>();
            for (int i = from.count(8 + LOCK_BYTES); i > 0; i--) waiters.add(waiter(from));
            if (from.remaining() > 0) throw from.malformed("bytes left over");
            decoded.table = new LockTable(held, waiters);
            return decoded;
        } catch (MalformedEntryException e) {
            throw new IllegalStateException("row of locks of inode " + inode, e);
        }
    }

    // ---- a lock: owner's pod 4, owner's key 8, flags 1, from 8, to 8, pid 4

    static void lock(ByteSink to, FileLock lock) {
        to.i32(lock.owner().pod().number()).i64(lock.owner().key());
        to.u8((lock.exclusive() ? EXCLUSIVE : 0) | (lock.space() == LockSpace.WHOLE ? WHOLE : 0));
        to.i64(lock.from()).i64(lock.to()).i32(lock.pid());
    }

    static FileLock lock(ByteSource from) throws MalformedEntryException {
        var owner = new LockOwner(CommandCodec.incarnation(from), from.i64());
        int flags = from.u8();
        if (flags > (EXCLUSIVE | WHOLE)) throw from.malformed("lock flags " + flags);
        long first = from.i64();
        long last = from.i64();
        LockSpace space = (flags & WHOLE) != 0 ? LockSpace.WHOLE : LockSpace.RANGES;
        if (first < 0 || last < first || space == LockSpace.WHOLE && (first != 0 || last != Long.MAX_VALUE))
            throw from.malformed("lock of " + first + " to " + last);
        return new FileLock(space, owner, (flags & EXCLUSIVE) != 0, first, last, from.i32());
    }

    static void waiter(ByteSink to, LockTable.Waiter waiter) {
        lock(to.i64(waiter.ticket()), waiter.wanted());
    }

    static LockTable.Waiter waiter(ByteSource from) throws MalformedEntryException {
        long ticket = from.i64();
        return new LockTable.Waiter(ticket, lock(from));
    }
}
