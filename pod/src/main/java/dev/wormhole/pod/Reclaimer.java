// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.ContentStore;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Change;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.PodRecord;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Keeps the store and the log's word about it in agreement. Discarded slices are deleted after the log said so, on a
 * thread of its own; a copy that the log took from this pod is deleted at once by the applying thread, so that a new claim
 * to it cannot overtake the deletion. After a start, and when more was discarded than the queue held, the whole store is
 * compared with the rows: dead slices go, copies that the log does not know of are told, claims without bytes are given up.
 */
final class Reclaimer implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(Reclaimer.class.getName());
    private static final int QUEUE_MAX = 1000;
    private static final int LIST_MAX = 1000;

    private final Incarnation self;
    private final PodLog log;
    private final ContentStore store;
    private final ArrayBlockingQueue<List<SliceId>> discarded = new ArrayBlockingQueue<>(QUEUE_MAX);
    private final Thread thread;
    private volatile boolean compare = true;
    private volatile boolean open;
    private volatile boolean closed;

    Reclaimer(Incarnation self, PodLog log, ContentStore store) {
        this.self = self;
        this.log = log;
        this.store = store;
        this.thread = Thread.ofPlatform().name("reclaim").daemon().unstarted(this::run);
    }

    /** Begins once this pod has caught up with the log. */
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
                }
                case Change.HolderDropped(var slice, var holder) -> {
                    if (holder.equals(self)) delete(List.of(slice));
                }
                case Change.HoldersChanged(var slices) -> {
                    if (open) giveUpWithoutBytes(slices);
                }
                case Change.Replaced() -> compare = true;
                default -> {}
            }
        }
    }

    /** A claim for this pod that the store cannot keep: another pod counted on bytes that were dropped meanwhile. */
    private void giveUpWithoutBytes(List<SliceId> slices) {
        var lost = new ArrayList<SliceId>();
        for (SliceId slice : slices) {
            var row = log.view().slice(slice);
            if (row != null && row.heldBy(self) && !store.isDurable(slice)) lost.add(slice);
        }
        if (!lost.isEmpty()) lose(lost);
    }

    private void lose(List<SliceId> slices) {
        LOG.log(Level.WARNING, "the log counts on {0} slices that are not in this store: giving up the claim, first {1}", new Object[] {
            slices.size(), slices.getFirst()
        });
        log.propose(new Command.LoseHolder(self, slices));
    }

    private void delete(List<SliceId> slices) {
        try {
            store.delete(slices);
        } catch (IOException failure) {
            LOG.log(Level.WARNING, "slices {0} could not be deleted and are tried again at the next start: {1}", new Object[] {
                slices, failure.getMessage()
            });
        }
    }

    private void run() {
        while (!closed) {
            try {
                if (compare && !log.disconnected()) {
                    compare = false;
                    discarded.clear();
                    compareAll();
                }
                var next = discarded.poll(1, TimeUnit.SECONDS);
                if (next != null) delete(next);
            } catch (InterruptedException stop) {
                return;
            } catch (ExecutionException | TimeoutException again) {
                compare = true;
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "reclaiming failed", bug);
            }
        }
    }

    private void compareAll() throws InterruptedException, ExecutionException, TimeoutException {
        var view = log.view();
        Map<Integer, PodRecord> pods = new HashMap<>();
        for (PodRecord pod : view.pods()) pods.put(pod.incarnation().number(), pod);
        var dead = new ArrayList<SliceId>();
        var untold = new ArrayList<SliceId>();
        store.forEachDurable(slice -> {
            var row = view.slice(slice);
            if (row != null) {
                if (!row.heldBy(self)) untold.add(slice);
                return;
            }
            var writer = pods.get(Ids.allocator(slice.value()));
            if (writer == null || Ids.counter(slice.value()) < writer.settledCounter()) dead.add(slice);
        });
        var lost = new ArrayList<SliceId>();
        view.slices(null, row -> {
            if (row.heldBy(self) && !store.isDurable(row.slice())) lost.add(row.slice());
            return !closed;
        });
        if (!dead.isEmpty()) LOG.info("deleting " + dead.size() + " slices that nothing names");
        for (int i = 0; i < dead.size(); i += LIST_MAX) delete(dead.subList(i, Math.min(dead.size(), i + LIST_MAX)));
        for (int i = 0; i < untold.size(); i += LIST_MAX)
            log.propose(new Command.AddHolders(
                            self,
                            HolderState.DURABLE,
                            List.copyOf(untold.subList(i, Math.min(untold.size(), i + LIST_MAX)))))
                    .get(60, TimeUnit.SECONDS);
        for (int i = 0; i < lost.size(); i += LIST_MAX)
            lose(List.copyOf(lost.subList(i, Math.min(lost.size(), i + LIST_MAX))));
    }

    @Override
    public void close() {
        closed = true;
        thread.interrupt();
    }
}
