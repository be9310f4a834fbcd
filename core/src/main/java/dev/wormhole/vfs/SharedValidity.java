// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.InodeId;
import java.util.function.LongSupplier;

/** See {@link ValidityPolicy#shared}. */
final class SharedValidity implements ValidityPolicy {
    private static final long ALONE_NANOS = 1_000_000_000;
    private final Metadata metadata;
    private final LongSupplier freshNanos;
    private final LongSupplier nanoClock;
    private final long origin;
    private final Grants grants = new Grants();
    private volatile boolean alone;

    SharedValidity(Metadata metadata, LongSupplier freshNanos, LongSupplier nanoClock) {
        this.metadata = metadata;
        this.freshNanos = freshNanos;
        this.nanoClock = nanoClock;
        this.origin = nanoClock.getAsLong();
        alone = metadata.view().pods().size() == 1;
    }

    private long now() {
        return nanoClock.getAsLong() - origin;
    }

    @Override
    public long entryNanos(InodeId directory) {
        return alone ? ALONE_NANOS : grants.name(directory, now(), freshNanos.getAsLong());
    }

    @Override
    public long attributesNanos(InodeId inode) {
        return alone ? ALONE_NANOS : grants.attributes(inode, now(), freshNanos.getAsLong());
    }

    @Override
    public long namesChanged(InodeId directory) {
        long now = now();
        return Math.max(0, grants.nameChanged(directory, now) - now);
    }

    @Override
    public long attributesChanged(InodeId inode, boolean own) {
        if (alone) return 0;
        long now = now();
        long at = own ? grants.ownAttributesChanged(inode, now) : grants.attributesChanged(inode, now);
        return at < 0 ? -1 : Math.max(0, at - now);
    }

    @Override
    public long everythingChanged() {
        long now = now();
        return Math.max(alone ? ALONE_NANOS : 0, grants.everythingChanged(now) - now);
    }

    @Override
    public void podsChanged() {
        alone = metadata.view().pods().size() == 1;
    }
}
