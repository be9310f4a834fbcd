// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashSet;
import org.junit.jupiter.api.Test;

/** That the volume in memory keeps the contract, and that it is as cruel as it says. */
final class CrashingVolumeTest extends VolumeContract {
    @Override
    Volume volume() {
        return new CrashingVolume(1 << 30);
    }

    @Test
    void syncedBytesSurviveAndUnsyncedOnesMayOrMayNot() throws IOException {
        var outcomes = new HashSet<String>();
        for (int seed = 0; seed < 200; seed++) {
            var volume = new CrashingVolume();
            var file = volume.create("f");
            file.write(ByteBuffer.wrap(new byte[] {1, 1}), 0);
            file.sync();
            volume.syncDirectory("");
            file.write(ByteBuffer.wrap(new byte[] {2}), 1);
            volume.create("g");
            volume.crash(seed);
            assertThatThrownBy(file::size).isInstanceOf(IOException.class);
            var into = ByteBuffer.allocate(2);
            try (var again = volume.open("f")) {
                assertThat(again.read(into, 0)).isEqualTo(2);
            }
            assertThat(into.get(0)).isEqualTo((byte) 1);
            outcomes.add(into.get(1) + (volume.exists("g") ? "g" : ""));
        }
        assertThat(outcomes).containsExactlyInAnyOrder("1", "2", "1g", "2g");
    }

    @Test
    void aFailedSyncDropsItsBytesForGood() throws IOException {
        for (int seed = 0; seed < 20; seed++) {
            var volume = new CrashingVolume();
            var file = volume.create("f");
            volume.syncDirectory("");
            file.write(ByteBuffer.wrap(new byte[] {1}), 0);
            volume.failSyncs(path -> true);
            assertThatThrownBy(file::sync).isInstanceOf(IOException.class);
            volume.failSyncs(path -> false);
            file.sync();
            volume.crash(seed);
            assertThat(volume.list("")).containsExactly(new Volume.Entry("f", 0));
        }
    }
}
