// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Extent;
import dev.wormhole.model.SliceId;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Ranges of a file that lie in slices: ordered, never overlapping, neighbours that continue each other joined. What is put
 * later covers what was there. Primitive arrays, because a write must not cost objects. Not thread-safe.
 */
final class RangeMap {
    private long[] from = new long[4];
    private long[] to = new long[4];
    private long[] slice = new long[4];
    private long[] sliceOffset = new long[4];
    private int count;

    int count() {
        return count;
    }

    boolean isEmpty() {
        return count == 0;
    }

    long from(int i) {
        return from[i];
    }

    long to(int i) {
        return to[i];
    }

    long slice(int i) {
        return slice[i];
    }

    long sliceOffset(int i) {
        return sliceOffset[i];
    }

    /** The first byte behind all ranges, 0 if there are none. */
    long end() {
        return count == 0 ? 0 : to[count - 1];
    }

    long bytes() {
        long sum = 0;
        for (int i = 0; i < count; i++) sum += to[i] - from[i];
        return sum;
    }

    /** Index of the first range that ends behind the offset; {@link #count} if none does. */
    int firstEndingAfter(long offset) {
        int low = 0, high = count;
        while (low < high) {
            int middle = low + high >>> 1;
            if (to[middle] > offset) high = middle;
            else low = middle + 1;
        }
        return low;
    }

    void put(long start, long length, long sliceId, long offset) {
        long end = start + length;
        if (length <= 0 || start < 0 || end < 0) throw new IllegalArgumentException(start + "+" + length);
        if (count > 0) {
            int last = count - 1;
            if (start == to[last] && continues(last, sliceId, offset)) {
                to[last] = end;
                return;
            }
        }
        if (count == 0 || start >= to[count - 1]) {
            makeRoom(count, 0, 1);
            set(count - 1, start, end, sliceId, offset);
            return;
        }
        int first = firstEndingAfter(start); // first that is touched
        int behind = first; // first that is not touched any more
        while (behind < count && from[behind] < end) behind++;
        boolean left = first < behind && from[first] < start;
        boolean right = first < behind && to[behind - 1] > end;
        long leftFrom = 0, leftSlice = 0, leftOffset = 0, rightTo = 0, rightSlice = 0, rightOffset = 0;
        if (left) {
            leftFrom = from[first];
            leftSlice = slice[first];
            leftOffset = sliceOffset[first];
        }
        if (right) {
            rightTo = to[behind - 1];
            rightSlice = slice[behind - 1];
            rightOffset = sliceOffset[behind - 1] + (end - from[behind - 1]);
        }
        boolean joined = !left && first > 0 && to[first - 1] == start && continues(first - 1, sliceId, offset);
        int wanted = (left ? 1 : 0) + (joined ? 0 : 1) + (right ? 1 : 0);
        makeRoom(first, behind - first, wanted);
        int at = first;
        if (left) set(at++, leftFrom, start, leftSlice, leftOffset);
        if (joined) to[first - 1] = end;
        else set(at++, start, end, sliceId, offset);
        if (right) set(at, end, rightTo, rightSlice, rightOffset);
    }

    /** Puts every range of the other map over this one's. */
    void putAll(RangeMap newer) {
        for (int i = 0; i < newer.count; i++)
            put(newer.from[i], newer.to[i] - newer.from[i], newer.slice[i], newer.sliceOffset[i]);
    }

    /** Puts the parts of the other map that lie in [start, end) over this one's. */
    void putWithin(RangeMap newer, long start, long end) {
        for (int i = newer.firstEndingAfter(start); i < newer.count && newer.from[i] < end; i++) {
            long a = Math.max(start, newer.from[i]);
            long b = Math.min(end, newer.to[i]);
            put(a, b - a, newer.slice[i], newer.sliceOffset[i] + (a - newer.from[i]));
        }
    }

    List<Extent> extents() {
        var extents = new ArrayList<Extent>(count);
        for (int i = 0; i < count; i++)
            extents.add(new Extent(from[i], to[i] - from[i], new SliceId(slice[i]), sliceOffset[i]));
        return extents;
    }

    private boolean continues(int i, long sliceId, long offset) {
        return slice[i] == sliceId && sliceOffset[i] + (to[i] - from[i]) == offset;
    }

    private void set(int i, long start, long end, long sliceId, long offset) {
        from[i] = start;
        to[i] = end;
        slice[i] = sliceId;
        sliceOffset[i] = offset;
    }

    /** Replaces {@code removed} rows at {@code at} by {@code added} rows that the caller fills. */
    private void makeRoom(int at, int removed, int added) {
        int counted = count - removed + added;
        if (counted > from.length) {
            int size = Math.max(counted, from.length * 2);
            from = Arrays.copyOf(from, size);
            to = Arrays.copyOf(to, size);
            slice = Arrays.copyOf(slice, size);
            sliceOffset = Arrays.copyOf(sliceOffset, size);
        }
        int rest = count - at - removed;
        if (rest > 0 && removed != added) {
            System.arraycopy(from, at + removed, from, at + added, rest);
            System.arraycopy(to, at + removed, to, at + added, rest);
            System.arraycopy(slice, at + removed, slice, at + added, rest);
            System.arraycopy(sliceOffset, at + removed, sliceOffset, at + added, rest);
        }
        count = counted;
    }
}
