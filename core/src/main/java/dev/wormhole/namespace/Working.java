// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Rows.OrphanRow;
import dev.wormhole.namespace.Rows.PodRow;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The state as one entry's commands see and change it: the table, over it the rows that this entry read or changed, over
 * them the inodes and slices it works on as objects. A command checks all before it changes anything. {@link #finish}
 * gives the rows to write at once, with the digest brought forward. One thread.
 */
final class Working {
    private static final class Row {
        final byte @Nullable [] before;
        byte @Nullable [] now;

        Row(byte @Nullable [] before) {
            this.before = before;
            this.now = before;
        }
    }

    interface Visitor {
        /** @return false to end the walk; rows may be changed meanwhile */
        boolean visit(byte[] key, byte[] value);
    }

    private final Table table;
    private final TreeMap<byte[], Row> rows = new TreeMap<>(Arrays::compareUnsigned);
    private final LinkedHashMap<Long, @Nullable InodeRow> inodes = new LinkedHashMap<>();
    private final LinkedHashMap<Long, @Nullable SliceRow> slices = new LinkedHashMap<>();

    /** Log index and instant of the entry. */
    final long index;

    final long now;

    /** Members, by incarnation; owned by this entry if {@link #podsChanged}. */
    TreeMap<Integer, PodRow> pods;

    boolean podsChanged;
    private boolean podsTold;

    long inodeCount;
    long orphanCount;
    private long sliceCount;
    private long namedBytes;
    private long unnamedCount;

    private final LinkedHashMap<Long, Boolean> changedInodes = new LinkedHashMap<>();
    private final LinkedHashSet<InodeId> changedLocks = new LinkedHashSet<>();
    private final LinkedHashSet<SliceId> changedHolders = new LinkedHashSet<>();
    private final List<SliceId> discarded = new ArrayList<>();
    final List<Change> changes = new ArrayList<>();

    Working(Table table, long index, long now, TreeMap<Integer, PodRow> pods, NamespaceView.Totals totals) {
        this.table = table;
        this.index = index;
        this.now = now;
        this.pods = pods;
        inodeCount = totals.inodes();
        orphanCount = totals.orphans();
        sliceCount = totals.slices();
        namedBytes = totals.namedBytes();
        unnamedCount = totals.unnamedSlices();
    }

    // ---- rows

    private Row row(byte[] key) {
        Row row = rows.get(key);
        if (row == null) rows.put(key, row = new Row(table.get(key)));
        return row;
    }

    /** The key of a directory's entry. */
    byte[] entry(long directory, byte[] name) {
        return Keys.entry(directory, table.cookie(name), name);
    }

    byte @Nullable [] get(byte[] key) {
        return row(key).now;
    }

    void put(byte[] key, byte[] value) {
        row(key).now = value;
    }

    void remove(byte[] key) {
        row(key).now = null;
    }

    /** Walks present rows with from <= key < to in order. */
    void scan(byte[] from, byte[] to, Visitor visitor) {
        try (Table.Scan scan = table.scan(from, to)) {
            boolean stored = scan.next();
            byte[] at = from;
            boolean inclusive = true;
            while (true) {
                Map.Entry<byte[], Row> mine = inclusive ? rows.ceilingEntry(at) : rows.higherEntry(at);
                if (mine != null && Arrays.compareUnsigned(mine.getKey(), to) >= 0) mine = null;
                int order = mine == null
                        ? (stored ? 1 : 0)
                        : stored ? Arrays.compareUnsigned(mine.getKey(), scan.key()) : -1;
                if (mine == null && !stored) return;
                byte[] key;
                byte[] value;
                if (mine != null && order <= 0) {
                    key = mine.getKey();
                    value = mine.getValue().now;
                } else {
                    key = scan.key();
                    value = scan.value();
                }
                if (stored && order >= 0) stored = scan.next();
                at = key;
                inclusive = false;
                if (value != null && !visitor.visit(key, value)) return;
            }
        }
    }

    void scan(byte[] prefix, Visitor visitor) {
        scan(prefix, Keys.after(prefix), visitor);
    }

    // ---- objects

    @Nullable InodeRow inode(InodeId id) {
        return inode(id.value());
    }

    @Nullable InodeRow inode(long id) {
        InodeRow inode = inodes.get(id);
        if (inode == null) {
            if (inodes.containsKey(id)) return null;
            byte[] row = get(Keys.of(Keys.INODE, id));
            inode = row == null ? null : InodeRow.decode(id, row);
            inodes.put(id, inode);
        }
        return inode != null && inode.gone ? null : inode;
    }

    /** An inode that a row names, so that it must be there. */
    InodeRow existing(long id) {
        InodeRow inode = inode(id);
        if (inode == null) throw new IllegalStateException("no row of " + new InodeId(id));
        return inode;
    }

    InodeRow newInode(InodeId id, FileType type) {
        var inode = new InodeRow(id.value(), type);
        inode.accessed = inode.modified = inode.changed = inode.born = now;
        inodes.put(id.value(), inode);
        inodeCount++;
        return inode;
    }

    void removeInode(InodeRow inode) {
        inode.gone = true;
        inodeCount--;
    }

    @Nullable SliceRow slice(long id) {
        SliceRow slice = slices.get(id);
        if (slice == null) {
            if (slices.containsKey(id)) return null;
            byte[] row = get(Keys.of(Keys.SLICE, id));
            slice = row == null ? null : SliceRow.decode(id, row);
            slices.put(id, slice);
        }
        return slice != null && slice.gone ? null : slice;
    }

    SliceRow existingSlice(long id) {
        SliceRow slice = slice(id);
        if (slice == null) throw new IllegalStateException("no row of " + new SliceId(id));
        return slice;
    }

    SliceRow newSlice(SliceId id, long length, long inode) {
        SliceRow old = slices.get(id.value());
        var slice = new SliceRow(id.value(), length, inode);
        if (old != null) slice.namesStored = old.namesStored;
        slices.put(id.value(), slice);
        return slice;
    }

    boolean isMember(int incarnation) {
        return pods.containsKey(incarnation);
    }

    int copies(SliceRow slice) {
        return slice.copies(this::isMember);
    }

    /** @param tell whether others should look at the members again */
    void putPod(PodRow pod, boolean tell) {
        ownPods();
        podsTold |= tell;
        pods.put(pod.number(), pod);
        put(Keys.of(Keys.POD, pod.number()), pod.encode());
    }

    void removePod(int number) {
        ownPods();
        podsTold = true;
        pods.remove(number);
        remove(Keys.of(Keys.POD, number));
    }

    private void ownPods() {
        if (!podsChanged) pods = new TreeMap<>(pods);
        podsChanged = true;
    }

    @Nullable OrphanRow orphan(long inode) {
        byte[] row = get(Keys.of(Keys.ORPHAN, inode));
        return row == null ? null : OrphanRow.decode(row);
    }

    // ---- what is told

    /** Marks a change of attributes now: ctime goes on, never back. */
    void touch(InodeRow inode) {
        inode.changed = Math.max(inode.changed, now);
        changedInodes.putIfAbsent(inode.id, false);
    }

    /** Marks a change of bytes. */
    void touchContent(InodeRow inode) {
        touch(inode);
        inode.content++;
        changedInodes.put(inode.id, true);
    }

    /** A directory's names changed. */
    void touchDirectory(InodeRow directory, FileName name) {
        touchContent(directory);
        directory.modified = directory.changed;
        changes.add(new Change.EntryChanged(new InodeId(directory.id), name));
    }

    void tellLocks(InodeId inode) {
        changedLocks.add(inode);
    }

    void tellHolders(SliceId slice) {
        changedHolders.add(slice);
    }

    void tellDropped(SliceId slice, Incarnation holder) {
        changes.add(new Change.HolderDropped(slice, holder));
    }

    void tellDiscarded(SliceId slice) {
        discarded.add(slice);
    }

    List<Change> told() {
        var all = new ArrayList<Change>(changes.size() + changedInodes.size() + 2);
        changedInodes.forEach((id, content) -> all.add(new Change.InodeChanged(new InodeId(id), content)));
        all.addAll(changes);
        if (!changedHolders.isEmpty()) all.add(new Change.HoldersChanged(List.copyOf(changedHolders)));
        if (!discarded.isEmpty()) all.add(new Change.SlicesDiscarded(List.copyOf(discarded)));
        for (InodeId inode : changedLocks) all.add(new Change.LocksChanged(inode));
        if (podsTold) all.add(new Change.PodsChanged());
        return all;
    }

    // ---- the end

    /** Turns the objects into rows; they may be worked on further. */
    void flush() {
        for (InodeRow inode : inodes.values()) {
            if (inode == null) continue;
            if (inode.gone) remove(Keys.of(Keys.INODE, inode.id));
            else put(Keys.of(Keys.INODE, inode.id), inode.encode());
        }
        for (SliceRow slice : slices.values()) if (slice != null) flush(slice);
    }

    private void flush(SliceRow slice) {
        int stored = slice.namesStored;
        int names = slice.gone ? -1 : slice.names;
        if (slice.gone) {
            remove(Keys.of(Keys.SLICE, slice.id));
        } else {
            for (int holder : slice.holders) if (!isMember(holder)) slice.removeHolder(holder);
            put(Keys.of(Keys.SLICE, slice.id), slice.encode());
        }
        if (stored < 0 && names >= 0) sliceCount++;
        if (stored >= 0 && names < 0) sliceCount--;
        if (stored <= 0 && names > 0) namedBytes += slice.length;
        if (stored > 0 && names <= 0) namedBytes -= slice.length;
        if (stored != 0 && names == 0) {
            put(Keys.of(Keys.UNNAMED, slice.id), Rows.MARK);
            unnamedCount++;
        }
        if (stored == 0 && names != 0) {
            remove(Keys.of(Keys.UNNAMED, slice.id));
            unnamedCount--;
        }
        slice.namesStored = names;
    }

    NamespaceView.Totals totals() {
        return new NamespaceView.Totals(inodeCount, orphanCount, sliceCount, namedBytes, unnamedCount);
    }

    /** The rows that differ from the table's, and the digest after them. */
    record Finished(Table.WriteBatch batch, long digest) {}

    Finished finish(long digestBefore) {
        flush();
        NamespaceView.Totals totals = totals();
        put(
                Keys.TOTALS,
                Rows.numbers(
                        totals.inodes(),
                        totals.orphans(),
                        totals.slices(),
                        totals.namedBytes(),
                        totals.unnamedSlices()));
        long digest = digestBefore;
        var batch = new Table.WriteBatch();
        for (Map.Entry<byte[], Row> entry : rows.entrySet()) {
            byte[] key = entry.getKey();
            byte[] before = entry.getValue().before;
            byte[] after = entry.getValue().now;
            if (Arrays.equals(before, after)) continue;
            if (before != null) digest -= Keys.rowHash(key, before);
            if (after == null) {
                batch.remove(key);
            } else {
                digest += Keys.rowHash(key, after);
                batch.put(key, after);
            }
        }
        batch.put(Keys.APPLIED, Rows.numbers(index, digest));
        return new Finished(batch, digest);
    }
}
