// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import java.io.IOException;

/** This pod has lost the network for longer than {@code [disconnected] after}. */
public final class DisconnectedException extends IOException {
    public DisconnectedException(String message) {
        super(message);
    }
}
