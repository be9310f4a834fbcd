// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.Optional;

/**
 * What a pod shows to the others. Immutable; says nothing secret of itself in {@link #toString}.
 *
 * @param key of the certificate
 * @param certificate issued by the authority
 * @param authority the network's
 * @param link its key certified by the authority before it, for pods that know that one alone; empty for the first
 */
public record Credentials(
        PrivateKey key, X509Certificate certificate, X509Certificate authority, Optional<X509Certificate> link) {
    /** @throws GeneralSecurityException if they do not belong together */
    public static Credentials of(PrivateKey key, X509Certificate certificate, X509Certificate authority)
            throws GeneralSecurityException {
        return of(key, certificate, authority, Optional.empty());
    }

    /** @throws GeneralSecurityException if they do not belong together */
    public static Credentials of(
            PrivateKey key, X509Certificate certificate, X509Certificate authority, Optional<X509Certificate> link)
            throws GeneralSecurityException {
        KeyFiles.checkPair(key, certificate.getPublicKey());
        var _ = Succession.issuer(certificate, List.of(authority));
        PodIdentity.of(certificate);
        return new Credentials(key, certificate, authority, link);
    }

    /** What is shown: the certificate, its authority behind it, and what leads there from the one before. */
    X509Certificate[] chain() {
        return link.isEmpty()
                ? new X509Certificate[] {certificate, authority}
                : new X509Certificate[] {certificate, authority, link.get()};
    }

    /** Whom the certificate names. */
    public PodIdentity identity() {
        try {
            return PodIdentity.of(certificate);
        } catch (CertificateException e) {
            throw new IllegalStateException("checked when it was made", e);
        }
    }

    @Override
    public String toString() {
        return "credentials of " + identity();
    }
}
