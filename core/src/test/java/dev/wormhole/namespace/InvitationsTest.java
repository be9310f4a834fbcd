// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Administrators, invitations and who joins with them, as the log decides it. */
final class InvitationsTest {
    private static final Incarnation FIRST = new Incarnation(1);
    private static final long NOW = 1_700_000_000_000L;
    private static final long HOUR = 3_600_000;
    private static final byte[] NO_TOKEN = {};

    private final TestLog log = new TestLog();

    private static byte[] hash(int number) {
        byte[] hash = new byte[32];
        Arrays.fill(hash, (byte) number);
        hash[31] = (byte) (number >> 8);
        return hash;
    }

    private static Command.JoinPod join(int key, String name, byte[] token, long now) {
        var settings = new PodSettings(name, PodSettings.Role.STORAGE, false, "", List.of("a:1"), 1L << 40);
        return new Command.JoinPod(9000 + key, settings, hash(key), token, now);
    }

    private void administer() {
        log.done(new Command.SetAdministrator(FIRST, true));
    }

    private static Command.Invite invite(int token, int uses, String name) {
        return new Command.Invite(hash(token), uses, NOW + HOUR, false, name, NOW);
    }

    @Test
    void withoutAnAdministratorNobodyIsInvitedAndNobodyJoins() {
        log.refused(invite(1, 1, ""), Errno.EPERM);
        log.refused(new Command.Withdraw(hash(1)), Errno.EPERM);
        log.refused(join(1, "pod2", NO_TOKEN, NOW), Errno.EPERM);
        // Only the proposer itself, and only while there is none.
        Incarnation other = log.admit("other");
        log.refused(new Command.SetAdministrator(other, true), Errno.EPERM);
        administer();
        assertThat(log.view().administrators()).containsExactly(FIRST);
        log.refused(new Command.SetAdministrator(FIRST, false), Errno.EBUSY);
        log.done(new Command.SetAdministrator(other, true));
        log.refused(new Command.SetAdministrator(new Incarnation(77), true), Errno.ENOENT);
        log.done(new Command.SetAdministrator(FIRST, false));
        assertThat(log.view().administrators()).containsExactly(other);
        log.refused(invite(1, 1, ""), Errno.EPERM);
        log.refused(new Command.SetAdministrator(FIRST, true), Errno.EPERM);
        log.check();
    }

    /** A pod may change and leave by itself; all else is the administrators'. */
    @Test
    void onceThereAreAdministratorsOnlyTheyChangeTheNetwork() {
        Incarnation second = log.admit("second");
        Incarnation third = log.admit("third");
        log.done(new Command.Configure(0, "a"));
        administer();
        log.done(new Command.Configure(1, "b"));
        log.session = log.open(second, 1, 0);
        log.sequence = 0;
        log.refused(new Command.Configure(2, "c"), Errno.EPERM);
        log.refused(new Command.RemovePod(third, true), Errno.EPERM);
        log.refused(new Command.SetDraining(third, true), Errno.EPERM);
        var settings = new PodSettings("other", PodSettings.Role.STORAGE, false, "", List.of("b:1"), 1L << 40);
        log.refused(new Command.UpdatePod(third, settings), Errno.EPERM);
        log.done(new Command.UpdatePod(second, settings));
        log.done(new Command.SetDraining(second, true));
        log.done(new Command.RemovePod(second, true));
        assertThat(log.view().pods()).hasSize(2);
        log.check();
    }

    @Test
    void whatAdministratorsDoIsWrittenDownOnce() {
        log.done(new Command.Configure(0, "a")); // nobody administers yet
        administer();
        log.done(invite(1, 2, ""));
        log.refused(invite(1, 2, ""), Errno.EEXIST);
        log.done(join(1, "a", hash(1), NOW));
        log.done(join(1, "a", hash(1), NOW));
        log.done(new Command.Withdraw(hash(1)));
        log.done(new Command.Configure(1, "b"));
        log.done(new Command.RemovePod(new Incarnation(2), true));
        assertThat(log.view().audit(100))
                .extracting(each -> each.sequence() + " " + each.by() + " " + each.act() + " " + each.subject())
                .containsExactly(
                        "1 pod1 MADE_ADMINISTRATOR pod1",
                        "2 pod1 INVITED 01010101",
                        "3 pod1 LET_IN a",
                        "4 pod1 WITHDREW 01010101",
                        "5 pod1 CONFIGURED version 2",
                        "6 pod1 REMOVED a");
        assertThat(log.view().audit(2)).extracting(AuditRecord::sequence).containsExactly(5L, 6L);
        log.check();
    }

    @Test
    void theOldestActsMakeRoom() {
        administer();
        for (int i = 0; i < AuditRecord.COUNT_MAX + 3; i++) log.done(new Command.Configure(i, "a"));
        var kept = log.view().audit(Integer.MAX_VALUE);
        assertThat(kept).hasSize(AuditRecord.COUNT_MAX);
        assertThat(kept.getFirst().sequence()).isEqualTo(5);
        assertThat(kept.getLast().subject()).isEqualTo("version " + (AuditRecord.COUNT_MAX + 3));
        log.check();
    }

    @Test
    void eachUseCountsOnceAndTheLastOneIsTheLast() {
        administer();
        log.done(invite(1, 2, ""));
        log.refused(invite(1, 2, ""), Errno.EEXIST);
        assertThat(log.done(join(1, "a", hash(1), NOW))).isEqualTo(2);
        // Its answer was lost: asked again, it is the same pod, and no second use.
        assertThat(log.done(join(1, "a", hash(1), NOW))).isEqualTo(2);
        assertThat(log.view().invitation(hash(1)).usesLeft()).isEqualTo(1);
        assertThat(log.done(join(2, "b", hash(1), NOW))).isEqualTo(3);
        log.refused(join(3, "c", hash(1), NOW), Errno.EAGAIN);
        assertThat(log.done(join(2, "b", hash(1), NOW + 2 * HOUR))).isEqualTo(3);
        assertThat(log.view().lastGranted()).isEqualTo(3);
        log.check();
    }

    @Test
    void whatARefusedJoinTakesIsNothing() {
        administer();
        log.done(invite(1, 1, ""));
        log.refused(join(1, "pod1", hash(1), NOW), Errno.EEXIST);
        log.refused(join(1, "NOT A NAME", hash(1), NOW), Errno.EINVAL);
        assertThat(log.view().invitation(hash(1)).usesLeft()).isEqualTo(1);
        assertThat(log.done(join(1, "fine", hash(1), NOW))).isEqualTo(2);
    }

    @Test
    void anInvitationEndsByTimeByWithdrawalAndForOtherNames() {
        administer();
        log.done(invite(1, 9, ""));
        log.refused(join(1, "a", hash(1), NOW + HOUR), Errno.ETIMEDOUT);
        assertThat(log.done(join(1, "a", hash(1), NOW + HOUR - 1))).isEqualTo(2);
        log.done(new Command.Withdraw(hash(1)));
        log.refused(new Command.Withdraw(hash(1)), Errno.ENOENT);
        log.refused(join(2, "b", hash(1), NOW), Errno.ENOENT);
        log.done(invite(2, 1, "nas-2"));
        log.refused(join(2, "b", hash(2), NOW), Errno.EACCES);
        assertThat(log.done(join(2, "nas-2", hash(2), NOW))).isEqualTo(3);
        log.refused(new Command.Invite(hash(3), 1, NOW, false, "", NOW), Errno.EINVAL);
        log.refused(new Command.Invite(hash(3), 0, NOW + 1, false, "", NOW), Errno.EINVAL);
        log.refused(new Command.Invite(hash(3), Invitation.USES_MAX + 1, NOW + 1, false, "", NOW), Errno.EINVAL);
        log.refused(new Command.Invite(hash(3), 1, NOW + 1, false, "No Name", NOW), Errno.EINVAL);
        log.check();
    }

    @Test
    void aStoreTokenBelongsToTheKeyThatCameWithItFirst() {
        administer();
        log.done(join(1, "a", NO_TOKEN, NOW));
        var settings = new PodSettings("a", PodSettings.Role.STORAGE, false, "", List.of("a:1"), 1L << 40);
        log.refused(new Command.JoinPod(9001, settings, hash(2), NO_TOKEN, NOW), Errno.EEXIST);
        // Nor does anybody get the founder's answer, whose key the log has not.
        long founders = "pod1".hashCode() * 31L + 7;
        log.refused(new Command.JoinPod(founders, settings, hash(2), NO_TOKEN, NOW), Errno.EEXIST);
        // A pod that was removed does not come back with the same store.
        log.done(new Command.RemovePod(new Incarnation(2), true));
        log.refused(join(1, "a", NO_TOKEN, NOW), Errno.ESTALE);
        log.check();
    }

    @Test
    void whoJoinsAsAnAdministratorIsOneUntilItIsRemoved() {
        administer();
        log.done(new Command.Invite(hash(1), 1, NOW + HOUR, true, "", NOW));
        var second = new Incarnation((int) log.done(join(1, "a", hash(1), NOW)));
        assertThat(log.view().administrators()).containsExactly(FIRST, second);
        log.done(new Command.RemovePod(second, true));
        assertThat(log.view().administrators()).containsExactly(FIRST);
        log.check();
    }

    /** Its holder counts no more, and another invitation does none of that. */
    @Test
    void aPodIsReplacedByWhoHasAnInvitationForThat() {
        administer();
        var dead = new Incarnation((int) log.done(join(1, "nas", NO_TOKEN, NOW)));
        log.done(invite(1, 2, ""));
        log.done(invite(2, 1, "nas"));
        log.refused(join(2, "nas", hash(1), NOW), Errno.EEXIST);
        log.refused(join(2, "nas", hash(2), NOW), Errno.EEXIST);
        var file = log.file(TestLog.ROOT, "file");
        var slice = log.write(file, 0, 10, 1, FIRST, dead);
        log.refused(new Command.Invite(hash(3), 2, NOW + HOUR, false, true, "nas", NOW), Errno.EINVAL);
        log.refused(new Command.Invite(hash(3), 1, NOW + HOUR, false, true, "", NOW), Errno.EINVAL);
        log.done(new Command.Invite(hash(3), 1, NOW + HOUR, false, true, "nas", NOW));
        log.refused(join(2, "other", hash(3), NOW), Errno.EACCES);
        var next = new Incarnation((int) log.done(join(2, "nas", hash(3), NOW)));
        assertThat(log.view().pods()).extracting(PodRecord::incarnation).containsExactly(FIRST, next);
        assertThat(log.record(slice).holders())
                .extracting(SliceRecord.Holder::incarnation)
                .containsExactly(FIRST);
        // The dead one has its answer no more, and its successor has it once.
        log.refused(join(1, "nas", NO_TOKEN, NOW), Errno.ESTALE);
        assertThat(log.done(join(2, "nas", hash(3), NOW))).isEqualTo(next.number());
        log.refused(join(3, "nas", hash(3), NOW), Errno.EAGAIN);
        // The pod that decides is there.
        log.done(new Command.Invite(hash(4), 1, NOW + HOUR, false, true, "pod1", NOW));
        log.refused(join(4, "pod1", hash(4), NOW), Errno.EEXIST);
        log.check();
    }

    @Test
    void expiredInvitationsMakeRoomForNewOnes() {
        administer();
        for (int i = 0; i < Invitation.COUNT_MAX; i++) log.done(invite(i, 1, ""));
        log.refused(invite(Invitation.COUNT_MAX, 1, ""), Errno.ENOSPC);
        log.done(new Command.Invite(hash(Invitation.COUNT_MAX), 1, NOW + 2 * HOUR, false, "", NOW + HOUR));
        assertThat(log.view().invitations()).hasSize(1);
        log.check();
    }

    /** Random commands against a few lines that say what should be. */
    @Test
    void randomHistoriesCountAsAModelDoes() {
        for (int round = 0; round < 20; round++) {
            long seed = Long.getLong("seed", System.nanoTime()) + round;
            try {
                history(new Random(seed));
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + ": " + e.getMessage(), e);
            }
        }
    }

    private static void history(Random random) {
        var log = new TestLog();
        log.done(new Command.SetAdministrator(FIRST, true));
        record Row(int usesLeft, long expires) {}
        Map<Integer, Row> invitations = new TreeMap<>();
        Map<Integer, Long> members = new HashMap<>();
        Set<Integer> removed = new HashSet<>();
        long granted = 1;
        long now = NOW;
        for (int step = 0; step < 200; step++) {
            now += random.nextInt(1000);
            int token = random.nextInt(6);
            int key = random.nextInt(30);
            switch (random.nextInt(8)) {
                case 0, 1 -> {
                    int uses = 1 + random.nextInt(4);
                    long expires = now + 1 + random.nextInt(8000);
                    var command = new Command.Invite(hash(token), uses, expires, false, "", now);
                    if (invitations.containsKey(token)) {
                        log.refused(command, Errno.EEXIST);
                    } else {
                        log.done(command);
                        long at = now;
                        invitations.values().removeIf(row -> row.expires <= at);
                        invitations.put(token, new Row(uses, expires));
                    }
                }
                case 2 -> {
                    if (invitations.remove(token) != null) log.done(new Command.Withdraw(hash(token)));
                    else log.refused(new Command.Withdraw(hash(token)), Errno.ENOENT);
                }
                case 3 -> {
                    Long number = members.remove(key);
                    if (number == null) continue;
                    log.done(new Command.RemovePod(new Incarnation(number.intValue()), true));
                    removed.add(key);
                }
                default -> {
                    var command = join(key, "m" + key, hash(token), now);
                    var row = invitations.get(token);
                    if (members.containsKey(key)) assertThat(log.done(command)).isEqualTo(members.get(key));
                    else if (removed.contains(key)) log.refused(command, Errno.ESTALE);
                    else if (row == null) log.refused(command, Errno.ENOENT);
                    else if (row.expires <= now) log.refused(command, Errno.ETIMEDOUT);
                    else if (row.usesLeft == 0) log.refused(command, Errno.EAGAIN);
                    else {
                        assertThat(log.done(command)).isEqualTo(++granted);
                        members.put(key, granted);
                        invitations.put(token, new Row(row.usesLeft - 1, row.expires));
                    }
                }
            }
        }
        assertThat(log.view().invitations()).hasSize(invitations.size());
        invitations.forEach((token, row) ->
                assertThat(log.view().invitation(hash(token)).usesLeft()).isEqualTo(row.usesLeft));
        assertThat(log.view().lastGranted()).isEqualTo((int) granted);
        log.check();
    }
}
