// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(value = 60, unit = TimeUnit.SECONDS)
class ControlTest {
    @TempDir
    Path store;

    private static final ControlHandler ECHO = (arguments, progress) -> {
        progress.report("half", 1, 2);
        return arguments;
    };

    private ControlServer serve(Map<String, ControlHandler> handlers) throws IOException {
        return ControlServer.start(store, handlers);
    }

    private SocketChannel raw() throws IOException {
        var channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(SocketPath.find(store)));
        return channel;
    }

    private static String exchange(SocketChannel channel, String request) throws IOException {
        channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.UTF_8)));
        return readAll(channel);
    }

    private static String readAll(SocketChannel channel) throws IOException {
        var text = new StringBuilder();
        var bytes = ByteBuffer.allocate(4096);
        try {
            while (channel.read(bytes) >= 0) {
                text.append(new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8));
                bytes.clear();
            }
        } catch (IOException e) {
            text.append("<reset>");
        }
        return text.toString();
    }

    record Words(String a, int b) {}

    @Test
    void aCommandGivesProgressAndAResult() throws Exception {
        var told = new ArrayList<String>();
        try (var server = serve(Map.of("echo", ECHO))) {
            var answer = new ControlClient(store)
                    .call("echo", new Words("ü\n", 7), (text, done, total) -> told.add(text + done + "/" + total));
            assertThat(Json.to(Words.class, answer)).isEqualTo(new Words("ü\n", 7));
            assertThat(told).containsExactly("half1/2");
        }
    }

    @Test
    void theProtocolOnTheWireIsWhatTheManualSays() throws Exception {
        try (var server = serve(Map.of("echo", ECHO));
                var channel = raw()) {
            assertThat(exchange(channel, "{\"command\": \"echo\", \"arguments\": {\"x\": [1]}}\n"))
                    .isEqualTo("{\"progress\":{\"text\":\"half\",\"done\":1,\"total\":2}}\n{\"result\":{\"x\":[1]}}\n");
        }
    }

    @Test
    void aRefusalKeepsItsCodeMessageAndHint() throws Exception {
        ControlHandler no = (_, _) -> {
            throw new ControlException(ControlException.REFUSED, "the last copy is here", "add a pod first");
        };
        try (var server = serve(Map.of("leave", no))) {
            assertThatThrownBy(() -> new ControlClient(store).call("leave"))
                    .isInstanceOfSatisfying(ControlException.class, e -> {
                        assertThat(e.code()).isEqualTo("refused");
                        assertThat(e.message()).isEqualTo("the last copy is here");
                        assertThat(e.hint()).isEqualTo("add a pod first");
                    });
        }
    }

    @Test
    void failuresAndBugsOfAHandlerAreAnswered() throws Exception {
        Map<String, ControlHandler> handlers = Map.of(
                "disk",
                (_, _) -> {
                    throw new IOException("disk gone");
                },
                "bug",
                (_, _) -> {
                    throw new IllegalStateException("broken");
                },
                "echo",
                ECHO);
        try (var server = serve(handlers)) {
            assertThatThrownBy(() -> new ControlClient(store).call("disk")).hasMessage("disk gone");
            assertThatThrownBy(() -> new ControlClient(store).call("bug")).hasMessageContaining("broken");
            assertThatThrownBy(() -> new ControlClient(store).call("nothing"))
                    .isInstanceOfSatisfying(
                            ControlException.class, e -> assertThat(e.code()).isEqualTo("unknown-command"));
            assertThat(new ControlClient(store).call("echo")).isEqualTo(new JsonObject());
        }
    }

    @Test
    void garbageIsAnsweredAndHarmsNobody() throws Exception {
        try (var server = serve(Map.of("echo", ECHO))) {
            for (var garbage : List.of(
                    "GET / HTTP/1.1\r\n",
                    "\n",
                    "{\n",
                    "[1]\n",
                    "\u0000\u0001\n",
                    "{\"command\": {\"a\": 1}}\n",
                    "{\"command\": \"echo\", \"arguments\": 7}\n",
                    "{\"a\":".repeat(5000) + "\n")) {
                try (var channel = raw()) {
                    assertThat(exchange(channel, garbage)).as(garbage).startsWith("{\"error\":{\"code\":\"");
                }
            }
            try (var channel = raw()) {
                channel.write(ByteBuffer.wrap("{\"command\"".getBytes(StandardCharsets.UTF_8)));
                channel.shutdownOutput();
                assertThat(readAll(channel)).isEmpty();
            }
            assertThat(new ControlClient(store).call("echo")).isEqualTo(new JsonObject());
        }
    }

    @Test
    void anOversizedRequestIsCutOff() throws Exception {
        try (var server = serve(Map.of("echo", ECHO));
                var channel = raw()) {
            var chunk = "x".repeat(1 << 16).getBytes(StandardCharsets.UTF_8);
            try {
                for (var i = 0; i < 1024; i++) channel.write(ByteBuffer.wrap(chunk));
                assertThat(false).as("64 MB were taken").isTrue();
            } catch (IOException expected) {
                assertThat(expected.getMessage()).containsAnyOf("Broken pipe", "Connection reset");
            }
            assertThat(new ControlClient(store).call("echo")).isEqualTo(new JsonObject());
        }
    }

    @Test
    void whoStallsAmidARequestLosesTheConnection() throws Exception {
        try (var server = ControlServer.start(
                        store, Map.of("echo", ECHO), Duration.ofMillis(200), Duration.ofSeconds(5));
                var channel = raw()) {
            assertThat(exchange(channel, "{\"comm")).isIn("", "<reset>");
        }
    }

    @Test
    void whoDoesNotReadLosesTheConnectionAndTheCommandLearnsOfIt() throws Exception {
        var noticed = new CountDownLatch(1);
        ControlHandler flood = (arguments, progress) -> {
            while (progress.watched()) progress.report("x".repeat(10_000), 0, 0);
            noticed.countDown();
            return arguments;
        };
        try (var server = ControlServer.start(
                        store, Map.of("flood", flood), Duration.ofSeconds(5), Duration.ofMillis(200));
                var channel = raw()) {
            channel.write(ByteBuffer.wrap("{\"command\":\"flood\"}\n".getBytes(StandardCharsets.UTF_8)));
            assertThat(noticed.await(30, TimeUnit.SECONDS)).isTrue();
        }
    }

    @Test
    void moreConnectionsThanTheBoundAreTurnedAway() throws Exception {
        try (var server = serve(Map.of("echo", ECHO))) {
            var open = new ArrayList<SocketChannel>();
            try {
                for (var i = 0; i < ControlServer.CONNECTIONS_MAX; i++) open.add(raw());
                try (var oneMore = raw()) {
                    assertThat(readAll(oneMore)).isIn("", "<reset>");
                }
            } finally {
                for (var channel : open) channel.close();
            }
            // the places are free again as soon as the server has noticed
            var answered = false;
            for (var attempt = 0; attempt < 1000 && !answered; attempt++) {
                try {
                    answered = new ControlClient(store).call("echo").equals(new JsonObject());
                } catch (ControlClient.UnreachableException e) {
                    Thread.onSpinWait();
                }
            }
            assertThat(answered).isTrue();
        }
    }

    @Test
    void aSilentDaemonIsUnreachable() throws Exception {
        var never = new CountDownLatch(1);
        ControlHandler hang = (arguments, _) -> {
            never.await();
            return arguments;
        };
        try (var server = serve(Map.of("hang", hang))) {
            assertThatThrownBy(() -> new ControlClient(store)
                            .call("hang", new JsonObject(), ControlClient.Listener.NONE, Duration.ofMillis(100)))
                    .isInstanceOf(ControlClient.UnreachableException.class);
        } finally {
            never.countDown();
        }
    }

    @Test
    void aLongCommandShowsThatItLives() throws Exception {
        var go = new CountDownLatch(1);
        ControlHandler slow = (arguments, _) -> {
            go.await();
            return arguments;
        };
        try (var server = serve(Map.of("slow", slow));
                var channel = raw();
                var line = new LineChannel(channel)) {
            line.write("{\"command\":\"slow\"}", Duration.ofSeconds(30));
            assertThat(line.read(Duration.ofSeconds(30))).isEqualTo("{\"progress\":{}}");
            go.countDown();
            var last = line.read(Duration.ofSeconds(30));
            while ("{\"progress\":{}}".equals(last)) last = line.read(Duration.ofSeconds(30));
            assertThat(last).isEqualTo("{\"result\":{}}");
            assertThat(line.read(Duration.ofSeconds(30))).isNull();
        } finally {
            go.countDown();
        }
    }

    @Test
    void theSocketBelongsToItsOwnerAndADeadOneIsReplaced() throws Exception {
        try (var server = serve(Map.of("echo", ECHO))) {
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(SocketPath.find(store))))
                    .isEqualTo("rw-------");
            assertThatThrownBy(() -> serve(Map.of())).hasMessageContaining("already running");
        }
        assertThat(SocketPath.find(store)).doesNotExist();
        try (var dead = java.nio.channels.ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            dead.bind(UnixDomainSocketAddress.of(store.resolve("control.sock")));
        }
        assertThat(store.resolve("control.sock")).exists();
        assertThatThrownBy(() -> new ControlClient(store).call("echo"))
                .isInstanceOf(ControlClient.UnreachableException.class);
        try (var server = serve(Map.of("echo", ECHO))) {
            assertThat(new ControlClient(store).call("echo")).isEqualTo(new JsonObject());
        }
    }

    @Test
    void aStoreWithALongPathHasItsSocketElsewhere() throws Exception {
        store = Files.createDirectories(store.resolve("d".repeat(120)));
        try (var server = serve(Map.of("echo", ECHO))) {
            var socket = SocketPath.find(store);
            assertThat(socket.toString()).hasSizeLessThanOrEqualTo(SocketPath.BYTES_MAX);
            assertThat(store.resolve("control.sock")).doesNotExist();
            assertThat(new ControlClient(store).call("echo")).isEqualTo(new JsonObject());
        }
        assertThat(SocketPath.find(store)).doesNotExist();
    }

    // -- the other files of a store --------------------------------------------------------------------------------

    @Test
    void anIntentIsReadBackUntilItIsDone() throws Exception {
        assertThat(new DaemonStart(store).intent()).isEmpty();
        for (var intent : List.of(
                new StartIntent.Create("demo", "[network]\nname = \"demo\"\n"),
                new StartIntent.Join("nas-1:7420", "secret"))) {
            intent.write(store);
            assertThat(new DaemonStart(store).intent()).contains(intent);
            assertThat(java.nio.file.attribute.PosixFilePermissions.toString(
                            Files.getPosixFilePermissions(store.resolve(StartIntent.FILE))))
                    .isEqualTo("rw-------");
            assertThat(intent.toString()).doesNotContain("secret");
        }
        new DaemonStart(store).intentDone();
        assertThat(new DaemonStart(store).intent()).isEmpty();
        Files.writeString(store.resolve(StartIntent.FILE), "{\"action\": \"dance\"}");
        assertThatThrownBy(() -> StartIntent.read(store)).hasMessageContaining("no known action");
    }

    @Test
    void aProcessIsKnownByMoreThanItsNumber() throws Exception {
        StoreFiles.make(store);
        assertThat(StoreFiles.runningDaemon(store)).isEmpty();
        StoreFiles.writePid(store);
        var self = StoreFiles.runningDaemon(store).orElseThrow();
        assertThat(self.pid()).isEqualTo(ProcessHandle.current().pid());
        // another process that later got the same number
        Files.writeString(
                StoreFiles.pidFile(store), Json.line(new StoreFiles.Daemon(self.pid(), self.startTicks() + 1)));
        assertThat(StoreFiles.runningDaemon(store)).isEmpty();
        Files.writeString(StoreFiles.pidFile(store), "");
        assertThat(StoreFiles.runningDaemon(store)).isEmpty();
    }

    @Test
    void theStatusKeepsItsKeysForPrograms() {
        var pod = new NetworkStatus.PodStatus(
                "pod-1",
                42,
                "storage",
                "/s",
                "/m",
                NetworkStatus.PodState.CATCHING_UP,
                1,
                true,
                true,
                false,
                "",
                List.of("a:1"),
                1,
                2,
                3,
                4,
                5,
                6,
                7,
                8);
        var status = new NetworkStatus(
                "demo",
                1,
                "0.1",
                "pod-1",
                "pod-1",
                "healthy",
                List.of(),
                2,
                List.of(pod),
                NetworkStatus.ReplicationStatus.NONE,
                List.of());
        var json = Json.of(status);
        var first = json.getAsJsonArray("pods").get(0).getAsJsonObject();
        assertThat(first.keySet()).contains("name", "pid", "role", "store", "mount", "state");
        assertThat(first.get("state").getAsString()).isEqualTo("catching-up");
        assertThat(Json.to(NetworkStatus.class, json)).isEqualTo(status);
        assertThat(Json.to(NetworkStatus.class, new JsonObject()).pods()).isEmpty();
    }
}
