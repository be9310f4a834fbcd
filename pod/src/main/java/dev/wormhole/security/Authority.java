// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.io.IOException;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import java.util.UUID;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.X500NameBuilder;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * The network's certificate authority, with its private key: whoever has it decides who is a pod. Immutable. The profile of
 * what it issues stands in {@code docs/formats/certificates.md}.
 */
public final class Authority {
    /** No clock of a pod is believed to be further behind than this. */
    private static final Duration CLOCK_SLACK = Duration.ofDays(1);

    /** A network outlives its machines; what ends sooner is each pod's own certificate. */
    private static final Duration LIFE = Duration.ofDays(30 * 365L + 8);

    /**
     * Certificates do not renew yet, so they last as long as a machine does. Who must go before is taken out of the network's
     * state, which every pod asks at every connection.
     */
    static final Duration POD_LIFE = Duration.ofDays(10 * 365L + 3);

    private final PrivateKey key;
    private final X509Certificate certificate;

    private Authority(PrivateKey key, X509Certificate certificate) {
        this.key = key;
        this.certificate = certificate;
    }

    /** A new network's authority. */
    public static Authority create(UUID network, String networkName, Instant now) {
        var keys = Keys.generate();
        var name = new X500NameBuilder(BCStyle.INSTANCE)
                .addRDN(BCStyle.O, "Wormhole")
                .addRDN(BCStyle.CN, networkName)
                .build();
        try {
            var builder = new JcaX509v3CertificateBuilder(
                    name,
                    serial(),
                    Date.from(now.minus(CLOCK_SLACK)),
                    Date.from(now.plus(LIFE)),
                    name,
                    keys.getPublic());
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(0))
                    .addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign))
                    .addExtension(
                            Extension.subjectKeyIdentifier,
                            false,
                            new JcaX509ExtensionUtils().createSubjectKeyIdentifier(keys.getPublic()))
                    .addExtension(Extension.subjectAlternativeName, false, uri("wormhole://" + network));
            return new Authority(keys.getPrivate(), signed(builder, keys.getPrivate()));
        } catch (GeneralSecurityException | IOException | OperatorCreationException e) {
            throw new IllegalStateException("the authority's certificate", e);
        }
    }

    /** @throws GeneralSecurityException if the key is not the certificate's */
    static Authority of(PrivateKey key, X509Certificate certificate) throws GeneralSecurityException {
        KeyFiles.checkPair(key, certificate.getPublicKey());
        return new Authority(key, certificate);
    }

    /**
     * As an administrator's pod hands it to another one.
     *
     * @param key PKCS #8, secret
     * @throws GeneralSecurityException if the key is not the certificate's
     */
    public static Authority of(byte[] key, X509Certificate certificate) throws GeneralSecurityException {
        return of(KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(key)), certificate);
    }

    /** The secret key, PKCS #8: for another administrator's pod and for nobody else. */
    public byte[] secretKey() {
        return key.getEncoded();
    }

    public X509Certificate certificate() {
        return certificate;
    }

    PrivateKey key() {
        return key;
    }

    /**
     * Certifies a pod.
     *
     * @param podKey P-256
     * @param podName for people who read the certificate
     */
    public X509Certificate issue(PublicKey podKey, String podName, PodIdentity identity, Instant now) {
        return issue(podKey, podName, identity, now.minus(CLOCK_SLACK), now.plus(POD_LIFE));
    }

    /** As {@link #issue(PublicKey, String, PodIdentity, Instant)}, for a time that the caller names. */
    X509Certificate issue(PublicKey podKey, String podName, PodIdentity identity, Instant from, Instant to) {
        if (!Keys.isOurs(podKey)) throw new IllegalArgumentException("no P-256 key");
        var subject = new X500NameBuilder(BCStyle.INSTANCE)
                .addRDN(BCStyle.O, "Wormhole")
                .addRDN(BCStyle.CN, podName)
                .build();
        try {
            var extensions = new JcaX509ExtensionUtils();
            var builder = new JcaX509v3CertificateBuilder(
                    X500Name.getInstance(certificate.getSubjectX500Principal().getEncoded()),
                    serial(),
                    Date.from(from),
                    Date.from(to),
                    subject,
                    podKey);
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(false))
                    .addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature))
                    .addExtension(Extension.extendedKeyUsage, false, new ExtendedKeyUsage(new KeyPurposeId[] {
                        KeyPurposeId.id_kp_serverAuth, KeyPurposeId.id_kp_clientAuth
                    }))
                    .addExtension(
                            Extension.authorityKeyIdentifier,
                            false,
                            extensions.createAuthorityKeyIdentifier(certificate.getPublicKey()))
                    .addExtension(Extension.subjectAlternativeName, false, uri(identity.uri()));
            return signed(builder, key);
        } catch (GeneralSecurityException | IOException | OperatorCreationException e) {
            throw new IllegalStateException("the certificate of " + identity, e);
        }
    }

    private static GeneralNames uri(String uri) {
        return new GeneralNames(new GeneralName(GeneralName.uniformResourceIdentifier, uri));
    }

    private static BigInteger serial() {
        return new BigInteger(127, new SecureRandom()).add(BigInteger.ONE);
    }

    private static X509Certificate signed(X509v3CertificateBuilder builder, PrivateKey key)
            throws OperatorCreationException, GeneralSecurityException {
        return new JcaX509CertificateConverter()
                .getCertificate(builder.build(new JcaContentSignerBuilder(Keys.SIGNATURE).build(key)));
    }
}
