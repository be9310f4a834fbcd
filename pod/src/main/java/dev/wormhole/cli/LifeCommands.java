// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Starting and stopping the pods of this machine. */
final class LifeCommands {
    private LifeCommands() {}

    @Command(
            name = "up",
            description =
                    "Start pods of this machine and return when their folders work. Without arguments: all of them.")
    static final class Up extends Action {
        @Parameters(paramLabel = "POD", arity = "0..*", description = "POD, NETWORK/POD, or the path of a pod.toml.")
        List<String> pods = List.of();

        @Mixin
        PassphraseOptions passphrase = new PassphraseOptions();

        Up(Host host) {
            super(host);
        }

        @Override
        int run() throws InterruptedException {
            var registry = new Registry(host);
            var files = new ArrayList<Path>();
            for (var pod : pods) {
                files.add(
                        pod.endsWith(".toml")
                                ? host.absolute(Path.of(pod))
                                : registry.find(pod).file());
            }
            if (pods.isEmpty()) {
                registry.entries().forEach(entry -> files.add(entry.file()));
                if (files.isEmpty()) throw new CliException(ExitCode.FAILED, "nothing to start", registry.known());
            }
            var processes = new ArrayList<PodProcess>();
            for (var file : files) processes.add(new PodProcess(host, file, registry.read(file)));
            var failures = new LinkedHashMap<String, CliException>();
            try (var console = new Console(host)) {
                for (var process : processes) {
                    try {
                        process.start(
                                process.runs()
                                        ? Optional.empty()
                                        : passphrase.of(host, process.name(), process.store()));
                    } catch (CliException e) {
                        failures.put(process.name(), e);
                    }
                }
                for (var process : processes) {
                    if (failures.containsKey(process.name())) continue;
                    try {
                        process.awaitReady(console);
                        console.close();
                        say("pod " + process.name() + " is up");
                    } catch (CliException e) {
                        failures.put(process.name(), e);
                    }
                }
            }
            var all = List.copyOf(failures.values());
            for (var failure : all.subList(0, Math.max(0, all.size() - 1))) {
                host.err().println("wormhole: " + failure.getMessage());
                failure.hint().lines().forEach(line -> host.err().println("  " + line));
            }
            if (!all.isEmpty()) throw all.getLast();
            return ExitCode.OK;
        }
    }

    @Command(name = "down", description = "Stop pods of this machine, in good order.")
    static final class Down extends Action {
        @Parameters(
                paramLabel = "POD",
                arity = "0..*",
                description = "POD or NETWORK/POD. Default: the pod whose mount you are in, else the only one.")
        List<String> pods = List.of();

        @Option(names = "--all", description = "All pods of this machine.")
        boolean all;

        @Option(names = "--force", description = "End a pod that does not stop. What was fsynced is safe.")
        boolean force;

        @Mixin
        Target.Options options = new Target.Options();

        Down(Host host) {
            super(host);
        }

        @Override
        int run() throws InterruptedException {
            var registry = new Registry(host);
            var stores = new LinkedHashMap<Path, String>();
            if (all) {
                for (var entry : registry.entries()) {
                    stores.put(registry.read(entry.file()).pod().store(), entry.name());
                }
            } else if (pods.isEmpty()) {
                var target = Target.find(host, options, null);
                stores.put(target.store(), target.name());
            } else {
                for (var pod : pods) {
                    var file = pod.endsWith(".toml")
                            ? host.absolute(Path.of(pod))
                            : registry.find(pod).file();
                    stores.put(registry.read(file).pod().store(), pod);
                }
            }
            try (var console = new Console(host)) {
                for (var pod : stores.entrySet()) {
                    PodProcess.stop(pod.getKey(), pod.getValue(), force, Duration.ofSeconds(force ? 5 : 60), console);
                    console.close();
                    say("pod " + pod.getValue() + " is down");
                }
            }
            return ExitCode.OK;
        }
    }
}
