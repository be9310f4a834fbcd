// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;

/** The JDK's own TLS: everywhere there, slower with much data than a native one. */
public final class JdkTls implements TlsEngines {
    private static final String PROTOCOL = "TLSv1.3";

    private final SSLContext context;

    public JdkTls(PodKeyManager keys, PodTrust trust) {
        try {
            context = SSLContext.getInstance(PROTOCOL);
            context.init(new KeyManager[] {keys}, new TrustManager[] {trust}, new SecureRandom());
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK has no " + PROTOCOL, e);
        }
    }

    @Override
    public SSLEngine client() {
        return engine(true);
    }

    @Override
    public SSLEngine server() {
        var engine = engine(false);
        engine.setWantClientAuth(true);
        return engine;
    }

    /** Without a peer's name, which is what the JDK would remember sessions by. */
    private SSLEngine engine(boolean client) {
        var engine = context.createSSLEngine();
        engine.setUseClientMode(client);
        engine.setEnabledProtocols(new String[] {PROTOCOL});
        engine.setEnabledCipherSuites(new String[] {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"});
        return engine;
    }

    @Override
    public void release(SSLEngine engine) {
        // The collector does it.
    }
}
