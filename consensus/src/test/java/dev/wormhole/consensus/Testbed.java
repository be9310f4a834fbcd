// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * Members of one log as processes, each in a network namespace of its own on a common bridge, so that a member can be
 * killed, stopped and cut off. Needs root and fails without it. Everything made here goes with {@link #close}.
 */
final class Testbed implements AutoCloseable {
    private static final AtomicInteger BEDS = new AtomicInteger();

    final Path directory;
    final UUID group = UUID.randomUUID();
    private final String name = "wl" + ProcessHandle.current().pid() % 100_000 + "x" + BEDS.incrementAndGet();
    private final boolean isolated;
    private final List<String> options;
    private final List<String> namespaces = new ArrayList<>();
    private final Map<Integer, Node> nodes = new LinkedHashMap<>();
    private final Object told = new Object(); // notified by every event of every node

    Testbed(Path directory, boolean isolated, String... options) throws Exception {
        this.directory = directory;
        this.isolated = isolated;
        this.options = List.of(options);
        if (!isolated) return;
        namespace("hub");
        inside("hub", "ip", "link", "add", "br0", "type", "bridge");
        inside("hub", "ip", "link", "set", "br0", "up");
    }

    private void namespace(String part) throws Exception {
        run("ip", "netns", "add", name + part);
        namespaces.add(name + part);
        inside(part, "ip", "link", "set", "lo", "up");
    }

    private void inside(String part, String... command) throws Exception {
        List<String> all = new ArrayList<>(List.of("ip", "netns", "exec", name + part));
        all.addAll(List.of(command));
        run(all.toArray(String[]::new));
    }

    static void run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) throw new IOException(String.join(" ", command) + ": " + output);
    }

    Node node(int number) throws Exception {
        Node node = nodes.get(number);
        if (node == null) {
            node = new Node(number);
            nodes.put(number, node);
            if (isolated) {
                namespace("n" + number);
                run(
                        "ip",
                        "link",
                        "add",
                        "v" + number,
                        "netns",
                        name + "hub",
                        "type",
                        "veth",
                        "peer",
                        "name",
                        "eth0",
                        "netns",
                        name + "n" + number);
                inside("hub", "ip", "link", "set", "v" + number, "master", "br0", "up");
                inside("n" + number, "ip", "addr", "add", node.ip + "/16", "dev", "eth0");
                inside("n" + number, "ip", "link", "set", "eth0", "up");
            }
        }
        return node;
    }

    /** One member; a process while it runs. */
    final class Node {
        final int number;
        private String ip;
        private final int port;
        private @Nullable Process process;
        private @Nullable Writer input;
        private final AtomicInteger ids = new AtomicInteger();
        private Map<String, CompletableFuture<String>> waiting = new ConcurrentHashMap<>();
        private @Nullable String leader; // guarded by told
        private boolean open; // guarded by told
        final List<String> complaints = new ArrayList<>(); // guarded by told

        private Node(int number) throws IOException {
            this.number = number;
            this.ip = isolated ? "10.77.0." + number : "127.0.0.1";
            this.port = isolated ? 7000 : freePort();
        }

        String address() {
            return "p" + number + "@" + ip + ":" + port;
        }

        Node start(Settings.Start start) throws Exception {
            List<String> command = new ArrayList<>();
            if (isolated) command.addAll(List.of("ip", "netns", "exec", name + "n" + number));
            command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
            command.addAll(List.of(
                    "-Xmx96m",
                    "-XX:MaxDirectMemorySize=64m",
                    "-XX:+UseSerialGC",
                    "--enable-native-access=ALL-UNNAMED",
                    "--sun-misc-unsafe-memory-access=allow",
                    "-XX:-UsePerfData"));
            if (isolated) command.add("-XX:TieredStopAtLevel=1"); // short lives on a small machine
            if (Boolean.getBoolean("loud")) command.add("-Dloud=true");
            command.addAll(List.of(
                    "-cp",
                    System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                    RaftTool.class.getName(),
                    directory.resolve("p" + number).toString(),
                    group.toString(),
                    address(),
                    start.name()));
            command.addAll(options);
            ProcessBuilder builder = new ProcessBuilder(command)
                    .redirectError(ProcessBuilder.Redirect.appendTo(
                            directory.resolve("p" + number + ".err").toFile()));
            builder.environment().put("MALLOC_ARENA_MAX", "2");
            Process started = builder.start();
            Map<String, CompletableFuture<String>> answers = new ConcurrentHashMap<>();
            synchronized (told) {
                process = started;
                waiting = answers;
                input = started.outputWriter(StandardCharsets.UTF_8);
                leader = null;
                open = false;
            }
            Thread.ofPlatform().daemon().start(() -> listen(started, answers));
            await("open of p" + number, Duration.ofSeconds(60), () -> {
                if (!started.isAlive()) throw new IllegalStateException("p" + number + " died:\n" + errors());
                return open;
            });
            return this;
        }

        private void listen(Process from, Map<String, CompletableFuture<String>> answers) {
            try (BufferedReader in =
                    new BufferedReader(new InputStreamReader(from.getInputStream(), StandardCharsets.UTF_8))) {
                for (String line; (line = in.readLine()) != null; ) {
                    String[] words = line.split(" ", 3);
                    if (words[0].equals("!")) {
                        synchronized (told) {
                            if (from == process) {
                                switch (words[1]) {
                                    case "leader" -> leader = words[2];
                                    case "open" -> open = true;
                                    default -> complaints.add(line);
                                }
                            }
                            told.notifyAll();
                        }
                        continue;
                    }
                    CompletableFuture<String> answer = answers.remove(words[0]);
                    if (answer == null) { // the JVM itself warns on its standard output
                        System.err.println("p" + number + " says unasked: " + line);
                        continue;
                    }
                    String value = words.length > 2 ? words[2] : "";
                    if (words[1].equals("ok")) answer.complete(value);
                    else answer.completeExceptionally(new IOException(value));
                }
            } catch (IOException e) {
                // the process was killed
            }
            for (CompletableFuture<String> answer : answers.values()) {
                answer.completeExceptionally(new IOException("p" + number + " ended"));
            }
            synchronized (told) {
                if (from == process) leader = null;
                told.notifyAll();
            }
        }

        CompletableFuture<String> ask(String command) {
            String id = "q" + ids.incrementAndGet();
            CompletableFuture<String> answer = new CompletableFuture<>();
            Writer to;
            synchronized (told) {
                to = input;
                waiting.put(id, answer);
            }
            if (to == null) throw new IllegalStateException("p" + number + " does not run");
            try {
                synchronized (to) {
                    to.write(id + " " + command + "\n");
                    to.flush();
                }
            } catch (IOException e) {
                answer.completeExceptionally(e);
            }
            return answer;
        }

        String tell(String command) throws Exception {
            try {
                return ask(command).get(90, TimeUnit.SECONDS);
            } catch (ExecutionException e) {
                throw new IOException("p" + number + " " + command + ": " + e.getCause(), e);
            } catch (TimeoutException e) {
                throw new IOException("p" + number + " " + command + ": no answer\n" + threads() + errors(), e);
            }
        }

        /** Where the threads of the process stand. */
        private String threads() throws IOException {
            Process jcmd = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "jcmd")
                                    .toString(),
                            Long.toString(running().pid()),
                            "Thread.print")
                    .redirectErrorStream(true)
                    .start();
            return new String(jcmd.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }

        String[] status() throws Exception {
            return tell("status").split(" ", 9);
        }

        void kill() throws Exception {
            Process running = running();
            running.destroyForcibly().waitFor();
        }

        void signal(String which) throws Exception {
            run("kill", "-" + which, Long.toString(running().pid()));
        }

        /** Cuts this node's cable, or mends it. */
        void link(boolean up) throws Exception {
            inside("hub", "ip", "link", "set", "v" + number, up ? "up" : "down");
        }

        /** The machine moves: a new address, the old one gone. */
        void move(String newIp) throws Exception {
            inside("n" + number, "ip", "addr", "flush", "dev", "eth0");
            inside("n" + number, "ip", "addr", "add", newIp + "/16", "dev", "eth0");
            ip = newIp;
        }

        Process running() {
            synchronized (told) {
                if (process == null) throw new IllegalStateException("p" + number + " was never started");
                return process;
            }
        }

        String errors() {
            try {
                String all = Files.readString(directory.resolve("p" + number + ".err"));
                return all.substring(Math.max(0, all.length() - 4000));
            } catch (IOException e) {
                return e.toString();
            }
        }

        @Override
        public String toString() {
            return "p" + number;
        }
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    /** Waits for events until the condition holds. */
    void await(String what, Duration most, Condition condition) throws Exception {
        long end = System.nanoTime() + most.toNanos();
        synchronized (told) {
            while (!condition.holds()) {
                long left = (end - System.nanoTime()) / 1_000_000;
                if (left <= 0) throw new AssertionError("not within " + most + ": " + what + diagnosis());
                told.wait(Math.min(left, 200));
            }
        }
    }

    private String diagnosis() {
        StringBuilder text = new StringBuilder();
        for (Node node : nodes.values()) {
            text.append("\n-- ")
                    .append(node)
                    .append(" sees leader ")
                    .append(node.leader)
                    .append("\n")
                    .append(node.errors());
        }
        return text.toString();
    }

    /** The node that says of itself that it leads and is ready, other than those named. */
    Node leader(Node... except) throws Exception {
        List<Node> out = Arrays.asList(except);
        Node[] found = new Node[1];
        await("a leader", Duration.ofSeconds(30), () -> {
            for (Node node : nodes.values()) {
                if (!out.contains(node) && ("p" + node.number).equals(node.leader)) found[0] = node;
            }
            return found[0] != null;
        });
        return found[0];
    }

    /** Appends through whoever leads, again and again until it is acknowledged; so it may be there twice. */
    long append(String text, Node... except) throws Exception {
        long end = System.nanoTime() + Duration.ofSeconds(40).toNanos();
        while (true) {
            Node leader = leader(except);
            try {
                return Long.parseLong(leader.ask("append " + text).get(30, TimeUnit.SECONDS));
            } catch (ExecutionException e) {
                if (System.nanoTime() > end) throw e;
                synchronized (told) {
                    told.wait(20);
                }
            }
        }
    }

    /** One founder, then voters one by one. */
    List<Node> voters(int count) throws Exception {
        List<Node> all = new ArrayList<>();
        List<String> names = new ArrayList<>();
        for (int i = 1; i <= count; i++) {
            Node node = node(i).start(i == 1 ? Settings.Start.FOUND : Settings.Start.JOIN);
            all.add(node);
            names.add(node.address());
            if (i > 1) members(String.join(",", names), "-");
        }
        return all;
    }

    /** Sets the members through whoever leads, again when leadership was lost on the way, as it may be under load. */
    void members(String voters, String listeners) throws Exception {
        long end = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (true) {
            try {
                leader().tell("members " + voters + " " + listeners);
                return;
            } catch (IOException e) {
                if (System.nanoTime() > end) throw e;
                synchronized (told) {
                    told.wait(100);
                }
            }
        }
    }

    /** All have applied the index, and their states are the same. */
    void assertSame(long index, List<Node> members) throws Exception {
        List<String> summaries = new ArrayList<>();
        for (Node member : members) member.tell("await " + index);
        for (Node member : members) {
            String[] words = member.tell("summary").split(" ", -1);
            summaries.add(words[0] + " " + words[1]);
        }
        if (summaries.stream().distinct().count() != 1) throw new AssertionError("states differ: " + summaries);
    }

    List<String> complaints() {
        synchronized (told) {
            return nodes.values().stream().flatMap(n -> n.complaints.stream()).toList();
        }
    }

    @Override
    public void close() throws Exception {
        for (Node node : nodes.values()) {
            Process process = node.process;
            if (process != null) process.destroyForcibly().waitFor();
        }
        for (String namespace : namespaces) run("ip", "netns", "del", namespace);
    }

    static int freePort() throws IOException {
        try (java.net.ServerSocket socket =
                new java.net.ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }
}
