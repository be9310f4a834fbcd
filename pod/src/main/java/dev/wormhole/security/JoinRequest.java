// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.transfer.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PublicKey;
import java.security.spec.X509EncodedKeySpec;
import java.util.Optional;
import org.bouncycastle.asn1.x500.X500NameBuilder;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.PKCSException;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;

/**
 * What a machine asks with: a PKCS #10 request, signed by its own new key, what it says of itself, and, with an invitation, the
 * token's signature over both and over the network's authority. Byte layout: {@code docs/formats/calls.md}, JOIN.
 *
 * @param pkcs10 the request, DER
 * @param settings what the machine says of itself, in bytes that the caller knows
 * @param tokenKey the public part of the token's key, 32 bytes; empty without a token
 * @param signature of the token's key, 64 bytes; empty without a token
 */
@SuppressWarnings("ArrayRecordComponent")
public record JoinRequest(byte[] pkcs10, byte[] settings, byte[] tokenKey, byte[] signature) {
    private static final int PKCS10_BYTES_MAX = 2048;
    private static final int SETTINGS_BYTES_MAX = 16 << 10;
    private static final byte[] DOMAIN = "wormhole join 1".getBytes(StandardCharsets.US_ASCII);

    /** @param podName for people who read the request */
    public static JoinRequest make(KeyPair own, String podName, byte[] settings, Optional<JoinToken> token) {
        byte[] pkcs10;
        try {
            var subject = new X500NameBuilder(BCStyle.INSTANCE)
                    .addRDN(BCStyle.O, "Wormhole")
                    .addRDN(BCStyle.CN, podName)
                    .build();
            pkcs10 = new JcaPKCS10CertificationRequestBuilder(subject, own.getPublic())
                    .build(new JcaContentSignerBuilder(Keys.SIGNATURE).build(own.getPrivate()))
                    .getEncoded();
        } catch (IOException | OperatorCreationException e) {
            throw new IllegalStateException("the request for a certificate", e);
        }
        return token.map(held -> new JoinRequest(
                        pkcs10, settings, held.publicKey(), held.sign(signed(held.pin(), pkcs10, settings))))
                .orElseGet(() -> new JoinRequest(pkcs10, settings, new byte[0], new byte[0]));
    }

    private static byte[] signed(byte[] pin, byte[] pkcs10, byte[] settings) {
        return ByteBuffer.allocate(DOMAIN.length + pin.length + 4 + pkcs10.length + 4 + settings.length)
                .put(DOMAIN)
                .put(pin)
                .putInt(pkcs10.length)
                .put(pkcs10)
                .putInt(settings.length)
                .put(settings)
                .array();
    }

    /** What the network knows the token by; empty where there is none. */
    public Optional<byte[]> tokenId() {
        return tokenKey.length == 0 ? Optional.empty() : Optional.of(JoinToken.id(tokenKey));
    }

    /**
     * Checks both signatures.
     *
     * @param authority of the network that is asked
     * @return the key to be certified
     * @throws GeneralSecurityException with a reason for people
     */
    public PublicKey verify(PublicKey authority) throws GeneralSecurityException {
        PublicKey key;
        try {
            var request = new PKCS10CertificationRequest(pkcs10);
            if (!request.getSignatureAlgorithm().getAlgorithm().equals(X9ObjectIdentifiers.ecdsa_with_SHA256))
                throw new GeneralSecurityException("a request that is signed in another way");
            key = KeyFactory.getInstance("EC")
                    .generatePublic(new X509EncodedKeySpec(
                            request.getSubjectPublicKeyInfo().getEncoded()));
            if (!Keys.isOurs(key)) throw new GeneralSecurityException("a key that is not of P-256");
            if (!request.isSignatureValid(new JcaContentVerifierProviderBuilder().build(key)))
                throw new GeneralSecurityException("a request that its key did not sign");
        } catch (IOException | OperatorCreationException | PKCSException | RuntimeException e) {
            // The library throws what it likes at bytes that make no sense.
            throw new GeneralSecurityException("no request for a certificate", e);
        }
        if (tokenKey.length > 0
                && !JoinToken.verify(tokenKey, signed(JoinToken.pin(authority), pkcs10, settings), signature))
            throw new GeneralSecurityException("a token that did not sign this, or is of another network");
        return key;
    }

    public byte[] encode() {
        return Messages.writer()
                .putByte(1)
                .putBytes(pkcs10)
                .putBytes(settings)
                .putBytes(tokenKey)
                .putBytes(signature)
                .toBytes();
    }

    /** @throws IOException if the bytes make no sense */
    public static JoinRequest decode(byte[] bytes) throws IOException {
        var from = Messages.reader(bytes);
        var format = from.getByte();
        if (format != 1) throw new IOException("a join request of format " + format);
        var request = new JoinRequest(
                from.getBytes(PKCS10_BYTES_MAX),
                from.getBytes(SETTINGS_BYTES_MAX),
                from.getBytes(32),
                from.getBytes(64));
        from.end();
        if (request.tokenKey.length == 0 != (request.signature.length == 0))
            throw new IOException("a token without a signature, or the other way round");
        return request;
    }
}
