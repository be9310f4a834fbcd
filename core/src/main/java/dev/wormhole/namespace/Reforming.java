// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.Set;

/**
 * The first change of a new generation of the log, made to the state that one pod has when the majority is lost for good. It
 * is no command: there is nobody to agree with.
 *
 * <p>A generation is one number: 1 for the one that the network was founded with; else how many there were, in the upper 32
 * bits, and a random number below, so that two that were begun apart from each other are never taken for one.
 *
 * @param generation the new one
 * @param by the pod that goes on, and whose state this is
 * @param dropped members that are none in the new generation
 * @param sameAuthority whether the network's authority goes on; else nothing that an earlier one issued counts, nor an
 *     invitation that was given out before
 * @param lastGranted incarnations up to this one are never granted again: the lost majority may have granted some that this
 *     pod has not heard of
 * @param record kept in the state and shown to whoever asks, {@link NamespaceView#reformings}
 * @param nanos the pod's clock, a label
 */
@SuppressWarnings("ArrayRecordComponent")
public record Reforming(
        long generation,
        Incarnation by,
        Set<Incarnation> dropped,
        boolean sameAuthority,
        int lastGranted,
        byte[] record,
        long nanos) {
    public static final long FIRST_GENERATION = 1;

    public Reforming {
        dropped = Set.copyOf(dropped);
    }

    /** How many generations there were, with this one. */
    public static long number(long generation) {
        return generation >>> 32 == 0 ? generation : generation >>> 32;
    }

    /** The generation that follows. */
    public static long after(long generation, int random) {
        return number(generation) + 1 << 32 | Integer.toUnsignedLong(random);
    }

    /**
     * Writes it, as one write of the table; the position in the log stays.
     *
     * @throws IllegalArgumentException if the state is no member's, or the generation does not follow the state's
     */
    public void apply(Table table) {
        TableView.Heads heads = TableView.read(table);
        if (number(generation) != number(heads.generation()) + 1)
            throw new IllegalArgumentException("generation " + generation + " does not follow " + heads.generation());
        if (!heads.pods().containsKey(by.number()) || dropped.contains(by))
            throw new IllegalArgumentException(by + " is no member that stays");
        var state = new Working(table, heads.appliedIndex(), nanos, heads.pods(), heads.totals());
        var content = new ContentChanges(state);
        var locks = new LockChanges(state, by);
        var tree = new TreeChanges(state, content, locks);
        var members = new MemberChanges(state, tree, content, locks);
        var audit = new Audit(state, by);
        var name = audit.proposerName();
        for (Incarnation pod : dropped) {
            var removal = new Command.RemovePod(pod, true);
            var intent = audit.intent(removal);
            if (members.remove(removal) instanceof Outcome.Done && intent != null) audit.note(intent, name);
        }
        for (Rows.PodRow pod : new ArrayList<>(state.pods.values()))
            if (pod.number() != by.number())
                state.putPod(new Rows.PodRow(pod.record().withPrompt(false), pod.token()), true);
        if (!sameAuthority)
            for (char each : new char[] {Keys.INVITATION, Keys.AUTHORITY, Keys.CERTIFICATE}) clear(state, each);
        byte[] granted = state.get(Keys.ALLOCATOR);
        long last = Math.max(granted == null ? 0 : Rows.number(granted, 0), lastGranted);
        state.put(Keys.ALLOCATOR, Rows.numbers(Math.min(last, Ids.ALLOCATOR_MAX)));
        state.put(Keys.of(Keys.ADMINISTRATOR, by.number()), Rows.MARK);
        state.put(Keys.GENERATION, Rows.numbers(generation));
        state.put(Keys.of(Keys.REFORMED, generation), Rows.opaque(record));
        audit.note(new Audit.Intent(AuditRecord.Act.REFORMED, "generation " + number(generation)), name);
        table.write(state.finish(heads.digest()).batch());
    }

    private static void clear(Working state, char table) {
        var gone = new ArrayList<byte[]>();
        state.scan(Keys.table(table), (key, _) -> gone.add(key));
        for (byte[] key : gone) state.remove(key);
    }
}
