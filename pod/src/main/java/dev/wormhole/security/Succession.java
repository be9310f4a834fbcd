// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.security.GeneralSecurityException;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * How one authority follows on another: the earlier one certifies the later one's key, as an authority of the same network.
 * Who trusts the earlier one may trust the later one: whoever has the earlier one's key could have certified any pod anyway.
 */
public final class Succession {
    private static final int CERTIFICATE_SIGN = 5;

    /** @param link a certificate of the authority's key by the one before it; empty for a network's first */
    public record Step(X509Certificate authority, Optional<X509Certificate> link) {}

    private Succession() {}

    /** Whether the link makes {@code later} an authority for who trusts {@code earlier}. */
    static boolean follows(X509Certificate later, X509Certificate link, X509Certificate earlier) {
        try {
            var uses = link.getKeyUsage();
            // A pod's own certificate is signed by the authority too: only one of an authority counts.
            if (link.getBasicConstraints() < 0 || uses == null || !uses[CERTIFICATE_SIGN]) return false;
            if (later.getBasicConstraints() < 0) return false;
            if (!Arrays.equals(
                    link.getPublicKey().getEncoded(), later.getPublicKey().getEncoded())) return false;
            var network = PodTrust.network(earlier);
            if (!PodTrust.network(link).equals(network)
                    || !PodTrust.network(later).equals(network)) return false;
            later.verify(later.getPublicKey());
            link.verify(earlier.getPublicKey());
            return true;
        } catch (GeneralSecurityException e) {
            return false;
        }
    }

    /**
     * Follows the steps, the oldest first, from what is trusted already.
     *
     * @return all of the steps' authorities that may be trusted
     */
    public static List<X509Certificate> trusted(List<X509Certificate> known, List<Step> steps) {
        var trusted = new ArrayList<>(known);
        var found = new ArrayList<X509Certificate>();
        for (var step : steps) {
            boolean old = trusted.contains(step.authority());
            if (!old
                    && step.link().isPresent()
                    && trusted.stream()
                            .anyMatch(each ->
                                    follows(step.authority(), step.link().get(), each))) {
                trusted.add(step.authority());
                old = true;
            }
            if (old) found.add(step.authority());
        }
        return List.copyOf(found);
    }

    /** Whether the authority signed the certificate. */
    public static boolean issued(X509Certificate authority, X509Certificate certificate) {
        try {
            certificate.verify(authority.getPublicKey());
            return true;
        } catch (GeneralSecurityException e) {
            return false;
        }
    }

    /** @throws CertificateException if the pod's certificate was issued by none of these */
    static X509Certificate issuer(X509Certificate certificate, List<X509Certificate> authorities)
            throws CertificateException {
        for (var authority : authorities) if (issued(authority, certificate)) return authority;
        throw new CertificateException("the pod's certificate is not of the network's authority");
    }
}
