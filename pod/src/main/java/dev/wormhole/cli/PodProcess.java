// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.PodConfig;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlClient;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.StoreFiles;
import java.io.File;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** The daemon of one pod: starting it, waiting for it, stopping it, removing what it leaves. */
final class PodProcess {
    /** From the start of the process to its first answer; a JVM on a loaded machine needs seconds. */
    private static final Duration ANSWER_MAX = Duration.ofSeconds(60);
    /** Until the mount works: catching up may take long, and shows progress. */
    private static final Duration READY_MAX = Duration.ofMinutes(10);
    /** Nothing tells when another process makes its socket. */
    private static final long POLL_MILLIS = 30;

    private static final int TAIL_LINES = 12;
    /** Stack traces are for the log itself. */
    private static final Pattern TRACE = Pattern.compile(
            "\\s+at .*|\\s+\\.\\.\\. \\d+ (more|common frames omitted)|(Caused by: |Exception in thread .*)?[\\w.$]+(Exception|Error)(: .*)?");

    private final Host host;
    private final PodConfig.Pod pod;
    private final Path podToml;
    private @Nullable Process started;

    PodProcess(Host host, Path podToml, PodConfig config) {
        this.host = host;
        this.pod = config.pod();
        this.podToml = podToml;
    }

    String name() {
        return pod.name();
    }

    Path store() {
        return pod.store();
    }

    boolean runs() {
        try {
            return StoreFiles.runningDaemon(pod.store()).isPresent();
        } catch (IOException e) {
            return false;
        }
    }

    /** {@code setsid LAUNCHER daemon POD_TOML}, or the same java and class path where there is no launcher. */
    static Process spawn(Path podToml, Path output, Optional<String> passphrase) throws IOException {
        var launcher = System.getProperty("wormhole.launcher");
        var command = new ArrayList<String>();
        if (new File("/usr/bin/setsid").canExecute()) command.add("/usr/bin/setsid");
        if (launcher != null) {
            command.add(launcher);
        } else {
            command.addAll(List.of(
                    Path.of(System.getProperty("java.home", "/usr"), "bin", "java")
                            .toString(),
                    "--enable-native-access=ALL-UNNAMED",
                    "--sun-misc-unsafe-memory-access=allow",
                    "-Xmx160m",
                    "-XX:MaxDirectMemorySize=128m",
                    "-XX:+UseSerialGC",
                    "-cp",
                    System.getProperty("java.class.path", ""),
                    Wormhole.class.getName()));
        }
        command.add("daemon");
        command.add(podToml.toString());
        var builder = new ProcessBuilder(command)
                .directory(new File("/"))
                .redirectInput(passphrase.isPresent() ? Redirect.PIPE : Redirect.from(new File("/dev/null")))
                .redirectErrorStream(true)
                .redirectOutput(output.toFile());
        builder.environment().put("WORMHOLE_NO_BUILD", "1");
        var process = builder.start();
        if (passphrase.isPresent()) {
            // A pipe alone: other users see a process' arguments and environment, and a file stays on a disk.
            try (var input = process.getOutputStream()) {
                input.write((passphrase.get() + "\n").getBytes(StandardCharsets.UTF_8));
            } catch (IOException ended) {
                // it says itself why
            }
        }
        return process;
    }

    /** Begins a start and returns; nothing happens where the daemon runs already. */
    void start(Optional<String> passphrase) {
        if (runs()) return;
        try {
            StoreFiles.make(pod.store());
            Files.deleteIfExists(StoreFiles.startError(pod.store()));
            Files.deleteIfExists(StoreFiles.pidFile(pod.store()));
            started = host.launcher().start(podToml, StoreFiles.output(pod.store()), passphrase);
        } catch (IOException e) {
            throw new CliException(
                    ExitCode.FAILED, "cannot start pod " + pod.name() + ": " + Registry.reason(e), "", e);
        }
    }

    /** Returns when the mount works. A pod that fails ends the command with what its daemon told. */
    void awaitReady(Console console) throws InterruptedException {
        console.prefix(pod.name() + ": ");
        var begun = System.nanoTime();
        var client = new ControlClient(pod.store());
        while (true) {
            try {
                client.call(Commands.READY, new Object(), console);
                return;
            } catch (ControlException e) {
                if (!e.code().equals(ControlException.NOT_READY)) throw failed(e.message(), e.hint());
                console.progress(e.message(), 0, 0);
            } catch (IOException e) {
                console.progress("starting", 0, 0);
            }
            if (!alive()) throw failed("", "");
            var waited = Duration.ofNanos(System.nanoTime() - begun);
            var answers = Files.exists(StoreFiles.pidFile(pod.store()));
            if (waited.compareTo(answers ? READY_MAX : ANSWER_MAX) > 0) {
                throw failed("not ready after " + waited.toSeconds() + " s", "");
            }
            Thread.sleep(POLL_MILLIS);
        }
    }

    private boolean alive() {
        return started == null ? runs() : started.isAlive();
    }

    /** The daemon's own words first, then the end of its log. */
    private CliException failed(String told, String hint) {
        var details = new ArrayList<String>();
        if (!hint.isEmpty()) details.add(hint);
        var error = told.isEmpty() ? read(StoreFiles.startError(pod.store())) : told;
        var log = tail(StoreFiles.log(pod.store()));
        if (error.isEmpty()) {
            error = log.reversed().stream()
                    .filter(line -> line.contains(" SEVERE "))
                    .findFirst()
                    .orElse("its daemon ended");
        }
        var output = tail(StoreFiles.output(pod.store()));
        if (!log.isEmpty()) {
            details.add("the end of " + StoreFiles.log(pod.store()) + ":");
            log.forEach(line -> details.add("  " + line));
        }
        if (!output.isEmpty()) {
            details.add("it printed:");
            output.forEach(line -> details.add("  " + line));
        }
        return new CliException(
                ExitCode.FAILED, "pod " + pod.name() + " did not start: " + error, String.join("\n", details));
    }

    private static String read(Path file) {
        try {
            return Files.readString(file).strip();
        } catch (IOException e) {
            return "";
        }
    }

    private static List<String> tail(Path file) {
        try (var channel = Files.newByteChannel(file)) {
            channel.position(Math.max(0, channel.size() - 8192));
            var bytes = java.nio.ByteBuffer.allocate(8192);
            while (bytes.hasRemaining() && channel.read(bytes) >= 0) {
                // to the end
            }
            var text = new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8).strip();
            if (text.isEmpty()) return List.of();
            var lines =
                    text.lines().filter(line -> !TRACE.matcher(line).matches()).toList();
            return lines.subList(Math.max(0, lines.size() - TAIL_LINES), lines.size());
        } catch (IOException e) {
            return List.of();
        }
    }

    /**
     * Stops a daemon: by command, else by signal, and with {@code force} at last by SIGKILL. A pod that does not run is
     * stopped.
     *
     * @param patience for each of these steps
     */
    static void stop(Path store, String name, boolean force, Duration patience, Console console)
            throws InterruptedException {
        try {
            var daemon = StoreFiles.runningDaemon(store);
            if (daemon.isEmpty()) return;
            var process = ProcessHandle.of(daemon.get().pid()).orElse(null);
            if (process == null) return;
            console.prefix(name + ": ");
            try {
                new ControlClient(store)
                        .call(Commands.STOP, new Object(), console, force ? patience : ControlClient.SILENCE_MAX);
                if (ended(daemon.get(), patience)) return;
            } catch (IOException e) {
                console.progress("does not answer, sending SIGTERM", 0, 0);
            } catch (ControlException e) {
                if (!force) throw new CliException(ExitCode.REFUSED, name + ": " + e.message(), e.hint(), e);
            }
            if (daemon.get().isAlive()) process.destroy();
            if (ended(daemon.get(), patience)) return;
            if (force && daemon.get().isAlive()) {
                process.destroyForcibly();
                if (ended(daemon.get(), patience)) return;
            }
            throw new CliException(
                    ExitCode.FAILED,
                    "pod " + name + " (process " + process.pid() + ") does not stop",
                    "wormhole down --force ends it; what was fsynced is safe");
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot stop pod " + name + ": " + Registry.reason(e), "", e);
        }
    }

    /**
     * Asks often, and takes a process that nobody has reaped yet for ended: {@code onExit} of one that is no child looks
     * after 0.3 s, 0.9 s, 1.8 s, 3 s, and waits for the reaper.
     */
    private static boolean ended(StoreFiles.Daemon process, Duration patience) throws InterruptedException {
        var end = System.nanoTime() + patience.toNanos();
        while (process.isAlive()) {
            if (System.nanoTime() - end > 0) return false;
            Thread.sleep(POLL_MILLIS);
        }
        return true;
    }

    /** Ends a process that this command started, after a failure. */
    void giveUp() throws InterruptedException {
        if (started == null) return;
        started.destroy();
        if (!started.waitFor(5, TimeUnit.SECONDS)) started.destroyForcibly().waitFor(5, TimeUnit.SECONDS);
    }

    /** Removes Wormhole mounts at a point, also dead ones. True if none is left. */
    static boolean unmount(Host host, Path point) throws InterruptedException {
        // one may lie over another
        for (var attempt = 0; attempt < 8; attempt++) {
            var mount = host.mounts().get().at(point);
            if (mount.isEmpty() || !mount.get().isWormhole()) return true;
            var commands = host.root()
                    ? List.of(List.of("umount", "-l", point.toString()))
                    : List.of(
                            List.of("fusermount3", "-u", "-z", point.toString()),
                            List.of("fusermount", "-u", "-z", point.toString()));
            for (var command : commands) {
                try {
                    var process = new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .start();
                    if (!process.waitFor(10, TimeUnit.SECONDS)) process.destroyForcibly();
                    else if (process.exitValue() == 0) break;
                } catch (IOException e) {
                    host.err().println("cannot run " + command.getFirst() + ": " + e.getMessage());
                }
            }
        }
        return host.mounts()
                .get()
                .at(point)
                .filter(MountTable.Mount::isWormhole)
                .isEmpty();
    }

    /** It holds what {@link StoreFiles} puts there: not just any folder. */
    static boolean looksLikeStore(Path folder) {
        return Files.isDirectory(folder.resolve("log"))
                && (Files.exists(StoreFiles.output(folder)) || Files.exists(StoreFiles.log(folder)));
    }

    /** Deletes a folder and all in it, following no link and entering no mount. */
    static void delete(Host host, Path folder) {
        var mounted = host.mounts().get().below(folder);
        if (!mounted.isEmpty()) {
            throw new CliException(
                    ExitCode.REFUSED,
                    folder + " is not deleted: something is mounted at "
                            + mounted.getFirst().point(),
                    "unmount it first");
        }
        if (!Files.exists(folder)) return;
        try {
            Files.walkFileTree(folder, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.delete(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path directory, @Nullable IOException failure)
                        throws IOException {
                    if (failure != null) throw failure;
                    Files.delete(directory);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot delete " + folder + ": " + Registry.reason(e), "", e);
        }
    }
}
