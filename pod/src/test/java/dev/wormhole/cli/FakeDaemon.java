// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import com.google.gson.JsonObject;
import dev.wormhole.config.HostPort;
import dev.wormhole.config.NetworkConfig;
import dev.wormhole.config.PodConfig;
import dev.wormhole.config.Words;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.ControlHandler;
import dev.wormhole.control.ControlServer;
import dev.wormhole.control.DaemonStart;
import dev.wormhole.control.Explanation;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.control.NetworkStatus.PodState;
import dev.wormhole.control.NetworkStatus.PodStatus;
import dev.wormhole.control.StartIntent;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;

/**
 * A pod without a filesystem, in a process of its own: what the commands see of one. Its network is a folder with a file
 * for each pod. By its name it has a fault: {@code broken} fails with a word, {@code dead} without one, {@code deaf} does
 * not stop, {@code stubborn} refuses to leave.
 */
final class FakeDaemon {
    private FakeDaemon() {}

    /** @param args POD_TOML, the folder of the network */
    public static void main(String[] args) throws Exception {
        var config = PodConfig.load(Path.of(args[0])).orFail();
        var network = Path.of(args[1]);
        var pod = config.pod();
        var store = pod.store();
        var start = new DaemonStart(store);
        if (pod.name().equals("broken")) {
            start.failed("the port 1 is taken");
            System.exit(1);
        }
        if (pod.name().equals("dead")) {
            System.out.println("Killed by fate");
            new IllegalStateException("inner").printStackTrace(System.out);
            System.exit(1);
        }
        StoreFiles.writePid(store);
        var intent = start.intent();
        if (intent.isPresent()) {
            switch (intent.get()) {
                case StartIntent.Create(var _, var toml) -> {
                    Files.createDirectories(network);
                    Files.writeString(network.resolve("network.toml"), toml);
                }
                case StartIntent.Reform _, StartIntent.Rejoin _ -> {
                    start.failed("this daemon has no generations");
                    System.exit(1);
                }
                case StartIntent.Join(var address, var _) -> {
                    if (!Files.exists(network) || HostPort.parse(address).port() == 1) {
                        start.failed("no network at " + address);
                        System.exit(1);
                    }
                }
            }
            start.intentDone();
        } else if (!Files.exists(network.resolve(pod.name() + ".json"))) {
            start.failed("the store belongs to no network");
            System.exit(1);
        }
        Files.writeString(
                network.resolve(pod.name() + ".json"),
                Json.line(status(config, ProcessHandle.current().pid(), PodState.READY)));
        if (pod.name().equals("deaf")) {
            Runtime.getRuntime().addShutdownHook(new Thread(LockSupport::park));
        }
        var stopped = new CountDownLatch(1);
        ControlHandler ready = (arguments, progress) -> {
            progress.report("mounting", 0, 0);
            return new JsonObject();
        };
        try (var server = ControlServer.start(
                store,
                Map.of(
                        Commands.READY, ready,
                        Commands.STATUS, (_, _) -> Json.of(network(network, pod.name())),
                        Commands.PODS, (_, _) -> Json.of(new NetworkStatus.Pods(pods(network))),
                        Commands.CONFIG,
                                (_, _) -> Json.of(
                                        new Commands.ConfigText(Files.readString(network.resolve("network.toml")))),
                        Commands.APPLY,
                                (arguments, _) -> {
                                    Files.writeString(network.resolve("network.toml"), Json.text(arguments, "toml"));
                                    return new JsonObject();
                                },
                        Commands.EXPLAIN, (arguments, _) -> explain(Json.text(arguments, "path"), pod.name()),
                        Commands.LEAVE,
                                (_, progress) -> {
                                    if (pod.name().equals("stubborn")) {
                                        throw new ControlException(
                                                ControlException.REFUSED,
                                                "3 files would have fewer copies than 2",
                                                "add a pod first");
                                    }
                                    progress.report("moving data", 1, 2);
                                    Files.delete(network.resolve(pod.name() + ".json"));
                                    return new JsonObject();
                                },
                        Commands.SYNC, (_, _) -> new JsonObject(),
                        Commands.INVITE,
                                (arguments, _) -> Json.of(new Commands.Invited(
                                        "0badcafe",
                                        "A".repeat(48),
                                        "127.0.0.1:7499",
                                        System.currentTimeMillis()
                                                + 1000
                                                        * Json.to(Commands.InviteArguments.class, arguments)
                                                                .seconds())),
                        Commands.STOP,
                                (_, _) -> {
                                    if (!pod.name().equals("deaf")) stopped.countDown();
                                    return new JsonObject();
                                }))) {
            stopped.await();
        }
        System.exit(0);
    }

    private static PodStatus status(PodConfig config, long pid, PodState state) {
        var pod = config.pod();
        return new PodStatus(
                pod.name(),
                pid,
                Words.of(pod.role()),
                pod.store().toString(),
                pod.mount().map(Path::toString).orElse(""),
                state,
                1,
                true,
                pod.name().equals("pod-1"),
                false,
                pod.zone(),
                List.of(pod.listen().toString()),
                1_000_000,
                config.storage().limitBytes(),
                5_000_000_000L,
                7,
                0,
                0,
                0,
                0);
    }

    private static List<PodStatus> pods(Path network) throws IOException {
        var pods = new ArrayList<PodStatus>();
        try (var files = Files.newDirectoryStream(network, "*.json")) {
            for (var file : files) {
                var pod = Json.to(PodStatus.class, Json.parse(Files.readString(file)));
                var lives = StoreFiles.Daemon.of(pod.pid()).isPresent();
                pods.add(Json.to(PodStatus.class, withState(Json.of(pod), lives ? "ready" : "absent")));
            }
        }
        pods.sort(java.util.Comparator.comparing(PodStatus::name));
        return pods;
    }

    private static JsonObject withState(JsonObject pod, String state) {
        pod.addProperty("state", state);
        return pod;
    }

    private static NetworkStatus network(Path network, String self) throws IOException {
        var config = NetworkConfig.parse("network.toml", Files.readString(network.resolve("network.toml")))
                .orFail();
        return new NetworkStatus(
                config.network().name(),
                1,
                "test",
                self,
                "pod-1",
                "recoverable",
                List.of("pod-9 is absent"),
                config.redundancy().copies(),
                pods(network),
                new NetworkStatus.ReplicationStatus(
                        10,
                        2,
                        0,
                        5_000_000,
                        0,
                        List.of(new NetworkStatus.Job(
                                "repair", "pod-9 absent for 12 min", 1_000_000, 5_000_000, null))),
                List.of("one pod only"));
    }

    private static JsonObject explain(String path, String pod) throws ControlException {
        if (path.contains("missing")) {
            throw new ControlException(ControlException.NOT_FOUND, "no such file: " + path, "");
        }
        return Json.of(new Explanation(
                path,
                "file",
                99,
                4096,
                3,
                2,
                1,
                "redundancy.copies",
                false,
                1,
                1,
                List.of(new Explanation.Holder(pod, PodState.READY, 0, 1, 0, 4096)),
                List.of()));
    }
}
