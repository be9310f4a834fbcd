// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.FileName;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.util.List;

/** What an applied entry changed, for caches and stores on this pod. Told in order, after the tables hold it. */
public sealed interface Change {
    /** Attributes of the inode changed, and its bytes too if {@code content}. */
    record InodeChanged(InodeId inode, boolean content) implements Change {}

    /** A name in the directory appeared, went or leads elsewhere. */
    record EntryChanged(InodeId directory, FileName name) implements Change {}

    /** The inode lost its last name; a pod that has it open proposes a Hold. */
    record Orphaned(InodeId inode) implements Change {}

    /** The inode is gone for good. */
    record Reaped(InodeId inode) implements Change {}

    /** Every store deletes these. */
    record SlicesDiscarded(List<SliceId> slices) implements Change {}

    /**
     * Holders of these slices changed, also by a commit that names others than the writer. A store that is named without
     * having the bytes says so (LoseHolder). One that has bytes without being named may be about to be: see HolderDropped.
     */
    record HoldersChanged(List<SliceId> slices) implements Change {}

    /** By decision of the log this incarnation is no holder of the slice any more: its store deletes the bytes. */
    record HolderDropped(SliceId slice, Incarnation holder) implements Change {}

    /** Who holds locks of the file, waits for one, or decides about them. */
    record LocksChanged(InodeId inode) implements Change {}

    /** Members or their states changed. */
    record PodsChanged() implements Change {}

    /** Another configuration is in force. */
    record Configured() implements Change {}

    /** Everything may have changed at once: a snapshot was installed. */
    record Replaced() implements Change {}
}
