// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.util.List;

/**
 * A slice as the log knows it.
 *
 * @param inode the inode that first named it; rules of its path decide the copies
 * @param names how many extents, present and displaced, name it; 0 means that it may be discarded
 */
public record SliceRecord(SliceId slice, long lengthBytes, InodeId inode, int names, List<Holder> holders) {
    public record Holder(Incarnation incarnation, HolderState state) {}

    public SliceRecord {
        holders = List.copyOf(holders);
    }

    public boolean heldBy(Incarnation incarnation) {
        for (Holder holder : holders)
            if (holder.incarnation().equals(incarnation) && holder.state().isCopy()) return true;
        return false;
    }
}
