// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.consensus.NativeTls;
import dev.wormhole.model.Incarnation;
import dev.wormhole.transfer.TcpTransport;
import dev.wormhole.transfer.Transport;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Predicate;

/** An authority and what it gives out, for tests. */
public final class Network {
    public final UUID id;
    final Authority authority;

    public Network(long number) {
        this(new UUID(7, number));
    }

    public Network(UUID id) {
        this.id = id;
        authority = Authority.create(id, "net", Instant.now());
    }

    /** Which TLS. */
    public enum Kind {
        JDK,
        NATIVE
    }

    PodIdentity pod(int number) {
        return new PodIdentity(id, new Incarnation(number), PodIdentity.Role.MEMBER);
    }

    Credentials credentials(int number) {
        return credentials(pod(number), Instant.now());
    }

    Credentials credentials(PodIdentity identity, Instant now) {
        KeyPair keys = Keys.generate();
        return credentials(keys, authority.issue(keys.getPublic(), "pod", identity, now));
    }

    Credentials credentials(KeyPair keys, java.security.cert.X509Certificate certificate) {
        try {
            return Credentials.of(keys.getPrivate(), certificate, authority.certificate());
        } catch (GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    Transport transport(Credentials credentials, Kind kind, Predicate<PodIdentity> admitted) {
        var trust = PodTrust.of(authority.certificate(), InstantSource.system(), admitted);
        return new TlsTransport(new TcpTransport(), engines(Optional.of(credentials), trust, kind), trust);
    }

    /** For pod {@code number}, who lets everybody in. */
    public Transport transport(int number, Kind kind) {
        return transport(credentials(number), kind, _ -> true);
    }

    static TlsEngines engines(Optional<Credentials> credentials, PodTrust trust, Kind kind) {
        var keys = new PodKeyManager(() -> credentials);
        if (kind == Kind.JDK) return new JdkTls(keys, trust);
        var tls = NativeTls.open(keys, trust).orElseThrow(() -> new AssertionError("no native TLS on this machine"));
        return TlsEngines.of(tls::client, tls::server, NativeTls::release);
    }
}
