// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.Base64;
import org.bouncycastle.crypto.params.Ed25519PrivateKeyParameters;
import org.bouncycastle.crypto.params.Ed25519PublicKeyParameters;
import org.bouncycastle.crypto.signers.Ed25519Signer;

/**
 * An invitation in one word: a pin of the network's authority and a secret of 16 random bytes. From the secret comes an
 * Ed25519 key; the network keeps the hash of its public part, and who joins signs its request with the private part. So what
 * the network keeps, and what a pod is shown, lets nobody join; and what was signed fits no other request.
 *
 * <p>Immutable; {@link #toString} says nothing secret.
 */
public final class JoinToken {
    static final int PIN_BYTES = 16;
    private static final int SECRET_BYTES = 16;
    private static final int CHECK_BYTES = 3;
    private static final int VERSION = 1;
    private static final int BYTES = 1 + PIN_BYTES + SECRET_BYTES + CHECK_BYTES;
    private static final byte[] KEY_DOMAIN =
            "wormhole invitation 1".getBytes(java.nio.charset.StandardCharsets.US_ASCII);

    private final byte[] pin;
    private final byte[] secret;
    private final Ed25519PrivateKeyParameters key;

    private JoinToken(byte[] pin, byte[] secret) {
        this.pin = pin;
        this.secret = secret;
        this.key = new Ed25519PrivateKeyParameters(Keys.sha256(KEY_DOMAIN, secret), 0);
    }

    /** A new one. */
    public static JoinToken make(PublicKey authority) {
        var secret = new byte[SECRET_BYTES];
        new SecureRandom().nextBytes(secret);
        return new JoinToken(pin(authority), secret);
    }

    static byte[] pin(PublicKey authority) {
        return Arrays.copyOf(Keys.hash(authority), PIN_BYTES);
    }

    /** @throws IllegalArgumentException with a reason for people, which does not repeat the text */
    public static JoinToken parse(String text) {
        byte[] bytes;
        try {
            bytes = Base64.getUrlDecoder().decode(text.strip());
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("is no join token: it has characters that none has", e);
        }
        if (bytes.length != BYTES) throw new IllegalArgumentException("is no join token: it should have 48 characters");
        if (bytes[0] != VERSION) throw new IllegalArgumentException("is a join token of another version of Wormhole");
        var checked = BYTES - CHECK_BYTES;
        if (!Arrays.equals(check(bytes), 0, CHECK_BYTES, bytes, checked, BYTES))
            throw new IllegalArgumentException("is a join token with a wrong or missing character");
        return new JoinToken(
                Arrays.copyOfRange(bytes, 1, 1 + PIN_BYTES), Arrays.copyOfRange(bytes, 1 + PIN_BYTES, checked));
    }

    private static byte[] check(byte[] bytes) {
        return Keys.sha256(Arrays.copyOf(bytes, BYTES - CHECK_BYTES));
    }

    /** The secret word: 48 characters of A-Z, a-z, 0-9, - and _, the first one an A. */
    public String text() {
        var bytes = new byte[BYTES];
        bytes[0] = VERSION;
        System.arraycopy(pin, 0, bytes, 1, PIN_BYTES);
        System.arraycopy(secret, 0, bytes, 1 + PIN_BYTES, SECRET_BYTES);
        System.arraycopy(check(bytes), 0, bytes, BYTES - CHECK_BYTES, CHECK_BYTES);
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    byte[] pin() {
        return pin.clone();
    }

    /** Whether it is for the network of this authority. */
    public boolean pins(X509Certificate authority) {
        return MessageDigest.isEqual(pin, pin(authority.getPublicKey()));
    }

    /** What the network keeps of it: 32 bytes that let nobody join. */
    public byte[] id() {
        return id(publicKey());
    }

    static byte[] id(byte[] publicKey) {
        return Keys.sha256(publicKey);
    }

    byte[] publicKey() {
        return key.generatePublicKey().getEncoded();
    }

    byte[] sign(byte[] message) {
        var signer = new Ed25519Signer();
        signer.init(true, key);
        signer.update(message, 0, message.length);
        return signer.generateSignature();
    }

    static boolean verify(byte[] publicKey, byte[] message, byte[] signature) {
        if (publicKey.length != Ed25519PublicKeyParameters.KEY_SIZE
                || signature.length != Ed25519PrivateKeyParameters.SIGNATURE_SIZE) return false;
        try {
            var signer = new Ed25519Signer();
            signer.init(false, new Ed25519PublicKeyParameters(publicKey, 0));
            signer.update(message, 0, message.length);
            return signer.verifySignature(signature);
        } catch (IllegalArgumentException e) {
            return false; // no point of the curve
        }
    }

    @Override
    public String toString() {
        return "a join token";
    }
}
