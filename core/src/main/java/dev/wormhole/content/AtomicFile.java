// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import org.jspecify.annotations.Nullable;

/** Small files that are replaced whole: after a crash there is the old content or the new, never a mixture. */
final class AtomicFile {
    static final String TEMPORARY_SUFFIX = ".new";

    private AtomicFile() {}

    /** Durable on return. */
    static void write(Volume volume, String path, ByteBuffer content) throws IOException {
        String temporary = path + TEMPORARY_SUFFIX;
        volume.delete(temporary);
        try (var file = volume.create(temporary)) {
            file.write(content, 0);
            file.sync();
        }
        volume.rename(temporary, path);
        volume.syncDirectory(directoryOf(path));
    }

    /** The whole content, or null if there is no such file. */
    static @Nullable ByteBuffer read(Volume volume, String path, int bytesMax) throws IOException {
        try (var file = volume.open(path)) {
            long size = file.size();
            if (size > bytesMax) throw new IOException(path + " has " + size + " bytes, more than it can have");
            var content = ByteBuffer.allocate((int) size);
            file.read(content, 0);
            return content.flip();
        } catch (NoSuchFileException none) {
            return null;
        }
    }

    static String directoryOf(String path) {
        int slash = path.lastIndexOf('/');
        return slash < 0 ? "" : path.substring(0, slash);
    }
}
