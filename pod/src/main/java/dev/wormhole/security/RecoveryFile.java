// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.transfer.Messages;
import java.io.IOException;
import java.nio.CharBuffer;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;

/**
 * An authority's key under a passphrase, as text that can also be printed: PEM of a {@link PassphraseBox}. Layout:
 * {@code docs/formats/certificates.md}.
 */
public final class RecoveryFile {
    public static final int PASSPHRASE_CHARS_MIN = 8;
    public static final int PASSPHRASE_CHARS_MAX = 1024;
    /** Far above what one takes. */
    public static final int TEXT_MAX = 16 << 10;

    private static final String KIND = "WORMHOLE AUTHORITY";
    private static final int PARTS_BYTES_MAX = 4096;

    private RecoveryFile() {}

    /** Each time another text. The passphrase is not kept. */
    public static String seal(Authority authority, char[] passphrase) {
        var secret = plain(authority);
        try {
            return KeyFiles.toPem(KIND, PassphraseBox.seal(CharBuffer.wrap(passphrase), secret, new SecureRandom()));
        } finally {
            Arrays.fill(secret, (byte) 0);
        }
    }

    /** For tests of many: a passphrase that is tried quickly. */
    static String seal(Authority authority, char[] passphrase, int log2N) {
        return KeyFiles.toPem(
                KIND, PassphraseBox.seal(CharBuffer.wrap(passphrase), plain(authority), new SecureRandom(), log2N));
    }

    private static byte[] plain(Authority authority) {
        try {
            return Messages.writer()
                    .putBytes(authority.secretKey())
                    .putBytes(authority.certificate().getEncoded())
                    .toBytes();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("a certificate that cannot be written", e);
        }
    }

    /** @throws GeneralSecurityException with a reason for people, which repeats nothing of the text */
    public static Authority open(String text, char[] passphrase) throws GeneralSecurityException {
        if (text.length() > TEXT_MAX) throw new GeneralSecurityException("it is too large to be a recovery file");
        byte[] all;
        try {
            all = KeyFiles.fromPem(text, KIND);
        } catch (GeneralSecurityException e) {
            throw new GeneralSecurityException("it is no recovery file of Wormhole", e);
        }
        var plain = PassphraseBox.open(CharBuffer.wrap(passphrase), all)
                .orElseThrow(() -> new GeneralSecurityException("the passphrase is wrong, or the file is damaged"));
        try {
            var from = Messages.reader(plain);
            var key = from.getBytes(PARTS_BYTES_MAX);
            var certificate = KeyFiles.parse(from.getBytes(PARTS_BYTES_MAX));
            from.end();
            return Authority.of(key, certificate);
        } catch (IOException e) {
            throw new GeneralSecurityException("it holds something else", e);
        } finally {
            Arrays.fill(plain, (byte) 0);
        }
    }

    /** For a passphrase that stands on the first line of a text. @throws IllegalArgumentException with a reason for people */
    public static char[] checked(char[] passphrase) {
        if (passphrase.length < PASSPHRASE_CHARS_MIN || passphrase.length > PASSPHRASE_CHARS_MAX)
            throw new IllegalArgumentException(
                    "a passphrase has from " + PASSPHRASE_CHARS_MIN + " to " + PASSPHRASE_CHARS_MAX + " characters");
        return passphrase;
    }
}
