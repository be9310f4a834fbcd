// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.model.Incarnation;
import dev.wormhole.transfer.Identity;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.TcpTransport;
import dev.wormhole.transfer.Transport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManager;
import javax.net.ssl.TrustManager;
import org.apache.ratis.proto.RaftProtos.RaftGroupIdProto;
import org.apache.ratis.proto.RaftProtos.RaftRpcRequestProto;
import org.apache.ratis.proto.RaftProtos.RequestVoteRequestProto;
import org.apache.ratis.proto.grpc.RaftServerProtocolServiceGrpc;
import org.apache.ratis.protocol.RaftGroupId;
import org.apache.ratis.thirdparty.com.google.protobuf.ByteString;
import org.apache.ratis.thirdparty.io.grpc.StatusRuntimeException;
import org.apache.ratis.thirdparty.io.grpc.netty.GrpcSslContexts;
import org.apache.ratis.thirdparty.io.grpc.netty.NettyChannelBuilder;

/**
 * Tries to be what it is not, from a machine of the network: a program of its own, run in that machine's namespace. Prints a line
 * for each attempt: what was tried, and what came of it.
 *
 * <p>Arguments: HOST, PORT of a pod, the store whose authority is known to it (for certificates out of their time), the store of
 * the pod whose key it stole.
 */
public final class Intruder {
    private static final Duration LONG = Duration.ofSeconds(5);
    private static final int BARRIER = 258;

    private final String host;
    private final int port;

    private Intruder(String host, int port) {
        this.host = host;
        this.port = port;
    }

    public static void main(String[] arguments) throws Exception {
        var intruder = new Intruder(arguments[0], Integer.parseInt(arguments[1]));
        var authority = new KeyFiles(Path.of(arguments[2])).authority().orElseThrow();
        var stolen = new KeyFiles(Path.of(arguments[3])).credentials().orElseThrow();
        intruder.impersonate(authority, stolen);
        intruder.shout();
        System.exit(0);
    }

    private void impersonate(Authority authority, Credentials stolen) throws Exception {
        var identity = stolen.identity();
        var self = identity.incarnation();
        var other = new Incarnation(self.number() + 1);
        var keys = Keys.generate();
        var now = Instant.now();
        var expired = Credentials.of(
                keys.getPrivate(),
                authority.issue(keys.getPublic(), "x", identity, now.minusSeconds(7200), now.minusSeconds(60)),
                authority.certificate());
        var impostor = Authority.create(identity.network(), "net", now);
        var foreign = Credentials.of(
                keys.getPrivate(), impostor.issue(keys.getPublic(), "x", identity, now), impostor.certificate());
        var client = Credentials.of(
                keys.getPrivate(),
                authority.issue(
                        keys.getPublic(), "x", new PodIdentity(identity.network(), self, PodIdentity.Role.CLIENT), now),
                authority.certificate());
        say("call as itself", call(Optional.of(stolen), identity.network(), self));
        say("call as another pod", call(Optional.of(stolen), identity.network(), other));
        say("call with a foreign certificate", call(Optional.of(foreign), identity.network(), self));
        say("call with an expired certificate", call(Optional.of(expired), identity.network(), self));
        say("call with a client's certificate", call(Optional.of(client), identity.network(), self));
        say("call without a certificate", call(Optional.empty(), identity.network(), self));
        say("call as a stranger", call(Optional.empty(), identity.network(), null));
        say("vote as itself", vote(Optional.of(stolen), self));
        say("vote as another pod", vote(Optional.of(stolen), other));
        say("vote with a foreign certificate", vote(Optional.of(foreign), self));
        say("vote with an expired certificate", vote(Optional.of(expired), self));
        say("vote with a client's certificate", vote(Optional.of(client), self));
        say("vote without a certificate", vote(Optional.empty(), self));
    }

    private static void say(String what, String outcome) {
        System.out.println(what + ": " + outcome.replace('\n', ' '));
    }

    /** Believes everybody: whom it talks to is not what is tried. */
    private static PodTrust gullible() {
        return PodTrust.pinned(new byte[0], InstantSource.system());
    }

    private String call(
            Optional<Credentials> credentials, UUID network, @org.jspecify.annotations.Nullable Incarnation as)
            throws InterruptedException {
        var trust = gullible();
        Transport transport =
                new TlsTransport(new TcpTransport(), new JdkTls(new PodKeyManager(() -> credentials), trust), trust);
        try (var peers = new Peers(transport, () -> new Identity(network, 1, as), () -> 0L, Peers.Limits.DEFAULT)) {
            var reply = peers.callAddress(host + ":" + port, BARRIER, new byte[0], LONG)
                    .get(10, TimeUnit.SECONDS);
            return "answered with " + reply.body().length + " bytes";
        } catch (ExecutionException e) {
            return String.valueOf(e.getCause().getMessage());
        } catch (java.util.concurrent.TimeoutException e) {
            return "no answer";
        }
    }

    private String vote(Optional<Credentials> credentials, Incarnation as) throws Exception {
        var ssl = GrpcSslContexts.forClient().trustManager((TrustManager) gullible());
        if (credentials.isPresent()) ssl.keyManager((KeyManager) new PodKeyManager(() -> credentials));
        var channel = NettyChannelBuilder.forAddress(host, port + 1)
                .overrideAuthority("log")
                .sslContext(ssl.build())
                .build();
        try {
            var request = RequestVoteRequestProto.newBuilder()
                    .setPreVote(true)
                    .setServerRequest(RaftRpcRequestProto.newBuilder()
                            .setRequestorId(ByteString.copyFromUtf8(as.toString()))
                            .setReplyId(ByteString.copyFromUtf8("p1"))
                            .setRaftGroupId(RaftGroupIdProto.newBuilder()
                                    .setId(RaftGroupId.randomId().toByteString())))
                    .build();
            var unused = RaftServerProtocolServiceGrpc.newBlockingStub(channel)
                    .withDeadlineAfter(5, TimeUnit.SECONDS)
                    .requestVote(request);
            return "answered";
        } catch (StatusRuntimeException e) {
            return String.valueOf(e.getMessage());
        } finally {
            channel.shutdownNow();
        }
    }

    /** Garbage, half a handshake and silence, on both ports, more than there is room for. */
    private void shout() throws IOException {
        var random = new Random(11);
        var open = new ArrayList<java.net.Socket>();
        for (var i = 0; i < 400; i++) {
            try {
                var socket = new java.net.Socket();
                socket.connect(new java.net.InetSocketAddress(host, port + i % 2), 2000);
                var bytes = ByteBuffer.allocate(random.nextInt(3000));
                random.nextBytes(bytes.array());
                if (i % 3 == 0 && bytes.capacity() > 5) bytes.put(0, new byte[] {0x16, 3, 1, 0x20, 0});
                if (i % 5 != 0) socket.getOutputStream().write(bytes.array());
                open.add(socket);
            } catch (IOException refused) {
                // as it should be, at some number
            }
        }
        say("shouting", open.size() + " connections");
        for (var socket : open) socket.close();
    }
}
