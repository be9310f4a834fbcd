// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import dev.wormhole.seal.Secret;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A sealed table is a table; and what lies below it tells nothing and takes nothing that was not sealed there. */
final class SealedTableTest extends TableContract {
    private static final Secret SECRET = secret(1);

    private static Secret secret(int number) {
        byte[] bytes = new byte[Secret.BYTES];
        Arrays.fill(bytes, (byte) number);
        return Secret.of(bytes);
    }

    @Override
    protected Table emptyTable() {
        return new SealedTable(new MemoryTable(), SECRET);
    }

    private record Row(String key, String value) {}

    private static List<Row> rows(Table.Scan open) {
        var hex = HexFormat.of();
        try (Table.Scan scan = open) {
            var rows = new ArrayList<Row>();
            while (scan.next()) rows.add(new Row(hex.formatHex(scan.key()), hex.formatHex(scan.value())));
            return rows;
        }
    }

    /** Keys of all forms, names in them and at their bounds: the same answers as from a table that is not sealed. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6})
    void everyScanGivesTheSameRowsInTheSameOrder(long seed) {
        var random = new Random(seed);
        var plain = new MemoryTable();
        var sealed = new SealedTable(new MemoryTable(), SECRET);
        for (int round = 0; round < 60; round++) {
            var one = new Table.WriteBatch();
            var two = new Table.WriteBatch();
            for (int i = 0; i < 10; i++) {
                byte[] key = key(random);
                if (random.nextInt(4) == 0) {
                    one.remove(key);
                    two.remove(key);
                } else {
                    byte[] value = new byte[random.nextInt(20)];
                    random.nextBytes(value);
                    one.put(key, value);
                    two.put(key, value);
                }
            }
            plain.write(one);
            sealed.write(two);
            for (int i = 0; i < 20; i++) {
                byte[] a = bound(random);
                byte[] b = bound(random);
                byte[] from = Arrays.compareUnsigned(a, b) <= 0 ? a : b;
                byte[] to = random.nextInt(5) == 0 ? null : from == a ? b : a;
                assertThat(rows(sealed.scan(from, to)))
                        .as("seed %s round %s", seed, round)
                        .isEqualTo(rows(plain.scan(from, to)));
                byte[] key = key(random);
                assertThat(sealed.get(key)).isEqualTo(plain.get(key));
            }
            try (var snapshot = sealed.snapshot()) {
                assertThat(rows(snapshot.scan(Keys.FIRST, Keys.END))).isEqualTo(rows(plain.scan(Keys.FIRST, Keys.END)));
            }
        }
    }

    private static byte[] key(Random random) {
        long few = 1 + random.nextInt(3);
        byte[] name = ("name" + random.nextInt(6)).getBytes(StandardCharsets.UTF_8);
        return switch (random.nextInt(6)) {
            case 0 -> Keys.of(Keys.ENTRY, few, 16 + random.nextInt(3), name);
            case 1 -> Keys.of(Keys.FURTHER_NAME, few, 1 + random.nextInt(2), name);
            case 2 -> Keys.of(Keys.XATTR, few, name);
            case 3 -> Keys.of(Keys.INODE, few);
            case 4 -> Keys.of(Keys.EXTENT, few, random.nextInt(5));
            default -> Keys.FORMAT;
        };
    }

    /** A key, a part of one, or what comes right behind. */
    private static byte[] bound(Random random) {
        byte[] key = key(random);
        return switch (random.nextInt(4)) {
            case 0 -> key;
            case 1 -> Arrays.copyOf(key, random.nextInt(key.length) + 1);
            case 2 -> Arrays.copyOf(key, key.length + 1);
            default -> Keys.after(Arrays.copyOf(key, 3 + random.nextInt(key.length - 2)));
        };
    }

    @Test
    void whatLiesBelowHasNoNameAndNoHashOfOne() {
        var below = new MemoryTable();
        var log = new TestLog(new SealedTable(below, SECRET));
        var name = new FileName("confidential-report.odt".getBytes(StandardCharsets.UTF_8));
        var made = new Table.WriteBatch();
        var table = new SealedTable(below, SECRET);
        made.put(
                Keys.entry(1, table.cookie(name.bytes()), name.bytes()),
                Rows.entry(50, dev.wormhole.model.FileType.REGULAR));
        table.write(made);
        assertThat(log).isNotNull();
        String all = rows(below.scan(Keys.FIRST, null)).toString();
        assertThat(all).doesNotContain(HexFormat.of().formatHex(Arrays.copyOf(name.bytes(), 8)));
        assertThat(all).doesNotContain("%016x".formatted(new MemoryTable().cookie(name.bytes())));
        assertThat(table.cookie(name.bytes())).isNotEqualTo(new MemoryTable().cookie(name.bytes()));
        var view = new Namespace(new SealedTable(below, SECRET)).view();
        assertThat(view.lookup(InodeId.ROOT, name)).isEqualTo(new InodeId(50));
    }

    @Test
    void aRowThatWasChangedMovedOrSealedByAnotherIsRefused() {
        var below = new MemoryTable();
        var table = new SealedTable(below, SECRET);
        byte[] one = Keys.of(Keys.INODE, 1);
        byte[] two = Keys.of(Keys.INODE, 2);
        byte[] named = Keys.of(Keys.XATTR, 1, new byte[] {'u'});
        var batch = new Table.WriteBatch();
        batch.put(one, new byte[] {1, 2, 3});
        batch.put(two, new byte[] {4, 5, 6});
        batch.put(named, new byte[] {7});
        table.write(batch);
        byte[] stored = below.get(one);
        assertThat(stored).isNotNull();
        for (int bit = 0; bit < stored.length * 8; bit++) {
            byte[] changed = stored.clone();
            changed[bit / 8] ^= (byte) (1 << bit % 8);
            put(below, one, changed);
            assertThatThrownBy(() -> table.get(one)).isInstanceOf(UncheckedIOException.class);
        }
        put(below, one, Arrays.copyOf(stored, 10));
        assertThatThrownBy(() -> table.get(one)).isInstanceOf(UncheckedIOException.class);
        put(below, one, below.get(two));
        assertThatThrownBy(() -> table.get(one)).isInstanceOf(UncheckedIOException.class);
        put(below, one, stored);
        assertThat(table.get(one)).containsExactly(1, 2, 3);
        var other = new SealedTable(below, secret(2));
        assertThatThrownBy(() -> other.get(one)).isInstanceOf(UncheckedIOException.class);
        assertThat(other.get(named)).isNull();
        assertThatThrownBy(() -> rows(other.scan(Keys.FIRST, Keys.END))).isInstanceOf(UncheckedIOException.class);
    }

    private static void put(Table table, byte[] key, byte[] value) {
        var batch = new Table.WriteBatch();
        batch.put(key, value);
        table.write(batch);
    }
}
