// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.AuditRecord.Act;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/** Writes down who did what to the network, once it has administrators. */
final class Audit {
    /** An act that may be about to happen, named while what it is about is still there. */
    record Intent(Act act, String subject) {}

    private final Working state;
    private final @Nullable Incarnation proposer;

    Audit(Working state, @Nullable Incarnation proposer) {
        this.state = state;
        this.proposer = proposer;
    }

    /** Null for what is nobody's business: most commands. */
    @Nullable Intent intent(Command command) {
        return switch (command) {
            case Command.Invite c -> new Intent(Act.INVITED, id(c.token()));
            case Command.Withdraw c -> new Intent(Act.WITHDREW, id(c.token()));
            // Asked again, it is let in only once.
            case Command.JoinPod c ->
                state.get(Keys.of(Keys.TOKEN, c.storeToken())) != null
                        ? null
                        : new Intent(Act.LET_IN, c.settings().name());
            case Command.RemovePod c -> new Intent(Act.REMOVED, name(c.incarnation()));
            case Command.SetAdministrator c ->
                new Intent(c.administrator() ? Act.MADE_ADMINISTRATOR : Act.MADE_ORDINARY, name(c.incarnation()));
            case Command.Configure c -> new Intent(Act.CONFIGURED, "version " + (c.basedOn() + 1));
            case Command.TrustAuthority c -> new Intent(Act.TRUSTED_AUTHORITY, authority(c.number()));
            case Command.DropAuthority c -> new Intent(Act.DROPPED_AUTHORITY, authority(c.number()));
            case Command.Recertify c -> new Intent(Act.LET_BACK, name(c.incarnation()));
            case Command.ExportedAuthority c -> new Intent(Act.EXPORTED_AUTHORITY, authority(c.number()));
            case Command.ClaimAdministration _ -> new Intent(Act.CLAIMED_ADMINISTRATION, proposerName());
            default -> null;
        };
    }

    private static String authority(int number) {
        return "authority " + number;
    }

    private static String id(byte[] token) {
        return HexFormat.of().formatHex(token, 0, 4);
    }

    private String name(Incarnation pod) {
        Rows.PodRow row = state.pods.get(pod.number());
        return row == null ? pod.toString() : row.record().settings().name();
    }

    /** The act happened. The name of who asked is that of before it, so a pod that removes itself has one. */
    void note(Intent intent, String by) {
        byte[] last = state.get(Keys.AUDITED);
        long sequence = (last == null ? 0 : Rows.number(last, 0)) + 1;
        state.put(Keys.AUDITED, Rows.numbers(sequence));
        state.put(
                Keys.of(Keys.AUDIT, sequence),
                new AuditRecord(sequence, state.now, by, intent.act(), intent.subject()).encode());
        if (sequence > AuditRecord.COUNT_MAX) state.remove(Keys.of(Keys.AUDIT, sequence - AuditRecord.COUNT_MAX));
    }

    String proposerName() {
        return proposer == null ? "" : name(proposer);
    }
}
