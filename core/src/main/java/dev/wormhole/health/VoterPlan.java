// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which pods vote. Always-present members (storage and witness): one of them while there are fewer than three, else as
 * many as declared, three or five. Joining, leaving and declared absence change that; lateness never does, it only makes a
 * step wait: a change towards a silent voter would hang, and one away from it would let a hiccup decide. Steps are single,
 * because the log refuses to go from one voter to three at once. Pure and thread-safe.
 */
public final class VoterPlan {
    private VoterPlan() {}

    /** The next change of the voters. */
    public sealed interface Step {
        String reason();

        /** As it should be, or nothing can be done now. */
        record Keep(String reason) implements Step {}

        /** Make this listener a voter. */
        record Add(Incarnation incarnation, String reason) implements Step {}

        /** Let this voter listen, or go. */
        record Remove(Incarnation incarnation, String reason) implements Step {}
    }

    /**
     * @param voters the present voters
     * @param leader keeps its vote if anybody does; null when unknown
     * @param votersMost 3 or 5: how many when there are enough pods
     * @throws IllegalArgumentException if votersMost is not odd and positive
     */
    public static Step next(List<Incarnation> voters, @Nullable Incarnation leader, Members members, int votersMost) {
        if (votersMost < 1 || votersMost % 2 == 0) throw new IllegalArgumentException("voters at most: " + votersMost);
        var wanted = wanted(voters, leader, members, votersMost);
        if (wanted.isEmpty()) return new Step.Keep("no pod could take the vote over");

        if (voters.size() > 1) {
            for (Incarnation voter : voters) {
                var member = members.get(voter);
                if (member == null) return new Step.Remove(voter, voter + " is no member any more");
                if (member.presence() == Presence.ABSENT) return new Step.Remove(voter, member.name() + " is absent");
            }
        }
        Member late = null;
        Member first = null;
        int ready = 0;
        for (Member member : wanted) {
            if (voters.contains(member.incarnation())) continue;
            if (member.presence() != Presence.PRESENT) {
                late = member;
                continue;
            }
            ready++;
            if (first == null) first = member;
        }
        if (late != null || first != null) {
            // Two voters are worse than one: leave one only when the third can follow at once.
            if (voters.size() == 1 && wanted.size() >= 3 && ready < 2)
                return new Step.Keep("waiting for " + (late == null ? "a third pod" : late.name()) + " to be heard");
            if (first != null)
                return new Step.Add(
                        first.incarnation(),
                        first.name() + " makes " + (voters.size() + 1) + " of " + wanted.size() + " voters");
            return new Step.Keep("waiting for " + (late == null ? "a pod" : late.name()) + " to be heard");
        }
        for (int i = voters.size() - 1; i >= 0; i--) {
            var voter = voters.get(i);
            var member = members.get(voter);
            if (member == null || wanted.contains(member)) continue;
            if (voter.equals(leader) && voters.size() > wanted.size() + 1) continue; // last of all: it hands over first
            String reason = member.draining()
                    ? member.name() + " is draining"
                    : member.intermittent() ? member.name() + " sleeps at times" : wanted.size() + " voters are enough";
            return new Step.Remove(voter, reason);
        }
        return new Step.Keep("as it should be");
    }

    private static List<Member> wanted(
            List<Incarnation> voters, @Nullable Incarnation leader, Members members, int votersMost) {
        var always = new ArrayList<Member>();
        var others = new ArrayList<Member>();
        for (Member member : members.all()) {
            if (member.presence() == Presence.ABSENT || member.draining()) continue;
            (member.intermittent() ? others : always).add(member);
        }
        var able = always.isEmpty() ? others : always;
        // A current voter keeps its place through lateness; among newcomers those that are heard come first.
        able.sort(Comparator.comparing((Member member) -> !member.incarnation().equals(leader))
                .thenComparing(member -> !voters.contains(member.incarnation()))
                .thenComparing(
                        member -> !voters.contains(member.incarnation()) && member.presence() != Presence.PRESENT)
                .thenComparing(Member::incarnation));
        int count = always.size() < 3 ? 1 : Math.min(votersMost, (always.size() - 1) / 2 * 2 + 1);
        return able.subList(0, Math.min(count, able.size()));
    }
}
