// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** The kernel's view of FUSE mounts, /sys/fs/fuse/connections. Needs root. */
public final class FuseConnections {
    private static final Path CONNECTIONS = Path.of("/sys/fs/fuse/connections");

    private FuseConnections() {}

    /**
     * Ends a connection at once: every waiting and later request fails with ENOTCONN, and its daemon's descriptors with
     * ENODEV. What is mounted stays mounted, dead. The last resort for a daemon that hangs on its own mount.
     *
     * @param connection minor device number of the mount
     */
    public static void abort(int connection) throws IOException {
        if (!Files.isDirectory(CONNECTIONS) || isEmpty(CONNECTIONS)) {
            int r = Libc.mount("fusectl", CONNECTIONS.toString(), "fusectl", 0, "");
            if (r < 0 && r != -Libc.EBUSY) throw new IOException("cannot mount fusectl: errno " + -r);
        }
        Files.write(CONNECTIONS.resolve(connection + "/abort"), "1".getBytes(StandardCharsets.US_ASCII));
    }

    private static boolean isEmpty(Path directory) throws IOException {
        try (var entries = Files.newDirectoryStream(directory)) {
            return !entries.iterator().hasNext();
        }
    }
}
