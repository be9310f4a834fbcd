// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.util.function.Consumer;
import java.util.function.Supplier;
import javax.net.ssl.SSLEngine;

/**
 * Where the engines of TLS 1.3 connections come from. Thread-safe. Each engine serves one connection: TLS 1.3 alone, a server's
 * asks for a certificate but goes on without one, and no session is resumed, so that every handshake asks who is there.
 */
public interface TlsEngines {
    SSLEngine client();

    SSLEngine server();

    /** Gives back what an engine holds outside of the heap; from any thread, once, also while others use it. */
    void release(SSLEngine engine);

    /** Engines that another library makes. */
    static TlsEngines of(Supplier<SSLEngine> client, Supplier<SSLEngine> server, Consumer<SSLEngine> release) {
        return new TlsEngines() {
            @Override
            public SSLEngine client() {
                return client.get();
            }

            @Override
            public SSLEngine server() {
                return server.get();
            }

            @Override
            public void release(SSLEngine engine) {
                release.accept(engine);
            }
        };
    }
}
