// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The state that the log drives: implemented by the pod over {@link RocksTable}. One thread at a time calls
 * {@link #apply}, {@link #applyEmpty}, {@link #takeSnapshot} and {@link #installSnapshot}, in the order of the log. What
 * they throw is final: {@link #bug} is told once, the log stops on this pod and applies nothing more.
 */
public interface Applier {
    /**
     * Applies one entry. On return its effect and its position can be read; they need not be on disk, because the log
     * is replayed from the last flushed position. Never called with an index that {@link #position} already contains.
     * Must not wait for the kernel, for other pods or for a later entry.
     *
     * @param entry as given to {@link RaftLog#append}; not used elsewhere, may be kept
     */
    void apply(long term, long index, byte[] entry);

    /** An entry of the log's own (members, bookkeeping): only the position moves, and may be written lazily. */
    void applyEmpty(long term, long index);

    /** What the state contains, as of its last write; asked at the start and after {@link #installSnapshot}. */
    Position position();

    /**
     * Writes the whole state, with its position, as a flat directory of files.
     *
     * @param dir does not exist yet; its parent does. On return everything in it is synced, the directory included; the
     *     files are never changed afterwards
     */
    void takeSnapshot(Path dir) throws IOException;

    /**
     * Replaces the state by one that {@link #takeSnapshot} wrote, perhaps on another pod, and syncs it: on return no
     * crash brings the old state back. On failure the old or the new state is there, whole. Everything cached from the
     * old state, here or in the kernel, must be dropped: the entries between were never applied one by one.
     *
     * @param dir stays as it is and must not be changed; files may be hard-linked
     */
    void installSnapshot(Path dir) throws IOException;

    /**
     * The leader as this pod sees it; this pod itself only once {@link RaftLog#append} works. Called in order on a thread
     * of its own that may be held up without harm to the log.
     */
    void leaderChanged(Optional<Incarnation> leader);

    /** A bug or a failed disk: the log has stopped here for good. The pod is to stop and to keep its data. */
    void bug(Throwable cause);
}
