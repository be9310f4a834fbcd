// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.NetworkConfig;
import dev.wormhole.config.PodConfig;
import dev.wormhole.config.Surroundings;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.control.StartIntent;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Incarnation;
import dev.wormhole.testkit.Fuzz;
import dev.wormhole.transfer.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Bytes from other pods, from the local network, from files and from the control socket, as nobody would write them. */
final class CallsFuzzTest {
    private static PodState state(int number) {
        return new PodState(
                new Incarnation(number),
                77,
                1 << 20,
                1L << 40,
                1L << 39,
                4711,
                "/srv/wormhole",
                "/mnt",
                PodState.Stage.READY,
                200 << 20,
                100_000,
                "");
    }

    @Test
    void heartbeats() throws Exception {
        var to = Messages.writer();
        ClusterView.write(
                to,
                List.of(
                        new ClusterView.Seen(state(1), Presence.PRESENT, 3),
                        new ClusterView.Seen(state(300), Presence.LATE, 70_000)));
        Fuzz.of("answer to a heartbeat", to.toBytes())
                .run(
                        bytes -> {
                            var from = Messages.reader(bytes);
                            var seen = ClusterView.read(from);
                            from.end();
                            var again = Messages.writer();
                            ClusterView.write(again, seen);
                            return again.toBytes();
                        },
                        IOException.class);
    }

    @Test
    void whereabouts() throws Exception {
        var to = Messages.writer();
        new Whereabouts.Place(3L << 24 | 1, List.of("10.0.0.1:7420", "[2001:db8::1]:7420", "nas-1.local:7420"))
                .write(to);
        Fuzz.of("whereabouts", to.toBytes())
                .run(
                        bytes -> {
                            var from = Messages.reader(bytes);
                            var place = Whereabouts.Place.read(from);
                            from.end();
                            // Each of them can be dialled, and has a port above it for the log.
                            for (var address : place.addresses()) {
                                var unused = Steward.logAddress(address);
                            }
                            var again = Messages.writer();
                            place.write(again);
                            return again.toBytes();
                        },
                        IOException.class);
    }

    @Test
    void announcements() throws Exception {
        var hello = new Discovery.Hello(Discovery.tag(new UUID(1, 2)), new Incarnation(7), 7420, 5L << 24);
        Fuzz.of("announcement", hello.encode()).allocating(64 << 10).run(bytes -> {
            var decoded = Discovery.Hello.decode(ByteBuffer.wrap(bytes));
            return decoded.isEmpty() ? null : decoded.get().encode();
        });
    }

    @Test
    void configuration() throws Exception {
        var around = new Surroundings("host", false, Path.of("/srv"), List.of("10.0.0.1"));
        var pod = """
                [pod]
                name = "nas-1"
                listen = "0.0.0.0:7420"
                advertise = ["nas-1.local:7420"]
                store = "/srv/wormhole"
                mount = "/mnt/net"
                [storage]
                limit = "4TB"
                keep_free = "5%, at most 1GB"
                [disconnected]
                after = "5s"
                [mount]
                owner = "names"
                [mount.users]
                alice = 1000
                """.getBytes(StandardCharsets.UTF_8);
        var network = NetworkConfig.DEFAULT.toToml().getBytes(StandardCharsets.UTF_8);
        Fuzz.of("pod.toml", pod).allocating(16 << 20).run(bytes -> {
            PodConfig.parse("p", new String(bytes, StandardCharsets.UTF_8), around);
            return null;
        });
        Fuzz.of("network.toml", network).allocating(32 << 20).run(bytes -> {
            NetworkConfig.parse("n", new String(bytes, StandardCharsets.UTF_8));
            return null;
        });
    }

    @Test
    void whatThePodIsToDoAtItsFirstStart(@TempDir Path store) throws Exception {
        new StartIntent.Join("10.0.0.1:7420", "A".repeat(48)).write(store);
        var join = Files.readAllBytes(store.resolve(StartIntent.FILE));
        new StartIntent.Create("net", "[network]\nname = \"net\"\n").write(store);
        var create = Files.readAllBytes(store.resolve(StartIntent.FILE));
        Fuzz.of("start.json", join, create)
                .run(
                        bytes -> {
                            Files.write(store.resolve(StartIntent.FILE), bytes);
                            StartIntent.read(store);
                            return null;
                        },
                        IOException.class);
    }

    /** Requests on the control socket, and the status that a leader sends, are JSON; it may be nested without end. */
    @Test
    void json() throws Exception {
        var request =
                "{\"command\": \"status\", \"arguments\": {\"path\": \"/a\", \"yes\": true, \"n\": [1, 2.5e9, null]}}";
        var deep = "[".repeat(5000) + "{\"a\":".repeat(2000);
        Fuzz.of(
                        "request on the control socket",
                        request.getBytes(StandardCharsets.UTF_8),
                        "{}".getBytes(StandardCharsets.UTF_8))
                .run(
                        bytes -> {
                            Json.text(Json.parse(new String(bytes, StandardCharsets.UTF_8)), "command");
                            return null;
                        },
                        com.google.gson.JsonParseException.class);
        for (var text : List.of(deep, "{\"pods\": 7}", "{\"pods\": [{\"name\": []}]}", "", "null", "7"))
            try {
                Json.read(NetworkStatus.class, text);
            } catch (IOException refused) {
                // as it should be
            }
    }
}
