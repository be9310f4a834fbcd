// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.benchmarks;

import dev.wormhole.mount.fuse.InodeAttributes;
import dev.wormhole.mount.fuse.Opcode;
import dev.wormhole.mount.fuse.Reply;
import dev.wormhole.mount.fuse.Request;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Kernel messages to requests and replies to kernel messages, in the memory that the device is read into. A decoded request
 * escapes, as it does in the mount; the bytes of a WRITE or READ are not copied by the codec, so their number does not matter.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class FuseCodec {
    private static final int DATA_BYTES = 128 << 10;
    private static final int NODE = 77;

    private final Arena arena = Arena.ofAuto();
    private final Message lookup =
            new Message(Opcode.LOOKUP).bytes("CMakeLists.txt\0".getBytes(StandardCharsets.UTF_8));
    private final Message getAttr = new Message(Opcode.GETATTR).u32(0).u32(0).u64(0);
    private final Message read = new Message(Opcode.READ)
            .u64(9)
            .u64(1L << 30)
            .u32(DATA_BYTES)
            .u32(0)
            .u64(0)
            .u32(0)
            .u32(0);
    private final Message write = new Message(Opcode.WRITE)
            .u64(9)
            .u64(1L << 30)
            .u32(DATA_BYTES)
            .u32(0)
            .u64(0)
            .u32(0)
            .u32(0)
            .bytes(new byte[DATA_BYTES]);
    private final MemorySegment lookupIn = lookup.in(arena);
    private final MemorySegment getAttrIn = getAttr.in(arena);
    private final MemorySegment readIn = read.in(arena);
    private final MemorySegment writeIn = write.in(arena);
    private final MemorySegment out = arena.allocate(DATA_BYTES + 4096, 8);

    private long inode = NODE;
    private long now = 1_790_000_000_123_456_789L;

    @Benchmark
    public Request decodeLookup() {
        return Request.decode(lookupIn.address(), (int) lookupIn.byteSize());
    }

    @Benchmark
    public Request decodeGetAttr() {
        return Request.decode(getAttrIn.address(), (int) getAttrIn.byteSize());
    }

    @Benchmark
    public Request decodeRead() {
        return Request.decode(readIn.address(), (int) readIn.byteSize());
    }

    @Benchmark
    public Request decodeWrite() {
        return Request.decode(writeIn.address(), (int) writeIn.byteSize());
    }

    /** From attributes that were made for this reply; the JIT may keep these objects off the heap. */
    @Benchmark
    public int encodeEntry() {
        return Reply.encode(new Reply.Entry(attributes(), 0, 0), 98, out.address());
    }

    @Benchmark
    public int encodeAttributes() {
        return Reply.encode(new Reply.Attributes(attributes(), 0), 98, out.address());
    }

    /** The answer to a READ: its bytes stand in place already. */
    @Benchmark
    public int encodeData() {
        return Reply.encode(new Reply.InPlace(DATA_BYTES), 98, out.address());
    }

    private InodeAttributes attributes() {
        return new InodeAttributes(++inode, 4096, 8, now, now++, now, now, 0100644, 1, 1000, 1000, 0, 0);
    }

    /** A message of the kernel, field by field. */
    private static final class Message {
        private final ByteBuffer bytes = ByteBuffer.allocate(DATA_BYTES + 256).order(ByteOrder.nativeOrder());

        Message(int opcode) {
            u32(0).u32(opcode).u64(98).u64(NODE).u32(1000).u32(1000).u32(4711).u32(0);
        }

        Message u32(int value) {
            bytes.putInt(value);
            return this;
        }

        Message u64(long value) {
            bytes.putLong(value);
            return this;
        }

        Message bytes(byte[] value) {
            bytes.put(value);
            return this;
        }

        MemorySegment in(Arena arena) {
            bytes.putInt(0, bytes.position()).flip();
            return arena.allocate(bytes.remaining(), 8).copyFrom(MemorySegment.ofBuffer(bytes));
        }
    }
}
