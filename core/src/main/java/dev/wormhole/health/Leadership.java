// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One pod's time as the leader: whom it hears, whom it grants freshness, whom it declares. It begins by asking every pod how
 * it is and when it last followed an older leader ({@link Following}), for {@link #ASK_NANOS} at most, and declares and
 * grants nothing until then.
 *
 * <p>Times are nanoseconds of this pod's clock that counts sleep. One owner, not thread-safe.
 */
public final class Leadership {
    public static final long ASK_NANOS = Duration.ofMillis(250).toNanos();

    /** What a pod tells of itself. */
    public record Word(long appliedIndex, boolean answers) {}

    /** To be proposed: absence through a session, promptness without one. */
    public record Decisions(List<PeerWatch.Declaration> absences, List<PeerWatch.Promptness> promptness) {
        static final Decisions NONE = new Decisions(List.of(), List.of());
    }

    private final Incarnation self;
    private final Authority authority;
    private final Following following;
    private final Map<Incarnation, Long> silences;
    private final long askUntil;
    private final Map<Incarnation, Word> words = new HashMap<>();
    private final Map<Incarnation, Long> sinceOlder = new HashMap<>();
    private PeerWatch.Timing timing;
    private @Nullable PeerWatch watch;
    private List<PodRecord> pods;
    private Collection<Incarnation> voters;
    private long committedIndex;

    /**
     * @param term in which this pod leads
     * @param silences what this pod knows from the leader before, nanoseconds
     * @param following this pod's own word to leaders: it follows itself, until a newer one asks it
     */
    public Leadership(
            Incarnation self,
            long term,
            PeerWatch.Timing timing,
            List<PodRecord> pods,
            Collection<Incarnation> voters,
            Map<Incarnation, Long> silences,
            Following following,
            long nowNanos) {
        this.self = self;
        this.authority = new Authority(self, term);
        this.following = following;
        this.timing = timing;
        this.pods = List.copyOf(pods);
        this.voters = List.copyOf(voters);
        this.silences = Map.copyOf(silences);
        this.askUntil = nowNanos + ASK_NANOS;
        sinceOlder.put(self, following.asked(term, nowNanos));
    }

    public long term() {
        return authority.term();
    }

    /**
     * A pod answered the question of the beginning.
     *
     * @param sinceOlderNanos as {@link Following#asked} said there
     */
    public void answered(Incarnation pod, Word word, long sinceOlderNanos, long nowNanos) {
        if (watch != null) return;
        words.put(pod, word);
        sinceOlder.put(pod, sinceOlderNanos);
        begin(nowNanos);
    }

    private void begin(long nowNanos) {
        if (watch != null) return;
        boolean all = true;
        for (PodRecord pod : pods)
            all &= pod.absent() || pod.incarnation().equals(self) || words.containsKey(pod.incarnation());
        long older = sinceOlder();
        // Nothing that an older leader granted is left: who has not answered can go, and all but the dead leader have.
        boolean enough =
                words.size() + 2 >= pods.size() && older >= timing.lateAfter().toNanos();
        if (!all && !enough && nowNanos < askUntil) return;
        var silent = new HashMap<Incarnation, Long>();
        for (PodRecord pod : pods)
            if (!words.containsKey(pod.incarnation()))
                silent.put(pod.incarnation(), Math.max(silences.getOrDefault(pod.incarnation(), 0L), older));
        var begun = new PeerWatch(timing, self, pods, nowNanos, silent, older);
        begun.committed(committedIndex);
        words.forEach((pod, word) -> begun.heard(pod, word.appliedIndex(), word.answers()));
        watch = begun;
    }

    /** For so long no older leader can have counted on a majority of the voters; 0 while fewer have answered. */
    private long sinceOlder() {
        int count = 0;
        long least = Long.MAX_VALUE;
        for (Incarnation voter : voters) {
            Long since = sinceOlder.get(voter);
            if (since == null) continue;
            count++;
            least = Math.min(least, since);
        }
        return count > voters.size() / 2 ? least : 0;
    }

    /**
     * A heartbeat came.
     *
     * @param inTerm the term in which the pod sent it
     * @param answeredNanos this leader's time of answering its last one, as the pod gives it back; 0 if there was none
     * @return nanoseconds of freshness, from the heartbeat's sending, that the answer may grant
     */
    public long heartbeat(Incarnation pod, long inTerm, long answeredNanos, Word word, long nowNanos) {
        if (inTerm != term()) return 0;
        authority.followed(pod, inTerm, answeredNanos);
        var watching = watch;
        if (watching == null) return 0; // it will be asked, or come again
        watching.tick(nowNanos);
        watching.committed(committedIndex);
        watching.heard(pod, word.appliedIndex(), word.answers());
        return granted(pod, nowNanos);
    }

    /** Freshness that this pod, as the leader, has of its own from now on, nanoseconds. */
    public long own(long nowNanos) {
        return granted(self, nowNanos);
    }

    private long granted(Incarnation pod, long nowNanos) {
        var watching = watch;
        if (watching == null || !watching.mayRenew(pod) || !following.mayFollow(term(), nowNanos)) return 0;
        return authority.leftNanos(voters, nowNanos);
    }

    /**
     * Time passes; also when a pod has just answered.
     *
     * @param own what this pod would tell of itself
     * @param timing as declared now
     * @param promptWanted whether there is to be a prompt set
     */
    public Decisions tick(
            Word own,
            PeerWatch.Timing timing,
            List<PodRecord> pods,
            Collection<Incarnation> voters,
            long committedIndex,
            boolean promptWanted,
            long nowNanos) {
        this.timing = timing;
        this.pods = List.copyOf(pods);
        this.voters = List.copyOf(voters);
        this.committedIndex = committedIndex;
        begin(nowNanos);
        var watching = watch;
        if (watching == null) return Decisions.NONE;
        watching.timing(timing);
        watching.members(pods);
        watching.committed(committedIndex);
        var absences = watching.tick(nowNanos);
        watching.heard(self, own.appliedIndex(), own.answers());
        return new Decisions(absences, watching.promptness(promptWanted));
    }

    /** It has just begun, and waits for answers. */
    public boolean isAsking() {
        return watch == null;
    }

    /** Programs may wait for what this leader is about to decide: to be ticked more often than with every heartbeat. */
    public boolean isUrgent() {
        return watch == null || watch.isUneasy();
    }

    /** The pod's presence; null while that is not known, or if it is no member. */
    public @Nullable Presence presence(Incarnation pod) {
        var watching = watch;
        return watching == null ? null : watching.presence(pod);
    }
}
