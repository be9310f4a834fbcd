// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.io.IOException;

/** Why a call to another pod gave no reply. */
public abstract sealed class PeerException extends IOException permits PeerUnreachable, PeerTimeout, PeerRefused {
    PeerException(String message) {
        super(message);
    }
}
