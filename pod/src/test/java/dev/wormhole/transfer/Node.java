// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.content.ContentStore;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;

/** One pod's end of the wire, complete, on a free loopback port. */
final class Node implements AutoCloseable {
    static final UUID NETWORK = new UUID(7, 11);

    final Incarnation id;
    final FaultyTransport transport = new FaultyTransport();
    final AtomicLong applied = new AtomicLong();
    volatile Identity identity;
    final ContentStore store;
    final Peers peers;
    final Server server;
    final SliceSender sender;
    final SliceReceiver receiver;
    final RemoteReader reader;
    String address = "";

    Node(int number) {
        this(number, new MemoryStore(), Peers.Limits.DEFAULT, Server.Limits.DEFAULT, SliceReceiver.Limits.DEFAULT);
    }

    Node(
            int number,
            ContentStore store,
            Peers.Limits peerLimits,
            Server.Limits serverLimits,
            SliceReceiver.Limits receiverLimits) {
        this(number, store, peerLimits, serverLimits, receiverLimits, new TcpTransport());
    }

    /** @param listening what its server listens by */
    Node(
            int number,
            ContentStore store,
            Peers.Limits peerLimits,
            Server.Limits serverLimits,
            SliceReceiver.Limits receiverLimits,
            Transport listening) {
        this.store = store;
        id = new Incarnation(number);
        identity = new Identity(NETWORK, 1, id);
        applied.set(number * 100L);
        peers = new Peers(transport, () -> identity, applied::get, peerLimits);
        server = new Server(listening, () -> identity, applied::get, serverLimits);
        sender = new SliceSender(peers, store);
        receiver = new SliceReceiver(server, peers, () -> identity, store, sender, receiverLimits);
        var _ = new SliceProvider(server, store);
        reader = new RemoteReader(peers, RemoteReader.Limits.DEFAULT);
    }

    MemoryStore memory() {
        return (MemoryStore) store;
    }

    Node start() throws IOException {
        return start("127.0.0.1:0");
    }

    Node start(String at) throws IOException {
        address = server.start(at);
        return this;
    }

    /** All know the addresses of all. */
    static void introduce(Node... nodes) {
        for (var one : nodes) {
            for (var other : nodes) if (one != other) one.peers.learn(other.id, List.of(other.address));
        }
    }

    FaultyTransport.Link to(Node other) {
        return transport.link(other.address);
    }

    SliceId slice(long counter) {
        return new SliceId(Ids.of(id.number(), counter));
    }

    static byte[] bytes(long seed, int count) {
        var bytes = new byte[count];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    @Override
    public void close() {
        peers.close();
        server.close();
    }
}
