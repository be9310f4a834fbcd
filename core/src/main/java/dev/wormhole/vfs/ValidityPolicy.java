// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.InodeId;

/**
 * For how long an answer may be believed by whoever keeps it, DESIGN section 7. Asked at every reply: cheap, thread-safe,
 * waits for nothing.
 */
public interface ValidityPolicy {
    /** Nanoseconds for which a name found in the directory may be believed. */
    long entryNanos(InodeId directory);

    /** Nanoseconds for which the attributes may be believed. */
    long attributesNanos(InodeId inode);

    /** Members of the network changed (or may have): told by the thread that applies the log, after the tables hold it. */
    void podsChanged();

    /** The plain way, always right: nothing is believed, every question comes here. */
    ValidityPolicy NONE = new ValidityPolicy() {
        @Override
        public long entryNanos(InodeId directory) {
            return 0;
        }

        @Override
        public long attributesNanos(InodeId inode) {
            return 0;
        }

        @Override
        public void podsChanged() {}
    };

    /**
     * One second while this pod is the network's only member and so makes every change itself; nothing as soon as another
     * member is admitted. What was granted before then runs out within that second: the newcomer is to mount later.
     */
    static ValidityPolicy sole(Metadata metadata) {
        return new SolePod(metadata);
    }
}
