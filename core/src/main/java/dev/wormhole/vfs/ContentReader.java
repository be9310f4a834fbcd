// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.content.ContentStore;
import dev.wormhole.content.CorruptSliceException;
import dev.wormhole.content.UnknownSliceException;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Extent;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.SliceRecord;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The bytes of a file as this pod sees them: its own uncommitted ones over the newest committed version, zeros in holes,
 * nothing behind the end. Reads that run at the same time as changes see each range before or after each change.
 * Thread-safe; holds no lock while it reads.
 */
final class ContentReader {
    private static final System.Logger LOG = System.getLogger(ContentReader.class.getName());
    private static final byte[] ZEROS = new byte[64 * 1024];
    /** Extents of dense data that a search for a hole looks at at once. */
    private static final int SEEK_EXTENTS = 1_024;

    private static final int ATTEMPTS = 4;

    private final Metadata metadata;
    private final ContentStore store;
    private final Replication replication;
    private final ExtentCache extents = new ExtentCache();

    ContentReader(Metadata metadata, ContentStore store, Replication replication) {
        this.metadata = metadata;
        this.store = store;
        this.replication = replication;
    }

    /** Bytes read, fewer than asked only at the end of the file; -1 if the inode is gone. */
    int read(OpenInode inode, long offset, ByteBuffer into) throws IOException, InterruptedException {
        int start = into.position();
        int limit = into.limit();
        for (int attempt = 1; ; attempt++) {
            try {
                int count = readOnce(inode, offset, into);
                if (attempt == ATTEMPTS || count < 0 || !into.hasRemaining() || !reaches(inode, offset + count + 1L))
                    return count;
                // grown meanwhile: the kernel, told of the new size by now, would take what is missing for zeros
                into.position(start);
            } catch (UnknownSliceException e) {
                // overwritten and collected between the look at the extents and the read: look again
                if (attempt == ATTEMPTS) throw e;
                extents.forget(inode.id);
                into.position(start);
            } finally {
                into.limit(limit);
            }
        }
    }

    /** Everything may have changed at once. */
    void forgetExtents() {
        extents.clear();
    }

    private boolean reaches(OpenInode inode, long size) {
        Attributes now = metadata.view().attributes(inode.id);
        return now != null && now.size() >= size;
    }

    private int readOnce(OpenInode inode, long offset, ByteBuffer into) throws IOException, InterruptedException {
        int limit = into.limit();
        long dirtyEnd = 0;
        RangeMap fresh = null;
        if (inode.dirty) {
            // before the view is asked: what is committed in between is seen twice, never not at all
            inode.lock.lock();
            try {
                dirtyEnd = inode.dirtyEnd();
                fresh = freshWithin(inode, offset, offset + into.remaining());
            } finally {
                inode.lock.unlock();
            }
        }
        Attributes attributes = metadata.view().attributes(inode.id);
        if (attributes == null) return -1;
        long size = Math.max(attributes.size(), dirtyEnd);
        if (offset >= size || !into.hasRemaining()) return 0;
        int count = (int) Math.min(into.remaining(), size - offset);
        long end = offset + count;
        long at = offset;
        int next = 0;
        while (at < end) {
            if (fresh != null && next < fresh.count() && fresh.from(next) <= at) {
                long to = Math.min(end, fresh.to(next));
                into.limit(into.position() + (int) (to - at));
                readSlice(new SliceId(fresh.slice(next)), fresh.sliceOffset(next) + (at - fresh.from(next)), into);
                into.limit(limit);
                at = to;
                next++;
            } else {
                long to = fresh != null && next < fresh.count() ? Math.min(end, fresh.from(next)) : end;
                readCommitted(attributes, at, to, into);
                at = to;
            }
        }
        return count;
    }

    /** The uncommitted ranges within [from, to), the newer over the older; null if there are none. The lock is held. */
    private static @Nullable RangeMap freshWithin(OpenInode inode, long from, long to) {
        RangeMap fresh = null;
        Generation older = inode.committing;
        if (older != null && !older.append && older.ranges.end() > from) {
            fresh = new RangeMap();
            fresh.putWithin(older.ranges, from, to);
        }
        Generation newer = inode.current;
        if (newer != null && !newer.append && newer.ranges.end() > from) {
            if (fresh == null) fresh = new RangeMap();
            fresh.putWithin(newer.ranges, from, to);
        }
        return fresh;
    }

    private void readCommitted(Attributes attributes, long from, long to, ByteBuffer into)
            throws IOException, InterruptedException {
        int limit = into.limit();
        long at = from;
        while (at < to) {
            ExtentCache.Window window = extents.find(metadata.view(), attributes, at);
            long windowEnd = Math.min(to, window.to());
            Extent[] known = window.extents();
            for (int i = firstEndingAfter(known, at); at < windowEnd; i++) {
                Extent extent = i < known.length ? known[i] : null;
                long dataFrom = extent == null ? windowEnd : Math.min(windowEnd, Math.max(at, extent.fileOffset()));
                if (dataFrom > at) zeros(into, dataFrom - at);
                at = dataFrom;
                if (extent == null || at >= windowEnd) continue;
                long dataTo = Math.min(windowEnd, extent.fileEnd());
                into.limit(into.position() + (int) (dataTo - at));
                readSlice(extent.slice(), extent.sliceOffset() + (at - extent.fileOffset()), into);
                into.limit(limit);
                at = dataTo;
            }
        }
    }

    private static int firstEndingAfter(Extent[] extents, long offset) {
        int low = 0, high = extents.length;
        while (low < high) {
            int middle = low + high >>> 1;
            if (extents[middle].fileEnd() > offset) high = middle;
            else low = middle + 1;
        }
        return low;
    }

    private static void zeros(ByteBuffer into, long count) {
        for (long left = count; left > 0; ) {
            int part = (int) Math.min(left, ZEROS.length);
            into.put(ZEROS, 0, part);
            left -= part;
        }
    }

    /** Fills the buffer's remaining space from a slice, from this store if it can, else from another pod. */
    private void readSlice(SliceId slice, long offset, ByteBuffer into) throws IOException, InterruptedException {
        long at = offset;
        if (store.length(slice) >= 0) {
            try {
                while (into.hasRemaining()) {
                    int count = store.read(slice, at, into);
                    if (count <= 0) break; // still arriving from elsewhere
                    at += count;
                }
            } catch (UnknownSliceException e) {
                // deleted this moment: elsewhere, or displaced altogether
            } catch (CorruptSliceException e) {
                LOG.log(System.Logger.Level.ERROR, "a damaged slice is read from another pod", e);
            }
            if (!into.hasRemaining()) return;
        }
        SliceRecord record = metadata.view().slice(slice);
        if (record == null) throw new UnknownSliceException(slice);
        if (metadata.disconnected()) throw new IOException(slice + " is not here, and there is no network");
        replication.read(record, at, into);
    }

    /** The first offset from {@code offset} on that is data (or, if not {@code data}, a hole); -1 if there is none. */
    long seek(OpenInode inode, long offset, boolean data) {
        long dirtyEnd;
        RangeMap uncommitted;
        inode.lock.lock();
        try {
            dirtyEnd = inode.dirtyEnd();
            uncommitted = freshWithin(inode, offset, Long.MAX_VALUE);
        } finally {
            inode.lock.unlock();
        }
        var fresh = uncommitted == null ? new RangeMap() : uncommitted;
        Attributes attributes = metadata.view().attributes(inode.id);
        if (attributes == null) return -1;
        long size = Math.max(attributes.size(), dirtyEnd);
        if (offset >= size) return -1;
        long at = offset;
        while (at < size) {
            // ranges in order, as far as they are known of both; neighbours count as one
            List<Extent> committed = metadata.view().extents(inode.id, at, size, data ? 1 : SEEK_EXTENTS);
            boolean more = !data && committed.size() == SEEK_EXTENTS;
            long to = more ? committed.getLast().fileEnd() : size;
            int next = fresh.firstEndingAfter(at);
            int old = 0;
            while (at < to) {
                long freshFrom = next < fresh.count() ? fresh.from(next) : Long.MAX_VALUE;
                long oldFrom = old < committed.size() ? committed.get(old).fileOffset() : Long.MAX_VALUE;
                long from = Math.min(freshFrom, oldFrom);
                if (from >= size) return data ? -1 : at;
                if (data) return Math.max(at, from);
                if (from > at) return at;
                if (freshFrom <= oldFrom) at = Math.max(at, fresh.to(next++));
                else at = Math.max(at, committed.get(old++).fileEnd());
            }
        }
        return data ? -1 : size;
    }
}
