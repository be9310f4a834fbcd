// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.net.InetSocketAddress;

/** One follower of the log: who, and where its log port was last known to be. The address may be unresolved. */
public record Member(Incarnation incarnation, InetSocketAddress address) {
    public Member {
        if (address.getPort() <= 0) throw new IllegalArgumentException("port of " + incarnation + ": " + address);
    }

    /** "p7@10.0.0.1:7001". */
    @Override
    public String toString() {
        return incarnation + "@" + Addresses.hostAndPort(address);
    }
}
