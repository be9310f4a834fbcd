// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Another volume to look at: what a store would change in it while it opens and closes is not changed. A store on it finds
 * what it would find there, and must be given nothing to keep.
 */
public final class UnchangedVolume implements Volume {
    private final Volume volume;

    public UnchangedVolume(Volume volume) {
        this.volume = volume;
    }

    @Override
    public void createDirectory(String directory) {}

    @Override
    public List<Entry> list(String directory) throws IOException {
        return volume.list(directory);
    }

    @Override
    public VolumeFile create(String path) {
        return new Unchanged(null);
    }

    @Override
    public VolumeFile open(String path) throws IOException {
        return new Unchanged(volume.open(path));
    }

    @Override
    public boolean exists(String path) throws IOException {
        return volume.exists(path);
    }

    @Override
    public void rename(String from, String to) {}

    @Override
    public boolean delete(String path) throws IOException {
        return volume.exists(path);
    }

    @Override
    public void syncDirectory(String directory) {}

    @Override
    public void allocate(String path, long bytes) {}

    @Override
    public long freeBytes() throws IOException {
        return volume.freeBytes();
    }

    @Override
    public long totalBytes() throws IOException {
        return volume.totalBytes();
    }

    /** @param file null for one that was never made */
    private record Unchanged(@Nullable VolumeFile file) implements VolumeFile {
        @Override
        public int read(ByteBuffer into, long position) throws IOException {
            return file == null ? 0 : file.read(into, position);
        }

        @Override
        public void write(ByteBuffer from, long position) {
            from.position(from.limit());
        }

        @Override
        public long size() throws IOException {
            return file == null ? 0 : file.size();
        }

        @Override
        public void sync() {}

        @Override
        public boolean punchHole(long position, long bytes) {
            return false;
        }

        @Override
        public void close() throws IOException {
            if (file != null) file.close();
        }
    }
}
