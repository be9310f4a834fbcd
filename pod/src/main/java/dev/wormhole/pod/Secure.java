// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.consensus.NativeTls;
import dev.wormhole.consensus.Settings;
import dev.wormhole.content.StoreHeader;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.AuthorityRecord;
import dev.wormhole.security.Credentials;
import dev.wormhole.security.JdkTls;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.PodIdentity;
import dev.wormhole.security.PodKeyManager;
import dev.wormhole.security.PodTrust;
import dev.wormhole.security.TlsEngines;
import dev.wormhole.security.TlsTransport;
import dev.wormhole.transfer.Refusals;
import dev.wormhole.transfer.TcpTransport;
import dev.wormhole.transfer.Transport;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * This pod's part in the network's trust: what it shows, whom it believes, and the ways to the others. What it shows and whom it
 * believes may change while it runs: every new connection goes by what is in force then, those that stand go on. Thread-safe.
 */
final class Secure {
    private static final Logger LOG = Logger.getLogger(Secure.class.getName());

    private final KeyFiles files;
    private final PodKeyManager keys;
    private final PodTrust trust;
    private final Admission admission = new Admission();
    private final Refusals logRefusals = new Refusals("the log's port", System::nanoTime);
    private volatile Credentials credentials;
    private volatile List<X509Certificate> trusted;

    private Secure(KeyFiles files, Credentials credentials, List<X509Certificate> trusted) {
        this.files = files;
        this.credentials = credentials;
        this.trusted = trusted.isEmpty() ? List.of(credentials.authority()) : List.copyOf(trusted);
        this.keys = new PodKeyManager(() -> Optional.of(this.credentials));
        this.trust = PodTrust.of(
                () -> this.trusted, InstantSource.system(), identity -> admission.admits(identity.incarnation()));
    }

    /** @throws IOException if the store's certificate is missing, damaged, or of another pod */
    static Secure open(KeyFiles files, StoreHeader header) throws IOException {
        var credentials = files.credentials()
                .orElseThrow(() -> new IOException("the store has no certificate (" + files.directory()
                        + "): it was made by an older build of Wormhole, which had none. Copy its files out with"
                        + " that build, and make the network anew"));
        var identity = credentials.identity();
        if (!identity.network().equals(header.networkId())
                || !identity.incarnation().equals(header.incarnation()))
            throw new IOException("the certificate in " + files.directory() + " is of " + identity.incarnation()
                    + " of network " + identity.network() + ", the store of " + header.incarnation() + " of "
                    + header.networkId() + "; put the store's own keys back");
        return new Secure(files, credentials, files.trusted());
    }

    Admission admission() {
        return admission;
    }

    /** What this pod shows now. */
    Credentials credentials() {
        return credentials;
    }

    KeyFiles files() {
        return files;
    }

    /** Shows these from now on, also after the next start. */
    synchronized void show(Credentials other) throws IOException {
        if (!other.identity().equals(credentials.identity()))
            throw new IOException("a certificate of " + other.identity());
        files.write(other);
        credentials = other;
        LOG.info("this pod shows a new certificate, until "
                + other.certificate().getNotAfter().toInstant());
    }

    /** Authorities that count. */
    List<X509Certificate> trusted() {
        return trusted;
    }

    /** As another pod told, that this one has reason to believe; on disk when this returns. */
    synchronized void trust(List<X509Certificate> authorities) throws IOException {
        if (authorities.isEmpty()) return;
        files.writeTrusted(authorities);
        trusted = List.copyOf(authorities);
    }

    /**
     * As the log has it. What was learnt otherwise and is not in the log yet, as far as this pod has it, stays. Does not
     * touch the disk, see {@link #keepTrusted}.
     */
    void follow(List<AuthorityRecord> authorities) {
        if (authorities.isEmpty()) return;
        var known = new ArrayList<X509Certificate>();
        var counting = new ArrayList<X509Certificate>();
        try {
            for (var each : authorities) {
                var certificate = KeyFiles.parse(each.certificate());
                known.add(certificate);
                if (each.isTrusted()) counting.add(certificate);
            }
        } catch (GeneralSecurityException e) {
            LOG.log(Level.SEVERE, "an authority in the log makes no sense: {0}", e.getMessage());
            return;
        }
        var newer = new ArrayList<>(trusted);
        newer.removeAll(known);
        if (!newer.isEmpty()) {
            newer.addAll(0, trusted.stream().filter(known::contains).toList());
            counting.removeAll(newer);
            counting.addAll(newer);
        }
        if (!counting.equals(trusted)) trusted = List.copyOf(counting);
    }

    /** What is trusted now is known at the next start, before the log is. */
    synchronized void keepTrusted() throws IOException {
        var now = trusted;
        if (!files.trusted().equals(now)) files.writeTrusted(now);
    }

    /** Whether a pod that shows this certificate is believed now. */
    boolean counts(X509Certificate certificate) {
        try {
            trust.checkClientTrusted(new X509Certificate[] {certificate}, "ECDSA");
            return admission.admits(PodIdentity.of(certificate).incarnation());
        } catch (CertificateException e) {
            return false;
        }
    }

    /** For calls and slices. */
    Transport transport() {
        TlsEngines engines = NativeTls.open(keys, trust).map(Secure::engines).orElseGet(() -> new JdkTls(keys, trust));
        return new TlsTransport(new TcpTransport(), engines, trust);
    }

    /** For the log. */
    Settings.Tls logTls() {
        return new Settings.Tls(keys, trust, Secure::speaksFor, admission::admits, logRefusals::note);
    }

    private static boolean speaksFor(X509Certificate certificate, Incarnation incarnation) {
        try {
            var identity = PodIdentity.of(certificate);
            return identity.role() == PodIdentity.Role.MEMBER
                    && identity.incarnation().equals(incarnation);
        } catch (CertificateException e) {
            return false;
        }
    }

    private static TlsEngines engines(NativeTls tls) {
        return TlsEngines.of(tls::client, tls::server, NativeTls::release);
    }
}
