// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * A network of machines on this one: a bridge in a namespace of its own, and for each machine a network namespace, a
 * directory and at most one pod, started with the project's own launcher. All share this machine's mounts, so tests see
 * every folder. Closing stops and removes all of it.
 */
final class Testbed implements AutoCloseable {
    private static final Path PROJECT =
            java.util.Objects.requireNonNull(Path.of("").toAbsolutePath().getParent());
    static final Path LAUNCHER = PROJECT.resolve("wormhole");

    private final String tag = "wt" + ProcessHandle.current().pid() % 100_000 + "x" + COUNT.incrementAndGet();
    private static final java.util.concurrent.atomic.AtomicInteger COUNT =
            new java.util.concurrent.atomic.AtomicInteger();
    final Path root;
    final List<Machine> machines = new ArrayList<>();

    Testbed(int machineCount) {
        if (!"root".equals(System.getProperty("user.name")) || !Files.exists(Path.of("/dev/fuse")))
            throw new AssertionError("these tests mount filesystems and make network namespaces: run them as root on a"
                    + " machine with /dev/fuse");
        assemble();
        try {
            root = Files.createTempDirectory(Path.of("/var/tmp"), "wormhole-testbed");
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
        Shell.sh(
                root,
                "ip netns add " + tag + "s; ip -n " + tag + "s link add name br0 type bridge; ip -n " + tag
                        + "s link set br0 up");
        for (int i = 1; i <= machineCount; i++) machines.add(new Machine(i));
    }

    Machine machine(int number) {
        return machines.get(number - 1);
    }

    private static boolean assembled;

    /** The launcher runs what this build has packaged. */
    private static synchronized void assemble() {
        if (!assembled) Shell.sh(PROJECT, "bin/assemble");
        assembled = true;
    }

    /** Starts all pods at once: none of them can lead alone. */
    void upAll() {
        all(Machine::up, machines);
    }

    /** Does it to machines at once: none of them waits for another. */
    static void all(Consumer<Machine> act, List<Machine> machines) {
        var failures = new java.util.concurrent.ConcurrentLinkedQueue<Throwable>();
        var threads = new ArrayList<Thread>();
        for (Machine machine : machines)
            threads.add(Thread.ofPlatform()
                    .uncaughtExceptionHandler((thread, failure) -> failures.add(failure))
                    .start(() -> act.accept(machine)));
        for (Thread thread : threads) {
            try {
                thread.join();
            } catch (InterruptedException interrupt) {
                Thread.currentThread().interrupt();
                throw new AssertionError(interrupt);
            }
        }
        if (!failures.isEmpty()) throw new AssertionError("not all pods did", failures.peek());
    }

    /** Waits for something to become true; fails with what is said when it does not within so many seconds. */
    static void await(String what, int seconds, BooleanSupplier condition) {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) throw new AssertionError("not within " + seconds + " s: " + what);
            java.util.concurrent.locks.LockSupport.parkNanos(50_000_000);
        }
    }

    @Override
    public void close() {
        for (Machine machine : machines) machine.remove();
        Shell.run(root, Map.of(), List.of("ip", "netns", "del", tag + "s"));
        try (var paths = Files.walk(root)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) Files.delete(path);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** One machine of the network: where a pod runs. */
    final class Machine {
        final int number;
        final String name;
        final Path mount;
        final Path store;
        /** Where the first of its addresses was; {@link #move} gives it others. */
        final String address;

        /** What its pod is told to listen at. */
        String listen;

        private String ip;
        private final String namespace;

        private Machine(int number) {
            this.number = number;
            this.name = "pod-" + number;
            this.namespace = tag + "n" + number;
            this.mount = root.resolve("m" + number);
            this.store = root.resolve("s" + number);
            this.ip = "10.91.0." + number;
            this.address = ip + ":7420";
            this.listen = address;
            Shell.sh(root, """
                    ip netns add NS
                    ip -n TAGs link add p%1$d type veth peer name e0 netns NS
                    ip -n TAGs link set p%1$d master br0 up
                    ip -n NS link set lo up
                    ip -n NS addr add 10.91.0.%1$d/24 dev e0
                    ip -n NS link set e0 up
                    """.formatted(number).replace("NS", namespace).replace("TAG", tag));
        }

        /** A command of `wormhole` on this machine. */
        Shell.Result wormhole(String... arguments) {
            var command = new ArrayList<>(List.of("nsenter", "--net=/run/netns/" + namespace, LAUNCHER.toString()));
            command.addAll(List.of(arguments));
            return Shell.run(
                    root,
                    Map.of("WORMHOLE_CONFIG", root.resolve("config" + number).toString(), "WORMHOLE_NO_BUILD", "1"),
                    command);
        }

        /** Any command, in this machine's network. */
        Shell.Result run(String... command) {
            var inside = new ArrayList<>(List.of("nsenter", "--net=/run/netns/" + namespace));
            inside.addAll(List.of(command));
            return Shell.run(root, Map.of(), inside);
        }

        /** The machine's address changes: what was open at the old one falls silent. */
        void move(String to) {
            Shell.sh(
                    root,
                    "ip -n " + namespace + " addr del " + ip + "/24 dev e0; ip -n " + namespace + " addr add " + to
                            + "/24 dev e0");
            ip = to;
        }

        /** Writes what this machine sends and gets into a file, until it is ended; returns once it does. */
        Process capture(Path file) throws IOException {
            var process = new ProcessBuilder(
                            "nsenter",
                            "--net=/run/netns/" + tag + "s",
                            "tcpdump",
                            "-i",
                            "p" + number,
                            "-s",
                            "0",
                            "-U",
                            "-B",
                            "32768",
                            "-Z",
                            "root",
                            "-w",
                            file.toString())
                    .redirectErrorStream(true)
                    .redirectOutput(root.resolve("tcpdump.out").toFile())
                    .start();
            await("tcpdump listens", 20, () -> {
                try {
                    return Files.readString(root.resolve("tcpdump.out")).contains("listening on");
                } catch (IOException notYet) {
                    return false;
                }
            });
            return process;
        }

        /** A class of these tests as a program in this machine's network. */
        Process start(Class<?> program, String... arguments) throws IOException {
            var command = new ArrayList<>(List.of(
                    "nsenter",
                    "--net=/run/netns/" + namespace,
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-Xmx128m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                    System.getProperty("java.class.path"),
                    program.getName()));
            command.addAll(List.of(arguments));
            return new ProcessBuilder(command).redirectErrorStream(true).start();
        }

        void create(int copies, String... more) {
            var arguments = new ArrayList<>(List.of(
                    "create",
                    "net",
                    "--name",
                    name,
                    "--mount",
                    mount.toString(),
                    "--store",
                    store.toString(),
                    "--listen",
                    listen,
                    "--copies",
                    Integer.toString(copies)));
            arguments.addAll(List.of(more));
            wormhole(arguments.toArray(String[]::new)).orFail("create on " + name);
        }

        /** An invitation's token, given out by this machine's pod. */
        String invite(String... more) {
            var arguments = new ArrayList<>(List.of("invite", "--store", store.toString()));
            arguments.addAll(List.of(more));
            var line = wormhole(arguments.toArray(String[]::new))
                    .orFail("invite on " + name)
                    .output();
            var matcher = java.util.regex.Pattern.compile("--token ([A-Za-z0-9_-]{48})")
                    .matcher(line);
            if (!matcher.find()) throw new AssertionError("no token in: " + line);
            return matcher.group(1);
        }

        void join(Machine other, String... more) {
            joinWith(other.invite(), other, more).orFail("join on " + name);
        }

        Shell.Result joinWith(String token, Machine other, String... more) {
            var arguments = new ArrayList<>(List.of(
                    "join",
                    other.address,
                    "--token",
                    token,
                    "--name",
                    name,
                    "--mount",
                    mount.toString(),
                    "--store",
                    store.toString(),
                    "--listen",
                    listen));
            arguments.addAll(List.of(more));
            return wormhole(arguments.toArray(String[]::new));
        }

        void up() {
            wormhole("up", name).orFail("up on " + name);
        }

        void down() {
            wormhole("down", name).orFail("down on " + name);
        }

        String status() {
            return wormhole("status", "--json", "--store", store.toString())
                    .orFail("status on " + name)
                    .output();
        }

        /** The daemon's process id, from its command line, so that it is known when it does not answer. */
        long pid() {
            return pids().stream().findFirst().orElseThrow(() -> new AssertionError(name + " does not run"));
        }

        private List<Long> pids() {
            return ProcessHandle.allProcesses()
                    .filter(process -> {
                        try {
                            String line = Files.readString(
                                    Path.of("/proc", Long.toString(process.pid()), "cmdline"),
                                    java.nio.charset.StandardCharsets.ISO_8859_1);
                            return line.contains("\0daemon\0") && line.contains(root + "/config" + number + "/");
                        } catch (IOException gone) {
                            return false;
                        }
                    })
                    .map(ProcessHandle::pid)
                    .toList();
        }

        void kill() {
            long pid = pid();
            signal("KILL");
            await(
                    name + " is dead",
                    10,
                    () -> ProcessHandle.of(pid).map(p -> !p.isAlive()).orElse(true));
        }

        void freeze() {
            signal("STOP");
        }

        void thaw() {
            signal("CONT");
        }

        private void signal(String signal) {
            Shell.sh(root, "kill -" + signal + " " + pid());
        }

        /** The machine falls silent: nothing is reset, nothing arrives. */
        void cut() {
            Shell.sh(root, "ip -n " + tag + "s link set p" + number + " down");
        }

        void reconnect() {
            Shell.sh(root, "ip -n " + tag + "s link set p" + number + " up");
        }

        private void remove() {
            for (long pid : pids()) Shell.run(root, Map.of(), List.of("kill", "-KILL", Long.toString(pid)));
            await(name + " is gone", 20, () -> pids().isEmpty());
            Shell.run(root, Map.of(), List.of("umount", "-l", mount.toString()));
            Shell.run(root, Map.of(), List.of("ip", "netns", "del", namespace));
        }
    }
}
