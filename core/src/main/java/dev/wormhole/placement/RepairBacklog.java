// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import dev.wormhole.model.SliceId;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The most urgent slices of a walk, bounded: fewest copies first, then in id order. When it is full the least urgent one
 * gives way and {@link #isComplete} says that another walk is needed. One owner, not thread-safe.
 */
public final class RepairBacklog {
    private record Item(int copies, SliceId slice) {}

    private final int itemsMax;
    private final TreeSet<Item> items =
            new TreeSet<>(Comparator.comparingInt(Item::copies).thenComparing(Item::slice));
    private final Map<SliceId, Item> bySlice = new HashMap<>();
    private boolean complete = true;

    public RepairBacklog(int itemsMax) {
        if (itemsMax < 1) throw new IllegalArgumentException("items at most: " + itemsMax);
        this.itemsMax = itemsMax;
    }

    /** @param copies what the slice has now; replaces what was said of it before */
    public void offer(SliceId slice, int copies) {
        var item = new Item(copies, slice);
        var before = bySlice.put(slice, item);
        if (before != null) items.remove(before);
        items.add(item);
        if (items.size() > itemsMax) {
            var last = items.pollLast();
            if (last != null) bySlice.remove(last.slice());
            complete = false;
        }
    }

    /** Takes the most urgent one; null when there is none. */
    public @Nullable SliceId poll() {
        var first = items.pollFirst();
        if (first == null) return null;
        bySlice.remove(first.slice());
        return first.slice();
    }

    public int size() {
        return items.size();
    }

    /** Whether nothing had to give way since the last {@link #clear}. */
    public boolean isComplete() {
        return complete;
    }

    /** Begins anew, for another walk. */
    public void clear() {
        items.clear();
        bySlice.clear();
        complete = true;
    }
}
