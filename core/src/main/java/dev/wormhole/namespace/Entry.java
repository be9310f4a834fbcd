// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * One batch of commands as it travels through the log, see docs/formats/entry.md. Byte order is big-endian.
 *
 * <pre>
 *  0 magic "WHLE"          18 session: incarnation, 0 none   54 proposer's stamp, ns since 1970
 *  4 format 1              22 session: start count           62 leader's stamp, ns since 1970
 *  5 codec 0 (plain)       30 sequence                       70 CRC32C of bytes 62 to 69
 *  6 level (2 bytes)       38 lowest unanswered              74 number of commands
 *  8 generation            46 lease epoch                    78 commands
 * 16 group (2 bytes)                                        end CRC32C of all but bytes 62 to 73 and itself
 * </pre>
 *
 * @param level the state's level that the proposer wrote this for
 * @param generation the life of the log it belongs to
 * @param session null only for entries of {@link Command.OpenSession} and {@link Command.AdmitPod}
 * @param sequence place in the session, from 1; 0 without a session
 * @param lowestUnanswered answers below it need not be kept
 * @param proposerNanos the proposer's clock, corrected by its measured offset
 * @param leaderNanos the leader's clock when it appended the entry, 0 before
 */
public record Entry(
        int level,
        long generation,
        int group,
        @Nullable SessionId session,
        long sequence,
        long lowestUnanswered,
        long leaseEpoch,
        long proposerNanos,
        long leaderNanos,
        List<Command> commands) {
    /** The newest level this code speaks. */
    public static final int LEVEL_MAX = 1;

    private static final int MAGIC = 'W' << 24 | 'H' << 16 | 'L' << 8 | 'E';
    private static final int FORMAT = 1;
    private static final int LEADER_STAMP = 62;
    private static final int LEADER_STAMP_END = 74;
    private static final int HEADER_BYTES = 78;
    private static final int BYTES_MIN = HEADER_BYTES + 4;
    /** Number and one count or one int. */
    private static final int COMMAND_BYTES_MIN = 6;

    private static final long STAMP_DISTANCE_MAX_NANOS = 1_000_000_000L;

    public Entry {
        commands = List.copyOf(commands);
        if (level < 0 || level > 0xffff || group < 0 || group > 0xffff)
            throw new IllegalArgumentException("level " + level + ", group " + group);
        if (sequence < 0 || lowestUnanswered < 0 || session != null && sequence == 0)
            throw new IllegalArgumentException("sequence " + sequence + ", lowest unanswered " + lowestUnanswered);
    }

    /** A batch of a session in group 0, not yet stamped by the leader. */
    public static Entry of(
            long generation,
            @Nullable SessionId session,
            long sequence,
            long lowestUnanswered,
            long proposerNanos,
            List<Command> commands) {
        return new Entry(1, generation, 0, session, sequence, lowestUnanswered, 0, proposerNanos, 0, commands);
    }

    /** A batch without a session: only for commands that may run twice. */
    public static Entry withoutSession(long generation, long proposerNanos, List<Command> commands) {
        return of(generation, null, 0, 0, proposerNanos, commands);
    }

    /** The same with the leader's stamp, for logs that keep objects. */
    public Entry stamped(long nanos) {
        return new Entry(
                level,
                generation,
                group,
                session,
                sequence,
                lowestUnanswered,
                leaseEpoch,
                proposerNanos,
                nanos,
                commands);
    }

    /** The instant that what this entry does is labelled with: the proposer's, brought within 1 s of the leader's. */
    public long nanos() {
        return Math.clamp(
                proposerNanos, leaderNanos - STAMP_DISTANCE_MAX_NANOS, leaderNanos + STAMP_DISTANCE_MAX_NANOS);
    }

    public byte[] encode() {
        var to = new ByteSink(Math.max(256, 96 * commands.size()));
        to.i32(MAGIC).u8(FORMAT).u8(0).u16(level).i64(generation).u16(group);
        to.i32(session == null ? 0 : session.incarnation().number()).i64(session == null ? 0 : session.startCount());
        to.i64(sequence).i64(lowestUnanswered).i64(leaseEpoch).i64(proposerNanos);
        to.i64(leaderNanos).i32(0).i32(commands.size());
        for (Command command : commands) CommandCodec.encode(to, command);
        int end = to.size();
        byte[] bytes = to.i32(0).toBytes();
        ByteSink.INT.set(bytes, LEADER_STAMP + 8, stampChecksum(bytes));
        ByteSink.INT.set(bytes, end, checksum(bytes, end));
        return bytes;
    }

    /**
     * Sets the leader's stamp in an encoded entry, in place. The bytes are not otherwise looked at.
     *
     * @throws MalformedEntryException when they are too few or of another kind
     */
    public static void stampLeader(byte[] encoded, long nanos) throws MalformedEntryException {
        checkHead(encoded);
        ByteSink.LONG.set(encoded, LEADER_STAMP, nanos);
        ByteSink.INT.set(encoded, LEADER_STAMP + 8, stampChecksum(encoded));
    }

    /**
     * Reads an encoded entry.
     *
     * @throws MalformedEntryException for any bytes that are not exactly one whole entry of a format, codec and commands
     *     that this code knows
     */
    public static Entry decode(byte[] bytes) throws MalformedEntryException {
        checkHead(bytes);
        int end = bytes.length - 4;
        if ((int) ByteSink.INT.get(bytes, end) != checksum(bytes, end))
            throw new MalformedEntryException("checksum does not match", end);
        if ((int) ByteSink.INT.get(bytes, LEADER_STAMP + 8) != stampChecksum(bytes))
            throw new MalformedEntryException("checksum of the stamp does not match", LEADER_STAMP + 8);
        var from = new ByteSource(bytes, 6, end);
        int level = from.u16();
        long generation = from.i64();
        int group = from.u16();
        int incarnation = from.i32();
        long startCount = from.i64();
        if (incarnation < 0
                || incarnation > Ids.ALLOCATOR_MAX
                || (incarnation == 0) != (startCount == 0)
                || startCount < 0) throw from.malformed("session " + incarnation + "/" + startCount);
        SessionId session = incarnation == 0 ? null : new SessionId(new Incarnation(incarnation), startCount);
        long sequence = from.i64();
        long lowestUnanswered = from.i64();
        if (sequence < 0 || lowestUnanswered < 0 || session != null && sequence == 0)
            throw from.malformed("sequence " + sequence + ", lowest unanswered " + lowestUnanswered);
        long leaseEpoch = from.i64();
        long proposerNanos = from.i64();
        long leaderNanos = from.i64();
        from.i32();
        int count = from.count(COMMAND_BYTES_MIN);
        var commands = new ArrayList<Command>(count);
        for (int i = 0; i < count; i++) commands.add(CommandCodec.decode(from));
        if (from.remaining() != 0) throw from.malformed("bytes left over: " + from.remaining());
        return new Entry(
                level,
                generation,
                group,
                session,
                sequence,
                lowestUnanswered,
                leaseEpoch,
                proposerNanos,
                leaderNanos,
                commands);
    }

    /** Reads the buffer's remaining bytes, leaving its position alone; see {@link #decode(byte[])}. */
    public static Entry decode(ByteBuffer buffer) throws MalformedEntryException {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(buffer.position(), bytes);
        return decode(bytes);
    }

    private static void checkHead(byte[] bytes) throws MalformedEntryException {
        if (bytes.length < BYTES_MIN)
            throw new MalformedEntryException("only " + bytes.length + " bytes", bytes.length);
        if ((int) ByteSink.INT.get(bytes, 0) != MAGIC) throw new MalformedEntryException("no entry of ours", 0);
        if (bytes[4] != FORMAT) throw new MalformedEntryException("format " + bytes[4], 4);
        if (bytes[5] != 0) throw new MalformedEntryException("codec " + bytes[5], 5);
    }

    private static int checksum(byte[] bytes, int end) {
        var crc = new CRC32C();
        crc.update(bytes, 0, LEADER_STAMP);
        crc.update(bytes, LEADER_STAMP_END, end - LEADER_STAMP_END);
        return (int) crc.getValue();
    }

    private static int stampChecksum(byte[] bytes) {
        var crc = new CRC32C();
        crc.update(bytes, LEADER_STAMP, 8);
        return (int) crc.getValue();
    }
}
