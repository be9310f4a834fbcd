// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.health.Situation;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Entry;
import dev.wormhole.namespace.MalformedEntryException;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.Proposer;
import dev.wormhole.namespace.SessionId;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.placement.Move;
import dev.wormhole.placement.Placement;
import dev.wormhole.placement.RepairPlanner;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** The schedules that the protocols must survive, each by the steps that would break a simpler design. */
class SchedulesTest {
    private static final long KIB4 = SimulatedNetwork.SLICE_BYTES;
    private SimulatedNetwork net = SimulatedNetwork.of(42, 3, 3);
    private SimulatedPod a = net.pod(1);
    private SimulatedPod b = net.pod(2);
    private SimulatedPod c = net.pod(3);

    /** Begins anew with other chances. */
    private void begin(long seed) {
        net = SimulatedNetwork.of(seed, 3, 3);
        a = net.pod(1);
        b = net.pod(2);
        c = net.pod(3);
    }

    /** Nothing happens that the test does not do. */
    private void byHand() {
        for (var pod : net.pods) pod.housekeeping = false;
    }

    private void pass(Duration time) {
        net.sim.run(time);
    }

    /** Until every pod that runs has applied everything. */
    private void everybodyApplies() {
        net.sim.until(
                "applied by all",
                Duration.ofMinutes(1),
                () -> net.pods.stream()
                        .filter(p -> p.up && p.incarnation != null)
                        .allMatch(p -> p.view().appliedIndex() == net.committedIndex()));
        pass(Duration.ofMillis(50));
    }

    private InodeId file(SimulatedPod pod, String name) {
        return net.await(pod.create(name));
    }

    private SliceId written(SimulatedPod pod, InodeId file, long offset) {
        var slice = pod.stage();
        assertThat(net.await(pod.write(file, slice, offset, true)).outcome()).isInstanceOf(Outcome.Done.class);
        return slice;
    }

    private Outcome run(SimulatedPod pod, Command command) {
        return net.await(pod.propose(command)).outcome();
    }

    private SliceRecord row(SliceId slice) {
        return Objects.requireNonNull(net.view().slice(slice));
    }

    private List<SliceId> slicesOf(InodeId file) {
        return net.view().extents(file, 0, Long.MAX_VALUE).stream()
                .map(Extent::slice)
                .toList();
    }

    private Outcome unlink(SimulatedPod pod, String name, InodeId inode) {
        return run(pod, new Command.Unlink(InodeId.ROOT, FileName.of(name), inode));
    }

    private static final Outcome REFUSED_BUSY = new Outcome.Refused(Errno.EBUSY);

    // ---- 4: the log, never a clock, lets bytes go

    @Test
    void s4a_aSliceWrittenForHoursSurvivesTheRestartOfItsCopysHolder() {
        var file = file(a, "big");
        var slice = a.stage();
        var durable = net.await(a.push(slice, true));
        assertThat(durable).hasSize(2);
        var copy = Objects.requireNonNull(net.byIncarnation(durable.get(1)));
        copy.crash();
        pass(Duration.ofMinutes(1));
        copy.start();
        pass(Duration.ofMinutes(20));
        assertThat(copy.store).containsEntry(slice, true);
        var committed = net.await(a.commit(file, slice, 0, durable, true));
        assertThat(committed.outcome()).isInstanceOf(Outcome.Done.class);
        for (Incarnation holder : durable)
            assertThat(net.hasBytes(holder, slice)).isTrue();
        net.settle();
    }

    @Test
    void s4b_aDiscardedSliceNeverComesBack() {
        var file = file(a, "f");
        var old = written(a, file, 0);
        var asleep = net.pods.stream()
                .filter(p -> p != a && p.store.containsKey(old))
                .findFirst()
                .orElseThrow();
        var third = asleep == b ? c : b;
        asleep.crash();
        written(a, file, 0);
        net.sim.until("discarded", Duration.ofMinutes(1), () -> net.view().slice(old) == null);
        // An older repair list names a new holder for it.
        var late = run(third, new Command.AddHolders(third.self(), HolderState.DURABLE, List.of(old)));
        assertThat(late).isEqualTo(new Outcome.Done(0));
        assertThat(net.view().slice(old)).isNull();
        // So does a commit that was proposed again.
        var again = run(
                third,
                new Command.Write(
                        file,
                        0,
                        List.of(new Command.NewSlice(old, KIB4, List.of(asleep.self()))),
                        List.of(new Extent(0, KIB4, old, 0)),
                        KIB4,
                        0,
                        2,
                        false));
        assertThat(again).isEqualTo(new Outcome.Refused(Errno.ESTALE));
        asleep.start();
        net.sim.until("deleted there too", Duration.ofMinutes(1), () -> !asleep.store.containsKey(old));
        net.settle();
    }

    @Test
    void s4c_aRebuiltIndexCannotTellGarbageFromTheUncommittedSoItKeepsBothUntilTheLogTells() {
        var file = file(a, "f");
        var discarded = written(a, file, 0);
        written(a, file, 0);
        net.sim.until("discarded", Duration.ofMinutes(1), () -> net.view().slice(discarded) == null);
        everybodyApplies();
        var uncommitted = a.stage();
        var durable = net.await(a.push(uncommitted, true));
        var copy = Objects.requireNonNull(net.byIncarnation(durable.get(1)));
        copy.flush();
        copy.crash();
        copy.store.put(discarded, true); // the packs are read again after the crash
        copy.start();
        pass(Duration.ofMinutes(5));
        assertThat(copy.store).containsEntry(discarded, true).containsEntry(uncommitted, true);
        assertThat(net.view().slice(discarded)).as("and nobody counts it").isNull();
        net.await(a.commit(file, uncommitted, KIB4, durable, true));
        a.crash();
        a.start(); // its new session settles what it left
        net.sim.until("garbage is gone", Duration.ofMinutes(1), () -> !copy.store.containsKey(discarded));
        assertThat(net.hasBytes(copy.self(), uncommitted)).isTrue();
        net.settle();
    }

    @Test
    void s4d_aRepairThatFinishesAfterTheDiscardLeavesNothing() {
        var file = file(a, "f");
        var slice = written(a, file, 0);
        var third = net.pods.stream()
                .filter(p -> !p.store.containsKey(slice))
                .findFirst()
                .orElseThrow();
        long knownAt = a.view().appliedIndex();
        unlink(a, "f", file);
        net.sim.until("discarded", Duration.ofMinutes(1), () -> net.view().slice(slice) == null);
        everybodyApplies();
        third.receive(slice, knownAt, () -> {}); // the copy sent before arrives now
        pass(Duration.ofSeconds(2));
        assertThat(third.store).doesNotContainKey(slice);
        assertThat(net.view().slice(slice)).isNull();
        net.settle();
    }

    // ---- 5: old content outlives new content that is less safe

    @Test
    void s5_theLastSafeVersionComesBackWhenTheNewOneIsLost() {
        byHand();
        var file = file(a, "f");
        var safe = written(a, file, 0);
        var unsafe = a.stage();
        net.await(a.write(file, unsafe, 0, false));
        assertThat(slicesOf(file)).containsExactly(unsafe);
        assertThat(row(safe).names()).as("kept in history").isPositive();
        assertThat(net.view().unnamedSlices(10)).isEmpty();
        a.loseSlice(unsafe);
        net.sim.until("told", Duration.ofMinutes(1), () -> slicesOf(file).equals(List.of(safe)));
        assertThat(net.view().attributes(file)).extracting(Attributes::size).isEqualTo(KIB4);
        net.settle();
    }

    @Test
    void s5_whatOnlyArrivedIsNoCopy() {
        byHand();
        var file = file(a, "f");
        var slice = a.stage();
        net.await(a.write(file, slice, 0, false));
        run(b, new Command.AddHolders(b.self(), HolderState.WRITTEN, List.of(slice)));
        everybodyApplies();
        assertThat(RepairPlanner.copiesKept(row(slice), a.members())).isEqualTo(1);
        assertThat(RepairPlanner.plan(row(slice), 2, a.members(), a.self())).isInstanceOf(Move.Copy.class);
    }

    // ---- 6: few voters, few pods

    @Test
    void s6a_fsyncWaitsForAListenersDiskSoTheVoterMayBurn() {
        var pair = SimulatedNetwork.of(7, 2, 1);
        var voter = pair.pod(1);
        var listener = pair.pod(2);
        var file = pair.await(voter.create("f"));
        listener.applyPaused = true;
        var slice = voter.stage();
        var synced = voter.write(file, slice, 0, true);
        pair.sim.run(Duration.ofMillis(900));
        assertThat(pair.view().slice(slice))
                .as("committed by a majority of one")
                .isNotNull();
        assertThat(synced).as("yet not on two disks").isNotDone();
        listener.applyPaused = false;
        pair.await(synced);
        voter.burn();
        assertThat(listener.view().extents(file, 0, Long.MAX_VALUE))
                .extracting(Extent::slice)
                .containsExactly(slice);
        assertThat(listener.store).containsEntry(slice, true);
    }

    @Test
    void s6c_withOnePodPresentFsyncIsAnsweredAndTheFileIsNotCalledSafe() {
        var pair = SimulatedNetwork.of(8, 2, 1);
        var alone = pair.pod(1);
        pair.pod(2).crash();
        pair.sim.run(Duration.ofSeconds(3));
        var file = pair.await(alone.create("f"));
        var slice = alone.stage();
        assertThat(pair.await(alone.write(file, slice, 0, true)).outcome()).isInstanceOf(Outcome.Done.class);
        assertThat(level(pair, alone)).isEqualTo(Situation.Level.RECOVERABLE);
        pair.pod(2).start();
        pair.settle();
        assertThat(level(pair, alone)).isEqualTo(Situation.Level.HEALTHY);
    }

    private static Situation.Level level(SimulatedNetwork net, SimulatedPod pod) {
        var counter = new Situation.Counter(pod.members());
        net.view().slices(null, row -> {
            counter.add(row, SimulatedNetwork.COPIES);
            return true;
        });
        return Situation.of(counter.facts()).level();
    }

    // ---- 7: identities that come back

    @Test
    void s7_aWipedStoreIsAnotherIncarnation() {
        var file = file(a, "f");
        var kept = written(b, file, 0);
        var pushed = b.stage();
        var durable = net.await(b.push(pushed, true));
        var copy = Objects.requireNonNull(net.byIncarnation(durable.get(1)));
        var before = b.self();
        b.burn();
        b.start();
        pass(Duration.ofSeconds(2));
        assertThat(b.incarnation).as("not while the old one is a member").isNull();
        assertThat(run(a, new Command.RemovePod(before, true))).isInstanceOf(Outcome.Done.class);
        net.sim.until("admitted", Duration.ofMinutes(1), () -> b.sessionOpen);
        assertThat(b.self()).isNotEqualTo(before);
        var fresh = written(b, file, KIB4);
        assertThat(fresh.writer()).isEqualTo(b.self());
        assertThat(fresh).as("no id comes twice").isNotIn(kept, pushed);
        net.sim.until("the uncommitted copy goes", Duration.ofMinutes(1), () -> !copy.store.containsKey(pushed));
        assertThat(row(kept).heldBy(before) && net.view().pod(before) != null).isFalse();
        net.settle();
        assertThat(net.bytesExistOn(kept)).isEqualTo(2);
    }

    /** Bytes arrive from an incarnation whose admission this pod has not applied yet: new, not gone. */
    @Test
    void s7_bytesOfAWriterNotYetKnownAreKept() {
        var file = file(a, "f");
        var before = b.self();
        everybodyApplies();
        c.applyPaused = true;
        b.burn();
        b.start();
        run(a, new Command.RemovePod(before, true));
        net.sim.until("admitted", Duration.ofMinutes(1), () -> b.sessionOpen);
        assertThat(c.view().pod(b.self())).isNull();
        var slice = b.stage();
        b.store.put(slice, true);
        var answered = new java.util.concurrent.CompletableFuture<Boolean>();
        c.receive(slice, 0, () -> answered.complete(true));
        net.await(answered);
        pass(Duration.ofMillis(100));
        var committed = b.commit(file, slice, 0, List.of(b.self(), c.self()), false);
        assertThat(net.await(committed).outcome()).isInstanceOf(Outcome.Done.class);
        c.applyPaused = false;
        everybodyApplies();
        assertThat(net.hasBytes(c.self(), slice)).isTrue();
        net.settle();
    }

    // ---- 8: order, repeats, gaps

    @Test
    void s8_aSessionsBatchesRunInOrderAndOnceWhateverArrives() {
        byHand();
        everybodyApplies();
        var session = new SessionId(a.self(), a.startCount);
        long first = net.observer.lastSequence(session) + 1;
        var inode = new InodeId(a.nextId());
        var make = batch(
                session,
                first,
                new Command.Create(
                        InodeId.ROOT, FileName.of("tmp"), inode, FileType.REGULAR, 0644, 0, 0, 0, new byte[0]));
        var rename = batch(
                session,
                first + 1,
                new Command.Rename(
                        InodeId.ROOT,
                        FileName.of("tmp"),
                        inode,
                        InodeId.ROOT,
                        FileName.of("f"),
                        null,
                        Command.RenameMode.REPLACE));
        net.force(rename); // overtakes
        assertThat(net.gaps).isEqualTo(1);
        assertThat(net.view().lookup(InodeId.ROOT, FileName.of("f"))).isNull();
        net.force(make);
        assertThat(net.view().lookup(InodeId.ROOT, FileName.of("tmp"))).isEqualTo(inode);
        net.force(rename);
        net.force(make); // its answer was lost
        assertThat(net.repeats).isEqualTo(1);
        assertThat(net.observer.answered(session, first))
                .as("the first answer, not EEXIST")
                .containsExactly(new Outcome.Done(0));
        net.force(rename);
        everybodyApplies();
        for (var pod : net.pods) {
            assertThat(pod.view().lookup(InodeId.ROOT, FileName.of("f"))).isEqualTo(inode);
            assertThat(pod.view().lookup(InodeId.ROOT, FileName.of("tmp"))).isNull();
        }
    }

    private byte[] batch(SessionId session, long sequence, Command command) {
        byte[] bytes = Entry.of(1, session, sequence, 1, a.clockNanos(), List.of(command))
                .encode();
        try {
            Entry.stampLeader(bytes, a.clockNanos());
        } catch (MalformedEntryException e) {
            throw new IllegalStateException(e);
        }
        return bytes;
    }

    @Test
    void s8_aBatchSentToTwoLeadersRunsOnce() {
        net.duplication = 1;
        for (int i = 0; i < 20; i++) {
            var made = a.create("dir" + i);
            net.sim.run(Duration.ofMillis(i % 4));
            net.deposeLeader();
            var inode = net.await(made);
            assertThat(inode).as("its own, not one found under the name").isNotEqualTo(InodeId.ROOT);
            assertThat(net.view().lookup(InodeId.ROOT, FileName.of("dir" + i))).isEqualTo(inode);
        }
        net.settle();
        assertThat(net.repeats).isPositive();
        assertThat(net.view().totals().inodes()).isEqualTo(21);
    }

    @Test
    void s8_aBatchOfAnEndedSessionNeverRuns() {
        var session = new SessionId(a.self(), a.startCount);
        long next = net.observer.lastSequence(session) + 1;
        var late = batch(
                session,
                next,
                new Command.Create(
                        InodeId.ROOT,
                        FileName.of("late"),
                        new InodeId(a.nextId()),
                        FileType.REGULAR,
                        0644,
                        0,
                        0,
                        0,
                        new byte[0]));
        a.crash();
        a.start();
        net.sim.until("open again", Duration.ofMinutes(1), () -> a.sessionOpen);
        net.force(late);
        assertThat(net.view().lookup(InodeId.ROOT, FileName.of("late"))).isNull();
        net.settle();
    }

    // ---- 9: open files unlinked elsewhere

    @Test
    void s9_anOpenFileOutlivesItsNameOnAnotherPod() {
        var file = file(a, "f");
        var slice = written(a, file, 0);
        everybodyApplies();
        b.open(file);
        unlink(a, "f", file);
        pass(Duration.ofMinutes(10));
        assertThat(slicesOf(file)).containsExactly(slice);
        assertThat(net.bytesExistOn(slice)).isEqualTo(2);
        assertThat(net.view().orphans(null, 10)).hasSize(1);
        b.close(file);
        net.sim.until("reaped", Duration.ofMinutes(1), () -> net.view().attributes(file) == null);
        net.sim.until("let go", Duration.ofMinutes(1), () -> net.bytesExistOn(slice) == 0);
        net.settle();
    }

    @Test
    void s9_aPodThatHasNotYetAppliedTheRemovalIsWaitedFor() {
        var file = file(a, "f");
        written(a, file, 0);
        everybodyApplies();
        b.open(file);
        b.applyPaused = true;
        unlink(a, "f", file);
        pass(Duration.ofSeconds(4));
        assertThat(net.view().attributes(file)).as("late, not absent").isNotNull();
        b.applyPaused = false;
        pass(Duration.ofSeconds(5));
        assertThat(net.view().orphans(null, 10))
                .singleElement()
                .satisfies(orphan -> assertThat(orphan.holders()).containsExactly(b.self()));
        b.crash(); // and its handles with it
        b.start();
        net.sim.until("reaped", Duration.ofMinutes(1), () -> net.view().attributes(file) == null);
        net.settle();
    }

    @Test
    void s9_anAbsentPodIsNotWaitedFor() {
        var file = file(a, "f");
        written(a, file, 0);
        everybodyApplies();
        c.crash();
        unlink(a, "f", file);
        pass(Duration.ofSeconds(5));
        assertThat(net.view().attributes(file)).isNotNull();
        net.sim.until(
                "declared and reaped", Duration.ofMinutes(1), () -> net.view().attributes(file) == null);
        net.settle();
    }

    // ---- 13: two responsible pods

    private SliceId onAllThree(InodeId file) {
        byHand();
        var slice = written(a, file, 0);
        for (var pod : net.pods) if (!pod.store.containsKey(slice)) pod.receive(slice, 1, () -> {});
        net.sim.until(
                "three holders",
                Duration.ofMinutes(1),
                () -> row(slice).holders().size() == 3);
        everybodyApplies();
        return slice;
    }

    @Test
    void s13_twoPodsThatBothThinkTheyAreFirstDropOneCopyTogether() {
        var slice = onAllThree(file(a, "f"));
        var ofA = a.propose(new Command.DropHolder(slice, c.self(), List.of(a.self(), b.self())));
        var ofB = b.propose(new Command.DropHolder(slice, a.self(), List.of(b.self(), c.self())));
        var outcomes = List.of(net.await(ofA).outcome(), net.await(ofB).outcome());
        assertThat(outcomes).containsExactlyInAnyOrder(new Outcome.Done(0), REFUSED_BUSY);
        everybodyApplies();
        assertThat(net.bytesExistOn(slice)).isEqualTo(2);
        net.settle();
    }

    @Test
    void s13_ofTwoCopiesThatEachRelyOnTheOtherOneStays() {
        byHand();
        var slice = written(a, file(a, "f"), 0);
        var other = net.pods.stream()
                .filter(p -> p != a && p.store.containsKey(slice))
                .findFirst()
                .orElseThrow();
        net.struck.add(slice); // one copy is what is asked for here
        var mine = a.propose(new Command.DropHolder(slice, a.self(), List.of(other.self())));
        var others = other.propose(new Command.DropHolder(slice, other.self(), List.of(a.self())));
        assertThat(List.of(net.await(mine).outcome(), net.await(others).outcome()))
                .containsExactlyInAnyOrder(new Outcome.Done(0), REFUSED_BUSY);
        everybodyApplies();
        assertThat(row(slice).holders()).hasSize(1);
    }

    /** A claim that is under way while the claimant is dropped: in either order, row and disk agree afterwards. */
    @Test
    void s13_aPodThatIsClaimingDoesNotDeleteForADropBefore() {
        int keptThroughTheDrop = 0;
        for (long seed = 100; seed < 130; seed++) {
            begin(seed);
            var slice = onAllThree(file(a, "f"));
            var drop = a.propose(new Command.DropHolder(slice, c.self(), List.of(a.self(), b.self())));
            c.claim(slice, HolderState.VERIFIED);
            assertThat(net.await(drop).outcome()).isInstanceOf(Outcome.Done.class);
            net.sim.until("the claim is answered", Duration.ofMinutes(1), () -> c.proposer.waiting() == 0);
            everybodyApplies();
            boolean holds = row(slice).heldBy(c.self());
            assertThat(c.store.containsKey(slice)).as("seed " + seed).isEqualTo(holds);
            if (holds) keptThroughTheDrop++;
            net.settle();
            assertThat(net.bytesExistOn(slice)).isEqualTo(2);
        }
        assertThat(keptThroughTheDrop).as("both orders were tried").isBetween(1, 29);
    }

    // ---- 14: time

    @Test
    void s14_clocksOf2099And1970LabelAndDecideNothing() {
        long century = Duration.ofDays(365 * 73L).toNanos();
        var file = file(a, "f");
        var slice = written(a, file, 0);
        everybodyApplies();
        b.clockSkewNanos = century;
        touch(b, file);
        long afterFuture = changed(file);
        assertThat(afterFuture).isLessThan(net.leaderPod().clockNanos() + 1_000_000_001L);
        c.clockSkewNanos = -a.clockNanos();
        touch(c, file);
        assertThat(changed(file)).as("never back").isGreaterThanOrEqualTo(afterFuture);
        pass(Duration.ofMinutes(2));
        assertThat(net.observer.elapsedNanos()).as("stamps are no time").isZero();
        assertThat(run(a, new Command.Tick(5))).isInstanceOf(Outcome.Done.class);
        assertThat(net.observer.elapsedNanos()).isEqualTo(5);
        assertThat(net.bytesExistOn(slice)).isEqualTo(2);
        net.settle();
    }

    private void touch(SimulatedPod pod, InodeId file) {
        run(pod, new Command.SetAttributes(file, 0600, null, null, null, null, null, false));
    }

    private long changed(InodeId file) {
        return Objects.requireNonNull(net.view().attributes(file)).changedNanos();
    }

    // ---- 16: appends from several pods

    @Test
    void s16_appendsFromSeveralPodsNeverOverlap() {
        var file = file(a, "log");
        everybodyApplies();
        var all = new ArrayList<java.util.concurrent.CompletableFuture<Proposer.Applied>>();
        for (int i = 0; i < 10; i++) for (var pod : net.pods) all.add(pod.append(file, pod.stage(), true));
        var offsets = all.stream()
                .map(net::await)
                .map(applied -> ((Outcome.Done) applied.outcome()).value())
                .sorted()
                .toList();
        for (int i = 0; i < 30; i++) assertThat(offsets.get(i)).isEqualTo(i * KIB4);
        assertThat(slicesOf(file)).doesNotHaveDuplicates().hasSize(30);
        net.settle();
    }

    // ---- 18: versions

    @Test
    void s18_anUnknownCommandStopsEveryPodAndIsSkippedByNone() {
        file(a, "f");
        everybodyApplies();
        long before = net.committedIndex();
        var entry = new Entry(
                Entry.LEVEL_MAX + 1, 1, 0, null, 0, 0, 0, 0, 0, List.of(new Command.AdmitPod(99, a.settings)));
        net.force(entry.encode());
        net.sim.until(
                "all stopped", Duration.ofMinutes(1), () -> net.pods.stream().allMatch(p -> p.stopped));
        for (var pod : net.pods) {
            assertThat(pod.stopReason).contains("unknown");
            assertThat(pod.view().appliedIndex()).isEqualTo(before);
            assertThat(pod.namespace.digest()).isEqualTo(net.digestAt(before));
        }
    }

    @Test
    void s18_aReplicaThatDiffersIsFoundAndStopsWithItsBytesKept() {
        var file = file(a, "f");
        written(a, file, 0);
        everybodyApplies();
        var odd = net.leaderPod() == c ? b : c;
        var bytes = odd.store.size();
        odd.mutated = true;
        odd.mutation = entry -> {
            try {
                var decoded = Entry.decode(entry);
                var commands = decoded.commands().stream()
                        .map(command -> command instanceof Command.SetAttributes s
                                ? new Command.SetAttributes(s.inode(), 0111, null, null, null, null, null, false)
                                : command)
                        .toList();
                return Entry.of(
                                1,
                                decoded.session(),
                                decoded.sequence(),
                                decoded.lowestUnanswered(),
                                decoded.proposerNanos(),
                                commands)
                        .stamped(decoded.leaderNanos())
                        .encode();
            } catch (MalformedEntryException e) {
                throw new IllegalStateException(e);
            }
        };
        run(a, new Command.SetAttributes(file, 0600, null, null, null, null, null, false));
        everybodyApplies();
        assertThat(odd.stopped).isFalse();
        var leader = net.leaderPod();
        run(leader, new Command.Digest(leader.view().appliedIndex(), leader.namespace.digest()));
        net.sim.until("found", Duration.ofMinutes(1), () -> odd.stopped);
        assertThat(odd.stopReason).isEqualTo("diverged");
        assertThat(odd.store).hasSize(bytes);
        pass(Duration.ofSeconds(5));
        assertThat(net.pods.stream().filter(p -> p.stopped)).containsExactly(odd);
    }

    // ---- 19: disk full

    @Test
    void s19_fullPodsTakeNoSlicesAndStillLetThemGo() {
        var file = file(a, "f");
        var slice = written(a, file, 0);
        everybodyApplies();
        for (var pod : net.pods) pod.freeBytes = 0;
        assertThat(Placement.targets(a.stage(), KIB4, 2, b.members()))
                .as("the writer alone, which has it already")
                .containsExactly(a.self());
        var holder = net.pods.stream()
                .filter(p -> p != a && p.store.containsKey(slice))
                .findFirst()
                .orElseThrow();
        holder.loseSlice(slice);
        net.sim.until("told", Duration.ofMinutes(1), () -> !row(slice).heldBy(holder.self()));
        everybodyApplies();
        assertThat(RepairPlanner.plan(row(slice), 2, a.members(), a.self()))
                .isInstanceOfSatisfying(
                        Move.Wait.class, wait -> assertThat(wait.cause()).isEqualTo(Move.Cause.NO_ROOM));
        assertThat(unlink(b, "f", file)).isInstanceOf(Outcome.Done.class);
        net.sim.until("bytes are free again", Duration.ofMinutes(1), () -> net.bytesExistOn(slice) == 0);
    }

    // ---- 25: choices made wrongly elsewhere

    @Test
    void s25_holdersThatAreSilentAreNamedWithinTwoSeconds() {
        var slice = written(a, file(a, "f"), 0);
        everybodyApplies();
        var without = net.pods.stream()
                .filter(p -> !p.store.containsKey(slice))
                .findFirst()
                .orElseThrow();
        // The reader stays in contact with a leader: only the holders fall silent to it.
        if (net.leaderPod() != without) {
            for (int i = 0; i < 50 && net.leaderPod() != without; i++) {
                net.deposeLeader();
                net.awaitLeader();
            }
            pass(Duration.ofSeconds(2));
        }
        for (var pod : net.pods) if (pod != without) pod.crash();
        pass(Duration.ofMillis(1_900));
        var move = RepairPlanner.plan(row(slice), 2, without.members(), without.self());
        assertThat(move.cause()).isEqualTo(Move.Cause.HOLDER_LATE);
        for (var holder : row(slice).holders())
            assertThat(move.reason())
                    .contains(Objects.requireNonNull(net.byIncarnation(holder.incarnation()))
                            .toString());
        for (var pod : net.pods) if (pod != without) pod.start();
        net.settle();
        assertThat(RepairPlanner.plan(row(slice), 2, without.members(), without.self()))
                .isInstanceOf(Move.None.class);
    }

    /** A deletion is carried out only after the log orders it: no pod reaps or discards by its own view. */
    @Test
    void s25_aReaderThatLosesTheRaceFindsTheSliceGoneNotCorrupt() {
        var file = file(a, "f");
        var slice = written(a, file, 0);
        everybodyApplies();
        c.applyPaused = true;
        unlink(a, "f", file);
        pass(Duration.ofSeconds(3));
        assertThat(c.view().extents(file, 0, KIB4)).as("c still reads the file").hasSize(1);
        assertThat(net.bytesExistOn(slice)).as("and its bytes are there").isEqualTo(2);
        c.applyPaused = false;
        net.settle();
        assertThat(net.view().slice(slice)).isNull();
    }
}
