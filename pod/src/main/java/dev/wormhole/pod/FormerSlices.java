// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.ContentStore;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.NamespaceView;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Slices that a store brought along from a generation that ended: those that the new one does not know are never deleted,
 * since files that the old one acknowledged may consist of them. They go when a person removes the folder {@code former} of
 * the store and starts the pod again. Thread-safe.
 */
final class FormerSlices {
    static final String FOLDER = "former";
    /** There from the moment the store went over until the slices that it brought are written down. */
    static final String UNLISTED = "unlisted";

    private static final String LIST = "slices";
    private static final FormerSlices NONE = new FormerSlices(Set.of());

    private final Set<SliceId> slices;

    private FormerSlices(Set<SliceId> slices) {
        this.slices = slices;
    }

    /** Writes down what the store has, when it has just gone over. */
    static FormerSlices open(Path store, ContentStore content) throws IOException {
        var folder = store.resolve(FOLDER);
        var slices = read(folder.resolve(LIST));
        if (Files.exists(folder.resolve(UNLISTED))) {
            content.forEachDurable(slices::add);
            var bytes = ByteBuffer.allocate(slices.size() * 8);
            for (SliceId slice : slices) bytes.putLong(slice.value());
            Transition.write(folder.resolve(LIST), bytes.array());
            Files.delete(folder.resolve(UNLISTED));
        }
        if (slices.isEmpty()) return NONE;
        Set<SliceId> kept = ConcurrentHashMap.newKeySet();
        kept.addAll(slices);
        return new FormerSlices(kept);
    }

    private static TreeSet<SliceId> read(Path list) throws IOException {
        var slices = new TreeSet<SliceId>(java.util.Comparator.comparingLong(SliceId::value));
        try {
            var bytes = ByteBuffer.wrap(Files.readAllBytes(list));
            while (bytes.remaining() >= 8) slices.add(new SliceId(bytes.getLong()));
        } catch (NoSuchFileException none) {
            return slices;
        }
        return slices;
    }

    /**
     * Whether a slice that the log does not know is to stay. One that it knew in the meantime, and let go, is not.
     */
    boolean keeps(SliceId slice) {
        return slices.contains(slice);
    }

    /** The log knows these, now that it is caught up with: they come and go as it says. */
    void known(NamespaceView view) {
        var known = new ArrayList<SliceId>();
        for (SliceId slice : slices) if (view.slice(slice) != null) known.add(slice);
        known.forEach(slices::remove);
    }

    /** How many stay that the log does not know, once it is caught up with. */
    int count() {
        return slices.size();
    }
}
