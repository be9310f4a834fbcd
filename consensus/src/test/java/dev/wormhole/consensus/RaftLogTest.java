// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** One member in this process: what does not need a second one. */
@Timeout(60)
class RaftLogTest {
    private static final List<java.util.logging.Logger> QUIET = new ArrayList<>(); // loggers are held weakly

    static {
        for (String name : RaftLog.NOISY_LOGGERS) {
            java.util.logging.Logger logger = java.util.logging.Logger.getLogger(name);
            logger.setLevel(java.util.logging.Level.WARNING);
            QUIET.add(logger);
        }
    }

    @TempDir
    Path directory;

    private final UUID group = UUID.randomUUID();
    private final BlockingQueue<Optional<Incarnation>> leaders = new ArrayBlockingQueue<>(1000);

    private record Running(RaftLog log, RegisterApplier applier) implements AutoCloseable {
        @Override
        public void close() {
            log.close();
            applier.table.close();
        }
    }

    private Settings settings() throws IOException {
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), Testbed.freePort());
        return Settings.of(
                        directory.resolve("log"),
                        group,
                        new Member(new Incarnation(7), address),
                        address,
                        Settings.Start.FOUND)
                .with(new Settings.Sizes(256 << 10, 256 << 10, 100_000, 1 << 20, 20, 10, 64 << 20));
    }

    private Running open(Settings settings, String table) throws IOException {
        RegisterApplier applier = new RegisterApplier(
                RocksTable.open(directory.resolve(table), new RocksTable.Memory(1 << 20, 4 << 20)), leaders::add);
        try {
            return new Running(RaftLog.open(settings, applier), applier);
        } catch (IOException | RuntimeException e) {
            applier.table.close();
            throw e;
        }
    }

    private Running lead() throws Exception {
        leaders.clear();
        Running running = open(settings(), "table");
        awaitLeading();
        return running;
    }

    private void awaitLeading() throws InterruptedException {
        while (!leaders.take().equals(Optional.of(new Incarnation(7)))) {}
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void entriesOfOneThreadKeepTheirOrderAndSurviveARestart() throws Exception {
        RegisterApplier.Summary expected = RegisterApplier.Summary.EMPTY;
        long read;
        try (Running running = lead()) {
            List<CompletableFuture<Appended>> appended = new ArrayList<>();
            for (int i = 0; i < 300; i++) {
                appended.add(running.log().append(bytes("entry " + i)));
                expected = expected.with(bytes("entry " + i));
            }
            long before = -1;
            for (CompletableFuture<Appended> one : appended) {
                long index = one.get().index();
                assertThat(index).isGreaterThan(before);
                before = index;
            }
            assertThat(running.applier().summary()).isEqualTo(expected);
            read = running.log().readIndex().get();
            assertThat(read).isGreaterThanOrEqualTo(before);
            Status status = running.log().status();
            assertThat(status.role()).isEqualTo(Status.Role.LEADER);
            assertThat(status.ready()).isTrue();
            assertThat(status.leader()).contains(new Incarnation(7));
            assertThat(status.applied()).isGreaterThanOrEqualTo(before);
            assertThat(status.voters()).hasSize(1);
        }
        try (Running again = lead()) {
            assertThat(again.log().readIndex().get()).isGreaterThanOrEqualTo(read);
            assertThat(again.applier().summary()).isEqualTo(expected);
        }
        // The state is lost and the log is not: everything is replayed.
        leaders.clear();
        try (Running replayed = open(settings(), "another-table")) {
            awaitLeading();
            replayed.log().readIndex().get();
            assertThat(replayed.applier().summary()).isEqualTo(expected);
        }
    }

    @Test
    void snapshotsShortenTheLogAndAreTheStartOfAnEmptyState() throws Exception {
        RegisterApplier.Summary expected;
        try (Running running = lead()) {
            byte[] large = new byte[200 << 10];
            for (int i = 0; i < 60; i++) running.log().append(large).get(); // 12 MB; a snapshot is due after each MB
            long taken = running.log().snapshotNow().get();
            assertThat(taken).isGreaterThan(50);
            for (int i = 0; i < 10; i++) running.log().append(bytes("after")).get();
            assertThat(running.log().status().logBytes()).isLessThan(10 << 20);
            expected = running.applier().summary();
        }
        leaders.clear();
        try (Running fresh = open(settings(), "empty-table")) {
            awaitLeading();
            fresh.log().readIndex().get();
            assertThat(fresh.applier().installed()).isEqualTo(1);
            assertThat(fresh.applier().summary()).isEqualTo(expected);
        }
    }

    @Test
    void rebuildsTheServerThatRatisClosed() throws Exception {
        try (Running running = lead()) {
            running.log().append(bytes("one")).get();
            leaders.clear();
            running.log().closeServerAsRatisWould();
            awaitLeading();
            running.log().append(bytes("two")).get();
            assertThat(running.applier().summary())
                    .isEqualTo(RegisterApplier.Summary.EMPTY.with(bytes("one")).with(bytes("two")));
        }
    }

    @Test
    void aFailingStateStopsTheLogForGood() throws Exception {
        try (Running running = lead()) {
            running.log().append(bytes("fine")).get();
            leaders.clear();
            CompletableFuture<Appended> poison = running.log().append(bytes("BUG!"));
            running.applier().bug.await();
            assertThat(running.applier().cause.get()).hasMessage("told to fail");
            assertThat(leaders.take()).isEmpty();
            assertThatThrownBy(() -> running.log().append(bytes("more")).get())
                    .hasCauseInstanceOf(NotLeaderException.class);
            assertThatThrownBy(poison::get).isInstanceOf(ExecutionException.class);
            assertThat(running.applier().summary()).isEqualTo(RegisterApplier.Summary.EMPTY.with(bytes("fine")));
            assertThat(running.log().status().role()).isEqualTo(Status.Role.STOPPED);
        }
    }

    @Test
    void refusesALogThatIsOlderThanTheState() throws Exception {
        try (Running running = lead()) {
            running.log().append(bytes("one")).get();
        }
        RocksTable.removeTree(directory.resolve("log"));
        assertThatThrownBy(() -> open(settings(), "table"))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("went back in time");
    }

    @Test
    void aTakenPortIsAFailureAndNotTheEndOfTheProcess() throws Exception {
        Settings settings = settings();
        try (ServerSocket _ = new ServerSocket(settings.listen().getPort(), 1, InetAddress.getLoopbackAddress())) {
            assertThatThrownBy(() -> open(settings, "table").close()).isInstanceOf(IOException.class);
        }
        leaders.clear();
        try (Running running = open(settings, "table")) {
            awaitLeading();
            running.log().append(bytes("one")).get();
        }
    }

    @Test
    void refusesMembersThatCouldLeaveTheLogWithoutALeader() throws Exception {
        try (Running running = lead()) {
            List<Member> three = new ArrayList<>(running.log().status().voters());
            for (int i = 8; i < 10; i++) {
                three.add(new Member(new Incarnation(i), new InetSocketAddress("127.0.0.1", i)));
            }
            assertThatThrownBy(() -> running.log().setMembers(three, List.of()).get())
                    .hasCauseInstanceOf(MembershipException.class)
                    .hasMessageContaining("one at a time");
            running.log().append(bytes("goes on")).get();
        }
    }

    @Test
    void anEntryTooLargeIsABugOfTheCaller() throws Exception {
        try (Running running = lead()) {
            assertThatThrownBy(() -> running.log().append(new byte[(256 << 10) + 1]))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThat(running.log()
                            .append(new byte[256 << 10])
                            .get(20, TimeUnit.SECONDS)
                            .index())
                    .isPositive();
        }
    }
}
