// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeId;
import java.util.ArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

final class RowCacheTest {
    /** A table whose reads can be held up, between the read of the row and its return. */
    private static final class SlowTable implements Table {
        final MemoryTable table = new MemoryTable();
        volatile @Nullable Runnable afterGet;
        final AtomicLong gets = new AtomicLong();

        @Override
        public byte @Nullable [] get(byte[] key) {
            byte[] value = table.get(key);
            gets.incrementAndGet();
            Runnable hook = afterGet;
            if (hook != null) {
                afterGet = null;
                hook.run();
            }
            return value;
        }

        @Override
        public Scan scan(byte[] from, byte @Nullable [] to) {
            return table.scan(from, to);
        }

        @Override
        public void write(WriteBatch batch) {
            table.write(batch);
        }

        @Override
        public Snapshot snapshot() {
            return table.snapshot();
        }
    }

    @Test
    void whatWasReadOnceIsNotReadFromTheTableAgain() {
        var table = new SlowTable();
        var log = new TestLog(table);
        InodeId f = log.file(InodeId.ROOT, "f");
        log.view().lookup(InodeId.ROOT, TestLog.name("f"));
        log.view().lookup(InodeId.ROOT, TestLog.name("absent"));
        log.view().attributes(f);
        long gets = table.gets.get();
        for (int i = 0; i < 10; i++) {
            assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("f"))).isEqualTo(f);
            assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("absent"))).isNull();
            assertThat(log.stat(f).links()).isEqualTo(1);
            assertThat(log.view().xattr(f, new byte[] {'a'})).isNull();
        }
        assertThat(table.gets.get()).isEqualTo(gets);
        log.file(InodeId.ROOT, "absent");
        assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("absent"))).isNotNull();
    }

    /** A reader takes the old row, apply writes and tells, then the reader goes on: it must not leave the old row behind. */
    @Test
    void aRowReadBeforeAChangeIsNotKeptAfterIt() {
        var table = new SlowTable();
        var log = new TestLog(table);
        InodeId f = log.file(InodeId.ROOT, "f");
        table.afterGet = () -> log.done(new Command.SetAttributes(f, 0600, null, null, null, null, null, false));
        assertThat(log.stat(f).permissions()).isEqualTo(0644);
        assertThat(log.stat(f).permissions()).isEqualTo(0600);
        table.afterGet = () -> log.done(new Command.Unlink(InodeId.ROOT, TestLog.name("f"), f));
        assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("f"))).isEqualTo(f);
        assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("f"))).isNull();
    }

    /** Readers and one writer, few slots: a reader that starts after a change was told never sees less. */
    @Test
    void aReadIsNeverOlderThanWhatWasTold() throws InterruptedException {
        var table = new MemoryTable();
        var log = new TestLog(table);
        log.namespace = new Namespace(table, 1, 0);
        var ids = new ArrayList<InodeId>();
        for (int i = 0; i < 600; i++) ids.add(log.file(InodeId.ROOT, "f" + i));
        AtomicLong[] told = new AtomicLong[ids.size()];
        for (int i = 0; i < told.length; i++) told[i] = new AtomicLong();
        var stop = new AtomicBoolean();
        var wrong = new AtomicReference<String>();
        var readers = new ArrayList<Thread>();
        for (int r = 0; r < 2; r++) {
            int start = r;
            readers.add(Thread.ofPlatform().start(() -> {
                for (int i = start; !stop.get() && wrong.get() == null; i = (i + 7) % ids.size()) {
                    long before = told[i].get();
                    Attributes seen = log.view().attributes(ids.get(i));
                    if (seen == null || seen.modifiedNanos() < before)
                        wrong.set("file " + i + ": " + before + ", " + seen);
                }
            }));
        }
        for (int round = 1; round <= 12_000 && wrong.get() == null; round++) {
            int i = round * 31 % ids.size();
            log.done(new Command.SetAttributes(ids.get(i), null, null, null, null, null, (long) round, false));
            told[i].set(round);
        }
        stop.set(true);
        for (Thread reader : readers) reader.join();
        assertThat(wrong.get()).isNull();
    }

    /** Ten thousand files read over and over in the same order, which is what a cache likes least. */
    @Test
    void filesThatFitNearlyAllStayInTheCache() {
        int rows = 32_768;
        int files = 10_000;
        var table = new SlowTable();
        var log = new TestLog(table);
        log.namespace = new Namespace(table, 1, (long) rows * RowCache.ROW_BYTES);
        var ids = new ArrayList<InodeId>();
        var commands = new ArrayList<Command>();
        for (int i = 0; i < files; i++) {
            InodeId id = log.id();
            if (i % 3 == 0) log.slice();
            ids.add(id);
            commands.add(TestLog.creation(InodeId.ROOT, "file-%d.dat".formatted(i), id, FileType.REGULAR));
            if (commands.size() == 500) {
                log.batch(commands);
                commands.clear();
            }
        }
        long[] reads = new long[3];
        for (int pass = 0; pass < reads.length; pass++) {
            long before = table.gets.get();
            for (int i = 0; i < files; i++) {
                InodeId id = ids.get(i);
                assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("file-" + i + ".dat")))
                        .isEqualTo(id);
                assertThat(log.stat(id).links()).isEqualTo(1);
            }
            reads[pass] = table.gets.get() - before;
        }
        assertThat(reads[0]).isEqualTo(2L * files);
        // One in a hundred; with one slot for each row it was one in seven.
        assertThat(reads[1]).isLessThan(2L * files / 100);
        assertThat(reads[2]).isLessThan(2L * files / 100);
    }

    /** Far more rows than slots: what a set gives up is read again, rightly, and a changed row in any way of it is forgotten. */
    @Test
    void aSetThatOverflowsStaysTrue() {
        var table = new SlowTable();
        var log = new TestLog(table);
        log.namespace = new Namespace(table, 1, 0);
        var ids = new ArrayList<InodeId>();
        for (int i = 0; i < 2_000; i++) ids.add(log.file(InodeId.ROOT, "f" + i));
        for (int round = 1; round <= 3; round++) {
            for (int i = 0; i < ids.size(); i++) {
                InodeId id = ids.get(i);
                assertThat(log.stat(id).permissions()).isEqualTo(round == 1 ? 0644 : 0600 + round - 1);
                log.done(new Command.SetAttributes(id, 0600 + round, null, null, null, null, null, false));
                assertThat(log.stat(id).permissions()).isEqualTo(0600 + round);
                assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("f" + i)))
                        .isEqualTo(id);
            }
        }
        // Rows just read are there: the newest of a set is never the one given up.
        long before = table.gets.get();
        for (InodeId id : ids) {
            log.stat(id);
            log.stat(id);
        }
        assertThat(table.gets.get() - before).isBetween((long) ids.size() - 256, (long) ids.size());
    }

    @Test
    void aNewNameReplacesTheMemoryOfItsAbsence() {
        var log = new TestLog();
        for (int i = 0; i < 100; i++) {
            assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("n" + i))).isNull();
            InodeId d = log.create(InodeId.ROOT, "n" + i, FileType.DIRECTORY);
            assertThat(log.view().lookup(InodeId.ROOT, TestLog.name("n" + i))).isEqualTo(d);
        }
    }
}
