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
import java.util.logging.Level;
import java.util.logging.Logger;

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
    private static final Logger LOG = Logger.getLogger(FormerSlices.class.getName());

    private final Path list;
    private final Set<SliceId> slices;

    private FormerSlices(Path list, Set<SliceId> slices) {
        this.list = list;
        this.slices = slices;
    }

    /** Writes down what the store has, when it has just gone over. */
    static FormerSlices open(Path store, ContentStore content) throws IOException {
        var folder = store.resolve(FOLDER);
        var slices = read(folder.resolve(LIST));
        if (Files.exists(folder.resolve(UNLISTED))) {
            content.forEachDurable(slices::add);
            write(folder.resolve(LIST), slices);
            Files.delete(folder.resolve(UNLISTED));
        }
        Set<SliceId> kept = ConcurrentHashMap.newKeySet();
        kept.addAll(slices);
        return new FormerSlices(folder.resolve(LIST), kept);
    }

    private static void write(Path list, Set<SliceId> slices) throws IOException {
        var values = slices.stream().mapToLong(SliceId::value).toArray();
        var bytes = ByteBuffer.allocate(values.length * 8);
        for (long value : values) bytes.putLong(value);
        Transition.write(list, bytes.array());
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

    /** To be called when the log is caught up with: those that it knows come and go as it says from now on. */
    void known(NamespaceView view) {
        var known = new ArrayList<SliceId>();
        for (SliceId slice : slices) if (view.slice(slice) != null) known.add(slice);
        if (known.isEmpty()) return;
        known.forEach(slices::remove);
        LOG.log(
                Level.INFO,
                "{0} slices of a generation that ended are copies of this one; {1} it does not know, they stay",
                new Object[] {known.size(), slices.size()});
        try {
            write(list, slices);
        } catch (IOException failure) {
            LOG.log(Level.WARNING, "{0} cannot be written, the next start does it: {1}", new Object[] {
                list, failure.getMessage()
            });
        }
    }
}
