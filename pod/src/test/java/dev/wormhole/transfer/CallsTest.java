// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
final class CallsTest {
    private static final int ECHO = 300;
    private static final int HANG = 301;
    private static final int ORDERED = 302;
    private static final int JOIN = 303;
    private static final int REFUSE = 304;
    private static final int LATER = 305;
    private static final Duration LONG = Duration.ofSeconds(20);
    private static final Duration SHORT = Duration.ofMillis(200);

    private final List<AutoCloseable> open = new ArrayList<>();
    private final CountDownLatch hang = new CountDownLatch(1);
    private final CountDownLatch interrupted = new CountDownLatch(1);
    private final ConcurrentLinkedQueue<Integer> order = new ConcurrentLinkedQueue<>();
    private final AtomicReference<Request> last = new AtomicReference<>();
    private final CompletableFuture<byte[]> later = new CompletableFuture<>();

    private Node node(int number) throws IOException {
        return node(number, Server.Limits.DEFAULT, Peers.Limits.DEFAULT);
    }

    private Node node(int number, Server.Limits limits, Peers.Limits peerLimits) throws IOException {
        var node = unstarted(number, limits, peerLimits);
        return node.start();
    }

    private Node unstarted(int number, Server.Limits limits, Peers.Limits peerLimits) {
        var node = new Node(number, new MemoryStore(), peerLimits, limits, SliceReceiver.Limits.DEFAULT);
        open.add(node);
        node.server.handle(ECHO, request -> {
            last.set(request);
            return request.body();
        });
        node.server.handle(HANG, _ -> {
            try {
                hang.await();
            } catch (InterruptedException e) {
                interrupted.countDown();
                throw e;
            }
            return new byte[0];
        });
        node.server.handle(
                ORDERED,
                request -> {
                    order.add(Messages.reader(request.body()).getInt());
                    return new byte[0];
                },
                Server.Option.ORDERED);
        node.server.handle(JOIN, Request::body, Server.Option.STRANGERS);
        node.server.handle(REFUSE, _ -> {
            throw new PeerRefused(142, "no, because");
        });
        node.server.handleLater(LATER, _ -> later);
        return node;
    }

    @AfterEach
    void close() throws Exception {
        hang.countDown();
        for (var one : open) one.close();
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Throwable failure(CompletableFuture<?> future) throws Exception {
        try {
            future.get(30, TimeUnit.SECONDS);
            throw new AssertionError("it did not fail");
        } catch (ExecutionException e) {
            return e.getCause();
        }
    }

    @Test
    void aReplyCarriesTheBodyAndTheIndexAndTheHandlerSeesTheCaller() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        var reply = a.peers.await(b.id, ECHO, text("hello"), LONG);
        assertThat(reply.body()).isEqualTo(text("hello"));
        assertThat(reply.appliedIndex()).isEqualTo(200);
        assertThat(last.get().caller()).isEqualTo(a.id);
        assertThat(last.get().appliedIndex()).isEqualTo(100);
        var large = Node.bytes(3, 3 << 20);
        assertThat(a.peers.call(b.id, ECHO, large, LONG).get().body()).isEqualTo(large);
        var stats = a.peers.stats().get(b.id);
        assertThat(stats.calls()).isEqualTo(2);
        assertThat(stats.failures()).isZero();
        assertThat(stats.outstanding()).isZero();
        assertThat(stats.bytesOut()).isGreaterThan(3 << 20);
        assertThat(stats.bytesIn()).isGreaterThan(3 << 20);
        assertThat(stats.connected()).isTrue();
    }

    @Test
    void manyThreadsGetTheirOwnAnswers() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        var all = new ArrayList<CompletableFuture<Reply>>();
        for (var i = 0; i < 2000; i++) {
            all.add(a.peers.call(
                    b.id,
                    ECHO,
                    Messages.writer().putInt(i).putBytes(new byte[i]).toBytes(),
                    LONG));
        }
        for (var i = 0; i < 2000; i++) {
            assertThat(Messages.reader(all.get(i).get().body()).getInt()).isEqualTo(i);
        }
    }

    @Test
    void orderedCallsOfOnePodAreBegunInTheirOrder() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        var all = new ArrayList<CompletableFuture<Reply>>();
        for (var i = 0; i < 1000; i++) {
            // Some large ones between, so that callers and the writing thread take turns at the socket.
            var body = Messages.writer().putInt(i).putBytes(new byte[i % 10 == 0 ? 30_000 : 10]);
            all.add(a.peers.call(b.id, ORDERED, body.toBytes(), LONG));
        }
        for (var one : all) one.get();
        assertThat(List.copyOf(order)).hasSize(1000).isSorted();
    }

    @Test
    void refusalsAndFailuresKeepTheirKind() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        assertThatThrownBy(() -> a.peers.await(b.id, REFUSE, new byte[0], LONG))
                .isInstanceOfSatisfying(
                        PeerRefused.class, e -> assertThat(e.code()).isEqualTo(142))
                .hasMessage("no, because");
        assertThatThrownBy(() -> a.peers.await(b.id, 999, new byte[0], LONG))
                .isInstanceOfSatisfying(
                        PeerRefused.class, e -> assertThat(e.code()).isEqualTo(PeerRefused.UNKNOWN_KIND));
        assertThatThrownBy(() -> a.peers.await(b.id, ORDERED, new byte[1], LONG))
                .isInstanceOfSatisfying(
                        PeerRefused.class, e -> assertThat(e.code()).isEqualTo(PeerRefused.BAD_REQUEST));
        assertThatThrownBy(() -> a.peers.await(new Incarnation(77), ECHO, new byte[0], LONG))
                .isInstanceOf(PeerUnreachable.class);
    }

    @Test
    void aHandlerPastItsDeadlineIsInterruptedAndItsCallerHearsInTime() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        assertThat(failure(a.peers.call(b.id, HANG, new byte[0], SHORT))).isInstanceOf(PeerTimeout.class);
        interrupted.await();
        assertThat(a.peers.await(b.id, ECHO, text("still"), LONG).body()).isEqualTo(text("still"));
    }

    @Test
    void aLaterAnswerArrivesAndOneThatNeverComesIsATimeout() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        var first = a.peers.call(b.id, LATER, new byte[0], LONG);
        a.peers.await(b.id, ECHO, new byte[0], LONG);
        assertThat(first).isNotDone();
        later.complete(text("now"));
        assertThat(first.get().body()).isEqualTo(text("now"));
    }

    @Test
    void aPeerThatIsCutOffFailsAtTheDeadlineAndIsDialledAnewAfterwards() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        a.peers.await(b.id, ECHO, text("1"), LONG);
        assertThat(a.to(b).connects).hasValue(1);
        a.to(b).cut = true;
        assertThat(failure(a.peers.call(b.id, ECHO, text("2"), SHORT))).isInstanceOf(PeerTimeout.class);
        var during = new ArrayList<CompletableFuture<Reply>>();
        for (var i = 0; i < 50; i++) during.add(a.peers.call(b.id, ECHO, new byte[20_000], SHORT));
        for (var one : during) assertThat(failure(one)).isInstanceOf(PeerException.class);
        a.to(b).cut = false;
        a.peers.heard(b.id);
        assertThat(eventually(a, b)).isEqualTo(text("again"));
        assertThat(a.to(b).connects.get()).isGreaterThan(1);
        assertThat(a.peers.stats().get(b.id).outstanding()).isZero();
    }

    /** Calls until one succeeds; each ends by itself, so this does. */
    private static byte[] eventually(Node from, Node to) throws Exception {
        while (true) {
            try {
                return from.peers.await(to.id, ECHO, text("again"), LONG).body();
            } catch (PeerUnreachable e) {
                Thread.onSpinWait(); // backing off; the test's timeout bounds it
            }
        }
    }

    @Test
    void aPeerThatRestartsOnItsAddressIsFoundAgain() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        a.peers.await(b.id, ECHO, text("1"), LONG);
        var hanging = a.peers.call(b.id, HANG, new byte[0], LONG);
        b.close();
        assertThat(failure(hanging)).isInstanceOf(PeerUnreachable.class);
        var again = unstarted(2, Server.Limits.DEFAULT, Peers.Limits.DEFAULT).start(b.address);
        assertThat(eventually(a, again)).isEqualTo(text("again"));
    }

    @Test
    void oneOfSeveralAddressesIsEnough() throws Exception {
        var a = node(1);
        var b = node(2);
        a.transport.link("10.255.255.1:1").cut = true;
        a.transport.link("10.255.255.2:1").down = true;
        a.peers.learn(b.id, List.of("10.255.255.1:1", "10.255.255.2:1", b.address));
        assertThat(a.peers.await(b.id, ECHO, text("x"), LONG).body()).isEqualTo(text("x"));
    }

    @Test
    void anotherNetworkGenerationOrPodIsRefusedClearly() throws Exception {
        var a = node(1);
        var b = node(2);
        var c = node(3);
        Node.introduce(a, b, c);
        b.identity = new Identity(new UUID(9, 9), 1, b.id);
        assertThat(code(a, b)).isEqualTo(PeerRefused.WRONG_NETWORK);
        c.identity = new Identity(Node.NETWORK, 2, c.id);
        assertThat(code(a, c)).isEqualTo(PeerRefused.WRONG_GENERATION);
        c.identity = new Identity(Node.NETWORK, 1, new Incarnation(4));
        a.peers.forget(c.id);
        a.peers.learn(c.id, List.of(c.address));
        assertThat(code(a, c)).isEqualTo(PeerRefused.WRONG_POD);
    }

    private static int code(Node from, Node to) throws Exception {
        var failure = failure(from.peers.call(to.id, ECHO, new byte[0], LONG));
        assertThat(failure).isInstanceOf(PeerRefused.class);
        return ((PeerRefused) failure).code();
    }

    @Test
    void aPodOfAPastGenerationLosesItsConnection() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        a.peers.await(b.id, ECHO, text("1"), LONG);
        var hanging = a.peers.call(b.id, HANG, new byte[0], LONG);
        b.identity = new Identity(Node.NETWORK, 2, b.id);
        assertThat(failure(hanging)).isInstanceOf(PeerUnreachable.class);
        assertThat(code(a, b)).isEqualTo(PeerRefused.WRONG_GENERATION);
    }

    @Test
    void aStrangerReachesOnlyWhatIsOpenToStrangers() throws Exception {
        var a = node(1);
        a.identity = Identity.stranger();
        var b = node(2);
        assertThat(a.peers
                        .callAddress(b.address, JOIN, text("let me in"), LONG)
                        .get()
                        .body())
                .isEqualTo(text("let me in"));
        assertThat(failure(a.peers.callAddress(b.address, ECHO, text("x"), LONG)))
                .isInstanceOfSatisfying(
                        PeerRefused.class, e -> assertThat(e.code()).isEqualTo(PeerRefused.STRANGER));
        assertThat(failure(a.peers.callAddress("127.0.0.1:1", JOIN, text("x"), LONG)))
                .isInstanceOf(PeerUnreachable.class);
    }

    @Test
    void unansweredCallsAreBoundedOnBothSides() throws Exception {
        var a = node(1, Server.Limits.DEFAULT, new Peers.Limits(8, 1 << 20, Duration.ofSeconds(2), LONG));
        var few =
                new Server.Limits(1024, 16, 64, Duration.ofSeconds(2), Duration.ofSeconds(60), 64 << 10, 4, 64L << 20);
        var b = node(2, few, Peers.Limits.DEFAULT);
        Node.introduce(a, b);
        var all = new ArrayList<CompletableFuture<Reply>>();
        for (var i = 0; i < 20; i++) all.add(a.peers.call(b.id, HANG, new byte[0], LONG));
        var overloaded = 0;
        // 12 are refused here and 4 there; the other 4 hang until they are let go.
        for (var one : all.subList(8, 20)) {
            assertThat(failure(one))
                    .isInstanceOfSatisfying(
                            PeerRefused.class, e -> assertThat(e.code()).isEqualTo(PeerRefused.OVERLOADED));
            overloaded++;
        }
        assertThat(overloaded).isEqualTo(12);
        for (var one : all.subList(4, 8)) assertThat(failure(one)).isInstanceOf(PeerRefused.class);
        hang.countDown();
        for (var one : all.subList(0, 4)) assertThat(one.get().body()).isEmpty();
        assertThat(a.peers.await(b.id, ECHO, text("free"), LONG).body()).isEqualTo(text("free"));
    }

    @Test
    void aDamagedReplyIsNeverDelivered() throws Exception {
        var a = node(1);
        var b = node(2);
        Node.introduce(a, b);
        a.peers.await(b.id, ECHO, text("1"), LONG);
        for (var at : new int[] {0, 5, 9, 20, 33, 50, 56, 70, 1000}) {
            a.to(b).flipAfterRead.set(at);
            var sent = Node.bytes(at, 5000);
            try {
                assertThat(a.peers
                                .await(b.id, ECHO, sent, Duration.ofSeconds(2))
                                .body())
                        .isEqualTo(sent);
                throw new AssertionError("bit " + at + " went unnoticed");
            } catch (PeerUnreachable e) {
                assertThat(e).hasMessageContaining("lost");
            }
            assertThat(eventually(a, b)).isEqualTo(text("again"));
        }
    }
}
