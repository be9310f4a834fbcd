// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.HostPort;
import dev.wormhole.config.PodConfig;
import dev.wormhole.config.Size;
import dev.wormhole.control.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.IntPredicate;

/**
 * Where the pods of a demo are: mounts {@code DIR/pod-N}, all else in {@code DIR/.wormhole}, with {@code demo.json} to
 * remember ports and what was made.
 *
 * @param directory absolute
 * @param madeDirectory DIR did not exist before: it goes with the demo
 */
record Demo(Path directory, boolean madeDirectory, List<Pod> pods) {
    static final String NETWORK = "demo";
    /** A demo never fills the disk. */
    static final Size LIMIT = Size.parse("10GB");

    static final int PODS_MAX = 9;

    Demo {
        pods = List.copyOf(pods);
    }

    /** @param port on 127.0.0.1; the next one is left free too, for the pod's own use */
    record Pod(String name, int port, Path toml, Path store, Path mount) {
        PodConfig config() {
            var config = PodConfig.of(name, Optional.of(mount), store, new HostPort("127.0.0.1", port))
                    .withNetwork(NETWORK);
            return config.withStorage(new PodConfig.Storage(
                    LIMIT.bytes(), config.storage().keepFree(), Optional.empty(), List.of(), false, Optional.empty()));
        }
    }

    /** The bytes of demo.json. */
    record Form(boolean madeDirectory, List<Integer> ports) {}

    static Path home(Path directory) {
        return directory.resolve(".wormhole");
    }

    static Path form(Path directory) {
        return home(directory).resolve("demo.json");
    }

    Path networkToml() {
        return home(directory).resolve("network.toml");
    }

    /** @param isFree says of a port whether it can be used */
    static Demo plan(Path directory, boolean madeDirectory, int count, IntPredicate isFree) {
        var ports = new ArrayList<Integer>();
        for (var port = 17420; ports.size() < count; port += 2) {
            if (port > 65000) throw new CliException(ExitCode.FAILED, "no free ports on 127.0.0.1", "");
            if (isFree.test(port) && isFree.test(port + 1)) ports.add(port);
        }
        return of(directory, new Form(madeDirectory, ports));
    }

    private static Demo of(Path directory, Form form) {
        var pods = new ArrayList<Pod>();
        for (var i = 0; i < form.ports.size(); i++) {
            var name = "pod-" + (i + 1);
            pods.add(new Pod(
                    name,
                    form.ports.get(i),
                    home(directory).resolve(name + Registry.SUFFIX),
                    home(directory).resolve(name),
                    directory.resolve(name)));
        }
        return new Demo(directory, form.madeDirectory, pods);
    }

    void save() {
        Registry.write(
                form(directory),
                Json.pretty(new Form(madeDirectory, pods.stream().map(Pod::port).toList())) + "\n");
    }

    /** Of a directory that has one. */
    static Optional<Demo> load(Path directory) {
        try {
            var form = Json.read(Form.class, Files.readString(form(directory)));
            return Optional.of(of(directory, new Form(form.madeDirectory, List.copyOf(form.ports))));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot read " + form(directory) + ": " + e.getMessage(), "", e);
        }
    }

    /** Of the nearest directory upwards. */
    static Optional<Demo> around(Path directory) {
        for (var at = directory; at != null; at = at.getParent()) {
            if (Files.exists(form(at))) return load(at);
        }
        return Optional.empty();
    }

    /** One that runs, else the first. */
    Pod podToAsk() {
        for (var pod : pods) {
            try {
                if (dev.wormhole.control.StoreFiles.runningDaemon(pod.store).isPresent()) return pod;
            } catch (IOException e) {
                // the next one may be readable
            }
        }
        return pods.getFirst();
    }
}
