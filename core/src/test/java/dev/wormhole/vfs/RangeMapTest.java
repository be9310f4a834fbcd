// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RangeMapTest {
    private static final int SIZE = 200;

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void holdsWhatAnArrayOfBytesHolds(long seed) {
        var random = new Random(seed);
        long[] slices = new long[SIZE];
        long[] offsets = new long[SIZE];
        var map = new RangeMap();
        for (int step = 0; step < 3_000; step++) {
            if (random.nextInt(200) == 0) {
                map = new RangeMap();
                slices = new long[SIZE];
            }
            int from = random.nextInt(SIZE - 1);
            int length = 1 + random.nextInt(Math.min(40, SIZE - from));
            long slice = 1 + random.nextInt(3);
            long offset = random.nextInt(3) == 0 ? from : random.nextInt(50);
            map.put(from, length, slice, offset);
            for (int i = from; i < from + length; i++) {
                slices[i] = slice;
                offsets[i] = offset + i - from;
            }
            check(map, slices, offsets, 0, SIZE);
            int a = random.nextInt(SIZE);
            int b = a + random.nextInt(SIZE - a + 1);
            var part = new RangeMap();
            if (a < b) part.putWithin(map, a, b);
            check(part, slices, offsets, a, b);
        }
    }

    private static void check(RangeMap map, long[] slices, long[] offsets, int from, int to) {
        long bytes = 0;
        for (int i = 0; i < SIZE; i++) {
            int range = map.firstEndingAfter(i);
            boolean has = range < map.count() && map.from(range) <= i;
            boolean expected = i >= from && i < to && slices[i] != 0;
            assertThat(has).as("byte %d", i).isEqualTo(expected);
            if (!has) continue;
            bytes++;
            assertThat(map.slice(range)).isEqualTo(slices[i]);
            assertThat(map.sliceOffset(range) + i - map.from(range)).isEqualTo(offsets[i]);
        }
        assertThat(map.bytes()).isEqualTo(bytes);
        for (int i = 1; i < map.count(); i++) assertThat(map.from(i)).isGreaterThanOrEqualTo(map.to(i - 1));
        for (int i = 0; i < map.count(); i++) assertThat(map.from(i)).isLessThan(map.to(i));
    }
}
