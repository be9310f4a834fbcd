// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static dev.wormhole.vfs.Program.O_CREAT;
import static dev.wormhole.vfs.Program.O_RDWR;
import static dev.wormhole.vfs.Program.async;
import static dev.wormhole.vfs.Program.ok;
import static dev.wormhole.vfs.SimulatedNetwork.within10Seconds;
import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Answer;
import dev.wormhole.model.Errno;
import dev.wormhole.model.InodeId;
import dev.wormhole.vfs.FileSystem.WantedLock;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Programs on three pods count in one file under a lock, while pods stand still, lose their locks, are killed and start again.
 * Held to: no count that was answered is lost; who was given the lock is alone with it, or whoever else believes to have it
 * cannot commit; no program waits for ever; in the end nothing is locked. Threads are real, so a seed repeats what happens to
 * whom, not the interleaving.
 */
@Timeout(120)
class LockHistoriesTest {
    private static final long END = Long.MAX_VALUE;
    private static final int PROGRAMS = 6;

    private final AtomicInteger counted = new AtomicInteger();
    private final AtomicInteger doubtful = new AtomicInteger();
    private final AtomicInteger cutOff = new AtomicInteger();
    private final List<String> violations = java.util.Collections.synchronizedList(new ArrayList<>());

    /** Who believes to have the lock, each with whether somebody was given it since. */
    private final Set<AtomicBoolean> believers = ConcurrentHashMap.newKeySet();

    @ParameterizedTest
    @ValueSource(longs = {1, 2})
    void nothingCountedIsLostWithoutFaults(long seed) throws Exception {
        run(seed, false, false);
        assertThat(cutOff).hasValue(0);
        assertThat(doubtful).hasValue(0);
    }

    @ParameterizedTest
    @ValueSource(longs = {11, 12})
    void nothingCountedIsLostWhenPodsAreSilent(long seed) throws Exception {
        run(seed, true, false);
    }

    @ParameterizedTest
    @ValueSource(longs = {21, 22})
    void nothingCountedIsLostWhenPodsAreKilled(long seed) throws Exception {
        run(seed, true, true);
    }

    private void run(long seed, boolean silences, boolean kills) throws Exception {
        System.out.println("LockHistoriesTest seed " + seed);
        var random = new Random(seed);
        try (var network = new SimulatedNetwork()) {
            for (int i = 0; i < 3; i++) network.add();
            network.pods.getFirst().program().put("count", new byte[8]);
            var end = new AtomicBoolean();
            var programs = new ArrayList<CompletableFuture<Void>>();
            for (int i = 0; i < PROGRAMS; i++) {
                SimulatedNetwork.Pod pod = network.pods.get(i % 3);
                long owner = 100 + i;
                var own = new Random(random.nextLong());
                programs.add(async(() -> {
                    while (!end.get()) count(pod, owner, own);
                    return null;
                }));
            }
            for (int round = 0; round < 8; round++) {
                TimeUnit.MILLISECONDS.sleep(random.nextInt(60)); // for how long nothing happens is part of the history
                if (!silences) continue;
                SimulatedNetwork.Pod victim = network.pods.get(random.nextInt(3));
                if (kills && random.nextInt(3) == 0) {
                    victim.kill(random.nextLong());
                    victim.silent = true;
                    TimeUnit.MILLISECONDS.sleep(random.nextInt(100));
                    victim.start();
                    victim.silent = false;
                } else {
                    victim.pause();
                    TimeUnit.MILLISECONDS.sleep(random.nextInt(30));
                    victim.silent = random.nextInt(4) > 0;
                    TimeUnit.MILLISECONDS.sleep(random.nextInt(500));
                    victim.resume();
                    victim.silent = false;
                }
            }
            end.set(true);
            for (var program : programs) within10Seconds(program);
            assertThat(violations).isEmpty();
            network.settle();
            Program reader = network.pods.getFirst().program();
            InodeId inode = reader.inode("count");
            for (SimulatedNetwork.Pod pod : network.pods) {
                Program program = pod.program();
                long handle = program.open("count", O_RDWR);
                ok(within10Seconds(async(() -> program.files().lock(handle, wanted(false, 7), true))));
                ok(within10Seconds(async(() -> program.files().lock(handle, wanted(true, 7), true))));
                program.close(handle);
            }
            long last = ByteBuffer.wrap(reader.content("count")).getLong();
            System.out.println("counted " + counted + " to " + last + ", in doubt " + doubtful + ", cut off " + cutOff);
            assertThat(last).isBetween((long) counted.get(), (long) counted.get() + doubtful.get());
            assertThat(counted.get()).isPositive();
            network.settle();
            var record = network.pods.getFirst().view().locks(inode);
            if (record != null) {
                assertThat(record.held()).isEmpty();
                assertThat(record.waiters()).isEmpty();
                assertThat(record.lost()).isEmpty();
            }
        }
    }

    private static WantedLock wanted(boolean whole, long owner) {
        return new WantedLock(whole, owner, 1, true, 0, END);
    }

    /** Once up by one, under a lock. */
    private void count(SimulatedNetwork.Pod pod, long owner, Random random) throws Exception {
        if (!pod.up) {
            TimeUnit.MILLISECONDS.sleep(5);
            return;
        }
        Program program = pod.program();
        var files = program.files();
        long handle = 0;
        var overtaken = new AtomicBoolean();
        try {
            handle = program.open("count", O_RDWR | O_CREAT);
            var lock = wanted(false, owner); // one space for all, or they would not meet
            Answer<Void> answer = files.lock(handle, lock, random.nextInt(4) > 0);
            if (answer instanceof Answer.Refused<Void>(Errno errno)) {
                boolean restarted = errno == Errno.EBADF && program.files() != files;
                if (errno != Errno.EAGAIN && !restarted) violations.add("refused: " + errno);
                return;
            }
            for (AtomicBoolean other : believers) other.set(true);
            believers.add(overtaken);
            long value = ByteBuffer.wrap(program.read(handle, 0, 8)).getLong();
            program.write(handle, 0, ByteBuffer.allocate(8).putLong(value + 1).array());
            boolean wasOvertaken = overtaken.get();
            boolean tried = false;
            try {
                if (random.nextBoolean()) {
                    tried = true;
                    ok(files.flush(handle));
                    if (wasOvertaken) violations.add("committed " + (value + 1) + " under a lock that was lost");
                    counted.incrementAndGet();
                    believers.remove(overtaken);
                    ok(files.unlock(handle, lock));
                } else {
                    // what an unlock gives away is in the log, or still with the pod that decides
                    believers.remove(overtaken);
                    tried = true;
                    ok(files.unlock(handle, lock));
                    ok(files.flush(handle));
                    counted.incrementAndGet();
                }
            } catch (java.io.IOException e) {
                if (tried) doubtful.incrementAndGet();
                throw e;
            }
        } catch (java.io.IOException e) {
            cutOff.incrementAndGet(); // silent for too long, or killed
        } finally {
            believers.remove(overtaken);
            if (handle != 0 && pod.up && program.files() == files) {
                files.unlockAtClose(handle, owner);
                files.release(handle);
            }
        }
    }
}
