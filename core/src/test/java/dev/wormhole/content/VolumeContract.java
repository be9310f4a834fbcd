// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import org.junit.jupiter.api.Test;

/** What every volume does. */
abstract class VolumeContract {
    abstract Volume volume() throws IOException;

    private static ByteBuffer bytes(String text) {
        return ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII));
    }

    private static String read(Volume.VolumeFile file, long position, int count) throws IOException {
        var into = ByteBuffer.allocate(count);
        int n = file.read(into, position);
        assertThat(into.position()).isEqualTo(n);
        return new String(into.array(), 0, n, StandardCharsets.US_ASCII);
    }

    @Test
    void bytesAreWhereTheyWereWritten() throws IOException {
        Volume volume = volume();
        volume.createDirectory("d");
        volume.createDirectory("d");
        try (var file = volume.create("d/f")) {
            file.write(bytes("world"), 6);
            file.write(bytes("hello"), 0);
            file.sync();
            assertThat(file.size()).isEqualTo(11);
            assertThat(read(file, 0, 20)).isEqualTo("hello\0world");
            assertThat(read(file, 11, 5)).isEmpty();
            assertThat(read(file, 100, 5)).isEmpty();
        }
        try (var file = volume.open("d/f")) {
            assertThat(read(file, 8, 2)).isEqualTo("rl");
        }
        assertThat(volume.list("d")).containsExactly(new Volume.Entry("f", 11));
        assertThat(volume.list("none")).isEmpty();
        volume.syncDirectory("d");
        volume.syncDirectory("");
    }

    @Test
    void namesAreTakenReplacedAndGone() throws IOException {
        Volume volume = volume();
        try (var file = volume.create("a")) {
            file.write(bytes("a"), 0);
            assertThatThrownBy(() -> volume.create("a")).isInstanceOf(FileAlreadyExistsException.class);
            assertThatThrownBy(() -> volume.open("b")).isInstanceOf(NoSuchFileException.class);
            try (var other = volume.create("b")) {
                other.write(bytes("b"), 0);
            }
            volume.rename("b", "a");
            assertThat(volume.exists("b")).isFalse();
            assertThat(read(file, 0, 1)).isEqualTo("a");
        }
        try (var file = volume.open("a")) {
            assertThat(volume.delete("a")).isTrue();
            assertThat(volume.delete("a")).isFalse();
            assertThat(read(file, 0, 1)).isEqualTo("b");
        }
        assertThat(volume.exists("a")).isFalse();
    }

    @Test
    void holesReadAsZeros() throws IOException {
        Volume volume = volume();
        try (var file = volume.create("f")) {
            byte[] ones = new byte[16384];
            java.util.Arrays.fill(ones, (byte) 1);
            file.write(ByteBuffer.wrap(ones), 0);
            file.sync();
            assertThat(file.punchHole(4096, 8192)).isTrue();
            assertThat(file.size()).isEqualTo(16384);
            assertThat(read(file, 4095, 2)).isEqualTo("\1\0");
            assertThat(read(file, 12287, 2)).isEqualTo("\0\1");
        }
    }

    @Test
    void allocatedFilesOccupyTheDisk() throws IOException {
        Volume volume = volume();
        long before = volume.freeBytes();
        volume.allocate("reserve", 32 << 20);
        assertThat(volume.list("")).contains(new Volume.Entry("reserve", 32 << 20));
        assertThat(volume.freeBytes()).isLessThan(before - (16 << 20)); // others use the disk of a real one too
        assertThat(volume.totalBytes()).isGreaterThanOrEqualTo(before);
        assertThat(volume.delete("reserve")).isTrue();
    }
}
