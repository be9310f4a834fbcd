// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Answer;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import dev.wormhole.vfs.FileSystem.WantedLock;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What every {@link FileSystem} does with locks of programs on one machine. */
@Timeout(60)
public abstract class LockContract {
    private static final long END = Long.MAX_VALUE;
    private static final FileSystem.Caller CALLER = new FileSystem.Caller(0, 0, 1, 0);

    protected LockContract() {}

    /** The same one all through a test. */
    protected abstract FileSystem files() throws Exception;

    private long open(String name) throws Exception {
        return ok(files().create(CALLER, InodeId.ROOT, FileName.of(name), 0600, 2))
                .opened()
                .handle();
    }

    private static <T> T ok(Answer<T> answer) {
        return switch (answer) {
            case Answer.Ok<T>(T value) -> value;
            case Answer.Refused<T>(Errno errno) -> throw new AssertionError(errno.toString());
        };
    }

    private static WantedLock range(long owner, boolean exclusive, long from, long to) {
        return new WantedLock(false, owner, 40, exclusive, from, to);
    }

    private static WantedLock flock(boolean exclusive) {
        return new WantedLock(true, 40, 40, exclusive, 0, END);
    }

    private void refused(long handle, WantedLock wanted, boolean wait, Errno errno) throws Exception {
        assertThat(files().lock(handle, wanted, wait)).isEqualTo(Answer.refused(errno));
    }

    private CompletableFuture<Answer<Void>> waiting(long handle, WantedLock wanted) throws Exception {
        FileSystem files = files();
        var answer = new CompletableFuture<Answer<Void>>();
        Thread.ofVirtual().start(() -> {
            try {
                answer.complete(files.lock(handle, wanted, true));
            } catch (Throwable e) {
                answer.completeExceptionally(e);
            }
        });
        assertThatThrownBy(() -> answer.get(100, TimeUnit.MILLISECONDS)).isInstanceOf(TimeoutException.class);
        return answer;
    }

    private static void granted(CompletableFuture<Answer<Void>> answer) throws Exception {
        ok(answer.get(10, TimeUnit.SECONDS));
    }

    @Test
    void rangesAreGrantedRefusedAndTold() throws Exception {
        long handle = open("f");
        long other = open("f");
        ok(files().lock(handle, range(1, true, 0, 9), false));
        ok(files().lock(other, range(2, false, 10, END), false));
        refused(other, range(2, false, 9, 9), false, Errno.EAGAIN);
        assertThat(ok(files().lockInTheWay(other, range(2, true, 5, 20)))).contains(range(1, true, 0, 9));
        assertThat(ok(files().lockInTheWay(handle, range(1, false, 0, END)))).isEqualTo(Optional.empty());
        assertThat(ok(files().lockInTheWay(handle, range(1, true, 0, END)))).contains(range(2, false, 10, END));
        ok(files().unlock(handle, range(1, false, 4, 5)));
        ok(files().lock(other, range(2, true, 4, 5), false));
    }

    @Test
    void aWaitEndsWithTheUnlock() throws Exception {
        long handle = open("f");
        ok(files().lock(handle, range(1, true, 0, 9), false));
        var second = waiting(handle, range(2, true, 5, 9));
        var third = waiting(handle, range(3, true, 9, 9));
        ok(files().unlock(handle, range(1, true, 0, END)));
        granted(second);
        assertThat(third.isDone()).isFalse();
        files().unlockAtClose(handle, 2);
        granted(third);
    }

    @Test
    void aCloseEndsTheProcesssRangesAndTheLastOneWhatIsTheFilesOwn() throws Exception {
        long first = open("f");
        long second = open("f");
        ok(files().lock(first, range(1, true, 0, 9), false));
        files().unlockAtClose(second, 1);
        ok(files().lock(second, range(7, true, 0, 9), false));
        ok(files().lock(second, flock(true), false));
        refused(first, flock(false), false, Errno.EAGAIN);
        files().release(second);
        ok(files().lock(first, flock(false), false));
        ok(files().lock(first, range(1, true, 0, 9), false));
    }

    @Test
    void theLocksOfAProcessOutliveAHandleThatItClosedBefore() throws Exception {
        long first = open("f");
        long second = open("f");
        ok(files().lock(first, range(1, true, 0, 9), false));
        files().unlockAtClose(first, 1);
        ok(files().lock(second, range(1, true, 0, 9), false));
        files().release(first);
        refused(second, range(2, true, 0, 9), false, Errno.EAGAIN);
    }

    @Test
    void whoeverTheKernelNamesAFlockIsTheHandles() throws Exception {
        long first = open("f");
        long second = open("f");
        ok(files().lock(first, flock(true), false));
        refused(second, flock(true), false, Errno.EAGAIN);
        files().release(first);
        ok(files().lock(second, flock(true), false));
    }

    /** An open file of the same name as one that is not released yet: what it locked is not ended by that release. */
    @Test
    void aNameThatTheKernelUsesAgainKeepsItsLocks() throws Exception {
        long first = open("f");
        long second = open("f");
        long third = open("f");
        ok(files().lock(first, range(7, true, 0, 9), false));
        ok(files().lock(second, range(7, true, 0, 9), false));
        files().release(first);
        refused(third, range(8, true, 0, 9), false, Errno.EAGAIN);
        files().release(second);
        ok(files().lock(third, range(8, true, 0, 9), false));
    }

    @Test
    void aCycleOverTwoFilesIsRefused() throws Exception {
        long f = open("f");
        long g = open("g");
        ok(files().lock(f, range(1, true, 0, 0), false));
        ok(files().lock(g, range(2, true, 0, 0), false));
        var first = waiting(g, range(1, true, 0, 0));
        refused(f, range(2, true, 0, 0), true, Errno.EDEADLK);
        files().unlockAtClose(g, 2);
        granted(first);
    }

    @Test
    void aChangedFlockGivesUpTheOldOneAndARangeDoesNot() throws Exception {
        long handle = open("f");
        long other = open("f");
        ok(files().lock(handle, flock(false), false));
        ok(files().lock(other, flock(false), false));
        refused(handle, flock(true), false, Errno.EAGAIN);
        ok(files().lock(other, flock(true), false));
        ok(files().lock(handle, range(1, false, 0, 0), false));
        ok(files().lock(other, range(2, false, 0, 0), false));
        refused(handle, range(1, true, 0, 0), false, Errno.EAGAIN);
        refused(other, range(2, true, 0, 0), false, Errno.EAGAIN);
    }

    @Test
    void anInterruptEndsAWaitAndNothingElse() throws Exception {
        long handle = open("f");
        long other = open("f");
        long third = open("f");
        ok(files().lock(handle, flock(true), false));
        FileSystem files = files();
        var interrupted = new CompletableFuture<Boolean>();
        Thread waiting = Thread.ofVirtual().start(() -> {
            try {
                files.lock(other, flock(true), true);
                interrupted.complete(false);
            } catch (InterruptedException e) {
                interrupted.complete(true);
            } catch (Throwable e) {
                interrupted.completeExceptionally(e);
            }
        });
        assertThatThrownBy(() -> interrupted.get(100, TimeUnit.MILLISECONDS)).isInstanceOf(TimeoutException.class);
        waiting.interrupt();
        assertThat(interrupted.get(10, TimeUnit.SECONDS)).isTrue();
        var next = waiting(third, flock(true));
        ok(files().unlock(handle, flock(true)));
        granted(next);
    }
}
