// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Inodes and names that were read lately, also names that lead nowhere, in front of the table. Direct-mapped: a slot holds
 * the last one read of those that share it, so its memory is fixed.
 *
 * <p>A reader that missed notes the slot's stripe version <em>before</em> it reads the table, and keeps what it read only if
 * the version is still the same. Apply writes the table first, then, for every row it changed, raises the version and
 * empties the slot under the stripe's lock. So what a reader read before the write can never stand in a slot after it.
 */
final class RowCache {
    /** An inode as the view needs it. */
    record Node(long id, Attributes attributes, int xattrNameBytes) {}

    /** @param inode null for a name that is not there */
    record Name(long directory, FileName name, @Nullable InodeId inode) {}

    /** Heap bytes of a full slot of either kind, and of the two slots themselves. */
    private static final int NODE_BYTES = 160;

    private static final int NAME_BYTES = 144;
    private static final int STRIPES = 256;

    private static final class Stripe {
        volatile int version;
    }

    private final AtomicReferenceArray<@Nullable Node> nodes;
    private final AtomicReferenceArray<@Nullable Name> names;
    private final Stripe[] stripes = new Stripe[STRIPES];
    private final int mask;

    /** @param bytesMax heap that it may take when full; at least a few slots are always made */
    RowCache(long bytesMax) {
        long slots = Math.clamp(bytesMax / (NODE_BYTES + NAME_BYTES), STRIPES, 1L << 26);
        int size = Math.toIntExact(Long.highestOneBit(slots));
        nodes = new AtomicReferenceArray<>(size);
        names = new AtomicReferenceArray<>(size);
        mask = size - 1;
        for (int i = 0; i < STRIPES; i++) stripes[i] = new Stripe();
    }

    private static int mix(long value) {
        long h = value * 0x9E3779B97F4A7C15L;
        return (int) (h >>> 32);
    }

    private int nodeSlot(long inode) {
        return mix(inode) & mask;
    }

    private int nameSlot(long directory, FileName name) {
        return mix(directory * 31 + name.hashCode()) & mask;
    }

    @Nullable Node node(long inode) {
        Node node = nodes.getAcquire(nodeSlot(inode));
        return node != null && node.id == inode ? node : null;
    }

    @Nullable Name name(long directory, FileName name) {
        Name found = names.getAcquire(nameSlot(directory, name));
        return found != null && found.directory == directory && found.name.equals(name) ? found : null;
    }

    /** To be asked before the table is read for {@link #keep(Node, int)}. */
    int versionOf(long inode) {
        return stripes[nodeSlot(inode) & STRIPES - 1].version;
    }

    int versionOf(long directory, FileName name) {
        return stripes[nameSlot(directory, name) & STRIPES - 1].version;
    }

    void keep(Node node, int version) {
        int slot = nodeSlot(node.id);
        Stripe stripe = stripes[slot & STRIPES - 1];
        if (stripe.version != version) return;
        synchronized (stripe) {
            if (stripe.version == version) nodes.setRelease(slot, node);
        }
    }

    void keep(Name name, int version) {
        int slot = nameSlot(name.directory, name.name);
        Stripe stripe = stripes[slot & STRIPES - 1];
        if (stripe.version != version) return;
        synchronized (stripe) {
            if (stripe.version == version) names.setRelease(slot, name);
        }
    }

    /** The writer changed the inode's row; the table holds it already. */
    void forget(long inode) {
        int slot = nodeSlot(inode);
        Stripe stripe = stripes[slot & STRIPES - 1];
        synchronized (stripe) {
            raise(stripe);
            Node node = nodes.getAcquire(slot);
            if (node != null && node.id == inode) nodes.setRelease(slot, null);
        }
    }

    void forget(long directory, FileName name) {
        int slot = nameSlot(directory, name);
        Stripe stripe = stripes[slot & STRIPES - 1];
        synchronized (stripe) {
            raise(stripe);
            Name found = names.getAcquire(slot);
            if (found != null && found.directory == directory && found.name.equals(name)) names.setRelease(slot, null);
        }
    }

    void clear() {
        for (Stripe stripe : stripes) {
            synchronized (stripe) {
                raise(stripe);
            }
        }
        for (int slot = 0; slot <= mask; slot++) {
            Stripe stripe = stripes[slot & STRIPES - 1];
            synchronized (stripe) {
                nodes.setRelease(slot, null);
                names.setRelease(slot, null);
            }
        }
    }

    @SuppressWarnings("NonAtomicVolatileUpdate") // under the stripe's lock
    private static void raise(Stripe stripe) {
        stripe.version++;
    }
}
