// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.ContentStore;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.function.Consumer;

/** The store as the receiver of other pods' slices sees it: what it made durable is told, so that it can be claimed. */
final class ReceivingStore implements ContentStore {
    private final ContentStore store;
    private final Consumer<Collection<SliceId>> durable;

    ReceivingStore(ContentStore store, Consumer<Collection<SliceId>> durable) {
        this.store = store;
        this.durable = durable;
    }

    @Override
    public void sync(Collection<SliceId> slices) throws IOException {
        store.sync(slices);
        durable.accept(slices);
    }

    @Override
    public SliceWriter stage(SliceId slice, long expectedBytes) throws IOException {
        return store.stage(slice, expectedBytes);
    }

    @Override
    public SliceWriter stageTransit(SliceId slice, int expectedBytes) throws IOException {
        return store.stageTransit(slice, expectedBytes);
    }

    @Override
    public void endTransit(Collection<SliceId> slices) {
        store.endTransit(slices);
    }

    @Override
    public long transitBytes() {
        return store.transitBytes();
    }

    @Override
    public int read(SliceId slice, long offset, ByteBuffer into) throws IOException {
        return store.read(slice, offset, into);
    }

    @Override
    public long length(SliceId slice) {
        return store.length(slice);
    }

    @Override
    public boolean isDurable(SliceId slice) {
        return store.isDurable(slice);
    }

    @Override
    public void delete(Collection<SliceId> slices) throws IOException {
        store.delete(slices);
    }

    @Override
    public void forEachDurable(Consumer<SliceId> visitor) {
        store.forEachDurable(visitor);
    }

    @Override
    public void verify(SliceId slice) throws IOException {
        store.verify(slice);
    }

    @Override
    public Usage usage() {
        return store.usage();
    }

    /** The store is its owner's to close. */
    @Override
    public void close() {}
}
