// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.InvalidAlgorithmParameterException;
import java.security.MessageDigest;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Date;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.Supplier;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/**
 * Who is believed to be a pod of the network: whoever has a certificate that the network's authority issued, that is valid
 * now, and names a pod of this network. Asked at every handshake, for both sides alike; addresses and host names count for
 * nothing. Whether the pod is still admitted is asked once it has said who it is, so that it can be told. Thread-safe.
 */
public final class PodTrust extends X509ExtendedTrustManager {
    private static final String SERVER = "1.3.6.1.5.5.7.3.1";
    private static final String CLIENT = "1.3.6.1.5.5.7.3.2";
    private static final int CHAIN_MAX = 4;

    /** Those that count now; null where none is known beforehand. */
    private final @Nullable Supplier<List<X509Certificate>> authorities;

    private final byte[] pin;
    private final InstantSource clock;
    private final Predicate<PodIdentity> admitted;
    /** Where the authority is not known beforehand: the one that was met first, and from then on it alone. */
    private volatile @Nullable X509Certificate met;

    private PodTrust(
            @Nullable Supplier<List<X509Certificate>> authorities,
            byte[] pin,
            InstantSource clock,
            Predicate<PodIdentity> admitted) {
        this.authorities = authorities;
        this.pin = pin;
        this.clock = clock;
        this.admitted = admitted;
    }

    /** @param admitted asked whenever somebody says who it is; must be quick */
    public static PodTrust of(X509Certificate authority, InstantSource clock, Predicate<PodIdentity> admitted) {
        return of(() -> List.of(authority), clock, admitted);
    }

    /**
     * @param authorities those that count, asked at every handshake; never none. Trusted too is one that one of these
     *     certifies as its successor, when it is shown: this pod slept while the network changed its authority
     */
    public static PodTrust of(
            Supplier<List<X509Certificate>> authorities, InstantSource clock, Predicate<PodIdentity> admitted) {
        return new PodTrust(authorities, new byte[0], clock, admitted);
    }

    /**
     * For who joins and has no more than an invitation: the other side shows the authority's certificate behind its own.
     *
     * @param pin the first bytes of the hash of the authority's key; empty to believe whoever answers, for networks that are
     *     open to all
     */
    static PodTrust pinned(byte[] pin, InstantSource clock) {
        return new PodTrust(null, pin, clock, _ -> true);
    }

    /** Whether this pod is admitted at this moment. */
    boolean admits(PodIdentity identity) {
        return admitted.test(identity);
    }

    /**
     * Whom a chain names.
     *
     * @param purpose the use of keys that is asked for
     * @throws CertificateException if it is not believed
     */
    private PodIdentity check(X509Certificate @Nullable [] chain, String purpose) throws CertificateException {
        if (chain == null || chain.length == 0) throw new CertificateException("no certificate");
        if (chain.length > CHAIN_MAX) throw new CertificateException("a chain of " + chain.length + " certificates");
        var leaf = chain[0];
        var known = authorities;
        var root = known == null ? met(chain) : root(chain, known.get());
        var now = clock.instant();
        try {
            // Whom it names comes first: "of another network" says more than a bad signature.
            var identity = PodIdentity.of(leaf);
            if (!leaf.getIssuerX500Principal().equals(root.getSubjectX500Principal()))
                throw new CertificateException("a certificate of another network's authority");
            validate(leaf, root, now);
            var uses = leaf.getExtendedKeyUsage();
            if (uses == null || !uses.contains(purpose)) throw new CertificateException("a certificate for other uses");
            if (!network(root).equals(identity.network().toString()))
                throw new CertificateException("a certificate of network " + identity.network());
            if (known == null) met = root;
            return identity;
        } catch (GeneralSecurityException e) {
            throw e instanceof CertificateException c ? c : new CertificateException(e.getMessage(), e);
        }
    }

    /** The authority to check a chain with: one that counts, or one that such a one certified. */
    private static X509Certificate root(X509Certificate[] chain, List<X509Certificate> known) {
        try {
            return Succession.issuer(chain[0], known);
        } catch (CertificateException unknown) {
            if (chain.length > 2)
                for (var earlier : known) if (Succession.follows(chain[1], chain[2], earlier)) return chain[1];
            return known.getLast(); // which will say what is wrong
        }
    }

    /** Empty before the first handshake, and where the authority was known from the start. */
    Optional<X509Certificate> authorityMet() {
        return Optional.ofNullable(met);
    }

    private static void validate(X509Certificate leaf, X509Certificate root, Instant now)
            throws GeneralSecurityException {
        var parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.setRevocationEnabled(false); // the network's state says who is removed
        parameters.setDate(Date.from(now));
        try {
            var path = CertificateFactory.getInstance("X.509").generateCertPath(List.of(leaf));
            var unused = CertPathValidator.getInstance("PKIX").validate(path, parameters);
        } catch (CertPathValidatorException | InvalidAlgorithmParameterException e) {
            if (now.isAfter(leaf.getNotAfter().toInstant()))
                throw new CertificateException(
                        "a certificate that expired at " + leaf.getNotAfter().toInstant(), e);
            if (now.isBefore(leaf.getNotBefore().toInstant()))
                throw new CertificateException(
                        "a certificate that is valid from "
                                + leaf.getNotBefore().toInstant(),
                        e);
            throw new CertificateException("a certificate that the network's authority did not issue", e);
        }
    }

    private X509Certificate met(X509Certificate[] chain) throws CertificateException {
        if (chain.length < 2 || chain[1].getBasicConstraints() < 0)
            throw new CertificateException("it does not show the network's authority");
        var root = chain[1];
        checkPin(root, chain.length > 2);
        var before = met;
        if (before != null && !before.equals(root)) throw new CertificateException("another network answers now");
        return root;
    }

    private void checkPin(X509Certificate root, boolean rotated) throws CertificateException {
        var hash = Keys.hash(root.getPublicKey());
        if (!MessageDigest.isEqual(pin, java.util.Arrays.copyOf(hash, pin.length)))
            throw new CertificateException(
                    "it is not of the network that the invitation is for: somebody else may be answering there"
                            + (rotated
                                    ? "; or the network has changed its authority since, then ask for a new invitation"
                                    : ""));
        var now = Date.from(clock.instant());
        root.checkValidity(now);
        try {
            root.verify(root.getPublicKey());
        } catch (GeneralSecurityException e) {
            throw new CertificateException("its authority is damaged", e);
        }
    }

    /** The network's id, as the authority's certificate has it. */
    static String network(X509Certificate authority) throws CertificateException {
        var names = authority.getSubjectAlternativeNames();
        if (names != null) {
            for (var name : names) {
                if (Integer.valueOf(PodIdentity.URI).equals(name.getFirst())
                        && name.get(1) instanceof String uri
                        && uri.startsWith("wormhole://")) return uri.substring("wormhole://".length());
            }
        }
        throw new CertificateException("no authority of a network");
    }

    private void checkServer(X509Certificate @Nullable [] chain, @Nullable String peer) throws CertificateException {
        var identity = check(chain, SERVER);
        // The log dials incarnations by name; our own calls compare once they have greeted.
        if (peer != null
                && peer.matches("p[1-9][0-9]{0,7}")
                && !peer.equals(identity.incarnation().toString()))
            throw new CertificateException("it is " + identity.incarnation() + ", not " + peer);
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) throws CertificateException {
        var _ = check(chain, CLIENT);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) throws CertificateException {
        checkServer(chain, engine.getPeerHost());
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) throws CertificateException {
        var _ = check(chain, CLIENT);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) throws CertificateException {
        checkServer(chain, null);
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) throws CertificateException {
        var _ = check(chain, CLIENT);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
        checkServer(chain, null);
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
        return authorities == null ? new X509Certificate[0] : authorities.get().toArray(X509Certificate[]::new);
    }
}
