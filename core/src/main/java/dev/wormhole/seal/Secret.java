// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.seal;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.random.RandomGenerator;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** 256 secret bits. Each use takes a secret of its own from it, so that no key serves two algorithms. Never printed. */
public final class Secret {
    public static final int BYTES = 32;

    private final byte[] bytes;

    private Secret(byte[] bytes) {
        this.bytes = bytes;
    }

    /** @throws IllegalArgumentException unless they are {@value #BYTES} */
    public static Secret of(byte[] bytes) {
        if (bytes.length != BYTES) throw new IllegalArgumentException("secret of " + bytes.length + " bytes");
        return new Secret(bytes.clone());
    }

    /** @param random unpredictable */
    public static Secret make(RandomGenerator random) {
        byte[] bytes = new byte[BYTES];
        random.nextBytes(bytes);
        return new Secret(bytes);
    }

    /** The secret for one purpose: HMAC-SHA256 of its name. */
    public Secret derive(String purpose) {
        return new Secret(mac(bytes).doFinal(purpose.getBytes(StandardCharsets.US_ASCII)));
    }

    /** To be wrapped, sent or used as a key, and not kept. */
    public byte[] bytes() {
        return bytes.clone();
    }

    static Mac mac(byte[] key) {
        try {
            var mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this Java has no HmacSHA256", e);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Secret secret && java.security.MessageDigest.isEqual(bytes, secret.bytes);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(bytes);
    }

    @Override
    public String toString() {
        return "secret";
    }
}
