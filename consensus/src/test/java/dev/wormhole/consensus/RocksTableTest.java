// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.namespace.Table;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.NavigableMap;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RocksTableTest {
    private static final RocksTable.Memory TINY = new RocksTable.Memory(64 << 10, 1 << 20);

    @TempDir
    Path directory;

    private RocksTable table;

    @BeforeEach
    void open() throws IOException {
        table = RocksTable.open(directory.resolve("t"), TINY);
    }

    @AfterEach
    void close() {
        table.close();
    }

    private static byte[] hex(String text) {
        return HexFormat.of().parseHex(text);
    }

    private static byte[] number(long n) {
        return ByteBuffer.allocate(8).putLong(n).array();
    }

    private static Table.WriteBatch put(String key, String value) {
        Table.WriteBatch batch = new Table.WriteBatch();
        batch.put(hex(key), hex(value));
        return batch;
    }

    private static List<String> rows(Table.Scan scan) {
        List<String> rows = new ArrayList<>();
        try (scan) {
            while (scan.next()) {
                rows.add(HexFormat.of().formatHex(scan.key()) + "="
                        + HexFormat.of().formatHex(scan.value()));
            }
        }
        return rows;
    }

    @Test
    void scansInOrderOfUnsignedBytesWithinBounds() {
        Table.WriteBatch batch = new Table.WriteBatch();
        for (String key : List.of("00", "0000", "01", "7f", "80", "ff", "fffe", "ff00")) batch.put(hex(key), hex("aa"));
        batch.remove(hex("01"));
        table.write(batch, 1, 5);
        assertThat(rows(table.scan(hex(""), null)))
                .containsExactly("00=aa", "0000=aa", "7f=aa", "80=aa", "ff=aa", "ff00=aa", "fffe=aa");
        assertThat(rows(table.scan(hex("0000"), hex("ff")))).containsExactly("0000=aa", "7f=aa", "80=aa");
        assertThat(rows(table.scan(hex("80"), hex("7f")))).isEmpty();
        assertThat(table.get(hex("01"))).isNull();
        assertThat(table.get(hex("80"))).isEqualTo(hex("aa"));
    }

    @Test
    void behavesLikeASortedMap() throws IOException {
        long seed = Long.getLong("seed", System.nanoTime());
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        NavigableMap<byte[], byte[]> model = new TreeMap<>(Arrays::compareUnsigned);
        for (int step = 0; step < 400; step++) {
            Table.WriteBatch batch = new Table.WriteBatch();
            for (int i = random.nextInt(60); i >= 0; i--) {
                byte[] key = new byte[2 + random.nextInt(3)];
                random.nextBytes(key);
                key[0] &= 0x0f;
                if (random.nextInt(4) == 0) {
                    batch.remove(key);
                    model.remove(key);
                } else {
                    byte[] value = new byte[random.nextInt(200)];
                    random.nextBytes(value);
                    batch.put(key, value);
                    model.put(key, value);
                }
            }
            table.write(batch, 1, step);
            if (random.nextInt(40) == 0) table.flush();
            if (random.nextInt(100) == 0) {
                table.close();
                table = RocksTable.open(directory.resolve("t"), TINY);
                assertThat(table.position()).isEqualTo(new Position(1, step));
            }
            if (random.nextInt(100) == 0) {
                Path copy = directory.resolve("copy-" + step);
                table.checkpoint(copy);
                table.replaceWith(copy);
            }
            byte[] from = {(byte) random.nextInt(16), (byte) random.nextInt(256)};
            byte[] to = {(byte) random.nextInt(16), (byte) random.nextInt(256)};
            List<String> expected = new ArrayList<>();
            if (Arrays.compareUnsigned(from, to) < 0) {
                model.subMap(from, to)
                        .forEach((k, v) -> expected.add(HexFormat.of().formatHex(k) + "="
                                + HexFormat.of().formatHex(v)));
            }
            assertThat(rows(table.scan(from, to))).isEqualTo(expected);
        }
        List<String> all = new ArrayList<>();
        model.forEach((k, v) ->
                all.add(HexFormat.of().formatHex(k) + "=" + HexFormat.of().formatHex(v)));
        assertThat(rows(table.scan(new byte[0], null))).isEqualTo(all);
    }

    @Test
    void aSnapshotAndAnOpenScanDoNotSeeLaterWrites() {
        table.write(put("0001", "01"), 1, 0);
        try (Table.Snapshot snapshot = table.snapshot();
                Table.Scan scan = table.scan(hex("00"), null)) {
            table.write(put("0001", "02"), 1, 1);
            table.write(put("0002", "02"), 1, 2);
            table.flush();
            assertThat(snapshot.get(hex("0001"))).isEqualTo(hex("01"));
            assertThat(snapshot.get(hex("0002"))).isNull();
            assertThat(rows(snapshot.scan(hex("00"), null))).containsExactly("0001=01");
            assertThat(rows(scan)).containsExactly("0001=01");
            assertThat(rows(table.scan(hex("00"), null))).containsExactly("0001=02", "0002=02");
        }
    }

    @Test
    void thePositionMovesWithItsBatchAndOnlyForward() throws IOException {
        assertThat(table.position()).isEqualTo(Position.NONE);
        table.write(put("0001", "01"), 3, 7);
        table.advance(3, 9);
        assertThat(table.position()).isEqualTo(new Position(3, 9));
        assertThatThrownBy(() -> table.write(put("0001", "02"), 3, 9)).isInstanceOf(IllegalStateException.class);
        assertThat(table.get(hex("0001"))).isEqualTo(hex("01"));
        assertThatThrownBy(() -> table.write(put("ffff006170706c696564", "01")))
                .isInstanceOf(IllegalArgumentException.class);
        table.write(put("0003", "03"), 4, 10); // the refused batches left nothing behind
        Path copy = directory.resolve("copy");
        table.advance(4, 11);
        table.checkpoint(copy);
        table.close();
        table = RocksTable.open(directory.resolve("t"), TINY);
        assertThat(table.position()).isEqualTo(new Position(4, 11));
        assertThat(rows(table.scan(hex(""), null))).containsExactly("0001=01", "0003=03");
        try (RocksTable other = RocksTable.open(directory.resolve("other"), TINY)) {
            other.write(put("0009", "09"), 1, 99);
            other.replaceWith(copy);
            assertThat(other.position()).isEqualTo(new Position(4, 11));
            assertThat(rows(other.scan(hex(""), null))).containsExactly("0001=01", "0003=03");
        }
        try (RocksTable other = RocksTable.open(directory.resolve("other"), TINY)) {
            assertThat(other.position()).isEqualTo(new Position(4, 11));
        }
    }

    @Test
    void aCheckpointThatCannotBeOpenedLeavesTheOldRows() throws IOException {
        table.write(put("0001", "01"), 1, 1);
        Path empty = Files.createDirectory(directory.resolve("empty"));
        assertThatThrownBy(() -> table.replaceWith(empty)).isInstanceOf(IOException.class);
        Path damaged = directory.resolve("damaged");
        table.checkpoint(damaged);
        Files.writeString(damaged.resolve("CURRENT"), "MANIFEST-999999\n");
        assertThatThrownBy(() -> table.replaceWith(damaged)).isInstanceOf(IOException.class);
        assertThat(rows(table.scan(hex(""), null))).containsExactly("0001=01");
        table.write(put("0002", "02"), 1, 2);
        table.close();
        table = RocksTable.open(directory.resolve("t"), TINY);
        assertThat(rows(table.scan(hex(""), null))).containsExactly("0001=01", "0002=02");
    }

    /** Readers of all kinds while the database under them is replaced: each sees one whole state, and none crashes. */
    @Test
    void readersSurviveReplacement() throws Exception {
        Path[] states = new Path[2];
        for (int s = 0; s < 2; s++) {
            try (RocksTable source = RocksTable.open(directory.resolve("source" + s), TINY)) {
                Table.WriteBatch batch = new Table.WriteBatch();
                for (int i = 0; i < 2000; i++) batch.put(number(i), number(s));
                source.write(batch, 1, s + 1);
                states[s] = directory.resolve("state" + s);
                source.checkpoint(states[s]);
            }
        }
        table.replaceWith(states[0]);
        AtomicBoolean stop = new AtomicBoolean();
        try (ExecutorService readers =
                Executors.newThreadPerTaskExecutor(Thread.ofPlatform().factory())) {
            List<Future<Long>> results = new ArrayList<>();
            for (int r = 0; r < 4; r++) {
                boolean bySnapshot = r % 2 == 0;
                results.add(readers.submit(() -> {
                    long rounds = 0;
                    while (!stop.get()) {
                        if (bySnapshot) {
                            try (Table.Snapshot snapshot = table.snapshot()) {
                                byte[] one = snapshot.get(number(1));
                                assertThat(snapshot.get(number(1999))).isEqualTo(one);
                                count(snapshot.scan(number(0), null));
                            }
                        } else {
                            count(table.scan(number(0), null));
                        }
                        assertThat(table.get(number(rounds % 2000))).isNotNull();
                        rounds++;
                    }
                    return rounds;
                }));
            }
            for (int i = 0; i < 30; i++) table.replaceWith(states[1 - i % 2]);
            stop.set(true);
            for (Future<Long> result : results) assertThat(result.get()).isPositive();
        }
        try (var databases = Files.list(directory.resolve("t"))) {
            assertThat(databases.map(p -> p.getFileName().toString()).toList())
                    .as("old databases go with their last reader")
                    .containsExactlyInAnyOrder("current", "db-000032");
        }
    }

    private static void count(Table.Scan scan) {
        int rows = 0;
        byte[] first = null;
        try (scan) {
            while (scan.next()) {
                if (first == null) first = scan.value();
                assertThat(scan.value()).isEqualTo(first);
                rows++;
            }
        }
        assertThat(rows).isEqualTo(2000);
    }

    @Test
    void aClosedTableRefusesInsteadOfCrashing() {
        table.write(put("0001", "01"), 1, 1);
        Table.Scan scan = table.scan(hex(""), null);
        Table.Snapshot snapshot = table.snapshot();
        table.close();
        assertThatThrownBy(() -> table.get(hex("0001"))).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> table.write(put("0001", "02"))).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> table.scan(hex(""), null)).isInstanceOf(IllegalStateException.class);
        assertThat(rows(scan)).containsExactly("0001=01");
        assertThat(snapshot.get(hex("0001"))).isEqualTo(hex("01"));
        snapshot.close();
        assertThatThrownBy(() -> snapshot.get(hex("0001"))).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(scan::next).isInstanceOf(IllegalStateException.class);
    }

    /** Killed while it writes: the rows are exactly those of its position, and nothing that was written is missing. */
    @Test
    void afterAKillTheRowsAreThoseOfThePosition() throws Exception {
        table.close();
        for (int round = 0; round < 2; round++) {
            Process writer = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "--enable-native-access=ALL-UNNAMED",
                            "-XX:TieredStopAtLevel=1",
                            "-cp",
                            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                            Writer.class.getName(),
                            directory.resolve("t").toString())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            long written = -1;
            try (BufferedReader in = new BufferedReader(new InputStreamReader(writer.getInputStream()))) {
                for (int lines = 0; lines < 3 + round; lines++) written = Long.parseLong(in.readLine());
                writer.destroyForcibly().waitFor();
            }
            table = RocksTable.open(directory.resolve("t"), TINY);
            long position = table.position().index();
            assertThat(position).isGreaterThanOrEqualTo(written);
            assertThat(Writer.check(table)).isEqualTo(position);
            table.close();
        }
        table = RocksTable.open(directory.resolve("t"), TINY);
    }

    /** Every batch n writes n into row n % 100 and adds row 1000 + n; says at times what it wrote. */
    static final class Writer {
        public static void main(String[] args) throws IOException {
            try (RocksTable table = RocksTable.open(Path.of(args[0]), TINY)) {
                for (long n = table.position().index() + 1; ; n++) {
                    Table.WriteBatch batch = new Table.WriteBatch();
                    batch.put(number(n % 100), number(n));
                    batch.put(number(1000 + n), new byte[100]);
                    table.write(batch, 1, n);
                    if (n % 1000 == 998) table.flush();
                    if (n % 1000 == 999) System.out.println(n);
                }
            }
        }

        /** The position that the rows speak for. */
        static long check(RocksTable table) {
            long newest = -1;
            for (int i = 0; i < 100; i++) {
                byte[] value = table.get(number(i));
                if (value != null)
                    newest = Math.max(newest, ByteBuffer.wrap(value).getLong());
            }
            for (int i = 0; i < 100; i++) {
                byte[] value = table.get(number(i));
                long expected = newest - Math.floorMod(newest - i, 100);
                assertThat(value == null ? -1 : ByteBuffer.wrap(value).getLong())
                        .isEqualTo(expected < 0 ? -1 : expected);
            }
            assertThat(table.get(number(1000 + newest))).isNotNull();
            assertThat(table.get(number(1001 + newest))).isNull();
            return newest;
        }
    }

    @Test
    void aTableOpenedForReadingShowsItsRowsAndKeepsThem() throws IOException {
        table.write(put("01", "aa"), 2, 7);
        table.close();
        try (var looked = RocksTable.openForReading(directory.resolve("t"), TINY)) {
            assertThat(looked.get(hex("01"))).isEqualTo(hex("aa"));
            assertThat(looked.position()).isEqualTo(new Position(2, 7));
            assertThatThrownBy(() -> looked.write(put("02", "bb"), 2, 8))
                    .isInstanceOf(java.io.UncheckedIOException.class);
        }
        open();
        assertThat(table.get(hex("01"))).isEqualTo(hex("aa"));
        assertThat(table.get(hex("02"))).isNull();
        assertThatThrownBy(() -> RocksTable.openForReading(directory.resolve("none"), TINY))
                .isInstanceOf(IOException.class);
        assertThat(directory.resolve("none")).doesNotExist();
    }
}
