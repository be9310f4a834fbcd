// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;

/** The store's limit or its reserve would be touched; becomes ENOSPC. */
public final class OutOfSpaceException extends IOException {
    public OutOfSpaceException(String message) {
        super(message);
    }
}
