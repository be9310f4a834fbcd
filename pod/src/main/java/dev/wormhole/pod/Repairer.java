// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.ContentStore;
import dev.wormhole.health.Members;
import dev.wormhole.health.Situation;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Change;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.placement.Move;
import dev.wormhole.placement.PlanChecker;
import dev.wormhole.placement.RepairBacklog;
import dev.wormhole.placement.RepairPlanner;
import dev.wormhole.placement.RepairProgress;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * Brings slices back to the copies that the rules want, as far as this pod is responsible for them: walks over all slices
 * after something changed, asks the planner, has every move checked, and carries the most urgent ones out, a few at a
 * time. Ends when a walk finds nothing to do; what has to wait is walked again when members change.
 */
final class Repairer implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(Repairer.class.getName());
    private static final int BACKLOG_MAX = 10_000;
    private static final int COPIES_AT_ONCE = 4;
    private static final int COPIES_GATHERED = 64;
    private static final long SETTLE_NANOS = TimeUnit.MILLISECONDS.toNanos(1000);

    private final Incarnation self;
    private final PodLog log;
    private final ClusterView cluster;
    private final PodReplication replication;
    private final ContentStore store;
    private final RepairProgress progress = new RepairProgress();
    private final Thread thread;
    private final Semaphore work = new Semaphore(0);
    private final Semaphore copying = new Semaphore(COPIES_AT_ONCE);
    /** Slices with too few copies, at the last walk, that other pods are responsible for. */
    private volatile long othersToDo;
    /** Since the last walk began. */
    private volatile boolean holdersChanged;

    private volatile boolean closed;
    private volatile Situation situation = new Situation(Situation.Level.HEALTHY, List.of());
    private volatile Situation.@Nullable Facts facts;

    Repairer(Incarnation self, PodLog log, ClusterView cluster, PodReplication replication, ContentStore store) {
        this.store = store;
        this.self = self;
        this.log = log;
        this.cluster = cluster;
        this.replication = replication;
        this.thread = Thread.ofPlatform().name("repair").daemon().unstarted(this::run);
    }

    void start() {
        thread.start();
        lookAgain();
    }

    /** Something may have to be repaired: members, rules or holders changed, or a push found too few pods. */
    void lookAgain() {
        if (work.availablePermits() == 0) work.release();
    }

    /** Called by the applying thread. */
    void changed(List<Change> changes) {
        for (Change change : changes) {
            switch (change) {
                // A copy that was damaged goes like one too many: then others have to be made.
                case Change.PodsChanged _, Change.Configured _, Change.Replaced _, Change.HolderDropped _ -> {
                    lookAgain();
                    return;
                }
                case Change.HoldersChanged _ -> holdersChanged = true;
                default -> {}
            }
        }
    }

    RepairProgress.Shown progress() {
        return progress.shown();
    }

    /** Slices with too few copies that other pods work on, as of the last walk. */
    long othersToDo() {
        return othersToDo;
    }

    Situation situation() {
        return situation;
    }

    Situation.@Nullable Facts facts() {
        return facts;
    }

    private void run() {
        String membersBefore = "";
        boolean unfinished = false;
        while (!closed) {
            try {
                // Presence is not in the log: what waits for it is looked at when it changes.
                boolean asked = work.tryAcquire(unfinished ? 1 : 2, TimeUnit.SECONDS);
                String membersNow = presence(cluster.members());
                // What the others mend is counted again as they get on, or the situation would never be told to be
                // better.
                boolean othersGotOn = othersToDo > 0 && holdersChanged;
                if (!asked && !unfinished && !othersGotOn && membersNow.equals(membersBefore)) continue;
                membersBefore = membersNow;
                TimeUnit.NANOSECONDS.sleep(SETTLE_NANOS);
                work.drainPermits();
                if (log.disconnected()) continue;
                long start = System.nanoTime();
                unfinished = pass();
                long took = System.nanoTime() - start;
                // Looking must not become the load: one part in five at the most.
                if (!unfinished) TimeUnit.NANOSECONDS.sleep(Math.min(4 * took, TimeUnit.MINUTES.toNanos(1)));
            } catch (InterruptedException stop) {
                return;
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "repair failed; it begins again", bug);
                unfinished = true;
            }
        }
    }

    private static String presence(Members members) {
        var text = new StringBuilder();
        for (var member : members.all())
            text.append(member.incarnation())
                    .append(member.presence())
                    .append(member.draining())
                    .append(member.freeBytes() > 64 << 20)
                    .append(' ');
        return text.toString();
    }

    /** Walks, then works. True if there is more to do right away. */
    private boolean pass() throws InterruptedException {
        var members = cluster.members();
        var backlog = new RepairBacklog(BACKLOG_MAX);
        var counter = new Situation.Counter(members);
        progress.begin();
        holdersChanged = false;
        long[] others = new long[1];
        log.view().slices(null, slice -> {
            int copies = replication.copiesWanted(slice.inode());
            counter.add(slice, copies);
            Move move = RepairPlanner.plan(slice, copies, members, self);
            if (!(move instanceof Move.None)) progress.planned(move, slice.lengthBytes());
            if (move instanceof Move.None && slice.names() > 0 && RepairPlanner.copiesKept(slice, members) < copies)
                others[0]++;
            if (move instanceof Move.Copy || move instanceof Move.Drop)
                backlog.offer(slice.slice(), RepairPlanner.copiesKept(slice, members));
            return !closed;
        });
        progress.walked();
        othersToDo = others[0];
        var counted = counter.facts();
        facts = counted;
        situation = Situation.of(counted);
        boolean failed = false;
        boolean any = false;
        var underWay = new ArrayList<CompletableFuture<?>>();
        for (SliceId next = backlog.poll(); next != null && !closed && !log.disconnected(); next = backlog.poll()) {
            SliceRecord slice = log.view().slice(next);
            if (slice == null) continue;
            int copies = replication.copiesWanted(slice.inode());
            var now = cluster.members();
            Move move = RepairPlanner.plan(slice, copies, now, self);
            String objection = PlanChecker.objection(slice, copies, now, move);
            if (objection != null) {
                LOG.log(Level.WARNING, "repair of {0} was planned wrongly and is not done: {1}", new Object[] {
                    next, objection
                });
                continue;
            }
            switch (move) {
                case Move.Copy(var id, var to, var cause, var reason) -> {
                    any = true;
                    copying.acquire();
                    LOG.log(Level.FINE, "repair: {0} to {1}, {2}", new Object[] {id, to, reason});
                    underWay.add(replication.copyTo(id, slice.lengthBytes(), to).whenComplete((durable, failure) -> {
                        copying.release();
                        if (failure != null || !durable) {
                            progress.failed();
                            return;
                        }
                        // The pod that has it now claims it itself, see Custody.
                        progress.copied(cause, slice.lengthBytes());
                    }));
                    if (underWay.size() >= COPIES_GATHERED) failed |= !settle(underWay);
                }
                case Move.Drop(var id, var holder, var relyingOn, var cause, var _) -> {
                    // The log says that they have it; their own word of this moment counts.
                    if (!replication.allHold(id, relyingOn, store)) continue;
                    any = true;
                    log.propose(new Command.DropHolder(id, holder, relyingOn)).whenComplete((done, failure) -> {
                        if (failure == null && done.outcome() instanceof Outcome.Done) progress.dropped(cause);
                    });
                }
                case Move.None _, Move.Wait _ -> {}
            }
        }
        failed |= !settle(underWay);
        return (any || !backlog.isComplete()) && !failed;
    }

    private boolean settle(List<CompletableFuture<?>> underWay) throws InterruptedException {
        boolean good = true;
        for (var each : underWay) {
            try {
                each.get(60, TimeUnit.SECONDS);
            } catch (java.util.concurrent.ExecutionException | java.util.concurrent.TimeoutException failure) {
                good = false;
            }
        }
        underWay.clear();
        return good;
    }

    @Override
    public void close() {
        closed = true;
        thread.interrupt();
    }
}
