// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.text.Normalizer;
import java.util.Arrays;
import java.util.Optional;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.crypto.generators.SCrypt;

/**
 * A few secret bytes under a passphrase: scrypt makes the key, AES-256-GCM seals. Layout: version 1 (1 byte), log2 of scrypt's N
 * (1), r (1), p (1), salt (16), nonce (12), sealed bytes and tag. What stands before the nonce is authenticated too.
 */
public final class PassphraseBox {
    /** 32 MiB of memory for a third of a second: what a small pod can spare, and a guesser pays for each guess. */
    private static final int LOG2_N = 15;

    private static final int R = 8;
    private static final int P = 3;
    /** A file that asks for more was not made here: the machine is not to choke on it. */
    private static final int LOG2_N_MIN = 10, LOG2_N_MAX = 16, P_MAX = 4;

    private static final int SALT_BYTES = 16;
    private static final int NONCE_BYTES = 12;
    private static final int TAG_BYTES = 16;
    private static final int HEAD_BYTES = 4 + SALT_BYTES;

    private PassphraseBox() {}

    public static byte[] seal(CharSequence passphrase, byte[] secret, SecureRandom random) {
        return seal(passphrase, secret, random, LOG2_N);
    }

    static byte[] seal(CharSequence passphrase, byte[] secret, SecureRandom random, int log2N) {
        var box = ByteBuffer.allocate(HEAD_BYTES + NONCE_BYTES + secret.length + TAG_BYTES);
        var salt = new byte[SALT_BYTES];
        var nonce = new byte[NONCE_BYTES];
        random.nextBytes(salt);
        random.nextBytes(nonce);
        box.put((byte) 1)
                .put((byte) log2N)
                .put((byte) R)
                .put((byte) P)
                .put(salt)
                .put(nonce);
        try {
            box.put(cipher(Cipher.ENCRYPT_MODE, passphrase, box.array()).doFinal(secret));
            return box.array();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("sealing", e);
        }
    }

    /** Empty if it is another passphrase, or the box was changed. @throws GeneralSecurityException if it is no box */
    public static Optional<byte[]> open(CharSequence passphrase, byte[] box) throws GeneralSecurityException {
        boolean sound = box.length > HEAD_BYTES + NONCE_BYTES + TAG_BYTES
                && box[0] == 1
                && box[1] >= LOG2_N_MIN
                && box[1] <= LOG2_N_MAX
                && box[2] >= 1
                && box[2] <= R
                && box[3] >= 1
                && box[3] <= P_MAX;
        if (!sound) throw new GeneralSecurityException("it is damaged, or of a newer version");
        int head = HEAD_BYTES + NONCE_BYTES;
        try {
            return Optional.of(cipher(Cipher.DECRYPT_MODE, passphrase, box).doFinal(box, head, box.length - head));
        } catch (AEADBadTagException other) {
            return Optional.empty();
        }
    }

    private static Cipher cipher(int mode, CharSequence passphrase, byte[] box) throws GeneralSecurityException {
        // The same characters from every keyboard.
        var text = Normalizer.normalize(passphrase, Normalizer.Form.NFC).getBytes(StandardCharsets.UTF_8);
        var salt = Arrays.copyOfRange(box, 4, HEAD_BYTES);
        var key = SCrypt.generate(text, salt, 1 << box[1], box[2], box[3], 32);
        Arrays.fill(text, (byte) 0);
        var cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(
                mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(8 * TAG_BYTES, box, HEAD_BYTES, NONCE_BYTES));
        Arrays.fill(key, (byte) 0);
        cipher.updateAAD(box, 0, HEAD_BYTES);
        return cipher;
    }
}
