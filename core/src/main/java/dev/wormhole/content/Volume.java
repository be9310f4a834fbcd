// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;
import java.util.List;

/**
 * One disk directory as a store uses it. Paths are relative, with {@code /} between a directory and a name; the empty
 * string is the volume itself. Thread-safe.
 *
 * <p>What survives a power loss: bytes of a file after {@link VolumeFile#sync}, names after {@link #syncDirectory} of
 * the directory that has them. Everything later may survive wholly, partly or not at all, in any order; a rename is
 * never seen half done.
 */
public interface Volume {
    /** A file's name within its directory and its size in bytes. */
    record Entry(String name, long bytes) {}

    /** Creates a directory whose parent exists; does nothing if it is there. */
    void createDirectory(String directory) throws IOException;

    /** The regular files directly in a directory, in no order; none if there is no such directory. */
    List<Entry> list(String directory) throws IOException;

    /** Creates an empty file for reading and writing. @throws java.nio.file.FileAlreadyExistsException if it exists */
    VolumeFile create(String path) throws IOException;

    /** Opens a file for reading and writing. @throws java.nio.file.NoSuchFileException if there is none */
    VolumeFile open(String path) throws IOException;

    boolean exists(String path) throws IOException;

    /** Renames a file within its directory, in one step, replacing what has the name. */
    void rename(String from, String to) throws IOException;

    /** Deletes a file; open ones can be read on. @return whether there was one */
    boolean delete(String path) throws IOException;

    /** Makes the names in a directory durable. */
    void syncDirectory(String directory) throws IOException;

    /** Makes a file of so many bytes that really occupies the disk, replacing what has the name; durable on return. */
    void allocate(String path, long bytes) throws IOException;

    /** Bytes that can still be written. */
    long freeBytes() throws IOException;

    /** The disk's size in bytes. */
    long totalBytes() throws IOException;

    /** An open file of a volume. Reads and writes name their position, so threads share it freely. */
    interface VolumeFile extends AutoCloseable {
        /** Fills the buffer from a position on. @return bytes read; less than asked, or 0, only at the file's end */
        int read(java.nio.ByteBuffer into, long position) throws IOException;

        /**
         * Writes all remaining bytes; a gap before the position reads as zeros.
         *
         * @throws OutOfSpaceException when the disk is full
         */
        void write(java.nio.ByteBuffer from, long position) throws IOException;

        /** Size in bytes. */
        long size() throws IOException;

        /** Makes all bytes written so far, and the size, durable. After a failure nothing written is to be trusted. */
        void sync() throws IOException;

        /** Gives the bytes of a range back to the disk; they then read as zeros. @return false where that cannot be */
        boolean punchHole(long position, long bytes) throws IOException;

        @Override
        void close() throws IOException;
    }
}
