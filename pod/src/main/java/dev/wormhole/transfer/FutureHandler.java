// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.util.concurrent.CompletableFuture;

/** As {@link Handler}, with an answer that comes later; it may complete with {@link PeerRefused}. */
@FunctionalInterface
public interface FutureHandler {
    CompletableFuture<byte[]> handle(Request request) throws Exception;
}
