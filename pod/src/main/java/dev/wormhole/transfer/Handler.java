// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

/** Answers calls of one kind, each on a virtual thread of its own, several at a time. */
@FunctionalInterface
public interface Handler {
    /**
     * @return the reply's body
     * @throws PeerRefused to refuse with a code
     * @throws MalformedMessageException answered as BAD_REQUEST
     * @throws Exception answered as FAILED and logged
     */
    byte[] handle(Request request) throws Exception;
}
