// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** The checker finds what is wrong, and the stored table of format 1 is still read. */
final class NamespaceCheckerTest {
    private static final Incarnation POD1 = new Incarnation(1);

    /** A state with at least one row of every table. */
    static TestLog everyRow() {
        var log = new TestLog();
        Incarnation pod2 = log.admit("pod2");
        InodeId d = log.directory(InodeId.ROOT, "d");
        InodeId f = log.file(d, "f");
        log.done(new Command.Link(f, InodeId.ROOT, TestLog.name("further")));
        log.create(d, "s", FileType.SYMLINK);
        log.done(new Command.SetXattr(f, new byte[] {'u', '.', 'a'}, new byte[] {1, 2}, Command.XattrMode.ANY));
        log.write(f, 0, 1000, 2, POD1, pod2);
        SliceId fresh = log.write(f, 100, 50, 2, POD1);
        log.done(new Command.AddHolders(pod2, HolderState.WRITTEN, List.of(fresh)));
        InodeId orphan = log.id();
        log.done(new Command.CreateOrphan(orphan, 0600, 1, 2, pod2));
        InodeId g = log.file(d, "g");
        SliceId unnamed = log.write(g, 0, 10, 1, POD1);
        SliceId discarded = log.write(g, 0, 10, 1, POD1);
        log.done(new Command.SetAttributes(g, null, null, null, 0L, null, null, false));
        log.done(new Command.Discard(List.of(discarded)));
        assertThat(log.view().unnamedSlices(9)).containsExactly(unnamed);
        log.done(new Command.Configure(0, "[network]\n"));
        log.done(new Command.Tick(1_000_000_000));
        return log;
    }

    private static List<String> rows(Table table) {
        var rows = new ArrayList<String>();
        try (Table.Scan scan = table.scan(new byte[0], null)) {
            while (scan.next())
                rows.add(HexFormat.of().formatHex(scan.key()) + " "
                        + HexFormat.of().formatHex(scan.value()));
        }
        return rows;
    }

    static String dump(Table table) {
        return String.join("\n", rows(table)) + "\n";
    }

    @Test
    void everyTableIsInTheSample() {
        var letters = new TreeSet<String>();
        for (String row : rows(everyRow().table)) letters.add(row.substring(4, 6));
        assertThat(letters).hasSize(19);
    }

    @Test
    void aGoodStateHasNoFindings() {
        assertThat(NamespaceChecker.check(everyRow().table)).isEmpty();
    }

    /** Each row in turn is taken away, and each is changed in its last byte: the checker always says something. */
    @Test
    void everyMissingAndEveryChangedRowIsFound() {
        MemoryTable good = (MemoryTable) everyRow().table;
        for (String row : rows(good)) {
            byte[] key = HexFormat.of().parseHex(row.substring(0, row.indexOf(' ')));
            byte[] value = HexFormat.of().parseHex(row.substring(row.indexOf(' ') + 1));
            MemoryTable without = good.copy();
            var remove = new Table.WriteBatch();
            remove.remove(key);
            without.write(remove);
            assertThat(NamespaceChecker.check(without)).as("without " + row).isNotEmpty();
            MemoryTable changed = good.copy();
            var change = new Table.WriteBatch();
            value[value.length - 1] ^= 1;
            change.put(key, value);
            changed.write(change);
            assertThat(NamespaceChecker.check(changed)).as("changed " + row).isNotEmpty();
        }
    }

    /** Damage with a digest made good again is found by what the rows say of each other. */
    @Test
    void damageUnderAGoodDigestIsFound() {
        MemoryTable good = (MemoryTable) everyRow().table;
        String quiet = "" + Keys.META + Keys.DEAD + Keys.TOKEN + Keys.SYMLINK + Keys.SESSION + Keys.ANSWER;
        for (String row : rows(good)) {
            byte[] key = HexFormat.of().parseHex(row.substring(0, row.indexOf(' ')));
            byte[] value = HexFormat.of().parseHex(row.substring(row.indexOf(' ') + 1));
            if (quiet.indexOf((char) key[2]) >= 0) continue; // nothing else tells of them
            MemoryTable without = good.copy();
            byte[] applied = Objects.requireNonNull(without.get(Keys.APPLIED));
            var batch = new Table.WriteBatch();
            batch.remove(key);
            batch.put(
                    Keys.APPLIED,
                    Rows.numbers(Rows.number(applied, 0), Rows.number(applied, 1) - Keys.rowHash(key, value)));
            without.write(batch);
            assertThat(NamespaceChecker.check(without))
                    .as("without " + row)
                    .isNotEmpty()
                    .noneMatch(finding -> finding.startsWith("digest"));
        }
    }

    @Test
    void theStoredTableOfFormat1IsStillRead() throws IOException {
        var table = new MemoryTable();
        try (InputStream in = Objects.requireNonNull(NamespaceCheckerTest.class.getResourceAsStream("table-v1.hex"))) {
            String text = new String(in.readAllBytes(), StandardCharsets.US_ASCII);
            var batch = new Table.WriteBatch();
            for (String row : text.strip().split("\n")) {
                String[] parts = row.split(" ");
                batch.put(HexFormat.of().parseHex(parts[0]), HexFormat.of().parseHex(parts[1]));
            }
            table.write(batch);
            assertThat(dump(everyRow().table)).isEqualTo(text);
        }
        assertThat(NamespaceChecker.check(table)).isEmpty();
        NamespaceView view = new Namespace(table).view();
        InodeId d = Objects.requireNonNull(view.lookup(InodeId.ROOT, TestLog.name("d")));
        InodeId f = Objects.requireNonNull(view.lookup(d, TestLog.name("f")));
        assertThat(view.path(f)).isEqualTo("/d/f");
        assertThat(Objects.requireNonNull(view.attributes(f)).links()).isEqualTo(2);
        assertThat(view.extents(f, 0, Long.MAX_VALUE)).hasSize(3);
        assertThat(view.xattr(f, new byte[] {'u', '.', 'a'})).containsExactly(1, 2);
        assertThat(view.symlinkTarget(Objects.requireNonNull(view.lookup(d, TestLog.name("s")))))
                .isEqualTo("target".getBytes(StandardCharsets.US_ASCII));
        assertThat(view.pods()).hasSize(2);
        assertThat(view.orphans(null, 9)).hasSize(1);
        assertThat(view.unnamedSlices(9)).hasSize(1);
        assertThat(view.configuration()).isEqualTo(new NamespaceView.Configuration(1, "[network]\n"));
    }
}
