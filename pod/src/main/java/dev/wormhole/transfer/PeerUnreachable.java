// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

/** No connection, or it broke before the reply. Whether the call ran is unknown unless it was never connected. */
public final class PeerUnreachable extends PeerException {
    public PeerUnreachable(String message) {
        super(message);
    }
}
