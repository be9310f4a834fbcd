// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.io.IOException;

/** Bytes from the wire that no speaker of our protocol sends. */
public final class MalformedMessageException extends IOException {
    public MalformedMessageException(String message) {
        super(message);
    }
}
