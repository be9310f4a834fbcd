// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.health.Acknowledgements;
import dev.wormhole.health.Attention;
import dev.wormhole.health.Following;
import dev.wormhole.health.Freshness;
import dev.wormhole.health.Leadership;
import dev.wormhole.health.PeerWatch;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.simulation.Simulation;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Pods that change and look at shared names and attributes while links fail, daemons freeze and leaders change: the real
 * decisions (leadership, watch, freshness, grants, acknowledgements) over a log that promises what Raft promises, with
 * leaders that go on believing, and over kernels that answer from what they were granted also while their daemon is frozen.
 *
 * <p>Held to: a look that begins after a change was acknowledged sees it, whoever answers it.
 */
final class PromptNetwork {
    private static final PeerWatch.Timing TIMING = PeerWatch.Timing.of(Duration.ofSeconds(60), Duration.ofMinutes(10));
    private static final long BEAT = 250_000_000L;

    /** What an entry of the log says: a change of a key, or who is prompt. */
    private sealed interface Said {
        record Changed(boolean name, InodeId key, int by) implements Said {}

        record Prompt(int pod, boolean in) implements Said {}

        record Absent(int pod, boolean absent) implements Said {}

        record Nothing() implements Said {}
    }

    final Simulation sim;
    final List<Pod> pods = new ArrayList<>();
    final Set<Integer> voters = new HashSet<>();
    double loss;
    int delayMicrosMost = 1_500;
    boolean promptWanted = true;
    private final Set<Set<Integer>> cut = new HashSet<>();
    private final List<Said> log = new ArrayList<>();

    /** What a leader took in its term and could not commit. */
    private record Unlucky(long term, Said said) {}

    private final List<Unlucky> unlucky = new ArrayList<>();
    private long term = 1;
    long looksLocal;
    long looksCached;
    long changes;
    long slowestChange;
    long leaderChanges;
    /** Per key: index of a change to when it was acknowledged. */
    private final Map<InodeId, TreeMap<Long, Long>> acknowledged = new HashMap<>();

    PromptNetwork(long seed, int count, int voting) {
        sim = new Simulation(seed);
        for (int i = 1; i <= count; i++) pods.add(new Pod(i));
        for (int i = 1; i <= voting; i++) voters.add(i);
        pods.getFirst().leads(term);
        for (Pod pod : pods) pod.start();
        electNow();
    }

    Pod pod(int number) {
        return pods.get(number - 1);
    }

    /** Whether the pod would wait for the other. */
    boolean promptIn(Pod pod, Pod other) {
        return pod.prompt.contains(other.number);
    }

    // ---- faults

    void isolate(Pod pod) {
        sim.note(pod + " cut off");
        for (Pod other : pods) if (other != pod) cut.add(Set.of(pod.number, other.number));
    }

    void cut(Pod a, Pod b) {
        if (a != b) cut.add(Set.of(a.number, b.number));
    }

    void heal() {
        cut.clear();
        sim.note("links healed");
    }

    void freeze(Pod pod, long nanos) {
        sim.note(pod + " freezes for " + nanos / 1_000_000 + " ms");
        pod.frozenUntil = Math.max(pod.frozenUntil, sim.now() + nanos);
    }

    boolean connected(Pod a, Pod b) {
        return a == b || !cut.contains(Set.of(a.number, b.number));
    }

    private long delay() {
        return (long) (sim.random.nextDouble() * delayMicrosMost * 1_000);
    }

    private void send(Pod from, Pod to, Runnable received) {
        if (from != to && sim.chance(loss)) return;
        sim.after(from == to ? 0 : delay(), () -> {
            if (connected(from, to)) to.when(received);
        });
    }

    // ---- the log

    private boolean follows(Pod leader, long inTerm) {
        int count = 0;
        for (int voter : voters) {
            Pod pod = pod(voter);
            if (connected(leader, pod) && !pod.frozen() && pod.term <= inTerm) count++;
        }
        return count > voters.size() / 2;
    }

    /** The newest leader, whoever else believes to lead. */
    @Nullable Pod newest() {
        for (Pod pod : pods) if (pod.leading != null && pod.term == term) return pod;
        return null;
    }

    private void electNow() {
        sim.after(sim.millis(100, 200), () -> {
            Pod now = newest();
            if (now == null || now.frozen() || !follows(now, term)) sim.after(sim.millis(500, 1_300), this::elect);
            else electNow();
        });
    }

    /** Somebody that a majority votes for leads, also if the old leader is well: elections need no reason. */
    void elect() {
        var able = new ArrayList<Pod>();
        for (int voter : voters) {
            Pod pod = pod(voter);
            if (!pod.frozen() && follows(pod, term + 1)) able.add(pod);
        }
        if (able.isEmpty()) {
            sim.after(sim.millis(100, 300), this::elect);
            return;
        }
        Pod chosen = able.get(sim.random.nextInt(able.size()));
        term++;
        leaderChanges++;
        for (int voter : voters) {
            Pod pod = pod(voter);
            if (connected(chosen, pod) && !pod.frozen()) pod.reach(term);
        }
        // what the last leader took and could not commit may be in the new one's log
        for (Unlucky one : unlucky) if (one.term() == term - 1 && sim.chance(0.5)) log.add(one.said());
        unlucky.clear();
        log.add(new Said.Nothing());
        chosen.commitKnown = log.size();
        while (chosen.applied < log.size()) chosen.applyNext();
        sim.note(chosen + " leads term " + term);
        chosen.leads(term);
        electNow();
    }

    private void append(Pod leader, long inTerm, Said said) {
        sim.after(sim.millis(1, 3), () -> commit(leader, inTerm, said));
    }

    private void commit(Pod leader, long inTerm, Said said) {
        if (leader.frozen()) {
            sim.after(sim.millis(5, 20), () -> commit(leader, inTerm, said));
            return;
        }
        if (inTerm != term || leader.term != inTerm || leader.leading == null) {
            unlucky.add(new Unlucky(inTerm, said));
            return;
        }
        if (!follows(leader, inTerm)) {
            sim.after(sim.millis(20, 40), () -> commit(leader, inTerm, said));
            return;
        }
        log.add(said);
        leader.commitKnown = log.size();
        announce(leader);
        leader.apply();
    }

    private void announce(Pod leader) {
        long index = leader.commitKnown;
        long inTerm = leader.term;
        for (Pod pod : pods)
            if (pod != leader)
                send(leader, pod, () -> {
                    if (pod.term > inTerm) return;
                    pod.reach(inTerm);
                    pod.leader = leader;
                    pod.commitKnown = Math.max(pod.commitKnown, index);
                    pod.apply();
                });
    }

    // ---- pods

    final class Pod {
        final int number;
        final Incarnation self;
        private final double clockRate;
        private final long clockOffset;
        long frozenUntil;

        long term = 1;

        @Nullable Pod leader;

        @Nullable Leadership leading;

        long commitKnown;
        int applied;
        long told;
        private boolean applying;
        private final Set<Integer> prompt = new HashSet<>();
        private final Set<Integer> absent = new HashSet<>();
        private final Following following;
        final Freshness freshness = new Freshness();
        private final Acknowledgements acknowledgements = new Acknowledgements();
        private final Grants grants = new Grants();
        private final Map<Integer, Long> echo = new HashMap<>();
        private final Map<Integer, Long> echoAt = new HashMap<>();
        private final Map<Integer, Long> echoTerm = new HashMap<>();
        private final Set<Integer> proposing = new HashSet<>();
        boolean answers = true;
        /** Its programs look at nothing for a while. */
        boolean nobodyLooks;

        private final Attention attention;
        /** Applies nothing though it runs: its disk hangs. */
        boolean stuck;

        private record Believed(long asOf, long until) {}

        /** What its kernel keeps. */
        private final Map<InodeId, Believed> kernel = new HashMap<>();

        private record Due(long index, long notBefore, List<InodeId> drop) {}

        private final List<Due> due = new ArrayList<>();
        private boolean telling;

        Pod(int number) {
            this.number = number;
            this.self = new Incarnation(number);
            this.clockRate = 0.98 + sim.random.nextDouble() * 0.04;
            this.clockOffset = (long) (sim.random.nextDouble() * 1e15) + 1;
            this.following = new Following(clock());
            this.attention = new Attention(clock());
        }

        @Override
        public String toString() {
            return "pod" + number;
        }

        long clock() {
            return clockOffset + (long) (sim.now() * clockRate);
        }

        boolean frozen() {
            return sim.now() < frozenUntil;
        }

        /** Runs it as soon as this daemon runs. */
        void when(Runnable action) {
            if (frozen()) sim.after(frozenUntil - sim.now() + 1, () -> when(action));
            else action.run();
        }

        private void later(long nanos, Runnable action) {
            sim.after(nanos, () -> when(action));
        }

        void start() {
            later(sim.millis(0, 250), this::beat);
            later(sim.millis(0, 20), this::programs);
        }

        void reach(long newTerm) {
            if (newTerm <= term) return;
            term = newTerm;
            leading = null;
            leader = null;
        }

        boolean isPrompt() {
            return prompt.contains(number);
        }

        private boolean beatAnswers() {
            var state = attention.beat(clock());
            if (state == Attention.State.AWAY) freshness.lose();
            return answers && state != Attention.State.AWAY;
        }

        private boolean tellsThatItAnswers() {
            return answers && attention.state() != Attention.State.AWAY;
        }

        private void renewed(long sentNanos, long grantedNanos) {
            if (tellsThatItAnswers()) freshness.acknowledged(sentNanos, grantedNanos);
        }

        long fresh() {
            return isPrompt() && attention.state() == Attention.State.LOOKING ? freshness.leftNanos(clock()) : 0;
        }

        private List<PodRecord> records() {
            var records = new ArrayList<PodRecord>();
            for (Pod pod : pods)
                records.add(new PodRecord(
                        pod.self,
                        new PodSettings("pod" + pod.number, PodSettings.Role.STORAGE, false, "", List.of(), 1),
                        false,
                        absent.contains(pod.number),
                        prompt.contains(pod.number),
                        1,
                        0,
                        0));
            return records;
        }

        private List<Incarnation> voting() {
            return voters.stream().map(Incarnation::new).toList();
        }

        // -- leading

        void leads(long inTerm) {
            reach(inTerm);
            leader = this;
            var began = new Leadership(self, inTerm, TIMING, records(), voting(), Map.of(), following, clock());
            leading = began;
            for (Pod pod : pods) {
                if (pod == this) continue;
                send(this, pod, () -> {
                    long since = pod.following.asked(inTerm, pod.clock());
                    var word = new Leadership.Word(pod.told, pod.tellsThatItAnswers());
                    send(pod, this, () -> {
                        if (leading == began) began.answered(pod.self, word, since, clock());
                    });
                });
            }
            announce(this);
            lead(began);
        }

        private void beat() {
            var leads = leading;
            later(leads != null && leads.isUrgent() ? sim.millis(45, 55) : sim.millis(245, 255), this::beat);
            if (leads != null) {
                lead(leads);
                return;
            }
            var to = leader;
            if (to == null) return;
            long inTerm = term;
            long sent = clock();
            boolean same = echoTerm.getOrDefault(to.number, -1L) == inTerm;
            long answered = same ? echo.getOrDefault(to.number, 0L) : 0;
            if (!following.mayFollow(inTerm, same ? echoAt.getOrDefault(to.number, Long.MIN_VALUE) : Long.MIN_VALUE))
                return;
            var word = new Leadership.Word(told, beatAnswers());
            later(
                    sim.chance(0.01) ? sim.millis(0, 400) : 0,
                    () -> send(this, to, () -> {
                        var listening = to.leading;
                        if (listening == null) return;
                        long granted = listening.heartbeat(self, inTerm, answered, word, to.clock());
                        to.renewed(to.clock(), listening.own(to.clock()));
                        long answeredAt = to.clock();
                        long termThen = to.term;
                        long index = to.commitKnown;
                        send(to, this, () -> {
                            if (term > termThen) return;
                            reach(termThen);
                            leader = to;
                            echo.put(to.number, answeredAt);
                            echoAt.put(to.number, clock());
                            echoTerm.put(to.number, termThen);
                            renewed(sent, granted);
                            commitKnown = Math.max(commitKnown, index);
                            apply();
                        });
                    }));
            for (Pod pod : pods) if (pod != this) tell(pod);
        }

        private void lead(Leadership leads) {
            var decisions = leads.tick(
                    new Leadership.Word(told, beatAnswers()),
                    TIMING,
                    records(),
                    voting(),
                    commitKnown,
                    promptWanted,
                    clock());
            renewed(clock(), leads.own(clock()));
            for (var declared : decisions.absences())
                append(this, term, new Said.Absent(declared.incarnation().number(), declared.absent()));
            for (var change : decisions.promptness()) {
                int who = change.incarnation().number();
                if (!proposing.add(who)) continue;
                sim.note(this + ": " + change.reason() + ", prompt " + change.prompt() + " for pod" + who);
                append(this, term, new Said.Prompt(who, change.prompt()));
                later(400_000_000L, () -> proposing.remove(who));
            }
            announce(this);
            for (Pod pod : pods) if (pod != this) tell(pod);
        }

        // -- applying and telling

        void apply() {
            if (applying || stuck) return;
            applying = true;
            later(delay() / 4, () -> {
                applying = false;
                if (stuck) return;
                int most = 1 + sim.random.nextInt(5);
                while (most-- > 0 && applied < commitKnown) applyNext();
                if (applied < commitKnown) apply();
            });
        }

        void applyNext() {
            Said said = log.get(applied++);
            long index = applied;
            switch (said) {
                case Said.Prompt(int who, boolean in) -> {
                    if (in && !absent.contains(who)) prompt.add(who);
                    else prompt.remove(who);
                    if (!isPrompt()) freshness.lose();
                    waitFor();
                    tellLater(index, 0, List.of());
                }
                case Said.Absent(int who, boolean now) -> {
                    if (now) {
                        absent.add(who);
                        prompt.remove(who);
                    } else {
                        absent.remove(who);
                    }
                    if (!isPrompt()) freshness.lose();
                    waitFor();
                    tellLater(index, 0, List.of());
                }
                case Said.Changed(boolean name, InodeId key, int by) -> {
                    boolean own = by == number;
                    long now = clock();
                    if (own) {
                        kernel.remove(key); // the kernel itself knows what its programs change
                        tellLater(index, 0, List.of());
                        acknowledgements.all(index).thenRun(() -> changed(key, index));
                    } else if (name) {
                        tellLater(index, grants.nameChanged(key, now), List.of());
                    } else {
                        long at = grants.attributesChanged(key, now);
                        tellLater(index, at < 0 ? 0 : at, at < 0 ? List.of() : List.of(key));
                    }
                    if (!own) {
                        Pod proposer = pod(by);
                        later(0, () -> tell(proposer));
                        owed.add(by);
                    }
                }
                case Said.Nothing() -> tellLater(index, 0, List.of());
            }
        }

        private final Set<Integer> owed = new HashSet<>();

        private void waitFor() {
            var others = new ArrayList<Incarnation>();
            for (int who : prompt) if (who != number) others.add(new Incarnation(who));
            acknowledgements.promptSet(others);
        }

        private void tellLater(long index, long notBefore, List<InodeId> drop) {
            due.add(new Due(index, notBefore, drop));
            if (!telling) tellNext();
        }

        private void tellNext() {
            telling = true;
            while (!due.isEmpty()) {
                Due next = due.getFirst();
                long wait = next.notBefore() - clock();
                if (wait > 0) {
                    later((long) (wait / clockRate) + 1_000, this::tellNext);
                    return;
                }
                if (!next.drop().isEmpty()) {
                    due.removeFirst();
                    later(20_000, () -> {
                        next.drop().forEach(kernel::remove);
                        told = next.index();
                        owed.forEach(to -> tell(pod(to)));
                        owed.clear();
                        tellNext();
                    });
                    return;
                }
                due.removeFirst();
                told = next.index();
            }
            telling = false;
            owed.forEach(to -> tell(pod(to)));
            owed.clear();
        }

        private void tell(Pod to) {
            long index = told;
            send(this, to, () -> to.acknowledgements.told(self, index));
        }

        // -- programs

        private final Map<InodeId, Long> changing = new HashMap<>();

        private void programs() {
            later(sim.millis(1, 40), this::programs);
            var key = new InodeId(1 + sim.random.nextInt(6)); // 1-3 names of directories, 4-6 attributes
            if (answers && sim.chance(0.08) && changing.size() < 3) change(key);
        }

        /** Programs run while the daemon is frozen. */
        void lookOften() {
            sim.after(sim.millis(1, 12), () -> {
                if (!nobodyLooks) look(new InodeId(1 + sim.random.nextInt(6)));
                lookOften();
            });
        }

        void change(InodeId key) {
            if (changing.containsKey(key)) return;
            changing.put(key, sim.now());
            submit(key, sim.now());
        }

        private void submit(InodeId key, long began) {
            Long still = changing.get(key);
            if (still == null || still != began) return;
            var to = leader;
            var said = new Said.Changed(key.value() <= 3, key, number);
            if (to != null)
                send(this, to, () -> {
                    if (to.leading != null) append(to, to.term, said);
                });
            later(200_000_000L, () -> submit(key, began)); // repeats do no harm: another change
        }

        private void changed(InodeId key, long index) {
            Long began = changing.remove(key);
            if (began == null) return;
            changes++;
            slowestChange = Math.max(slowestChange, sim.now() - began);
            acknowledged.computeIfAbsent(key, _ -> new TreeMap<>()).put(index, sim.now());
            sim.note(this + " told its program of #" + index + ", " + key);
        }

        void look(InodeId key) {
            if (!answers) return;
            long began = sim.now();
            Believed known = kernel.get(key);
            if (known != null && clock() < known.until()) {
                looksCached++;
                check(key, began, known.asOf(), "kernel of " + this);
                return;
            }
            if (frozen()) return; // would wait for the daemon
            later(delay() / 20, () -> {
                attention.look(clock());
                if (fresh() <= 0) return; // by a barrier
                long grantedAt = clock();
                long valid = key.value() <= 3
                        ? grants.name(key, grantedAt, fresh())
                        : grants.attributes(key, grantedAt, fresh());
                later(sim.chance(0.02) ? sim.millis(0, 20) : 10_000, () -> {
                    if (fresh() <= 0) return;
                    long asOf = applied;
                    later(sim.chance(0.02) ? sim.millis(0, 20) : 10_000, () -> {
                        looksLocal++;
                        check(key, began, asOf, this + "");
                        // a kernel drops what a notification overtook
                        boolean overtaken = key.value() > 3 && !Grants.isStill(grantedAt, clock());
                        if (valid > 0 && Grants.isStill(grantedAt, clock()) && !overtaken)
                            kernel.put(key, new Believed(asOf, clock() + valid));
                    });
                });
            });
        }

        private void check(InodeId key, long began, long asOf, String who) {
            var done = acknowledged.get(key);
            if (done == null) return;
            for (var change : done.descendingMap().entrySet()) {
                if (change.getKey() <= asOf) break;
                sim.check(
                        change.getValue() >= began,
                        who + " answered for " + key + " as of #" + asOf + ", and #" + change.getKey()
                                + " was acknowledged at " + change.getValue() / 1e6 + " ms, before the look began at "
                                + began / 1e6 + " ms");
            }
        }
    }
}
