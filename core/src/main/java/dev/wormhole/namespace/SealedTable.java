// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.seal.Secret;
import dev.wormhole.seal.SyntheticSeal;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A table over another one that it keeps unreadable: values are sealed, each bound to its key, and so are the names in keys. The
 * ids in keys stay, so rows of one inode or directory lie together and are found by ranges as before. A name's cookie, which
 * would tell the name to whoever guesses it, is made with the secret. Sealing is deterministic: all pods with the secret
 * have the same rows, and a snapshot of one is good for all.
 *
 * <p>Order: rows that differ only in their names lie in the order of what the names were sealed to. They are few (the
 * attributes of one file, its names in one directory), so a scan sorts each such group when it comes to it.
 */
public final class SealedTable implements Table {
    private final Table table;
    private final SyntheticSeal values;
    private final SyntheticSeal names;

    /** @param secret of the network */
    public SealedTable(Table table, Secret secret) {
        this.table = table;
        values = new SyntheticSeal(secret, "wormhole rows 1");
        names = new SyntheticSeal(secret, "wormhole names 1");
    }

    @Override
    public long cookie(byte[] name) {
        return Keys.cookieOf(names.fingerprint(name));
    }

    /** Bytes of a key in front of its name; all of it where there is none. */
    private static int plainBytes(byte[] key) {
        int ids = key.length < 3 || key[0] != Keys.FIRST[0] || key[1] != Keys.FIRST[1]
                ? 0
                : switch ((char) key[2]) {
                    case Keys.ENTRY, Keys.FURTHER_NAME -> 2;
                    case Keys.XATTR -> 1;
                    default -> 0;
                };
        return ids == 0 ? key.length : Math.min(key.length, 3 + 8 * ids);
    }

    private byte[] sealKey(byte[] key) {
        int plain = plainBytes(key);
        if (plain == key.length) return key;
        byte[] place = Arrays.copyOf(key, plain);
        byte[] sealed = names.seal(place, Arrays.copyOfRange(key, plain, key.length));
        byte[] whole = Arrays.copyOf(place, plain + sealed.length);
        System.arraycopy(sealed, 0, whole, plain, sealed.length);
        return whole;
    }

    private byte[] openKey(byte[] stored) {
        int plain = plainBytes(stored);
        if (plain == stored.length) return stored;
        byte[] place = Arrays.copyOf(stored, plain);
        byte[] name = names.open(place, Arrays.copyOfRange(stored, plain, stored.length));
        if (name == null) throw damaged();
        byte[] whole = Arrays.copyOf(place, plain + name.length);
        System.arraycopy(name, 0, whole, plain, name.length);
        return whole;
    }

    private byte[] openValue(byte[] key, byte[] stored) {
        byte[] value = values.open(key, stored);
        if (value == null) throw damaged();
        return value;
    }

    private static UncheckedIOException damaged() {
        return new UncheckedIOException(new IOException(
                "table: a row is not what was sealed: it was changed on the disk, or the key is another"));
    }

    private byte @Nullable [] openFound(byte[] key, byte @Nullable [] stored) {
        return stored == null ? null : openValue(key, stored);
    }

    @Override
    public byte @Nullable [] get(byte[] key) {
        return openFound(key, table.get(sealKey(key)));
    }

    @Override
    public Scan scan(byte[] from, byte @Nullable [] to) {
        return new SealedScan(table.scan(lower(from), upper(to)), from, to);
    }

    /** Where the group of rows begins that a key belongs to. */
    private static byte[] lower(byte[] from) {
        return Arrays.copyOf(from, plainBytes(from));
    }

    /** Where the group of rows ends, if the bound lies within one. */
    private static byte @Nullable [] upper(byte @Nullable [] to) {
        if (to == null || plainBytes(to) == to.length) return to;
        return Keys.after(lower(to));
    }

    @Override
    public void write(WriteBatch batch) {
        var sealed = new WriteBatch();
        for (Map.Entry<byte[], byte @Nullable []> row : batch.rows().entrySet()) {
            byte[] value = row.getValue();
            if (value == null) sealed.remove(sealKey(row.getKey()));
            else sealed.put(sealKey(row.getKey()), values.seal(row.getKey(), value));
        }
        table.write(sealed);
    }

    @Override
    public Snapshot snapshot() {
        var snapshot = table.snapshot();
        return new Snapshot() {
            @Override
            public byte @Nullable [] get(byte[] key) {
                return openFound(key, snapshot.get(sealKey(key)));
            }

            @Override
            public Scan scan(byte[] from, byte @Nullable [] to) {
                return new SealedScan(snapshot.scan(lower(from), upper(to)), from, to);
            }

            @Override
            public void close() {
                snapshot.close();
            }
        };
    }

    private record Row(byte[] key, byte[] stored) {}

    /** Walks the stored rows, those with names a group at a time. */
    private final class SealedScan implements Scan {
        private final Scan stored;
        private final byte[] from;
        private final byte @Nullable [] to;
        private List<Row> group = List.of();
        private int at;
        private boolean started;
        private boolean onStored; // the underlying scan is at a row that was not used yet

        SealedScan(Scan stored, byte[] from, byte @Nullable [] to) {
            this.stored = stored;
            this.from = from;
            this.to = to;
        }

        @Override
        public boolean next() {
            if (!started) {
                started = true;
                onStored = stored.next();
            } else if (at < group.size() && ++at < group.size()) {
                return true;
            }
            while (onStored) {
                collect();
                at = 0;
                if (!group.isEmpty()) return true;
            }
            group = List.of();
            at = 0;
            return false;
        }

        /** Takes the rows whose keys begin like the present one, up to their names. */
        private void collect() {
            byte[] first = stored.key();
            int plain = plainBytes(first);
            if (plain == first.length) {
                group = within(first) ? List.of(new Row(first, stored.value())) : List.of();
                onStored = stored.next();
                return;
            }
            group = new ArrayList<>(1);
            do {
                byte[] key = stored.key();
                if (key.length <= plain || !Arrays.equals(key, 0, plain, first, 0, plain)) break;
                byte[] open = openKey(key);
                if (within(open)) group.add(new Row(open, stored.value()));
                onStored = stored.next();
            } while (onStored);
            if (group.size() > 1) group.sort((a, b) -> Arrays.compareUnsigned(a.key, b.key));
        }

        private boolean within(byte[] key) {
            return Arrays.compareUnsigned(key, from) >= 0 && (to == null || Arrays.compareUnsigned(key, to) < 0);
        }

        private Row row() {
            if (at >= group.size()) throw new IllegalStateException("scan is at no row");
            return group.get(at);
        }

        @Override
        public byte[] key() {
            return row().key;
        }

        @Override
        public byte[] value() {
            return openValue(row().key, row().stored);
        }

        @Override
        public void close() {
            stored.close();
        }
    }
}
