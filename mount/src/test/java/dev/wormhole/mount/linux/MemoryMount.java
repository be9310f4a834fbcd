// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import java.nio.file.Path;
import java.time.Duration;

/** A daemon of its own: {@code MemoryMount DIRECTORY}. Says "mounted" and serves until its standard input ends. */
final class MemoryMount {
    private MemoryMount() {}

    public static void main(String[] arguments) throws Exception {
        var options = new LinuxMount.Options(Path.of(arguments[0]), "memory", Throwable::printStackTrace);
        var fs = new MemoryFileSystem();
        if (arguments.length > 1) fs.validNanos = Long.parseLong(arguments[1]);
        try (var mount = LinuxMount.mount(fs, options)) {
            System.out.println("mounted");
            while (System.in.read() >= 0) continue;
            mount.unmount(Duration.ZERO);
        }
    }
}
