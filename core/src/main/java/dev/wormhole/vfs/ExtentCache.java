// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.Extent;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.NamespaceView;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Extents of what was read last, so that a read at a random place of a large file costs no scan of the tables. They are
 * kept by windows of the file: wide ones, and narrow ones where a wide one would have too many extents. A window counts for
 * the version of the file that it was looked up at.
 *
 * <p>Thread-safe. Memory is bounded by the number of extents, {@value #EXTENTS_KEPT}; what was not used for longest goes.
 */
final class ExtentCache {
    private static final long WIDE_BYTES = 64L << 20;
    private static final long NARROW_BYTES = 1L << 20;
    private static final int WIDE_EXTENTS_MAX = 512;
    private static final int EXTENTS_KEPT = 1 << 17;
    /** What a window takes beside its extents, in extents. */
    private static final int WINDOW_WEIGHT = 8;

    private static final Extent[] NONE = {};

    /**
     * The extents that overlap [from, to) as they were when the counters stood so.
     *
     * @param to {@code from} where there are too many for one window
     */
    record Window(long content, long layout, long from, long to, Extent[] extents) {
        boolean isOf(Attributes attributes) {
            return content == attributes.content() && layout == attributes.layout();
        }

        boolean isDense() {
            return to == from;
        }

        int weight() {
            return WINDOW_WEIGHT + extents.length;
        }
    }

    private record Place(InodeId inode, long from, boolean wide) {}

    private final LinkedHashMap<Place, Window> windows = new LinkedHashMap<>(64, 0.75f, true); // guarded by this
    private long weight; // guarded by this

    /** The window around an offset, of the version that the attributes tell. */
    Window find(NamespaceView view, Attributes attributes, long offset) {
        InodeId inode = attributes.inode();
        var wide = new Place(inode, offset / WIDE_BYTES * WIDE_BYTES, true);
        Window known = get(wide);
        if (known == null || !known.isDense()) {
            if (known != null && known.isOf(attributes)) return known;
            long to = end(wide.from, WIDE_BYTES);
            List<Extent> found = view.extents(inode, wide.from, to, WIDE_EXTENTS_MAX + 1);
            if (found.size() <= WIDE_EXTENTS_MAX) return keep(wide, to, found, view, attributes);
            put(wide, new Window(0, 0, wide.from, wide.from, NONE));
        }
        var narrow = new Place(inode, offset / NARROW_BYTES * NARROW_BYTES, false);
        known = get(narrow);
        if (known != null && known.isOf(attributes)) return known;
        long to = end(narrow.from, NARROW_BYTES);
        return keep(narrow, to, view.extents(inode, narrow.from, to), view, attributes);
    }

    private static long end(long from, long bytes) {
        return from > Long.MAX_VALUE - bytes ? Long.MAX_VALUE : from + bytes;
    }

    private Window keep(Place place, long to, List<Extent> found, NamespaceView view, Attributes before) {
        var window = new Window(before.content(), before.layout(), place.from, to, found.toArray(Extent[]::new));
        Attributes after = view.attributes(place.inode);
        // nothing changed meanwhile: these are the extents of that version
        if (after != null && window.isOf(after)) put(place, window);
        return window;
    }

    private synchronized @Nullable Window get(Place place) {
        return windows.get(place);
    }

    private synchronized void put(Place place, Window window) {
        Window before = windows.put(place, window);
        weight += window.weight() - (before == null ? 0 : before.weight());
        Iterator<Window> eldest = windows.values().iterator();
        while (weight > EXTENTS_KEPT && windows.size() > 1) {
            weight -= eldest.next().weight();
            eldest.remove();
        }
    }

    /** What is known of a file is wrong. */
    synchronized void forget(InodeId inode) {
        windows.entrySet().removeIf(entry -> {
            if (!entry.getKey().inode.equals(inode)) return false;
            weight -= entry.getValue().weight();
            return true;
        });
    }

    synchronized void clear() {
        windows.clear();
        weight = 0;
    }
}
