// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Administrators, their invitations, and who joins with them: so that each use counts once, whichever pods are asked. */
final class InvitationChanges {
    private static final Outcome DONE = new Outcome.Done(0);

    private final Working state;
    private final MemberChanges members;
    private final @Nullable Incarnation proposer;

    /** @param proposer the pod whose session the commands come in; null: in none */
    InvitationChanges(Working state, MemberChanges members, @Nullable Incarnation proposer) {
        this.state = state;
        this.members = members;
        this.proposer = proposer;
    }

    private static Outcome refused(Errno errno) {
        return new Outcome.Refused(errno);
    }

    // ---- administrators

    private boolean isAdministrator(Incarnation pod) {
        return state.get(Keys.of(Keys.ADMINISTRATOR, pod.number())) != null;
    }

    private boolean proposerIsAdministrator() {
        return proposer != null && isAdministrator(proposer);
    }

    private int administrators() {
        int[] count = new int[1];
        state.scan(Keys.table(Keys.ADMINISTRATOR), (_, _) -> {
            count[0]++;
            return true;
        });
        return count[0];
    }

    /**
     * Once a network has administrators, they alone change its configuration and its other pods; each pod may say of itself that
     * it changes or goes.
     */
    boolean permits(Command command) {
        return switch (command) {
            case Command.Configure _ -> administers();
            case Command.RemovePod c -> c.incarnation().equals(proposer) || administers();
            case Command.SetDraining c -> c.incarnation().equals(proposer) || administers();
            case Command.UpdatePod c -> c.incarnation().equals(proposer) || administers();
            default -> true;
        };
    }

    boolean hasAdministrators() {
        return administrators() > 0;
    }

    private boolean administers() {
        return proposerIsAdministrator() || administrators() == 0;
    }

    Outcome setAdministrator(Command.SetAdministrator c) {
        int count = administrators();
        // The founder names itself; from then on administrators name each other.
        if (!(proposerIsAdministrator() || count == 0 && c.incarnation().equals(proposer))) return refused(Errno.EPERM);
        if (!state.isMember(c.incarnation().number())) return refused(Errno.ENOENT);
        byte[] key = Keys.of(Keys.ADMINISTRATOR, c.incarnation().number());
        if (c.administrator()) state.put(key, Rows.MARK);
        else if (state.get(key) != null) {
            if (count == 1) return refused(Errno.EBUSY);
            state.remove(key);
        }
        state.changes.add(new Change.PodsChanged());
        return DONE;
    }

    // ---- invitations

    private static byte[] key(byte[] token) {
        return Keys.of(Keys.INVITATION, token);
    }

    Outcome invite(Command.Invite c) {
        if (!proposerIsAdministrator() || proposer == null) return refused(Errno.EPERM);
        if (c.uses() < 1 || c.uses() > Invitation.USES_MAX || c.expiresMillis() <= c.nowMillis())
            return refused(Errno.EINVAL);
        if (!c.name().isEmpty() && !MemberChanges.isName(c.name())) return refused(Errno.EINVAL);
        if (c.replaces() && (c.name().isEmpty() || c.uses() != 1)) return refused(Errno.EINVAL);
        if (state.get(key(c.token())) != null) return refused(Errno.EEXIST);
        if (forgetExpired(c.nowMillis()) >= Invitation.COUNT_MAX) return refused(Errno.ENOSPC);
        var made = new Invitation(
                c.token(), c.uses(), c.expiresMillis(), c.asAdministrator(), c.replaces(), c.name(), proposer);
        state.put(key(c.token()), made.encode());
        return DONE;
    }

    /** How many are left. */
    private int forgetExpired(long nowMillis) {
        var expired = new ArrayList<byte[]>();
        int[] left = new int[1];
        state.scan(Keys.table(Keys.INVITATION), (key, row) -> {
            if (Invitation.decode(Keys.tail(key, 0), row).expiresMillis() <= nowMillis) expired.add(key);
            else left[0]++;
            return true;
        });
        for (byte[] key : expired) state.remove(key);
        return left[0];
    }

    Outcome withdraw(Command.Withdraw c) {
        if (!proposerIsAdministrator()) return refused(Errno.EPERM);
        if (state.get(key(c.token())) == null) return refused(Errno.ENOENT);
        state.remove(key(c.token()));
        return DONE;
    }

    // ---- joining

    Outcome join(Command.JoinPod c) {
        if (!proposerIsAdministrator()) return refused(Errno.EPERM);
        byte[] known = state.get(Keys.of(Keys.TOKEN, c.storeToken()));
        if (known != null) {
            long number = Rows.number(known, 0);
            byte[] podKey = state.get(Keys.of(Keys.POD_KEY, number));
            boolean same = podKey != null && Arrays.equals(Rows.opaqueValue(podKey), c.key());
            if (!same && state.isMember((int) number)) return refused(Errno.EEXIST);
            // Its answer was lost, perhaps; a use was counted then.
            return members.admit(new Command.AdmitPod(c.storeToken(), c.settings()));
        }
        Invitation invitation = null;
        if (c.token().length > 0) {
            byte[] row = state.get(key(c.token()));
            if (row == null) return refused(Errno.ENOENT);
            invitation = Invitation.decode(c.token(), row);
            if (invitation.expiresMillis() <= c.nowMillis()) return refused(Errno.ETIMEDOUT);
            if (invitation.usesLeft() == 0) return refused(Errno.EAGAIN);
            if (!invitation.name().isEmpty()
                    && !invitation.name().equals(c.settings().name())) return refused(Errno.EACCES);
        }
        if (invitation != null && invitation.replaces()) replace(c.settings().name());
        Outcome outcome = members.admit(new Command.AdmitPod(c.storeToken(), c.settings()));
        if (!(outcome instanceof Outcome.Done(long number))) return outcome;
        state.put(Keys.of(Keys.POD_KEY, number), Rows.opaque(c.key()));
        if (invitation != null) {
            state.put(key(c.token()), invitation.used().encode());
            if (invitation.administrator()) state.put(Keys.of(Keys.ADMINISTRATOR, number), Rows.MARK);
        }
        return outcome;
    }

    /** What it held counts as lost and is copied anew. The pod that was asked is there, so it is not replaced. */
    private void replace(String name) {
        for (Rows.PodRow pod : new ArrayList<>(state.pods.values())) {
            var record = pod.record();
            if (record.settings().name().equals(name) && !record.incarnation().equals(proposer))
                members.remove(new Command.RemovePod(record.incarnation(), true));
        }
    }
}
