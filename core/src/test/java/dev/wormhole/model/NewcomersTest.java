// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

final class NewcomersTest {
    @Test
    void theOldestGivesWay() {
        var newcomers = new Newcomers<Integer>(3);
        for (int i = 0; i < 3; i++) assertThat(newcomers.add(i, "a")).isEmpty();
        assertThat(newcomers.add(3, "a")).contains(0);
        assertThat(newcomers.add(4, "a")).contains(1);
        assertThat(newcomers.remove(1)).as("it gave way already").isFalse();
        assertThat(newcomers.remove(3)).isTrue();
        assertThat(newcomers.all()).containsExactly(2, 4);
        assertThat(newcomers.add(5, "a")).as("there is room again").isEmpty();
    }

    @Test
    void whoKnocksTooOftenIsInNobodyElsesWay() {
        var newcomers = new Newcomers<Integer>(8);
        newcomers.add(-1, "member");
        newcomers.add(-2, "another");
        for (int i = 0; i < 1000; i++) newcomers.add(i, "flood");
        assertThat(newcomers.size()).isEqualTo(8);
        assertThat(newcomers.all()).contains(-1, -2);
        assertThat(newcomers.add(-3, "member")).contains(994);
    }

    /** Whatever comes and goes: never too many, and nobody's only one while somebody has two. */
    @Test
    void alwaysWithinTheBound() {
        var random = new Random(7);
        var newcomers = new Newcomers<Integer>(16);
        for (int i = 0; i < 20_000; i++) {
            if (random.nextInt(3) == 0) {
                newcomers.remove(random.nextInt(i + 1));
                continue;
            }
            newcomers.add(i, "h" + random.nextInt(random.nextBoolean() ? 2 : 10));
            assertThat(newcomers.size()).isBetween(1, 16);
            assertThat(newcomers.all()).contains(i);
        }
    }
}
