// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.function.IntPredicate;

/** The row of a slice, while apply works on it. Holders are in the order in which they came. */
final class SliceRow {
    private static final int FORMAT = 1;
    private static final int WAITED_FOR = 1;
    private static final int FIXED_BYTES = 24;
    private static final int HOLDER_BYTES = 5;
    private static final HolderState[] STATES = HolderState.values();

    final long id;
    final long length;
    final long inode;
    /** Extents, present and displaced, that name it. */
    int names;
    /** Displaced content is kept until this slice is durable enough. */
    boolean waitedFor;

    int[] holders = {};
    byte[] states = {};
    /** Names when the row was read, -1 if there was none: what the index of unnamed slices and the totals hold. */
    int namesStored = -1;

    boolean gone;

    SliceRow(long id, long length, long inode) {
        this.id = id;
        this.length = length;
        this.inode = inode;
    }

    int copies(IntPredicate isMember) {
        int copies = 0;
        for (int i = 0; i < holders.length; i++) if (STATES[states[i]].isCopy() && isMember.test(holders[i])) copies++;
        return copies;
    }

    /** Whether the holder's record became better. */
    boolean addHolder(int holder, HolderState state) {
        for (int i = 0; i < holders.length; i++) {
            if (holders[i] != holder) continue;
            if (states[i] >= state.ordinal()) return false;
            states[i] = (byte) state.ordinal();
            return true;
        }
        holders = Arrays.copyOf(holders, holders.length + 1);
        states = Arrays.copyOf(states, holders.length);
        holders[holders.length - 1] = holder;
        states[holders.length - 1] = (byte) state.ordinal();
        return true;
    }

    boolean removeHolder(int holder) {
        for (int i = 0; i < holders.length; i++) {
            if (holders[i] != holder) continue;
            int[] lessHolders = new int[holders.length - 1];
            byte[] lessStates = new byte[holders.length - 1];
            System.arraycopy(holders, 0, lessHolders, 0, i);
            System.arraycopy(holders, i + 1, lessHolders, i, lessHolders.length - i);
            System.arraycopy(states, 0, lessStates, 0, i);
            System.arraycopy(states, i + 1, lessStates, i, lessStates.length - i);
            holders = lessHolders;
            states = lessStates;
            return true;
        }
        return false;
    }

    boolean isCopyOf(int holder) {
        for (int i = 0; i < holders.length; i++) if (holders[i] == holder) return STATES[states[i]].isCopy();
        return false;
    }

    boolean isHolder(int holder) {
        for (int other : holders) if (other == holder) return true;
        return false;
    }

    byte[] encode() {
        var to = new ByteSink(FIXED_BYTES + HOLDER_BYTES * holders.length);
        to.u8(FORMAT)
                .u8(waitedFor ? WAITED_FOR : 0)
                .i64(length)
                .i64(inode)
                .i32(names)
                .u16(holders.length);
        for (int i = 0; i < holders.length; i++) to.i32(holders[i]).u8(states[i]);
        return to.toBytes();
    }

    static SliceRow decode(long id, byte[] row) {
        Rows.checkFormat(row, FORMAT);
        var slice = new SliceRow(id, Rows.i64(row, 2), Rows.i64(row, 10));
        slice.waitedFor = (row[1] & WAITED_FOR) != 0;
        slice.names = Rows.i32(row, 18);
        slice.namesStored = slice.names;
        int count = (short) ByteSink.SHORT.get(row, 22) & 0xffff;
        slice.holders = new int[count];
        slice.states = new byte[count];
        for (int i = 0; i < count; i++) {
            slice.holders[i] = Rows.i32(row, FIXED_BYTES + HOLDER_BYTES * i);
            slice.states[i] = row[FIXED_BYTES + HOLDER_BYTES * i + 4];
        }
        return slice;
    }

    /** As others see it: without the records of pods that were removed, which go from the row when it is next written. */
    SliceRecord record(IntPredicate isMember) {
        var list = new ArrayList<SliceRecord.Holder>(holders.length);
        for (int i = 0; i < holders.length; i++)
            if (isMember.test(holders[i]))
                list.add(new SliceRecord.Holder(new Incarnation(holders[i]), STATES[states[i]]));
        return new SliceRecord(new SliceId(id), length, new InodeId(inode), names, list);
    }
}
