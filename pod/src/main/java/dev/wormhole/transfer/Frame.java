// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * One frame: a header of 56 bytes, big-endian, then the body ({@code docs/formats/frames.md}).
 *
 * <pre>
 *  0  4 magic "WHF1"         16  8 generation            40  8 applied index of the sender
 *  4  1 protocol version     24  4 sender, 0 = stranger  48  4 CRC32C of the body
 *  5  1 type                 28  4 deadline left, ms     52  4 CRC32C of bytes 0 to 51
 *  6  2 flags, 0             32  8 request id            56  . body
 *  8  4 body bytes
 * 12  4 kind, or code of an error
 * </pre>
 */
final class Frame {
    static final int MAGIC = 0x57484631;
    static final byte VERSION = 1;
    static final int HEADER_BYTES = 56;

    static final byte HELLO = 1;
    static final byte WELCOME = 2;
    static final byte CALL = 3;
    static final byte REPLY = 4;
    static final byte ERROR = 5;
    static final byte PUSH = 6;
    static final byte ACCEPT = 7;
    static final byte DATA = 8;
    static final byte PROGRESS = 9;
    static final byte DONE = 10;

    /** Longest body of any frame; a reader may set less. */
    static final int BODY_MAX = 8 << 20;

    static final ByteBuffer[] EMPTY = {};

    final byte version;
    final byte type;
    final int bodyBytes;
    final int kind;
    final long generation;
    final int sender;
    final int deadlineMillis;
    final long requestId;
    final long appliedIndex;
    private final int bodyCrc;

    private Frame(ByteBuffer in) {
        var at = in.position();
        version = in.get(at + 4);
        type = in.get(at + 5);
        bodyBytes = in.getInt(at + 8);
        kind = in.getInt(at + 12);
        generation = in.getLong(at + 16);
        sender = in.getInt(at + 24);
        deadlineMillis = in.getInt(at + 28);
        requestId = in.getLong(at + 32);
        appliedIndex = in.getLong(at + 40);
        bodyCrc = in.getInt(at + 48);
    }

    /** The buffers to write: the header, then the body's own; none of their positions move here. */
    static ByteBuffer[] encode(
            byte type,
            int kind,
            Identity from,
            int deadlineMillis,
            long requestId,
            long appliedIndex,
            ByteBuffer... body) {
        var crc = new CRC32C();
        var bodyBytes = 0;
        for (var part : body) {
            bodyBytes += part.remaining();
            crc.update(part.duplicate());
        }
        // One array for a small frame: one buffer less to copy and to hand to the kernel.
        var single = bodyBytes <= 4096;
        var header = ByteBuffer.allocate(single ? HEADER_BYTES + bodyBytes : HEADER_BYTES);
        header.putInt(MAGIC)
                .put(VERSION)
                .put(type)
                .putShort((short) 0)
                .putInt(bodyBytes)
                .putInt(kind)
                .putLong(from.generation())
                .putInt(from.number())
                .putInt(deadlineMillis)
                .putLong(requestId)
                .putLong(appliedIndex)
                .putInt((int) crc.getValue());
        crc.reset();
        crc.update(header.array(), 0, HEADER_BYTES - 4);
        header.putInt((int) crc.getValue());
        if (single) {
            for (var part : body) header.put(part.duplicate());
            return new ByteBuffer[] {header.flip()};
        }
        var all = new ByteBuffer[body.length + 1];
        all[0] = header.flip();
        for (var i = 0; i < body.length; i++) all[i + 1] = body[i].duplicate();
        return all;
    }

    static int bytes(ByteBuffer... frame) {
        var bytes = 0;
        for (var part : frame) bytes += part.remaining();
        return bytes;
    }

    /** Reads frames from one connection; one thread at a time. */
    static final class In {
        private final Transport.Duplex duplex;
        private final ByteBuffer in;
        private int bodyMax;
        volatile long bytesIn;

        In(Transport.Duplex duplex, int bodyMax) {
            this.duplex = duplex;
            this.bodyMax = bodyMax;
            in = ByteBuffer.allocate(8192).limit(0);
        }

        void bodyMax(int bytes) {
            bodyMax = bytes;
        }

        /** The next header, checked; its body must be read or skipped before the next one. */
        Frame next() throws IOException {
            while (in.remaining() < HEADER_BYTES) fill();
            var at = in.position();
            if (in.getInt(at) != MAGIC) throw new MalformedMessageException("not a frame");
            var crc = new CRC32C();
            crc.update(in.array(), at, HEADER_BYTES - 4);
            if (in.getInt(at + HEADER_BYTES - 4) != (int) crc.getValue()) {
                throw new MalformedMessageException("damaged frame header");
            }
            var frame = new Frame(in);
            if (frame.bodyBytes < 0 || frame.bodyBytes > bodyMax) {
                throw new MalformedMessageException("frame of " + frame.bodyBytes + " bytes, at most " + bodyMax);
            }
            in.position(at + HEADER_BYTES);
            return frame;
        }

        byte[] body(Frame frame) throws IOException {
            var body = new byte[frame.bodyBytes];
            body(frame, ByteBuffer.wrap(body));
            return body;
        }

        /** Fills exactly the body's bytes into the buffer at its position, which stays, and sets its limit behind them. */
        void body(Frame frame, ByteBuffer into) throws IOException {
            var start = into.position();
            into.limit(start + frame.bodyBytes);
            var buffered = Math.min(in.remaining(), frame.bodyBytes);
            into.put(in.slice(in.position(), buffered));
            in.position(in.position() + buffered);
            while (into.hasRemaining()) count(duplex.read(into));
            into.position(start);
            var crc = new CRC32C();
            crc.update(into);
            into.position(start);
            if ((int) crc.getValue() != frame.bodyCrc) throw new MalformedMessageException("damaged frame body");
        }

        void skip(Frame frame) throws IOException {
            var left = frame.bodyBytes;
            while (true) {
                var step = Math.min(in.remaining(), left);
                in.position(in.position() + step);
                left -= step;
                if (left == 0) return;
                fill();
            }
        }

        private void fill() throws IOException {
            in.compact();
            try {
                count(duplex.read(in));
            } finally {
                in.flip();
            }
        }

        private void count(int read) throws IOException {
            if (read < 0) throw new EOFException("connection closed by " + duplex.remote());
            bytesIn += read;
        }
    }
}
