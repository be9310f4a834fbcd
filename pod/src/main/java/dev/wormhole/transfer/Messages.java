// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;

/**
 * Bodies of calls: big-endian integers, varints (unsigned LEB128, at most 9 bytes, so 0 to 2^63-1), bytes and UTF-8
 * strings behind their varint length, lists behind their varint count. A reader believes no length: each is compared
 * with a limit and with what is left before anything is allocated.
 */
public final class Messages {
    private Messages() {}

    public static Writer writer() {
        return new Writer(64);
    }

    public static Reader reader(byte[] body) {
        return new Reader(ByteBuffer.wrap(body));
    }

    /** Grows as needed. One thread at a time. */
    public static final class Writer {
        private byte[] bytes;
        private int length;

        Writer(int capacity) {
            bytes = new byte[capacity];
        }

        private int grow(int more) {
            var at = length;
            length = Math.addExact(length, more);
            if (length > bytes.length) bytes = Arrays.copyOf(bytes, Math.max(length, bytes.length * 2));
            return at;
        }

        public Writer putByte(int value) {
            var at = grow(1); // may replace the array, so before it is named
            bytes[at] = (byte) value;
            return this;
        }

        public Writer putBoolean(boolean value) {
            return putByte(value ? 1 : 0);
        }

        public Writer putInt(int value) {
            var at = grow(4);
            for (var i = 0; i < 4; i++) bytes[at + i] = (byte) (value >>> (24 - 8 * i));
            return this;
        }

        public Writer putLong(long value) {
            return putInt((int) (value >>> 32)).putInt((int) value);
        }

        /** @throws IllegalArgumentException if negative */
        public Writer putVarint(long value) {
            if (value < 0) throw new IllegalArgumentException("varint: " + value);
            var rest = value;
            while (rest > 0x7f) {
                putByte((int) rest & 0x7f | 0x80);
                rest >>>= 7;
            }
            return putByte((int) rest);
        }

        public Writer putBytes(byte[] value) {
            putVarint(value.length);
            var at = grow(value.length);
            System.arraycopy(value, 0, bytes, at, value.length);
            return this;
        }

        public Writer putString(String value) {
            return putBytes(value.getBytes(StandardCharsets.UTF_8));
        }

        public Writer putIncarnation(Incarnation value) {
            return putVarint(value.number());
        }

        public Writer putSlice(SliceId value) {
            return putLong(value.value());
        }

        public <T> Writer putList(Collection<T> values, Put<T> put) {
            putVarint(values.size());
            for (var value : values) put.put(this, value);
            return this;
        }

        public byte[] toBytes() {
            return Arrays.copyOf(bytes, length);
        }

        /** Writes one element of a list. */
        @FunctionalInterface
        public interface Put<T> {
            void put(Writer to, T value);
        }
    }

    /** Reads what {@link Writer} wrote; {@link MalformedMessageException} where the bytes end early or break a limit. */
    public static final class Reader {
        private final ByteBuffer bytes;

        Reader(ByteBuffer bytes) {
            this.bytes = bytes;
        }

        private void need(int count) throws MalformedMessageException {
            if (bytes.remaining() < count) throw new MalformedMessageException("message ends early");
        }

        public int getByte() throws IOException {
            need(1);
            return bytes.get() & 0xff;
        }

        public boolean getBoolean() throws IOException {
            var value = getByte();
            if (value > 1) throw new MalformedMessageException("boolean: " + value);
            return value == 1;
        }

        public int getInt() throws IOException {
            need(4);
            return bytes.getInt();
        }

        public long getLong() throws IOException {
            need(8);
            return bytes.getLong();
        }

        public long getVarint() throws IOException {
            var value = 0L;
            for (var shift = 0; shift < 63; shift += 7) {
                var next = getByte();
                value |= (long) (next & 0x7f) << shift;
                if (next < 0x80) return value;
            }
            throw new MalformedMessageException("varint too long");
        }

        /** @param max largest value allowed */
        public int getCount(int max) throws IOException {
            var count = getVarint();
            if (count > max) throw new MalformedMessageException("count " + count + " exceeds " + max);
            return (int) count;
        }

        public byte[] getBytes(int max) throws IOException {
            var count = getCount(max);
            need(count);
            var value = new byte[count];
            bytes.get(value);
            return value;
        }

        /** @param maxBytes most UTF-8 bytes allowed */
        public String getString(int maxBytes) throws IOException {
            try {
                return StandardCharsets.UTF_8
                        .newDecoder()
                        .decode(ByteBuffer.wrap(getBytes(maxBytes)))
                        .toString();
            } catch (CharacterCodingException e) {
                throw new MalformedMessageException("not UTF-8");
            }
        }

        public Incarnation getIncarnation() throws IOException {
            var number = getVarint();
            try {
                return new Incarnation(Math.toIntExact(number));
            } catch (ArithmeticException | IllegalArgumentException e) {
                throw new MalformedMessageException("incarnation " + number);
            }
        }

        public SliceId getSlice() throws IOException {
            var value = getLong();
            if (value <= 0) throw new MalformedMessageException("slice id " + value);
            return new SliceId(value);
        }

        public <T> List<T> getList(int max, Get<T> get) throws IOException {
            var count = getCount(max);
            var values = new ArrayList<T>(Math.min(count, bytes.remaining()));
            for (var i = 0; i < count; i++) values.add(get.get(this));
            return values;
        }

        public int remaining() {
            return bytes.remaining();
        }

        /** @throws MalformedMessageException if bytes are left over */
        public void end() throws IOException {
            if (bytes.hasRemaining()) throw new MalformedMessageException(bytes.remaining() + " bytes too many");
        }

        /** Reads one element of a list. */
        @FunctionalInterface
        public interface Get<T> {
            T get(Reader from) throws IOException;
        }
    }
}
