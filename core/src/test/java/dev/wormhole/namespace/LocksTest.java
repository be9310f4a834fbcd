// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Locks in the replicated state. Pods 1 to 3 propose, each in its session. */
class LocksTest {
    private static final long END = Long.MAX_VALUE;

    private final TestLog log = new TestLog();
    private final Map<Integer, SessionId> sessions = new HashMap<>();
    private final Map<Integer, Long> sequences = new HashMap<>();
    private final InodeId file;
    private final InodeId other;

    LocksTest() {
        log.admit("pod2");
        log.admit("pod3");
        for (int pod = 2; pod <= 3; pod++) open(pod, 1);
        file = log.file(InodeId.ROOT, "f");
        other = log.file(InodeId.ROOT, "g");
        for (int pod = 1; pod <= 3; pod++) prompt(pod, true);
    }

    private void open(int pod, long start) {
        sessions.put(pod, log.open(new Incarnation(pod), start, 0));
        sequences.put(pod, 0L);
    }

    private void prompt(int pod, boolean in) {
        long start =
                Objects.requireNonNull(log.view().pod(new Incarnation(pod))).startCount();
        log.apply(Entry.withoutSession(1, log.nanos, List.of(new Command.SetPrompt(new Incarnation(pod), start, in))));
    }

    private Outcome run(int pod, Command command) {
        if (pod == 1) return log.run(command);
        long sequence = sequences.merge(pod, 1L, Long::sum);
        Applied applied = log.apply(Entry.of(
                1, Objects.requireNonNull(sessions.get(pod)), sequence, sequence, ++log.nanos, List.of(command)));
        assertThat(applied.status()).isEqualTo(Applied.Status.FRESH);
        return applied.outcomes().getFirst();
    }

    private long done(int pod, Command command) {
        return switch (run(pod, command)) {
            case Outcome.Done(long value) -> value;
            case Outcome.Refused(Errno errno) -> throw new AssertionError(command + ": " + errno);
        };
    }

    private void refused(int pod, Command command, Errno errno) {
        assertThat(run(pod, command)).isEqualTo(new Outcome.Refused(errno));
    }

    private static LockOwner owner(int pod, long key) {
        return new LockOwner(new Incarnation(pod), key);
    }

    private static FileLock range(int pod, long key, boolean exclusive, long from, long to) {
        return new FileLock(LockSpace.RANGES, owner(pod, key), exclusive, from, to, 5);
    }

    private static FileLock whole(int pod) {
        return range(pod, 1, true, 0, END);
    }

    private Command lock(FileLock wanted, long ticket) {
        return new Command.Lock(file, wanted, ticket, Command.LockMode.WAIT);
    }

    private Command attempt(FileLock wanted) {
        return new Command.Lock(file, wanted, 0, Command.LockMode.TRY);
    }

    private Command unlock(InodeId inode, int pod, long key) {
        return new Command.Unlock(inode, LockSpace.RANGES, owner(pod, key), 0, END);
    }

    private @Nullable LockRecord locks() {
        return log.view().locks(file);
    }

    private LockRecord known() {
        return Objects.requireNonNull(locks());
    }

    /** Pod 1 decides, is asked, and tells. */
    private void shareWithPod1Holding(FileLock... held) {
        long epoch = -done(1, attempt(held.length == 0 ? whole(1) : held[0]));
        assertThat(done(2, attempt(whole(2)))).isEqualTo(Command.Lock.ASKED);
        assertThat(known().asked()).isTrue();
        done(1, new Command.ShareLocks(file, epoch, List.of(held), List.of()));
    }

    @Test
    void theFirstToAskDecidesUntilAnotherAsks() {
        long epoch = -done(1, attempt(whole(1)));
        assertThat(epoch).isEqualTo(log.index);
        assertThat(done(1, attempt(range(1, 2, false, 5, 6)))).isEqualTo(-epoch);
        assertThat(known().holder()).isEqualTo(new Incarnation(1));
        assertThat(done(3, new Command.Lock(file, whole(3), 0, Command.LockMode.ASK)))
                .isEqualTo(Command.Lock.ASKED);
        refused(2, new Command.ShareLocks(file, epoch, List.of(), List.of()), Errno.ESTALE);
        refused(1, new Command.ShareLocks(file, epoch - 1, List.of(), List.of()), Errno.ESTALE);
        done(1, new Command.ShareLocks(file, epoch, List.of(whole(1)), List.of()));
        refused(2, attempt(whole(2)), Errno.EAGAIN);
        done(1, unlock(file, 1, 1));
        assertThat(locks()).isNull();
        assertThat(done(2, attempt(whole(2)))).isNegative();
        log.check();
    }

    @Test
    void whoWaitedAloneDecidesWhenNothingIsHeld() {
        long epoch = -done(1, attempt(whole(1)));
        assertThat(done(2, lock(whole(2), 1))).isEqualTo(Command.Lock.WAITING);
        assertThat(done(2, lock(range(2, 2, true, 0, 0), 2))).isEqualTo(Command.Lock.WAITING);
        done(1, new Command.ShareLocks(file, epoch, List.of(), List.of()));
        assertThat(known().holder()).isEqualTo(new Incarnation(2));
        assertThat(known().waiters()).isEmpty();
        log.check();
    }

    @Test
    void waitersOfSeveralPodsGoOnInTheOrderOfTheLog() {
        shareWithPod1Holding(whole(1));
        assertThat(done(3, lock(whole(3), 1))).isEqualTo(Command.Lock.WAITING);
        assertThat(done(2, lock(whole(2), 1))).isEqualTo(Command.Lock.WAITING);
        done(1, unlock(file, 1, 1));
        assertThat(known().held()).containsExactly(whole(3));
        assertThat(log.last.changes()).contains(new Change.LocksChanged(file));
        assertThat(done(2, new Command.CancelLock(file, owner(2, 1), 1))).isEqualTo(1);
        assertThat(done(3, new Command.CancelLock(file, owner(3, 1), 1))).isZero();
        log.check();
    }

    @Test
    void whoIsAloneDecidesAgain() {
        shareWithPod1Holding(whole(1));
        assertThat(done(2, lock(whole(2), 1))).isEqualTo(Command.Lock.WAITING);
        refused(1, new Command.KeepLocks(file), Errno.EAGAIN);
        done(2, new Command.CancelLock(file, owner(2, 1), 1));
        assertThat(done(1, new Command.KeepLocks(file))).isEqualTo(-log.index);
        assertThat(known().held()).isEmpty();
        assertThat(done(2, attempt(whole(2)))).isEqualTo(Command.Lock.ASKED);
        log.check();
    }

    @Test
    void aCycleOverTwoPodsAndTwoFilesIsADeadlock() {
        shareWithPod1Holding(whole(1));
        long epoch = -done(2, new Command.Lock(other, whole(2), 0, Command.LockMode.TRY));
        assertThat(done(1, new Command.Lock(other, whole(1), 1, Command.LockMode.WAIT)))
                .isEqualTo(Command.Lock.WAITING);
        done(2, new Command.ShareLocks(other, epoch, List.of(whole(2)), List.of()));
        refused(2, lock(whole(2), 2), Errno.EDEADLK);
        assertThat(done(3, lock(whole(3), 1))).isEqualTo(Command.Lock.WAITING);
        log.check();
    }

    @Test
    void aCycleThatShowsWhenLocksAreToldEndsOneOfItsWaits() {
        shareWithPod1Holding(whole(1));
        long epoch = -done(2, new Command.Lock(other, whole(2), 0, Command.LockMode.TRY));
        assertThat(done(2, lock(whole(2), 1))).isEqualTo(Command.Lock.WAITING);
        assertThat(done(1, new Command.Lock(other, whole(1), 7, Command.LockMode.WAIT)))
                .isEqualTo(Command.Lock.WAITING);
        done(2, new Command.ShareLocks(other, epoch, List.of(whole(2)), List.of()));
        assertThat(Objects.requireNonNull(log.view().locks(other)).waiters()).isEmpty();
        refused(1, new Command.Lock(other, whole(1), 7, Command.LockMode.WAIT), Errno.EDEADLK);
        log.check();
    }

    @Test
    void flocksWaitInCyclesAsTheyDoOnLinux() {
        var one = new FileLock(LockSpace.WHOLE, owner(1, 1), true, 0, END, 5);
        shareWithPod1Holding(one);
        var two = new FileLock(LockSpace.WHOLE, owner(2, 1), true, 0, END, 5);
        assertThat(done(2, lock(two, 1))).isEqualTo(Command.Lock.WAITING);
        assertThat(done(2, attempt(whole(2)))).isEqualTo(Command.Lock.GRANTED); // another space
        log.check();
    }

    @Test
    void theLocksOfASilentPodAreTakenAndItsBytesRefusedUntilItKnows() {
        shareWithPod1Holding(whole(1));
        assertThat(done(2, lock(whole(2), 1))).isEqualTo(Command.Lock.WAITING);
        refused(2, new Command.TakeLocks(file, new Incarnation(1)), Errno.EBUSY);
        prompt(1, false);
        assertThat(done(2, new Command.TakeLocks(file, new Incarnation(1)))).isEqualTo(1);
        assertThat(known().held()).containsExactly(whole(2));
        assertThat(known().lost()).containsExactly(new Incarnation(1));
        log.refused(TestLog.writing(file, log.slice(), 0, 10, 0, new Incarnation(1)), Errno.EIO);
        log.refused(new Command.SetAttributes(file, null, null, null, 3L, null, null, false), Errno.EIO);
        log.refused(new Command.PunchHole(file, 0, 3, 5), Errno.EIO);
        log.done(new Command.SetAttributes(file, 0600, null, null, null, null, null, false));
        log.refused(attempt(whole(1)), Errno.ESTALE);
        assertThat(done(2, TestLog.writing(file, log.slice(), 0, 10, 0, new Incarnation(1))))
                .isPositive();
        log.done(new Command.ForgoLocks(file));
        log.write(file, 0, 10, 0, new Incarnation(1));
        assertThat(known().lost()).isEmpty();
        log.check();
    }

    @Test
    void aSilentPodThatDecidesIsFencedWhateverItHeld() {
        long epoch = -done(1, attempt(whole(1)));
        prompt(1, false);
        assertThat(done(2, new Command.TakeLocks(file, new Incarnation(1)))).isEqualTo(1);
        assertThat(known().holder()).isNull();
        log.refused(new Command.ShareLocks(file, epoch, List.of(whole(1)), List.of()), Errno.ESTALE);
        assertThat(done(2, attempt(whole(2)))).isEqualTo(-log.index);
        assertThat(known().lost()).containsExactly(new Incarnation(1));
        log.refused(TestLog.writing(file, log.slice(), 0, 10, 0, new Incarnation(1)), Errno.EIO);
        log.done(new Command.ForgoLocks(file));
        assertThat(done(1, attempt(whole(1)))).isEqualTo(Command.Lock.ASKED);
        log.check();
    }

    @Test
    void aNewStartOrARemovalEndsAPodsLocks() {
        shareWithPod1Holding(whole(1));
        assertThat(done(3, lock(whole(3), 1))).isEqualTo(Command.Lock.WAITING);
        assertThat(done(2, lock(whole(2), 1))).isEqualTo(Command.Lock.WAITING);
        done(1, unlock(file, 1, 1));
        assertThat(known().held()).containsExactly(whole(3));
        open(3, 2);
        assertThat(known().held()).containsExactly(whole(2));
        long epoch = -done(2, new Command.Lock(other, whole(2), 0, Command.LockMode.TRY));
        assertThat(epoch).isPositive();
        log.done(new Command.RemovePod(new Incarnation(2), true));
        assertThat(locks()).isNull();
        assertThat(log.view().locks(other)).isNull();
        log.check();
    }

    @Test
    void theEndOfOneWaiterGrantsNothingToOthersWhileAPodDecides() {
        done(1, attempt(whole(1)));
        assertThat(done(2, lock(whole(2), 1))).isEqualTo(Command.Lock.WAITING);
        assertThat(done(3, lock(whole(3), 1))).isEqualTo(Command.Lock.WAITING);
        open(2, 2);
        assertThat(known().held()).isEmpty();
        assertThat(known().waiters()).containsExactly(new LockTable.Waiter(1, whole(3)));
        log.check();
    }

    @Test
    void locksGoWithTheirFile() {
        shareWithPod1Holding(whole(1));
        log.done(new Command.Unlink(InodeId.ROOT, TestLog.name("f"), file));
        for (int pod = 1; pod <= 3; pod++) run(pod, new Command.AcknowledgeOrphans(new Incarnation(pod), log.index));
        assertThat(log.done(new Command.Reap(List.of(file)))).isEqualTo(1);
        assertThat(locks()).isNull();
        refused(2, attempt(whole(2)), Errno.ENOENT);
        log.check();
    }

    /** Whatever pods ask for in whatever order: never two locks in conflict, nobody left waiting for nobody, no row without use. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6})
    void randomCommandsKeepTheStateRight(long seed) {
        System.out.println("LocksTest seed " + seed);
        var random = new Random(seed);
        var files = new ArrayList<>(List.of(file, other, log.create(InodeId.ROOT, "h", FileType.REGULAR)));
        long start = 1;
        for (int step = 0; step < 1_500; step++) {
            int pod = 1 + random.nextInt(3);
            InodeId at = files.get(random.nextInt(files.size()));
            long from = random.nextInt(10);
            var wanted = range(pod, random.nextInt(3), random.nextBoolean(), from, from + random.nextInt(10));
            LockRecord now = log.view().locks(at);
            switch (random.nextInt(12)) {
                case 0, 1, 2, 3 -> run(pod, new Command.Lock(at, wanted, step, mode(random)));
                case 4, 5 ->
                    run(pod, new Command.Unlock(at, LockSpace.RANGES, wanted.owner(), wanted.from(), wanted.to()));
                case 6 -> run(pod, unlock(at, pod, wanted.owner().key()));
                case 7 -> {
                    if (now == null || now.waiters().isEmpty()) break;
                    var waiter = now.waiters().get(random.nextInt(now.waiters().size()));
                    var owner = waiter.wanted().owner();
                    run(owner.pod().number(), new Command.CancelLock(at, owner, waiter.ticket()));
                }
                case 8, 9 -> {
                    if (now == null || now.holder() == null) break;
                    int holder = now.holder().number();
                    var held = new LockTable();
                    for (int i = random.nextInt(3); i > 0; i--)
                        held.lock(range(holder, i, true, random.nextInt(20), 20), 0, false);
                    var waits = held.isEmpty() || random.nextBoolean()
                            ? List.<LockTable.Waiter>of()
                            : List.of(new LockTable.Waiter(step, range(holder, 9, true, 0, END)));
                    run(holder, new Command.ShareLocks(at, now.epoch(), held.held(), waits));
                }
                case 10 -> {
                    if (random.nextBoolean()) run(pod, new Command.KeepLocks(at));
                    else run(pod, new Command.ForgoLocks(at));
                }
                default -> {
                    int victim = 1 + random.nextInt(3);
                    if (random.nextInt(4) == 0 && victim != 1) {
                        open(victim, ++start);
                    } else if (victim != pod) {
                        prompt(victim, false);
                        run(pod, new Command.TakeLocks(at, new Incarnation(victim)));
                        prompt(victim, true);
                    }
                }
            }
            if (step % 20 == 0)
                assertThat(NamespaceChecker.check(log.table))
                        .as("seed " + seed + " step " + step)
                        .isEmpty();
        }
    }

    private static Command.LockMode mode(Random random) {
        return Command.LockMode.values()[random.nextInt(3)];
    }
}
