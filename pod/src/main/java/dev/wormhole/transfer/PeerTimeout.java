// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

/** The deadline passed without a reply. Whether the call ran is unknown. */
public final class PeerTimeout extends PeerException {
    public PeerTimeout(String message) {
        super(message);
    }
}
