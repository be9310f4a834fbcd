// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import java.util.function.Consumer;

/**
 * Where each durable slice is: 16 bytes an entry, at a load of 0.53 to 0.8, so 20 to 30 bytes a slice, in primitive
 * arrays. Sixty-four independently locked open-addressing tables, which also grow one at a time.
 *
 * <p>A <em>location</em> is a pack slot (19 bits), the record's offset in units of 8 bytes (24 bits) and the slice's
 * length (21 bits); for a slice with a file of its own, slot {@link #OWN} and its length (45 bits).
 */
final class SliceIndex {
    /** No such slice. */
    static final long ABSENT = -1;

    static final int OWN = (1 << 19) - 1;
    static final int SLOTS_MAX = OWN;
    private static final long OWN_LENGTH_MAX = (1L << 45) - 2;
    private static final int SEGMENTS = 64;
    private static final int CAPACITY_MIN = 16;

    private final Segment[] segments = new Segment[SEGMENTS];

    SliceIndex() {
        for (int i = 0; i < SEGMENTS; i++) segments[i] = new Segment();
    }

    static long packed(int slot, int offset, int length) {
        return (long) slot << 45 | (long) (offset >>> 3) << 21 | length;
    }

    static long own(long length) {
        if (length > OWN_LENGTH_MAX) throw new IllegalArgumentException("slice bytes: " + length);
        return (long) OWN << 45 | length;
    }

    static boolean isOwn(long location) {
        return slot(location) == OWN;
    }

    static int slot(long location) {
        return (int) (location >>> 45);
    }

    static int offset(long location) {
        return (int) (location >>> 21 & 0xFFFFFF) << 3;
    }

    static long length(long location) {
        return isOwn(location) ? location & (1L << 45) - 1 : location & 0x1FFFFF;
    }

    private static long mix(long id) {
        long h = id * 0x9E3779B97F4A7C15L;
        h ^= h >>> 29;
        h *= 0xBF58476D1CE4E5B9L;
        return h ^ h >>> 32;
    }

    private Segment segment(long hash) {
        return segments[(int) (hash >>> 58)];
    }

    long get(SliceId slice) {
        long hash = mix(slice.value());
        Segment segment = segment(hash);
        synchronized (segment) {
            return segment.get(slice.value(), hash);
        }
    }

    /** @return the location it had, or ABSENT */
    long put(SliceId slice, long location) {
        long hash = mix(slice.value());
        Segment segment = segment(hash);
        synchronized (segment) {
            return segment.put(slice.value(), hash, location);
        }
    }

    /** Moves a slice unless it was moved or removed meanwhile. */
    boolean replace(SliceId slice, long from, long to) {
        long hash = mix(slice.value());
        Segment segment = segment(hash);
        synchronized (segment) {
            if (segment.get(slice.value(), hash) != from) return false;
            segment.put(slice.value(), hash, to);
            return true;
        }
    }

    /** @return the location it had, or ABSENT */
    long remove(SliceId slice) {
        long hash = mix(slice.value());
        Segment segment = segment(hash);
        synchronized (segment) {
            return segment.remove(slice.value(), hash);
        }
    }

    long size() {
        long size = 0;
        for (Segment segment : segments) {
            synchronized (segment) {
                size += segment.size;
            }
        }
        return size;
    }

    /** Bytes of the arrays. */
    long heapBytes() {
        long bytes = 0;
        for (Segment segment : segments) {
            synchronized (segment) {
                bytes += 16L * segment.ids.length;
            }
        }
        return bytes;
    }

    void forEach(Consumer<SliceId> visitor) {
        for (Segment segment : segments) {
            long[] ids;
            synchronized (segment) {
                ids = segment.ids.clone();
            }
            for (long id : ids) if (id != 0) visitor.accept(new SliceId(id));
        }
    }

    private static final class Segment {
        long[] ids = new long[CAPACITY_MIN];
        long[] locations = new long[CAPACITY_MIN];
        int size;

        private static int home(long hash, int capacity) {
            return (int) ((hash & 0xFFFFFFFFL) * capacity >>> 32);
        }

        private int find(long id, long hash) {
            int capacity = ids.length;
            int i = home(hash, capacity);
            while (ids[i] != 0 && ids[i] != id) if (++i == capacity) i = 0;
            return i;
        }

        long get(long id, long hash) {
            int i = find(id, hash);
            return ids[i] == 0 ? ABSENT : locations[i];
        }

        long put(long id, long hash, long location) {
            int i = find(id, hash);
            if (ids[i] != 0) {
                long old = locations[i];
                locations[i] = location;
                return old;
            }
            if ((size + 1) * 5L > ids.length * 4L) {
                grow();
                i = find(id, hash);
            }
            ids[i] = id;
            locations[i] = location;
            size++;
            return ABSENT;
        }

        private void grow() {
            long[] oldIds = ids;
            long[] oldLocations = locations;
            int capacity = oldIds.length + (oldIds.length >> 1);
            ids = new long[capacity];
            locations = new long[capacity];
            for (int k = 0; k < oldIds.length; k++) {
                if (oldIds[k] == 0) continue;
                int i = find(oldIds[k], mix(oldIds[k]));
                ids[i] = oldIds[k];
                locations[i] = oldLocations[k];
            }
        }

        long remove(long id, long hash) {
            int capacity = ids.length;
            int hole = find(id, hash);
            if (ids[hole] == 0) return ABSENT;
            long old = locations[hole];
            // close the gap: move back whatever its home allows, so that no probe stops too early
            for (int i = hole + 1 == capacity ? 0 : hole + 1; ids[i] != 0; i = i + 1 == capacity ? 0 : i + 1) {
                int home = home(mix(ids[i]), capacity);
                int fromHome = i >= home ? i - home : i - home + capacity;
                int fromHole = i >= hole ? i - hole : i - hole + capacity;
                if (fromHome >= fromHole) {
                    ids[hole] = ids[i];
                    locations[hole] = locations[i];
                    hole = i;
                }
            }
            ids[hole] = 0;
            size--;
            return old;
        }
    }
}
