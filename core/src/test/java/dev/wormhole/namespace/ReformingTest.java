// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The first change of a generation, and what it means for entries of both. */
final class ReformingTest {
    private static final Incarnation FIRST = new Incarnation(1);
    private static final byte[] RECORD = {1, 2, 3};

    private final TestLog log = new TestLog();
    private final Incarnation second = log.admit("second");
    private final Incarnation third = log.admit("third");

    private static Reforming reforming(long generation, Incarnation by, Incarnation... dropped) {
        return new Reforming(generation, by, Set.of(dropped), true, 5000, RECORD, 1_000);
    }

    @Test
    void generationsAreCountedAndToldApart() {
        assertThat(Reforming.number(1)).isEqualTo(1);
        long one = Reforming.after(1, -1);
        long other = Reforming.after(1, 7);
        assertThat(Reforming.number(one)).isEqualTo(2);
        assertThat(Reforming.number(other)).isEqualTo(2);
        assertThat(one).isNotEqualTo(other).isPositive();
        long next = Reforming.after(one, 0);
        assertThat(Reforming.number(next)).isEqualTo(3);
        assertThat(next).isGreaterThan(one);
    }

    @Test
    void filesStayAndTheLostAreNoMembers() {
        log.done(new Command.SetAdministrator(FIRST, true));
        var file = log.file(TestLog.ROOT, "file");
        var shared = log.write(file, 0, 100, 1, FIRST, second, third);
        var lost = log.write(file, 100, 100, 1, FIRST);
        log.done(new Command.Invite(new byte[32], 1, 2_000, false, "", 1_000));
        long generation = Reforming.after(1, 42);
        long digest = log.namespace.digest();
        reforming(generation, third, FIRST).apply(log.table);
        var namespace = new Namespace(log.table);
        log.check();
        var view = namespace.view();
        assertThat(namespace.generation()).isEqualTo(generation);
        assertThat(namespace.digest()).isNotEqualTo(digest);
        assertThat(view.appliedIndex()).isEqualTo(log.index);
        assertThat(view.pods()).extracting(PodRecord::incarnation).containsExactly(second, third);
        assertThat(view.administrators()).containsExactly(third);
        assertThat(view.extents(file, 0, 200)).hasSize(2);
        assertThat(Objects.requireNonNull(view.slice(shared)).holders())
                .extracting(SliceRecord.Holder::incarnation)
                .containsExactly(second, third);
        assertThat(Objects.requireNonNull(view.slice(lost)).holders()).isEmpty();
        assertThat(view.invitations()).hasSize(1);
        assertThat(view.reformings()).containsExactly(RECORD);
        assertThat(view.audit(1).getFirst())
                .returns("third", AuditRecord::by)
                .returns(AuditRecord.Act.REFORMED, AuditRecord::act);

        // What the lost majority granted meanwhile is granted to nobody else.
        assertThat(view.lastGranted()).isEqualTo(5000);
        log.namespace = namespace;
        var open = entry(generation, new Command.OpenSession(third, 1, 0));
        assertThat(log.apply(open).status()).isEqualTo(Applied.Status.FRESH);
        var old = entry(1, new Command.OpenSession(second, 1, 0));
        assertThat(log.apply(old).status()).isEqualTo(Applied.Status.WRONG_GENERATION);
        log.check();
    }

    private static Entry entry(long generation, Command command) {
        return Entry.withoutSession(generation, 1_000, List.of(command));
    }

    @Test
    void invitationsOfAnAuthorityThatIsLostLetNobodyIn() {
        log.done(new Command.SetAdministrator(FIRST, true));
        log.done(new Command.Invite(new byte[32], 1, 2_000, false, "", 1_000));
        new Reforming(Reforming.after(1, 1), second, Set.of(FIRST, third), false, 0, RECORD, 1_000).apply(log.table);
        var view = new Namespace(log.table).view();
        assertThat(view.invitations()).isEmpty();
        assertThat(view.lastGranted()).isEqualTo(3);
        log.check();
    }

    @Test
    void onlyAMemberThatStaysBeginsTheNextGeneration() {
        long generation = Reforming.after(1, 1);
        assertThatThrownBy(() -> reforming(generation, new Incarnation(9)).apply(log.table))
                .hasMessageContaining("no member that stays");
        assertThatThrownBy(() -> reforming(generation, second, second).apply(log.table))
                .hasMessageContaining("no member that stays");
        assertThatThrownBy(
                        () -> reforming(Reforming.after(generation, 1), second).apply(log.table))
                .hasMessageContaining("does not follow");
        assertThat(new Namespace(log.table).generation()).isEqualTo(1);
        reforming(generation, second).apply(log.table);
        assertThatThrownBy(() -> reforming(generation, second).apply(log.table))
                .hasMessageContaining("does not follow");
        reforming(Reforming.after(generation, 2), third).apply(log.table);
        assertThat(new Namespace(log.table).view().reformings()).hasSize(2);
        log.check();
    }
}
