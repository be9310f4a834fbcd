// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.SliceRecord;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Slices on other pods, as file operations use them. Thread-safe. Every call ends within its deadlines. */
public interface Replication {
    /**
     * Sends a sealed local slice on to pods that should hold it, the writer once, holders onwards. Completes, never
     * exceptionally, with the pods (this one not among them) that made it durable, when as many as are wanted did or none
     * more can be reached.
     *
     * @param copies how many pods should have it, this one included if it keeps its copy
     * @param keptHere whether this pod's copy stays; false for one in transit
     */
    CompletableFuture<List<Incarnation>> push(SliceId slice, long lengthBytes, int copies, boolean keptHere);

    /**
     * Reads a range of a slice that this pod does not hold, verified, from whichever holder answers; another one goes on
     * where one fails. Fills the buffer's remaining bytes.
     *
     * @throws IOException when no holder could give the bytes within 2 s; names them
     */
    void read(SliceRecord slice, long offset, ByteBuffer into) throws IOException, InterruptedException;

    /** How many copies the rules want of this inode's bytes, and whether it may be written. */
    Wish wish(InodeId inode);

    /** @param readOnly a rule forbids changes of these bytes */
    record Wish(int copies, int minCopies, boolean readOnly) {}

    /** Present storing pods, this one included if it stores. */
    int presentStoringPods();

    /** The other pods that new slices may go to, unless they are absent. */
    List<Room> rooms();

    /**
     * @param freeBytes what it last told that it still takes; may be out of date by what came since
     * @param present whether it was heard of just now
     */
    record Room(Incarnation pod, long freeBytes, boolean present) {}

    /** Bytes of new data that the network can still take with the default copies, and its whole size, for statfs. */
    Capacity capacity();

    record Capacity(long totalBytes, long freeBytes) {}
}
