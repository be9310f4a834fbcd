// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class UnchangedVolumeTest {
    @TempDir
    Path folder;

    private static SliceStore open(Volume volume, long reserveBytes) throws IOException {
        var config = new SliceStore.Config(1L << 30, 0, reserveBytes, 64 << 20, 8 << 20, 8);
        return SliceStore.open(volume, config, _ -> {}, Runnable::run, new Random(1));
    }

    private TreeMap<String, String> files() throws IOException {
        var files = new TreeMap<String, String>();
        try (var paths = Files.walk(folder)) {
            for (Path path : paths.toList())
                files.put(
                        path.toString(),
                        Files.isRegularFile(path) ? Integer.toString(Arrays.hashCode(Files.readAllBytes(path))) : "");
        }
        return files;
    }

    @Test
    void aStoreThatIsLookedAtStaysAsACrashLeftItAndShowsWhatIsInIt() throws IOException {
        var disk = new DiskVolume(folder);
        var small = new SliceId(1L << 39 | 1);
        var large = new SliceId(1L << 39 | 2);
        var before = open(disk, 10_000); // never closed, as if killed
        for (SliceId slice : List.of(small, large)) {
            int bytes = slice.equals(small) ? 1_000 : 3_000_000;
            try (var writer = before.stage(slice, bytes)) {
                writer.append(ByteBuffer.allocate(bytes));
                writer.seal();
            }
        }
        before.sync(List.of(small, large));
        Files.writeString(folder.resolve("packs").resolve("left.new"), "a crash left it");
        var files = files();

        var found = new ArrayList<SliceId>();
        try (var looked = open(new UnchangedVolume(disk), 0)) {
            looked.forEachDurable(found::add);
            looked.verify(small);
            looked.verify(large);
            assertThat(looked.length(large)).isEqualTo(3_000_000);
        }
        assertThat(found).containsExactlyInAnyOrder(small, large);
        assertThat(files()).isEqualTo(files);
        before.close();
    }
}
