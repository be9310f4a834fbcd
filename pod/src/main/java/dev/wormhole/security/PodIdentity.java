// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.model.Incarnation;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import java.util.regex.Pattern;

/**
 * What a pod's certificate says of its holder: the one URI among its subject's alternative names,
 * {@code wormhole://NETWORK/pN/ROLE}. Names of pods and addresses may change; this does not.
 *
 * @param network the network's id
 * @param incarnation the life of a store that the holder speaks for
 */
public record PodIdentity(UUID network, Incarnation incarnation, Role role) {
    /** What the holder may be at most. */
    public enum Role {
        /** Follows the log, may vote and hold replicas. */
        MEMBER,
        /** Mounts the tree and no more. */
        CLIENT
    }

    static final int URI = 6;

    private static final Pattern FORM = Pattern.compile(
            "wormhole://([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/p([1-9][0-9]{0,7})/(member|client)");

    /** As it stands in a certificate. */
    String uri() {
        return "wormhole://" + network + "/" + incarnation + "/" + role.name().toLowerCase(Locale.ROOT);
    }

    /** @throws CertificateException if the certificate is none of a pod */
    public static PodIdentity of(X509Certificate certificate) throws CertificateException {
        PodIdentity found = null;
        Collection<List<?>> names = certificate.getSubjectAlternativeNames();
        if (names != null) {
            for (List<?> name : names) {
                if (!Integer.valueOf(URI).equals(name.getFirst()) || !(name.get(1) instanceof String uri)) continue;
                if (found != null) throw new CertificateException("a certificate with two names");
                found = parse(uri);
            }
        }
        if (found == null) throw new CertificateException("a certificate that names no pod");
        return found;
    }

    private static PodIdentity parse(String uri) throws CertificateException {
        var form = FORM.matcher(uri);
        if (!form.matches()) throw new CertificateException("a certificate that names no pod");
        try {
            return new PodIdentity(
                    UUID.fromString(form.group(1)),
                    new Incarnation(Integer.parseInt(form.group(2))),
                    Role.valueOf(form.group(3).toUpperCase(Locale.ROOT)));
        } catch (IllegalArgumentException e) {
            throw new CertificateException("a certificate that names no pod", e);
        }
    }
}
