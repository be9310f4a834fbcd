// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The smaller rows as bytes, see docs/formats/tables.md. Each begins with its format. */
final class Rows {
    static final int FORMAT = 1;
    /** The value of rows whose key says it all. */
    static final byte[] MARK = {FORMAT};

    private static final FileType[] TYPES = FileType.values();
    private static final int REFUSED = 1;

    private Rows() {}

    /** A row of another format means that this code is too old for the table: a bug, as the level forbids it. */
    static void checkFormat(byte[] row, int format) {
        if (row.length == 0 || row[0] != format)
            throw new IllegalStateException("row of format " + (row.length == 0 ? "none" : row[0]));
    }

    static int i32(byte[] row, int at) {
        return (int) ByteSink.INT.get(row, at);
    }

    static long i64(byte[] row, int at) {
        return (long) ByteSink.LONG.get(row, at);
    }

    // ---- directory entries: format, type, inode

    static byte[] entry(long inode, FileType type) {
        return new ByteSink(10).u8(FORMAT).u8(type.ordinal()).i64(inode).toBytes();
    }

    static long entryInode(byte[] row) {
        checkFormat(row, FORMAT);
        return i64(row, 2);
    }

    static FileType entryType(byte[] row) {
        return TYPES[row[1]];
    }

    // ---- extents, keyed by where they end: format, length, slice, offset in the slice

    static byte[] extent(long length, long slice, long sliceOffset) {
        return new ByteSink(25)
                .u8(FORMAT)
                .i64(length)
                .i64(slice)
                .i64(sliceOffset)
                .toBytes();
    }

    static Extent extent(long end, byte[] row) {
        checkFormat(row, FORMAT);
        long length = i64(row, 1);
        return new Extent(end - length, length, new SliceId(i64(row, 9)), i64(row, 17));
    }

    // ---- opaque bytes: extended attributes, symlink targets

    static byte[] opaque(byte[] value) {
        return new ByteSink(1 + value.length).u8(FORMAT).raw(value).toBytes();
    }

    static byte[] opaqueValue(byte[] row) {
        checkFormat(row, FORMAT);
        return Arrays.copyOfRange(row, 1, row.length);
    }

    // ---- numbers

    static byte[] numbers(long... values) {
        var to = new ByteSink(1 + 8 * values.length).u8(FORMAT);
        for (long value : values) to.i64(value);
        return to.toBytes();
    }

    static long number(byte[] row, int place) {
        checkFormat(row, FORMAT);
        return i64(row, 1 + 8 * place);
    }

    // ---- orphans: format, linkable, index, holders

    record OrphanRow(boolean linkable, long index, List<Integer> holders) {
        byte[] encode() {
            var to = new ByteSink(12 + 4 * holders.size());
            to.u8(FORMAT).u8(linkable ? 1 : 0).i64(index).u16(holders.size());
            for (int holder : holders) to.i32(holder);
            return to.toBytes();
        }

        static OrphanRow decode(byte[] row) {
            checkFormat(row, FORMAT);
            int count = (short) ByteSink.SHORT.get(row, 10) & 0xffff;
            var holders = new ArrayList<Integer>(count);
            for (int i = 0; i < count; i++) holders.add(i32(row, 12 + 4 * i));
            return new OrphanRow(row[1] != 0, i64(row, 2), holders);
        }
    }

    // ---- pods

    record PodRow(PodRecord record, long token) {
        int number() {
            return record.incarnation().number();
        }

        byte[] encode() {
            var to = new ByteSink(128);
            to.u8(FORMAT)
                    .u8((record.draining() ? 1 : 0) | (record.absent() ? 2 : 0) | (record.prompt() ? 4 : 0))
                    .i64(token);
            to.i64(record.startCount()).i64(record.settledCounter()).i64(record.orphansAcknowledgedIndex());
            CommandCodec.settings(to, record.settings());
            return to.toBytes();
        }

        static PodRow decode(int number, byte[] row) {
            checkFormat(row, FORMAT);
            try {
                PodSettings settings = CommandCodec.settings(new ByteSource(row, 34, row.length));
                return new PodRow(
                        new PodRecord(
                                new Incarnation(number),
                                settings,
                                (row[1] & 1) != 0,
                                (row[1] & 2) != 0,
                                (row[1] & 4) != 0,
                                i64(row, 10),
                                i64(row, 18),
                                i64(row, 26)),
                        i64(row, 2));
            } catch (MalformedEntryException e) {
                throw new IllegalStateException("row of pod " + number, e);
            }
        }
    }

    // ---- stored answers: format, count, then 0 and a value or 1 and an errno

    static byte[] answers(List<Outcome> outcomes) {
        var to = new ByteSink(5 + 9 * outcomes.size()).u8(FORMAT).i32(outcomes.size());
        for (Outcome outcome : outcomes) {
            switch (outcome) {
                case Outcome.Done(long value) -> to.u8(0).i64(value);
                case Outcome.Refused(Errno errno) -> to.u8(REFUSED).i32(errno.number());
            }
        }
        return to.toBytes();
    }

    static List<Outcome> answers(byte[] row) {
        checkFormat(row, FORMAT);
        int count = i32(row, 1);
        var outcomes = new ArrayList<Outcome>(count);
        int at = 5;
        for (int i = 0; i < count; i++) {
            if (row[at] == REFUSED) {
                outcomes.add(new Outcome.Refused(Errno.ofNumber(i32(row, at + 1))));
                at += 5;
            } else {
                outcomes.add(new Outcome.Done(i64(row, at + 1)));
                at += 9;
            }
        }
        return outcomes;
    }
}
