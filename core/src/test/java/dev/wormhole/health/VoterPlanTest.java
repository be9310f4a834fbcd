// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import static dev.wormhole.placement.Cases.members;
import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.health.VoterPlan.Step;
import dev.wormhole.model.Incarnation;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VoterPlanTest {
    @ParameterizedTest(name = "{0}, voters {1} -> {2}")
    @CsvSource({
        // one while fewer than three, then three, one at a time
        "1, 1, keep",
        "1 2, 1, keep",
        "1 2 3, 1, add 2",
        "1 2 3, 1 2, add 3",
        "1 2 3, 1 2 3, keep",
        "1 2 3 4, 1 2 3, keep",
        "1 2 3W, 1 2, add 3",
        // laptops sleep, and are voters only among themselves
        "1 2 3I 4I, 1, keep",
        "1I 2I 3I, 1, keep",
        "1I 2, 1, add 2",
        "1I 2, 1 2, remove 1",
        // lateness changes nothing, and two voters are not left standing
        "1 2L 3, 1 2 3, keep",
        "1 2L 3L, 1 2 3, keep",
        "1 2L 3, 1, keep",
        "1 2L 3, 1 2, add 3",
        "1 2L 3 4, 1, add 3",
        "1 2 3L, 1 2, keep",
        // leaving and declared absence do
        "1 2A 3, 1 2 3, remove 2",
        "1 2A 3, 1 3, remove 3",
        "1 2A 3 4, 1 2 3, remove 2",
        "1 2A 3 4, 1 3, add 4",
        "1 3 4, 1 2 3, remove 2",
        "1 2D 3 4, 1 2 3, add 4",
        "1 2D 3 4, 1 2 3 4, remove 2",
        "1D 2, 1, add 2",
        "1D 2, 1 2, remove 1",
        "1D, 1, keep",
        "1A 2A, 1 2, keep",
    })
    void nextStep(String members, String voters, String expected) {
        var current = new ArrayList<Incarnation>();
        for (String v : voters.split(" ")) current.add(new Incarnation(Integer.parseInt(v)));
        var step = VoterPlan.next(current, current.getFirst(), members(members), 3);
        assertThat(describe(step)).as(step.reason()).isEqualTo(expected);
        assertThat(step.reason()).isNotBlank();
    }

    @Test
    void fiveWhenDeclaredAndThere() {
        var voters = new ArrayList<>(List.of(new Incarnation(3)));
        var members = members("1 2 3 4 5 6");
        for (int i = 0; i < 4; i++) {
            var step = VoterPlan.next(voters, new Incarnation(3), members, 5);
            assertThat(step).isInstanceOfSatisfying(Step.Add.class, add -> voters.add(add.incarnation()));
        }
        assertThat(VoterPlan.next(voters, null, members, 5)).isInstanceOf(Step.Keep.class);
        assertThat(voters).hasSize(5).contains(new Incarnation(3));
    }

    /** From any voters and any presence the steps end, one voter at a time, without ever emptying the set. */
    @Test
    void stepsEndAndNeverLeaveTheLogWithoutAVoter() {
        for (long seed = 0; seed < 3_000; seed++) {
            var random = new Random(seed);
            int count = 1 + random.nextInt(7);
            var text = new StringBuilder();
            for (int i = 1; i <= count; i++) {
                text.append(i);
                for (char flag : "LADI".toCharArray()) if (random.nextInt(5) == 0) text.append(flag);
                text.append(' ');
            }
            var members = members(text.toString());
            var voters = new TreeSet<Incarnation>();
            while (voters.isEmpty())
                for (int i = 1; i <= count; i++) if (random.nextBoolean()) voters.add(new Incarnation(i));
            var leader = voters.first();
            int steps = 0;
            for (boolean done = false; !done; steps++) {
                assertThat(steps).as("seed %d: %s %s", seed, text, voters).isLessThan(20);
                switch (VoterPlan.next(List.copyOf(voters), leader, members, 3)) {
                    case Step.Keep _ -> done = true;
                    case Step.Add add -> {
                        assertThat(voters.add(add.incarnation())).isTrue();
                        var member = java.util.Objects.requireNonNull(members.get(add.incarnation()));
                        assertThat(member.presence()).isEqualTo(Presence.PRESENT);
                    }
                    case Step.Remove remove -> {
                        assertThat(voters.remove(remove.incarnation())).isTrue();
                        if (remove.incarnation().equals(leader) && !voters.isEmpty()) leader = voters.first();
                    }
                }
                assertThat(voters).as("seed %d: %s", seed, text).isNotEmpty();
            }
        }
    }

    private static String describe(Step step) {
        return switch (step) {
            case Step.Keep _ -> "keep";
            case Step.Add add -> "add " + add.incarnation().number();
            case Step.Remove remove -> "remove " + remove.incarnation().number();
        };
    }
}
