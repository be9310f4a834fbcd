// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DiskVolumeTest extends VolumeContract {
    @TempDir
    Path directory;

    @Override
    Volume volume() throws IOException {
        return new DiskVolume(directory);
    }

    @Test
    void anInterruptedThreadDoesNotCloseTheFile() throws IOException {
        try (var file = volume().create("f")) {
            Thread.currentThread().interrupt();
            file.write(ByteBuffer.wrap(new byte[] {7}), 0);
            assertThat(Thread.currentThread().isInterrupted()).isTrue();
            file.sync();
            var into = ByteBuffer.allocate(1);
            assertThat(file.read(into, 0)).isEqualTo(1);
            assertThat(Thread.interrupted()).isTrue();
            assertThat(into.get(0)).isEqualTo((byte) 7);
        }
    }

    @Test
    void storeLockLetsOneIn() throws IOException {
        try (var lock = StoreLock.acquire(directory)) {
            assertThat(lock).isNotNull();
            org.assertj.core.api.Assertions.assertThatThrownBy(() -> StoreLock.acquire(directory))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("process " + ProcessHandle.current().pid());
        }
        StoreLock.acquire(directory).close();
    }
}
