// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

/** The log holds something that this code cannot apply. Nothing was applied and nothing may be skipped: the pod stops. */
public final class UnknownCommandException extends IllegalStateException {
    UnknownCommandException(String message) {
        super(message);
    }

    UnknownCommandException(String message, Throwable cause) {
        super(message, cause);
    }
}
