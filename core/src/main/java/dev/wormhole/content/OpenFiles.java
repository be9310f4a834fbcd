// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The files that are open, at most so many at a time (more only while more are in use at once): the longest unused is
 * closed, after a sync if it has unsynced bytes, because a disk's error may be told to open files alone.
 */
final class OpenFiles implements AutoCloseable {
    private final Volume volume;
    private final int filesMax;
    private final LinkedHashMap<Long, Handle> handles = new LinkedHashMap<>(64, 0.75f, true);
    private final Set<Long> failed = new HashSet<>();

    OpenFiles(Volume volume, int filesMax) {
        this.volume = volume;
        this.filesMax = filesMax;
    }

    /** Opens a file or finds it open. Keys are the caller's; one key is one file until {@link #forget}. */
    Handle acquire(long key, String path) throws IOException {
        return acquire(key, path, false);
    }

    Handle create(long key, String path) throws IOException {
        return acquire(key, path, true);
    }

    private Handle acquire(long key, String path, boolean create) throws IOException {
        Handle handle;
        List<Handle> victims = List.of();
        synchronized (this) {
            handle = handles.get(key);
            if (handle == null) {
                handle = new Handle(key);
                handles.put(key, handle);
                if (handles.size() > filesMax) victims = victims();
            }
            handle.users++;
        }
        for (Handle victim : victims) victim.closeNow();
        try {
            handle.open(path, create);
            return handle;
        } catch (IOException e) {
            forget(key);
            handle.close();
            throw e;
        }
    }

    private List<Handle> victims() {
        var victims = new ArrayList<Handle>();
        var eldest = handles.values().iterator();
        while (eldest.hasNext() && handles.size() > filesMax) {
            Handle handle = eldest.next();
            if (handle.users > 0) continue;
            eldest.remove();
            handle.forgotten = true;
            victims.add(handle);
        }
        return victims;
    }

    /** Lets go of a file that was renamed or deleted; those who use it go on. */
    void forget(long key) {
        Handle handle;
        synchronized (this) {
            failed.remove(key);
            handle = handles.remove(key);
            if (handle == null) return;
            handle.dirty = false;
            handle.forgotten = true;
            if (handle.users > 0) return;
        }
        handle.closeNow();
    }

    /** How many are open, for tests. */
    synchronized int count() {
        return handles.size();
    }

    @Override
    public void close() {
        List<Handle> all;
        synchronized (this) {
            all = new ArrayList<>(handles.values());
            handles.clear();
            for (Handle handle : all) handle.forgotten = true;
            all.removeIf(handle -> handle.users > 0);
        }
        for (Handle handle : all) handle.closeNow();
    }

    /** An open file in use; close it after use, not for good. */
    final class Handle implements AutoCloseable {
        private final long key;
        private int users; // guarded by OpenFiles.this, as is the next
        private boolean forgotten;
        private volatile boolean dirty;
        private volatile Volume.@Nullable VolumeFile file;

        /** Tags of all blocks of a slice with a file of its own, once they were read and checked. */
        volatile int @Nullable [] tags;

        private Handle(long key) {
            this.key = key;
        }

        private synchronized void open(String path, boolean create) throws IOException {
            if (file == null) file = create ? volume.create(path) : volume.open(path);
        }

        Volume.VolumeFile file() {
            var open = file;
            if (open == null) throw new IllegalStateException("file " + key + " is not open");
            return open;
        }

        void write(java.nio.ByteBuffer bytes, long position) throws IOException {
            dirty = true;
            file().write(bytes, position);
        }

        void sync() throws IOException {
            synchronized (OpenFiles.this) {
                if (failed.contains(key)) throw new IOException("an earlier sync of this file failed");
            }
            file().sync();
            dirty = false;
        }

        private void closeNow() {
            var open = file;
            if (open == null) return;
            try {
                if (dirty) open.sync();
            } catch (IOException e) {
                synchronized (OpenFiles.this) {
                    failed.add(key);
                }
            }
            try {
                open.close();
            } catch (IOException e) {
                // it was synced, or nobody asks for its bytes any more
            }
        }

        @Override
        public void close() {
            synchronized (OpenFiles.this) {
                if (--users > 0 || !forgotten) return;
            }
            closeNow();
        }
    }
}
