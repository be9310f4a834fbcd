// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Inodes and names that were read lately, also names that lead nowhere, in front of the table. Its memory is fixed: a row
 * stands in one of the {@value #WAYS} slots of its set, its home slot first, so that a cache with room to spare answers on
 * the first look. A full set gives up its slots in turn.
 *
 * <p>A reader that missed notes the version of its set's stripe <em>before</em> it reads the table, and keeps what it read
 * only if the version is still the same. Apply writes the table first, then, for every row it changed, raises the version
 * and takes the row out under the stripe's lock. So what a reader read before the write can never stand in a slot after it.
 * A key stands in one slot at most.
 */
final class RowCache {
    private sealed interface Row<R> {
        boolean isOfSameKey(R other);
    }

    /** An inode as the view needs it. */
    record Node(long id, Attributes attributes, int xattrNameBytes) implements Row<Node> {
        @Override
        public boolean isOfSameKey(Node other) {
            return id == other.id;
        }
    }

    /** @param inode null for a name that is not there */
    record Name(long directory, FileName name, @Nullable InodeId inode) implements Row<Name> {
        boolean isOf(long wantedDirectory, FileName wanted) {
            return directory == wantedDirectory && name.equals(wanted);
        }

        @Override
        public boolean isOfSameKey(Name other) {
            return isOf(other.directory, other.name);
        }
    }

    /** Heap bytes of a full slot of either kind, and of the two slots themselves. */
    private static final int NODE_BYTES = 160;

    private static final int NAME_BYTES = 144;
    /** Heap bytes of one inode and one name. */
    static final int ROW_BYTES = NODE_BYTES + NAME_BYTES;

    private static final int WAYS = 4;
    private static final int STRIPES = 256;

    private static final class Stripe {
        volatile int version;
        /** Turns to the slot that a full set gives up next; under the lock, like every change of a slot. */
        int hand;
    }

    private final AtomicReferenceArray<@Nullable Node> nodes;
    private final AtomicReferenceArray<@Nullable Name> names;
    private final Stripe[] stripes = new Stripe[STRIPES];
    private final int shift;

    /** @param bytesMax heap that it may take when full; at least a few slots are always made */
    RowCache(long bytesMax) {
        long slots = Math.clamp(bytesMax / ROW_BYTES, STRIPES, 1L << 26);
        int size = Math.toIntExact(Long.highestOneBit(slots));
        nodes = new AtomicReferenceArray<>(size);
        names = new AtomicReferenceArray<>(size);
        shift = Long.SIZE - Integer.numberOfTrailingZeros(size);
        for (int i = 0; i < STRIPES; i++) stripes[i] = new Stripe();
    }

    /** The home slot; those of its set are {@code home ^ way}. The product's top bits spread ids given out in a row evenly. */
    private int home(long hash) {
        return (int) (hash * 0x9E3779B97F4A7C15L >>> shift);
    }

    private int homeOf(long directory, FileName name) {
        return home(directory * 31 + name.hashCode());
    }

    private Stripe stripe(int slot) {
        return stripes[slot / WAYS & STRIPES - 1];
    }

    @Nullable Node node(long inode) {
        int home = home(inode);
        for (int way = 0; way < WAYS; way++) {
            Node node = nodes.getAcquire(home ^ way);
            if (node != null && node.id == inode) return node;
        }
        return null;
    }

    @Nullable Name name(long directory, FileName name) {
        int home = homeOf(directory, name);
        for (int way = 0; way < WAYS; way++) {
            Name found = names.getAcquire(home ^ way);
            if (found != null && found.isOf(directory, name)) return found;
        }
        return null;
    }

    /** To be asked before the table is read for {@link #keep(Node, int)}. */
    int versionOf(long inode) {
        return stripe(home(inode)).version;
    }

    int versionOf(long directory, FileName name) {
        return stripe(homeOf(directory, name)).version;
    }

    void keep(Node node, int version) {
        keep(nodes, home(node.id), node, version);
    }

    void keep(Name name, int version) {
        keep(names, homeOf(name.directory, name.name), name, version);
    }

    private <R extends Row<R>> void keep(AtomicReferenceArray<@Nullable R> rows, int home, R row, int version) {
        Stripe stripe = stripe(home);
        if (stripe.version != version) return;
        synchronized (stripe) {
            if (stripe.version != version) return;
            int slot = -1;
            for (int way = 0; way < WAYS; way++) {
                R there = rows.getAcquire(home ^ way);
                if (there == null) {
                    if (slot < 0) slot = home ^ way;
                } else if (there.isOfSameKey(row)) {
                    slot = home ^ way;
                    break;
                }
            }
            if (slot < 0) slot = home ^ (stripe.hand++ & WAYS - 1);
            rows.setRelease(slot, row);
        }
    }

    /** The writer changed the inode's row; the table holds it already. */
    void forget(long inode) {
        int home = home(inode);
        Stripe stripe = stripe(home);
        synchronized (stripe) {
            raise(stripe);
            for (int way = 0; way < WAYS; way++) {
                Node node = nodes.getAcquire(home ^ way);
                if (node != null && node.id == inode) nodes.setRelease(home ^ way, null);
            }
        }
    }

    void forget(long directory, FileName name) {
        int home = homeOf(directory, name);
        Stripe stripe = stripe(home);
        synchronized (stripe) {
            raise(stripe);
            for (int way = 0; way < WAYS; way++) {
                Name found = names.getAcquire(home ^ way);
                if (found != null && found.isOf(directory, name)) names.setRelease(home ^ way, null);
            }
        }
    }

    void clear() {
        for (Stripe stripe : stripes) {
            synchronized (stripe) {
                raise(stripe);
            }
        }
        for (int slot = 0; slot < nodes.length(); slot++) {
            Stripe stripe = stripe(slot);
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
