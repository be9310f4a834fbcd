// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import com.google.gson.JsonParseException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Optional;

/** The small files in a pod's store by which commands and daemon find each other. */
public final class StoreFiles {
    private StoreFiles() {}

    public static Path log(Path store) {
        return store.resolve("log").resolve("pod.log");
    }

    /** What the process itself printed: only what the log could not take. */
    public static Path output(Path store) {
        return store.resolve("log").resolve("pod.out");
    }

    public static Path pidFile(Path store) {
        return store.resolve("pod.pid");
    }

    /** Why the last start failed, in words for a person; written by the daemon, removed by the next start. */
    public static Path startError(Path store) {
        return store.resolve("start.error");
    }

    /** Whether a pod of this store starts only with a passphrase. */
    public static boolean wantsPassphrase(Path store) {
        try {
            return Files.readString(store.resolve("keys").resolve("data.key"), StandardCharsets.ISO_8859_1)
                    .startsWith("-----BEGIN WORMHOLE KEY BY PASSPHRASE-----");
        } catch (IOException none) {
            return false;
        }
    }

    /** Makes the folder of a store unless it exists, and sees to it that its owner alone can look into it. */
    public static void make(Path store) throws IOException {
        if (!Files.isDirectory(store)) Files.createDirectories(store);
        var mine = PosixFilePermissions.fromString("rwx------");
        if (!mine.containsAll(Files.getPosixFilePermissions(store))) Files.setPosixFilePermissions(store, mine);
        Files.createDirectories(store.resolve("log"));
    }

    /**
     * A process that cannot be mistaken for a later one of the same number.
     *
     * @param startTicks field 22 of /proc/PID/stat
     */
    public record Daemon(long pid, long startTicks) {
        /** Of a running process; empty where it is gone. */
        public static Optional<Daemon> of(long pid) {
            try {
                var stat = Files.readString(Path.of("/proc", Long.toString(pid), "stat"));
                // the command, in brackets, may hold anything
                var fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
                if (fields[0].equals("Z") || fields[0].equals("X")) return Optional.empty();
                return Optional.of(new Daemon(pid, Long.parseLong(fields[19])));
            } catch (IOException | RuntimeException e) {
                return Optional.empty();
            }
        }

        public boolean isAlive() {
            return of(pid).filter(this::equals).isPresent();
        }
    }

    public static void writePid(Path store) throws IOException {
        var self = Daemon.of(ProcessHandle.current().pid());
        if (self.isPresent()) Files.writeString(pidFile(store), Json.line(self.get()) + "\n");
    }

    /** The daemon of a store, if it runs. */
    public static Optional<Daemon> runningDaemon(Path store) throws IOException {
        try {
            return Optional.of(Json.to(Daemon.class, Json.parse(Files.readString(pidFile(store)))))
                    .filter(Daemon::isAlive);
        } catch (NoSuchFileException | JsonParseException e) {
            return Optional.empty();
        }
    }
}
