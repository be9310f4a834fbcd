// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import dev.wormhole.security.Network.Kind;
import dev.wormhole.transfer.Identity;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.TcpTransport;
import dev.wormhole.transfer.Transport;
import dev.wormhole.transfer.Transport.Duplex;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Real connections on loopback, with both TLS engines: bytes arrive whole, and only from and to whom they should. */
@Timeout(30)
final class TlsTransportTest {
    private static final Duration LONG = Duration.ofSeconds(5);
    private static final Network NETWORK = new Network(1);

    private static Identity identity(Network network, int number) {
        return new Identity(network.id, 1, new Incarnation(number));
    }

    /** Both ends of one connection, greeted as far as each side is willing. */
    private record Pair(Duplex client, CompletableFuture<Duplex> server, Transport.Listener listener)
            implements AutoCloseable {
        static Pair of(Transport client, Transport server) throws IOException {
            var listener = server.listen("127.0.0.1:0");
            var accepted = new CompletableFuture<Duplex>();
            Thread.startVirtualThread(() -> {
                try {
                    var duplex = listener.accept();
                    try {
                        // The handshake, and one byte.
                        read(duplex, 1);
                        duplex.write(ByteBuffer.wrap(new byte[] {42}));
                        accepted.complete(duplex);
                    } catch (IOException e) {
                        duplex.close();
                        throw e;
                    }
                } catch (IOException | RuntimeException e) {
                    accepted.completeExceptionally(e);
                }
            });
            return new Pair(client.connect(listener.address(), LONG), accepted, listener);
        }

        /** Sends a byte and gets one. */
        void greet() throws IOException {
            client.write(ByteBuffer.wrap(new byte[] {41}));
            assertThat(read(client, 1)).containsExactly(42);
        }

        Duplex other() throws Exception {
            return server.get(5, TimeUnit.SECONDS);
        }

        @Override
        public void close() {
            client.close();
            listener.close();
            server.thenAccept(Duplex::close);
        }
    }

    private static byte[] read(Duplex from, int count) throws IOException {
        var into = ByteBuffer.allocate(count);
        while (into.hasRemaining()) if (from.read(into) < 0) throw new IOException("ended after " + into.position());
        return into.array();
    }

    @ParameterizedTest
    @CsvSource({"JDK,JDK", "NATIVE,NATIVE", "JDK,NATIVE", "NATIVE,JDK"})
    void bytesArriveWholeInBothDirectionsAtOnce(Kind client, Kind server) throws Exception {
        try (var pair = Pair.of(NETWORK.transport(1, client), NETWORK.transport(2, server))) {
            pair.greet();
            var random = new Random(5);
            var there = new byte[3 << 20];
            var back = new byte[2 << 20];
            random.nextBytes(there);
            random.nextBytes(back);
            var other = pair.other();
            var arrived = CompletableFuture.supplyAsync(() -> received(other, there.length));
            var returned = CompletableFuture.supplyAsync(() -> received(pair.client, back.length));
            var sending = Thread.startVirtualThread(() -> send(other, back, 7));
            send(pair.client, there, 8);
            assertThat(arrived.get(20, TimeUnit.SECONDS)).isEqualTo(there);
            assertThat(returned.get(20, TimeUnit.SECONDS)).isEqualTo(back);
            sending.join();
            other.close();
            assertThat(pair.client.read(ByteBuffer.allocate(1))).isNegative();
        }
    }

    /** In pieces of all sizes, several at a time, some of them empty. */
    private static void send(Duplex to, byte[] bytes, long seed) {
        var random = new Random(seed);
        try {
            for (var at = 0; at < bytes.length; ) {
                var parts = new ByteBuffer[1 + random.nextInt(3)];
                for (var i = 0; i < parts.length; i++) {
                    var most = random.nextInt(4) == 0 ? 300_000 : 500;
                    var count = Math.min(bytes.length - at, random.nextInt(most));
                    parts[i] = random.nextBoolean()
                            ? ByteBuffer.wrap(bytes, at, count)
                            : ByteBuffer.allocateDirect(count)
                                    .put(bytes, at, count)
                                    .flip();
                    at += count;
                }
                to.write(parts);
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** Into buffers of all sizes, inside and outside of the heap. */
    private static byte[] received(Duplex from, int count) {
        var random = new Random(count);
        var all = ByteBuffer.allocate(count);
        try {
            while (all.hasRemaining()) {
                var size = Math.min(all.remaining(), 1 + random.nextInt(random.nextBoolean() ? 100 : 100_000));
                var into = random.nextBoolean() ? ByteBuffer.allocate(size) : ByteBuffer.allocateDirect(size);
                var read = from.read(into);
                if (read < 0) throw new IOException("ended");
                if (read != into.position()) throw new IOException("says " + read + ", is " + into.position());
                all.put(into.flip());
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
        return all.array();
    }

    // ---- who is there

    @ParameterizedTest
    @EnumSource
    void aPodSpeaksForItselfAlone(Kind kind) throws Exception {
        try (var pair = Pair.of(NETWORK.transport(1, kind), NETWORK.transport(2, kind))) {
            pair.greet();
            var other = pair.other();
            assertThatCode(() -> other.authenticate(identity(NETWORK, 1))).doesNotThrowAnyException();
            assertThatCode(() -> pair.client.authenticate(identity(NETWORK, 2))).doesNotThrowAnyException();
            assertThatCode(() -> other.authenticate(Identity.stranger())).doesNotThrowAnyException();
            assertThatThrownBy(() -> other.authenticate(identity(NETWORK, 3)))
                    .isInstanceOf(PeerRefused.class)
                    .hasMessageContaining("the certificate of p1 does not speak for p3");
            assertThatThrownBy(() -> pair.client.authenticate(identity(NETWORK, 1)))
                    .isInstanceOf(PeerRefused.class);
            assertThatThrownBy(() -> other.authenticate(identity(new Network(2), 1)))
                    .isInstanceOf(PeerRefused.class);
        }
    }

    @ParameterizedTest
    @EnumSource
    void whoIsRemovedIsRefusedOnAConnectionThatStands(Kind kind) throws Exception {
        Set<Incarnation> removed = ConcurrentHashMap.newKeySet();
        var server =
                NETWORK.transport(NETWORK.credentials(2), kind, identity -> !removed.contains(identity.incarnation()));
        try (var pair = Pair.of(NETWORK.transport(1, kind), server)) {
            pair.greet();
            pair.other().authenticate(identity(NETWORK, 1));
            removed.add(new Incarnation(1));
            assertThatThrownBy(() -> pair.other().authenticate(identity(NETWORK, 1)))
                    .isInstanceOfSatisfying(
                            PeerRefused.class,
                            refused -> assertThat(refused.code()).isEqualTo(PeerRefused.UNAUTHENTICATED))
                    .hasMessageContaining("p1 is no member of the network any more");
        }
    }

    @ParameterizedTest
    @EnumSource
    void aClientPodIsNoMember(Kind kind) throws Exception {
        var client = NETWORK.credentials(
                new PodIdentity(NETWORK.id, new Incarnation(5), PodIdentity.Role.CLIENT), Instant.now());
        try (var pair = Pair.of(NETWORK.transport(client, kind, _ -> true), NETWORK.transport(2, kind))) {
            pair.greet();
            assertThatThrownBy(() -> pair.other().authenticate(identity(NETWORK, 5)))
                    .hasMessageContaining("p5 is no member");
        }
    }

    /** Nobody without a certificate of this network speaks as a pod; strangers are told apart. */
    @ParameterizedTest
    @EnumSource
    void withoutACertificateOneIsAStranger(Kind kind) throws Exception {
        var token = JoinToken.make(NETWORK.authority.certificate().getPublicKey());
        var joining = TlsTransport.joining(new TcpTransport(), Optional.of(token), InstantSource.system());
        try (var pair = Pair.of(joining, NETWORK.transport(2, kind))) {
            pair.greet();
            pair.other().authenticate(Identity.stranger());
            assertThatThrownBy(() -> pair.other().authenticate(identity(NETWORK, 1)))
                    .hasMessageContaining("no certificate proves to be p1");
            pair.client.authenticate(identity(NETWORK, 2));
        }
    }

    private static void refused(Transport client, Transport server, String clientOrServerSays) throws Exception {
        try (var pair = Pair.of(client, server)) {
            var said = new StringBuilder();
            try {
                pair.greet();
            } catch (IOException e) {
                said.append(e.getMessage());
            }
            try {
                pair.other();
                throw new AssertionError("the server let it in");
            } catch (java.util.concurrent.ExecutionException e) {
                said.append(" / ").append(e.getMessage());
            }
            assertThat(said.toString()).contains(clientOrServerSays);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aCertificateOfAnotherNetworkIsRefused(Kind kind) throws Exception {
        var other = new Network(2);
        refused(other.transport(1, kind), NETWORK.transport(2, kind), "is not trusted");
        // With the same names and ids, and an authority of its own: nothing but the signature tells.
        var impostor = new Network(1);
        refused(impostor.transport(1, kind), NETWORK.transport(2, kind), "is not trusted");
        // The client's side alone believes it.
        var gullible = NETWORK.transport(impostor.credentials(1), kind, _ -> true);
        refused(gullible, NETWORK.transport(2, kind), "the network's authority did not issue");
    }

    @ParameterizedTest
    @EnumSource
    void aCertificateOutOfItsTimeIsRefused(Kind kind) throws Exception {
        var keys = Keys.generate();
        var now = Instant.now();
        var expired = NETWORK.credentials(
                keys,
                NETWORK.authority.issue(
                        keys.getPublic(), "pod", NETWORK.pod(1), now.minusSeconds(7200), now.minusSeconds(3600)));
        refused(NETWORK.transport(expired, kind, _ -> true), NETWORK.transport(2, kind), "that expired at");
        var early = NETWORK.credentials(
                keys,
                NETWORK.authority.issue(
                        keys.getPublic(), "pod", NETWORK.pod(1), now.plusSeconds(3600), now.plusSeconds(7200)));
        refused(NETWORK.transport(early, kind, _ -> true), NETWORK.transport(2, kind), "that is valid from");
        // Nor is a server's.
        refused(NETWORK.transport(1, kind), NETWORK.transport(expired, kind, _ -> true), "that expired at");
    }

    /** What one pod may do with its key: certify others. Nobody believes it. */
    @ParameterizedTest
    @EnumSource
    void whatAPodIssuesIsRefused(Kind kind) throws Exception {
        var keys = Keys.generate();
        var forged = Authority.of(
                keys.getPrivate(),
                NETWORK.credentials(
                                keys, NETWORK.authority.issue(keys.getPublic(), "pod", NETWORK.pod(1), Instant.now()))
                        .certificate());
        var mine = Keys.generate();
        var certificate = forged.issue(mine.getPublic(), "pod", NETWORK.pod(9), Instant.now());
        var credentials = new Credentials(mine.getPrivate(), certificate, forged.certificate(), Optional.empty());
        refused(NETWORK.transport(credentials, kind, _ -> true), NETWORK.transport(2, kind), "is not trusted");
    }

    @ParameterizedTest
    @EnumSource
    void whoJoinsThroughAManInTheMiddleNoticesIt(Kind kind) throws Exception {
        var token = JoinToken.make(NETWORK.authority.certificate().getPublicKey());
        var joining = TlsTransport.joining(new TcpTransport(), Optional.of(token), InstantSource.system());
        refused(joining, new Network(2).transport(2, kind), "not of the network that the invitation is for");
        refused(joining, new Network(1).transport(2, kind), "not of the network that the invitation is for");
        // It shows the right authority's certificate behind its own.
        var impostor = new Network(1);
        var own = impostor.credentials(2);
        var mixed = new Credentials(own.key(), own.certificate(), NETWORK.authority.certificate(), Optional.empty());
        refused(joining, NETWORK.transport(mixed, kind, _ -> true), "is not trusted");
    }

    // ---- what is no TLS

    @ParameterizedTest
    @EnumSource
    void plainTextIsNeverAnswered(Kind kind) throws Exception {
        try (var pair = Pair.of(new TcpTransport(), NETWORK.transport(2, kind))) {
            pair.client.write(ByteBuffer.wrap("GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII)));
            assertThatThrownBy(pair::other).hasMessageContaining("no TLS connection");
        }
        // And a server that speaks none gets nothing.
        try (var listener = new TcpTransport().listen("127.0.0.1:0")) {
            var heard = new CompletableFuture<byte[]>();
            Thread.startVirtualThread(() -> {
                try (var duplex = listener.accept()) {
                    heard.complete(read(duplex, 3));
                    duplex.write(ByteBuffer.wrap(new byte[100]));
                } catch (IOException e) {
                    heard.completeExceptionally(e);
                }
            });
            try (var duplex = NETWORK.transport(1, kind).connect(listener.address(), LONG)) {
                assertThatThrownBy(() -> duplex.write(ByteBuffer.wrap("secret".getBytes(StandardCharsets.US_ASCII))))
                        .isInstanceOf(IOException.class);
            }
            assertThat(heard.get(5, TimeUnit.SECONDS)).startsWith(0x16, 3); // a handshake record
        }
    }

    /** Random damage to what a client says: the server's side ends, always, and says so by an IOException. */
    @ParameterizedTest
    @EnumSource
    void garbageEndsAConnectionAndNoMore(Kind kind) throws Exception {
        for (var seed = 1; seed <= 60; seed++) {
            var random = new Random(seed);
            try (var pair = Pair.of(new TcpTransport(), NETWORK.transport(2, kind))) {
                var bytes = new byte[1 + random.nextInt(2000)];
                random.nextBytes(bytes);
                if (random.nextBoolean()) {
                    bytes[0] = 0x16; // as a handshake's record begins
                    if (bytes.length > 5) {
                        bytes[1] = 3;
                        bytes[2] = 1;
                        bytes[3] = 0;
                        bytes[4] = (byte) (bytes.length - 5);
                        bytes[5] = 1;
                    }
                }
                pair.client.write(ByteBuffer.wrap(bytes));
                pair.client.close();
                try {
                    pair.other();
                    throw new AssertionError("seed " + seed + ": let in");
                } catch (java.util.concurrent.ExecutionException e) {
                    assertThat(e.getCause()).as("seed " + seed).isInstanceOf(IOException.class);
                }
            }
        }
    }

    /** A whole record of each length around the largest one: it is too long, or makes no sense, but never waited for. */
    @ParameterizedTest
    @EnumSource
    void aRecordOfAnyLengthIsAnsweredByTheEndOfTheConnection(Kind kind) throws Exception {
        for (var length = 16_380; length < 16_720; length += 1) {
            try (var pair = Pair.of(new TcpTransport(), NETWORK.transport(2, kind))) {
                var record = ByteBuffer.allocate(5 + length);
                record.put(new byte[] {0x16, 3, 1}).putShort((short) length);
                pair.client.write(record.rewind());
                var at = length;
                assertThatThrownBy(pair::other)
                        .as("length " + at)
                        .isInstanceOf(java.util.concurrent.ExecutionException.class);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void closingEndsAReaderAndAWriterThatWait(Kind kind) throws Exception {
        try (var pair = Pair.of(NETWORK.transport(1, kind), NETWORK.transport(2, kind))) {
            pair.greet();
            var failure = new AtomicReference<Throwable>();
            var reading = Thread.startVirtualThread(() -> {
                try {
                    if (pair.client.read(ByteBuffer.allocate(10)) >= 0) failure.set(new AssertionError("bytes"));
                } catch (IOException expected) {
                    // that is the end
                } catch (Throwable e) {
                    failure.set(e);
                }
            });
            var writing = Thread.startVirtualThread(() -> {
                try {
                    while (true) pair.client.write(ByteBuffer.allocate(1 << 20)); // nobody reads
                } catch (IOException expected) {
                    // that is the end
                } catch (Throwable e) {
                    failure.set(e);
                }
            });
            pair.other();
            Thread.sleep(50); // both wait by then, mostly; either way they must end
            pair.client.close();
            pair.client.close();
            assertThat(reading.join(LONG)).isTrue();
            assertThat(writing.join(LONG)).isTrue();
            assertThat(failure.get()).isNull();
        }
    }
}
