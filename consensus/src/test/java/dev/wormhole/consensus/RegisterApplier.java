// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Table;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The smallest state worth replicating: every entry under its index, how many there are, and a digest over all of them in
 * order, so that a lost, doubled or reordered entry shows.
 */
final class RegisterApplier implements Applier {
    private static final byte[] SUMMARY = {0, 2};

    final RocksTable table;
    final CountDownLatch bug = new CountDownLatch(1);
    final AtomicReference<@Nullable Throwable> cause = new AtomicReference<>();
    private final Consumer<Optional<Incarnation>> leaders;
    private final Object moved = new Object();
    private volatile long installed;

    RegisterApplier(RocksTable table, Consumer<Optional<Incarnation>> leaders) {
        this.table = table;
        this.leaders = leaders;
    }

    record Summary(long entries, long digest) {
        static final Summary EMPTY = new Summary(0, 0);

        Summary with(byte[] entry) {
            long d = digest;
            for (byte b : entry) d = (d ^ (b & 0xff)) * 0x100000001b3L;
            return new Summary(entries + 1, d * 31 + entry.length);
        }
    }

    Summary summary() {
        byte[] row = table.get(SUMMARY);
        if (row == null) return Summary.EMPTY;
        ByteBuffer b = ByteBuffer.wrap(row);
        return new Summary(b.getLong(), b.getLong());
    }

    byte @Nullable [] entry(long index) {
        return table.get(key(index));
    }

    private static byte[] key(long index) {
        return ByteBuffer.allocate(10).putShort((short) 1).putLong(index).array();
    }

    @Override
    public void apply(long term, long index, byte[] entry) {
        if (entry.length == 4 && new String(entry, java.nio.charset.StandardCharsets.US_ASCII).equals("BUG!")) {
            throw new IllegalStateException("told to fail");
        }
        if (index <= table.position().index()) throw new IllegalStateException(index + " applied again");
        Summary next = summary().with(entry);
        Table.WriteBatch batch = new Table.WriteBatch();
        batch.put(key(index), entry);
        batch.put(
                SUMMARY,
                ByteBuffer.allocate(16)
                        .putLong(next.entries())
                        .putLong(next.digest())
                        .array());
        table.write(batch, term, index);
        moved();
    }

    @Override
    public void applyEmpty(long term, long index) {
        table.advance(term, index);
        moved();
    }

    @Override
    public Position position() {
        return table.position();
    }

    @Override
    public void takeSnapshot(Path dir) throws IOException {
        table.checkpoint(dir);
    }

    @Override
    public void installSnapshot(Path dir) throws IOException {
        table.replaceWith(dir);
        installed++;
        moved();
    }

    long installed() {
        return installed;
    }

    @Override
    public void leaderChanged(Optional<Incarnation> leader) {
        leaders.accept(leader);
    }

    @Override
    public void bug(Throwable thrown) {
        cause.set(thrown);
        bug.countDown();
    }

    private void moved() {
        synchronized (moved) {
            moved.notifyAll();
        }
    }

    /** Waits until the index is applied; false after the time. */
    boolean await(long index, long millis) throws InterruptedException {
        long end = System.nanoTime() + millis * 1_000_000;
        synchronized (moved) {
            while (table.position().index() < index) {
                long left = (end - System.nanoTime()) / 1_000_000;
                if (left <= 0) return false;
                moved.wait(left);
            }
        }
        return true;
    }
}
