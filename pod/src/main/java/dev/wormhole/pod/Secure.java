// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.consensus.NativeTls;
import dev.wormhole.consensus.Settings;
import dev.wormhole.content.StoreHeader;
import dev.wormhole.model.Incarnation;
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
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.time.InstantSource;
import java.util.Optional;
import javax.net.ssl.SSLEngine;

/** This pod's part in the network's trust: what it shows, whom it believes, and the ways to the others. Thread-safe. */
final class Secure {
    private final KeyFiles files;
    private final Credentials credentials;
    private final PodKeyManager keys;
    private final PodTrust trust;
    private final Admission admission = new Admission();
    private final Refusals logRefusals = new Refusals("the log's port", System::nanoTime);

    private Secure(KeyFiles files, Credentials credentials) {
        this.files = files;
        this.credentials = credentials;
        this.keys = new PodKeyManager(() -> Optional.of(credentials));
        this.trust = PodTrust.of(
                credentials.authority(), InstantSource.system(), identity -> admission.admits(identity.incarnation()));
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
        return new Secure(files, credentials);
    }

    Admission admission() {
        return admission;
    }

    X509Certificate authorityCertificate() {
        return credentials.authority();
    }

    KeyFiles files() {
        return files;
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
        return new TlsEngines() {
            @Override
            public SSLEngine client() {
                return tls.client();
            }

            @Override
            public SSLEngine server() {
                return tls.server();
            }

            @Override
            public void release(SSLEngine engine) {
                NativeTls.release(engine);
            }
        };
    }
}
