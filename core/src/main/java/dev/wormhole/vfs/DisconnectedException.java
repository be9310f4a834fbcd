// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import java.io.IOException;

/** This pod has lost the network for longer than {@code [disconnected] after}. */
public sealed class DisconnectedException extends IOException permits InDoubtException {
    public DisconnectedException(String message) {
        super(message);
    }
}
