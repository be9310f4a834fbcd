// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A log that is lost, and the one that goes on from it. */
@Timeout(60)
class FormerLogTest {
    private static final RocksTable.Memory MEMORY = new RocksTable.Memory(1 << 20, 4 << 20);

    @TempDir
    Path directory;

    private final UUID group = UUID.randomUUID();
    private final UUID next = UUID.randomUUID();
    private final BlockingQueue<Optional<Incarnation>> leaders = new ArrayBlockingQueue<>(1000);

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private RegisterApplier applier(String table) throws IOException {
        return new RegisterApplier(RocksTable.open(directory.resolve(table), MEMORY), leaders::add);
    }

    private RaftLog open(Path storage, UUID of, RegisterApplier applier) throws IOException, InterruptedException {
        leaders.clear();
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), Testbed.freePort());
        var settings = Settings.of(storage, of, new Member(new Incarnation(7), address), address, Settings.Start.FOUND)
                .with(new Settings.Sizes(256 << 10, 256 << 10, 100_000, 1 << 20, 20, 10, 64 << 20));
        var log = RaftLog.open(settings, applier);
        while (!leaders.take().equals(Optional.of(new Incarnation(7)))) {}
        return log;
    }

    private RegisterApplier.Summary append(RaftLog log, RegisterApplier.Summary summary, int count, int size)
            throws Exception {
        var now = summary;
        for (int i = 0; i < count; i++) {
            var entry = new byte[size];
            entry[0] = (byte) i;
            log.append(entry).get();
            now = now.with(entry);
        }
        return now;
    }

    /** A state that lags behind, as after a power cut, or that is lost, is brought to the log's end; and a new log goes on. */
    @Test
    void allThatTheLogHasGoesOnInTheNextOne() throws Exception {
        var expected = RegisterApplier.Summary.EMPTY;
        var storage = directory.resolve("log");
        var applier = applier("table");
        try (var log = open(storage, group, applier)) {
            expected = append(log, expected, 20, 100);
            applier.table.checkpoint(directory.resolve("behind"));
            expected = append(log, expected, 60, 200 << 10); // over several segments, and a snapshot or more
            assertThat(log.snapshotNow().get()).isGreaterThan(50);
            expected = append(log, expected, 10, 100);
        }
        applier.table.close();

        var empty = applier("empty");
        FormerLog.replay(storage, group, empty);
        assertThat(empty.summary()).isEqualTo(expected);
        empty.table.close();

        var behind = applier("copy");
        behind.table.replaceWith(directory.resolve("behind"));
        FormerLog.replay(storage, group, behind);
        assertThat(behind.summary()).isEqualTo(expected);
        var end = behind.position();
        FormerLog.replay(storage, group, behind); // nothing more
        assertThat(behind.position()).isEqualTo(end);

        var successor = directory.resolve("next");
        Files.createDirectory(successor);
        FormerLog.begin(successor, next, behind.table);
        try (var log = open(successor, next, behind)) {
            assertThat(behind.summary()).isEqualTo(expected);
            assertThat(log.append(bytes("goes on")).get().index()).isGreaterThan(end.index());
            expected = expected.with(bytes("goes on"));
            assertThat(behind.summary()).isEqualTo(expected);
        }
        // And once more, from what it left on the disk; an empty state is filled by its snapshot.
        var fresh = applier("fresh");
        try (var log = open(successor, next, fresh)) {
            log.readIndex().get();
            assertThat(fresh.installed()).isEqualTo(1);
            assertThat(fresh.summary()).isEqualTo(expected);
        }
        fresh.table.close();
        behind.table.close();
    }

    @Test
    void aLogWithAGapIsRefused() throws Exception {
        var storage = directory.resolve("log");
        var applier = applier("table");
        try (var log = open(storage, group, applier)) {
            var _ = append(log, RegisterApplier.Summary.EMPTY, 12, 50 << 10);
        }
        applier.table.close();
        try (var segments = Files.list(storage.resolve(group.toString()).resolve("current"))) {
            for (Path segment : segments.filter(
                            each -> each.getFileName().toString().matches("log_0.*"))
                    .toList()) Files.delete(segment);
        }
        var empty = applier("empty");
        assertThatThrownBy(() -> FormerLog.replay(storage, group, empty))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("has nothing between");
        assertThatThrownBy(() -> FormerLog.begin(directory, next, empty.table))
                .hasMessageContaining("without an entry");
        empty.table.close();
    }
}
