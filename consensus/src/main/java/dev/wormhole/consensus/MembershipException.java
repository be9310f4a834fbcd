// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import java.io.IOException;

/** A change of members, of the leader or of its place that was not made; the message says why. The old state holds. */
public final class MembershipException extends IOException {
    private static final long serialVersionUID = 1;

    MembershipException(String message) {
        super(message);
    }
}
