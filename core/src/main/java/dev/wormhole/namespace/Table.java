// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import org.jspecify.annotations.Nullable;

/**
 * Rows in the order of their keys' unsigned bytes: all that the namespace asks of storage. One thread writes, many read.
 * Keys and values given or returned are not copied and must not change. A read sees every write that returned before it.
 * A table that fails (disk) throws {@link java.io.UncheckedIOException}; the pod then stops.
 */
public interface Table {
    byte @Nullable [] get(byte[] key);

    /**
     * Walks rows with from &lt;= key &lt; to in order, as they were when it was opened. To be closed.
     *
     * @param to null for no upper end
     */
    Scan scan(byte[] from, byte @Nullable [] to);

    /** Applies all puts and removals of the batch, or none, even across a crash. */
    void write(WriteBatch batch);

    /**
     * A name's place in its directory, at least {@link Keys#COOKIE_MIN}: the same in every table of a network. Here it is the
     * hash that anybody can compute.
     */
    default long cookie(byte[] name) {
        return Keys.cookieOf(Keys.hash(name, 0));
    }

    /** The same rows in a fixed state, for reads that must agree with each other. To be closed. */
    Snapshot snapshot();

    interface Scan extends AutoCloseable {
        /** Moves to the next row, to the first one at first; false at the end. */
        boolean next();

        byte[] key();

        byte[] value();

        @Override
        void close();
    }

    /** Reads of one state. */
    interface Snapshot extends AutoCloseable {
        byte @Nullable [] get(byte[] key);

        Scan scan(byte[] from, byte @Nullable [] to);

        @Override
        void close();
    }

    /** Changes to write at once, in key order; a null value removes. The last one for a key counts. */
    final class WriteBatch {
        private final java.util.TreeMap<byte[], byte @Nullable []> rows =
                new java.util.TreeMap<>(java.util.Arrays::compareUnsigned);

        public void put(byte[] key, byte[] value) {
            rows.put(key, value);
        }

        public void remove(byte[] key) {
            rows.put(key, null);
        }

        /** The changes, in key order; a null value means removal. Live, so that apply can read its own writes. */
        public java.util.NavigableMap<byte[], byte @Nullable []> rows() {
            return rows;
        }
    }
}
