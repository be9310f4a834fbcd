// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

/** Bytes from /dev/fuse that are not a request of the protocol as negotiated: a bug of this side or of the kernel. */
public final class ProtocolException extends IllegalStateException {
    private static final long serialVersionUID = 1;

    public ProtocolException(String message) {
        super(message);
    }
}
