// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.simulation;

import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Applied;
import dev.wormhole.namespace.Change;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Entry;
import dev.wormhole.namespace.MalformedEntryException;
import dev.wormhole.namespace.MemoryTable;
import dev.wormhole.namespace.Namespace;
import dev.wormhole.namespace.NamespaceChecker;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.SessionId;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.namespace.UnknownCommandException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Pods, the links between them, and one replicated log with a leader. What the log promises is what Raft promises: what is
 * committed stays and has one order; what a leader took and did not commit may come or be lost when the leader changes.
 * Submissions are lost, repeated, delayed and so reordered.
 *
 * <p>Beside the pods stands an observer that applies every entry at the moment it is committed, and holds everybody to the
 * promises: see {@link #checkDeletion}, {@link #checkCopies}, {@link #settle}.
 */
final class SimulatedNetwork {
    static final int COPIES = 2;
    static final long SLICE_BYTES = 4096;

    final Simulation sim;
    final List<SimulatedPod> pods = new ArrayList<>();
    final Set<SimulatedPod> voters = new HashSet<>();

    // ---- faults in force
    double loss;
    double duplication;
    int delayMillisMost = 3;
    private final Set<Set<SimulatedPod>> cutLinks = new HashSet<>();

    // ---- the log
    private final List<byte[]> committed = new ArrayList<>();
    private final List<byte[]> tail = new ArrayList<>();

    @Nullable SimulatedPod leader;

    private long term;
    private boolean electing;

    // ---- the observer
    final MemoryTable observerTable = new MemoryTable();
    final Namespace observer = new Namespace(observerTable, 1, 1 << 16);
    private final List<Long> digests = new ArrayList<>();
    private final Map<SessionId, Long> lastSequence = new HashMap<>();
    private final Map<SessionId, Map<Long, List<Outcome>>> outcomes = new HashMap<>();
    /** Copies that disks lost while the log still counts them. */
    final Map<Incarnation, Set<SliceId>> lostByDisk = new HashMap<>();

    final Set<Incarnation> burned = new HashSet<>();
    /** Slices that had a copy on a disk that was lost: they may have fewer than wanted for a while. */
    final Set<SliceId> struck = new HashSet<>();
    /** Slices that some commit introduced. */
    private final Set<SliceId> introduced = new HashSet<>();
    /** Slices that a program was told are safe. */
    final Set<SliceId> acknowledged = new HashSet<>();

    /** Whether programs count under a lock. */
    boolean locksRun;

    final LockingProgram.Counts lockCounts = new LockingProgram.Counts();
    final List<SliceId> acknowledgedAppends = new ArrayList<>();
    /** Last acknowledged save of each pod. */
    final Map<String, SliceId> lastSaved = new HashMap<>();

    boolean observerStopped;
    boolean programsRun;
    long repeats;
    long gaps;
    long dropsRefused;
    long leaderChanges;

    SimulatedNetwork(long seed) {
        sim = new Simulation(seed);
        digests.add(observer.digest());
        watchLeader();
    }

    // ---- pods

    /** A network of pods that stores in zones a and b by turns, admitted and with open sessions. */
    static SimulatedNetwork of(long seed, int pods, int voters) {
        var net = new SimulatedNetwork(seed);
        for (int i = 0; i < pods; i++) net.pods.add(new SimulatedPod(net, i + 1));
        net.voters.addAll(net.pods.subList(0, voters));
        for (var pod : net.pods) pod.start();
        net.sim.until(
                "all pods have sessions",
                Duration.ofMinutes(1),
                () -> net.pods.stream().allMatch(p -> p.sessionOpen));
        net.sim.run(Duration.ofSeconds(3)); // everybody has heard who is present
        return net;
    }

    SimulatedPod pod(int number) {
        return pods.get(number - 1);
    }

    SimulatedPod leaderPod() {
        return Objects.requireNonNull(leader, "no leader");
    }

    @Nullable SimulatedPod byIncarnation(Incarnation incarnation) {
        for (var pod : pods) if (incarnation.equals(pod.incarnation)) return pod;
        return null;
    }

    NamespaceView view() {
        return observer.view();
    }

    // ---- links

    void cut(SimulatedPod a, SimulatedPod b) {
        cutLinks.add(Set.of(a, b));
    }

    /** Cuts a pod from all others. */
    void isolate(SimulatedPod pod) {
        for (var other : pods) if (other != pod) cut(pod, other);
        sim.note(pod + " isolated");
    }

    void heal() {
        cutLinks.clear();
    }

    void heal(SimulatedPod pod) {
        cutLinks.removeIf(link -> link.contains(pod));
    }

    boolean connected(SimulatedPod a, SimulatedPod b) {
        return a == b || !cutLinks.contains(Set.of(a, b));
    }

    void send(SimulatedPod from, SimulatedPod to, Runnable received) {
        if (!from.up || sim.chance(loss)) return;
        int toLife = to.life;
        long delay = from == to ? 0 : sim.millis(0, delayMillisMost);
        sim.after(delay, () -> {
            if (to.up && to.life == toLife && connected(from, to)) received.run();
        });
    }

    // ---- the log

    /** Sends an encoded entry to whoever leads now. Nobody may be there, and it may arrive twice, late, or not at all. */
    void submit(SimulatedPod from, byte[] entry) {
        var to = leader;
        if (to == null) return;
        send(from, to, () -> append(to, entry));
        if (sim.chance(duplication)) {
            var life = to.life;
            sim.after(sim.millis(0, 3_000), () -> {
                if (to.up && to.life == life) append(to, entry);
            });
        }
    }

    private void append(SimulatedPod to, byte[] entry) {
        if (leader != to) return;
        byte[] stamped = entry.clone();
        try {
            Entry.stampLeader(stamped, to.clockNanos());
        } catch (MalformedEntryException e) {
            throw new IllegalStateException(e);
        }
        tail.add(stamped);
        long inTerm = term;
        sim.after(sim.millis(1, 4), () -> tryCommit(inTerm));
    }

    /** Puts an entry into the log that no proposer made. */
    void force(byte[] entry) {
        commit(entry);
        announce();
    }

    private void tryCommit(long inTerm) {
        var by = leader;
        if (inTerm != term || by == null || !by.up || tail.isEmpty()) return;
        if (!reachesMajority(by)) {
            sim.after(sim.millis(20, 50), () -> tryCommit(inTerm));
            return;
        }
        for (byte[] entry : tail) commit(entry);
        tail.clear();
        announce();
    }

    private void announce() {
        var by = leader;
        if (by == null) return;
        for (var pod : pods) send(by, pod, pod::catchUp);
    }

    boolean reachesMajority(SimulatedPod from) {
        int reached = 0;
        for (var voter : voters) if (voter.up && !voter.stopped && connected(from, voter)) reached++;
        return reached * 2 > voters.size();
    }

    long committedIndex() {
        return committed.size();
    }

    byte[] entry(long index) {
        return committed.get((int) index - 1);
    }

    long digestAt(long index) {
        return digests.get((int) index);
    }

    private void watchLeader() {
        sim.after(sim.millis(50, 100), () -> {
            var by = leader;
            if ((by == null || !by.up || !voters.contains(by) || !reachesMajority(by)) && !electing) deposeLeader();
            watchLeader();
        });
    }

    /** The leader dies, is cut off, or simply loses an election. */
    void deposeLeader() {
        if (leader != null) sim.note("leader " + leader + " is gone");
        leader = null;
        electing = true;
        sim.after(sim.millis(500, 1_500), this::elect);
    }

    private void elect() {
        var able = new ArrayList<SimulatedPod>();
        for (var pod : pods) if (voters.contains(pod) && pod.up && !pod.stopped && reachesMajority(pod)) able.add(pod);
        if (able.isEmpty()) {
            sim.after(sim.millis(200, 400), this::elect);
            return;
        }
        var chosen = able.get(sim.random.nextInt(able.size()));
        term++;
        leaderChanges++;
        leader = chosen;
        electing = false;
        int kept = sim.random.nextInt(tail.size() + 1);
        int lost = tail.size() - kept;
        tail.subList(kept, tail.size()).clear();
        sim.note(chosen + " leads, of the old leader's tail " + kept + " kept, " + lost + " lost");
        chosen.lead();
        long inTerm = term;
        sim.after(sim.millis(1, 4), () -> tryCommit(inTerm));
        announce();
    }

    /** Waits until somebody leads. */
    void awaitLeader() {
        sim.until("a leader", Duration.ofMinutes(1), () -> leader != null);
    }

    // ---- what is committed, and what it must keep to

    private void commit(byte[] bytes) {
        committed.add(bytes);
        long index = committed.size();
        if (observerStopped) return;
        Applied applied;
        Entry entry;
        try {
            applied = observer.apply(index, bytes);
            entry = Entry.decode(bytes);
        } catch (UnknownCommandException | MalformedEntryException _) {
            observerStopped = true;
            return;
        }
        digests.add(observer.digest());
        sim.note("#" + index + " " + (applied.session() == null ? "-" : applied.session()) + "." + entry.sequence()
                + " " + applied.status() + " " + entry.commands() + " -> " + applied.outcomes());
        var session = applied.session();
        switch (applied.status()) {
            case FRESH -> {
                if (session == null) break;
                long before = lastSequence.getOrDefault(session, 0L);
                sim.check(entry.sequence() == before + 1, session + " ran " + entry.sequence() + " after " + before);
                lastSequence.put(session, entry.sequence());
                outcomes.computeIfAbsent(session, _ -> new HashMap<>()).put(entry.sequence(), applied.outcomes());
                for (int i = 0; i < entry.commands().size(); i++)
                    observed(entry.commands().get(i), applied.outcomes().get(i));
            }
            case REPEAT -> {
                repeats++;
                var first = outcomes.getOrDefault(Objects.requireNonNull(session), Map.of())
                        .get(entry.sequence());
                sim.check(
                        applied.outcomes().isEmpty() || applied.outcomes().equals(first),
                        "a repeat was answered " + applied.outcomes() + ", at first " + first);
            }
            case GAP -> gaps++;
            case NO_SESSION, WRONG_GENERATION -> {}
            case SKIPPED -> throw new IllegalStateException("the observer skipped " + index);
        }
        sim.check(!applied.diverged(), "a digest in the log is not the observer's");
        for (Change change : applied.changes()) if (change instanceof Change.Reaped(var inode)) checkReaped(inode);
        if (index % 25 == 0) checkCopies();
    }

    private void observed(Command command, Outcome outcome) {
        boolean done = outcome instanceof Outcome.Done;
        switch (command) {
            case Command.Write write when done -> write.slices().forEach(slice -> introduced.add(slice.slice()));
            case Command.Append append when done -> append.slices().forEach(slice -> introduced.add(slice.slice()));
            case Command.DropHolder _ when !done -> dropsRefused++;
            default -> {}
        }
    }

    /** Nothing that a member not declared absent has open is ever reaped. */
    private void checkReaped(InodeId inode) {
        for (var pod : pods) {
            var incarnation = pod.incarnation;
            var record = incarnation == null ? null : view().pod(incarnation);
            if (pod.up && !pod.stopped && record != null && !record.absent())
                sim.check(!pod.handles.containsKey(inode), inode + " was reaped while " + pod + " has it open");
        }
    }

    /** Whether the incarnation's bytes of the slice exist on a disk, synced. */
    boolean hasBytes(Incarnation incarnation, SliceId slice) {
        var pod = byIncarnation(incarnation);
        return pod != null && Boolean.TRUE.equals(pod.store.get(slice));
    }

    int bytesExistOn(SliceId slice) {
        int count = 0;
        for (var pod : pods) if (Boolean.TRUE.equals(pod.store.get(slice))) count++;
        return count;
    }

    /** A pod is about to delete a slice. */
    void checkDeletion(SimulatedPod pod, SliceId slice, String why) {
        sim.note(pod + " deletes " + slice + ": " + why);
        var self = Objects.requireNonNull(pod.incarnation);
        var row = view().slice(slice);
        if (row == null) {
            var writer = byIncarnation(slice.writer());
            sim.check(
                    writer == null || !writer.up || introduced.contains(slice) || !writer.mayCommit.contains(slice),
                    pod + " deletes " + slice + ", which a live session may still commit (" + why + ")");
            return;
        }
        sim.check(!row.heldBy(self) || row.names() == 0, pod + " deletes " + slice + ", and the log counts on it");
        if (row.names() == 0) return;
        int left = 0;
        for (SliceRecord.Holder holder : row.holders()) {
            if (holder.incarnation().equals(self) || !holder.state().isCopy()) continue;
            if (hasBytes(holder.incarnation(), slice)) left++;
        }
        sim.check(
                left >= COPIES || struck.contains(slice),
                pod + " deletes " + slice + ", and only " + left + " copies are left");
    }

    private boolean isExcused(Incarnation incarnation, SliceId slice) {
        return burned.contains(incarnation)
                || lostByDisk.getOrDefault(incarnation, Set.of()).contains(slice);
    }

    /** Every copy that the log counts on exists, and nothing acknowledged is without bytes. */
    void checkCopies() {
        view().slices(null, row -> {
            int real = 0;
            for (SliceRecord.Holder holder : row.holders()) {
                if (!holder.state().isCopy() || view().pod(holder.incarnation()) == null) continue;
                boolean has = hasBytes(holder.incarnation(), row.slice());
                if (has) real++;
                // A holder that was let go deletes when it applies that, and what nothing names may be gone.
                sim.check(
                        has || row.names() == 0 || isExcused(holder.incarnation(), row.slice()),
                        "the log counts on " + row.slice() + " at " + holder.incarnation() + ", which has no bytes");
            }
            sim.check(
                    row.names() == 0 || real > 0 || !acknowledged.contains(row.slice()),
                    "acknowledged bytes are gone: " + row);
            return true;
        });
        var findings = NamespaceChecker.check(observerTable);
        sim.check(findings.isEmpty(), "the state is inconsistent: " + findings);
    }

    // ---- the end

    /** Ends all faults and programs and lets everything come to rest; then looks at everything. */
    void settle() {
        sim.note("settling");
        programsRun = false;
        loss = 0;
        duplication = 0;
        delayMillisMost = 3;
        heal();
        for (var pod : pods) {
            pod.housekeeping = true;
            if (!pod.up) pod.start();
            pod.closeAll();
        }
        for (int i = 0; restlessness() != null; i++) {
            sim.check(i < 1_200, "no rest in ten minutes: " + restlessness());
            sim.run(Duration.ofMillis(500));
        }
        checkCopies();
        for (var pod : pods) {
            sim.check(pod.namespace.digest() == observer.digest(), pod + " differs at the end");
            var findings = NamespaceChecker.check(pod.table);
            sim.check(findings.isEmpty(), pod + ": " + findings);
        }
        view().slices(null, row -> {
            long copies = row.holders().stream()
                    .filter(h -> h.state() != HolderState.WRITTEN && hasBytes(h.incarnation(), row.slice()))
                    .count();
            sim.check(copies == COPIES, copies + " copies at rest: " + row);
            return true;
        });
        checkPrograms();
        checkLocks();
    }

    /** Nothing counted under a lock and answered is missing, and nothing counts that was refused. */
    private void checkLocks() {
        var file = view().lookup(InodeId.ROOT, LockingProgram.FILE);
        var attributes = file == null ? null : view().attributes(file);
        if (attributes == null) return;
        sim.check(
                attributes.size() >= lockCounts.acknowledged
                        && attributes.size() <= lockCounts.begun - lockCounts.refused,
                "counted " + attributes.size() + ", acknowledged " + lockCounts.acknowledged + ", begun "
                        + lockCounts.begun + ", refused " + lockCounts.refused);
    }

    /** Why the network is not at rest, for a failure's trace; null when it is. */
    @Nullable String restlessness() {
        if (leader == null) return "no leader";
        if (!tail.isEmpty()) return "uncommitted";
        for (var pod : pods) {
            if (!pod.sessionOpen) return pod + " has no session";
            if (pod.namespace.view().appliedIndex() != committed.size()) return pod + " is behind";
            if (pod.proposer.waiting() > 0) return pod + " proposes";
            if (pod.operations > 0) return pod + " has operations";
            if (!pod.locking.rests()) return pod + " locks";
            var record = view().pod(Objects.requireNonNull(pod.incarnation));
            if (record == null || record.absent()) return pod + " is absent";
            for (var entry : pod.store.entrySet()) {
                var row = view().slice(entry.getKey());
                if (row == null || !row.heldBy(pod.incarnation)) return pod + " keeps " + entry.getKey();
            }
            var plan = pod.nextMove();
            if (plan != null)
                return pod + " plans " + plan + " among " + pod.members().all() + ", leader " + leader;
        }
        if (view().pods().size() != pods.size()) return "members";
        var counted = view().lookup(InodeId.ROOT, LockingProgram.FILE);
        var locks = counted == null ? null : view().locks(counted);
        if (locks != null
                && !(locks.held().isEmpty()
                        && locks.waiters().isEmpty()
                        && locks.lost().isEmpty())) return "locked: " + locks;
        var totals = view().totals();
        if (totals.unnamedSlices() > 0) return "unnamed slices";
        if (totals.orphans() > 0) return "orphans";
        var missing = new String[1];
        view().slices(null, row -> {
            if (row.holders().stream().filter(h -> h.state().isCopy()).count() != COPIES) missing[0] = row.toString();
            return missing[0] == null;
        });
        return missing[0];
    }

    /** What programs were told, against what there is. */
    private void checkPrograms() {
        var journal = view().lookup(InodeId.ROOT, dev.wormhole.model.FileName.of("journal"));
        var order = new TreeMap<Integer, Long>();
        var found = new HashMap<SliceId, Integer>();
        if (journal != null)
            for (var extent : view().extents(journal, 0, Long.MAX_VALUE)) {
                found.merge(extent.slice(), 1, Integer::sum);
                int by = dev.wormhole.model.Ids.allocator(extent.slice().value());
                long counter = dev.wormhole.model.Ids.counter(extent.slice().value());
                Long before = order.put(by, counter);
                sim.check(before == null || before < counter, "appends of " + by + " are out of order");
            }
        found.forEach((slice, times) -> sim.check(times == 1, slice + " was appended " + times + " times"));
        for (SliceId slice : acknowledgedAppends)
            sim.check(found.containsKey(slice), "an acknowledged append is missing: " + slice);
        lastSaved.forEach((pod, slice) -> {
            var file = view().lookup(InodeId.ROOT, dev.wormhole.model.FileName.of("save-" + pod));
            sim.check(file != null, "the save of " + pod + " is gone");
            if (file == null) return;
            var extents = view().extents(file, 0, Long.MAX_VALUE);
            sim.check(
                    extents.size() == 1 && isSameOrLater(extents.getFirst().slice(), slice),
                    "the save of " + pod + " is " + extents + ", acknowledged was " + slice);
        });
    }

    /** Ids of one pod rise, also from one incarnation of it to the next. */
    private static boolean isSameOrLater(SliceId there, SliceId acknowledged) {
        return there.value() >= acknowledged.value();
    }

    // ---- faults that destroy

    /** Whether nothing acknowledged, and nothing that the log counts on, would be lost with that pod's disk. */
    boolean mayBurn(SimulatedPod victim) {
        var incarnation = victim.incarnation;
        if (incarnation == null) return false;
        boolean[] may = {true};
        view().slices(null, row -> {
            boolean elsewhere = false;
            for (SliceRecord.Holder holder : row.holders())
                elsewhere |= holder.state().isCopy()
                        && !holder.incarnation().equals(incarnation)
                        && view().pod(holder.incarnation()) != null
                        && hasBytes(holder.incarnation(), row.slice());
            if (row.names() > 0 && row.heldBy(incarnation) && !elsewhere) may[0] = false;
            return may[0];
        });
        return may[0];
    }

    /** Lets events happen until it is done, and answers its value. */
    <T> T await(CompletableFuture<T> future) {
        sim.until("an answer", Duration.ofMinutes(2), future::isDone);
        return future.join();
    }
}
