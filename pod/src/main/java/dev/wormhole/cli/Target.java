// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.control.ControlClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * The pod that a command is for.
 *
 * @param name for messages
 * @param pathInTree of the PATH argument, where one was given and lies in a mount
 */
record Target(String name, Path store, Optional<String> pathInTree) {
    /** How to name it. */
    static final class Options {
        @Option(
                names = "--pod",
                paramLabel = "POD",
                description =
                        "The pod to ask: POD or NETWORK/POD. Default: the one whose mount you are in, else the only"
                                + " one of this machine.")
        @Nullable String pod;

        @Option(names = "--store", paramLabel = "DIR", description = "The pod to ask, by its store.")
        @Nullable Path store;
    }

    ControlClient client() {
        return new ControlClient(store);
    }

    /** @param path argument of the command, or null */
    static Target find(Host host, Options options, @Nullable Path path) {
        var mounts = host.mounts().get();
        var inTree = path == null ? Optional.<InTree>empty() : inTree(host, mounts, path);
        var named = inTree.map(InTree::path);
        if (options.store != null) {
            var store = host.absolute(options.store);
            return new Target("at " + store, store, named);
        }
        var registry = new Registry(host);
        if (options.pod != null) {
            var entry = registry.find(options.pod);
            return new Target(entry.name(), registry.read(entry.file()).pod().store(), named);
        }
        if (path != null && inTree.isEmpty()) {
            throw new CliException(
                    ExitCode.FAILED, path + " is in no Wormhole folder", "the folders: " + folders(mounts));
        }
        var mount = inTree.map(InTree::mount)
                .or(() -> mounts.containing(host.directory()).filter(MountTable.Mount::isWormhole));
        var store = mount.flatMap(MountTable.Mount::store);
        if (mount.isPresent() && store.isPresent()) {
            return new Target("of " + mount.get().point(), store.get(), named);
        }
        var demo = Demo.around(host.directory());
        if (demo.isPresent()) {
            var first = demo.get().podToAsk();
            return new Target(first.name(), first.store(), named);
        }
        var entries = registry.entries();
        if (entries.size() == 1) {
            var entry = entries.getFirst();
            return new Target(entry.name(), registry.read(entry.file()).pod().store(), named);
        }
        throw entries.isEmpty()
                ? new CliException(ExitCode.UNREACHABLE, "this machine has no pod", registry.known())
                : new CliException(
                        ExitCode.USAGE,
                        "which pod? This machine has several and you are in the folder of none",
                        "cd into a mount, or say --pod NETWORK/POD; " + registry.known());
    }

    private record InTree(MountTable.Mount mount, String path) {}

    /** Without a stat inside the mount: its daemon may be dead. */
    private static Optional<InTree> inTree(Host host, MountTable mounts, Path given) {
        var path = host.absolute(given);
        var mount = mounts.containing(path).filter(MountTable.Mount::isWormhole);
        if (mount.isEmpty()) {
            try {
                var real = path.toRealPath();
                path = real;
                mount = mounts.containing(real).filter(MountTable.Mount::isWormhole);
            } catch (IOException e) {
                return Optional.empty();
            }
        }
        var inside = path;
        return mount.map(found -> new InTree(found, "/" + found.point().relativize(inside)));
    }

    private static String folders(MountTable mounts) {
        var points = mounts.mounts().stream()
                .filter(MountTable.Mount::isWormhole)
                .map(mount -> mount.point().toString())
                .toList();
        return points.isEmpty() ? "none is mounted here" : String.join(", ", points);
    }

    /** For the message when nobody answers. */
    boolean storeExists() {
        return Files.isDirectory(store);
    }
}
