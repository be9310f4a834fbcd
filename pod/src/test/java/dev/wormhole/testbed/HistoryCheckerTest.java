// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.testbed.Operation.Kind;
import dev.wormhole.testbed.Operation.Outcome;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Histories that can have happened, and ones that cannot: a checker that finds nothing would be worth nothing. */
final class HistoryCheckerTest {
    private static final String OK = "";

    private final List<Operation> history = new ArrayList<>();

    /** @param answer OK or a found value, ENOENT or EEXIST, or ? for an error that leaves it open */
    private void names(int client, long from, long to, String answer, Kind kind, String... arguments) {
        add("names:n", client, from, to, answer, kind, arguments);
    }

    private void add(String object, int client, long from, long to, String answer, Kind kind, String... arguments) {
        var outcome = answer.equals("?") ? Outcome.UNKNOWN : answer.startsWith("E") ? Outcome.REFUSED : Outcome.DONE;
        history.add(new Operation(client, 1 + client % 3, object, kind, List.of(arguments), from, to, outcome, answer));
    }

    private void accepted() {
        assertThat(HistoryChecker.check(history, true)).isEmpty();
        assertThat(HistoryChecker.check(history, false)).isEmpty();
    }

    /** Fine by the default promises, not by the strict ones. */
    private void acceptedButNotStrictly() {
        assertThat(HistoryChecker.check(history, false)).isEmpty();
        assertThat(HistoryChecker.check(history, true)).hasSize(1);
    }

    private void refused() {
        assertThat(HistoryChecker.check(history, false)).isNotEmpty();
        assertThat(HistoryChecker.check(history, true)).isNotEmpty();
    }

    // ---- names

    @Test
    void oneThingAfterTheOtherIsAccepted() {
        names(0, 0, 1, OK, Kind.CREATE, "a", "1");
        names(1, 2, 3, "EEXIST", Kind.CREATE, "a", "2");
        names(1, 4, 5, OK, Kind.MOVE, "a", "b");
        names(2, 6, 7, "ENOENT", Kind.LOOK, "a");
        names(2, 8, 9, "1", Kind.LOOK, "b");
        names(0, 10, 11, OK, Kind.PUT, "a", "3");
        names(0, 12, 13, "EEXIST", Kind.MOVE_NEW, "a", "b");
        names(0, 14, 15, OK, Kind.EXCHANGE, "a", "b");
        names(0, 16, 17, "1", Kind.LOOK, "a");
        names(0, 18, 19, OK, Kind.REMOVE, "a");
        names(0, 20, 21, "ENOENT", Kind.MOVE, "a", "b");
        names(0, 22, 23, "ENOENT", Kind.EXCHANGE, "b", "a");
        accepted();
    }

    @Test
    void twoExclusiveCreationsOfOneNameAreRefused() {
        names(0, 0, 10, OK, Kind.CREATE, "a", "1");
        names(1, 0, 10, OK, Kind.CREATE, "a", "2");
        refused();
    }

    @Test
    void aCreationRefusedWithoutAnotherIsRefused() {
        names(0, 0, 10, "EEXIST", Kind.CREATE, "a", "1");
        refused();
    }

    @Test
    void aCreationRefusedByOneThatMayHaveHappenedIsAccepted() {
        names(0, 0, 10, "?", Kind.CREATE, "a", "1");
        names(1, 20, 30, "EEXIST", Kind.CREATE, "a", "2");
        names(2, 40, 50, "1", Kind.LOOK, "a");
        accepted();
    }

    @Test
    void aLookThatMissesWhatWasAnsweredBeforeIsRefused() {
        names(0, 0, 10, OK, Kind.CREATE, "a", "1");
        names(1, 20, 30, "ENOENT", Kind.LOOK, "a");
        refused();
    }

    @Test
    void aLookAtAnOldValueIsRefused() {
        names(0, 0, 10, OK, Kind.PUT, "a", "1");
        names(0, 20, 30, OK, Kind.PUT, "a", "2");
        names(1, 40, 50, "1", Kind.LOOK, "a");
        refused();
    }

    @Test
    void aLookIntoTheFutureIsRefused() {
        names(1, 0, 10, "1", Kind.LOOK, "a");
        names(0, 20, 30, OK, Kind.PUT, "a", "1");
        refused();
    }

    @Test
    void aValueThatNobodyWroteIsRefused() {
        names(0, 0, 10, OK, Kind.PUT, "a", "1");
        names(1, 5, 15, "7", Kind.LOOK, "a");
        refused();
    }

    @Test
    void looksMayDifferAboutAChangeThatIsNotAnsweredYetButNotStrictly() {
        names(0, 0, 100, OK, Kind.PUT, "a", "1");
        names(1, 10, 20, "1", Kind.LOOK, "a");
        names(2, 30, 40, "ENOENT", Kind.LOOK, "a");
        acceptedButNotStrictly();
    }

    @Test
    void theSameIsRefusedOnceItIsAnswered() {
        names(0, 0, 25, OK, Kind.PUT, "a", "1");
        names(1, 10, 20, "1", Kind.LOOK, "a");
        names(2, 30, 40, "ENOENT", Kind.LOOK, "a");
        refused();
    }

    @Test
    void aRefusalMayTellOfAChangeBeforeLooksDoButNotStrictly() {
        names(0, 0, 100, OK, Kind.CREATE, "a", "1");
        names(1, 10, 20, "EEXIST", Kind.CREATE, "a", "2");
        names(2, 30, 40, "ENOENT", Kind.LOOK, "a");
        acceptedButNotStrictly();
    }

    @Test
    void aRenameSeenAtBothNamesIsRefused() {
        names(0, 0, 10, OK, Kind.CREATE, "a", "1");
        names(0, 20, 30, OK, Kind.MOVE, "a", "b");
        names(1, 40, 50, "1", Kind.LOOK, "a");
        names(1, 60, 70, "1", Kind.LOOK, "b");
        refused();
    }

    /** The kernel of one looked at the source before the other's move, and at the target after it. */
    @Test
    void twoMovesOfOneFileToOneNameAreAcceptedWhereItLies() {
        names(0, 0, 10, OK, Kind.CREATE, "a", "1");
        names(1, 20, 60, OK, Kind.MOVE, "a", "b");
        names(2, 20, 60, OK, Kind.MOVE, "a", "b");
        names(0, 70, 80, "1", Kind.LOOK, "b");
        accepted();
    }

    @Test
    void aMoveOfNothingToNowhereIsRefused() {
        names(0, 0, 10, OK, Kind.CREATE, "a", "1");
        names(1, 20, 30, OK, Kind.REMOVE, "a");
        names(2, 40, 50, OK, Kind.MOVE, "a", "b");
        refused();
    }

    @Test
    void aRenameSeenAtNeitherNameIsRefused() {
        names(0, 0, 10, OK, Kind.CREATE, "a", "1");
        names(0, 20, 30, OK, Kind.MOVE, "a", "b");
        names(1, 40, 50, "ENOENT", Kind.LOOK, "b");
        refused();
    }

    @Test
    void aRenameUnderWaySeenFirstAtItsTargetAndThenAtItsSourceIsRefusedStrictly() {
        names(0, 0, 10, OK, Kind.CREATE, "a", "1");
        names(0, 20, 100, OK, Kind.MOVE, "a", "b");
        names(1, 40, 50, "1", Kind.LOOK, "b");
        names(1, 60, 70, "1", Kind.LOOK, "a");
        acceptedButNotStrictly();
    }

    @Test
    void aReplacementThatShowsAGapIsRefused() {
        names(0, 0, 10, OK, Kind.PUT, "a", "1");
        names(0, 20, 30, OK, Kind.PUT, "a", "2");
        names(1, 15, 40, "ENOENT", Kind.LOOK, "a");
        refused();
    }

    @Test
    void anExchangeThatLosesOneIsRefused() {
        names(0, 0, 1, OK, Kind.PUT, "a", "1");
        names(0, 2, 3, OK, Kind.PUT, "b", "2");
        names(0, 4, 5, OK, Kind.EXCHANGE, "a", "b");
        names(1, 6, 7, "2", Kind.LOOK, "a");
        names(1, 8, 9, "2", Kind.LOOK, "b");
        refused();
    }

    @Test
    void aRemovalDoneTwiceIsRefused() {
        names(0, 0, 1, OK, Kind.CREATE, "a", "1");
        names(0, 2, 10, OK, Kind.REMOVE, "a");
        names(1, 2, 10, OK, Kind.REMOVE, "a");
        refused();
    }

    @Test
    void aRemovalThatUndoesItselfIsRefused() {
        names(0, 0, 1, OK, Kind.CREATE, "a", "1");
        names(0, 2, 3, OK, Kind.REMOVE, "a");
        names(1, 4, 5, "1", Kind.LOOK, "a");
        refused();
    }

    @Test
    void anUnknownChangeMayHappenLateOnceOrNeverButNotTwice() {
        names(0, 0, 1, "?", Kind.PUT, "a", "1");
        names(1, 2, 3, "ENOENT", Kind.LOOK, "a");
        names(1, 4, 5, "1", Kind.LOOK, "a");
        accepted();
        names(1, 6, 7, OK, Kind.PUT, "a", "2");
        names(1, 8, 9, "1", Kind.LOOK, "a");
        refused();
    }

    @Test
    void anUnknownChangeThatWasSeenIsNotUnseenAgainStrictly() {
        names(0, 0, 1, "?", Kind.PUT, "a", "1");
        names(1, 4, 5, "1", Kind.LOOK, "a");
        names(1, 6, 7, "ENOENT", Kind.LOOK, "a");
        acceptedButNotStrictly();
    }

    @Test
    void whatWasAnsweredIsThereAfterARestart() {
        names(0, 0, 10, OK, Kind.PUT, "a", "1");
        names(0, 20, 30, "?", Kind.REMOVE, "b"); // the pods are killed here
        names(100, 1000, 1010, "ENOENT", Kind.LOOK, "a");
        refused();
    }

    // ---- content

    @Test
    void whatIsWrittenMayBeSeenOnItsPodBeforeItIsClosed() {
        add("file:f", 0, 0, 100, OK, Kind.PUT, "v", "1");
        add("file:f", 3, 10, 20, "1", Kind.LOOK, "v");
        add("file:f", 1, 30, 40, "", Kind.LOOK, "v");
        add("file:f", 1, 110, 120, "1", Kind.LOOK, "v");
        accepted();
    }

    @Test
    void anOpenAfterACloseThatSeesOlderContentIsRefused() {
        add("file:f", 0, 0, 10, OK, Kind.PUT, "v", "1");
        add("file:f", 0, 20, 30, OK, Kind.PUT, "v", "2");
        add("file:f", 1, 40, 50, "1", Kind.LOOK, "v");
        refused();
    }

    @Test
    void tornContentIsRefused() {
        add("file:f", 0, 0, 10, OK, Kind.PUT, "v", "11");
        add("file:f", 1, 0, 10, OK, Kind.PUT, "v", "22");
        add("file:f", 2, 20, 30, "12", Kind.LOOK, "v");
        refused();
    }

    // ---- logs

    private void append(int client, long from, long to, String answer, String item) {
        add("log:l", client, from, to, answer, Kind.APPEND, item);
    }

    private void read(int client, long from, long to, String... items) {
        add("log:l", client, from, to, String.join(" ", items), Kind.READ, "");
    }

    @Test
    void appendsInAnyOrderThatTimeAllowsAreAccepted() {
        append(0, 0, 10, OK, "x");
        append(1, 5, 15, OK, "y");
        append(2, 5, 15, "?", "z");
        read(0, 6, 12, "y");
        read(0, 20, 30, "y", "x");
        read(1, 40, 50, "y", "x", "z");
        accepted();
    }

    @Test
    void aLostAppendIsRefused() {
        append(0, 0, 10, OK, "x");
        append(1, 0, 10, OK, "y");
        read(2, 20, 30, "x");
        refused();
    }

    @Test
    void anAppendFoundTwiceIsRefused() {
        append(0, 0, 10, OK, "x");
        read(2, 20, 30, "x", "x");
        refused();
    }

    @Test
    void aTornAppendIsRefused() {
        append(0, 0, 10, OK, "x1");
        append(1, 0, 10, OK, "y1");
        read(2, 20, 30, "x", "1y1");
        refused();
    }

    @Test
    void anItemFromTheFutureIsRefused() {
        read(2, 0, 5, "x");
        append(0, 10, 20, OK, "x");
        refused();
    }

    @Test
    void appendsThatChangePlacesAreRefused() {
        append(0, 0, 10, OK, "x");
        append(1, 0, 10, OK, "y");
        read(2, 20, 30, "x", "y");
        read(1, 40, 50, "y", "x");
        refused();
    }

    @Test
    void anAppendBeforeOneThatWasOverIsRefused() {
        append(0, 0, 10, OK, "x");
        append(1, 20, 30, OK, "y");
        read(2, 40, 50, "y", "x");
        refused();
    }

    @Test
    void aClientThatFindsLessThanBeforeIsRefused() {
        append(0, 0, 100, OK, "x");
        read(1, 10, 20, "x");
        read(1, 30, 40);
        refused();
    }

    @Test
    void anotherClientMayFindLessOfWhatIsNotAnsweredButNotStrictly() {
        append(0, 0, 100, OK, "x");
        read(1, 10, 20, "x");
        read(2, 30, 40);
        acceptedButNotStrictly();
    }

    // ---- many

    /** A true filesystem under random programs, and the same with one answer changed. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void randomHistoriesAreAcceptedAndTheSameWithOneStaleLookAreNot(boolean strict) {
        for (long seed = 0; seed < 20; seed++) {
            history.clear();
            int stale = random(new Random(seed));
            assertThat(HistoryChecker.check(history, strict)).as("seed " + seed).isEmpty();
            Operation look = history.get(stale);
            history.set(
                    stale,
                    new Operation(
                            look.client(),
                            look.pod(),
                            look.object(),
                            look.kind(),
                            look.arguments(),
                            look.invoked(),
                            look.responded(),
                            Outcome.DONE,
                            "before"));
            assertThat(HistoryChecker.check(history, strict)).as("seed " + seed).hasSize(1);
        }
    }

    /** @return which look, of many, cannot have seen the first value of its name, which was overwritten before it began */
    private int random(Random random) {
        var state = new HashMap<String, String>();
        var names = List.of("a", "b", "c");
        for (String name : names) {
            names(0, 1, 2, OK, Kind.PUT, name, name + "before");
            names(0, 3, 4, OK, Kind.PUT, name, name + "after");
            state.put(name, name + "after");
        }
        names(0, 5, 6, OK, Kind.PUT, "d", "before");
        names(0, 7, 8, OK, Kind.REMOVE, "d");
        int stale = -1;
        var free = new long[5]; // when each client is free again
        Arrays.fill(free, 10);
        for (int i = 0; i < 300; i++) {
            int client = random.nextInt(free.length);
            long at = 1_000L * i + 10_000; // when it happens, somewhere between its ends
            long from = Math.max(free[client], at - random.nextInt(3_000));
            long to = at + 1 + random.nextInt(3_000);
            if (from >= at) continue;
            free[client] = to + 1;
            String name = names.get(random.nextInt(3));
            String other = names.get(random.nextInt(3));
            boolean unknown = random.nextInt(60) == 0;
            switch (random.nextInt(name.equals(other) ? 4 : 6)) {
                case 0 -> names(client, from, to, state.getOrDefault(name, "ENOENT"), Kind.LOOK, name);
                case 1 -> {
                    names(client, from, to, unknown ? "?" : OK, Kind.PUT, name, "v" + i);
                    if (!unknown || random.nextBoolean()) state.put(name, "v" + i);
                }
                case 2 -> {
                    boolean there = state.containsKey(name);
                    names(client, from, to, unknown ? "?" : there ? OK : "ENOENT", Kind.REMOVE, name);
                    if (!unknown || random.nextBoolean()) state.remove(name);
                }
                case 3 -> {
                    if (random.nextInt(10) == 0) stale = history.size();
                    names(client, from, to, "ENOENT", Kind.LOOK, "d");
                    if (stale < 0) stale = history.size() - 1;
                }
                case 4 -> {
                    boolean there = state.containsKey(name);
                    names(client, from, to, unknown ? "?" : there ? OK : "ENOENT", Kind.MOVE, name, other);
                    if (there && (!unknown || random.nextBoolean())) state.put(other, state.remove(name));
                }
                default -> {
                    boolean there = state.containsKey(name) && state.containsKey(other);
                    names(client, from, to, unknown ? "?" : there ? OK : "ENOENT", Kind.EXCHANGE, name, other);
                    if (there && (!unknown || random.nextBoolean()))
                        state.put(other, state.put(name, state.get(other)));
                }
            }
        }
        return stale;
    }
}
