// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import java.time.Duration;
import java.util.function.Supplier;

/**
 * How file operations trade speed for safety on this pod.
 *
 * @param fsync what fsync waits for, asked each time: the network may declare another at any moment
 * @param onDisconnect what this pod does when it has lost the network
 * @param validity for how long the kernel may believe names and attributes
 * @param commitAfter new bytes of a file that stays open are committed after so long
 * @param commitBytes and once so many bytes of one file are uncommitted
 * @param stagedBytesMax uncommitted bytes of all files together; writers wait above it
 * @param closeWait how long a commit may wait for copies under way, so that one log entry names all holders
 * @param syncDeadline an fsync that cannot be satisfied for so long fails
 * @param shutdownDeadline how long close() of the filesystem tries to commit what is left
 */
public record FileSystemSettings(
        Supplier<Fsync> fsync,
        OnDisconnect onDisconnect,
        ValidityPolicy validity,
        Duration commitAfter,
        long commitBytes,
        long stagedBytesMax,
        Duration closeWait,
        Duration syncDeadline,
        Duration shutdownDeadline) {
    public enum Fsync {
        /** Bytes and log entry are on the disks of min(2, copies, present storing pods) pods. */
        REPLICATED,
        /** Bytes and log entry are on this pod's disk. */
        LOCAL
    }

    public enum OnDisconnect {
        /** What is local can be read; every change answers EROFS. */
        FREEZE,
        /** Every operation fails. */
        STOP
    }

    public FileSystemSettings {
        if (commitBytes <= 0 || stagedBytesMax < commitBytes)
            throw new IllegalArgumentException("commit bytes " + commitBytes + ", staged bytes " + stagedBytesMax);
    }

    public static FileSystemSettings defaults(ValidityPolicy validity) {
        return new FileSystemSettings(
                () -> Fsync.REPLICATED,
                OnDisconnect.FREEZE,
                validity,
                Duration.ofSeconds(5),
                64L << 20,
                256L << 20,
                Duration.ofMillis(20),
                Duration.ofSeconds(10),
                Duration.ofSeconds(30));
    }
}
