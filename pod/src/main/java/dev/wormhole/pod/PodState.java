// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Incarnation;
import dev.wormhole.transfer.Messages;
import java.io.IOException;

/**
 * How a pod says it is, with every heartbeat.
 *
 * @param appliedIndex what it has applied of the log; applied implies on its disk
 * @param freeBytes slices that it still takes
 * @param pid of its daemon
 * @param mount empty without one
 * @param stage what it is doing, one of {@link Stage}
 */
record PodState(
        Incarnation incarnation,
        long appliedIndex,
        long usedBytes,
        long limitBytes,
        long freeBytes,
        long pid,
        String store,
        String mount,
        Stage stage,
        long memoryBytes,
        long uptimeMillis,
        String fault) {
    /** In order of a start; the order is part of the protocol. */
    enum Stage {
        STARTING,
        READY,
        CATCHING_UP,
        FROZEN,
        LEAVING
    }

    private static final int PATH_BYTES_MAX = 4096;

    void write(Messages.Writer to) {
        to.putIncarnation(incarnation)
                .putVarint(Math.max(0, appliedIndex))
                .putVarint(usedBytes)
                .putVarint(limitBytes)
                .putVarint(freeBytes)
                .putVarint(pid)
                .putString(store)
                .putString(mount)
                .putByte(stage.ordinal())
                .putVarint(memoryBytes)
                .putVarint(uptimeMillis)
                .putString(fault);
    }

    static PodState read(Messages.Reader from) throws IOException {
        return new PodState(
                from.getIncarnation(),
                from.getVarint(),
                from.getVarint(),
                from.getVarint(),
                from.getVarint(),
                from.getVarint(),
                from.getString(PATH_BYTES_MAX),
                from.getString(PATH_BYTES_MAX),
                stage(from.getByte()),
                from.getVarint(),
                from.getVarint(),
                from.getString(PATH_BYTES_MAX));
    }

    private static Stage stage(int ordinal) throws IOException {
        if (ordinal >= Stage.values().length) throw new IOException("stage " + ordinal + " of a pod is not known");
        return Stage.values()[ordinal];
    }
}
