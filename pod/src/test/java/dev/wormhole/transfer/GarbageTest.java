// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Bytes that no speaker of the protocol sends. */
@Timeout(60)
final class GarbageTest {
    private static final int ECHO = 300;
    private final TcpTransport tcp = new TcpTransport();

    private static Node node(int number) throws IOException {
        var node = new Node(number);
        node.server.handle(ECHO, Request::body);
        return node.start();
    }

    private static void isWell(Node server) throws Exception {
        try (var other = new Node(9)) {
            other.peers.learn(server.id, List.of(server.address));
            assertThat(other.peers
                            .await(server.id, ECHO, new byte[] {5}, Duration.ofSeconds(20))
                            .body())
                    .containsExactly(5);
        }
    }

    /** Until the other side has ended the connection. */
    private static int drain(Transport.Duplex duplex) {
        var into = ByteBuffer.allocate(4096);
        var total = 0;
        try {
            while (true) {
                var read = duplex.read(into.clear());
                if (read < 0) return total;
                total += read;
            }
        } catch (IOException e) {
            return total;
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void garbageOfStrangersEndsTheirConnectionAndNothingElse(long seed) throws Exception {
        var random = new Random(seed);
        try (var server = node(1)) {
            for (var i = 0; i < 60; i++) {
                try (var duplex = tcp.connect(server.address, Duration.ofSeconds(5))) {
                    var bytes = new byte[random.nextInt(1, 300)];
                    random.nextBytes(bytes);
                    // Half of them begin like a frame.
                    if (random.nextBoolean())
                        ByteBuffer.wrap(bytes, 0, Math.min(4, bytes.length))
                                .put(new byte[] {0x57, 0x48, 0x46, 0x31}, 0, Math.min(4, bytes.length));
                    duplex.write(ByteBuffer.wrap(bytes));
                    if (bytes.length >= Frame.HEADER_BYTES) {
                        assertThat(drain(duplex)).as("seed " + seed).isZero();
                    }
                } catch (IOException e) {
                    assertThat(e).as("seed " + seed).hasMessageNotContaining("timed out");
                }
            }
            isWell(server);
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {11, 12, 13, 14})
    void mutatedFramesOfAPodEndAtMostItsConnection(long seed) throws Exception {
        var random = new Random(seed);
        var pod = new Identity(Node.NETWORK, 1, new Incarnation(8));
        try (var server = node(1)) {
            for (var i = 0; i < 60; i++) {
                var lane = Lane.values()[random.nextInt(4)];
                try (var duplex = tcp.connect(server.address, Duration.ofSeconds(5))) {
                    duplex.write(Handshake.hello(pod, lane));
                    // Right checksums around wrong bodies: they reach the parsers.
                    var body = new byte[random.nextInt(200)];
                    random.nextBytes(body);
                    if (body.length > 16 && random.nextBoolean()) java.util.Arrays.fill(body, 0, 9, (byte) 0);
                    var type = lane == Lane.STREAM ? Frame.PUSH : Frame.CALL;
                    if (random.nextInt(4) == 0) type = (byte) random.nextInt(12);
                    var kind = random.nextInt(4);
                    duplex.write(Frame.encode(type, kind, pod, 1000, random.nextInt(5), 0, ByteBuffer.wrap(body)));
                    if (random.nextBoolean()) {
                        duplex.write(Frame.encode(Frame.DATA, 3, pod, 0, random.nextInt(5), 0, ByteBuffer.wrap(body)));
                    }
                    var read = duplex.read(ByteBuffer.allocate(4096));
                    assertThat(read).as("seed " + seed + " step " + i).isNotZero();
                } catch (IOException e) {
                    // Ended by the server: fine.
                    assertThat(e).as("seed " + seed).isNotInstanceOf(java.net.SocketTimeoutException.class);
                }
            }
            isWell(server);
            assertThat(server.memory().staged).isZero();
        }
    }

    @Test
    void aFrameThatClaimsToBeHugeIsNotWaitedFor() throws Exception {
        var stranger = Identity.stranger();
        try (var server = node(1);
                var duplex = tcp.connect(server.address, Duration.ofSeconds(5))) {
            duplex.write(Handshake.hello(stranger, Lane.CONTROL));
            var in = new Frame.In(duplex, 1000);
            var welcome = in.next();
            assertThat(welcome.type).isEqualTo(Frame.WELCOME);
            in.skip(welcome);
            var frame = Frame.encode(Frame.CALL, ECHO, stranger, 1000, 1, 0, ByteBuffer.allocate(100_000));
            // The header alone is enough for the server to end it.
            duplex.write(frame[0]);
            assertThat(drain(duplex)).isZero();
            isWell(server);
        }
    }

    @Test
    void connectionsThatNeverGreetMakeRoomForThoseThatDo() throws Exception {
        try (var server = node(1)) {
            var silent = new ArrayList<Transport.Duplex>();
            for (var i = 0; i < 200; i++) silent.add(tcp.connect(server.address, Duration.ofSeconds(5)));
            isWell(server);
            // All but the newest 64 have been ended for others, the rest by the handshake's time.
            for (var one : silent) assertThat(drain(one)).isZero();
            for (var one : silent) one.close();
        }
    }

    @Test
    void strangersAreFew() throws Exception {
        try (var server = node(1)) {
            var open = new ArrayList<Transport.Duplex>();
            var refused = 0;
            for (var i = 0; i < 40; i++) {
                var duplex = tcp.connect(server.address, Duration.ofSeconds(5));
                open.add(duplex);
                duplex.write(Handshake.hello(Identity.stranger(), Lane.CONTROL));
                var in = new Frame.In(duplex, 4096);
                var answer = in.next();
                if (answer.type == Frame.ERROR) {
                    assertThat(answer.kind).isEqualTo(PeerRefused.OVERLOADED);
                    refused++;
                }
            }
            assertThat(refused).isEqualTo(24);
            isWell(server);
            for (var one : open) one.close();
        }
    }

    @Test
    void aStrangerMayNotPushOrRead() throws Exception {
        try (var server = node(1)) {
            for (var lane : new Lane[] {Lane.PUSH, Lane.READ, Lane.STREAM}) {
                var duplex = tcp.connect(server.address, Duration.ofSeconds(5));
                duplex.write(Handshake.hello(Identity.stranger(), lane));
                var answer = new Frame.In(duplex, 4096).next();
                assertThat(answer.type).isEqualTo(Frame.ERROR);
                assertThat(answer.kind).isEqualTo(PeerRefused.STRANGER);
                duplex.close();
            }
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {21, 22, 23, 24, 25})
    void messagesComeBackAsTheyWereAndCutOnesAreRefused(long seed) throws Exception {
        var random = new Random(seed);
        for (var round = 0; round < 200; round++) {
            var number = random.nextLong() & Long.MAX_VALUE >>> random.nextInt(63);
            var bytes = Node.bytes(random.nextLong(), random.nextInt(50));
            var slice = new SliceId(random.nextLong(1, Long.MAX_VALUE));
            var pods = List.of(new Incarnation(random.nextInt(1, 1 << 24)), new Incarnation(1));
            var written = Messages.writer()
                    .putVarint(number)
                    .putBytes(bytes)
                    .putString("Grüße " + number)
                    .putSlice(slice)
                    .putBoolean(true)
                    .putInt((int) number)
                    .putList(pods, Messages.Writer::putIncarnation)
                    .toBytes();
            read(Messages.reader(written), number, bytes, slice, pods);
            var cut = java.util.Arrays.copyOf(written, random.nextInt(written.length));
            assertThatThrownBy(() -> read(Messages.reader(cut), number, bytes, slice, pods))
                    .as("seed " + seed)
                    .isInstanceOf(MalformedMessageException.class);
        }
        assertThatThrownBy(() -> Messages.reader(new byte[] {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1})
                        .getVarint())
                .isInstanceOf(MalformedMessageException.class);
        assertThatThrownBy(() -> Messages.reader(
                                Messages.writer().putVarint(1L << 40).toBytes())
                        .getBytes(1 << 30))
                .isInstanceOf(MalformedMessageException.class);
    }

    private static void read(Messages.Reader in, long number, byte[] bytes, SliceId slice, List<Incarnation> pods)
            throws IOException {
        assertThat(in.getVarint()).isEqualTo(number);
        assertThat(in.getBytes(50)).isEqualTo(bytes);
        assertThat(in.getString(100)).isEqualTo("Grüße " + number);
        assertThat(in.getSlice()).isEqualTo(slice);
        assertThat(in.getBoolean()).isTrue();
        assertThat(in.getInt()).isEqualTo((int) number);
        assertThat(in.getList(2, Messages.Reader::getIncarnation)).isEqualTo(pods);
        in.end();
    }
}
