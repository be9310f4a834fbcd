// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.transfer.Identity;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Transport;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLPeerUnverifiedException;
import org.jspecify.annotations.Nullable;

/**
 * Mutual TLS 1.3 over another transport. There is no way around it: a connection that does not begin with a handshake ends.
 *
 * <p>The handshake is made by whoever reads or writes first, so accepting connections waits for nobody, and the deadline for
 * greeting counts for it too. Until it is done at most 16 KiB are kept for the other side. The end of a connection is not
 * announced: frames have lengths and checksums of their own, so what was cut off is never taken for whole.
 */
public final class TlsTransport implements Transport {
    /** Records that are made, or read, at a time once a connection carries much; a record holds up to 16 KiB. */
    private static final int RECORDS = 8;

    private final Transport carrier;
    private final TlsEngines engines;
    private final PodTrust trust;

    /** @param trust the same that the engines ask */
    public TlsTransport(Transport carrier, TlsEngines engines, PodTrust trust) {
        this.carrier = carrier;
        this.engines = engines;
        this.trust = trust;
    }

    /**
     * For a machine that has no certificate yet. What answers is believed if its authority is the one that the token is for,
     * and without a token whoever it is.
     */
    public static TlsTransport joining(Transport carrier, Optional<JoinToken> token, InstantSource clock) {
        var trust = PodTrust.pinned(token.map(JoinToken::pin).orElse(new byte[0]), clock);
        return new TlsTransport(carrier, new JdkTls(new PodKeyManager(Optional::empty), trust), trust);
    }

    /** The authority of what answered to a joining machine; every further connection meets the same. */
    public Optional<X509Certificate> authorityMet() {
        return trust.authorityMet();
    }

    @Override
    public Duplex connect(String address, Duration deadline) throws IOException {
        var below = carrier.connect(address, deadline);
        try {
            return new TlsDuplex(below, engines.client());
        } catch (RuntimeException e) {
            below.close();
            throw e;
        }
    }

    @Override
    public Listener listen(String address) throws IOException {
        var below = carrier.listen(address);
        return new Listener() {
            @Override
            public Duplex accept() throws IOException {
                var accepted = below.accept();
                try {
                    return new TlsDuplex(accepted, engines.server());
                } catch (RuntimeException e) {
                    accepted.close();
                    throw new IOException("no TLS engine", e);
                }
            }

            @Override
            public String address() {
                return below.address();
            }

            @Override
            public void close() {
                below.close();
            }
        };
    }

    private final class TlsDuplex implements Duplex {
        private static final ByteBuffer[] NOTHING = {ByteBuffer.allocate(0)};

        private final Duplex below;
        private final SSLEngine engine;
        private final AtomicBoolean closed = new AtomicBoolean();
        private final ReentrantLock handshaking = new ReentrantLock();
        private final ReentrantLock writing = new ReentrantLock();
        private volatile boolean greeted;
        /** Bytes from below that are not decrypted yet; between calls ready to be read. */
        private ByteBuffer in = ByteBuffer.allocate(0);
        /** The last reading filled all the room there was. */
        private boolean busy;

        /** Decrypted bytes that found no room; ready to be read. */
        private ByteBuffer opened = ByteBuffer.allocate(0);
        /** Records on their way down; under the lock of writing. */
        private ByteBuffer out = ByteBuffer.allocate(0);

        TlsDuplex(Duplex below, SSLEngine engine) {
            this.below = below;
            this.engine = engine;
        }

        /** Outside of the heap, where native code needs no copy, once somebody is there who is worth it. */
        private ByteBuffer buffer(int bytes) {
            return greeted ? ByteBuffer.allocateDirect(bytes) : ByteBuffer.allocate(bytes);
        }

        // ---- who is there

        @Override
        public void authenticate(Identity claimed) throws PeerRefused {
            var incarnation = claimed.incarnation();
            if (incarnation == null) return; // a stranger claims nothing, and is answered next to nothing
            var identity = certified();
            if (identity == null)
                throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "no certificate proves to be " + incarnation);
            if (!identity.incarnation().equals(incarnation)
                    || !identity.network().equals(claimed.network()))
                throw new PeerRefused(
                        PeerRefused.UNAUTHENTICATED,
                        "the certificate of " + identity.incarnation() + " does not speak for " + incarnation
                                + (identity.network().equals(claimed.network()) ? "" : " of that network"));
            if (identity.role() != PodIdentity.Role.MEMBER)
                throw new PeerRefused(PeerRefused.UNAUTHENTICATED, incarnation + " is no member");
            if (!trust.admits(identity))
                throw new PeerRefused(
                        PeerRefused.UNAUTHENTICATED, incarnation + " is no member of the network any more");
        }

        private @Nullable PodIdentity certified() {
            try {
                return engine.getSession().getPeerCertificates()[0] instanceof X509Certificate certificate
                        ? PodIdentity.of(certificate)
                        : null;
            } catch (SSLPeerUnverifiedException | CertificateException e) {
                return null;
            }
        }

        @Override
        public String remote() {
            return below.remote();
        }

        // ---- the handshake

        private void greet() throws IOException {
            if (greeted) return;
            handshaking.lock();
            try {
                if (greeted) return;
                try {
                    engine.beginHandshake();
                    handshake();
                    greeted = true;
                } catch (SSLException e) {
                    sendAlert();
                    throw refusal(e);
                }
            } finally {
                handshaking.unlock();
            }
        }

        private void handshake() throws IOException {
            var room = ByteBuffer.allocate(roomForRecord());
            while (true) {
                switch (engine.getHandshakeStatus()) {
                    case NEED_WRAP -> send(NOTHING);
                    case NEED_UNWRAP, NEED_UNWRAP_AGAIN -> {
                        var result = engine.unwrap(in, room);
                        switch (result.getStatus()) {
                            case OK -> {
                                // A client may send at once what it has to say.
                                if (room.position() > 0) {
                                    opened = room.flip();
                                    room = ByteBuffer.allocate(room.capacity());
                                    if (isDone(result.getHandshakeStatus())) return;
                                }
                            }
                            case BUFFER_UNDERFLOW -> {
                                if (!fill()) throw new EOFException(remote() + " ended the connection");
                            }
                            case BUFFER_OVERFLOW -> throw new IOException("bytes before the handshake was done");
                            case CLOSED -> throw new EOFException(remote() + " ended the connection");
                        }
                        if (isDone(result.getHandshakeStatus())) return;
                    }
                    case NEED_TASK -> runTasks();
                    case FINISHED, NOT_HANDSHAKING -> {
                        return;
                    }
                }
            }
        }

        private static boolean isDone(HandshakeStatus status) {
            return status == HandshakeStatus.FINISHED || status == HandshakeStatus.NOT_HANDSHAKING;
        }

        private void runTasks() {
            for (var task = engine.getDelegatedTask(); task != null; task = engine.getDelegatedTask()) task.run();
        }

        /** So that the other side learns why. */
        private void sendAlert() {
            try {
                for (var i = 0; i < 4 && engine.getHandshakeStatus() == HandshakeStatus.NEED_WRAP; i++) send(NOTHING);
            } catch (IOException e) {
                // It learns that the connection ended.
            }
        }

        /** The innermost reason that is meant for people. */
        private IOException refusal(SSLException e) {
            Throwable cause = e;
            for (Throwable next = e; next != null && next != next.getCause(); next = next.getCause()) {
                if (next instanceof CertificateException) {
                    cause = next;
                    break;
                }
            }
            var reason = String.valueOf(cause.getMessage());
            var told = cause instanceof CertificateException
                    ? remote() + " is not trusted: " + reason
                    : "no TLS connection with " + remote() + ": " + reason;
            return new SSLException(told, e);
        }

        // ---- bytes

        @Override
        public int read(ByteBuffer into) throws IOException {
            greet();
            if (opened.hasRemaining()) return copy(into);
            var start = into.position();
            while (true) {
                var direct = into.remaining() >= roomForRecord();
                if (!direct && into.position() > start) return into.position() - start;
                var target = direct ? into : room();
                SSLEngineResult result;
                try {
                    result = engine.unwrap(in, target);
                } catch (SSLException e) {
                    if (into.position() > start) return into.position() - start;
                    sendAlert();
                    throw refusal(e);
                } finally {
                    if (!direct) target.flip();
                }
                switch (result.getStatus()) {
                    case OK -> {
                        if (result.getHandshakeStatus() == HandshakeStatus.NEED_TASK) runTasks();
                        // A change of keys is answered with one.
                        if (engine.getHandshakeStatus() == HandshakeStatus.NEED_WRAP) send(NOTHING);
                        if (!direct && opened.hasRemaining()) return copy(into);
                    }
                    case BUFFER_UNDERFLOW -> {
                        if (into.position() > start) return into.position() - start;
                        if (!fill()) return -1;
                    }
                    case BUFFER_OVERFLOW -> throw new SSLException("a record of more than 16 KiB");
                    case CLOSED -> {
                        return into.position() > start ? into.position() - start : -1;
                    }
                }
            }
        }

        private int copy(ByteBuffer into) {
            var count = Math.min(into.remaining(), opened.remaining());
            into.put(opened.slice(opened.position(), count));
            opened.position(opened.position() + count);
            return count;
        }

        private ByteBuffer room() {
            var size = roomForRecord();
            if (opened.capacity() < size) opened = ByteBuffer.allocate(size);
            return opened.clear();
        }

        /** An engine may want as much room for a record's content as the record itself takes. */
        private int roomForRecord() {
            var session = engine.getSession();
            return Math.max(session.getApplicationBufferSize(), session.getPacketBufferSize());
        }

        /** Reads more from below; false at its end. */
        private boolean fill() throws IOException {
            var record = engine.getSession().getPacketBufferSize();
            if (in.capacity() < record || greeted && !in.isDirect()) {
                in = buffer(Math.max(record, in.capacity())).put(in);
            } else if (greeted && busy && in.capacity() < record * RECORDS) {
                in = buffer(record * RECORDS).put(in);
            } else {
                in.compact();
            }
            try {
                // An announced length just above the engine's own bound would be waited for in vain.
                if (!in.hasRemaining()) throw new SSLException("a record of more than 16 KiB");
                var read = below.read(in);
                busy = !in.hasRemaining(); // there was more than there was room for
                return read >= 0;
            } finally {
                in.flip();
            }
        }

        @Override
        public void write(ByteBuffer... bytes) throws IOException {
            greet();
            send(bytes);
        }

        /** Encrypts and sends; nothing to say makes what the engine itself has to say. */
        private void send(ByteBuffer... bytes) throws IOException {
            writing.lock();
            try {
                var left = remaining(bytes);
                var record = engine.getSession().getPacketBufferSize();
                var wanted = left > record * 2L ? record * RECORDS : record;
                if (out.capacity() < wanted || greeted && !out.isDirect()) out = buffer(wanted);
                do {
                    out.clear();
                    do {
                        var result = engine.wrap(bytes, out);
                        if (result.getStatus() == SSLEngineResult.Status.CLOSED && result.bytesProduced() == 0)
                            throw new EOFException(remote() + " ended the connection");
                        if (result.getStatus() == SSLEngineResult.Status.BUFFER_OVERFLOW) {
                            if (out.position() > 0) break;
                            out = buffer(out.capacity() * 2);
                            continue;
                        }
                        if (result.getHandshakeStatus() == HandshakeStatus.NEED_TASK && greeted) runTasks();
                        else if (result.bytesProduced() == 0 && result.bytesConsumed() == 0 && left > 0)
                            throw new IOException("TLS with " + remote() + " takes no bytes: " + result);
                        left = remaining(bytes);
                    } while (left > 0 && out.remaining() >= record);
                    below.write(out.flip());
                } while (left > 0);
            } finally {
                writing.unlock();
            }
        }

        private static long remaining(ByteBuffer... bytes) {
            var left = 0L;
            for (var part : bytes) left += part.remaining();
            return left;
        }

        @Override
        public void close() {
            if (!closed.compareAndSet(false, true)) return;
            below.close();
            engines.release(engine);
        }
    }
}
