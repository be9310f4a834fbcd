// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Reads what {@link ByteSink} wrote, never past the end; every fault of the bytes is a MalformedEntryException. */
final class ByteSource {
    private final byte[] bytes;
    private final int end;
    private int at;

    ByteSource(byte[] bytes, int from, int end) {
        this.bytes = bytes;
        this.at = from;
        this.end = end;
    }

    int offset() {
        return at;
    }

    int remaining() {
        return end - at;
    }

    MalformedEntryException malformed(String what) {
        return new MalformedEntryException(what, at);
    }

    private int take(int length) throws MalformedEntryException {
        if (length < 0 || length > end - at) throw malformed("needs " + length + " bytes, has " + (end - at));
        int from = at;
        at += length;
        return from;
    }

    int u8() throws MalformedEntryException {
        return bytes[take(1)] & 0xff;
    }

    int u16() throws MalformedEntryException {
        return (short) ByteSink.SHORT.get(bytes, take(2)) & 0xffff;
    }

    int i32() throws MalformedEntryException {
        return (int) ByteSink.INT.get(bytes, take(4));
    }

    long i64() throws MalformedEntryException {
        return (long) ByteSink.LONG.get(bytes, take(8));
    }

    boolean flag() throws MalformedEntryException {
        int value = u8();
        if (value > 1) throw malformed("flag " + value);
        return value == 1;
    }

    byte[] raw(int length) throws MalformedEntryException {
        int from = take(length);
        return Arrays.copyOfRange(bytes, from, from + length);
    }

    byte[] blob() throws MalformedEntryException {
        return raw(i32());
    }

    String text() throws MalformedEntryException {
        int length = i32();
        int from = take(length);
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes, from, length))
                    .toString();
        } catch (CharacterCodingException e) {
            throw malformed("text that is not UTF-8");
        }
    }

    /** A count of elements that take at least so many bytes each: more than can follow are refused before any is made. */
    int count(int elementBytesMin) throws MalformedEntryException {
        int count = i32();
        if (count < 0 || count > remaining() / elementBytesMin) throw malformed("count " + count);
        return count;
    }

    <E extends Enum<E>> E constant(E[] values) throws MalformedEntryException {
        int ordinal = u8();
        if (ordinal >= values.length) throw malformed("constant " + ordinal);
        return values[ordinal];
    }
}
