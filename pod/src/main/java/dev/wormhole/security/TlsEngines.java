// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

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
}
