// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;

/** Makes sure that a directory may be mounted on, removing what a killed daemon left there. */
final class MountPoint {
    static final String TYPE = "fuse.wormhole";
    private static final int S_IFMT = 0170000;
    private static final int S_IFDIR = 0040000;
    private static final long PROBE_MILLIS = 2_000;

    private MountPoint() {}

    /**
     * Creates the directory if it is missing, detaches dead mounts of ours on it.
     *
     * @return its real absolute path, as the mount table names it
     * @throws IOException with a text for people if it cannot or should not be mounted on
     */
    static Path prepare(Path wanted) throws IOException, InterruptedException {
        Path absolute = wanted.toAbsolutePath().normalize();
        Path name = absolute.getFileName();
        Path parent = absolute.getParent();
        if (name == null || parent == null) throw new IOException("cannot mount on " + absolute);
        try {
            Files.createDirectories(parent);
        } catch (IOException e) {
            throw new IOException("cannot create " + parent + ": " + e.getMessage(), e);
        }
        Path path = parent.toRealPath().resolve(name);
        recover(path);
        if (Files.isSymbolicLink(path)) {
            path = path.toRealPath();
            recover(path);
        }
        if (!Files.exists(path)) {
            Files.createDirectory(path);
            return path;
        }
        if (!Files.isDirectory(path)) throw new IOException("cannot mount on " + path + ": not a directory");
        try (var entries = Files.newDirectoryStream(path)) {
            if (entries.iterator().hasNext())
                throw new IOException("cannot mount on " + path + ": the directory is not empty; a mount would hide "
                        + "what is in it. Move it away or name another directory");
        }
        return path;
    }

    private static void recover(Path path) throws IOException, InterruptedException {
        while (true) {
            var top = MountTable.topmostAt(path.toString());
            if (top == null || !top.type().startsWith("fuse")) return;
            if (!isDead(path)) {
                if (top.type().equals(TYPE)) throw new IOException(path + " is mounted already, from " + top.source());
                return; // an ordinary filesystem that happens to be FUSE: judged like any directory
            }
            if (!top.type().equals(TYPE))
                throw new IOException("cannot mount on " + path + ": a dead mount of type " + top.type()
                        + " is there; remove it with: umount -l " + path);
            unmount(path.toString(), Libc.MNT_DETACH | Libc.UMOUNT_NOFOLLOW, Libc.geteuid() != 0);
        }
    }

    /** Whether the daemon of the mount is gone. Asked on a thread of its own, as one that hangs would not answer. */
    static boolean isDead(Path path) throws IOException, InterruptedException {
        var mode = new AtomicInteger(Integer.MIN_VALUE);
        Thread probe =
                Thread.ofPlatform().daemon().name("fuse-probe").start(() -> mode.set(Libc.mode(path.toString())));
        probe.join(PROBE_MILLIS);
        if (mode.get() == Integer.MIN_VALUE)
            throw new IOException("cannot mount on " + path + ": what is mounted there does not answer");
        int answer = mode.get();
        if (answer >= 0 && (answer & S_IFMT) != S_IFDIR) return false;
        return answer == -Libc.ENOTCONN || answer == -103 /* ECONNABORTED */;
    }

    /** Answers 0 or -errno. */
    static int unmount(String path, int flags, boolean helper) throws IOException, InterruptedException {
        if (!helper) return Libc.umount2(path, flags);
        String option = (flags & Libc.MNT_DETACH) != 0 ? "-uzq" : "-uq";
        var process = new ProcessBuilder("fusermount3", option, "--", path)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        return process.waitFor() == 0 ? 0 : -Libc.EBUSY;
    }
}
