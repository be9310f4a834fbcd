// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Incarnation;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * An invitation that an administrator gave out.
 *
 * @param token hash of its token's public key, {@link #TOKEN_BYTES} bytes; lets nobody join
 * @param usesLeft how many pods may still join with it; 0: used up, and kept until it expires so that it is told apart from
 *     one that never was
 * @param expiresMillis since the epoch, by the clock of the administrator's pod that is asked
 * @param administrator who joins with it is an administrator too
 * @param replaces whoever has the name is removed when somebody joins with it
 * @param name what the pod that joins must be called; empty for any name
 * @param by the pod that gave it out
 */
@SuppressWarnings("ArrayRecordComponent")
public record Invitation(
        byte[] token,
        int usesLeft,
        long expiresMillis,
        boolean administrator,
        boolean replaces,
        String name,
        Incarnation by) {
    public static final int TOKEN_BYTES = 32;

    /** Invitations that are kept at most, those that are used up included. */
    public static final int COUNT_MAX = 1000;

    public static final int USES_MAX = 10_000;

    /** For people: the first 4 bytes of the token's hash, in hexadecimal digits. */
    public String id() {
        return HexFormat.of().formatHex(token, 0, 4);
    }

    byte[] encode() {
        return new ByteSink(32)
                .u8(Rows.FORMAT)
                .i32(usesLeft)
                .i64(expiresMillis)
                .u8(administrator ? 1 : 0)
                .u8(replaces ? 1 : 0)
                .i32(by.number())
                .text(name)
                .toBytes();
    }

    static Invitation decode(byte[] token, byte[] row) {
        Rows.checkFormat(row, Rows.FORMAT);
        try {
            var from = new ByteSource(row, 1, row.length);
            int usesLeft = from.i32();
            long expires = from.i64();
            boolean administrator = from.flag();
            boolean replaces = from.flag();
            Incarnation by = CommandCodec.incarnation(from);
            return new Invitation(token, usesLeft, expires, administrator, replaces, from.text(), by);
        } catch (MalformedEntryException e) {
            throw new IllegalStateException("row of an invitation", e);
        }
    }

    Invitation used() {
        return new Invitation(token, usesLeft - 1, expiresMillis, administrator, replaces, name, by);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Invitation(var t, var u, var e, var a, var r, var n, var b)
                && Arrays.equals(token, t)
                && usesLeft == u
                && expiresMillis == e
                && administrator == a
                && replaces == r
                && name.equals(n)
                && by.equals(b);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(token);
    }
}
