// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.util.Arrays;

/**
 * One of the network's authorities, the present one or an earlier one. The state keeps them all, so that a pod that slept
 * through changes can follow from the one that it knows to the newest.
 *
 * @param number counts authorities from 1
 * @param sinceNanos when it became one, since the epoch: the stamp of its entry, a label for people
 * @param droppedNanos when what it issued stopped counting; 0 while it counts
 * @param certificate its own, DER
 * @param publicKey of the certificate, SubjectPublicKeyInfo
 * @param link a certificate of the same key, issued by the authority before it, DER; empty for the first one
 */
@SuppressWarnings("ArrayRecordComponent")
public record AuthorityRecord(
        int number, long sinceNanos, long droppedNanos, byte[] certificate, byte[] publicKey, byte[] link) {
    /** Authorities in a network's life: a rotation every month for 20 years. */
    public static final int COUNT_MAX = 240;

    public static final int CERTIFICATE_BYTES_MAX = 4096;

    /** Whether certificates that it issued count. */
    public boolean isTrusted() {
        return droppedNanos == 0;
    }

    AuthorityRecord dropped(long nanos) {
        return new AuthorityRecord(number, sinceNanos, Math.max(1, nanos), certificate, publicKey, link);
    }

    byte[] encode() {
        return new ByteSink(1024)
                .u8(Rows.FORMAT)
                .i64(sinceNanos)
                .i64(droppedNanos)
                .blob(certificate)
                .blob(publicKey)
                .blob(link)
                .toBytes();
    }

    static AuthorityRecord decode(int number, byte[] row) {
        Rows.checkFormat(row, Rows.FORMAT);
        try {
            var from = new ByteSource(row, 1, row.length);
            return new AuthorityRecord(number, from.i64(), from.i64(), from.blob(), from.blob(), from.blob());
        } catch (MalformedEntryException e) {
            throw new IllegalStateException("row of an authority", e);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof AuthorityRecord(var n, var s, var d, var c, var p, var l)
                && number == n
                && sinceNanos == s
                && droppedNanos == d
                && Arrays.equals(certificate, c)
                && Arrays.equals(publicKey, p)
                && Arrays.equals(link, l);
    }

    @Override
    public int hashCode() {
        return 31 * number + Arrays.hashCode(certificate);
    }
}
