// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

final class RefusalsTest {
    @Test
    void allAreCountedAndFewAreTold() {
        var clock = new AtomicLong(-5);
        var refusals = new Refusals("a port", clock::get);
        assertThat(refusals.note("a:1", "no\nTLS " + "x".repeat(10_000))).isTrue();
        for (var i = 0; i < 1000; i++) {
            assertThat(refusals.note("a:1", "again")).isFalse();
            clock.addAndGet(TimeUnit.MILLISECONDS.toNanos(9));
        }
        clock.addAndGet(TimeUnit.SECONDS.toNanos(1));
        assertThat(refusals.note("a:1", "later")).isTrue();
        assertThat(refusals.note("a:1", "at once")).isFalse();
        assertThat(refusals.total()).isEqualTo(1003);
    }
}
