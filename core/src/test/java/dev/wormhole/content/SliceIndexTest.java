// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Ids;
import dev.wormhole.model.SliceId;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class SliceIndexTest {
    @Test
    void behavesAsAMap() {
        long seed = 5;
        var random = new Random(seed);
        var index = new SliceIndex();
        var model = new HashMap<SliceId, Long>();
        for (int i = 0; i < 400_000; i++) {
            var slice = new SliceId(Ids.of(1 + random.nextInt(3), 1 + random.nextInt(20_000)));
            long location = random.nextLong() & Long.MAX_VALUE;
            long old = model.getOrDefault(slice, SliceIndex.ABSENT);
            switch (random.nextInt(5)) {
                case 0, 1 -> {
                    assertThat(index.put(slice, location)).isEqualTo(old);
                    model.put(slice, location);
                }
                case 2, 3 -> {
                    assertThat(index.remove(slice)).as("seed %s", seed).isEqualTo(old);
                    model.remove(slice);
                }
                default -> {
                    assertThat(index.get(slice)).isEqualTo(old);
                    boolean there = old != SliceIndex.ABSENT;
                    assertThat(there && index.replace(slice, old, location)).isEqualTo(there);
                    if (there) model.put(slice, location);
                    if (there && location != old)
                        assertThat(index.replace(slice, old, 1)).isFalse();
                }
            }
        }
        assertThat(index.size()).isEqualTo(model.size());
        var keys = new HashSet<SliceId>();
        index.forEach(keys::add);
        assertThat(keys).isEqualTo(model.keySet());
    }

    @Test
    void locationsKeepTheirParts() {
        long packed = SliceIndex.packed(SliceIndex.SLOTS_MAX - 1, (128 << 20) - 8, 1 << 20);
        assertThat(SliceIndex.slot(packed)).isEqualTo(SliceIndex.SLOTS_MAX - 1);
        assertThat(SliceIndex.offset(packed)).isEqualTo((128 << 20) - 8);
        assertThat(SliceIndex.length(packed)).isEqualTo(1 << 20);
        assertThat(SliceIndex.isOwn(packed)).isFalse();
        long own = SliceIndex.own(1L << 44);
        assertThat(SliceIndex.isOwn(own)).isTrue();
        assertThat(SliceIndex.length(own)).isEqualTo(1L << 44);
    }

    @Test
    void tenMillionSlicesTakeThirtyBytesEach() {
        var index = new SliceIndex();
        int count = 10_000_000;
        for (int i = 1; i <= count; i++) index.put(new SliceId(Ids.of(3, i)), i);
        assertThat(index.size()).isEqualTo(count);
        assertThat(index.heapBytes()).isLessThan(31L * count);
        for (int i = 1; i <= count; i += 997)
            assertThat(index.get(new SliceId(Ids.of(3, i)))).isEqualTo(i);
    }
}
