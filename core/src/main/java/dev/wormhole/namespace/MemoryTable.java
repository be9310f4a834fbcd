// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Iterator;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import org.jspecify.annotations.Nullable;

/**
 * A table in memory, for simulation and tests. Each key leads to its versions, newest first; a batch becomes visible when
 * its number is published, and a snapshot reads the versions up to the number at which it was opened. Old versions go at
 * the next write to their key once no snapshot can see them.
 */
public final class MemoryTable implements Table {
    private record Version(
            long number, byte @Nullable [] value, @Nullable Version older) {}

    private record Tombstone(byte[] key, Version version) {}

    private final ConcurrentSkipListMap<byte[], Version> rows = new ConcurrentSkipListMap<>(Arrays::compareUnsigned);
    /** Open snapshots by their number; also guards the moment a snapshot takes its number. */
    private final TreeMap<Long, Integer> open = new TreeMap<>();

    private final ArrayDeque<Tombstone> tombstones = new ArrayDeque<>();
    private volatile long published;

    @Override
    public byte @Nullable [] get(byte[] key) {
        Version newest = rows.get(key);
        return newest == null ? null : at(newest, published); // the number is read after the version: see write
    }

    private static byte @Nullable [] at(Version newest, long number) {
        for (Version version = newest; version != null; version = version.older)
            if (version.number <= number) return version.value;
        return null;
    }

    @Override
    public Scan scan(byte[] from, byte @Nullable [] to) {
        Pinned pinned = new Pinned();
        return pinned.scan(from, to, true);
    }

    @Override
    public Snapshot snapshot() {
        return new Pinned();
    }

    /** Single writer. A version is dropped only if one that every snapshot and every present reader may see is newer. */
    @Override
    public synchronized void write(WriteBatch batch) {
        long number = published + 1;
        long floor;
        synchronized (open) {
            floor = open.isEmpty() ? published : open.firstKey();
        }
        while (!tombstones.isEmpty() && tombstones.getFirst().version.number <= floor) {
            Tombstone tombstone = tombstones.removeFirst();
            rows.remove(tombstone.key, tombstone.version);
        }
        for (Map.Entry<byte[], byte @Nullable []> row : batch.rows().entrySet()) {
            Version before = rows.get(row.getKey());
            if (before == null && row.getValue() == null) continue;
            Version after = new Version(number, row.getValue(), before == null ? null : prune(before, floor));
            rows.put(row.getKey(), after);
            if (row.getValue() == null) tombstones.addLast(new Tombstone(row.getKey(), after));
        }
        published = number;
    }

    private static Version prune(Version version, long floor) {
        if (version.older == null) return version;
        if (version.number <= floor) return new Version(version.number, version.value, null);
        return new Version(version.number, version.value, prune(version.older, floor));
    }

    /** Another table with the same rows. */
    public synchronized MemoryTable copy() {
        var copy = new MemoryTable();
        copy.replaceWith(this);
        return copy;
    }

    /** Puts the other table's rows in place of this one's, as an installed snapshot does. */
    public void replaceWith(Table other) {
        var batch = new WriteBatch();
        try (Scan mine = scan(new byte[0], null)) {
            while (mine.next()) batch.remove(mine.key());
        }
        try (Scan theirs = other.scan(new byte[0], null)) {
            while (theirs.next()) batch.put(theirs.key(), theirs.value());
        }
        write(batch);
    }

    private final class Pinned implements Snapshot {
        private final long number;
        private boolean closed;

        Pinned() {
            synchronized (open) {
                number = published;
                open.merge(number, 1, Integer::sum);
            }
        }

        @Override
        public byte @Nullable [] get(byte[] key) {
            Version newest = rows.get(key);
            return newest == null ? null : at(newest, number);
        }

        @Override
        public Scan scan(byte[] from, byte @Nullable [] to) {
            return scan(from, to, false);
        }

        Scan scan(byte[] from, byte @Nullable [] to, boolean closeToo) {
            boolean none = to != null && Arrays.compareUnsigned(from, to) >= 0;
            ConcurrentNavigableMap<byte[], Version> range = to == null
                    ? rows.tailMap(from, true)
                    : none ? rows.headMap(new byte[0], false) : rows.subMap(from, to);
            return new MemoryScan(range.entrySet().iterator(), this, closeToo);
        }

        @Override
        public void close() {
            synchronized (open) {
                if (closed) return;
                closed = true;
                open.computeIfPresent(number, (_, count) -> count == 1 ? null : count - 1);
            }
        }
    }

    private static final class MemoryScan implements Scan {
        private final Iterator<Map.Entry<byte[], Version>> rows;
        private final Pinned pinned;
        private final boolean closeToo;
        private byte[] key = new byte[0];
        private byte[] value = key;

        MemoryScan(Iterator<Map.Entry<byte[], Version>> rows, Pinned pinned, boolean closeToo) {
            this.rows = rows;
            this.pinned = pinned;
            this.closeToo = closeToo;
        }

        @Override
        public boolean next() {
            while (rows.hasNext()) {
                Map.Entry<byte[], Version> row = rows.next();
                byte[] seen = at(row.getValue(), pinned.number);
                if (seen == null) continue;
                key = row.getKey();
                value = seen;
                return true;
            }
            return false;
        }

        @Override
        public byte[] key() {
            return key;
        }

        @Override
        public byte[] value() {
            return value;
        }

        @Override
        public void close() {
            if (closeToo) pinned.close();
        }
    }
}
