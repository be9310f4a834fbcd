// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Incarnation;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class RouteTest {
    private static final Incarnation B = new Incarnation(2);
    private static final Incarnation C = new Incarnation(3);
    private static final Incarnation D = new Incarnation(4);

    @Test
    void aStalledHeadIsTriedAgainOnlyWhileNobodyHasIt() {
        var route = new Route(List.of(B, C), true);
        route.ended(List.of(B, C), Route.End.STALLED, List.of(), false);
        assertThat(route.next()).containsExactly(C);
        route.ended(List.of(C), Route.End.STALLED, List.of(), false);
        assertThat(route.pauses()).isTrue();
        assertThat(route.next()).containsExactly(B, C);
        route.ended(List.of(B, C), Route.End.DONE, List.of(B), true);
        assertThat(route.next()).isNull();
        assertThat(route.durable()).containsExactly(B);
    }

    @Test
    void whoWasMissedByAMiddleIsTriedOnceDirectly() {
        var route = new Route(List.of(B, C, D), true);
        route.ended(List.of(B, C, D), Route.End.DONE, List.of(B, D), true);
        assertThat(route.next()).containsExactly(C);
        route.ended(List.of(C), Route.End.UNREACHABLE, List.of(), false);
        assertThat(route.next()).isNull();
        assertThat(route.durable()).containsExactly(B, D);
    }

    @Test
    void whatAHeadToldBeforeItDiedCounts() {
        var route = new Route(List.of(B, C), true);
        route.ended(List.of(B, C), Route.End.BROKEN, List.of(B), true);
        assertThat(route.durable()).containsExactly(B);
        assertThat(route.next()).containsExactly(C);
    }

    @Test
    void whoPassesOnTriesAStalledPodNoSecondTime() {
        var route = new Route(List.of(B, C), false);
        route.ended(List.of(B, C), Route.End.STALLED, List.of(), false);
        assertThat(route.next()).containsExactly(C);
        route.ended(List.of(C), Route.End.UNREACHABLE, List.of(), false);
        assertThat(route.next()).isNull();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void everyRouteEnds(long seed) {
        var random = new Random(seed);
        for (var round = 0; round < 500; round++) {
            var route = new Route(List.of(B, C, D), true);
            Set<Incarnation> have = new HashSet<>();
            var steps = 0;
            for (var chain = route.next(); chain != null; chain = route.next()) {
                assertThat(chain).as("seed " + seed).isNotEmpty().noneMatch(have::contains);
                // A pod that only stalls is bounded by the push's deadline, so it gives in at last here.
                var ends = Route.End.values();
                var end = steps > 20 ? Route.End.REFUSED : ends[random.nextInt(ends.length)];
                var told = random.nextInt(3) == 0
                        ? List.of(chain.get(random.nextInt(chain.size())))
                        : List.<Incarnation>of();
                have.addAll(told);
                route.ended(chain, end, told, steps < 10 && random.nextBoolean());
                assertThat(++steps).as("seed " + seed).isLessThan(60);
            }
            assertThat(route.durable()).as("seed " + seed).containsExactlyInAnyOrderElementsOf(have);
        }
    }
}
