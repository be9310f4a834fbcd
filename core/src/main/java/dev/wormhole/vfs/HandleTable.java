// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Open files by number. Looking one up takes no lock and makes no object; a number is never given twice, so a late request
 * for a closed handle finds nothing. Thread-safe.
 */
final class HandleTable<T> {
    private static final VarHandle SLOT = MethodHandles.arrayElementVarHandle(Slot[].class);

    private record Slot(long handle, Object file) {}

    private final int max;
    private volatile @Nullable Slot[] slots = new Slot[64];
    private int[] free = new int[64];
    private int freeCount;
    private int used;
    private long opened;

    HandleTable(int max) {
        this.max = max;
    }

    /** A number above 0, or 0 when too many are open. */
    synchronized long add(T file) {
        int index;
        if (freeCount > 0) index = free[--freeCount];
        else if (used == max) return 0;
        else index = used++;
        @Nullable Slot[] now = slots;
        if (index >= now.length) slots = now = Arrays.copyOf(now, now.length * 2);
        long handle = (++opened & 0x7fff_ffffL) << 32 | index + 1L;
        SLOT.setRelease(now, index, new Slot(handle, file));
        return handle;
    }

    @SuppressWarnings("unchecked")
    @Nullable T get(long handle) {
        int index = (int) handle - 1;
        @Nullable Slot[] now = slots;
        if (index < 0 || index >= now.length) return null;
        Slot slot = (Slot) SLOT.getAcquire(now, index);
        return slot == null || slot.handle != handle ? null : (T) slot.file;
    }

    synchronized @Nullable T remove(long handle) {
        T file = get(handle);
        if (file == null) return null;
        int index = (int) handle - 1;
        SLOT.setRelease(slots, index, null);
        if (freeCount == free.length) free = Arrays.copyOf(free, free.length * 2);
        free[freeCount++] = index;
        return file;
    }
}
