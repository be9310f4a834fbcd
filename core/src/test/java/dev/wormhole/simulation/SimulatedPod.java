// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.simulation;

import dev.wormhole.health.Disconnection;
import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.PeerWatch;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
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
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.namespace.PodSettings.Role;
import dev.wormhole.namespace.Proposer;
import dev.wormhole.namespace.SessionId;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.namespace.UnknownCommandException;
import dev.wormhole.placement.Custody;
import dev.wormhole.placement.Move;
import dev.wormhole.placement.Placement;
import dev.wormhole.placement.PlanChecker;
import dev.wormhole.placement.RepairPlanner;
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
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A pod: the real namespace, proposer, planner, custody and watch, over simulated disks and links. Three kinds of state:
 * on disk (survives {@link #crash}), in memory (does not), and what only the test sets.
 */
final class SimulatedPod {
    static final Duration REBUILD_AFTER = Duration.ofSeconds(10);
    private static final int ID_BLOCK = 64;
    private static final long HEARTBEAT = 250_000_000L;

    final SimulatedNetwork net;
    final Simulation sim;
    final int number;
    final PodSettings settings;

    // ---- on disk
    private long storeToken;

    @Nullable Incarnation incarnation;

    long startCount;
    private long reservedCounter = 1;
    /** The table as last flushed: a start begins there and applies the log again. */
    private MemoryTable disk = new MemoryTable();
    /** Slices; true when synced. */
    final TreeMap<SliceId, Boolean> store = new TreeMap<>();

    // ---- in memory
    boolean up;
    int life;
    MemoryTable table = new MemoryTable();
    Namespace namespace = new Namespace(table, 1, 1 << 16);
    Proposer proposer = new Proposer(1);
    boolean sessionOpen;
    private long nextCounter = 1;
    /** Open handles. */
    final Map<InodeId, Integer> handles = new HashMap<>();
    /** Written, not yet committed nor given up. */
    final Set<SliceId> mayCommit = new HashSet<>();

    private final Set<SliceId> claims = new HashSet<>();
    /** Repair copies received, with the index at which the sender knew the slice to be committed. */
    private final Map<SliceId, Long> knownCommitted = new HashMap<>();

    private final Set<SliceId> moving = new HashSet<>();
    private final Map<Incarnation, Presence> presence = new HashMap<>();
    private Map<Incarnation, Long> silences = Map.of();
    private long silencesAt;
    private long heardLeaderAt;
    private final Map<Incarnation, Long> told = new HashMap<>();
    private @Nullable PeerWatch watch;
    private Disconnection disconnection = new Disconnection(Duration.ofSeconds(5), Duration.ofMillis(500), 0);
    private boolean applying;
    private boolean pumping;
    private boolean reaping;
    private boolean discarding;
    private boolean acknowledging;
    private final Set<Incarnation> declaring = new HashSet<>();
    private long digestedAt;
    int operations;
    LockingProgram locking;

    // ---- set by tests
    boolean stopped;
    String stopReason = "";
    long clockSkewNanos;
    /** Whether the pod repairs, reaps, discards and declares by itself. */
    boolean housekeeping = true;
    /** What this pod's code makes of an entry: another version's bug. */
    UnaryOperator<byte[]> mutation = UnaryOperator.identity();

    boolean mutated;
    boolean applyPaused;
    /** What others believe this pod still takes. */
    long freeBytes = 1L << 40;

    SimulatedPod(SimulatedNetwork net, int number) {
        this.net = net;
        this.sim = net.sim;
        this.number = number;
        this.locking = new LockingProgram(this, net.lockCounts);
        this.storeToken = sim.random.nextLong() | 1;
        this.settings =
                new PodSettings("pod" + number, Role.STORAGE, false, number % 2 == 0 ? "b" : "a", List.of(), 1L << 40);
    }

    @Override
    public String toString() {
        return settings.name();
    }

    NamespaceView view() {
        return namespace.view();
    }

    Incarnation self() {
        return Objects.requireNonNull(incarnation, "not yet admitted");
    }

    long clockNanos() {
        return 1_700_000_000_000_000_000L + sim.now() + clockSkewNanos;
    }

    private void later(long nanos, Runnable action) {
        int inLife = life;
        sim.after(nanos, () -> {
            if (up && life == inLife) action.run();
        });
    }

    private void every(int fromMillis, int toMillis, Runnable action) {
        later(sim.millis(fromMillis, toMillis), () -> {
            action.run();
            every(fromMillis, toMillis, action);
        });
    }

    // ---- life and death

    void start() {
        sim.check(!up, this + " runs already");
        up = true;
        life++;
        table = disk.copy();
        namespace = new Namespace(table, 1, 1 << 16);
        proposer = new Proposer(sim.millis(300, 500));
        sessionOpen = false;
        applying = false;
        pumping = false;
        disconnection = new Disconnection(Duration.ofSeconds(5), Duration.ofMillis(500), sim.now());
        nextCounter = reservedCounter;
        sim.note(this + " starts at #" + view().appliedIndex());
        if (incarnation != null) startCount++;
        enter();
        every(240, 260, this::heartbeat);
        every(300, 500, this::keepHouse);
        every(20, 120, this::runProgram);
        if (net.locksRun) every(2, 30, () -> locking.step(net.programsRun));
        later(0, this::catchUp);
    }

    /** Loses memory and what was not synced. */
    void crash() {
        sim.check(up, this + " is down already");
        sim.note(this + " crashes");
        up = false;
        forgetMemory();
        store.values().removeIf(durable -> !durable);
    }

    private void forgetMemory() {
        handles.clear();
        locking = new LockingProgram(this, net.lockCounts);
        mayCommit.clear();
        claims.clear();
        knownCommitted.clear();
        moving.clear();
        presence.clear();
        told.clear();
        declaring.clear();
        watch = null;
        operations = 0;
        reaping = discarding = acknowledging = false;
    }

    /** The disk is gone: what starts next is another incarnation. */
    void burn() {
        if (up) crash();
        sim.note(this + " burns: " + incarnation);
        if (incarnation != null) net.burned.add(incarnation);
        net.struck.addAll(store.keySet());
        store.clear();
        disk = new MemoryTable();
        incarnation = null;
        startCount = 0;
        reservedCounter = 1;
        storeToken = sim.random.nextLong() | 1;
    }

    private void stop(String reason) {
        sim.note(this + " stops: " + reason);
        stopped = true;
        stopReason = reason;
        up = false;
        forgetMemory();
    }

    /** Asks for what a pod needs before it may propose, until it has it. */
    private void enter() {
        if (sessionOpen) return;
        if (incarnation == null) net.submit(this, withoutSession(new Command.AdmitPod(storeToken, settings)));
        else net.submit(this, withoutSession(new Command.OpenSession(incarnation, startCount, reservedCounter)));
        later(sim.millis(200, 600), this::enter);
    }

    private byte[] withoutSession(Command command) {
        return Entry.withoutSession(1, clockNanos(), List.of(command)).encode();
    }

    long nextId() {
        if (nextCounter >= reservedCounter) reservedCounter = nextCounter + ID_BLOCK;
        return Ids.of(self().number(), nextCounter++);
    }

    // ---- proposing

    CompletableFuture<Proposer.Applied> propose(Command command) {
        var future = proposer.propose(command);
        if (!pumping) {
            pumping = true;
            later(0, this::pump);
        }
        return future;
    }

    private void pump() {
        pumping = false;
        if (!sessionOpen) return;
        var batch = proposer.next(sim.now());
        if (batch != null) {
            byte[] bytes = batch.encoded();
            if (bytes == null) {
                bytes = Entry.of(
                                1,
                                session(),
                                batch.sequence(),
                                batch.lowestUnanswered(),
                                clockNanos(),
                                batch.commands())
                        .encode();
                batch.remember(bytes);
            }
            net.submit(this, bytes);
        }
        long wake = proposer.wakeNanos(sim.now());
        if (wake != Long.MAX_VALUE) {
            pumping = true;
            later(wake - sim.now() + 1, this::pump);
        }
    }

    private SessionId session() {
        return new SessionId(self(), startCount);
    }

    // ---- applying

    void catchUp() {
        var leader = net.leader;
        if (applying || applyPaused || stopped || leader == null || !net.connected(this, leader)) return;
        applying = true;
        later(sim.millis(0, net.delayMillisMost), () -> {
            applying = false;
            int most = 1 + sim.random.nextInt(40);
            while (up && !applyPaused && most-- > 0 && view().appliedIndex() < net.committedIndex()) applyNext();
            if (!up) return;
            tellApplied();
            if (sim.chance(0.05)) flush();
            if (view().appliedIndex() < net.committedIndex()) catchUp();
        });
    }

    /** The table reaches the disk: a start does not apply the log before this again. */
    void flush() {
        disk = table.copy();
    }

    private void applyNext() {
        long index = view().appliedIndex() + 1;
        byte[] bytes = mutation.apply(net.entry(index));
        Applied applied;
        Entry entry;
        try {
            applied = namespace.apply(index, bytes);
            entry = Entry.decode(bytes);
        } catch (UnknownCommandException | MalformedEntryException e) {
            stop("unknown: " + e.getMessage());
            return;
        }
        if (applied.diverged()) {
            stop("diverged");
            return;
        }
        if (!mutated) sim.check(namespace.digest() == net.digestAt(index), this + " differs after #" + index);
        var dropped = new HashSet<SliceId>();
        if (applied.status() == Applied.Status.FRESH)
            for (int i = 0; i < entry.commands().size(); i++)
                answered(entry.commands().get(i), applied.outcomes().get(i), dropped);
        var session = applied.session();
        if (sessionOpen && session != null && session.equals(session())) {
            switch (applied.status()) {
                case FRESH -> proposer.applied(applied.sequence(), index, applied.outcomes());
                case REPEAT -> {
                    if (!applied.outcomes().isEmpty()) proposer.applied(applied.sequence(), index, applied.outcomes());
                }
                case GAP -> proposer.sendAgain(applied.sequence(), sim.now());
                case NO_SESSION -> proposer.sessionLost();
                case WRONG_GENERATION, SKIPPED ->
                    throw new IllegalStateException(applied.status().toString());
            }
        }
        for (Change change : applied.changes()) changed(change, dropped);
    }

    private void answered(Command command, Outcome outcome, Set<SliceId> dropped) {
        if (!(outcome instanceof Outcome.Done(long value))) return;
        switch (command) {
            case Command.AdmitPod admit
            when admit.storeToken() == storeToken && incarnation == null -> {
                incarnation = new Incarnation((int) value);
                startCount = 1;
                sim.note(this + " is " + incarnation);
                disk = table.copy();
                enter();
            }
            case Command.OpenSession open
            when open.incarnation().equals(incarnation) && open.startCount() == startCount -> {
                if (sessionOpen) return;
                sessionOpen = true;
                nextCounter = Math.max(nextCounter, open.settledCounter());
                later(0, this::audit);
            }
            case Command.DropHolder drop when drop.holder().equals(incarnation) -> dropped.add(drop.slice());
            // A push that came too late for the commit to name this pod: no change of holders is told of a new slice.
            case Command.Write write -> write.slices().forEach(slice -> custody(slice.slice(), false));
            case Command.Append append -> append.slices().forEach(slice -> custody(slice.slice(), false));
            default -> {}
        }
    }

    private void changed(Change change, Set<SliceId> dropped) {
        switch (change) {
            case Change.Orphaned(var inode) -> {
                if (handles.containsKey(inode) && sessionOpen) propose(new Command.Hold(inode, self()));
            }
            case Change.SlicesDiscarded(var slices) -> {
                for (SliceId slice : slices) if (store.containsKey(slice)) delete(slice, "discarded");
            }
            case Change.HoldersChanged(var slices) -> {
                for (SliceId slice : slices) custody(slice, dropped.contains(slice));
            }
            case Change.PodsChanged _ -> {
                for (SliceId slice : List.copyOf(store.keySet()))
                    if (view().slice(slice) == null) custody(slice, false);
            }
            case Change.Reaped _,
                    Change.LocksChanged _,
                    Change.InodeChanged _,
                    Change.EntryChanged _,
                    Change.HolderDropped _,
                    Change.Configured _ -> {}
            case Change.Replaced _ -> throw new IllegalStateException("no snapshot was installed");
        }
    }

    // ---- the store

    private void delete(SliceId slice, String why) {
        if (incarnation != null) net.checkDeletion(this, slice, why);
        store.remove(slice);
    }

    private void custody(SliceId slice, boolean dropped) {
        if (incarnation == null) return;
        Boolean stored = store.get(slice);
        if (Boolean.FALSE.equals(stored)) return; // being written or received
        var row = view().slice(slice);
        boolean dead = Custody.isDead(view(), slice)
                || knownCommitted.getOrDefault(slice, Long.MAX_VALUE) <= view().appliedIndex();
        switch (Custody.judge(incarnation, row, dead, stored != null, dropped, claims.contains(slice), sessionOpen)) {
            case KEEP -> {}
            case CLAIM -> claim(slice, HolderState.DURABLE);
            case DELETE -> delete(slice, dropped ? "dropped" : "dead");
            case REPORT_LOST -> propose(new Command.LoseHolder(incarnation, List.of(slice)));
        }
    }

    /** Proposes that this pod has it; also after a scrub has verified it. */
    void claim(SliceId slice, HolderState state) {
        if (!claims.add(slice)) return;
        propose(new Command.AddHolders(self(), state, List.of(slice))).whenComplete((_, _) -> {
            claims.remove(slice);
            custody(slice, false);
        });
    }

    /** Compares the whole store with the rows. */
    private void audit() {
        for (SliceId slice : List.copyOf(store.keySet())) custody(slice, false);
        var lost = new ArrayList<SliceId>();
        view().slices(null, row -> {
            if (row.heldBy(self()) && !store.containsKey(row.slice())) lost.add(row.slice());
            return true;
        });
        if (!lost.isEmpty()) propose(new Command.LoseHolder(self(), lost));
    }

    /** A slice arrives and is synced a little later; answers the sender then. */
    void receive(SliceId slice, long committedAt, Runnable durable) {
        if (incarnation == null) return;
        if (Boolean.TRUE.equals(store.get(slice))) {
            durable.run();
            custody(slice, false);
            return;
        }
        store.put(slice, false);
        later(sim.millis(1, 10), () -> {
            if (!store.containsKey(slice)) return; // discarded meanwhile
            store.put(slice, true);
            if (committedAt > 0) knownCommitted.put(slice, committedAt);
            durable.run();
            custody(slice, false);
        });
    }

    /** A slice on the disk is found gone. */
    void loseSlice(SliceId slice) {
        store.remove(slice);
        net.struck.add(slice);
        net.lostByDisk.computeIfAbsent(self(), _ -> new HashSet<>()).add(slice);
        sim.note(this + " lost " + slice);
        later(sim.millis(10, 400), () -> custody(slice, false));
    }

    // ---- health

    private void tellApplied() {
        if (incarnation == null) return;
        var by = incarnation;
        long index = view().appliedIndex();
        told.merge(by, index, Math::max);
        for (var pod : net.pods)
            if (pod != this && pod.up) net.send(this, pod, () -> pod.told.merge(by, index, Math::max));
    }

    private void heartbeat() {
        var leader = net.leader;
        if (leader == this) leadOn();
        disconnection.tick(sim.now());
        if (leader == null || stopped) return;
        long index = view().appliedIndex();
        var by = incarnation;
        if (leader != this) net.send(this, leader, () -> leader.heard(this, by, index));
        catchUp();
        tellApplied();
    }

    /** Becomes the leader. */
    void lead() {
        watch = null;
        leadOn();
    }

    private void leadOn() {
        if (incarnation == null) return;
        disconnection.heard(sim.now());
        var watching = watch;
        if (watching == null) {
            var informed = new ArrayList<Map<Incarnation, Long>>();
            for (var voter : net.voters) {
                if (!voter.up || !net.connected(this, voter) || voter.silences.isEmpty()) continue;
                var aged = new HashMap<Incarnation, Long>();
                voter.silences.forEach((pod, nanos) -> aged.put(pod, nanos + sim.now() - voter.silencesAt));
                informed.add(aged);
            }
            watching = new PeerWatch(
                    PeerWatch.Timing.of(REBUILD_AFTER, Duration.ofMinutes(5)),
                    incarnation,
                    view().pods(),
                    sim.now(),
                    PeerWatch.latestOf(informed),
                    0);
            watch = watching;
        }
        watching.members(view().pods());
        watching.committed(net.committedIndex());
        for (var declaration : watching.tick(sim.now())) {
            var pod = declaration.incarnation();
            if (!housekeeping || !sessionOpen || !declaring.add(pod)) continue;
            sim.note(this + " declares: " + declaration.reason());
            propose(new Command.SetAbsent(pod, declaration.absent())).whenComplete((_, _) -> declaring.remove(pod));
        }
        learn(watching);
    }

    private void learn(PeerWatch watching) {
        presence.clear();
        for (PodRecord pod : view().pods()) {
            var state = watching.presence(pod.incarnation());
            if (state != null) presence.put(pod.incarnation(), state);
        }
        silences = watching.silences();
        silencesAt = sim.now();
        heardLeaderAt = sim.now();
    }

    private void heard(SimulatedPod from, @Nullable Incarnation by, long index) {
        var watching = watch;
        if (net.leader != this || watching == null || by == null) return;
        watching.tick(sim.now());
        watching.heard(by, index, true);
        var presences = Map.copyOf(presence);
        var silent = watching.silences();
        net.send(this, from, () -> {
            from.disconnection.heard(sim.now());
            from.presence.clear();
            from.presence.putAll(presences);
            from.silences = silent;
            from.silencesAt = sim.now();
            from.heardLeaderAt = sim.now();
        });
    }

    /** The members as this pod believes them to be. Who has not heard a leader lately relies on nobody. */
    Members members() {
        boolean informed = sim.now() - heardLeaderAt < 5 * HEARTBEAT;
        var members = new ArrayList<Member>();
        for (PodRecord pod : view().pods()) {
            boolean present = pod.incarnation().equals(incarnation)
                    || informed && presence.get(pod.incarnation()) == Presence.PRESENT;
            var there = net.byIncarnation(pod.incarnation());
            members.add(Member.of(pod, !present, there == null ? 0 : there.freeBytes));
        }
        return new Members(members);
    }

    private int presentStoringPods() {
        int present = 0;
        for (Member member : members().all()) if (member.isLive() && member.stores()) present++;
        return present;
    }

    // ---- repair and collection

    private void keepHouse() {
        if (!sessionOpen || !housekeeping) return;
        long index = view().appliedIndex();
        var owed = view().orphans(null, 100);
        var record = view().pod(self());
        if (!acknowledging
                && record != null
                && owed.stream().anyMatch(orphan -> orphan.orphanedIndex() > record.orphansAcknowledgedIndex())) {
            // Holds up to this index were proposed before, in this session, so they are applied before.
            acknowledging = true;
            propose(new Command.AcknowledgeOrphans(self(), index)).whenComplete((_, _) -> acknowledging = false);
        }
        repair();
        if (net.leader != this) return;
        var free = owed.stream()
                .filter(orphan -> orphan.holders().isEmpty())
                .map(NamespaceView.Orphan::inode)
                .toList();
        if (!reaping && !free.isEmpty()) {
            reaping = true;
            propose(new Command.Reap(free)).whenComplete((_, _) -> reaping = false);
        }
        var unnamed = view().unnamedSlices(100);
        if (!discarding && !unnamed.isEmpty()) {
            discarding = true;
            propose(new Command.Discard(unnamed)).whenComplete((_, _) -> discarding = false);
        }
        if (index - digestedAt >= 64) {
            digestedAt = index;
            propose(new Command.Digest(index, namespace.digest()));
        }
    }

    private void repair() {
        var members = members();
        var moves = new ArrayList<Move>();
        view().slices(null, row -> {
            if (!moving.contains(row.slice())) {
                var move = RepairPlanner.plan(row, SimulatedNetwork.COPIES, members, self());
                var objection = PlanChecker.objection(row, SimulatedNetwork.COPIES, members, move);
                sim.check(objection == null, move + ": " + objection);
                if (move instanceof Move.Copy || move instanceof Move.Drop) moves.add(move);
            }
            return moves.size() < 8;
        });
        moves.forEach(this::carryOut);
    }

    /** The first move that this pod would make now, for the end of a run. */
    @Nullable Move nextMove() {
        var members = members();
        var first = new Move[1];
        view().slices(null, row -> {
            var move = RepairPlanner.plan(row, SimulatedNetwork.COPIES, members, self());
            if (!(move instanceof Move.None)) first[0] = move;
            return first[0] == null;
        });
        return first[0];
    }

    private void carryOut(Move move) {
        switch (move) {
            case Move.None _, Move.Wait _ -> {}
            case Move.Copy copy -> {
                var target = net.byIncarnation(copy.to());
                if (target == null || !Boolean.TRUE.equals(store.get(copy.slice()))) return;
                move(copy.slice());
                long committedAt = view().appliedIndex();
                net.send(this, target, () -> target.receive(copy.slice(), committedAt, () -> {}));
            }
            case Move.Drop drop -> drop(drop);
        }
    }

    private void move(SliceId slice) {
        sim.note(this + " moves " + slice);
        moving.add(slice);
        later(sim.millis(900, 1_100), () -> moving.remove(slice));
    }

    /** Asks those relied on whether they have it, then proposes. */
    private void drop(Move.Drop drop) {
        move(drop.slice());
        var missing = new HashSet<>(drop.relyingOn());
        int inLife = life;
        for (Incarnation incarnation : drop.relyingOn()) {
            var pod = net.byIncarnation(incarnation);
            if (pod == null) return;
            net.send(this, pod, () -> {
                if (!incarnation.equals(pod.incarnation) || !Boolean.TRUE.equals(pod.store.get(drop.slice()))) return;
                net.send(pod, this, () -> {
                    if (life == inLife && missing.remove(incarnation) && missing.isEmpty())
                        propose(new Command.DropHolder(drop.slice(), drop.holder(), drop.relyingOn()));
                });
            });
        }
    }

    // ---- programs

    /** What this pod believes of another; null if it was told nothing. */
    @Nullable Presence presenceOf(Incarnation other) {
        return presence.get(other);
    }

    void closeAll() {
        for (InodeId inode : List.copyOf(handles.keySet())) while (handles.containsKey(inode)) close(inode);
    }

    void open(InodeId inode) {
        handles.merge(inode, 1, Integer::sum);
    }

    void close(InodeId inode) {
        Integer left = handles.computeIfPresent(inode, (_, count) -> count == 1 ? null : count - 1);
        if (left == null
                && sessionOpen
                && view().orphans(null, 1_000).stream().anyMatch(o -> o.inode().equals(inode)))
            propose(new Command.Release(inode, self()));
        // An orphan whose removal is applied here later finds no handle, and no hold is proposed for it.
    }

    CompletableFuture<InodeId> create(String name) {
        var inode = new InodeId(nextId());
        return propose(new Command.Create(
                        InodeId.ROOT, FileName.of(name), inode, FileType.REGULAR, 0644, 0, 0, 0, new byte[0]))
                .thenApply(applied -> applied.outcome() instanceof Outcome.Done ? inode : existing(name));
    }

    private InodeId existing(String name) {
        return Objects.requireNonNullElse(view().lookup(InodeId.ROOT, FileName.of(name)), InodeId.ROOT);
    }

    /** Stages a slice here, not yet synced. */
    SliceId stage() {
        var slice = new SliceId(nextId());
        store.put(slice, false);
        mayCommit.add(slice);
        return slice;
    }

    /** Syncs it here and sends it on; completes with who has it when enough have it, this pod among them. */
    CompletableFuture<List<Incarnation>> push(SliceId slice, boolean replicated) {
        var result = new CompletableFuture<List<Incarnation>>();
        var durable = new ArrayList<Incarnation>();
        later(sim.millis(1, 8), () -> {
            if (!store.containsKey(slice)) return;
            store.put(slice, true);
            durable.add(self());
            sendOn(slice, replicated, durable, result);
        });
        return result;
    }

    private void sendOn(
            SliceId slice, boolean replicated, List<Incarnation> durable, CompletableFuture<List<Incarnation>> result) {
        if (result.isDone()) return;
        int needed = replicated ? Math.clamp(presentStoringPods(), 1, 2) : 1;
        if (durable.size() >= needed) {
            result.complete(List.copyOf(durable));
            return;
        }
        int inLife = life;
        for (Incarnation target :
                Placement.targets(slice, SimulatedNetwork.SLICE_BYTES, SimulatedNetwork.COPIES, members())) {
            var pod = net.byIncarnation(target);
            if (pod == null || durable.contains(target)) continue;
            net.send(
                    this,
                    pod,
                    () -> pod.receive(
                            slice,
                            0,
                            () -> net.send(pod, this, () -> {
                                if (life != inLife) return;
                                if (!durable.contains(target)) durable.add(target);
                                if (!result.isDone() && durable.size() >= Math.min(needed, 2))
                                    result.complete(List.copyOf(durable));
                            })));
        }
        later(sim.millis(250, 400), () -> sendOn(slice, replicated, durable, result));
    }

    /** Write of one slice at an offset; completes with its outcome once the promise of fsync or close holds. */
    CompletableFuture<Proposer.Applied> write(InodeId inode, SliceId slice, long offset, boolean fsync) {
        return push(slice, fsync).thenCompose(durable -> commit(inode, slice, offset, durable, fsync));
    }

    CompletableFuture<Proposer.Applied> commit(
            InodeId inode, SliceId slice, long offset, List<Incarnation> durable, boolean fsync) {
        var attributes = view().attributes(inode);
        long view = attributes == null ? 0 : attributes.content();
        var command = new Command.Write(
                inode,
                view,
                List.of(new Command.NewSlice(slice, SimulatedNetwork.SLICE_BYTES, durable)),
                List.of(new Extent(offset, SimulatedNetwork.SLICE_BYTES, slice, 0)),
                offset + SimulatedNetwork.SLICE_BYTES,
                clockNanos(),
                2,
                false);
        return committed(slice, propose(command), fsync);
    }

    CompletableFuture<Proposer.Applied> append(InodeId inode, SliceId slice, boolean fsync) {
        return push(slice, fsync).thenCompose(durable -> {
            var command = new Command.Append(
                    inode,
                    List.of(new Command.NewSlice(slice, SimulatedNetwork.SLICE_BYTES, durable)),
                    List.of(new Extent(0, SimulatedNetwork.SLICE_BYTES, slice, 0)),
                    clockNanos(),
                    2,
                    false);
            return committed(slice, propose(command), fsync);
        });
    }

    private CompletableFuture<Proposer.Applied> committed(
            SliceId slice, CompletableFuture<Proposer.Applied> proposed, boolean fsync) {
        return proposed.thenCompose(applied -> {
            mayCommit.remove(slice);
            if (applied.outcome() instanceof Outcome.Refused) {
                propose(new Command.Abandon(List.of(slice)));
                return CompletableFuture.completedFuture(applied);
            }
            if (!fsync) return CompletableFuture.completedFuture(applied);
            return onDisks(applied.index()).thenApply(_ -> {
                net.acknowledged.add(slice);
                return applied;
            });
        });
    }

    /** Completes when the log up to the index is on the disks of min(2, present storing pods). */
    CompletableFuture<Boolean> onDisks(long index) {
        var result = new CompletableFuture<Boolean>();
        awaitDisks(index, result);
        return result;
    }

    private void awaitDisks(long index, CompletableFuture<Boolean> result) {
        int needed = Math.clamp(presentStoringPods(), 1, 2);
        long have = told.entrySet().stream()
                .filter(entry -> entry.getValue() >= index && view().pod(entry.getKey()) != null)
                .count();
        if (have >= needed) result.complete(true);
        else later(sim.millis(2, 10), () -> awaitDisks(index, result));
    }

    boolean isDisconnected() {
        return disconnection.view() instanceof Disconnection.View.Disconnected;
    }

    private void runProgram() {
        if (!net.programsRun || !sessionOpen || operations >= 4 || isDisconnected()) return;
        int files = 4;
        var shared = "f" + sim.random.nextInt(files);
        var inode = view().lookup(InodeId.ROOT, FileName.of(shared));
        switch (sim.random.nextInt(10)) {
            case 0, 1 -> appendToJournal();
            case 2 -> save();
            case 3, 4 -> {
                boolean fsync = sim.chance(0.5);
                var target = inode != null ? CompletableFuture.completedFuture(inode) : create(shared);
                operation(target.thenCompose(
                        file -> write(file, stage(), SimulatedNetwork.SLICE_BYTES * sim.random.nextInt(3), fsync)));
            }
            case 5 -> {
                if (inode != null) operation(propose(new Command.Unlink(InodeId.ROOT, FileName.of(shared), inode)));
            }
            case 6 -> {
                if (inode == null) return;
                open(inode);
                later(sim.millis(50, 8_000), () -> close(inode));
            }
            case 7 -> {
                if (inode != null && sim.chance(0.3))
                    operation(propose(new Command.SetAttributes(
                            inode, null, null, null, (long) sim.random.nextInt(12_000), null, null, false)));
            }
            case 8 -> readWhatIsOpen();
            case 9 -> {
                if (inode != null)
                    operation(propose(new Command.Rename(
                            InodeId.ROOT,
                            FileName.of(shared),
                            inode,
                            InodeId.ROOT,
                            FileName.of("f" + sim.random.nextInt(files)),
                            null,
                            Command.RenameMode.REPLACE)));
            }
            default -> throw new IllegalStateException();
        }
    }

    private void operation(CompletableFuture<?> done) {
        operations++;
        int inLife = life;
        done.whenComplete((_, _) -> {
            if (life == inLife && up) operations--;
        });
    }

    private void appendToJournal() {
        var file = view().lookup(InodeId.ROOT, FileName.of("journal"));
        if (file == null) {
            operation(create("journal"));
            return;
        }
        if (operations > 0) return; // one writer at a time on each pod, so that the order can be checked
        var slice = stage();
        operation(append(file, slice, true).thenAccept(applied -> {
            if (applied.outcome() instanceof Outcome.Done) net.acknowledgedAppends.add(slice);
        }));
    }

    /** Write to a new name, fsync, rename over the old one: in one go, as programs propose it. */
    private void save() {
        if (operations > 0) return;
        var slice = stage();
        var temporary = FileName.of("tmp-" + slice);
        var name = FileName.of("save-" + this);
        operation(push(slice, true).thenCompose(durable -> {
            var inode = new InodeId(nextId());
            propose(new Command.Create(InodeId.ROOT, temporary, inode, FileType.REGULAR, 0644, 0, 0, 0, new byte[0]));
            var written = commit(inode, slice, 0, durable, true);
            var renamed = propose(new Command.Rename(
                    InodeId.ROOT,
                    temporary,
                    inode,
                    InodeId.ROOT,
                    name,
                    view().lookup(InodeId.ROOT, name),
                    Command.RenameMode.REPLACE));
            return written.thenCombine(renamed, (_, rename) -> rename)
                    .thenCompose(rename -> onDisks(rename.index()).thenAccept(_ -> {
                        if (rename.outcome() instanceof Outcome.Done) net.lastSaved.put(toString(), slice);
                    }));
        }));
    }

    /** Whatever is open here has its bytes somewhere, also when its last name is gone. */
    private void readWhatIsOpen() {
        for (InodeId inode : handles.keySet()) {
            var record = view().pod(self());
            if (record == null || record.absent() || net.view().attributes(inode) == null) continue;
            for (Extent extent : net.view().extents(inode, 0, Long.MAX_VALUE)) {
                var row = net.view().slice(extent.slice());
                sim.check(row != null, inode + " names " + extent.slice() + ", which has no row");
                if (net.acknowledged.contains(extent.slice()))
                    sim.check(net.bytesExistOn(extent.slice()) > 0, "open " + inode + " lost " + extent.slice());
            }
        }
    }

    SliceRecord row(SliceId slice) {
        return Objects.requireNonNull(view().slice(slice));
    }
}
