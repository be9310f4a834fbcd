// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.util.HexFormat;

/** The keys that Wormhole uses: EC on the curve P-256, which every TLS library takes. */
public final class Keys {
    static final String CURVE = "secp256r1";
    static final String SIGNATURE = "SHA256withECDSA";

    private Keys() {}

    /** A fresh key pair. */
    public static KeyPair generate() {
        try {
            var generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(new ECGenParameterSpec(CURVE));
            return generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK makes no P-256 keys", e);
        }
    }

    static boolean isOurs(PublicKey key) {
        if (!(key instanceof ECPublicKey ec)) return false;
        try {
            var parameters = AlgorithmParameters.getInstance("EC");
            parameters.init(new ECGenParameterSpec(CURVE));
            var p256 = parameters.getParameterSpec(ECParameterSpec.class);
            return ec.getParams().getCurve().equals(p256.getCurve())
                    && ec.getParams().getOrder().equals(p256.getOrder())
                    && ec.getParams().getGenerator().equals(p256.getGenerator());
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK knows no P-256", e);
        }
    }

    /** SHA-256 of the key as X.509 writes it (SubjectPublicKeyInfo): 32 bytes that name it for ever. */
    public static byte[] hash(PublicKey key) {
        return sha256(key.getEncoded());
    }

    static byte[] sha256(byte[]... parts) {
        try {
            var digest = MessageDigest.getInstance("SHA-256");
            for (var part : parts) digest.update(part);
            return digest.digest();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK has no SHA-256", e);
        }
    }

    /** For people: the first 16 bytes of {@link #hash}, which a join token pins too, in groups of four digits. */
    public static String fingerprint(PublicKey authority) {
        return HexFormat.of().formatHex(hash(authority), 0, JoinToken.PIN_BYTES).replaceAll("(.{4})(?!$)", "$1-");
    }

    /**
     * For two people to compare, so that both the machine and the network are the ones they mean: the first 8 bytes of
     * SHA-256({@link #hash} of the machine's key ‖ {@link #hash} of the authority's), in groups of four digits.
     */
    public static String fingerprint(PublicKey key, PublicKey authority) {
        var hex = HexFormat.of().formatHex(sha256(hash(key), hash(authority)), 0, 8);
        return hex.substring(0, 4) + "-" + hex.substring(4, 8) + "-" + hex.substring(8, 12) + "-" + hex.substring(12);
    }
}
