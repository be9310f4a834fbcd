// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.HashSet;
import org.jspecify.annotations.Nullable;

/**
 * The last verified blocks that were read in part, off the heap: a run of small reads then checks each 64 KiB once.
 * At most 9 MiB, taken as needed. Sets of four, the least recently used goes.
 */
final class BlockCache {
    private static final int SETS = 32;
    private static final int WAYS = 4;

    private final CacheSet[] sets = new CacheSet[SETS];

    BlockCache() {
        for (int i = 0; i < SETS; i++) sets[i] = new CacheSet();
    }

    private CacheSet set(SliceId slice, int block) {
        long h = (slice.value() + block) * 0x9E3779B97F4A7C15L;
        return sets[(int) (h >>> 59)];
    }

    /** Copies part of a block into a buffer if the block is here. */
    boolean copy(SliceId slice, int block, int from, int bytes, ByteBuffer into) {
        CacheSet set = set(slice, block);
        synchronized (set) {
            for (int way = 0; way < WAYS; way++) {
                if (set.slices[way] != slice.value() || set.blocks[way] != block) continue;
                ByteBuffer found = set.bytes[way];
                if (found == null) return false;
                set.used[way] = ++set.clock;
                into.put(into.position(), found, from, bytes);
                into.position(into.position() + bytes);
                return true;
            }
        }
        return false;
    }

    /**
     * Keeps a verified block: the buffer itself. Answers another one for it, which may be used for anything; null if there is
     * none.
     */
    @Nullable ByteBuffer exchange(SliceId slice, int block, ByteBuffer verified) {
        CacheSet set = set(slice, block);
        synchronized (set) {
            int oldest = 0;
            for (int way = 0; way < WAYS; way++) {
                if (set.slices[way] == slice.value() && set.blocks[way] == block) return verified;
                if (set.used[way] < set.used[oldest]) oldest = way;
            }
            ByteBuffer before = set.bytes[oldest];
            set.bytes[oldest] = verified;
            set.slices[oldest] = slice.value();
            set.blocks[oldest] = block;
            set.used[oldest] = ++set.clock;
            return before;
        }
    }

    void forget(Collection<SliceId> slices) {
        var gone = new HashSet<Long>();
        for (SliceId slice : slices) gone.add(slice.value());
        for (CacheSet set : sets) {
            synchronized (set) {
                for (int way = 0; way < WAYS; way++) if (gone.contains(set.slices[way])) set.slices[way] = 0;
            }
        }
    }

    private static final class CacheSet {
        final long[] slices = new long[WAYS];
        final int[] blocks = new int[WAYS];
        final long[] used = new long[WAYS];
        final @Nullable ByteBuffer[] bytes = new @Nullable ByteBuffer[WAYS];
        long clock;
    }
}
