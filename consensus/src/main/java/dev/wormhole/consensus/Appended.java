// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

/** An entry that is committed, flushed and applied on this pod. */
public record Appended(Position position) {
    public long index() {
        return position.index();
    }
}
