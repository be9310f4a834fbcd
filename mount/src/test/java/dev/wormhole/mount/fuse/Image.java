// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Builds the bytes of a message field by field, the way the kernel's header declares its structures. */
final class Image {
    private final ByteBuffer bytes = ByteBuffer.allocate(1 << 17).order(ByteOrder.nativeOrder());

    static Image request(int opcode) {
        var image = new Image();
        image.u32(0)
                .u32(opcode)
                .u64(0x1122_3344L)
                .u64(77)
                .u32(1000)
                .u32(2000)
                .u32(3000)
                .u32(0);
        return image;
    }

    Image u16(int value) {
        bytes.putShort((short) value);
        return this;
    }

    Image u32(int value) {
        bytes.putInt(value);
        return this;
    }

    Image u64(long value) {
        bytes.putLong(value);
        return this;
    }

    Image text(String text) {
        bytes.put(text.getBytes(StandardCharsets.UTF_8)).put((byte) 0);
        return this;
    }

    Image raw(byte... raw) {
        bytes.put(raw);
        return this;
    }

    int length() {
        return bytes.position();
    }

    /** Completes the length and puts the message at the very end of a memory area, so that nothing readable follows. */
    MemorySegment in(Arena arena) {
        bytes.putInt(0, bytes.position());
        var segment = arena.allocate(bytes.position(), 8);
        MemorySegment.copy(bytes.array(), 0, segment, ValueLayout.JAVA_BYTE, 0, bytes.position());
        return segment;
    }
}
