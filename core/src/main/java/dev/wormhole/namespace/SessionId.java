// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Incarnation;

/**
 * One start of one incarnation: a proposer's ordered stream of batches, opened by {@link Command.OpenSession}.
 *
 * @param startCount how often the store was opened, from 1
 */
public record SessionId(Incarnation incarnation, long startCount) {
    public SessionId {
        if (startCount <= 0) throw new IllegalArgumentException("start count: " + startCount);
    }

    @Override
    public String toString() {
        return incarnation + "/" + startCount;
    }
}
