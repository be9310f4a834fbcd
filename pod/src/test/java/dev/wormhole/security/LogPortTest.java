// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.consensus.Applier;
import dev.wormhole.consensus.Member;
import dev.wormhole.consensus.Position;
import dev.wormhole.consensus.RaftLog;
import dev.wormhole.consensus.Settings;
import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import org.apache.ratis.proto.RaftProtos.RaftGroupIdProto;
import org.apache.ratis.proto.RaftProtos.RaftRpcRequestProto;
import org.apache.ratis.proto.RaftProtos.RequestVoteRequestProto;
import org.apache.ratis.proto.grpc.RaftServerProtocolServiceGrpc;
import org.apache.ratis.protocol.RaftGroupId;
import org.apache.ratis.thirdparty.com.google.protobuf.ByteString;
import org.apache.ratis.thirdparty.io.grpc.ManagedChannel;
import org.apache.ratis.thirdparty.io.grpc.StatusRuntimeException;
import org.apache.ratis.thirdparty.io.grpc.netty.GrpcSslContexts;
import org.apache.ratis.thirdparty.io.grpc.netty.NettyChannelBuilder;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What the log's port takes from whoever has not shown a member's certificate: on loopback, with the real log behind it. */
@Timeout(60)
final class LogPortTest {
    private static final int NEWCOMERS_MAX = 64;
    private static final Network NETWORK = new Network(1);

    @TempDir
    Path directory;

    private final AtomicInteger refused = new AtomicInteger();
    private final CountDownLatch leads = new CountDownLatch(1);
    private final List<Socket> sockets = new ArrayList<>();
    private InetSocketAddress address;
    private RaftLog log;

    @BeforeEach
    void open() throws Exception {
        try (var free = new java.net.ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            address = new InetSocketAddress("127.0.0.1", free.getLocalPort());
        }
        var trust = PodTrust.of(NETWORK.authority.certificate(), InstantSource.system(), _ -> true);
        var credentials = NETWORK.credentials(1);
        var tls = new Settings.Tls(
                new PodKeyManager(() -> Optional.of(credentials)),
                trust,
                (_, _) -> true,
                _ -> true,
                (_, _) -> refused.incrementAndGet());
        log = RaftLog.open(
                Settings.of(
                                directory,
                                new UUID(1, 2),
                                new Member(new Incarnation(1), address),
                                address,
                                Settings.Start.FOUND)
                        .with(tls),
                new Nothing());
        assertThat(leads.await(20, TimeUnit.SECONDS)).isTrue();
    }

    @AfterEach
    void close() throws IOException {
        for (var socket : sockets) socket.close();
        log.close();
    }

    /** A state that is its position. */
    private final class Nothing implements Applier {
        private volatile Position position = Position.NONE;

        @Override
        public void apply(long term, long index, byte[] entry) {
            position = new Position(term, index);
        }

        @Override
        public void applyEmpty(long term, long index) {
            position = new Position(term, index);
        }

        @Override
        public Position position() {
            return position;
        }

        @Override
        public void takeSnapshot(Path dir) throws IOException {
            Files.createDirectory(dir);
        }

        @Override
        public void installSnapshot(Path dir) {}

        @Override
        public void leaderChanged(Optional<Incarnation> leader) {
            if (leader.isPresent()) leads.countDown();
        }

        @Override
        public void bug(Throwable cause) {}
    }

    // ---- the ways in

    private ManagedChannel channel(Optional<Credentials> credentials) throws SSLException {
        var trust = PodTrust.pinned(new byte[0], InstantSource.system());
        var ssl = GrpcSslContexts.forClient().trustManager((TrustManager) trust);
        if (credentials.isPresent()) ssl.keyManager((KeyManager) new PodKeyManager(() -> credentials));
        return NettyChannelBuilder.forAddress(address)
                .overrideAuthority("log")
                .sslContext(ssl.build())
                .build();
    }

    /** Asks for a vote in a group that is not there: what answers is the log itself. */
    private static String vote(ManagedChannel channel) {
        var request = RequestVoteRequestProto.newBuilder()
                .setPreVote(true)
                .setServerRequest(RaftRpcRequestProto.newBuilder()
                        .setRequestorId(ByteString.copyFromUtf8("p2"))
                        .setReplyId(ByteString.copyFromUtf8("p1"))
                        .setRaftGroupId(RaftGroupIdProto.newBuilder()
                                .setId(RaftGroupId.randomId().toByteString())))
                .build();
        try {
            var unused = RaftServerProtocolServiceGrpc.newBlockingStub(channel)
                    .withDeadlineAfter(5, TimeUnit.SECONDS)
                    .requestVote(request);
            return "answered";
        } catch (StatusRuntimeException e) {
            return String.valueOf(e.getMessage());
        }
    }

    private static boolean reachesTheLog(ManagedChannel channel) {
        return vote(channel).contains("GroupMismatch") || vote(channel).contains("not found");
    }

    private Socket connect(String from) throws IOException {
        var socket = new Socket();
        socket.bind(new InetSocketAddress(from, 0));
        socket.connect(address, 5000);
        sockets.add(socket);
        return socket;
    }

    private static boolean ended(Socket socket, int millis) throws IOException {
        socket.setSoTimeout(Math.max(1, millis));
        try {
            while (socket.getInputStream().read() >= 0) {} // an alert, perhaps
            return true;
        } catch (SocketTimeoutException e) {
            return false;
        } catch (IOException e) {
            return true; // reset
        }
    }

    /** Each is counted, once. */
    private void awaitRefused(int count) {
        var end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (refused.get() < count && System.nanoTime() < end)
            java.util.concurrent.locks.LockSupport.parkNanos(5_000_000);
        assertThat(refused.get()).isGreaterThanOrEqualTo(count).isLessThanOrEqualTo(sockets.size());
    }

    // ---- what comes of them

    @Test
    void silenceOfHundredsIsBoundedAndKeepsNoMemberOut() throws Exception {
        var before = channel(Optional.of(NETWORK.credentials(2)));
        try {
            assertThat(reachesTheLog(before)).isTrue();
            var silent = new ArrayList<Socket>();
            for (int i = 0; i < 400; i++) silent.add(connect("127.0.0.1"));
            awaitRefused(400 - NEWCOMERS_MAX);
            // Counted is counted; the ends of the connections arrive a little later, and long before their time is up.
            var standing = new ArrayList<>(silent);
            var end = System.nanoTime() + TimeUnit.SECONDS.toNanos(3);
            while (standing.size() > NEWCOMERS_MAX && System.nanoTime() < end) {
                for (var socket : silent) if (ended(socket, 1)) standing.remove(socket);
            }
            assertThat(standing).as("beyond the bound").hasSizeLessThanOrEqualTo(NEWCOMERS_MAX);

            // While the rest stands, those who have shown who they are go on, and others come.
            assertThat(reachesTheLog(before)).isTrue();
            var other = channel(Optional.of(NETWORK.credentials(2)));
            assertThat(reachesTheLog(other)).isTrue();
            other.shutdownNow();
            for (var socket : silent)
                assertThat(ended(socket, 15_000)).as("each has its time").isTrue();
            awaitRefused(400);
            assertThat(reachesTheLog(before)).as("a member's stands").isTrue();
        } finally {
            before.shutdownNow();
        }
    }

    @Test
    void garbageEndsAConnectionAndIsCounted() throws Exception {
        var random = new Random(3);
        for (int i = 0; i < 100; i++) {
            var bytes = new byte[6 + random.nextInt(4000)];
            random.nextBytes(bytes);
            // Half of them begin as a handshake does, and announce what never comes.
            if (i % 2 == 0) System.arraycopy(new byte[] {0x16, 3, 1, 0x3f, (byte) 0xff, 1}, 0, bytes, 0, 6);
            var socket = connect("127.0.0.1");
            try {
                socket.getOutputStream().write(bytes);
            } catch (IOException refusedAlready) {
                // fine as well
            }
        }
        for (var socket : sockets) assertThat(ended(socket, 15_000)).isTrue();
        awaitRefused(100);
        var member = channel(Optional.of(NETWORK.credentials(2)));
        assertThat(reachesTheLog(member)).isTrue();
        member.shutdownNow();
    }

    @Test
    void withoutAMembersCertificateNothingIsAnswered() throws Exception {
        for (var who : List.of(Optional.<Credentials>empty(), Optional.of(new Network(2).credentials(2)))) {
            var channel = channel(who);
            assertThat(vote(channel)).startsWith("UNAVAILABLE");
            channel.shutdownNow();
        }
        assertThat(refused.get()).isPositive();
    }

    @Test
    void onlyTheNewestTlsIsSpoken() throws Exception {
        assertThat(greeted("TLSv1.3")).isEqualTo("TLSv1.3");
        assertThat(greeted("TLSv1.2")).isEqualTo("refused");
    }

    private String greeted(String protocol) throws Exception {
        var context = SSLContext.getInstance("TLS");
        context.init(
                new KeyManager[] {new PodKeyManager(() -> Optional.of(NETWORK.credentials(2)))},
                new TrustManager[] {PodTrust.pinned(new byte[0], InstantSource.system())},
                null);
        try (var socket =
                (SSLSocket) context.getSocketFactory().createSocket(address.getAddress(), address.getPort())) {
            socket.setEnabledProtocols(new String[] {protocol});
            var parameters = socket.getSSLParameters();
            parameters.setApplicationProtocols(new String[] {"h2"});
            socket.setSSLParameters(parameters);
            socket.startHandshake();
            return socket.getSession().getProtocol();
        } catch (SSLException e) {
            return "refused";
        }
    }
}
