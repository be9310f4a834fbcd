// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.Surroundings;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The machine and terminal that a command runs on.
 *
 * @param terminal a person sees the output while it appears
 * @param directory where the command was given, absolute
 * @param launcher starts a daemon
 */
record Host(
        PrintWriter out,
        PrintWriter err,
        BufferedReader in,
        boolean terminal,
        Path directory,
        Map<String, String> environment,
        boolean root,
        Surroundings around,
        Supplier<MountTable> mounts,
        Launcher launcher) {
    /** Starts {@code wormhole daemon POD_TOML}, detached from this terminal. */
    @FunctionalInterface
    interface Launcher {
        /**
         * @param output takes what the process itself prints
         * @param passphrase goes to its standard input, which is empty without
         */
        Process start(Path podToml, Path output, Optional<String> passphrase) throws IOException;
    }

    static Host here() {
        var console = System.console();
        return new Host(
                new PrintWriter(System.out, true, StandardCharsets.UTF_8),
                new PrintWriter(System.err, true, StandardCharsets.UTF_8),
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)),
                console != null && console.isTerminal(),
                Path.of(System.getProperty("user.dir", "/")),
                System.getenv(),
                "root".equals(System.getProperty("user.name")),
                Surroundings.here(),
                MountTable::read,
                PodProcess::spawn);
    }

    /** Where the files of this machine's pods are: NETWORK/POD.pod.toml and NETWORK/network.toml. */
    Path configHome() {
        var declared = environment.get("WORMHOLE_CONFIG");
        if (declared != null && !declared.isEmpty())
            return directory.resolve(declared).normalize();
        if (root) return Path.of("/etc/wormhole");
        var config = environment.get("XDG_CONFIG_HOME");
        if (config != null && config.startsWith("/")) return Path.of(config, "wormhole");
        return Path.of(environment.getOrDefault("HOME", "/"), ".config", "wormhole");
    }

    Path absolute(Path path) {
        return directory.resolve(path).normalize();
    }

    /** Asks a person for what nobody else should see; empty without a terminal, or an answer. */
    Optional<String> askSecret(String question) {
        if (!terminal) return Optional.empty();
        var console = System.console();
        if (console == null) return Optional.empty();
        var answer = console.readPassword("%s: ", question);
        return answer == null || answer.length == 0 ? Optional.empty() : Optional.of(new String(answer));
    }

    /** Asks a person; no terminal is a no. */
    boolean agrees(String question) {
        if (!terminal) return false;
        out.print(question + " [y/N] ");
        out.flush();
        try {
            var answer = in.readLine();
            return answer != null && answer.strip().matches("(?i)y(es)?");
        } catch (IOException e) {
            return false;
        }
    }
}
