// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketOption;
import java.net.StandardSocketOptions;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import jdk.net.ExtendedSocketOptions;

/**
 * Plain TCP: no delay, keepalive that notices a dead peer within about 30 s, no lingering close. Proves nothing of
 * who is there and hides nothing: what pods speak goes over TLS above it ({@code security.TlsTransport}).
 */
public final class TcpTransport implements Transport {
    private static final int BACKLOG = 256;

    @Override
    public Duplex connect(String address, Duration deadline) throws IOException {
        var end = System.nanoTime() + deadline.toNanos();
        var target = resolve(address, deadline);
        var channel = SocketChannel.open();
        try {
            // A timeout of 0 would mean for ever.
            var millis = (int) Math.clamp(TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime()), 1, Integer.MAX_VALUE);
            channel.socket().connect(target, millis);
            return new TcpDuplex(channel);
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    @Override
    public Listener listen(String address) throws IOException {
        var local = resolve(address, Duration.ofSeconds(5));
        var server = ServerSocketChannel.open();
        try {
            server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
            server.bind(local, BACKLOG);
            return new TcpListener(server);
        } catch (IOException | RuntimeException e) {
            server.close();
            throw e;
        }
    }

    /** A name is looked up on a platform thread: the call is native, unbounded, and would hold a carrier. */
    private static InetSocketAddress resolve(String address, Duration deadline) throws IOException {
        var colon = address.lastIndexOf(':');
        if (colon <= 0) throw new UnknownHostException("no host:port: " + address);
        int port;
        try {
            port = Integer.parseInt(address.substring(colon + 1));
            if (port < 0 || port > 65535) throw new NumberFormatException();
        } catch (NumberFormatException e) {
            throw new UnknownHostException("no port: " + address);
        }
        var bare = address.substring(0, colon);
        var host = bare.startsWith("[") && bare.endsWith("]") ? bare.substring(1, bare.length() - 1) : bare;
        if (host.indexOf(':') >= 0 || host.matches("[0-9]{1,3}(\\.[0-9]{1,3}){3}")) {
            return new InetSocketAddress(InetAddress.ofLiteral(host), port);
        }
        var found = new CompletableFuture<InetAddress>();
        Thread.ofPlatform().daemon().name("wormhole-resolve").start(() -> {
            try {
                found.complete(InetAddress.getByName(host));
            } catch (UnknownHostException | RuntimeException e) {
                found.completeExceptionally(e);
            }
        });
        try {
            return new InetSocketAddress(found.get(deadline.toNanos(), TimeUnit.NANOSECONDS), port);
        } catch (ExecutionException | TimeoutException e) {
            throw new UnknownHostException(host);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while resolving " + host, e);
        }
    }

    private record TcpListener(ServerSocketChannel server) implements Listener {
        @Override
        public Duplex accept() throws IOException {
            return new TcpDuplex(server.accept());
        }

        @Override
        public String address() {
            var local = server.socket().getLocalSocketAddress();
            if (!(local instanceof InetSocketAddress inet)) throw new IllegalStateException("not listening");
            var host = inet.getAddress().getHostAddress();
            return (host.indexOf(':') >= 0 ? "[" + host + "]" : host) + ":" + inet.getPort();
        }

        @Override
        public void close() {
            try {
                server.close();
            } catch (IOException e) {
                // Nothing of ours is lost with it.
            }
        }
    }

    private static final class TcpDuplex implements Duplex {
        private final SocketChannel channel;
        private final String remote;

        TcpDuplex(SocketChannel channel) throws IOException {
            this.channel = channel;
            this.remote = String.valueOf(channel.getRemoteAddress());
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
            setIfSupported(ExtendedSocketOptions.TCP_KEEPIDLE, 15);
            setIfSupported(ExtendedSocketOptions.TCP_KEEPINTERVAL, 5);
            setIfSupported(ExtendedSocketOptions.TCP_KEEPCOUNT, 3);
        }

        private void setIfSupported(SocketOption<Integer> option, int value) throws IOException {
            if (channel.supportedOptions().contains(option)) channel.setOption(option, value);
        }

        @Override
        public int read(ByteBuffer into) throws IOException {
            return channel.read(into);
        }

        @Override
        public void write(ByteBuffer... bytes) throws IOException {
            if (bytes.length == 1) {
                while (bytes[0].hasRemaining()) channel.write(bytes[0]);
                return;
            }
            var left = 0L;
            for (var part : bytes) left += part.remaining();
            while (left > 0) left -= channel.write(bytes);
        }

        /** Whoever reaches the port may speak as anybody. */
        @Override
        public void authenticate(Identity claimed) {}

        @Override
        public String remote() {
            return remote;
        }

        @Override
        public void close() {
            try {
                channel.close();
            } catch (IOException e) {
                // The descriptor is gone either way.
            }
        }
    }
}
