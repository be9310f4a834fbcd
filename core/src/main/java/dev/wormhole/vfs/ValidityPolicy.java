// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.InodeId;
import java.util.function.LongSupplier;

/**
 * For how long an answer may be believed by whoever keeps it, DESIGN section 7. Asked at every reply, <em>before</em> the
 * state is looked at: cheap, thread-safe, waits for nothing.
 */
public interface ValidityPolicy {
    /** Nanoseconds for which a name found in the directory may be believed. */
    long entryNanos(InodeId directory);

    /** Nanoseconds for which the attributes may be believed. */
    long attributesNanos(InodeId inode);

    /**
     * A name in the directory was changed by another pod: told by the thread that applies the log, after the tables hold
     * it. Answers for how many nanoseconds from now on the old one may be believed here.
     */
    long namesChanged(InodeId directory);

    /**
     * Attributes were changed, told likewise.
     *
     * @param own by this pod
     * @return nanoseconds after which whoever keeps them is to be told to drop them; -1 if nobody keeps them
     */
    long attributesChanged(InodeId inode, boolean own);

    /** Everything may have changed. Answers for how many nanoseconds anything may still be believed. */
    long everythingChanged();

    /** Members of the network changed (or may have), told likewise. */
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
        public long namesChanged(InodeId directory) {
            return 0;
        }

        @Override
        public long attributesChanged(InodeId inode, boolean own) {
            return -1;
        }

        @Override
        public long everythingChanged() {
            return 0;
        }

        @Override
        public void podsChanged() {}
    };

    /**
     * One second while this pod is the network's only member and so makes every change itself; as soon as another member is
     * admitted, what freshness allows. What was granted before that runs out within that second: the newcomer is to mount
     * later.
     *
     * @param freshNanos what is left of this pod's freshness; 0 while it is not in the prompt set
     * @param nanoClock the clock that the kernel counts by, nanoseconds
     */
    static ValidityPolicy shared(Metadata metadata, LongSupplier freshNanos, LongSupplier nanoClock) {
        return new SharedValidity(metadata, freshNanos, nanoClock);
    }
}
