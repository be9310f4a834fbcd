// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Newcomers;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import org.apache.ratis.thirdparty.io.grpc.Attributes;
import org.apache.ratis.thirdparty.io.grpc.Grpc;
import org.apache.ratis.thirdparty.io.grpc.ServerTransportFilter;
import org.apache.ratis.thirdparty.io.grpc.netty.GrpcHttp2ConnectionHandler;
import org.apache.ratis.thirdparty.io.grpc.netty.GrpcSslContexts;
import org.apache.ratis.thirdparty.io.grpc.netty.InternalProtocolNegotiator;
import org.apache.ratis.thirdparty.io.grpc.netty.InternalProtocolNegotiators;
import org.apache.ratis.thirdparty.io.grpc.netty.NettyServerBuilder;
import org.apache.ratis.thirdparty.io.netty.channel.Channel;
import org.apache.ratis.thirdparty.io.netty.channel.ChannelHandler;
import org.apache.ratis.thirdparty.io.netty.channel.ChannelHandlerContext;
import org.apache.ratis.thirdparty.io.netty.channel.ChannelInboundHandlerAdapter;
import org.apache.ratis.thirdparty.io.netty.handler.ssl.ClientAuth;
import org.apache.ratis.thirdparty.io.netty.handler.ssl.SslContextBuilder;
import org.apache.ratis.thirdparty.io.netty.util.AsciiString;
import org.jspecify.annotations.Nullable;

/**
 * Stands before gRPC's TLS at the log's port. Ratis would let anybody open any number of connections, each for two minutes, and
 * would speak TLS 1.2; here a connection that has not shown a member's certificate has {@link #GREETING_SECONDS}, there are
 * {@link #NEWCOMERS_MAX} of them at the most, and it is TLS 1.3 or nothing. Thread-safe.
 */
final class Doorway extends ServerTransportFilter implements InternalProtocolNegotiator.ProtocolNegotiator {
    static final int NEWCOMERS_MAX = 64;
    static final int GREETING_SECONDS = 5;
    /** Ratis' own heads are far below; gRPC would take 8 KiB. */
    private static final int HEADER_BYTES_MAX = 4 << 10;

    private final Settings.Tls tls;
    private final InternalProtocolNegotiator.ProtocolNegotiator inside;
    private final Newcomers<Channel> newcomers = new Newcomers<>(NEWCOMERS_MAX);
    /** Newcomers by where they come from, as gRPC names them. */
    private final Map<SocketAddress, Channel> byAddress = new ConcurrentHashMap<>();

    private Doorway(Settings.Tls tls) throws SSLException {
        this.tls = tls;
        this.inside =
                InternalProtocolNegotiators.serverTls(GrpcSslContexts.configure(SslContextBuilder.forServer(tls.keys()))
                        .trustManager(tls.trust())
                        .clientAuth(ClientAuth.REQUIRE)
                        .protocols("TLSv1.3")
                        .sessionCacheSize(1)
                        .build());
    }

    /** Puts itself before a server that is being built. */
    static void before(NettyServerBuilder server, Settings.Tls tls) {
        Doorway doorway;
        try {
            doorway = new Doorway(tls);
        } catch (SSLException e) {
            throw new IllegalStateException("no TLS for the log's port", e);
        }
        server.protocolNegotiator(doorway)
                .addTransportFilter(doorway)
                .handshakeTimeout(GREETING_SECONDS, TimeUnit.SECONDS)
                .maxInboundMetadataSize(HEADER_BYTES_MAX);
    }

    @Override
    public AsciiString scheme() {
        return inside.scheme();
    }

    @Override
    public ChannelHandler newHandler(GrpcHttp2ConnectionHandler grpc) {
        ChannelHandler next = inside.newHandler(grpc);
        return new ChannelInboundHandlerAdapter() {
            /** Before a byte is read. */
            @Override
            public void handlerAdded(ChannelHandlerContext context) {
                Channel channel = context.channel();
                context.pipeline().replace(this, null, next);
                admit(channel);
            }
        };
    }

    @Override
    public void close() {
        inside.close();
    }

    private void admit(Channel channel) {
        SocketAddress from = channel.remoteAddress();
        if (from == null) { // gone already
            var unused = channel.close();
            return;
        }
        byAddress.put(from, channel);
        newcomers.add(channel, host(from)).ifPresent(oldest -> {
            refused(oldest.remoteAddress(), "too many connections that show no certificate");
            var unused = oldest.close();
        });
        var unused = channel.closeFuture().addListener(_ -> {
            byAddress.remove(from, channel);
            if (newcomers.remove(channel)) refused(from, "no TLS connection with a member's certificate came of it");
        });
    }

    /** The handshake is done: the certificate was asked for, and is trusted. */
    @Override
    public Attributes transportReady(Attributes attributes) {
        SocketAddress from = attributes.get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
        Channel channel = from == null ? null : byAddress.remove(from);
        if (channel != null) newcomers.remove(channel);
        return attributes;
    }

    private void refused(@Nullable SocketAddress from, String reason) {
        tls.refused().accept(String.valueOf(from), reason);
    }

    private static String host(SocketAddress from) {
        return from instanceof InetSocketAddress inet && inet.getAddress() != null
                ? inet.getAddress().getHostAddress()
                : from.toString();
    }
}
