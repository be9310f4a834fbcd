// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What every {@link Table} does. A subclass gives an empty one for each test and closes it afterwards. */
public abstract class TableContract {
    private Table table = new MemoryTable();

    /** An empty table. */
    protected abstract Table emptyTable() throws Exception;

    @BeforeEach
    void emptyTableForEachTest() throws Exception {
        table = emptyTable();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static String text(byte @Nullable [] bytes) {
        return bytes == null ? "-" : new String(bytes, StandardCharsets.ISO_8859_1);
    }

    private void put(String... keysAndValues) {
        var batch = new Table.WriteBatch();
        for (int i = 0; i < keysAndValues.length; i += 2)
            batch.put(bytes(keysAndValues[i]), bytes(keysAndValues[i + 1]));
        table.write(batch);
    }

    private static List<String> rows(Table.Scan open) {
        try (Table.Scan scan = open) {
            var rows = new ArrayList<String>();
            while (scan.next()) rows.add(text(scan.key()) + "=" + text(scan.value()));
            return rows;
        }
    }

    private List<String> all() {
        return rows(table.scan(new byte[0], null));
    }

    @Test
    void anEmptyTableHasNoRows() {
        assertThat(table.get(bytes("a"))).isNull();
        assertThat(all()).isEmpty();
        assertThat(rows(table.scan(bytes("a"), bytes("z")))).isEmpty();
    }

    @Test
    void aRowIsReadAsWritten() {
        put("a", "1", "b", "");
        assertThat(text(table.get(bytes("a")))).isEqualTo("1");
        assertThat(text(table.get(bytes("b")))).isEmpty();
        assertThat(table.get(bytes("ab"))).isNull();
        put("a", "2");
        assertThat(text(table.get(bytes("a")))).isEqualTo("2");
    }

    @Test
    void theLastChangeOfABatchCounts() {
        put("a", "1", "b", "1");
        var batch = new Table.WriteBatch();
        batch.put(bytes("a"), bytes("2"));
        batch.remove(bytes("a"));
        batch.remove(bytes("b"));
        batch.put(bytes("b"), bytes("3"));
        batch.remove(bytes("never"));
        table.write(batch);
        assertThat(all()).containsExactly("b=3");
    }

    @Test
    void keysAreInUnsignedOrder() {
        put("\u00ff", "4", "\u007f", "2", "\u0080", "3", "", "0", "\u0000", "1", "a", "x", "ab", "y", "b", "z");
        assertThat(rows(table.scan(new byte[0], null)).stream().map(row -> row.substring(row.length() - 1)))
                .containsExactly("0", "1", "x", "y", "z", "2", "3", "4");
    }

    @Test
    void aScanEndsBeforeItsEnd() {
        put("a", "1", "b", "2", "ba", "3", "c", "4");
        assertThat(rows(table.scan(bytes("b"), bytes("c")))).containsExactly("b=2", "ba=3");
        assertThat(rows(table.scan(bytes("aa"), null))).containsExactly("b=2", "ba=3", "c=4");
        assertThat(rows(table.scan(bytes("b"), bytes("b")))).isEmpty();
        assertThat(rows(table.scan(bytes("c"), bytes("b")))).isEmpty();
    }

    @Test
    void aScanAtItsEndStaysThere() {
        put("a", "1");
        try (Table.Scan scan = table.scan(new byte[0], null)) {
            assertThat(scan.next()).isTrue();
            assertThat(scan.next()).isFalse();
            put("b", "2");
            assertThat(scan.next()).isFalse();
        }
    }

    @Test
    void keysAndValuesOfAScanStayAsTheyWere() {
        put("a", "1", "b", "2");
        try (Table.Scan scan = table.scan(new byte[0], null)) {
            assertThat(scan.next()).isTrue();
            byte[] key = scan.key();
            byte[] value = scan.value();
            assertThat(scan.next()).isTrue();
            put("a", "9");
            assertThat(text(key)).isEqualTo("a");
            assertThat(text(value)).isEqualTo("1");
        }
    }

    @Test
    void aScanShowsTheRowsOfWhenItWasOpened() {
        put("a", "1", "b", "1", "d", "1");
        try (Table.Scan scan = table.scan(new byte[0], null)) {
            assertThat(scan.next()).isTrue();
            var batch = new Table.WriteBatch();
            batch.remove(bytes("a"));
            batch.put(bytes("b"), bytes("2"));
            batch.put(bytes("c"), bytes("2"));
            batch.remove(bytes("d"));
            table.write(batch);
            put("e", "3");
            put("f", "4");
            assertThat(scan.next()).isTrue();
            assertThat(text(scan.key()) + text(scan.value())).isEqualTo("b1");
            assertThat(scan.next()).isTrue();
            assertThat(text(scan.key()) + text(scan.value())).isEqualTo("d1");
            assertThat(scan.next()).isFalse();
        }
        assertThat(all()).containsExactly("b=2", "c=2", "e=3", "f=4");
    }

    @Test
    void aSnapshotDoesNotChange() {
        put("a", "1", "b", "1");
        try (Table.Snapshot first = table.snapshot()) {
            put("a", "2", "c", "2");
            try (Table.Snapshot second = table.snapshot()) {
                var batch = new Table.WriteBatch();
                batch.remove(bytes("a"));
                table.write(batch);
                put("b", "3");
                assertThat(text(first.get(bytes("a")))).isEqualTo("1");
                assertThat(first.get(bytes("c"))).isNull();
                assertThat(rows(first.scan(new byte[0], null))).containsExactly("a=1", "b=1");
                assertThat(text(second.get(bytes("a")))).isEqualTo("2");
                assertThat(rows(second.scan(bytes("b"), null))).containsExactly("b=1", "c=2");
            }
            assertThat(rows(first.scan(new byte[0], null))).containsExactly("a=1", "b=1");
        }
        assertThat(all()).containsExactly("b=3", "c=2");
    }

    @Test
    void randomBatchesAgainstASortedMap() {
        long seed = Long.getLong("seed", System.nanoTime());
        System.out.println("TableContract seed " + seed);
        var random = new Random(seed);
        var model = new TreeMap<byte[], byte[]>(Arrays::compareUnsigned);
        record Held(Table.Snapshot snapshot, List<String> rows) {}
        var held = new ArrayList<Held>();
        for (int step = 0; step < 2_000; step++) {
            var batch = new Table.WriteBatch();
            for (int i = random.nextInt(8); i >= 0; i--) {
                byte[] key = new byte[1 + random.nextInt(3)];
                for (int k = 0; k < key.length; k++) key[k] = (byte) (random.nextInt(6) * 51);
                if (random.nextInt(3) == 0) {
                    batch.remove(key);
                    model.remove(key);
                } else {
                    byte[] value = new byte[random.nextInt(20)];
                    random.nextBytes(value);
                    batch.put(key, value);
                    model.put(key, value);
                }
            }
            table.write(batch);
            byte[] from = {(byte) (random.nextInt(6) * 51)};
            byte[] to = {(byte) (random.nextInt(6) * 51)};
            if (Arrays.compareUnsigned(from, to) <= 0)
                assertThat(rows(table.scan(from, to))).isEqualTo(rows(model.subMap(from, to)));
            assertThat(text(table.get(from))).isEqualTo(text(model.get(from)));
            if (random.nextInt(20) == 0) held.add(new Held(table.snapshot(), rows(model)));
            if (!held.isEmpty() && random.nextInt(20) == 0) {
                Held one = held.remove(random.nextInt(held.size()));
                try (Table.Snapshot snapshot = one.snapshot) {
                    assertThat(rows(snapshot.scan(new byte[0], null))).isEqualTo(one.rows);
                }
            }
        }
        for (Held one : held) one.snapshot.close();
        assertThat(all()).isEqualTo(rows(model));
    }

    private static List<String> rows(Map<byte[], byte[]> model) {
        var rows = new ArrayList<String>();
        model.forEach((key, value) -> rows.add(text(key) + "=" + text(value)));
        return rows;
    }

    /** Two rows that are always written together are never seen apart, and what a read showed is never unseen. */
    @Test
    void readersSeeWholeBatchesInOrder() throws InterruptedException {
        put("x", "0000", "y", "0000");
        var stop = new AtomicBoolean();
        var wrong = new AtomicReference<String>();
        Thread reader = Thread.ofPlatform().start(() -> {
            String last = "0000";
            while (!stop.get() && wrong.get() == null) {
                List<String> seen = rows(table.scan(bytes("x"), bytes("z")));
                String x = seen.getFirst().substring(2);
                if (seen.size() != 2 || !seen.get(1).equals("y=" + x) || x.compareTo(last) < 0)
                    wrong.set(last + " then " + seen);
                String single = text(table.get(bytes("x")));
                if (single.compareTo(x) < 0) wrong.set(x + " then by get " + single);
                last = single;
                try (Table.Snapshot snapshot = table.snapshot()) {
                    String first = text(snapshot.get(bytes("y")));
                    if (!first.equals(text(snapshot.get(bytes("x"))))) wrong.set("snapshot apart at " + first);
                }
            }
        });
        for (int i = 1; i <= 5_000 && wrong.get() == null; i++) {
            String value = String.format("%04d", i);
            put("x", value, "y", value);
            assertThat(text(table.get(bytes("y")))).isEqualTo(value);
        }
        stop.set(true);
        reader.join();
        assertThat(wrong.get()).isNull();
    }
}
