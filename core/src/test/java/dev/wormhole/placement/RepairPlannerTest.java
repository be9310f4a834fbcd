// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import static dev.wormhole.placement.Cases.members;
import static dev.wormhole.placement.Cases.slice;
import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.Presence;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.PodSettings.Role;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.placement.Move.Cause;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RepairPlannerTest {
    @ParameterizedTest(name = "{0} | {1} x {2} -> {3} {4}")
    @CsvSource({
        // members, holders, wanted, what, of which pod (or cause)
        "1 2 3, 1 2, 2, none, NOTHING_TO_DO",
        "1 2 3A, 1, 2, copy 2, TOO_FEW_COPIES",
        "1 2A 3, 1 2, 2, copy 3, TOO_FEW_COPIES",
        // lateness copies nothing and lets nothing go
        "1 2L 3, 1 2, 2, none, NOTHING_TO_DO",
        "1 2L 3, 1 2 3, 2, none, NOTHING_TO_DO",
        "1 2L, 1, 2, wait, TARGET_LATE",
        "1L 2L 3, 1 2, 2, wait, HOLDER_LATE",
        "1A 2A 3, 1 2, 2, wait, NO_LIVE_HOLDER",
        "1 2F 3W 4D, 1, 2, wait, NO_ROOM",
        "1, 1, 2, wait, NO_ROOM",
        // what only arrived is no copy, and is sent again
        "1 2 3A, 1 2w, 2, copy 2, TOO_FEW_COPIES",
        "1 2, 1w, 2, wait, NO_LIVE_HOLDER",
        // a removed incarnation is nobody
        "1 2, 1 9, 2, copy 2, TOO_FEW_COPIES",
        // too many: the writer stays, and another zone
        "1@a 2@a 3@b, 1 2 3, 2, drop 2, TOO_MANY_COPIES",
        "1 2 3A, 1 2 3, 1, drop 2, TOO_MANY_COPIES",
        // draining: first a copy elsewhere, then its own goes
        "1 2D 3, 1 2, 2, copy 3, DRAINING",
        "1 2D 3, 1 2 3, 2, drop 2, DRAINING",
        "1D, 1, 1, wait, NO_ROOM",
        "1D 2, 1, 1, copy 2, DRAINING",
        "1D 2L, 1 2, 1, none, NOTHING_TO_DO",
        "1DA 2 3A, 1 2, 1, none, NOTHING_TO_DO",
        // pods that sleep
        "1I 2I 3, 1 2, 2, copy 3, ONLY_INTERMITTENT",
        "1I 2I 3, 1 2 3, 2, drop 2, TOO_MANY_COPIES",
        "1I 2I 3A, 1 2, 2, none, NOTHING_TO_DO",
        "1I 2D, 1 2, 1, wait, ONLY_INTERMITTENT",
        // zones
        "1@a 2@a 3@b, 1 2, 2, copy 3, SPREAD",
        "1@a 2@a 3F@b, 1 2, 2, none, NOTHING_TO_DO",
        "1@a 2L@a 3@b, 1 2, 2, none, NOTHING_TO_DO",
        "1I@a 2@a 3I@b, 1 2, 2, none, NOTHING_TO_DO",
    })
    void plans(String members, String holders, int wanted, String what, Cause cause) {
        var pods = members(members);
        var record = slice(holders);
        var responsible = RepairPlanner.responsible(record, pods);
        var move = RepairPlanner.plan(record, wanted, pods, responsible == null ? new Incarnation(1) : responsible);
        assertThat(move.cause())
                .as(RepairPlanner.describe(record.slice(), move))
                .isEqualTo(cause);
        assertThat(short_(move)).isEqualTo(what);
        assertThat(move.reason()).isNotBlank();
        assertThat(PlanChecker.objection(record, wanted, pods, move)).isNull();
        if (responsible != null)
            for (Member other : pods.all())
                if (!other.incarnation().equals(responsible))
                    assertThat(RepairPlanner.plan(record, wanted, pods, other.incarnation()))
                            .isInstanceOf(Move.None.class);
    }

    @ParameterizedTest(name = "{0} | {1} x {2}: drop {3} relying on {4}")
    @CsvSource({
        "1 2 3, 1 2 3, 2, 3, 1 2, ''",
        "1 2 3, 1 2 3, 2, 3, 1, relies on 1 copies of 2",
        "1 2 3, 1 2 3, 2, 3, 1 1, relies on a pod twice",
        "1 2 3, 1 2 3, 2, 3, 1 3, relies on the copy that goes",
        "1 2L 3, 1 2 3, 2, 3, 1 2, 'relies on pod2, which is not present'",
        "1 2A 3, 1 2 3, 2, 3, 1 2, 'relies on pod2, which is not present'",
        "1 2D 3, 1 2 3, 2, 3, 1 2, 'relies on pod2, which is leaving'",
        "1 2 3, 1 2w 3, 2, 3, 1 2, 'relies on pod2, which has no copy'",
        "1 3, 1 2 3, 2, 3, 1 2, 'relies on p2, which is no member'",
        "1I 2I 3, 1 2 3, 2, 3, 1 2, only pods that sleep at times would have it",
        "1 2 3, 1 2, 2, 3, 1 2, p3 holds nothing",
        "1 2, 1 2, 0, 1, '', relies on 0 copies of 1",
    })
    void theCheckerRefusesWhatWouldLowerCopies(
            String members, String holders, int wanted, int holder, String relyingOn, String objection) {
        var relied = new ArrayList<Incarnation>();
        for (String word : relyingOn.split(" "))
            if (!word.isBlank()) relied.add(new Incarnation(Integer.parseInt(word)));
        var record = slice(holders);
        var drop = new Move.Drop(record.slice(), new Incarnation(holder), relied, Cause.TOO_MANY_COPIES, "test");
        var said = PlanChecker.objection(record, wanted, members(members), drop);
        assertThat(said == null ? "" : said).isEqualTo(objection);
    }

    @ParameterizedTest(name = "{0} | {1}: copy to {2}")
    @CsvSource({
        "1 2, 1, 2, ''",
        "1 2L, 1, 2, pod2 is not present",
        "1 2D, 1, 2, pod2 is draining",
        "1 2W, 1, 2, pod2 stores nothing",
        "1 2F, 1, 2, pod2 has no room",
        "1 2, 1 2, 2, pod2 has it already",
        "1, 1, 2, p2 is no member",
        "1L 2, 1, 2, no present pod has a copy to send",
    })
    void theCheckerRefusesImpossibleCopies(String members, String holders, int to, String objection) {
        var record = slice(holders);
        var copy = new Move.Copy(record.slice(), new Incarnation(to), Cause.TOO_FEW_COPIES, "test");
        var said = PlanChecker.objection(record, 2, members(members), copy);
        assertThat(said == null ? "" : said).isEqualTo(objection);
    }

    @Test
    void everyPlanPassesTheCheckerAndAtMostOnePodActs() {
        for (long seed = 0; seed < 4_000; seed++) {
            var random = new Random(seed);
            var members = randomMembers(random, 1 + random.nextInt(7));
            var record = randomSlice(random, seed, members);
            int wanted = 1 + random.nextInt(3);
            int acting = 0;
            for (Member member : members.all()) {
                var move = RepairPlanner.plan(record, wanted, members, member.incarnation());
                assertThat(PlanChecker.objection(record, wanted, members, move))
                        .as("seed %d, %s, %s, wanted %d: %s", seed, members.all(), record, wanted, move)
                        .isNull();
                if (move instanceof Move.Copy || move instanceof Move.Drop) acting++;
            }
            assertThat(acting).as("seed " + seed).isLessThanOrEqualTo(1);
        }
    }

    /** Whatever drop the checker lets pass, counting by hand finds enough copies afterwards. */
    @Test
    void noAcceptedDropDipsBelowWhatIsWanted() {
        int accepted = 0;
        for (long seed = 0; seed < 30_000; seed++) {
            var random = new Random(seed);
            var members = randomMembers(random, 2 + random.nextInt(4));
            var record = randomSlice(random, seed, members);
            int wanted = 1 + random.nextInt(2);
            var all = members.all().stream().map(Member::incarnation).toList();
            var holder = all.get(random.nextInt(all.size()));
            var relied = all.stream().filter(p -> random.nextBoolean()).toList();
            var drop = new Move.Drop(record.slice(), holder, relied, Cause.TOO_MANY_COPIES, "random");
            if (PlanChecker.objection(record, wanted, members, drop) != null) continue;
            accepted++;
            long left = record.holders().stream()
                    .filter(h ->
                            h.state() != HolderState.WRITTEN && !h.incarnation().equals(holder))
                    .map(h -> members.get(h.incarnation()))
                    .filter(m -> m != null && m.presence() == Presence.PRESENT && !m.draining() && m.limitBytes() > 0)
                    .count();
            assertThat(left).as("seed %d: %s", seed, drop).isGreaterThanOrEqualTo(wanted);
        }
        assertThat(accepted).isGreaterThan(300);
    }

    /**
     * Pods plan by their own, differing views of lateness, drops are judged once more against the log's view as apply does,
     * and faults come between. No drop ever takes the copies of a slice below what is wanted; when the faults end and
     * everybody is well, every slice has its copies and planning ends.
     */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
    void plansCarriedOutUnderFaultsEndInTheWantedCopies(long seed) {
        var random = new Random(seed);
        var world = new World(random);
        for (int step = 0; step < 4_000; step++) {
            if (random.nextInt(12) == 0) world.fault();
            world.act();
        }
        world.heal();
        int moves = 0;
        for (boolean moved = true; moved; ) {
            moved = false;
            for (var id : List.copyOf(world.slices.keySet()))
                for (var self : world.all())
                    if (world.carryOut(id, self, world.logView())) {
                        moved = true;
                        moves++;
                    }
            assertThat(moves).as("seed " + seed + ": planning does not end").isLessThan(2_000);
        }
        for (var record : world.slices.values()) {
            if (world.lostByBurning.contains(record.slice())) continue;
            assertThat(record.holders()).as("seed %d, %s", seed, record).hasSize(World.WANTED);
        }
        assertThat(world.drops).isGreaterThan(20);
        assertThat(world.lostByBurning.size()).isLessThan(world.slices.size());
    }

    /** Slices and members with a log's rows and what each pod believes. */
    private static final class World {
        static final int WANTED = 2;
        final Random random;
        final TreeMap<Incarnation, Member> pods = new TreeMap<>();
        final TreeMap<SliceId, SliceRecord> slices = new TreeMap<>();
        final java.util.Set<SliceId> lostByBurning = new java.util.HashSet<>();
        int drops;
        int nextPod = 1;

        World(Random random) {
            this.random = random;
            for (int i = 0; i < 6; i++) join();
            for (int i = 0; i < 12; i++) {
                var id = new SliceId(Ids.of(1 + i % 6, 100 + i));
                slices.put(id, slice(id, String.valueOf(1 + i % 6)));
            }
        }

        void join() {
            var pod = new Incarnation(nextPod++);
            pods.put(
                    pod,
                    new Member(
                            pod,
                            "pod" + pod.number(),
                            Role.STORAGE,
                            pod.number() % 5 == 0,
                            pod.number() % 2 == 0 ? "a" : "b",
                            1L << 40,
                            1L << 40,
                            Presence.PRESENT,
                            false));
        }

        List<Incarnation> all() {
            return List.copyOf(pods.keySet());
        }

        Members logView() {
            return new Members(List.copyOf(pods.values()));
        }

        /** The log's view with lateness as this pod happens to believe it. */
        Members believedView(Incarnation self) {
            var believed = new ArrayList<Member>();
            for (Member pod : pods.values())
                believed.add(
                        pod.presence() == Presence.PRESENT && !pod.incarnation().equals(self) && random.nextInt(5) == 0
                                ? with(pod, Presence.LATE, pod.draining())
                                : pod);
            return new Members(believed);
        }

        void fault() {
            var pod = List.copyOf(pods.values()).get(random.nextInt(pods.size()));
            switch (random.nextInt(5)) {
                case 0 -> pods.put(pod.incarnation(), with(pod, Presence.ABSENT, pod.draining()));
                case 1, 2 -> pods.put(pod.incarnation(), with(pod, Presence.PRESENT, false));
                case 3 -> pods.put(pod.incarnation(), with(pod, pod.presence(), true));
                case 4 -> {
                    if (pods.size() < 5) join();
                    else if (random.nextInt(6) == 0) burn(pod.incarnation());
                }
                default -> throw new IllegalStateException();
            }
        }

        void burn(Incarnation pod) {
            pods.remove(pod);
            join();
            slices.replaceAll((id, record) -> {
                var left = record.holders().stream()
                        .filter(h -> !h.incarnation().equals(pod))
                        .toList();
                if (left.isEmpty()) lostByBurning.add(id);
                return with(record, left);
            });
        }

        void act() {
            var ids = List.copyOf(slices.keySet());
            var self = all().get(random.nextInt(pods.size()));
            carryOut(ids.get(random.nextInt(ids.size())), self, believedView(self));
        }

        boolean carryOut(SliceId id, Incarnation self, Members view) {
            var record = java.util.Objects.requireNonNull(slices.get(id));
            var move = RepairPlanner.plan(record, WANTED, view, self);
            switch (move) {
                case Move.None _, Move.Wait _ -> {
                    return false;
                }
                case Move.Copy copy -> {
                    var holders = new ArrayList<>(record.holders());
                    holders.add(new SliceRecord.Holder(copy.to(), HolderState.DURABLE));
                    slices.put(id, with(record, holders));
                }
                case Move.Drop drop -> {
                    if (PlanChecker.objection(record, WANTED, logView(), drop) != null) return false;
                    drops++;
                    var left = record.holders().stream()
                            .filter(h -> !h.incarnation().equals(drop.holder()))
                            .toList();
                    slices.put(id, with(record, left));
                    assertThat(left.stream()
                                    .map(h -> pods.get(h.incarnation()))
                                    .filter(m -> m != null && m.presence() == Presence.PRESENT && !m.draining()))
                            .as("after %s", drop)
                            .hasSizeGreaterThanOrEqualTo(WANTED);
                }
            }
            return true;
        }

        void heal() {
            pods.replaceAll((_, pod) -> with(pod, Presence.PRESENT, false));
        }

        static Member with(Member pod, Presence presence, boolean draining) {
            return new Member(
                    pod.incarnation(),
                    pod.name(),
                    pod.role(),
                    pod.intermittent(),
                    pod.zone(),
                    pod.limitBytes(),
                    pod.freeBytes(),
                    presence,
                    draining);
        }

        static SliceRecord with(SliceRecord record, List<SliceRecord.Holder> holders) {
            return new SliceRecord(record.slice(), record.lengthBytes(), record.inode(), record.names(), holders);
        }
    }

    @Test
    void theBacklogHandsOutFewestCopiesFirstAndForgetsTheLeastUrgent() {
        var backlog = new RepairBacklog(3);
        for (int i = 0; i < 6; i++) backlog.offer(new SliceId(10 + i), 5 - i);
        assertThat(backlog.isComplete()).isFalse();
        backlog.offer(new SliceId(13), 0); // now the most urgent
        assertThat(List.of(backlog.poll(), backlog.poll(), backlog.poll()))
                .containsExactly(new SliceId(13), new SliceId(15), new SliceId(14));
        assertThat(backlog.poll()).isNull();
    }

    @Test
    void progressCountsWhatIsLeftAndWhy() {
        var progress = new RepairProgress();
        var id = new SliceId(5);
        progress.begin();
        progress.planned(new Move.Copy(id, new Incarnation(2), Cause.TOO_FEW_COPIES, "r"), 100);
        progress.planned(new Move.Copy(id, new Incarnation(2), Cause.TOO_FEW_COPIES, "r"), 50);
        progress.planned(new Move.Drop(id, new Incarnation(2), List.of(), Cause.TOO_MANY_COPIES, "r"), 70);
        progress.planned(new Move.Wait(id, Cause.NO_ROOM, "r"), 10);
        progress.planned(Move.None.AS_WISHED, 10);
        assertThat(progress.shown().slicesToDo()).as("only a whole walk counts").isZero();
        progress.walked();
        progress.copied(Cause.TOO_FEW_COPIES, 100);
        progress.dropped(Cause.TOO_MANY_COPIES);
        var shown = progress.shown();
        assertThat(shown.slicesToDo()).isEqualTo(1);
        assertThat(shown.bytesToDo()).isEqualTo(50);
        assertThat(shown.slicesDone()).isEqualTo(2);
        assertThat(shown.bytesDone()).isEqualTo(100);
        assertThat(shown.waiting()).isEqualTo(1);
        assertThat(shown.causes()).containsOnlyKeys(Cause.TOO_FEW_COPIES, Cause.NO_ROOM);
    }

    private static Members randomMembers(Random random, int count) {
        var text = new StringBuilder();
        for (int i = 1; i <= count; i++) {
            text.append(i);
            for (char flag : "LADWFI".toCharArray()) if (random.nextInt(7) == 0) text.append(flag);
            if (random.nextBoolean()) text.append("@").append((char) ('a' + random.nextInt(3)));
            text.append(' ');
        }
        return members(text.toString());
    }

    private static SliceRecord randomSlice(Random random, long seed, Members members) {
        var holders = members.all().stream()
                .filter(_ -> random.nextBoolean())
                .map(m -> m.incarnation().number() + (random.nextInt(5) == 0 ? "w" : ""))
                .collect(Collectors.joining(" "));
        return slice(new SliceId(Ids.of(1 + random.nextInt(8), seed)), holders);
    }

    private static String short_(Move move) {
        return switch (move) {
            case Move.None _ -> "none";
            case Move.Wait _ -> "wait";
            case Move.Copy copy -> "copy " + copy.to().number();
            case Move.Drop drop -> "drop " + drop.holder().number();
        };
    }

    @Test
    void anUnnamedSliceIsNobodysWork() {
        var record =
                new SliceRecord(new SliceId(7), 1, new InodeId(3), 0, slice("1").holders());
        assertThat(RepairPlanner.plan(record, 3, members("1 2 3"), new Incarnation(1)))
                .isInstanceOf(Move.None.class);
    }
}
