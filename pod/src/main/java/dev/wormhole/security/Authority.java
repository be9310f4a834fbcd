// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.io.IOException;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import java.util.Optional;
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

    /** Where the network has not said how long yet. Pods renew their certificates long before. */
    public static final Duration POD_LIFE = Duration.ofDays(90);

    private final PrivateKey key;
    private final X509Certificate certificate;
    private final Optional<X509Certificate> link;

    private Authority(PrivateKey key, X509Certificate certificate, Optional<X509Certificate> link) {
        this.key = key;
        this.certificate = certificate;
        this.link = link;
    }

    /** A new network's authority. */
    public static Authority create(UUID network, String networkName, Instant now) {
        var keys = Keys.generate();
        var name = new X500NameBuilder(BCStyle.INSTANCE)
                .addRDN(BCStyle.O, "Wormhole")
                .addRDN(BCStyle.CN, networkName)
                .build();
        return new Authority(
                keys.getPrivate(),
                certify(name, keys.getPublic(), network, name, keys.getPrivate(), now),
                Optional.empty());
    }

    /** The next authority of the same network: another key, and this one's word for it. */
    public Authority successor(Instant now) {
        var keys = Keys.generate();
        var name = X500Name.getInstance(certificate.getSubjectX500Principal().getEncoded());
        try {
            var network = UUID.fromString(PodTrust.network(certificate));
            return new Authority(
                    keys.getPrivate(),
                    certify(name, keys.getPublic(), network, name, keys.getPrivate(), now),
                    Optional.of(certify(name, keys.getPublic(), network, name, key, now)));
        } catch (CertificateException e) {
            throw new IllegalStateException("an authority of no network", e);
        }
    }

    private static X509Certificate certify(
            X500Name subject, PublicKey subjectKey, UUID network, X500Name issuer, PrivateKey issuerKey, Instant now) {
        try {
            var builder = new JcaX509v3CertificateBuilder(
                    issuer,
                    serial(),
                    Date.from(now.minus(CLOCK_SLACK)),
                    Date.from(now.plus(LIFE)),
                    subject,
                    subjectKey);
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(0))
                    .addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign))
                    .addExtension(
                            Extension.subjectKeyIdentifier,
                            false,
                            new JcaX509ExtensionUtils().createSubjectKeyIdentifier(subjectKey))
                    .addExtension(Extension.subjectAlternativeName, false, uri("wormhole://" + network));
            return signed(builder, issuerKey);
        } catch (GeneralSecurityException | IOException | OperatorCreationException e) {
            throw new IllegalStateException("the authority's certificate", e);
        }
    }

    /** @throws GeneralSecurityException if the key is not the certificate's */
    static Authority of(PrivateKey key, X509Certificate certificate) throws GeneralSecurityException {
        return of(key, certificate, Optional.empty());
    }

    static Authority of(PrivateKey key, X509Certificate certificate, Optional<X509Certificate> link)
            throws GeneralSecurityException {
        KeyFiles.checkPair(key, certificate.getPublicKey());
        return new Authority(key, certificate, link);
    }

    /** The same, with what its predecessor said for it: pods that know that one alone are shown it. */
    public Authority linked(Optional<X509Certificate> by) {
        return new Authority(key, certificate, by);
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

    /** Its key certified by the authority before it; empty for a network's first, and where that is not known. */
    public Optional<X509Certificate> link() {
        return link;
    }

    PrivateKey key() {
        return key;
    }

    /** Whether this authority's key signed the certificate. */
    public boolean issued(X509Certificate other) {
        return Succession.issued(certificate, other);
    }

    /** An ECDSA signature of SHA-256, 64 bytes: both numbers of 32. */
    public byte[] sign(byte[] message) {
        try {
            var signer = Signature.getInstance("SHA256withECDSAinP1363Format");
            signer.initSign(key);
            signer.update(message);
            return signer.sign();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK does not sign with P-256", e);
        }
    }

    /**
     * Certifies a pod.
     *
     * @param podKey P-256
     * @param podName for people who read the certificate
     */
    public X509Certificate issue(PublicKey podKey, String podName, PodIdentity identity, Instant now) {
        return issue(podKey, podName, identity, now, POD_LIFE);
    }

    /** As above, for so long. */
    public X509Certificate issue(
            PublicKey podKey, String podName, PodIdentity identity, Instant now, Duration lifetime) {
        return issue(podKey, podName, identity, now.minus(CLOCK_SLACK), now.plus(lifetime));
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
