// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;

/**
 * What a pod shows to the others. Immutable; says nothing secret of itself in {@link #toString}.
 *
 * @param key of the certificate
 * @param certificate issued by the authority
 * @param authority the network's, with which the others are checked
 */
public record Credentials(PrivateKey key, X509Certificate certificate, X509Certificate authority) {
    /** @throws GeneralSecurityException if they do not belong together */
    public static Credentials of(PrivateKey key, X509Certificate certificate, X509Certificate authority)
            throws GeneralSecurityException {
        KeyFiles.checkPair(key, certificate.getPublicKey());
        try {
            certificate.verify(authority.getPublicKey());
        } catch (GeneralSecurityException e) {
            throw new CertificateException("the pod's certificate is not of the network's authority", e);
        }
        PodIdentity.of(certificate);
        return new Credentials(key, certificate, authority);
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
