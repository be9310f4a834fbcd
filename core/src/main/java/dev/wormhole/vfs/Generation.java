// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.content.ContentStore;
import dev.wormhole.content.ContentStore.SliceWriter;
import dev.wormhole.content.OutOfSpaceException;
import dev.wormhole.content.TransitFullException;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Command.NewSlice;
import dev.wormhole.vfs.Metadata.Committed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * New bytes of one inode that will be committed together: written at offsets, or appended (then ranges count from the first
 * appended byte), never both. Guarded by the inode's lock while it takes bytes; its content stays as it is from the moment
 * it is being committed, except that {@link #ranges} may be exchanged under the lock.
 */
final class Generation {
    /** A slice is sealed, and sent on, when it has so many bytes: large files replicate while they are written. */
    static final long SLICE_BYTES = 16L << 20;

    static final class StagedSlice {
        final SliceWriter writer;
        /** This pod has no room for it: it goes on to others, and the copy here ends with its commit. */
        final boolean transit;

        boolean sealed;
        long length;

        @Nullable CompletableFuture<List<Incarnation>> push;

        StagedSlice(SliceWriter writer, boolean transit) {
            this.writer = writer;
            this.transit = transit;
        }

        SliceId id() {
            return writer.slice();
        }
    }

    /** Decides about bytes that this pod has no room for. */
    interface Admission {
        /**
         * Returns if so many bytes may go through this pod to others.
         *
         * @throws OutOfSpaceException when no other pod has room for them
         * @throws TransitFullException when they must wait for what goes there already
         */
        void admit(int bytes) throws IOException;
    }

    final boolean append;
    RangeMap ranges = new RangeMap();
    List<StagedSlice> slices = new ArrayList<>(1);
    private @Nullable StagedSlice open;
    /** The file is at least this long; for appends unused. */
    long end;
    /** Bytes appended. */
    long appended;
    /** Where the kernel believed that the appended bytes begin. */
    long appendExpectedAt = -1;

    long stagedBytes;
    /** Of these, bytes that this pod has no room for. */
    long transitBytes;
    /** No other pod had room for them when they were to be committed. */
    boolean crowded;

    long modifiedNanos;
    long view = Long.MAX_VALUE;
    boolean killPrivileges;
    /** Some of it was written while a program here held a lock of the file. */
    boolean underLock;
    /** Clock reading of the first write, or of the last failure to commit. */
    long sinceNanos;
    /** The slices cannot be committed as they are: their bytes go into new ones first. */
    boolean restage;
    /** It was proposed, and the network was lost before the answer: nothing of it is proposed again before that is known. */
    @Nullable Doubt doubt;

    /**
     * @param slices that the command named
     * @param outcome completes when the network is back
     */
    record Doubt(List<NewSlice> slices, CompletableFuture<Committed> outcome) {}

    Generation(boolean append, long sinceNanos) {
        this.append = append;
        this.sinceNanos = sinceNanos;
    }

    /** The first byte behind what is new here; 0 for appends. */
    long end() {
        return append ? 0 : end;
    }

    /**
     * Stages bytes, in transit those that this pod has no room for. On an exception those taken so far, by the buffer's
     * position, count as written. A write of at most {@link #SLICE_BYTES} that is appended is taken whole or not at all.
     *
     * @return whether a slice became full, which is to be sent on
     */
    boolean take(ContentStore store, LongSupplier nextId, Admission admission, long offset, ByteBuffer bytes)
            throws IOException {
        boolean sealed = false;
        boolean full = false; // this pod
        long at = append ? appended : offset;
        int limit = bytes.limit();
        while (bytes.hasRemaining()) {
            StagedSlice into = open;
            int left = bytes.remaining();
            if (into != null && (append || into.transit) && left <= SLICE_BYTES && left > SLICE_BYTES - into.length) {
                open = null; // what may have to wait is not divided
                seal(into);
                sealed = true;
                into = null;
            }
            int part = (int) Math.min(left, SLICE_BYTES - (into == null ? 0 : into.length));
            if (into == null) {
                into = begin(store, nextId, admission, part, full);
                slices.add(into);
                open = into;
            } else if (into.transit) {
                admission.admit(part);
            }
            long before = into.length;
            bytes.limit(bytes.position() + part);
            try {
                into.writer.append(bytes);
            } catch (IOException e) {
                // whatever it holds now, its earlier bytes are named and kept
                if (before == 0 || !(e instanceof TransitFullException)) open = null;
                if (before == 0) {
                    slices.remove(into);
                    into.writer.close();
                }
                // a part may have gone in: it is named by nothing, and the buffer says that it was not taken
                bytes.position(bytes.limit() - part);
                if (into.transit || !(e instanceof OutOfSpaceException)) throw e;
                full = true;
                continue;
            } finally {
                bytes.limit(limit);
            }
            into.length = before + part;
            stagedBytes += part;
            if (into.transit) transitBytes += part;
            ranges.put(at, part, into.id().value(), before);
            at += part;
            if (append) appended = at;
            else end = Math.max(end, at);
            if (into.length >= SLICE_BYTES) {
                open = null;
                seal(into);
                sealed = true;
            }
        }
        return sealed;
    }

    private static StagedSlice begin(
            ContentStore store, LongSupplier nextId, Admission admission, int bytes, boolean full) throws IOException {
        var id = new SliceId(nextId.getAsLong());
        if (!full) {
            try {
                return new StagedSlice(store.stage(id, 0), false);
            } catch (OutOfSpaceException e) {
                // others may have room
            }
        }
        admission.admit(bytes);
        return new StagedSlice(store.stageTransit(id, bytes), true);
    }

    /** Ends writing of every slice. */
    void seal() throws IOException {
        open = null;
        for (StagedSlice slice : slices) if (!slice.sealed) seal(slice);
    }

    private void seal(StagedSlice slice) throws IOException {
        try {
            slice.writer.seal();
        } catch (IOException e) {
            restage = true;
            throw e;
        }
        slice.length = slice.writer.length();
        slice.sealed = true;
    }

    /** Takes over what was written after this generation failed to be committed. */
    void absorb(Generation newer) {
        if (newer.append != append) throw new IllegalStateException("appends and writes in one generation");
        if (append) {
            for (int i = 0; i < newer.ranges.count(); i++)
                ranges.put(
                        appended + newer.ranges.from(i),
                        newer.ranges.to(i) - newer.ranges.from(i),
                        newer.ranges.slice(i),
                        newer.ranges.sliceOffset(i));
            appended += newer.appended;
        } else {
            ranges.putAll(newer.ranges);
            end = Math.max(end, newer.end);
        }
        slices.addAll(newer.slices);
        open = newer.open;
        stagedBytes += newer.stagedBytes;
        transitBytes += newer.transitBytes;
        modifiedNanos = newer.modifiedNanos;
        killPrivileges |= newer.killPrivileges;
        underLock |= newer.underLock;
        view = Math.min(view, newer.view);
        restage |= newer.restage;
    }
}
