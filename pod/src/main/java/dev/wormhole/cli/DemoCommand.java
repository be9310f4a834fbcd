// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.HostPort;
import dev.wormhole.config.NetworkConfig;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlClient;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.control.StartIntent;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "demo",
        description = {
            "Start a network of three pods on this machine, each with a folder of its own: DIR/pod-1, pod-2, pod-3.",
            "Run again, it starts what is not running, with the data that is there."
        })
final class DemoCommand extends Action {
    /** All pods in step, after each one is ready by itself. */
    private static final Duration USABLE_MAX = Duration.ofSeconds(90);

    /** A pod joins as soon as it has started. */
    private static final Duration INVITATION = Duration.ofMinutes(10);

    @Parameters(paramLabel = "DIR", arity = "0..1", description = "Default: ./wormhole-demo")
    private Path directory = Path.of("wormhole-demo");

    @Option(names = "--stop", description = "Stop the demo and remove everything that it made.")
    private boolean stop;

    @Option(names = "--pods", paramLabel = "N", description = "How many, 1 to 9. Default: 3.")
    private int count = 3;

    DemoCommand(Host host) {
        super(host);
    }

    @Override
    int run() throws IOException, ControlException, InterruptedException {
        var at = host.absolute(directory);
        var existing = Demo.load(at);
        if (stop) {
            if (existing.isEmpty()) {
                say("no demo in " + at);
                return ExitCode.OK;
            }
            return remove(existing.get());
        }
        if (count < 1 || count > Demo.PODS_MAX) {
            throw new CliException(ExitCode.USAGE, "--pods must be from 1 to " + Demo.PODS_MAX + ", not " + count, "");
        }
        return start(existing.orElseGet(() -> make(at)), existing.isEmpty());
    }

    private Demo make(Path at) {
        if (host.mounts()
                .get()
                .containing(at)
                .filter(MountTable.Mount::isWormhole)
                .isPresent()) {
            throw new CliException(
                    ExitCode.REFUSED, at + " is in a Wormhole folder", "name another: wormhole demo DIR");
        }
        if (Files.exists(Demo.home(at))) {
            throw new CliException(
                    ExitCode.REFUSED, Demo.home(at) + " exists and is no demo", "name another: wormhole demo DIR");
        }
        var demo = Demo.plan(at, !Files.exists(at), count, port -> MembershipCommands.isFree("127.0.0.1", port));
        for (var pod : demo.pods()) MembershipCommands.checkMount(host, pod.mount(), pod.store());
        demo.save();
        return demo;
    }

    private int start(Demo demo, boolean fresh) throws IOException, ControlException, InterruptedException {
        var copies = Math.min(2, demo.pods().size());
        var first = demo.pods().getFirst();
        try (var console = new Console(host)) {
            if (!Files.exists(demo.networkToml()))
                Registry.write(demo.networkToml(), network(demo, copies).toToml());
            var begun = System.nanoTime();
            var unfinished = demo.pods().stream()
                    .filter(pod -> !Files.exists(StoreFiles.log(pod.store())) || intends(pod))
                    .toList();
            // those that have a part in the network start at once: it may need all of them
            var processes = new LinkedHashMap<Demo.Pod, PodProcess>();
            for (var pod : demo.pods()) processes.put(pod, new PodProcess(host, pod.toml(), pod.config()));
            processes.forEach((pod, process) -> {
                if (!unfinished.contains(pod)) process.start(Optional.empty());
            });
            for (var entry : processes.entrySet()) {
                var pod = entry.getKey();
                var process = entry.getValue();
                console.progress("starting " + pod.name(), 0, 0);
                if (unfinished.contains(pod)) {
                    Registry.write(pod.toml(), pod.config().toToml());
                    StoreFiles.make(pod.store());
                    if (host.mounts().get().at(pod.mount()).isEmpty()) Files.createDirectories(pod.mount());
                    var intent = pod.equals(first)
                            ? new StartIntent.Create(Demo.NETWORK, Files.readString(demo.networkToml()))
                            : new StartIntent.Join(
                                    new HostPort("127.0.0.1", first.port()).toString(), invite(first, console));
                    intent.write(pod.store());
                    process.start(Optional.empty());
                }
                // one that joins needs the others, so each is waited for before the next one begins
                if (!unfinished.isEmpty()) process.awaitReady(console);
            }
            for (var process : processes.values()) process.awaitReady(console);
            var status = awaitUsable(demo, console);
            console.close();
            welcome(demo, copies, status, Duration.ofNanos(System.nanoTime() - begun));
            return ExitCode.OK;
        } catch (CliException e) {
            if (!fresh) throw e;
            throw new CliException(
                    e.exitCode(),
                    String.valueOf(e.getMessage()),
                    (e.hint() + "\nclean up with: wormhole demo --stop " + demo.directory()).strip(),
                    e);
        }
    }

    /** For one pod, at once. */
    private static String invite(Demo.Pod first, Console console) throws IOException, ControlException {
        var answer = new ControlClient(first.store())
                .call(
                        Commands.INVITE,
                        new Commands.InviteArguments(1, INVITATION.toSeconds(), "", false, false),
                        console);
        return Json.to(Commands.Invited.class, answer).token();
    }

    private static boolean intends(Demo.Pod pod) {
        return Files.exists(pod.store().resolve(StartIntent.FILE));
    }

    private static NetworkConfig network(Demo demo, int copies) {
        var defaults = NetworkConfig.DEFAULT;
        var redundancy = defaults.redundancy();
        return new NetworkConfig(
                new NetworkConfig.Network(
                        Demo.NETWORK,
                        Optional.empty(),
                        NetworkConfig.Join.TOKEN,
                        List.of(),
                        demo.pods().stream()
                                .map(pod -> new HostPort("127.0.0.1", pod.port()))
                                .toList(),
                        Optional.empty()),
                new NetworkConfig.Redundancy(
                        copies,
                        redundancy.minCopies(),
                        redundancy.spread(),
                        redundancy.replicationDelay(),
                        redundancy.rebuildAfter(),
                        redundancy.rebuildAfterIntermittent()),
                defaults.durability(),
                defaults.conflicts(),
                defaults.situations(),
                defaults.trash(),
                defaults.scrub(),
                defaults.notifications(),
                defaults.certificates(),
                defaults.rules());
    }

    /** Every pod sees all pods ready. */
    private NetworkStatus awaitUsable(Demo demo, Console console)
            throws IOException, ControlException, InterruptedException {
        var begun = System.nanoTime();
        console.prefix("");
        while (true) {
            var status = MembershipCommands.status(demo.pods().getFirst().store());
            var ready = status.pods().stream()
                    .filter(pod -> pod.state() == NetworkStatus.PodState.READY)
                    .count();
            if (ready == demo.pods().size()) return status;
            if (System.nanoTime() - begun > USABLE_MAX.toNanos()) {
                StateCommands.lines(status).forEach(host.err()::println);
                throw new CliException(
                        ExitCode.FAILED,
                        "only " + ready + " of " + demo.pods().size() + " pods are ready after "
                                + USABLE_MAX.toSeconds() + " s",
                        "their logs: " + Demo.home(demo.directory()) + "/pod-*/log/pod.log");
            }
            console.progress(ready + " of " + demo.pods().size() + " pods are ready", 0, 0);
            Thread.sleep(50);
        }
    }

    private void welcome(Demo demo, int copies, NetworkStatus status, Duration took) {
        var program = host.environment().getOrDefault("WORMHOLE_PROGRAM", "wormhole");
        var directory = demo.directory();
        say("%d pods share one folder, with %d copies of every file (%.1f s):"
                .formatted(demo.pods().size(), copies, took.toMillis() / 1000.0));
        for (var pod : demo.pods()) say("  " + pod.mount());
        say("");
        StateCommands.podTable(status.pods()).forEach(this::say);
        say("");
        say("Try:");
        var last = demo.pods().getLast();
        say("  echo hello > " + directory.resolve("pod-1/hello") + "; cat "
                + last.mount().resolve("hello"));
        say("  " + program + " explain " + directory.resolve("pod-1/hello"));
        if (demo.pods().size() > 1) {
            var victim = status.pods().stream()
                    .filter(pod -> pod.name().equals(last.name()) && pod.pid() > 0)
                    .findFirst();
            victim.ifPresent(pod -> say("  kill -9 " + pod.pid() + "    # " + pod.name() + " dies; the others go on"));
        }
        say("  " + program + " demo " + directory + "    # starts what is not running");
        say("  " + program + " demo --stop " + directory + "    # removes all of it");
    }

    /** Everything that it made, and nothing else. */
    private int remove(Demo demo) throws IOException, InterruptedException {
        try (var console = new Console(host)) {
            for (var pod : demo.pods()) {
                PodProcess.stop(pod.store(), pod.name(), true, Duration.ofSeconds(5), console);
            }
        }
        for (var pod : demo.pods()) {
            if (!PodProcess.unmount(host, pod.mount())) {
                throw new CliException(ExitCode.FAILED, "cannot unmount " + pod.mount(), "umount -l " + pod.mount());
            }
            removeEmpty(pod.mount());
        }
        PodProcess.delete(host, Demo.home(demo.directory()));
        if (demo.madeDirectory()) removeEmpty(demo.directory());
        say("the demo in " + demo.directory() + " is removed");
        return ExitCode.OK;
    }

    private void removeEmpty(Path folder) throws IOException {
        try {
            Files.delete(folder);
        } catch (NoSuchFileException e) {
            return;
        } catch (DirectoryNotEmptyException e) {
            say(folder + " stays: it holds files that the demo did not make");
        }
    }
}
