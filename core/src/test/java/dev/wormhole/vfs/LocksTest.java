// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static dev.wormhole.vfs.Program.O_CREAT;
import static dev.wormhole.vfs.Program.O_RDWR;
import static dev.wormhole.vfs.Program.async;
import static dev.wormhole.vfs.Program.ok;
import static dev.wormhole.vfs.SimulatedNetwork.within10Seconds;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Answer;
import dev.wormhole.model.Errno;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.LockRecord;
import dev.wormhole.vfs.FileSystem.WantedLock;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Locks between pods. What holds on one pod is in the contract. */
@Timeout(60)
class LocksTest {
    private static final long END = Long.MAX_VALUE;

    private final SimulatedNetwork network = new SimulatedNetwork();
    private SimulatedNetwork.Pod podA;
    private SimulatedNetwork.Pod podB;
    private Program a;
    private Program b;

    @BeforeEach
    void start() throws Exception {
        podA = network.add();
        podB = network.add();
        a = podA.program();
        b = podB.program();
    }

    @AfterEach
    void stop() throws Exception {
        network.close();
    }

    @Nested
    class OnOnePod extends LockContract {
        @Override
        protected FileSystem files() {
            return podA.files();
        }
    }

    /** While another pod has a part in the file, so that all goes through the log. */
    @Nested
    class OnOnePodWhileTheLogDecides extends LockContract {
        private @Nullable FileSystem files;

        @Override
        protected FileSystem files() throws Exception {
            if (files != null) return files;
            for (String name : List.of("f", "g")) {
                long mine = a.open(name, O_RDWR | O_CREAT);
                long other = b.open(name, O_RDWR);
                ok(podA.files().lock(mine, new WantedLock(false, 99, 1, false, END, END), false));
                ok(podB.files().lock(other, new WantedLock(false, 98, 1, false, END - 1, END - 1), false));
                assertThat(locks(name).holder()).isNull();
            }
            return files = podA.files();
        }
    }

    private static WantedLock range(long owner, long from, long to) {
        return new WantedLock(false, owner, 40, true, from, to);
    }

    private static WantedLock all(long owner) {
        return range(owner, 0, END);
    }

    private LockRecord locks(String name) throws Exception {
        network.settle();
        LockRecord record = podA.view().locks(a.inode(name));
        if (record == null) throw new AssertionError("no locks of " + name);
        return record;
    }

    private static void lock(Program program, long handle, WantedLock wanted) throws Exception {
        ok(program.files().lock(handle, wanted, false));
    }

    private CompletableFuture<Answer<Void>> waiting(Program program, long handle, WantedLock wanted) {
        var answer = async(() -> program.files().lock(handle, wanted, true));
        assertThatThrownBy(() -> answer.get(150, TimeUnit.MILLISECONDS)).isInstanceOf(TimeoutException.class);
        return answer;
    }

    private static void await(BooleanSupplier condition) {
        long end = System.nanoTime() + 10_000_000_000L;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) throw new AssertionError("not within 10 s");
            Thread.onSpinWait();
        }
    }

    @Test
    void whereOnePodLocksItCostsTheLogOneCommand() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        long before = network.lastIndex();
        for (int i = 0; i < 100; i++) {
            lock(a, handle, range(1, i, i + 5));
            ok(a.files().unlock(handle, all(1)));
            lock(a, handle, new WantedLock(true, 0, 1, true, 0, END));
        }
        assertThat(network.commandsAfter(before)).hasSize(1).first().isInstanceOf(Command.Lock.class);
    }

    @Test
    void whoGetsTheLockSeesWhatWasWrittenUnderIt() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        long other = b.open("f", O_RDWR);
        lock(a, handle, all(1));
        a.write(handle, 0, "one".getBytes(UTF_8));
        ok(a.files().unlock(handle, all(1)));
        lock(b, other, all(1));
        assertThat(b.read(other, 0, 9)).isEqualTo("one".getBytes(UTF_8));
        assertThat(podB.pagesDropped).contains(b.inode("f"));
        b.write(other, 0, "two".getBytes(UTF_8));
        var waits = waiting(a, handle, all(1));
        ok(b.files().unlock(other, all(1)));
        ok(within10Seconds(waits));
        assertThat(a.read(handle, 0, 9)).isEqualTo("two".getBytes(UTF_8));
    }

    @Test
    void whoWaitsOnSeveralPodsGoesOnInTurn() throws Exception {
        Program c = network.add().program();
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        long three = c.open("f", O_RDWR);
        lock(a, one, all(1));
        var second = waiting(b, two, all(1));
        var third = waiting(c, three, all(1));
        assertThat(second.isDone() || third.isDone()).isFalse();
        a.close(one);
        ok(within10Seconds(second));
        assertThat(third.isDone()).isFalse();
        ok(b.files().unlock(two, all(1)));
        ok(within10Seconds(third));
    }

    @Test
    void aRefusalAndALockInTheWayAreKnownAcrossPods() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        assertThat(ok(b.files().lockInTheWay(two, all(1)))).isEmpty();
        lock(a, one, range(1, 10, 19));
        assertThat(ok(b.files().lockInTheWay(two, all(1))).orElseThrow())
                .isEqualTo(new WantedLock(false, 1, 0, true, 10, 19));
        assertThat(b.files().lock(two, range(1, 15, 15), false)).isEqualTo(Answer.refused(Errno.EAGAIN));
        lock(b, two, range(1, 20, 30));
        assertThat(a.files().lock(one, range(1, 20, 20), false)).isEqualTo(Answer.refused(Errno.EAGAIN));
    }

    @Test
    void aCycleOverTwoPodsIsRefused() throws Exception {
        long f = a.open("f", O_RDWR | O_CREAT);
        long g = a.open("g", O_RDWR | O_CREAT);
        long otherF = b.open("f", O_RDWR);
        long otherG = b.open("g", O_RDWR);
        lock(a, f, all(1));
        lock(b, otherG, all(1));
        var first = waiting(a, g, all(1));
        assertThat(b.files().lock(otherF, all(1), true)).isEqualTo(Answer.refused(Errno.EDEADLK));
        ok(b.files().unlock(otherG, all(1)));
        ok(within10Seconds(first));
    }

    /** A(1) holds f and waits here for g, which A(2) holds, who waits for what B holds, who waits for f. */
    @Test
    void aCycleThatGoesThroughAWaitOnOnePodIsRefused() throws Exception {
        long f = a.open("f", O_RDWR | O_CREAT);
        long g = a.open("g", O_RDWR | O_CREAT);
        long h = b.open("h", O_RDWR | O_CREAT);
        long otherF = b.open("f", O_RDWR);
        long otherH = a.open("h", O_RDWR);
        lock(a, f, all(1));
        lock(a, g, all(2));
        lock(b, h, all(1));
        var one = waiting(a, g, all(1));
        var two = waiting(a, otherH, all(2));
        var three = async(() -> b.files().lock(otherF, all(1), true));
        var refused = CompletableFuture.anyOf(
                one.thenAccept(LocksTest::isDeadlock),
                two.thenAccept(LocksTest::isDeadlock),
                three.thenAccept(LocksTest::isDeadlock));
        refused.get(10, TimeUnit.SECONDS);
    }

    private static void isDeadlock(Answer<Void> answer) {
        assertThat(answer).isEqualTo(Answer.refused(Errno.EDEADLK));
    }

    @Test
    void anInterruptedWaitForAnotherPodLeavesNothingBehind() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        lock(a, one, all(1));
        var ended = new CompletableFuture<Throwable>();
        Thread waiting = Thread.ofVirtual().start(() -> {
            try {
                b.files().lock(two, all(1), true);
                ended.complete(new AssertionError("granted"));
            } catch (Throwable e) {
                ended.complete(e);
            }
        });
        await(() -> {
            LockRecord record = podB.view().locks(inode("f"));
            return record != null && !record.waiters().isEmpty() && record.holder() == null;
        });
        waiting.interrupt();
        assertThat(within10Seconds(ended)).isInstanceOf(InterruptedException.class);
        assertThat(locks("f").waiters()).isEmpty();
        ok(a.files().unlock(one, all(1)));
        network.settle();
        assertThat(podA.view().locks(inode("f"))).isNull();
    }

    private InodeId inode(String name) {
        try {
            return a.inode(name);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void whoIsAloneWithItsLocksDecidesAgain() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        lock(a, one, all(1));
        assertThat(b.files().lock(two, all(1), false)).isEqualTo(Answer.refused(Errno.EAGAIN));
        var waits = waiting(a, one, all(2));
        assertThat(locks("f").holder()).isNull();
        await(() -> {
            LockRecord record = podA.view().locks(inode("f"));
            return record != null && podA.incarnation().equals(record.holder());
        });
        long before = network.lastIndex();
        ok(a.files().unlock(one, all(1)));
        ok(within10Seconds(waits));
        assertThat(network.commandsAfter(before)).isEmpty();
        assertThat(b.files().lock(two, all(1), false)).isEqualTo(Answer.refused(Errno.EAGAIN));
    }

    @Test
    void theProgramsOfASilentPodGetEioAndTheirBytesNeverMerge() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long bystander = a.open("g", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        lock(a, one, all(1));
        a.write(one, 0, "old, committed".getBytes(UTF_8));
        a.sync(one);
        a.write(one, 0, "OLD".getBytes(UTF_8));
        podA.pause();
        var taken = waiting(b, two, all(1));
        podA.silent = true;
        ok(within10Seconds(taken));
        b.write(two, 0, "new".getBytes(UTF_8));
        ok(b.files().flush(two));
        a.write(one, 4, "OLD".getBytes(UTF_8));
        var flushed = async(() -> a.files().flush(one));
        podA.resume();
        podA.silent = false;
        assertThatThrownBy(() -> within10Seconds(flushed)).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> a.write(one, 0, new byte[1])).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> a.read(one, 0, 1)).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> a.files().lock(one, all(1), false)).isInstanceOf(IOException.class);
        a.files().release(one);
        a.write(bystander, 0, "unharmed".getBytes(UTF_8));
        a.close(bystander);
        long again = a.open("f", O_RDWR);
        assertThat(a.read(again, 0, 99)).isEqualTo("new, committed".getBytes(UTF_8));
        assertThat(a.files().lock(again, all(1), false)).isEqualTo(Answer.refused(Errno.EAGAIN));
        b.close(two);
        var mine = async(() -> a.files().lock(again, all(1), true));
        ok(within10Seconds(mine));
        a.write(again, 0, "NEW".getBytes(UTF_8));
        a.close(again);
        assertThat(b.content("f")).isEqualTo("NEW, committed".getBytes(UTF_8));
    }

    @Test
    void aSilentPodThatHeldNothingLosesNothingButItsTurn() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        lock(a, one, all(1));
        ok(a.files().unlock(one, all(1)));
        podA.pause();
        podA.silent = true;
        var taken = async(() -> b.files().lock(two, all(1), true));
        ok(within10Seconds(taken));
        podA.resume();
        podA.silent = false;
        network.settle();
        a.write(one, 0, "still open".getBytes(UTF_8));
        await(() -> {
            LockRecord record = podA.view().locks(inode("f"));
            return record == null || record.lost().isEmpty();
        });
        a.sync(one);
        assertThat(b.read(two, 0, 99)).isEqualTo("still open".getBytes(UTF_8));
    }

    @Test
    void theLocksOfAKilledPodEndWithItsNextStart() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        lock(a, one, all(1));
        var waits = waiting(b, two, all(1));
        podA.kill(1);
        assertThat(waits.isDone()).isFalse();
        podA.start();
        ok(within10Seconds(waits));
    }

    @Test
    void withoutANetworkThereAreNoLocks() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        lock(a, one, all(1));
        var waits = waiting(b, two, all(1));
        podB.disconnected = true;
        podB.files().networkLost();
        assertThat(within10Seconds(waits)).isEqualTo(Answer.refused(Errno.ENOLCK));
        assertThat(b.files().lock(two, all(1), false)).isEqualTo(Answer.refused(Errno.ENOLCK));
        podB.disconnected = false;
        await(() -> {
            LockRecord record = podA.view().locks(inode("f"));
            return record != null && record.waiters().isEmpty();
        });
        ok(a.files().unlock(one, all(1)));
        lock(b, two, all(1));
    }

    @Test
    void whoWaitsWhenThePodStopsIsTold() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = b.open("f", O_RDWR);
        lock(a, one, all(1));
        var waits = waiting(b, two, all(1));
        podB.files().close();
        assertThatThrownBy(() -> within10Seconds(waits)).isInstanceOf(IOException.class);
    }
}
