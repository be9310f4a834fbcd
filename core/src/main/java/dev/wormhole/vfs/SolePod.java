// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.InodeId;

/** See {@link ValidityPolicy#sole}. */
final class SolePod implements ValidityPolicy {
    private static final long GRANTED_NANOS = 1_000_000_000;
    private final Metadata metadata;
    private volatile boolean alone;

    SolePod(Metadata metadata) {
        this.metadata = metadata;
        alone = metadata.view().pods().size() == 1;
    }

    @Override
    public long entryNanos(InodeId directory) {
        return alone ? GRANTED_NANOS : 0;
    }

    @Override
    public long attributesNanos(InodeId inode) {
        return alone ? GRANTED_NANOS : 0;
    }

    @Override
    public void podsChanged() {
        alone = metadata.view().pods().size() == 1;
    }
}
