// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * The first frame each way. The caller says HELLO (network id, lane), the server WELCOME (network id) or an ERROR with the
 * reason; generation and incarnation stand in the headers. Nothing else is read before.
 */
final class Handshake {
    static final int BODY_MAX = 64;
    static final int MESSAGE_MAX = 4096;

    private Handshake() {}

    /** An open, greeted connection. */
    record Greeting(Transport.Duplex duplex, Frame.In in, Identity other, Lane lane) {}

    static ByteBuffer[] hello(Identity self, Lane lane) {
        return Frame.encode(Frame.HELLO, lane.ordinal(), self, 0, 0, 0, network(self));
    }

    static ByteBuffer[] welcome(Identity self, long appliedIndex) {
        return Frame.encode(Frame.WELCOME, 0, self, 0, 0, appliedIndex, network(self));
    }

    static ByteBuffer[] error(Identity self, long requestId, long appliedIndex, int code, String message) {
        var text = message.length() > 1000 ? message.substring(0, 1000) : message;
        return Frame.encode(
                Frame.ERROR,
                code,
                self,
                0,
                requestId,
                appliedIndex,
                ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }

    static PeerException refusal(Frame frame, byte[] body) {
        var message = new String(body, StandardCharsets.UTF_8);
        return frame.kind == PeerRefused.TIMEOUT ? new PeerTimeout(message) : new PeerRefused(frame.kind, message);
    }

    static Identity identity(Frame frame, byte[] body) throws MalformedMessageException {
        if (body.length != 16) throw new MalformedMessageException("handshake of " + body.length + " bytes");
        if (frame.sender < 0 || frame.sender > dev.wormhole.model.Ids.ALLOCATOR_MAX) {
            throw new MalformedMessageException("incarnation " + frame.sender);
        }
        var bytes = ByteBuffer.wrap(body);
        return new Identity(
                new UUID(bytes.getLong(), bytes.getLong()),
                frame.generation,
                frame.sender == 0 ? null : new Incarnation(frame.sender));
    }

    /**
     * Connects and greets.
     *
     * @param expected who must be there; null for whoever it is
     * @throws PeerRefused with the other side's reason, or because another pod is at that address now
     */
    static Greeting dial(
            Transport transport,
            Deadlines deadlines,
            String address,
            Identity self,
            Lane lane,
            @Nullable Incarnation expected,
            Duration deadline)
            throws IOException {
        var end = System.nanoTime() + deadline.toNanos();
        var duplex = transport.connect(address, deadline);
        var watch = deadlines.after(end - System.nanoTime(), () -> Thread.startVirtualThread(duplex::close));
        var done = false;
        try {
            duplex.write(hello(self, lane));
            var in = new Frame.In(duplex, MESSAGE_MAX);
            var frame = in.next();
            var body = in.body(frame);
            if (frame.type == Frame.ERROR) throw refusal(frame, body);
            if (frame.type != Frame.WELCOME) throw new MalformedMessageException("no welcome: type " + frame.type);
            if (frame.version != Frame.VERSION) {
                throw new PeerRefused(PeerRefused.WRONG_VERSION, address + " speaks protocol " + frame.version);
            }
            var other = identity(frame, body);
            duplex.authenticate(other);
            if (self.incarnation() != null) check(self, other, address);
            if (expected != null && !expected.equals(other.incarnation())) {
                throw new PeerRefused(
                        PeerRefused.WRONG_POD, address + " is " + other.incarnation() + " now, not " + expected);
            }
            in.bodyMax(Frame.BODY_MAX);
            done = true;
            return new Greeting(duplex, in, other, lane);
        } finally {
            deadlines.cancel(watch);
            if (!done) duplex.close();
        }
    }

    /** Both sides refuse another network or generation: neither trusts the other to. */
    static void check(Identity self, Identity other, String where) throws PeerRefused {
        if (!self.network().equals(other.network())) {
            throw new PeerRefused(
                    PeerRefused.WRONG_NETWORK,
                    where + " belongs to network " + other.network() + ", not " + self.network());
        }
        if (self.generation() != other.generation()) {
            throw new PeerRefused(
                    PeerRefused.WRONG_GENERATION,
                    where + " is of generation " + other.generation() + ", not " + self.generation());
        }
    }

    private static ByteBuffer network(Identity self) {
        return ByteBuffer.allocate(16)
                .putLong(self.network().getMostSignificantBits())
                .putLong(self.network().getLeastSignificantBits())
                .flip();
    }
}
