// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.ConfigError;
import dev.wormhole.config.NetworkConfig;
import dev.wormhole.config.Parsed;
import dev.wormhole.config.PodConfig;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Files of networks and pods. */
final class ConfigCommands {
    private ConfigCommands() {}

    /** A file of either kind, told apart by its name, else by what is in it. */
    private static boolean isPodFile(Path file, String text) {
        var name = String.valueOf(file.getFileName());
        if (name.endsWith("pod.toml")) return true;
        if (name.endsWith("network.toml")) return false;
        return text.lines()
                .anyMatch(line ->
                        line.strip().matches("\\[\\[?(pod|storage|cache|keep|affinity|disconnected|limits)\\b.*"));
    }

    @Command(name = "config", mixinStandardHelpOptions = true, description = "Check and show configuration files.")
    static final class Config implements Runnable {
        @Spec
        @SuppressWarnings("NullAway.Init") // picocli sets it
        private CommandSpec spec;

        @Override
        public void run() {
            throw new CommandLine.ParameterException(spec.commandLine(), "which one: check or show?");
        }
    }

    @Command(
            name = "check",
            description = "Check files and say all that is wrong, with line and column. Changes nothing.")
    static final class Check extends Action {
        @Parameters(paramLabel = "FILE", arity = "1..*", description = "A network.toml or pod.toml.")
        List<Path> files = List.of();

        Check(Host host) {
            super(host);
        }

        @Override
        int run() {
            var errors = new ArrayList<ConfigError>();
            for (var file : files) {
                String text;
                try {
                    text = Files.readString(host.absolute(file));
                } catch (IOException e) {
                    throw new CliException(ExitCode.FAILED, "cannot read " + file + ": " + Registry.reason(e), "", e);
                }
                var pod = isPodFile(file, text);
                var found = pod
                        ? PodConfig.parse(file.toString(), text, host.around()).errors()
                        : NetworkConfig.parse(file.toString(), text).errors();
                errors.addAll(found);
                if (found.isEmpty()) say(file + ": a good " + (pod ? "pod" : "network") + " file");
            }
            errors.forEach(error -> host.err().println(error));
            return errors.isEmpty() ? ExitCode.OK : ExitCode.CONFIG;
        }
    }

    @Command(
            name = "show",
            description = "Print a configuration with all its defaults: of a file, or of the network as it runs.")
    static final class Show extends Action {
        @Parameters(
                paramLabel = "FILE",
                arity = "0..1",
                description = "A network.toml or pod.toml. Default: the network's.")
        @Nullable Path file;

        @Mixin
        Target.Options options = new Target.Options();

        Show(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            if (file == null) {
                var target = Target.find(host, options, null);
                host.out().print(network("(the network)", running(target)).toToml());
                return ExitCode.OK;
            }
            var path = host.absolute(file);
            String text;
            try {
                text = Files.readString(path);
            } catch (IOException e) {
                throw new CliException(ExitCode.FAILED, "cannot read " + file + ": " + Registry.reason(e), "", e);
            }
            host.out()
                    .print(
                            isPodFile(path, text)
                                    ? new Registry(host).read(path).toToml()
                                    : network(file.toString(), text).toToml());
            return ExitCode.OK;
        }
    }

    private static String running(Target target) throws IOException, ControlException {
        return Json.to(Commands.ConfigText.class, target.client().call(Commands.CONFIG))
                .toml();
    }

    private static NetworkConfig network(String name, String text) {
        return switch (NetworkConfig.parse(name, text)) {
            case Parsed.Good<NetworkConfig>(var config) -> config;
            case Parsed.Bad<NetworkConfig> bad -> throw new CliException(ExitCode.CONFIG, bad.report(), "");
        };
    }

    @Command(
            name = "apply",
            description =
                    "Make a network.toml the network's configuration: shows what changes, asks where safety is lost.")
    static final class Apply extends Action {
        @Parameters(paramLabel = "FILE", description = "The network.toml.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        Path file;

        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--yes", description = "Do not ask.")
        boolean yes;

        @Option(names = "--dry-run", description = "Only show what would change.")
        boolean dryRun;

        Apply(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            String text;
            try {
                text = Files.readString(host.absolute(file));
            } catch (IOException e) {
                throw new CliException(ExitCode.FAILED, "cannot read " + file + ": " + Registry.reason(e), "", e);
            }
            var wished = network(file.toString(), text);
            var target = Target.find(host, options, null);
            var differences = NetworkConfig.diff(network("(the network)", running(target)), wished);
            // Who administers is in the log too, and may differ where an apply was interrupted.
            if (differences.isEmpty() && wished.network().adminPods().isEmpty()) {
                say("nothing to change");
                return ExitCode.OK;
            }
            for (var difference : differences) {
                say((difference.losesSafety() ? "! " : "  ")
                        + difference.text()
                        + (difference.losesSafety() ? "   (less safe)" : ""));
            }
            if (differences.stream().anyMatch(NetworkConfig.Difference::impossible)) {
                throw new CliException(ExitCode.REFUSED, "this cannot be changed; nothing was applied", "");
            }
            if (dryRun) return ExitCode.OK;
            if (differences.stream().anyMatch(NetworkConfig.Difference::losesSafety)
                    && !yes
                    && !host.agrees("Data will be less safe than before. Apply?")) {
                throw new CliException(ExitCode.REFUSED, "nothing was applied", "say --yes to accept less safety");
            }
            try (var console = new Console(host)) {
                target.client().call(Commands.APPLY, new Commands.ConfigText(text), console);
            }
            say("applied");
            return ExitCode.OK;
        }
    }
}
