// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.transfer.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.text.Normalizer;
import java.util.Arrays;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.crypto.generators.SCrypt;

/**
 * An authority's key under a passphrase, as text that can also be printed: scrypt makes the key of AES-256-GCM. Layout:
 * {@code docs/formats/certificates.md}.
 */
public final class RecoveryFile {
    public static final int PASSPHRASE_CHARS_MIN = 8;
    public static final int PASSPHRASE_CHARS_MAX = 1024;
    /** Far above what one takes. */
    public static final int TEXT_MAX = 16 << 10;

    private static final String KIND = "WORMHOLE AUTHORITY";
    private static final int VERSION = 1;
    private static final int SALT_BYTES = 16;
    private static final int NONCE_BYTES = 12;
    private static final int TAG_BITS = 128;
    private static final int HEAD_BYTES = 4 + SALT_BYTES + NONCE_BYTES;
    private static final int PARTS_BYTES_MAX = 4096;

    /** 32 MiB, which a daemon has, three times: as costly for who tries many as 128 MiB once. */
    private static final int LOG_N = 15;

    private static final int R = 8;
    private static final int P = 3;
    /** What is accepted: no file makes this program take more than 64 MiB. */
    private static final int LOG_N_MIN = 10, LOG_N_MAX = 16, R_MAX = 8, P_MAX = 4;

    private RecoveryFile() {}

    /** Each time another text. The passphrase is not kept. */
    public static String seal(Authority authority, char[] passphrase) {
        return seal(authority, passphrase, LOG_N);
    }

    static String seal(Authority authority, char[] passphrase, int logN) {
        var random = new SecureRandom();
        var salt = new byte[SALT_BYTES];
        var nonce = new byte[NONCE_BYTES];
        random.nextBytes(salt);
        random.nextBytes(nonce);
        var head = ByteBuffer.allocate(HEAD_BYTES)
                .put((byte) VERSION)
                .put((byte) logN)
                .put((byte) R)
                .put((byte) P)
                .put(salt)
                .put(nonce)
                .array();
        try {
            var plain = Messages.writer()
                    .putBytes(authority.secretKey())
                    .putBytes(authority.certificate().getEncoded())
                    .toBytes();
            var sealed = cipher(Cipher.ENCRYPT_MODE, head, passphrase).doFinal(plain);
            Arrays.fill(plain, (byte) 0);
            var all = ByteBuffer.allocate(HEAD_BYTES + sealed.length).put(head).put(sealed);
            return KeyFiles.toPem(KIND, all.array());
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK has no AES-GCM", e);
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
        if (all.length < HEAD_BYTES + TAG_BITS / 8) throw new GeneralSecurityException("it is cut off");
        if (all[0] != VERSION)
            throw new GeneralSecurityException("it is of another version of Wormhole (" + (all[0] & 0xff) + ")");
        var head = Arrays.copyOf(all, HEAD_BYTES);
        if (head[1] < LOG_N_MIN
                || head[1] > LOG_N_MAX
                || head[2] < 1
                || head[2] > R_MAX
                || head[3] < 1
                || head[3] > P_MAX) throw new GeneralSecurityException("it is damaged");
        byte[] plain;
        try {
            plain = cipher(Cipher.DECRYPT_MODE, head, passphrase).doFinal(all, HEAD_BYTES, all.length - HEAD_BYTES);
        } catch (AEADBadTagException e) {
            throw new GeneralSecurityException("the passphrase is wrong, or the file is damaged", e);
        }
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

    private static Cipher cipher(int mode, byte[] head, char[] passphrase) throws GeneralSecurityException {
        // The same passphrase typed on another machine may come in other characters.
        var normal = Normalizer.normalize(CharBuffer.wrap(passphrase), Normalizer.Form.NFC);
        var bytes = normal.getBytes(StandardCharsets.UTF_8);
        var salt = Arrays.copyOfRange(head, 4, 4 + SALT_BYTES);
        var key = SCrypt.generate(bytes, salt, 1 << head[1], head[2], head[3], 32);
        Arrays.fill(bytes, (byte) 0);
        var cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(
                mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(TAG_BITS, head, 4 + SALT_BYTES, NONCE_BYTES));
        cipher.updateAAD(head);
        Arrays.fill(key, (byte) 0);
        return cipher;
    }

    /** For a passphrase that stands on the first line of a text. @throws IllegalArgumentException with a reason for people */
    public static char[] checked(char[] passphrase) {
        if (passphrase.length < PASSPHRASE_CHARS_MIN || passphrase.length > PASSPHRASE_CHARS_MAX)
            throw new IllegalArgumentException(
                    "a passphrase has from " + PASSPHRASE_CHARS_MIN + " to " + PASSPHRASE_CHARS_MAX + " characters");
        return passphrase;
    }
}
