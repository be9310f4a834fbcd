// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.Parsed;
import dev.wormhole.config.PodConfig;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** The pods of this machine: their files below the configuration folder. */
final class Registry {
    static final String SUFFIX = ".pod.toml";
    private final Host host;
    private final Path home;

    Registry(Host host) {
        this.host = host;
        this.home = host.configHome();
    }

    /**
     * @param network the name of the folder: the network's, or the address for a pod that has not joined yet
     * @param pod the name of the file
     */
    record Entry(Path file, String network, String pod) {
        String name() {
            return network + "/" + pod;
        }
    }

    Path podFile(String network, String pod) {
        return home.resolve(network).resolve(pod + SUFFIX);
    }

    Path networkFile(String network) {
        return home.resolve(network).resolve("network.toml");
    }

    List<Entry> entries() {
        var entries = new ArrayList<Entry>();
        if (!Files.isDirectory(home)) return entries;
        try (var networks = Files.newDirectoryStream(home, Files::isDirectory)) {
            for (var network : networks) {
                try (var files = Files.newDirectoryStream(network, "*" + SUFFIX)) {
                    for (var file : files) {
                        var name = file.getFileName().toString();
                        entries.add(new Entry(
                                file,
                                network.getFileName().toString(),
                                name.substring(0, name.length() - SUFFIX.length())));
                    }
                }
            }
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot read " + home + ": " + e.getMessage(), "", e);
        }
        entries.sort(Comparator.comparing(Entry::name));
        return entries;
    }

    /** @param name POD or NETWORK/POD */
    Entry find(String name) {
        var found = entries().stream()
                .filter(entry -> entry.name().equals(name) || entry.pod().equals(name))
                .toList();
        if (found.size() == 1) return found.getFirst();
        if (found.isEmpty()) {
            throw new CliException(ExitCode.FAILED, "no pod " + name + " on this machine", known());
        }
        throw new CliException(
                ExitCode.USAGE,
                "several pods are called " + name,
                "name one of: "
                        + String.join(", ", found.stream().map(Entry::name).toList()));
    }

    /** For hints. */
    String known() {
        var names = entries().stream().map(Entry::name).toList();
        return names.isEmpty()
                ? "this machine has no pod yet: wormhole create NAME --mount DIR, or wormhole join ADDRESS --mount DIR"
                : "the pods of this machine: " + String.join(", ", names);
    }

    /** Reads a pod's file; its errors end the command. */
    PodConfig read(Path file) {
        try {
            return switch (PodConfig.parse(shown(file), Files.readString(file), host.around())) {
                case Parsed.Good<PodConfig> good -> good.value();
                case Parsed.Bad<PodConfig> bad -> throw new CliException(ExitCode.CONFIG, bad.report(), "");
            };
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot read " + file + ": " + reason(e), "", e);
        }
    }

    /** A path as short as a person can still use it. */
    private String shown(Path file) {
        return file.startsWith(host.directory())
                ? host.directory().relativize(file).toString()
                : file.toString();
    }

    /** Replaces a file whole. */
    static void write(Path file, String text) {
        try {
            if (file.getParent() instanceof Path parent) Files.createDirectories(parent);
            var temporary = file.resolveSibling(file.getFileName() + ".new");
            Files.write(temporary, text.getBytes(StandardCharsets.UTF_8));
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot write " + file + ": " + reason(e), "", e);
        }
    }

    /** Removes a pod's file and, with the last one, the network's folder. */
    void remove(Path file) {
        try {
            Files.deleteIfExists(file);
            var folder = file.getParent();
            if (folder == null || !folder.startsWith(home) || !Files.isDirectory(folder)) return;
            try (var left = Files.newDirectoryStream(folder, "*" + SUFFIX)) {
                if (left.iterator().hasNext()) return;
            }
            Files.deleteIfExists(folder.resolve("network.toml"));
            try (var left = Files.newDirectoryStream(folder)) {
                if (left.iterator().hasNext()) return;
            }
            Files.delete(folder);
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot remove " + file + ": " + reason(e), "", e);
        }
    }

    /** File exceptions say only a path as their message. */
    static String reason(IOException e) {
        return switch (e) {
            case java.nio.file.NoSuchFileException _ -> "there is no such file or folder";
            case java.nio.file.AccessDeniedException _ -> "permission denied";
            case java.nio.file.FileAlreadyExistsException _ -> "it exists already";
            default -> String.valueOf(e.getMessage());
        };
    }
}
