// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.net.Socket;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.Optional;
import java.util.function.Supplier;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedKeyManager;
import org.jspecify.annotations.Nullable;

/**
 * Shows the pod's certificate, with the authority's behind it, so that who joins can compare that with its invitation. Asks
 * for the credentials at every handshake, so they may change. Thread-safe.
 */
public final class PodKeyManager extends X509ExtendedKeyManager {
    private static final String ALIAS = "pod";

    private final Supplier<Optional<Credentials>> credentials;

    /** @param credentials empty while this machine is a stranger */
    public PodKeyManager(Supplier<Optional<Credentials>> credentials) {
        this.credentials = credentials;
    }

    private @Nullable String alias(@Nullable String... types) {
        if (credentials.get().isEmpty() || types == null) return null;
        for (var type : types) if (type != null && type.startsWith("EC")) return ALIAS;
        return null;
    }

    @Override
    public @Nullable String chooseEngineClientAlias(
            String[] types, Principal @Nullable [] issuers, @Nullable SSLEngine engine) {
        return alias(types);
    }

    @Override
    public @Nullable String chooseEngineServerAlias(
            String type, Principal @Nullable [] issuers, @Nullable SSLEngine engine) {
        return alias(type);
    }

    @Override
    public @Nullable String chooseClientAlias(String[] types, Principal @Nullable [] issuers, @Nullable Socket socket) {
        return alias(types);
    }

    @Override
    public @Nullable String chooseServerAlias(String type, Principal @Nullable [] issuers, @Nullable Socket socket) {
        return alias(type);
    }

    @Override
    public String @Nullable [] getClientAliases(String type, Principal @Nullable [] issuers) {
        var alias = alias(type);
        return alias == null ? null : new String[] {alias};
    }

    @Override
    public String @Nullable [] getServerAliases(String type, Principal @Nullable [] issuers) {
        return getClientAliases(type, issuers);
    }

    @Override
    public X509Certificate @Nullable [] getCertificateChain(String alias) {
        return credentials.get().map(Credentials::chain).orElse(null);
    }

    @Override
    public @Nullable PrivateKey getPrivateKey(String alias) {
        return credentials.get().map(Credentials::key).orElse(null);
    }
}
