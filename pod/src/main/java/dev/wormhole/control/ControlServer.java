// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import jdk.net.ExtendedSocketOptions;

/**
 * The daemon's side of the control socket. A connection carries one request line, any number of progress lines, and one
 * line with a result or an error:
 *
 * <pre>
 * -> {"command": "leave", "arguments": {}}
 * <- {"progress": {"text": "moving data", "done": 1048576, "total": 4194304}}
 * <- {"progress": {}}                        at least every two seconds: the daemon lives
 * <- {"result": {}}                          or {"error": {"code": "refused", "message": "...", "hint": "..."}}
 * </pre>
 *
 * Only the user of the daemon and root are served. At most {@value #CONNECTIONS_MAX} connections at once; a request must
 * arrive within 10 s, a line must be taken within 5 s. Virtual threads; thread-safe.
 */
public final class ControlServer implements AutoCloseable {
    static final int CONNECTIONS_MAX = 32;
    static final Duration REQUEST_DEADLINE = Duration.ofSeconds(10);
    static final Duration WRITE_DEADLINE = Duration.ofSeconds(5);
    static final Duration PULSE = Duration.ofSeconds(2);
    private static final Duration LAST_ANSWERS = Duration.ofSeconds(2);
    private static final Logger LOG = Logger.getLogger(ControlServer.class.getName());

    private final Path socket;
    private final ServerSocketChannel listener;
    private final Map<String, ControlHandler> handlers;
    private final Semaphore connections = new Semaphore(CONNECTIONS_MAX);
    private final Duration requestDeadline;
    private final Duration writeDeadline;

    private ControlServer(
            Path socket,
            ServerSocketChannel listener,
            Map<String, ControlHandler> handlers,
            Duration requestDeadline,
            Duration writeDeadline) {
        this.socket = socket;
        this.listener = listener;
        this.handlers = Map.copyOf(handlers);
        this.requestDeadline = requestDeadline;
        this.writeDeadline = writeDeadline;
    }

    /**
     * Begins to answer at once. A socket that a dead daemon left is replaced.
     *
     * @param store exists
     * @param handlers by command
     * @throws IOException if a daemon already answers there, or the socket cannot be made
     */
    public static ControlServer start(Path store, Map<String, ControlHandler> handlers) throws IOException {
        return start(store, handlers, REQUEST_DEADLINE, WRITE_DEADLINE);
    }

    static ControlServer start(
            Path store, Map<String, ControlHandler> handlers, Duration requestDeadline, Duration writeDeadline)
            throws IOException {
        var path = SocketPath.claim(store);
        var address = UnixDomainSocketAddress.of(path);
        if (Files.exists(path)) {
            try (var probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
                if (probe.connect(address)) throw new IOException("a pod is already running on " + store);
            } catch (java.net.ConnectException e) {
                LOG.log(Level.FINE, "replacing a dead control socket", e);
            }
            Files.delete(path);
        }
        var listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            listener.bind(address, CONNECTIONS_MAX);
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
        } catch (IOException e) {
            listener.close();
            throw new IOException("cannot make the control socket " + path + ": " + e.getMessage(), e);
        }
        var server = new ControlServer(path, listener, handlers, requestDeadline, writeDeadline);
        Thread.ofVirtual().name("control-accept").start(server::accept);
        return server;
    }

    private void accept() {
        while (listener.isOpen()) {
            try {
                var channel = listener.accept();
                if (connections.tryAcquire()) {
                    Thread.ofVirtual().name("control").start(() -> {
                        try (var line = new LineChannel(channel)) {
                            serve(channel, line);
                        } catch (IOException e) {
                            LOG.log(Level.FINE, "control connection lost", e);
                        } finally {
                            connections.release();
                        }
                    });
                } else {
                    channel.close();
                }
            } catch (IOException e) {
                if (listener.isOpen()) LOG.log(Level.WARNING, "control socket: " + e.getMessage());
            }
        }
    }

    private void serve(SocketChannel channel, LineChannel line) throws IOException {
        var peer = channel.getOption(ExtendedSocketOptions.SO_PEERCRED).user().getName();
        var own = System.getProperty("user.name", "");
        if (!peer.equals(own) && !peer.equals("root")) {
            answer(
                    line,
                    new ControlException(
                            ControlException.REFUSED,
                            "this pod belongs to " + own,
                            "run the command as " + own + " or root"));
            return;
        }
        String text;
        try {
            text = line.read(requestDeadline);
        } catch (LineChannel.TooLongException e) {
            answer(line, new ControlException(ControlException.BAD_REQUEST, "the request is too long", ""));
            return;
        }
        if (text == null) return;
        try {
            var request = Json.parse(text);
            var name = Json.text(request, "command");
            var handler = handlers.get(name);
            if (handler == null) {
                throw new ControlException(
                        ControlException.UNKNOWN_COMMAND,
                        "the pod does not know the command " + (name.isEmpty() ? "(none)" : name),
                        "the daemon may be of another version: wormhole down, wormhole up");
            }
            var arguments = request.get("arguments");
            line.write(
                    envelope(
                            "result",
                            run(handler, arguments == null ? new JsonObject() : arguments.getAsJsonObject(), line)),
                    writeDeadline);
        } catch (ControlException e) {
            answer(line, e);
        } catch (JsonParseException | IllegalStateException | ClassCastException e) {
            answer(
                    line,
                    new ControlException(
                            ControlException.BAD_REQUEST, "the request makes no sense: " + e.getMessage(), ""));
        }
    }

    /** Bugs of a handler end in the log and an answer, never in silence. */
    private JsonObject run(ControlHandler handler, JsonObject arguments, LineChannel line) throws ControlException {
        var reporter = new Reporter(line, writeDeadline);
        Thread.ofVirtual().name("control-pulse").start(reporter::pulse);
        try {
            return handler.handle(arguments, reporter);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ControlException(ControlException.NOT_READY, "the pod is stopping", "");
        } catch (IOException e) {
            LOG.log(Level.WARNING, "control command failed", e);
            throw new ControlException(ControlException.FAILED, String.valueOf(e.getMessage()), "");
        } catch (RuntimeException e) {
            LOG.log(Level.SEVERE, "control command: a bug", e);
            throw new ControlException(
                    ControlException.FAILED, "a bug in the pod: " + e, "the pod's log has the details");
        } finally {
            reporter.end();
        }
    }

    private void answer(LineChannel line, ControlException e) throws IOException {
        var error = new JsonObject();
        error.addProperty("code", e.code());
        error.addProperty("message", e.message());
        error.addProperty("hint", e.hint());
        line.write(envelope("error", error), writeDeadline);
    }

    private static String envelope(String key, JsonElement content) {
        var envelope = new JsonObject();
        envelope.add(key, content);
        return Json.line(envelope);
    }

    private static final class Reporter implements ControlHandler.Progress {
        private final LineChannel line;
        private final Duration writeDeadline;
        private volatile boolean watched = true;
        /** Ended by a latch, not by an interrupt: that would close the channel amid a write. */
        private final CountDownLatch ended = new CountDownLatch(1);

        Reporter(LineChannel line, Duration writeDeadline) {
            this.line = line;
            this.writeDeadline = writeDeadline;
        }

        @Override
        public void report(String text, long done, long total) {
            var progress = new JsonObject();
            progress.addProperty("text", text);
            progress.addProperty("done", done);
            progress.addProperty("total", total);
            send(progress);
        }

        @Override
        public boolean watched() {
            return watched;
        }

        void pulse() {
            try {
                while (watched && !ended.await(PULSE.toMillis(), TimeUnit.MILLISECONDS)) send(new JsonObject());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        /** Nothing may follow the result. */
        synchronized void end() {
            ended.countDown();
        }

        private synchronized void send(JsonObject progress) {
            if (!watched || ended.getCount() == 0) return;
            try {
                line.write(envelope("progress", progress), writeDeadline);
            } catch (IOException e) {
                watched = false;
            }
        }
    }

    /**
     * Answers no new connection, removes the socket, and gives those under way at most 2 s to get their answers: also the
     * one whose command ends the process. Idempotent; not to be called by a handler in its own thread.
     */
    @Override
    public void close() throws IOException {
        if (!listener.isOpen()) return;
        listener.close();
        Files.deleteIfExists(socket);
        try {
            if (!connections.tryAcquire(CONNECTIONS_MAX, LAST_ANSWERS.toMillis(), TimeUnit.MILLISECONDS)) {
                LOG.fine("control connections cut off");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
