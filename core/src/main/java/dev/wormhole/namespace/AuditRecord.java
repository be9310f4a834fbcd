// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

/**
 * One act of administration, as the network remembers it.
 *
 * @param sequence counts acts from 1, without gaps
 * @param nanos when, since the epoch: the stamp of its entry, a label for people
 * @param by name of the pod that asked for it, as it was called then
 * @param subject what it was done to: a pod's name, an invitation's id, a version of the configuration
 */
public record AuditRecord(long sequence, long nanos, String by, Act act, String subject) {
    /** Records that are kept; older ones go. */
    public static final int COUNT_MAX = 10_000;

    /** Constants are only ever added, at the end: their places are part of the format. */
    public enum Act {
        INVITED,
        WITHDREW,
        LET_IN,
        REMOVED,
        MADE_ADMINISTRATOR,
        MADE_ORDINARY,
        CONFIGURED,
        TRUSTED_AUTHORITY,
        DROPPED_AUTHORITY,
        LET_BACK,
        EXPORTED_AUTHORITY,
        CLAIMED_ADMINISTRATION,
        REFORMED
    }

    private static final Act[] ACTS = Act.values();

    byte[] encode() {
        return new ByteSink(64)
                .u8(Rows.FORMAT)
                .i64(nanos)
                .u8(act.ordinal())
                .text(by)
                .text(subject)
                .toBytes();
    }

    static AuditRecord decode(long sequence, byte[] row) {
        Rows.checkFormat(row, Rows.FORMAT);
        try {
            var from = new ByteSource(row, 1, row.length);
            long nanos = from.i64();
            Act act = from.constant(ACTS);
            return new AuditRecord(sequence, nanos, from.text(), act, from.text());
        } catch (MalformedEntryException e) {
            throw new IllegalStateException("row of the audit log", e);
        }
    }
}
