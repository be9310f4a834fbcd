// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import static dev.wormhole.placement.Cases.members;
import static dev.wormhole.placement.Cases.slice;
import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.health.Situation.Level;
import dev.wormhole.model.SliceId;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SituationTest {
    @ParameterizedTest(name = "{0}, on {1} of {2} -> {3}")
    @CsvSource({
        "1 2 3, 1 2, 2, HEALTHY",
        "1 2L 3, 1 2, 2, HEALTHY",
        "1 2D 3, 1 2, 2, HEALTHY",
        "1 2A 3, 1 2, 2, RECOVERABLE",
        "1 2 3, 1, 2, RECOVERABLE",
        "1 2, 1w, 2, RECOVERABLE",
        "1 2A, 1 2, 2, DEGRADED",
        "1 2A 3F, 1 2, 2, DEGRADED",
        "1 2 3, 1, 4, DEGRADED",
        "1A 2A 3, 1 2, 2, CRITICAL",
        "2 3, 1, 2, CRITICAL",
        // declared with one copy: told, but no alarm
        "1A 2, 1, 1, HEALTHY",
    })
    void level(String members, String holders, int wanted, Level expected) {
        var counter = new Situation.Counter(members(members));
        counter.add(slice(holders), wanted);
        var situation = Situation.of(counter.facts());
        assertThat(situation.level()).as("%s", situation.reasons()).isEqualTo(expected);
        if (expected != Level.HEALTHY) assertThat(situation.reasons()).isNotEmpty();
    }

    @Test
    void roomIsCountedForAllSlicesTogether() {
        var counter = new Situation.Counter(members("1 2A 3"));
        for (int i = 0; i < 5; i++) counter.add(slice(new SliceId(100 + i), "1 2"), 2);
        var facts = counter.facts();
        assertThat(facts.bytesToCopy()).isEqualTo(5 << 20);
        assertThat(Situation.of(facts).level()).isEqualTo(Level.RECOVERABLE);
        var tight = new Situation.Facts(5, 5, 5 << 20, 5 << 20, 0, 4 << 20, 0, 0, List.of(), List.of("pod2"));
        assertThat(Situation.of(tight).level()).isEqualTo(Level.DEGRADED);
        assertThat(Situation.of(tight).reasons()).anyMatch(r -> r.contains("absent: pod2"));
    }

    @Test
    void reasonsNameWhatIsMissing() {
        var counter = new Situation.Counter(members("1 2A"));
        counter.add(slice(new SliceId(55), "2"), 2);
        counter.add(slice(new SliceId(56), "2"), 1);
        var situation = Situation.of(counter.facts());
        assertThat(situation.level()).isEqualTo(Level.CRITICAL);
        assertThat(situation.reasons().getFirst()).contains("1 slices", new SliceId(55).toString());
        assertThat(situation.reasons()).anyMatch(r -> r.contains("declared with one copy"));
    }
}
