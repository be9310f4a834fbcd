// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import static dev.wormhole.placement.Cases.members;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.wormhole.health.Member;
import dev.wormhole.health.Members;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.PodSettings.Role;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PlacementTest {
    private static final SliceId BY_POD_1 = new SliceId(Ids.of(1, 5));

    @ParameterizedTest(name = "{0} x {1} -> {2}")
    @CsvSource({
        // the writer first, and the only other able pod
        "1 2 3A 4D 5W 6F, 2, 1 2",
        "1 2 3A 4D 5W 6F, 3, 1 2",
        // late ones only when nobody else is left
        "1 2L 3, 2, 1 3",
        "1 2L 3, 3, 1 3 2",
        // a writer that leaves, sleeps for good, is full or keeps no slices is not among them
        "1D 2 3A, 2, 2",
        "1A 2 3A, 1, 2",
        "1W 2 3A, 1, 2",
        // another zone before the same one, whatever they draw
        "1@a 2@a 3@a 4@b, 2, 1 4",
        "1@a 2@b 3@a 4L@a, 3, 1 2 3",
        // a late pod in another zone is worse than a present one in the same
        "1@a 2@a 3L@b, 2, 1 2",
        // what sleeps never has the only copy
        "1I 2I 3, 2, 1 3",
        "1I 2I 3, 1, 1 3",
        "1I 2I 3A, 1, 1",
        "1I@a 2@a 3I@b, 2, 1 2",
        "1, 3, 1",
        "1A, 3, ''",
    })
    void targetsFollowTheRules(String members, int copies, String expected) {
        assertThat(Placement.targets(BY_POD_1, Cases.SLICE_BYTES, copies, members(members)))
                .isEqualTo(pods(expected));
    }

    @Test
    void theOrderOfTheListDoesNotMatter() {
        var random = new Random(11);
        var list = new ArrayList<>(members("1 2 3 4 5 6 7 8 9").all());
        for (int i = 0; i < 200; i++) {
            var slice = new SliceId(Ids.of(1 + random.nextInt(12), random.nextInt(1 << 20)));
            var before = Placement.targets(slice, 1, 3, new Members(list));
            Collections.shuffle(list, random);
            assertThat(Placement.targets(slice, 1, 3, new Members(list))).isEqualTo(before);
        }
    }

    @Test
    void freeSpaceDecidesHowManySlicesAPodGets() {
        var members = new Members(List.of(pod(1, 100L << 30), pod(2, 200L << 30), pod(3, 700L << 30)));
        int[] got = new int[4];
        int slices = 20_000;
        for (int i = 0; i < slices; i++)
            got[
                    Placement.targets(new SliceId(Ids.of(9, i)), 1, 1, members)
                            .getFirst()
                            .number()]++;
        assertThat(got[1] / (double) slices).isCloseTo(0.1, within(0.01));
        assertThat(got[2] / (double) slices).isCloseTo(0.2, within(0.01));
        assertThat(got[3] / (double) slices).isCloseTo(0.7, within(0.01));
    }

    @Test
    void aNewPodTakesItsShareAndMovesNothingElse() {
        var before = members("1 2 3 4");
        var after = members("1 2 3 4 5");
        int won = 0;
        for (int i = 0; i < 5_000; i++) {
            var slice = new SliceId(Ids.of(9, i));
            var old = Placement.targets(slice, 1, 2, before);
            var now = Placement.targets(slice, 1, 2, after);
            if (now.contains(new Incarnation(5))) {
                won++;
                assertThat(old)
                        .containsAll(now.stream().filter(p -> p.number() != 5).toList());
            } else {
                assertThat(now).isEqualTo(old);
            }
        }
        assertThat(won / 5_000.0).isCloseTo(0.4, within(0.03));
    }

    @Test
    void aSliceGoesOnlyWhereItHasRoom() {
        var members = new Members(List.of(pod(1, 10), pod(2, 100), pod(3, 1000)));
        for (int i = 0; i < 100; i++)
            assertThat(Placement.targets(new SliceId(Ids.of(9, i)), 500, 3, members))
                    .isEqualTo(pods("3"));
    }

    private static Member pod(int number, long free) {
        return new Member(
                new Incarnation(number),
                "pod" + number,
                Role.STORAGE,
                false,
                "",
                1L << 50,
                free,
                Presence.PRESENT,
                false);
    }

    private static List<Incarnation> pods(String text) {
        if (text.isBlank()) return List.of();
        return Arrays.stream(text.split(" "))
                .map(word -> new Incarnation(Integer.parseInt(word)))
                .toList();
    }
}
