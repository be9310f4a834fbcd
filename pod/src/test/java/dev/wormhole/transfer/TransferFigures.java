// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.content.ContentStore;
import dev.wormhole.model.SliceId;
import dev.wormhole.security.Network;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** Figures for a person to read, on loopback and two ends in one process; not a test. Run its main,
 * with PLAIN (the default), JDK or NATIVE. */
final class TransferFigures {
    private static final Duration LONG = Duration.ofSeconds(30);
    private static final int ROUNDS = 24;
    private static final AtomicLong counter = new AtomicLong(1);

    private TransferFigures() {}

    private interface Step {
        void run() throws Exception;
    }

    private static void times(String what, int count, Step step) throws Exception {
        for (var i = 0; i < count; i++) step.run();
        var nanos = new long[count];
        for (var i = 0; i < count; i++) {
            var begun = System.nanoTime();
            step.run();
            nanos[i] = System.nanoTime() - begun;
        }
        print(what, nanos);
    }

    private static void print(String what, long[] nanos) {
        Arrays.sort(nanos);
        System.out.printf(
                "%-28s p50 %7.1f us  p99 %7.1f us%n",
                what, nanos[nanos.length / 2] / 1e3, nanos[nanos.length * 99 / 100] / 1e3);
    }

    private static Node node(int number, Transport transport) {
        return new Node(
                number,
                new MemoryStore(),
                Peers.Limits.DEFAULT,
                Server.Limits.DEFAULT,
                SliceReceiver.Limits.DEFAULT,
                transport);
    }

    /** @param kind PLAIN, or which TLS: JDK or NATIVE */
    private static Transport transport(Network network, int number, String kind) {
        return kind.equals("PLAIN") ? new TcpTransport() : network.transport(number, Network.Kind.valueOf(kind));
    }

    private static SliceId sealed(ContentStore store, Node node, byte[] bytes) throws Exception {
        var slice = node.slice(counter.getAndIncrement());
        try (var writer = store.stage(slice, bytes.length)) {
            writer.append(ByteBuffer.wrap(bytes));
            writer.seal();
        }
        return slice;
    }

    public static void main(String[] args) throws Exception {
        var kind = args.length == 0 ? "PLAIN" : args[0];
        var network = new Network(Node.NETWORK);
        try (var a = node(1, transport(network, 1, kind));
                var b = node(2, transport(network, 2, kind))) {
            b.server.handle(300, Request::body);
            a.start();
            b.start();
            Node.introduce(a, b);
            // The faulty transport copies; figures are of this one.
            var peers = new Peers(transport(network, 1, kind), () -> a.identity, a.applied::get, Peers.Limits.DEFAULT);
            peers.learn(b.id, List.of(b.address));
            var sender = new SliceSender(peers, a.store);
            var reader = new RemoteReader(peers, RemoteReader.Limits.DEFAULT);
            var body = new byte[100];
            times("call, await", 20_000, () -> peers.await(b.id, 300, body, LONG));
            times(
                    "call, future",
                    20_000,
                    () -> peers.call(b.id, 300, body, LONG).get());
            var page = Node.bytes(1, 4096);
            times("push 4 KiB, alone", 5_000, () -> {
                var slice = sealed(a.store, a, page);
                sender.push(slice, 4096, List.of(b.id), LONG).get();
            });
            var threads = new ArrayList<Thread>();
            var nanos = new long[8 * 3000];
            var begun = System.nanoTime();
            for (var t = 0; t < 8; t++) {
                var thread = t;
                threads.add(Thread.ofPlatform().start(() -> {
                    try {
                        for (var i = 0; i < 3000; i++) {
                            var slice = sealed(a.store, a, page);
                            var at = System.nanoTime();
                            sender.push(slice, 4096, List.of(b.id), LONG).get();
                            nanos[thread * 3000 + i] = System.nanoTime() - at;
                        }
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                }));
            }
            for (var thread : threads) thread.join();
            var took = System.nanoTime() - begun;
            print("push 4 KiB, 8 threads", nanos);
            System.out.printf("%-28s %.0f slices/s%n", "", nanos.length / (took / 1e9));
            var pushes = new ArrayList<Double>();
            var reads = new ArrayList<Double>();
            for (var round = 0; round < ROUNDS; round++) {
                var slice = sealed(a.store, a, Node.bytes(2, 64 << 20));
                begun = System.nanoTime();
                sender.push(slice, 64 << 20, List.of(b.id), LONG).get();
                took = System.nanoTime() - begun;
                pushes.add((64 << 20) / 1e6 / (took / 1e9));
                begun = System.nanoTime();
                var into = ByteBuffer.allocate(256 * 1024);
                for (var at = 0L; at < 64 << 20; at += into.capacity()) {
                    reader.read(slice, List.of(b.id), at, into.clear());
                }
                took = System.nanoTime() - begun;
                reads.add((64 << 20) / 1e6 / (took / 1e9));
                a.store.delete(List.of(slice));
                b.store.delete(List.of(slice));
                reader.forget(slice);
            }
            median("push 64 MiB", pushes);
            median("read 64 MiB in order", reads);
            peers.close();
        }
    }

    /** Of the second half: the first one warms the JVM. */
    private static void median(String what, List<Double> figures) {
        var warm = figures.subList(figures.size() / 2, figures.size()).stream()
                .sorted()
                .toList();
        System.out.printf(
                "%-28s %.0f MB/s (%.0f to %.0f)%n", what, warm.get(warm.size() / 2), warm.getFirst(), warm.getLast());
    }
}
