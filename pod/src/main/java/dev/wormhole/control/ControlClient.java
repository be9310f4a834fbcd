// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;

/** Asks the daemon of one store. Stateless: every call is a connection of its own. */
public final class ControlClient {
    /** The daemon gives a sign every two seconds; one that is silent for so long is frozen or dead. */
    public static final Duration SILENCE_MAX = Duration.ofSeconds(10);

    private final Path store;

    public ControlClient(Path store) {
        this.store = store;
    }

    /** No daemon answers: not running, frozen, or of another user. */
    public static final class UnreachableException extends IOException {
        public UnreachableException(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** Told in the calling thread. */
    @FunctionalInterface
    public interface Listener {
        Listener NONE = (_, _, _) -> {};

        void progress(String text, long done, long total);
    }

    /**
     * Waits as long as the daemon shows life.
     *
     * @throws ControlException the daemon's answer is no
     * @throws UnreachableException nobody answers, or falls silent for {@link #SILENCE_MAX}
     */
    public JsonObject call(String command, Object arguments, Listener listener) throws ControlException, IOException {
        return call(command, arguments, listener, SILENCE_MAX);
    }

    public JsonObject call(String command, Object arguments, Listener listener, Duration silenceMax)
            throws ControlException, IOException {
        SocketChannel channel;
        try {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            try {
                channel.connect(UnixDomainSocketAddress.of(SocketPath.find(store)));
            } catch (IOException e) {
                channel.close();
                throw e;
            }
        } catch (IOException e) {
            throw new UnreachableException("no pod answers at " + store, e);
        }
        try (var line = new LineChannel(channel)) {
            var request = new JsonObject();
            request.addProperty("command", command);
            request.add("arguments", Json.of(arguments));
            line.write(Json.line(request), silenceMax);
            while (true) {
                var text = line.read(silenceMax);
                if (text == null) throw new IOException("the pod closed the connection without an answer");
                var answer = Json.parse(text);
                if (answer.get("result") instanceof JsonObject result) return result;
                if (answer.get("error") instanceof JsonObject error) {
                    throw new ControlException(
                            Json.text(error, "code"), Json.text(error, "message"), Json.text(error, "hint"));
                }
                if (answer.get("progress") instanceof JsonObject progress && progress.has("text")) {
                    listener.progress(Json.text(progress, "text"), number(progress, "done"), number(progress, "total"));
                }
            }
        } catch (JsonParseException e) {
            throw new UnreachableException("the answer of " + store + " makes no sense", e);
        } catch (IOException e) {
            throw new UnreachableException("the pod at " + store + " does not answer: " + e.getMessage(), e);
        }
    }

    /** Without arguments. */
    public JsonObject call(String command) throws ControlException, IOException {
        return call(command, new JsonObject(), Listener.NONE);
    }

    private static long number(JsonObject json, String key) {
        var value = json.get(key);
        return value != null
                        && value.isJsonPrimitive()
                        && value.getAsJsonPrimitive().isNumber()
                ? value.getAsLong()
                : 0;
    }
}
