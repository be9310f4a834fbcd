// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.ContentStore;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Change;
import dev.wormhole.namespace.Command;
import dev.wormhole.placement.Custody;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Keeps the store and the log's word about it in agreement, by the rules of {@link Custody}: claims what was received and
 * is not recorded, deletes what the log let go or took away, reports what the log counts on and is not here. The applying
 * thread judges, so that a deletion and a later claim cannot overtake each other; claims travel in lists. When the pod has
 * caught up, and when more came than the queues hold, the whole store is compared.
 */
final class Custodian implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(Custodian.class.getName());
    private static final int DISCARDS_MAX = 1000;
    private static final int CLAIMS_MAX = 100_000;
    private static final int LIST_MAX = 1000;
    private static final long GATHER_MILLIS = 100;
    /** So many damaged only copies are remembered as told; then they are told again. */
    private static final int TOLD_MAX = 1000;

    private static final long LOOK_MILLIS = 1000;

    private final Incarnation self;
    private final PodLog log;
    private final ContentStore store;
    private final FormerSlices former;
    private final ArrayBlockingQueue<List<SliceId>> discarded = new ArrayBlockingQueue<>(DISCARDS_MAX);
    private final Queue<SliceId> damaged;
    private final Thread thread;

    /** Slices to claim, and those whose claim is proposed and not answered. Guarded by this. */
    private final Set<SliceId> toClaim = new LinkedHashSet<>();

    private final Set<SliceId> claimed = new HashSet<>();
    /** Damaged slices that have no other copy: told once, although every read meets them. The custodian's thread alone. */
    private final Set<SliceId> toldOnlyCopies = new HashSet<>();
    /** A permit: there is something to do. */
    private final Semaphore work = new Semaphore(0);

    private volatile boolean compare = true;
    private volatile boolean open;
    private volatile boolean closed;

    /** @param damaged slices whose bytes did not match their checksums, as the store finds them */
    Custodian(Incarnation self, PodLog log, ContentStore store, FormerSlices former, Queue<SliceId> damaged) {
        this.damaged = damaged;
        this.former = former;
        this.self = self;
        this.log = log;
        this.store = store;
        this.thread = Thread.ofPlatform().name("custodian").daemon().unstarted(this::run);
    }

    /** Begins once this pod has caught up with the log and its session is open. */
    void start() {
        open = true;
        thread.start();
    }

    /** Called by the applying thread. */
    void changed(List<Change> changes) {
        for (Change change : changes) {
            switch (change) {
                case Change.SlicesDiscarded(var slices) -> {
                    if (!discarded.offer(slices)) compare = true;
                    work.release();
                }
                case Change.HolderDropped(var slice, var holder) -> {
                    if (holder.equals(self)) judge(slice, true);
                }
                case Change.HoldersChanged(var slices) -> {
                    if (open) for (SliceId slice : slices) judge(slice, false);
                }
                case Change.Replaced() -> {
                    compare = true;
                    work.release();
                }
                default -> {}
            }
        }
    }

    /** Another pod's slices became durable here: one that the log already has is claimed. */
    void received(Collection<SliceId> slices) {
        if (open) for (SliceId slice : slices) judge(slice, false);
    }

    private void judge(SliceId slice, boolean dropped) {
        var row = log.view().slice(slice);
        boolean dead = row == null && !former.keeps(slice) && Custody.isDead(log.view(), slice);
        boolean underWay;
        synchronized (this) {
            underWay = claimed.contains(slice);
        }
        switch (Custody.judge(self, row, dead, store.isDurable(slice), dropped, underWay, open)) {
            case KEEP -> {}
            case CLAIM -> {
                synchronized (this) {
                    if (toClaim.size() < CLAIMS_MAX) toClaim.add(slice);
                    else compare = true;
                }
                work.release();
            }
            case DELETE -> {
                synchronized (this) {
                    toClaim.remove(slice);
                }
                delete(List.of(slice));
            }
            case REPORT_LOST -> lose(List.of(slice));
        }
    }

    private void lose(List<SliceId> slices) {
        LOG.log(Level.WARNING, "the log counts on slices that are not in this store, giving up the claim: {0}", slices);
        log.propose(new Command.LoseHolder(self, slices));
    }

    private void delete(List<SliceId> slices) {
        try {
            store.delete(slices);
        } catch (IOException failure) {
            LOG.log(Level.WARNING, "slices {0} could not be deleted, tried again at the next start: {1}", new Object[] {
                slices, failure.getMessage()
            });
        }
    }

    private void run() {
        while (!closed) {
            try {
                if (compare && !log.disconnected()) {
                    compare = false;
                    compareAll();
                }
                claim();
                var found = new LinkedHashSet<SliceId>(); // many reads meet the same one
                for (SliceId slice = damaged.poll(); slice != null; slice = damaged.poll()) found.add(slice);
                found.forEach(this::giveUpDamaged);
                for (var next = discarded.poll(); next != null; next = discarded.poll()) delete(next);
                // The second is for what tells nobody: a damaged slice, a network that is back.
                if (work.tryAcquire(LOOK_MILLIS, TimeUnit.MILLISECONDS)) TimeUnit.MILLISECONDS.sleep(GATHER_MILLIS);
                work.drainPermits();
            } catch (InterruptedException stop) {
                return;
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "custody of slices failed; all are compared again", bug);
                compare = true;
            }
        }
    }

    /**
     * A damaged copy is given up when another pod has one: repair then makes a good one here or elsewhere. The log decides:
     * of two pods that give up at once, relying on each other, one keeps what it has. The bytes go when the drop is applied.
     * The only copy stays: its good blocks can be read, and a person may have the disk's other half.
     */
    private void giveUpDamaged(SliceId slice) {
        var view = log.view();
        var row = view.slice(slice);
        if (row == null || !row.heldBy(self)) return;
        var others = new ArrayList<Incarnation>();
        for (var holder : row.holders()) {
            var pod = view.pod(holder.incarnation());
            if (pod == null || pod.absent() || pod.draining()) continue;
            if (holder.state().isCopy() && !holder.incarnation().equals(self)) others.add(holder.incarnation());
        }
        if (others.isEmpty()) {
            if (toldOnlyCopies.size() == TOLD_MAX) toldOnlyCopies.clear();
            if (toldOnlyCopies.add(slice))
                LOG.log(
                        Level.SEVERE,
                        "slice {0} of inode {1} is damaged in this store; no other pod that is there has a copy",
                        new Object[] {slice, row.inode()});
            return;
        }
        LOG.log(
                Level.SEVERE,
                "slice {0} of inode {1} is damaged in this store; its copy here is given up and made anew from another pod",
                new Object[] {slice, row.inode()});
        log.propose(new Command.DropHolder(slice, self, others));
    }

    private void claim() {
        List<SliceId> list;
        synchronized (this) {
            if (toClaim.isEmpty() || log.disconnected()) return;
            var taken = toClaim.stream().limit(LIST_MAX).toList();
            for (SliceId slice : taken) toClaim.remove(slice);
            list = taken.stream().filter(store::isDurable).toList();
            if (list.isEmpty()) return;
            claimed.addAll(list);
        }
        log.propose(new Command.AddHolders(self, HolderState.DURABLE, list)).whenComplete((_, failure) -> {
            synchronized (this) {
                for (SliceId slice : list) claimed.remove(slice);
            }
            if (failure != null) {
                compare = true;
                work.release();
            }
        });
    }

    private void compareAll() {
        if (open) former.known(log.view());
        store.forEachDurable(slice -> judge(slice, false));
        var lost = new ArrayList<SliceId>();
        log.view().slices(null, row -> {
            if (row.heldBy(self) && !store.isDurable(row.slice())) lost.add(row.slice());
            return !closed;
        });
        for (int i = 0; i < lost.size(); i += LIST_MAX)
            lose(List.copyOf(lost.subList(i, Math.min(lost.size(), i + LIST_MAX))));
    }

    @Override
    public void close() {
        closed = true;
        thread.interrupt();
    }
}
