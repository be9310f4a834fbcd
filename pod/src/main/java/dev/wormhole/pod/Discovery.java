// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.MulticastSocket;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Pods of one local network find each other without any address: a pod that has moved, or that somebody has not heard, sends a
 * datagram to a multicast group. It says no more than which pod it is of which network, and its port; the rest is the
 * sender's address. It is a hint: whoever hears it dials there, and the handshake tells whether it was true. Nothing is ever
 * answered to a datagram, it never leaves the local network, and what is received is read at a bounded rate.
 * Layout: docs/formats/discovery.md.
 */
final class Discovery implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(Discovery.class.getName());
    /** Of the block for use within a site. */
    private static final String GROUP = "239.255.87.72";

    private static final int PORT = 7420;
    private static final int MAGIC = 0x57484C4F; // "WHLO"
    private static final int VERSION = 1;
    static final int TAG_BYTES = 8;
    static final int BYTES = 4 + 1 + TAG_BYTES + 4 + 2 + 8;
    /** Datagrams that are looked at in a second; others are dropped unread. */
    private static final int RATE_MAX = 200;
    /** Own announcements are no closer than this, whatever happens. */
    private static final long PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(900);

    /**
     * What a datagram says.
     *
     * @param tag of the network
     * @param port of calls
     * @param sequence of the sender's steps, see {@link Whereabouts.Place}
     */
    @SuppressWarnings("ArrayRecordComponent")
    record Hello(byte[] tag, Incarnation pod, int port, long sequence) {
        byte[] encode() {
            return ByteBuffer.allocate(BYTES)
                    .putInt(MAGIC)
                    .put((byte) VERSION)
                    .put(tag)
                    .putInt(pod.number())
                    .putShort((short) port)
                    .putLong(sequence)
                    .array();
        }

        /** Empty for whatever is no such datagram. */
        static Optional<Hello> decode(ByteBuffer from) {
            if (from.remaining() != BYTES || from.getInt() != MAGIC || from.get() != VERSION) return Optional.empty();
            var tag = new byte[TAG_BYTES];
            from.get(tag);
            var number = from.getInt();
            var port = Short.toUnsignedInt(from.getShort());
            var sequence = from.getLong();
            if (number < 1
                    || number > dev.wormhole.model.Ids.ALLOCATOR_MAX
                    || port == 0
                    || port == 65535
                    || sequence < 0) return Optional.empty();
            return Optional.of(new Hello(tag, new Incarnation(number), port, sequence));
        }
    }

    private final Incarnation self;
    private final byte[] tag;
    private final int port;
    private final BiConsumer<Incarnation, String> hint;
    private final InetSocketAddress group;
    private final MulticastSocket socket;
    private final Set<String> joined = new HashSet<>(); // thread that announces
    private long announcedNanos = System.nanoTime() - PAUSE_NANOS;
    private volatile boolean closed;

    private Discovery(
            Incarnation self, UUID network, int port, BiConsumer<Incarnation, String> hint, MulticastSocket socket) {
        this.self = self;
        this.tag = tag(network);
        this.port = port;
        this.hint = hint;
        this.group = new InetSocketAddress(Inet4Address.ofLiteral(GROUP), PORT);
        this.socket = socket;
    }

    /**
     * Listens from now on.
     *
     * @param port of this pod's calls
     * @param hint told of each pod of the network that announces itself, with HOST:PORT; not proven
     * @return empty where there is no multicast, which is said in the log
     */
    static Optional<Discovery> open(Incarnation self, UUID network, int port, BiConsumer<Incarnation, String> hint) {
        try {
            var socket = new MulticastSocket(null);
            try {
                socket.setReuseAddress(true); // several pods on one machine
                socket.bind(new InetSocketAddress(PORT));
                socket.setOption(StandardSocketOptions.IP_MULTICAST_TTL, 1);
                var discovery = new Discovery(self, network, port, hint, socket);
                discovery.join();
                Thread.ofPlatform().daemon().name("discovery").start(discovery::receive);
                return Optional.of(discovery);
            } catch (IOException | RuntimeException e) {
                socket.close();
                throw e;
            }
        } catch (IOException e) {
            LOG.info("pods of the local network are not looked for: " + e.getMessage());
            return Optional.empty();
        }
    }

    /** What tells one network from another, and not its id. */
    static byte[] tag(UUID network) {
        try {
            var hash = MessageDigest.getInstance("SHA-256")
                    .digest(("wormhole discovery " + network).getBytes(StandardCharsets.US_ASCII));
            return Arrays.copyOf(hash, TAG_BYTES);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** On every network of this machine; failures cost only this announcement. One thread at a time. */
    void announce(long sequence) {
        var now = System.nanoTime();
        if (closed || now - announcedNanos < PAUSE_NANOS) return;
        announcedNanos = now;
        join();
        var bytes = new Hello(tag, self, port, sequence).encode();
        try {
            for (var network : NetworkInterface.networkInterfaces().toList()) {
                if (!suits(network)) continue;
                try {
                    socket.setOption(StandardSocketOptions.IP_MULTICAST_IF, network);
                    socket.send(new DatagramPacket(bytes, bytes.length, group));
                } catch (IOException e) {
                    LOG.log(Level.FINE, "no announcement on {0}: {1}", new Object[] {network.getName(), e});
                }
            }
        } catch (SocketException e) {
            LOG.log(Level.FINE, "no announcement", e);
        }
    }

    /** Networks come and go. */
    private void join() {
        try {
            var there = new HashSet<String>();
            for (var network : NetworkInterface.networkInterfaces().toList()) {
                if (!suits(network)) continue;
                var name = network.getIndex() + " " + network.getInterfaceAddresses();
                there.add(name);
                if (joined.contains(name)) continue;
                try {
                    socket.joinGroup(group, network);
                } catch (IOException already) {
                    LOG.log(Level.FINE, "group on {0}: {1}", new Object[] {network.getName(), already});
                }
            }
            joined.clear();
            joined.addAll(there);
        } catch (SocketException e) {
            LOG.log(Level.FINE, "no networks are listed", e);
        }
    }

    private static boolean suits(NetworkInterface network) throws SocketException {
        return network.isUp()
                && !network.isLoopback()
                && network.supportsMulticast()
                && network.inetAddresses().anyMatch(Inet4Address.class::isInstance);
    }

    private void receive() {
        var packet = new DatagramPacket(new byte[BYTES + 1], BYTES + 1);
        var second = System.nanoTime();
        var read = 0;
        while (!closed) {
            try {
                packet.setLength(BYTES + 1);
                socket.receive(packet);
                var now = System.nanoTime();
                if (now - second > TimeUnit.SECONDS.toNanos(1)) {
                    second = now;
                    read = 0;
                }
                if (read++ >= RATE_MAX) continue;
                var from = packet.getAddress();
                Hello.decode(ByteBuffer.wrap(packet.getData(), 0, packet.getLength()))
                        .filter(hello ->
                                Arrays.equals(hello.tag(), tag) && !hello.pod().equals(self))
                        .ifPresent(hello -> hint.accept(hello.pod(), address(from, hello.port())));
            } catch (IOException e) {
                if (closed) return;
                LOG.log(Level.FINE, "a datagram was not read: {0}", e.getMessage());
                java.util.concurrent.locks.LockSupport.parkNanos(PAUSE_NANOS);
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "a datagram met a bug", bug);
            }
        }
    }

    private static String address(InetAddress from, int port) {
        return from.getHostAddress() + ":" + port;
    }

    @Override
    public void close() {
        closed = true;
        socket.close();
    }
}
