// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Appends big-endian numbers and byte strings to an array that grows. */
final class ByteSink {
    static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
    static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
    static final VarHandle SHORT = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.BIG_ENDIAN);

    private byte[] bytes;
    private int size;

    ByteSink(int capacity) {
        bytes = new byte[capacity];
    }

    private void room(int more) {
        if (bytes.length - size < more)
            bytes = Arrays.copyOf(bytes, Math.max(Math.addExact(size, more), bytes.length * 2));
    }

    ByteSink u8(int value) {
        room(1);
        bytes[size++] = (byte) value;
        return this;
    }

    ByteSink u16(int value) {
        room(2);
        SHORT.set(bytes, size, (short) value);
        size += 2;
        return this;
    }

    ByteSink i32(int value) {
        room(4);
        INT.set(bytes, size, value);
        size += 4;
        return this;
    }

    ByteSink i64(long value) {
        room(8);
        LONG.set(bytes, size, value);
        size += 8;
        return this;
    }

    ByteSink raw(byte[] value) {
        room(value.length);
        System.arraycopy(value, 0, bytes, size, value.length);
        size += value.length;
        return this;
    }

    /** A 4-byte length and the bytes. */
    ByteSink blob(byte[] value) {
        return i32(value.length).raw(value);
    }

    ByteSink text(String value) {
        return blob(value.getBytes(StandardCharsets.UTF_8));
    }

    int size() {
        return size;
    }

    byte[] toBytes() {
        return bytes.length == size ? bytes : Arrays.copyOf(bytes, size);
    }
}
