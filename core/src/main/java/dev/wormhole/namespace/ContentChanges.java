// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Extents, slices, holders and displaced content.
 *
 * <p>A slice's {@code names} counts the rows that name it: extents of files and extents kept in history. History: a commit
 * whose slices are not yet durable on enough pods keeps what it displaced (rows {@code j} under a head {@code h}) and one
 * wait {@code w} for each such slice. A wait ends when its slice is durable enough, when nothing names the slice any more,
 * or when its last copy is lost; then what it wrote goes back to what it displaced, in the file and in later histories.
 * With the last wait the history is released. Extents are keyed by their end, so that those which overlap a range are
 * found by walking forwards from the first that ends behind its beginning.
 */
final class ContentChanges {
    /** Rows of one orphan that one Reap removes at most; the rest waits for the next. */
    private static final int REAPED_ROWS_MAX = 65_536;
    /** Ids whose death one row remembers, as bits. */
    private static final int DEAD_IDS = 512;

    private static final int DEAD_SHIFT = 9;
    /** Rows of dead ids that one command clears away at most. */
    private static final int CLEARED_ROWS_MAX = 4_096;

    private static final Outcome DONE = new Outcome.Done(0);

    private final Working state;
    private final ArrayDeque<SliceRow> unnamed = new ArrayDeque<>();

    ContentChanges(Working state) {
        this.state = state;
    }

    private static Outcome refused(Errno errno) {
        return new Outcome.Refused(errno);
    }

    // ---- commits

    Outcome write(Command.Write c, Consumer<InodeRow> killPrivileges) {
        InodeRow inode = state.inode(c.inode());
        Errno errno = checkFile(inode);
        if (inode == null || errno != null) return refused(errno == null ? Errno.ENOENT : errno);
        if (c.sizeAtLeast() < 0) return refused(Errno.EINVAL);
        errno = checkSlices(c.slices(), c.extents());
        if (errno != null) return refused(errno);
        commit(inode, c.slices(), c.extents(), 0, c.safeCopies());
        long end = c.extents().isEmpty() ? 0 : c.extents().getLast().fileEnd();
        inode.size = Math.max(inode.size, Math.max(c.sizeAtLeast(), end));
        inode.modified = c.modifiedNanos();
        if (c.killPrivileges()) killPrivileges.accept(inode);
        settle();
        return new Outcome.Done(inode.content);
    }

    Outcome append(Command.Append c, Consumer<InodeRow> killPrivileges) {
        InodeRow inode = state.inode(c.inode());
        Errno errno = checkFile(inode);
        if (inode == null || errno != null) return refused(errno == null ? Errno.ENOENT : errno);
        errno = checkSlices(c.slices(), c.parts());
        if (errno != null) return refused(errno);
        long length = c.parts().isEmpty() ? 0 : c.parts().getLast().fileEnd();
        long offset = inode.size;
        if (offset > Long.MAX_VALUE - length) return refused(Errno.EFBIG);
        commit(inode, c.slices(), c.parts(), offset, c.safeCopies());
        inode.size = offset + length;
        inode.modified = c.modifiedNanos();
        if (c.killPrivileges()) killPrivileges.accept(inode);
        settle();
        return new Outcome.Done(offset);
    }

    Outcome punchHole(Command.PunchHole c) {
        InodeRow inode = state.inode(c.inode());
        Errno errno = checkFile(inode);
        if (inode == null || errno != null) return refused(errno == null ? Errno.ENOENT : errno);
        if (c.from() < 0 || c.length() <= 0) return refused(Errno.EINVAL);
        long to = c.length() > Long.MAX_VALUE - c.from() ? Long.MAX_VALUE : c.from() + c.length();
        release(inode, c.from(), to);
        inode.layout++;
        inode.modified = c.modifiedNanos();
        state.touchContent(inode);
        return new Outcome.Done(inode.content);
    }

    private static @Nullable Errno checkFile(@Nullable InodeRow inode) {
        if (inode == null) return Errno.ENOENT;
        if (inode.isDirectory()) return Errno.EISDIR;
        return inode.type == FileType.REGULAR ? null : Errno.EINVAL;
    }

    /** Why these slices and extents cannot be committed, null if they can. Extents are in order and do not overlap. */
    private @Nullable Errno checkSlices(List<Command.NewSlice> slices, List<Extent> extents) {
        var lengths = HashMap.<Long, Long>newHashMap(slices.size());
        for (Command.NewSlice slice : slices) {
            long id = slice.slice().value();
            if (slice.lengthBytes() <= 0) return Errno.EINVAL;
            Long other = lengths.put(id, slice.lengthBytes());
            if (other != null && other != slice.lengthBytes()) return Errno.EINVAL;
            SliceRow row = state.slice(id);
            if (row == null && (isDead(id) || !isHeld(slice))) return Errno.ESTALE;
            if (row != null && row.length != slice.lengthBytes()) return Errno.EINVAL;
        }
        long end = 0;
        for (Extent extent : extents) {
            if (extent.fileOffset() < end) return Errno.EINVAL;
            end = extent.fileEnd();
            Long length = lengths.get(extent.slice().value());
            if (length == null) {
                SliceRow row = state.slice(extent.slice().value());
                if (row == null) return Errno.ESTALE;
                length = row.length;
            }
            if (extent.length() > length - extent.sliceOffset()) return Errno.EINVAL;
        }
        return null;
    }

    /** Whether a member has it: a slice is never known without anybody who has its bytes. */
    private boolean isHeld(Command.NewSlice slice) {
        for (Incarnation holder : slice.durableOn()) if (state.isMember(holder.number())) return true;
        return false;
    }

    private void commit(
            InodeRow inode, List<Command.NewSlice> slices, List<Extent> extents, long offset, int safeCopies) {
        for (Command.NewSlice introduced : slices) {
            SliceId id = introduced.slice();
            SliceRow row = state.slice(id.value());
            boolean fresh = row == null;
            if (row == null) row = state.newSlice(id, introduced.lengthBytes(), inode.id);
            boolean changed = false;
            for (Incarnation holder : introduced.durableOn()) {
                // Of a slice that is known already only a pod itself may say that it has it; here that is the writer.
                if (!fresh && holder.number() != Ids.allocator(row.id)) continue;
                if (state.isMember(holder.number())) changed |= row.addHolder(holder.number(), HolderState.DURABLE);
            }
            if (changed) held(row);
            // Who is named looks whether it can keep it, who has it and is not named claims it.
            if (fresh || changed) state.tellHolders(id);
        }
        state.touchContent(inode);
        inode.layout++;
        Set<SliceRow> unsafe = new LinkedHashSet<>();
        for (Extent extent : extents) {
            SliceRow slice = state.existingSlice(extent.slice().value());
            slice.names++; // first, so that a slice which is displaced and named again is never without a name
            if (state.copies(slice) < safeCopies) unsafe.add(slice);
        }
        int displaced = 0;
        for (Extent extent : extents) {
            long from = offset + extent.fileOffset();
            long to = from + extent.length();
            // Nothing lies behind the end of a file.
            if (inode.allocated > 0 && from < inode.size) displaced += displace(inode, from, to, !unsafe.isEmpty());
            put(Keys.EXTENT, inode.id, to, extent.length(), extent.slice().value(), extent.sliceOffset());
            inode.allocated += extent.length();
        }
        if (displaced > 0 && !unsafe.isEmpty()) {
            long[] head = new long[1 + unsafe.size()];
            int filled = 0;
            head[0] = unsafe.size();
            for (SliceRow slice : unsafe) head[++filled] = slice.id;
            state.put(Keys.of(Keys.HISTORY, inode.id, inode.content), Rows.numbers(head));
            inode.histories++;
            for (SliceRow slice : unsafe) {
                slice.waitedFor = true;
                state.put(Keys.of(Keys.WAIT, slice.id, inode.id, inode.content), Rows.numbers(safeCopies));
            }
        }
    }

    private void put(char table, long inode, long end, long length, long slice, long sliceOffset) {
        state.put(Keys.of(table, inode, end), Rows.extent(length, slice, sliceOffset));
    }

    /**
     * Takes [from, to) out of the file's extents: into the history of the present content counter if {@code keep}, else
     * released. Answers how many extents it touched.
     */
    private int displace(InodeRow inode, long from, long to, boolean keep) {
        int[] touched = {0};
        state.scan(Keys.of(Keys.EXTENT, inode.id, from + 1), Keys.of(Keys.EXTENT, inode.id + 1), (key, row) -> {
            Extent extent = Rows.extent(Keys.id(key, 1), row);
            if (extent.fileOffset() >= to) return false;
            SliceRow slice = state.existingSlice(extent.slice().value());
            state.remove(key);
            if (extent.fileOffset() < from) {
                Extent left = extent.within(0, from);
                put(Keys.EXTENT, inode.id, from, left.length(), slice.id, left.sliceOffset());
                slice.names++;
            }
            if (extent.fileEnd() > to) {
                Extent right = extent.within(to, Long.MAX_VALUE);
                put(Keys.EXTENT, inode.id, right.fileEnd(), right.length(), slice.id, right.sliceOffset());
                slice.names++;
            }
            Extent middle = extent.within(from, to);
            inode.allocated -= middle.length();
            if (keep) {
                byte[] kept = Keys.of(Keys.HISTORY_EXTENT, inode.id, inode.content, middle.fileEnd());
                state.put(kept, Rows.extent(middle.length(), slice.id, middle.sliceOffset()));
            } else {
                unname(slice);
            }
            touched[0]++;
            return true;
        });
        return touched[0];
    }

    /** Makes [from, to) a hole and lets its content go at once. */
    void release(InodeRow inode, long from, long to) {
        if (inode.allocated > 0 && from < to && from < inode.size) displace(inode, from, to, false);
        settle();
    }

    /** Lets all content of a dead inode go; false if there is more than one command should remove. */
    boolean releaseAll(InodeRow inode) {
        int[] left = {REAPED_ROWS_MAX};
        if (inode.allocated > 0)
            state.scan(Keys.of(Keys.EXTENT, inode.id), (key, row) -> {
                if (left[0]-- == 0) return false;
                Extent extent = Rows.extent(Keys.id(key, 1), row);
                state.remove(key);
                inode.allocated -= extent.length();
                unname(state.existingSlice(extent.slice().value()));
                return true;
            });
        settle();
        if (inode.allocated > 0) return false;
        // Histories wait for slices that no extent of this file names now; another file may name them still.
        if (inode.histories > 0) {
            state.scan(Keys.of(Keys.HISTORY, inode.id), (key, row) -> {
                for (int i = 1; i * 8 + 1 < row.length; i++) forgetWait(Rows.number(row, i), inode.id, Keys.id(key, 1));
                releaseHistory(inode, Keys.id(key, 1));
                return true;
            });
            settle();
        }
        return true;
    }

    // ---- history

    private void unname(SliceRow slice) {
        if (--slice.names == 0) unnamed.add(slice);
        if (slice.names < 0) throw new IllegalStateException("names of " + new SliceId(slice.id));
    }

    /** Ends the waits for slices that have lost their last name, which may take the last name from others. */
    private void settle() {
        for (SliceRow slice = unnamed.poll(); slice != null; slice = unnamed.poll())
            if (slice.names == 0 && slice.waitedFor) endWaits(slice, Integer.MAX_VALUE);
    }

    /** A holder was added: histories that waited for so many copies may go. */
    private void held(SliceRow slice) {
        if (slice.waitedFor) endWaits(slice, state.copies(slice));
    }

    /** Ends the slice's waits for at most so many copies. */
    private void endWaits(SliceRow slice, int copies) {
        boolean[] remain = {false};
        state.scan(Keys.of(Keys.WAIT, slice.id), (key, row) -> {
            if (Rows.number(row, 0) > copies) remain[0] = true;
            else endWait(key);
            return true;
        });
        slice.waitedFor = remain[0];
    }

    private void endWait(byte[] wait) {
        state.remove(wait);
        InodeRow inode = state.existing(Keys.id(wait, 1));
        long content = Keys.id(wait, 2);
        byte[] head = Keys.of(Keys.HISTORY, inode.id, content);
        byte[] row = state.get(head);
        if (row == null) throw new IllegalStateException("no history " + content + " of " + new InodeId(inode.id));
        long waits = Rows.number(row, 0) - 1;
        if (waits > 0) {
            byte[] fewer = row.clone();
            ByteSink.LONG.set(fewer, 1, waits);
            state.put(head, fewer);
        } else {
            releaseHistory(inode, content);
        }
    }

    /** The history goes whatever its slices do. */
    private void forgetWait(long id, long inode, long content) {
        byte[] wait = Keys.of(Keys.WAIT, id, inode, content);
        if (state.get(wait) == null) return; // ended before the others
        state.remove(wait);
        SliceRow slice = state.existingSlice(id);
        slice.waitedFor = false;
        state.scan(Keys.of(Keys.WAIT, id), (_, _) -> {
            slice.waitedFor = true;
            return false;
        });
    }

    private void releaseHistory(InodeRow inode, long content) {
        byte[] head = Keys.of(Keys.HISTORY, inode.id, content);
        state.remove(head);
        inode.histories--;
        state.scan(Keys.of(Keys.HISTORY_EXTENT, inode.id, content), (key, row) -> {
            state.remove(key);
            unname(state.existingSlice(Rows.extent(Keys.id(key, 2), row).slice().value()));
            return true;
        });
    }

    /** The slice has lost its last copy: what it displaced comes back where it still stands. */
    private void lost(SliceRow slice) {
        if (!slice.waitedFor) return;
        state.scan(Keys.of(Keys.WAIT, slice.id), (key, _) -> {
            goBack(state.existing(Keys.id(key, 1)), Keys.id(key, 2), slice);
            return true;
        });
        endWaits(slice, Integer.MAX_VALUE);
        settle();
    }

    private void goBack(InodeRow inode, long content, SliceRow lost) {
        var displaced = new ArrayList<Extent>();
        state.scan(Keys.of(Keys.HISTORY_EXTENT, inode.id, content), (key, row) -> {
            Extent extent = Rows.extent(Keys.id(key, 2), row);
            if (state.copies(state.existingSlice(extent.slice().value())) > 0) displaced.add(extent);
            return true;
        });
        boolean[] changed = {false};
        for (Extent old : displaced) {
            if (replace(Keys.of(Keys.EXTENT, inode.id), old, lost)) changed[0] = true;
            state.scan(Keys.of(Keys.HISTORY, inode.id, content + 1), Keys.of(Keys.HISTORY, inode.id + 1), (key, _) -> {
                replace(Keys.of(Keys.HISTORY_EXTENT, inode.id, Keys.id(key, 1)), old, lost);
                return true;
            });
        }
        if (changed[0]) {
            inode.layout++;
            state.touchContent(inode);
        }
    }

    /** In the extents under this prefix, puts the old one in the place of what names the lost slice. */
    private boolean replace(byte[] prefix, Extent old, SliceRow lost) {
        boolean[] changed = {false};
        SliceRow source = state.existingSlice(old.slice().value());
        state.scan(ended(prefix, old.fileOffset() + 1), Keys.after(prefix), (key, row) -> {
            Extent extent = Rows.extent((long) ByteSink.LONG.get(key, prefix.length), row);
            if (extent.fileOffset() >= old.fileEnd()) return false;
            if (extent.slice().value() != lost.id) return true;
            state.remove(key);
            long from = Math.max(extent.fileOffset(), old.fileOffset());
            long to = Math.min(extent.fileEnd(), old.fileEnd());
            if (extent.fileOffset() < from) {
                Extent left = extent.within(0, from);
                state.put(ended(prefix, from), Rows.extent(left.length(), lost.id, left.sliceOffset()));
                lost.names++;
            }
            if (extent.fileEnd() > to) {
                Extent right = extent.within(to, Long.MAX_VALUE);
                state.put(ended(prefix, right.fileEnd()), Rows.extent(right.length(), lost.id, right.sliceOffset()));
                lost.names++;
            }
            Extent back = old.within(from, to);
            state.put(ended(prefix, to), Rows.extent(back.length(), source.id, back.sliceOffset()));
            source.names++;
            unname(lost);
            changed[0] = true;
            return true;
        });
        return changed[0];
    }

    private static byte[] ended(byte[] prefix, long end) {
        byte[] key = Arrays.copyOf(prefix, prefix.length + 8);
        ByteSink.LONG.set(key, prefix.length, end);
        return key;
    }

    // ---- holders

    Outcome addHolders(Command.AddHolders c) {
        int holder = c.holder().number();
        if (!state.isMember(holder)) return refused(Errno.ESTALE);
        long took = 0;
        for (SliceId id : c.slices()) {
            SliceRow slice = state.slice(id.value());
            if (slice == null || !slice.addHolder(holder, c.state())) continue;
            took++;
            state.tellHolders(id);
            held(slice);
        }
        settle();
        return new Outcome.Done(took);
    }

    Outcome dropHolder(Command.DropHolder c) {
        SliceRow slice = state.slice(c.slice().value());
        int holder = c.holder().number();
        if (slice == null || !slice.isHolder(holder)) return DONE;
        if (slice.names > 0 && slice.isCopyOf(holder)) {
            if (c.relyingOn().isEmpty()) return refused(Errno.EBUSY);
            var distinct = new HashSet<Integer>();
            for (Incarnation other : c.relyingOn()) {
                Rows.PodRow pod = state.pods.get(other.number());
                boolean present =
                        pod != null && !pod.record().absent() && !pod.record().draining();
                boolean relied = present && other.number() != holder && slice.isCopyOf(other.number());
                if (!relied || !distinct.add(other.number())) return refused(Errno.EBUSY);
            }
        }
        slice.removeHolder(holder);
        state.tellHolders(c.slice());
        state.tellDropped(c.slice(), c.holder());
        return DONE;
    }

    Outcome loseHolder(Command.LoseHolder c) {
        long ended = 0;
        for (SliceId id : c.slices()) {
            SliceRow slice = state.slice(id.value());
            if (slice == null || !slice.removeHolder(c.holder().number())) continue;
            ended++;
            state.tellHolders(id);
            if (state.copies(slice) == 0) lost(slice);
        }
        return new Outcome.Done(ended);
    }

    /** Whether a slice that anything names has its only copy there. Reads every slice. */
    boolean isLastHolder(int holder) {
        state.flush();
        boolean[] last = {false};
        state.scan(Keys.table(Keys.SLICE), (key, row) -> {
            SliceRow slice = SliceRow.decode(Keys.id(key, 0), row);
            last[0] = slice.names > 0 && slice.isCopyOf(holder) && state.copies(slice) == 1;
            return !last[0];
        });
        return last[0];
    }

    /** A member was removed: files whose newest bytes had no other copy go back to what is still kept. */
    void memberRemoved(int holder) {
        var waitedFor = new LinkedHashSet<Long>();
        state.scan(Keys.table(Keys.WAIT), (key, _) -> {
            waitedFor.add(Keys.id(key, 0));
            return true;
        });
        for (long id : waitedFor) {
            SliceRow slice = state.existingSlice(id);
            if (slice.isCopyOf(holder) && state.copies(slice) == 0) lost(slice);
        }
    }

    // ---- the end of slices

    Outcome discard(Command.Discard c) {
        long gone = 0;
        for (SliceId id : c.slices()) {
            SliceRow slice = state.slice(id.value());
            if (slice == null || slice.names > 0) continue;
            slice.gone = true;
            markDead(id.value());
            state.tellDiscarded(id);
            gone++;
        }
        return new Outcome.Done(gone);
    }

    Outcome abandon(Command.Abandon c) {
        long gone = 0;
        for (SliceId id : c.slices()) {
            if (state.slice(id.value()) != null || isDead(id.value())) continue;
            markDead(id.value());
            state.tellDiscarded(id);
            gone++;
        }
        return new Outcome.Done(gone);
    }

    /** Whether a slice without a row can never have one: its writer is gone, or it was settled, discarded or abandoned. */
    private boolean isDead(long id) {
        Rows.PodRow pod = state.pods.get(Ids.allocator(id));
        if (pod == null || Ids.counter(id) < pod.record().settledCounter()) return true;
        byte[] row = state.get(deadKey(id));
        if (row == null) return false;
        int bit = (int) (id & DEAD_IDS - 1);
        return (row[1 + (bit >>> 3)] & 1 << (bit & 7)) != 0;
    }

    private static byte[] deadKey(long id) {
        return Keys.of(Keys.DEAD, id >>> DEAD_SHIFT << DEAD_SHIFT);
    }

    /** Remembers an id until the settled mark passes it. */
    private void markDead(long id) {
        Rows.PodRow pod = state.pods.get(Ids.allocator(id));
        if (pod == null || Ids.counter(id) < pod.record().settledCounter()) return;
        byte[] key = deadKey(id);
        byte[] row = state.get(key);
        byte[] bits = row == null ? new byte[1 + DEAD_IDS / 8] : row.clone();
        bits[0] = Rows.FORMAT;
        int bit = (int) (id & DEAD_IDS - 1);
        bits[1 + (bit >>> 3)] |= (byte) (1 << (bit & 7));
        state.put(key, bits);
    }

    /** The settled mark of an allocator has risen: what was remembered below it need not be. */
    void settled(int allocator, long counter) {
        int[] left = {CLEARED_ROWS_MAX};
        long from = Ids.of(allocator, 0);
        long to = from + (counter >>> DEAD_SHIFT << DEAD_SHIFT);
        if (to <= from) return;
        state.scan(Keys.of(Keys.DEAD, from), Keys.of(Keys.DEAD, to), (key, _) -> {
            state.remove(key);
            return --left[0] > 0;
        });
    }
}
