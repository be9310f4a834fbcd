// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import dev.wormhole.testbed.Operation.Kind;
import dev.wormhole.testbed.Operation.Outcome;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Says whether what programs on several pods saw can have happened in a filesystem that keeps its promises. Pure: the same
 * answer for the same history.
 *
 * <p><b>Names</b> ({@code names:}, {@code once:}) and <b>content</b> ({@code file:}). There must be one order of all changes
 * that are answered, and of as many of those whose outcome is unknown as it takes, in which
 * <ul>
 *   <li>a change that was over before another began comes before it;
 *   <li>each does what it was answered: an exclusive creation of a name that is there does not succeed, a rename takes
 *       from one name and gives to another in one step;
 *   <li>each look, and each refusal, saw the state at one point of that order: not before a change that was over when it
 *       began, not after one that began when it was over.
 * </ul>
 * This is close-to-open. Two looks may see a change that is not answered yet, or not, in any order: it is acknowledged when no
 * pod answers otherwise any more, and until then some do. Strictly, names are linearizable: looks and refusals stand in that
 * order themselves, so once one has seen a change, all that begin later do. (Wing and Gong's search, with Lowe's memory of
 * where it has been.) Content is not in either mode: a program on the writing pod sees what is written before it is closed.
 *
 * <p><b>Logs.</b> Nothing torn, twice, or that nobody wrote; each append that was answered is there in each read that begins
 * afterwards; an append that was over before another one began stands before it; what was read is a beginning of what is read
 * later, for each client, and strictly for all of them.
 */
final class HistoryChecker {
    /** Beyond it a history is refused as too hard, which is no word about it: shorter lives of objects help. */
    private static final int STEPS_MAX = 300_000;

    private static final int TOLD_MAX = 20;

    private static final String ABSENT = "ENOENT";
    private static final String PRESENT = "EEXIST";

    private final boolean strict;
    private final List<String> findings = new ArrayList<>();

    private HistoryChecker(boolean strict) {
        this.strict = strict;
    }

    /**
     * Checks a whole history, of objects that were empty at its beginning.
     *
     * @return what cannot have happened, for people; empty if all of it can
     */
    static List<String> check(List<Operation> history, boolean strict) {
        var checker = new HistoryChecker(strict);
        var objects = new TreeMap<String, List<Operation>>();
        for (Operation operation : history)
            objects.computeIfAbsent(operation.object(), _ -> new ArrayList<>()).add(operation);
        objects.forEach((object, operations) -> {
            operations.sort(Comparator.comparingLong(Operation::invoked));
            if (object.startsWith("log:")) checker.log(object, operations);
            else checker.register(object, operations);
        });
        int more = checker.findings.size() - TOLD_MAX;
        if (more <= 0) return List.copyOf(checker.findings);
        var told = new ArrayList<>(checker.findings.subList(0, TOLD_MAX));
        told.add("and " + more + " more");
        return told;
    }

    // ---- names and content

    private void register(String object, List<Operation> operations) {
        boolean linear = strict && !object.startsWith("file:");
        Map<String, String> before = object.startsWith("file:") ? Map.of("v", "") : Map.of();
        var steps = new ArrayList<Operation>();
        var looks = new ArrayList<Operation>();
        for (Operation operation : operations) {
            if (operation.outcome() == Outcome.UNKNOWN && operation.isLook()) continue;
            boolean look = operation.isLook() || operation.outcome() == Outcome.REFUSED;
            (look && !linear ? looks : steps).add(operation);
        }
        if (object.startsWith("file:")) looks.removeIf(look -> steps.stream().anyMatch(put -> isUnderWay(put, look)));
        String stuck = new Search(steps, looks).run(before);
        if (stuck != null) findings.add(object + ": " + stuck);
    }

    /**
     * Whether a look found what its own pod was writing: there it lies over what others write meanwhile, until it is
     * committed, and so has no place among their changes yet.
     */
    private static boolean isUnderWay(Operation put, Operation look) {
        return put.pod() == look.pod()
                && put.arguments().get(1).equals(look.answer())
                && put.invoked() <= look.responded()
                && (put.outcome() == Outcome.UNKNOWN || !put.before(look));
    }

    /** What a change is answered in a state: {@link #ABSENT}, {@link #PRESENT}, or nothing when it is done. */
    private static String answer(Operation operation, Map<String, String> state) {
        List<String> names = operation.arguments();
        boolean there = state.containsKey(names.getFirst());
        return switch (operation.kind()) {
            case CREATE -> there ? PRESENT : "";
            case PUT -> "";
            case REMOVE, MOVE -> there ? "" : ABSENT;
            case MOVE_NEW -> !there ? ABSENT : state.containsKey(names.get(1)) ? PRESENT : "";
            case EXCHANGE -> there && state.containsKey(names.get(1)) ? "" : ABSENT;
            case LOOK, APPEND, READ -> throw new IllegalArgumentException("no change of a name: " + operation);
        };
    }

    /** Whether an answer is right in a state, for an unknown one: whether it can have been done. */
    private static boolean fits(Operation operation, Map<String, String> state) {
        String first = operation.arguments().getFirst();
        if (operation.outcome() == Outcome.REFUSED) return isRefused(operation, state);
        if (operation.kind() != Kind.LOOK) return answer(operation, state).isEmpty();
        return operation.outcome() == Outcome.DONE
                && state.containsKey(first)
                && operation.answer().equals(state.get(first));
    }

    /**
     * Whether a state has a reason for a refusal. One name is enough: the kernel looks at the two of a rename one after the
     * other.
     */
    private static boolean isRefused(Operation operation, Map<String, String> state) {
        if (operation.kind() == Kind.MOVE_NEW && operation.answer().equals(PRESENT))
            return state.containsKey(operation.arguments().get(1));
        if (operation.kind() == Kind.LOOK)
            return operation.answer().equals(ABSENT)
                    && !state.containsKey(operation.arguments().getFirst());
        return operation.answer().equals(answer(operation, state));
    }

    /**
     * The kernel looks at a rename's two names one after the other. If another pod moves the file from the first to the second in
     * between, it finds one inode under both, and succeeds without asking anybody, as for two links of one file.
     */
    private static boolean foundOneInode(Operation operation, Map<String, String> state) {
        return (operation.kind() == Kind.MOVE || operation.kind() == Kind.EXCHANGE)
                && operation.outcome() == Outcome.DONE
                && !state.containsKey(operation.arguments().getFirst())
                && state.containsKey(operation.arguments().get(1));
    }

    /** The state after it, if it can have been answered so in this one. */
    private static @Nullable Map<String, String> after(Operation operation, Map<String, String> state) {
        if (foundOneInode(operation, state)) return state;
        if (!fits(operation, state)) return null;
        if (operation.isLook() || operation.outcome() == Outcome.REFUSED) return state;
        var next = new HashMap<>(state);
        String first = operation.arguments().getFirst();
        String second = operation.arguments().size() > 1 ? operation.arguments().get(1) : "";
        switch (operation.kind()) {
            case CREATE, PUT -> next.put(first, second);
            case REMOVE -> next.remove(first);
            case MOVE, MOVE_NEW -> next.put(second, next.remove(first));
            case EXCHANGE -> next.put(second, next.put(first, next.get(second)));
            case LOOK, APPEND, READ -> throw new IllegalStateException("no change: " + operation);
        }
        return next;
    }

    /** Looks for an order of steps, with a place for each look. */
    private static final class Search {
        private record Place(BitSet done, BitSet seen, Map<String, String> state) {}

        private final List<Operation> steps;
        private final List<Operation> looks;
        /** For each look the steps that were over when it began. */
        private final List<BitSet> required = new ArrayList<>();

        private final BitSet definite = new BitSet();
        private final Set<Place> been = new HashSet<>();
        private Place furthest = new Place(new BitSet(), new BitSet(), Map.of());

        Search(List<Operation> steps, List<Operation> looks) {
            this.steps = steps;
            this.looks = looks;
            for (int i = 0; i < steps.size(); i++) if (steps.get(i).outcome() != Outcome.UNKNOWN) definite.set(i);
            for (Operation look : looks) {
                var over = new BitSet();
                for (int i = definite.nextSetBit(0); i >= 0; i = definite.nextSetBit(i + 1))
                    if (steps.get(i).before(look)) over.set(i);
                required.add(over);
            }
        }

        /** @return null if there is an order, else where it gets stuck, for people */
        @Nullable String run(Map<String, String> before) {
            // without recursion: a long history would be a deep one
            var ways = new java.util.ArrayDeque<Place>();
            ways.push(new Place(new BitSet(), new BitSet(), before));
            while (!ways.isEmpty()) {
                Place place = look(ways.pop());
                if (isWhole(place)) return null;
                if (!been.add(place)) continue;
                if (been.size() > STEPS_MAX)
                    throw new IllegalStateException("too hard to check: " + steps.size() + " changes and "
                            + looks.size() + " looks, " + (steps.size() - definite.cardinality()) + " unknown");
                if (size(place) >= size(furthest)) furthest = place;
                var next = next(place);
                for (int i = next.size() - 1; i >= 0; i--) ways.push(next.get(i)); // the earliest is tried first
            }
            return stuck();
        }

        private static int size(Place place) {
            return place.done.cardinality() + place.seen.cardinality();
        }

        private boolean isWhole(Place place) {
            if (place.seen.cardinality() < looks.size()) return false;
            var left = (BitSet) definite.clone();
            left.andNot(place.done);
            return left.isEmpty();
        }

        /** Gives all looks that can have been at this place theirs: no later one is better. */
        private Place look(Place place) {
            var seen = (BitSet) place.seen.clone();
            for (int i = seen.nextClearBit(0); i < looks.size(); i = seen.nextClearBit(i + 1)) {
                var open = (BitSet) required.get(i).clone();
                open.andNot(place.done);
                if (open.isEmpty() && fits(looks.get(i), place.state)) seen.set(i);
            }
            return new Place(place.done, seen, place.state);
        }

        private List<Place> next(Place place) {
            long over = Long.MAX_VALUE;
            for (int i = definite.nextSetBit(0); i >= 0; i = definite.nextSetBit(i + 1))
                if (!place.done.get(i)) over = Math.min(over, steps.get(i).responded());
            for (int i = place.seen.nextClearBit(0); i < looks.size(); i = place.seen.nextClearBit(i + 1))
                over = Math.min(over, looks.get(i).responded());
            var next = new ArrayList<Place>();
            for (int i = place.done.nextClearBit(0); i < steps.size(); i = place.done.nextClearBit(i + 1)) {
                Operation step = steps.get(i);
                if (step.invoked() > over) break; // they are in order of their beginnings
                var state = after(step, place.state);
                if (state == null) continue;
                var done = (BitSet) place.done.clone();
                done.set(i);
                next.add(new Place(done, place.seen, state));
            }
            return next;
        }

        private String stuck() {
            var text = new StringBuilder(
                    "no order of %d changes explains what %d looks and refusals saw. The longest has %d"
                                    .formatted(steps.size(), looks.size(), size(furthest))
                            + " and ends with " + new TreeMap<>(furthest.state) + "; then none of these can be next:");
            int told = 0;
            for (int i = furthest.seen.nextClearBit(0);
                    i < looks.size() && told < 5;
                    i = furthest.seen.nextClearBit(i + 1)) {
                text.append("\n  ").append(looks.get(i));
                told++;
            }
            for (int i = furthest.done.nextClearBit(0);
                    i < steps.size() && told < 12;
                    i = furthest.done.nextClearBit(i + 1)) {
                text.append("\n  ").append(steps.get(i));
                told++;
            }
            text.append("\n after these, in the order in which they began:");
            int from = Math.max(0, furthest.done.length() - 25);
            for (int i = furthest.done.nextSetBit(from); i >= 0; i = furthest.done.nextSetBit(i + 1))
                text.append("\n  ").append(steps.get(i));
            return text.toString();
        }
    }

    // ---- logs

    private void log(String object, List<Operation> operations) {
        var appends = new HashMap<String, Operation>();
        var reads = new ArrayList<Operation>();
        for (Operation operation : operations) {
            if (operation.kind() == Kind.APPEND) {
                if (appends.put(operation.arguments().getFirst(), operation) != null)
                    throw new IllegalArgumentException("two appends of one item: " + operation);
            } else if (operation.outcome() == Outcome.DONE) {
                reads.add(operation);
            }
        }
        List<String> longest = List.of();
        for (Operation read : reads) {
            List<String> items = items(read);
            if (items.size() > longest.size()) longest = items;
            one(object, read, items, appends);
        }
        for (Operation read : reads) {
            List<String> items = items(read);
            if (!items.equals(longest.subList(0, items.size())))
                findings.add(
                        object + ": no beginning of what another read found: " + read + "\n  the other: " + longest);
        }
        order(object, longest, appends);
        sessions(object, reads);
    }

    private static List<String> items(Operation read) {
        return read.answer().isEmpty() ? List.of() : List.of(read.answer().split(" "));
    }

    private void one(String object, Operation read, List<String> items, Map<String, Operation> appends) {
        var found = new HashSet<String>();
        for (String item : items) {
            Operation append = appends.get(item);
            if (append == null) findings.add(object + ": '" + item + "' was never written, found by " + read);
            else if (read.before(append)) findings.add(object + ": '" + item + "' was written later, found by " + read);
            else if (append.outcome() == Outcome.REFUSED)
                findings.add(object + ": '" + item + "' was refused, found by " + read);
            if (!found.add(item)) findings.add(object + ": '" + item + "' is there twice, found by " + read);
        }
        for (Operation append : appends.values())
            if (append.outcome() == Outcome.DONE
                    && append.before(read)
                    && !found.contains(append.arguments().getFirst()))
                findings.add(object + ": lost: " + append + "\n  not found by " + read);
    }

    private void order(String object, List<String> items, Map<String, Operation> appends) {
        var behind = new ArrayList<Operation>();
        for (String item : items.reversed()) {
            Operation append = appends.get(item);
            if (append == null) continue;
            for (Operation later : behind)
                if (later.outcome() == Outcome.DONE && later.before(append))
                    findings.add(object + ": " + append + "\n  stands before what was over when it began: " + later);
            behind.add(append);
        }
    }

    /** By length: that one is a beginning of the other was looked at before. */
    private void sessions(String object, List<Operation> reads) {
        for (int i = 0; i < reads.size(); i++)
            for (int k = i + 1; k < reads.size(); k++) {
                Operation first = reads.get(i);
                Operation then = reads.get(k);
                if ((strict || first.client() == then.client())
                        && first.before(then)
                        && items(then).size() < items(first).size())
                    findings.add(object + ": read after " + first + "\n  and found less: " + then);
            }
    }
}
