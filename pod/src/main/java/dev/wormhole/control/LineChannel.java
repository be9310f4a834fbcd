// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/** Lines of UTF-8 over a socket, each within a deadline: whoever is late loses the connection. One reader, many writers. */
final class LineChannel implements AutoCloseable {
    static final int LINE_BYTES_MAX = 1 << 20;
    /** Closes channels whose time is up, and nothing else: it never blocks. */
    private static final ScheduledExecutorService WATCH = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("control-deadlines").factory());

    private final SocketChannel channel;
    private final ByteBuffer input = ByteBuffer.allocate(8192).flip();
    private final ReentrantLock writing = new ReentrantLock();

    LineChannel(SocketChannel channel) {
        this.channel = channel;
    }

    static final class TooLongException extends IOException {
        TooLongException() {
            super("a line of more than " + LINE_BYTES_MAX + " bytes");
        }
    }

    private interface Action<T extends @Nullable Object> {
        T run() throws IOException;
    }

    /**
     * The next line without its end; null at the end of the stream, also amid a line.
     *
     * @throws SocketTimeoutException when it is not whole in time; the channel is closed
     * @throws TooLongException after {@link #LINE_BYTES_MAX} bytes without an end
     */
    @Nullable String read(Duration deadline) throws IOException {
        return within(deadline, () -> {
            var line = new byte[256];
            var length = 0;
            while (true) {
                while (input.hasRemaining()) {
                    var b = input.get();
                    if (b == '\n') return new String(line, 0, length, StandardCharsets.UTF_8);
                    if (length == LINE_BYTES_MAX) throw new TooLongException();
                    if (length == line.length) line = Arrays.copyOf(line, length * 2);
                    line[length++] = b;
                }
                input.clear();
                var got = channel.read(input);
                input.flip();
                if (got < 0) return null;
            }
        });
    }

    /** @throws SocketTimeoutException when the other side takes it too slowly; the channel is closed */
    void write(String line, Duration deadline) throws IOException {
        var bytes = ByteBuffer.wrap((line + "\n").getBytes(StandardCharsets.UTF_8));
        writing.lock();
        try {
            within(deadline, () -> {
                while (bytes.hasRemaining()) channel.write(bytes);
                return null;
            });
        } finally {
            writing.unlock();
        }
    }

    private <T extends @Nullable Object> T within(Duration deadline, Action<T> action) throws IOException {
        var alarm = WATCH.schedule(this::closeQuietly, deadline.toNanos(), TimeUnit.NANOSECONDS);
        try {
            return action.run();
        } catch (AsynchronousCloseException e) {
            throw new SocketTimeoutException("no answer within " + deadline.toMillis() + " ms");
        } catch (ClosedChannelException e) {
            throw new IOException("the connection is closed", e);
        } finally {
            alarm.cancel(false);
        }
    }

    private void closeQuietly() {
        try {
            channel.close();
        } catch (IOException ignored) {
            // it is only being given up
        }
    }

    @Override
    public void close() {
        closeQuietly();
    }
}
