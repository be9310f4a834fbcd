// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/** What a holder record says of a slice on one incarnation. The order is part of the formats: append only. */
public enum HolderState {
    /** Bytes have arrived but are not promised to survive a power loss; no copy. */
    WRITTEN,
    /** Synced to the holder's disk; a copy. */
    DURABLE,
    /** Read back whole with good checksums since it became durable; a copy. */
    VERIFIED;

    public boolean isCopy() {
        return this != WRITTEN;
    }
}
