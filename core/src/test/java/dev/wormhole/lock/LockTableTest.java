// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.lock;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LockTableTest {
    private static final long END = Long.MAX_VALUE;
    private static final LockOwner A = owner(1, 1), B = owner(1, 2), C = owner(2, 1);

    private static LockOwner owner(int pod, long key) {
        return new LockOwner(new Incarnation(pod), key);
    }

    private static FileLock exclusive(LockOwner owner, long from, long to) {
        return new FileLock(LockSpace.RANGES, owner, true, from, to, 7);
    }

    private static FileLock shared(LockOwner owner, long from, long to) {
        return new FileLock(LockSpace.RANGES, owner, false, from, to, 7);
    }

    private static FileLock flock(LockOwner owner, boolean exclusive) {
        return new FileLock(LockSpace.WHOLE, owner, exclusive, 0, END, 7);
    }

    private final LockTable table = new LockTable();

    private LockTable.Answer take(FileLock lock) {
        return table.lock(lock, 0, false);
    }

    @Test
    void rangesOfOneOwnerAreSplitChangedAndJoined() {
        take(exclusive(A, 0, 99));
        take(shared(A, 10, 19));
        assertThat(table.held()).containsExactly(exclusive(A, 0, 9), shared(A, 10, 19), exclusive(A, 20, 99));
        table.unlock(LockSpace.RANGES, A, 50, 59);
        assertThat(table.held()).hasSize(4).contains(exclusive(A, 20, 49), exclusive(A, 60, 99));
        take(exclusive(A, 10, 59));
        assertThat(table.held()).containsExactly(exclusive(A, 0, 99));
        take(exclusive(A, 100, END));
        assertThat(table.held()).containsExactly(exclusive(A, 0, END));
    }

    @Test
    void sharedLocksStandTogetherAndExclusiveOnesAlone() {
        assertThat(take(shared(A, 0, END))).isEqualTo(LockTable.Answer.GRANTED);
        assertThat(take(shared(C, 5, 5))).isEqualTo(LockTable.Answer.GRANTED);
        assertThat(take(exclusive(B, 5, 5))).isEqualTo(LockTable.Answer.CONFLICT);
        assertThat(table.conflict(exclusive(B, 5, 9))).isEqualTo(shared(A, 0, END));
        assertThat(take(exclusive(A, 6, 9))).isEqualTo(LockTable.Answer.GRANTED);
        assertThat(take(exclusive(A, 5, 9))).isEqualTo(LockTable.Answer.CONFLICT);
    }

    @Test
    void flockAndRangesKnowNothingOfEachOther() {
        take(exclusive(A, 0, END));
        assertThat(take(flock(B, true))).isEqualTo(LockTable.Answer.GRANTED);
    }

    @Test
    void aChangedFlockGivesUpTheOldOneFirst() {
        take(flock(A, false));
        take(flock(B, false));
        assertThat(take(flock(A, true))).isEqualTo(LockTable.Answer.CONFLICT);
        assertThat(table.held()).containsExactly(flock(B, false));
    }

    @Test
    void whoWaitsIsGrantedInOrderOfAsking() {
        take(exclusive(A, 0, 9));
        assertThat(table.lock(exclusive(B, 0, 9), 1, true)).isEqualTo(LockTable.Answer.WAITING);
        assertThat(table.lock(exclusive(C, 5, 9), 2, true)).isEqualTo(LockTable.Answer.WAITING);
        table.unlock(LockSpace.RANGES, A, 0, END);
        assertThat(table.held()).containsExactly(exclusive(B, 0, 9));
        assertThat(table.isWaiting(B, 1)).isFalse();
        assertThat(table.isWaiting(C, 2)).isTrue();
        assertThat(table.cancel(C, 2)).isTrue();
        assertThat(table.cancel(C, 2)).isFalse();
        table.end(owner -> owner.equals(B));
        assertThat(table.isEmpty()).isTrue();
    }

    @Test
    void aWeakerLockLetsOthersGoOn() {
        take(exclusive(A, 0, 9));
        table.lock(shared(B, 3, 4), 1, true);
        take(shared(A, 0, 9));
        assertThat(table.held()).containsExactlyInAnyOrder(shared(A, 0, 9), shared(B, 3, 4));
    }

    @Test
    void theTableIsBounded() {
        LockTable.Answer last = LockTable.Answer.GRANTED;
        int count = 0;
        while (last == LockTable.Answer.GRANTED) last = take(shared(A, 2L * count, 2L * count++));
        assertThat(last).isEqualTo(LockTable.Answer.FULL);
        assertThat(table.held().size()).isLessThanOrEqualTo(LockTable.ENTRIES_MAX);
    }

    @Test
    void aCycleOfAnyLengthIsADeadlock() {
        Map<LockOwner, List<LockOwner>> waits = new HashMap<>();
        waits.put(B, List.of(C));
        assertThat(Deadlocks.closes(A, List.of(B), owner -> waits.getOrDefault(owner, List.of())))
                .isFalse();
        waits.put(C, List.of(B, A));
        assertThat(Deadlocks.closes(A, List.of(B), owner -> waits.getOrDefault(owner, List.of())))
                .isTrue();
    }

    /** Each byte and owner on its own. */
    private static final class Naive {
        /** The last one stands for all behind it. */
        static final int BYTES = 25;
        /** By space, byte: who holds it how. */
        final List<Map<LockOwner, Boolean>> bytes = new ArrayList<>();

        final List<LockTable.Waiter> waiters = new ArrayList<>();

        Naive() {
            for (int i = 0; i < 2 * BYTES; i++) bytes.add(new HashMap<>());
        }

        private Map<LockOwner, Boolean> at(LockSpace space, int place) {
            return bytes.get(space.ordinal() * BYTES + place);
        }

        private static int end(long to) {
            return (int) Math.min(to, BYTES - 1);
        }

        boolean free(FileLock lock) {
            for (int i = (int) lock.from(); i <= end(lock.to()); i++)
                for (var other : at(lock.space(), i).entrySet())
                    if (!other.getKey().equals(lock.owner()) && (lock.exclusive() || other.getValue())) return false;
            return true;
        }

        void set(LockSpace space, LockOwner owner, long from, long to, Boolean exclusive) {
            for (int i = (int) from; i <= end(to); i++) {
                if (exclusive == null) at(space, i).remove(owner);
                else at(space, i).put(owner, exclusive);
            }
        }

        LockTable.Answer lock(FileLock lock, long ticket, boolean wait) {
            if (lock.space() == LockSpace.WHOLE) {
                Boolean now = at(LockSpace.WHOLE, 0).get(lock.owner());
                if (now != null && now == lock.exclusive()) return LockTable.Answer.GRANTED;
                if (now != null) {
                    set(lock.space(), lock.owner(), 0, END, null);
                    promote();
                }
            }
            if (free(lock)) {
                set(lock.space(), lock.owner(), lock.from(), lock.to(), lock.exclusive());
                promote();
                return LockTable.Answer.GRANTED;
            }
            if (!wait) return LockTable.Answer.CONFLICT;
            waiters.add(new LockTable.Waiter(ticket, lock));
            return LockTable.Answer.WAITING;
        }

        void promote() {
            for (int i = 0; i < waiters.size(); i++) {
                FileLock lock = waiters.get(i).wanted();
                if (!free(lock)) continue;
                waiters.remove(i);
                set(lock.space(), lock.owner(), lock.from(), lock.to(), lock.exclusive());
                i = -1;
            }
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void randomCallsAnswerAsByteByByte(long seed) {
        System.out.println("LockTableTest seed " + seed);
        var random = new Random(seed);
        var owners = List.of(A, B, C, owner(2, 2));
        for (int round = 0; round < 20; round++) {
            var table = new LockTable();
            var naive = new Naive();
            for (int step = 0; step < 300; step++) {
                String where = "seed " + seed + " round " + round + " step " + step;
                LockOwner owner = owners.get(random.nextInt(owners.size()));
                LockSpace space = random.nextInt(5) == 0 ? LockSpace.WHOLE : LockSpace.RANGES;
                long from = space == LockSpace.WHOLE ? 0 : random.nextInt(Naive.BYTES - 1);
                long to = space == LockSpace.WHOLE || random.nextInt(6) == 0
                        ? END
                        : from + random.nextInt(Naive.BYTES - 1 - (int) from);
                switch (random.nextInt(8)) {
                    case 0, 1, 2, 3 -> {
                        var lock = new FileLock(space, owner, random.nextBoolean(), from, to, 1);
                        boolean wait = random.nextBoolean();
                        assertThat(table.lock(lock, step, wait)).as(where).isEqualTo(naive.lock(lock, step, wait));
                    }
                    case 4, 5 -> {
                        table.unlock(space, owner, from, to);
                        naive.set(space, owner, from, to, null);
                        naive.promote();
                    }
                    case 6 -> {
                        if (table.waiters().isEmpty()) break;
                        var one = table.waiters()
                                .get(random.nextInt(table.waiters().size()));
                        assertThat(table.cancel(one.wanted().owner(), one.ticket()))
                                .isTrue();
                        naive.waiters.remove(one);
                    }
                    default -> {
                        if (random.nextInt(10) > 0) break;
                        table.end(owner::equals);
                        naive.waiters.removeIf(waiter -> waiter.wanted().owner().equals(owner));
                        for (LockSpace each : LockSpace.values()) naive.set(each, owner, 0, END, null);
                        naive.promote();
                    }
                }
                check(table, naive, where);
            }
        }
    }

    private static void check(LockTable table, Naive naive, String where) {
        var seen = new Naive();
        for (FileLock lock : table.held()) {
            assertThat(seen.free(lock)).as(where + ": " + table.held()).isTrue();
            seen.set(lock.space(), lock.owner(), lock.from(), lock.to(), lock.exclusive());
            assertThat(table.covers(lock)).as(where).isTrue();
        }
        assertThat(seen.bytes).as(where).isEqualTo(naive.bytes);
        assertThat(table.waiters()).as(where).isEqualTo(naive.waiters);
        assertThat(table.held())
                .as(where)
                .isSortedAccordingTo(Comparator.comparing(FileLock::space)
                        .thenComparingLong(FileLock::from)
                        .thenComparing(FileLock::owner));
        // as few as can be
        for (int i = 0; i < table.held().size(); i++)
            for (int j = 0; j < table.held().size(); j++) {
                FileLock one = table.held().get(i);
                FileLock other = table.held().get(j);
                boolean joined = one.space() == other.space()
                        && one.owner().equals(other.owner())
                        && one.exclusive() == other.exclusive()
                        && one.to() != END
                        && one.to() + 1 == other.from();
                assertThat(joined).as(where + ": " + one + " " + other).isFalse();
            }
    }
}
