// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * To which directories the kernel was last told that names lead. Requests to remove a directory, or to rename over one, carry
 * a name alone, and the kernel takes the directory that it had in mind for removed: if another pod has put another one under
 * that name meanwhile, the one in mind would live on and be shown empty here for good. So such a request is refused with
 * ESTALE, upon which the kernel looks the name up again and repeats it, once.
 *
 * <p>The kernel looks a name up before it uses it, unless it was told shortly before. But several programs may look at once, and
 * which of the answers a request follows is not known: for a moment after a name came to lead elsewhere, nothing is
 * removed under it. What is forgotten here, because there are many, is only that protection. Thread-safe.
 */
final class KernelNames {
    private static final int NAMES_MAX = 16_384;
    /** Longer than a request waits for its turn between the kernel's look and the removal. */
    private static final long UNCERTAIN_NANOS = 1_000_000_000;

    private record Place(InodeId directory, FileName name) {}

    /**
     * @param now null for nothing, or something else than a directory
     * @param before another directory that was told before
     * @param beforeNanos when {@code before} was last known to be told
     */
    private record Told(
            @Nullable InodeId now, long nowNanos, @Nullable InodeId before, long beforeNanos) {}

    private final LongSupplier nanoClock;
    private final ConcurrentHashMap<Place, Told> told = new ConcurrentHashMap<>();

    KernelNames(LongSupplier nanoClock) {
        this.nanoClock = nanoClock;
    }

    /** @param subdirectory null if there is nothing, or something else than a directory */
    void told(InodeId directory, FileName name, @Nullable InodeId subdirectory) {
        var place = new Place(directory, name);
        if (subdirectory == null && !told.containsKey(place)) return; // mostly so: files
        if (told.size() >= NAMES_MAX) told.clear();
        long nanos = nanoClock.getAsLong();
        var _ = told.compute(place, (_, known) -> {
            if (known == null) return subdirectory == null ? null : new Told(subdirectory, nanos, null, 0);
            return known.now == null || known.now.equals(subdirectory)
                    ? new Told(subdirectory, nanos, known.before, known.beforeNanos)
                    : new Told(subdirectory, nanos, known.now, known.nowNanos);
        });
    }

    /** A program here changed what is there: the kernel knows. */
    void changed(InodeId directory, FileName name) {
        told.remove(new Place(directory, name));
    }

    /**
     * Whether the kernel may have another directory in mind than the one there.
     *
     * @param now what is there, null for nothing
     */
    boolean mayMeanAnother(InodeId directory, FileName name, @Nullable InodeId now) {
        Told known = told.get(new Place(directory, name));
        if (known == null) return false;
        if (known.now != null && !known.now.equals(now)) return true;
        return known.before != null
                && !known.before.equals(now)
                && nanoClock.getAsLong() - known.beforeNanos < UNCERTAIN_NANOS;
    }
}
