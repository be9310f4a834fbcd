// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * To which directories the kernel was last told that names lead. Requests to remove a directory, or to rename over one, carry
 * a name alone, and the kernel takes the directory that it had in mind for removed: if another pod has put another one under
 * that name meanwhile, the one in mind would live on and be shown empty here for good. So such a request is refused with
 * ESTALE, upon which the kernel looks the name up again and repeats it, once.
 *
 * <p>The kernel looks a name up before it uses it, unless it was told shortly before; what is forgotten here, because there
 * are many, is only that protection. Thread-safe.
 */
final class KernelNames {
    private static final int NAMES_MAX = 16_384;

    private record Place(InodeId directory, FileName name) {}

    private final ConcurrentHashMap<Place, InodeId> told = new ConcurrentHashMap<>();

    /** @param subdirectory null if there is nothing, or something else than a directory */
    void told(InodeId directory, FileName name, @Nullable InodeId subdirectory) {
        var place = new Place(directory, name);
        if (subdirectory == null) {
            told.remove(place);
            return;
        }
        if (told.size() >= NAMES_MAX) told.clear();
        told.put(place, subdirectory);
    }

    /**
     * Whether the kernel has another directory in mind than the one there.
     *
     * @param now what is there, null for nothing
     */
    boolean contradict(InodeId directory, FileName name, @Nullable InodeId now) {
        InodeId inMind = told.get(new Place(directory, name));
        return inMind != null && !inMind.equals(now);
    }
}
