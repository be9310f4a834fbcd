// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A filesystem in memory, really mounted for each test. Needs root and /dev/fuse, and fails without. */
@Timeout(120)
abstract class MountedTest {
    @TempDir
    Path directory;

    final MemoryFileSystem fs = new MemoryFileSystem();
    final CopyOnWriteArrayList<Throwable> bugs = new CopyOnWriteArrayList<>();
    LinuxMount mount;
    Shell shell;

    MountedTest() throws Exception {}

    @BeforeEach
    void mount() throws Exception {
        mount = LinuxMount.mount(fs, new LinuxMount.Options(directory.resolve("m"), "memory", bugs::add));
        shell = new Shell(mount.mountPoint());
    }

    @AfterEach
    void unmount() throws Exception {
        mount.close();
        assertThat(bugs).isEmpty();
    }
}
