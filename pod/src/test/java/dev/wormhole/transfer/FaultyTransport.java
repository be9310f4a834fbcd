// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** TCP whose outgoing connections a test can cut without a reset, break, slow and corrupt, by the address dialled. */
final class FaultyTransport implements Transport {
    private final Transport real = new TcpTransport();
    private final Map<String, Link> links = new ConcurrentHashMap<>();

    /** What happens on the way to and from one address. */
    static final class Link {
        final AtomicInteger connects = new AtomicInteger();
        /** Neither side hears the other any more, and nobody tells them. */
        volatile boolean cut;
        /** Connections are refused. */
        volatile boolean down;
        /** So many more bytes are written, then the connection breaks; negative for never. */
        final AtomicLong breakAfterWritten = new AtomicLong(-1);
        /** So many more bytes are read, then one bit is wrong; negative for never. */
        final AtomicLong flipAfterRead = new AtomicLong(-1);

        final AtomicLong flipAfterWritten = new AtomicLong(-1);
        /** Every read and every buffer written is held back so long. */
        volatile long delayMillis;

        final AtomicLong written = new AtomicLong();
    }

    Link link(String address) {
        return links.computeIfAbsent(address, _ -> new Link());
    }

    @Override
    public Duplex connect(String address, Duration deadline) throws IOException {
        var link = link(address);
        link.connects.incrementAndGet();
        if (link.down) throw new IOException("down");
        if (link.cut) {
            try {
                Thread.sleep(deadline);
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
            throw new IOException("connect timed out");
        }
        return new FaultyDuplex(real.connect(address, deadline), link);
    }

    @Override
    public Listener listen(String address) throws IOException {
        return real.listen(address);
    }

    private static final class FaultyDuplex implements Duplex {
        private final Duplex real;
        private final Link link;
        private final CountDownLatch closed = new CountDownLatch(1);

        FaultyDuplex(Duplex real, Link link) {
            this.real = real;
            this.link = link;
        }

        private IOException untilClosed() {
            try {
                closed.await();
            } catch (InterruptedException e) {
                return new IOException(e);
            }
            return new EOFException("closed");
        }

        @Override
        public int read(ByteBuffer into) throws IOException {
            var start = into.position();
            var read = real.read(into);
            if (link.cut) throw untilClosed();
            delay();
            if (read > 0) flip(into, start, read, link.flipAfterRead);
            return read;
        }

        private void delay() throws IOException {
            if (link.delayMillis == 0) return;
            try {
                Thread.sleep(link.delayMillis);
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        }

        private static void flip(ByteBuffer bytes, int start, int count, AtomicLong after) {
            if (after.get() < 0) return;
            var left = after.addAndGet(-count);
            if (left >= 0) return;
            after.set(-1);
            var at = start + (int) (count + left);
            bytes.put(at, (byte) (bytes.get(at) ^ 0x10));
        }

        @Override
        public void write(ByteBuffer... bytes) throws IOException {
            for (var part : bytes) {
                if (link.cut) {
                    // What a socket's buffer would still take is swallowed; then the writer hangs.
                    if (link.written.addAndGet(part.remaining()) > 256 * 1024) throw untilClosed();
                    part.position(part.limit());
                    continue;
                }
                delay();
                var copy = ByteBuffer.allocate(part.remaining());
                copy.put(part).flip();
                flip(copy, 0, copy.remaining(), link.flipAfterWritten);
                if (link.breakAfterWritten.get() >= 0) {
                    var left = link.breakAfterWritten.addAndGet(-copy.remaining());
                    if (left < 0) {
                        link.breakAfterWritten.set(-1);
                        real.write(copy.limit((int) Math.max(0, copy.remaining() + left)));
                        close();
                        throw new IOException("broken");
                    }
                }
                real.write(copy);
            }
        }

        @Override
        public void authenticate(Identity claimed) throws PeerRefused {
            real.authenticate(claimed);
        }

        @Override
        public String remote() {
            return real.remote();
        }

        @Override
        public void close() {
            closed.countDown();
            real.close();
        }
    }
}
