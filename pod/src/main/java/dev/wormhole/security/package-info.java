// SPDX-License-Identifier: Apache-2.0
/**
 * Who may speak, and that nobody listens: the network's certificate authority, the pods' keys and certificates, join
 * tokens, and mutual TLS 1.3 as a {@link dev.wormhole.transfer.Transport}. The one place of the library that makes
 * certificates. Formats: {@code docs/formats/certificates.md}.
 *
 * <p>Reading order: {@code PodIdentity} (what a certificate says), {@code Authority} (who says it), {@code KeyFiles} (where
 * it is kept), {@code PodTrust} (who is believed), {@code TlsTransport}, {@code JoinToken} and {@code JoinRequest}.
 */
@NullMarked
package dev.wormhole.security;

import org.jspecify.annotations.NullMarked;
