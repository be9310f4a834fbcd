// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/** The bytes of packs and of their index files; docs/formats/slices.md has the layouts. Big-endian. */
final class PackFormat {
    static final String DIRECTORY = "packs";
    static final String PACK_SUFFIX = ".pack";
    static final String INDEX_SUFFIX = ".index";

    static final int HEADER_BYTES = 64;
    static final int RECORD_HEADER_BYTES = 40;
    static final int RECORD_FOOTER_BYTES = 24;
    static final int RECORD_BYTES_MAX = recordBytes(SliceStore.PACKED_SLICE_BYTES_MAX);

    private static final long PACK_MAGIC = 0x5748_5041_434B_0001L; // "WHPACK", 1
    private static final long INDEX_MAGIC = 0x5748_5049_4458_0001L; // "WHPIDX", 1
    private static final int RECORD_MAGIC = 0x5748_5352; // "WHSR"
    private static final int FOOTER_MAGIC = 0x5748_5346; // "WHSF"
    private static final int RECORD_KIND = 0x01_01_10_00; // version 1, slice, 2^16 bytes a block, no flags
    private static final int INDEX_ENTRY_BYTES = 16;

    private PackFormat() {}

    static String packPath(long number) {
        return DIRECTORY + "/" + "%016x".formatted(number) + PACK_SUFFIX;
    }

    static String indexPath(long number) {
        return DIRECTORY + "/" + "%016x".formatted(number) + INDEX_SUFFIX;
    }

    /** What a slice of so many bytes occupies in a pack. */
    static int recordBytes(long length) {
        int body = RECORD_HEADER_BYTES + (int) length + Checksums.blocks(length) * Checksums.TRAILER_BYTES;
        return (body + 7 & ~7) + RECORD_FOOTER_BYTES;
    }

    static ByteBuffer header(long number, long salt) {
        var header = ByteBuffer.allocate(HEADER_BYTES);
        header.putLong(PACK_MAGIC).putInt(1).putInt(8).putLong(number).putLong(salt);
        return header.putInt(60, Checksums.crc(header.duplicate().clear().limit(60)))
                .clear();
    }

    /** The pack's salt, or 0 if this is not a sound header of that pack. */
    static long saltOf(ByteBuffer header, long number) {
        boolean sound = header.getLong(0) == PACK_MAGIC
                && header.getInt(8) == 1
                && header.getLong(16) == number
                && header.getInt(60) == Checksums.crc(header.duplicate().clear().limit(60));
        return sound ? header.getLong(24) : 0;
    }

    /** The salt in a record's header, or 0 if the header is damaged. */
    static long saltOfRecord(ByteBuffer bytes, int at) {
        long salt = bytes.getLong(at + 24);
        return soundHeader(bytes, at, salt) ? salt : 0;
    }

    static void putRecordHeader(ByteBuffer into, SliceId slice, int length, long salt) {
        int at = into.position();
        into.putInt(RECORD_MAGIC).putInt(RECORD_KIND).putLong(slice.value());
        into.putInt(length).putInt(0).putLong(salt).putInt(0);
        into.putInt(crc(into, at, RECORD_HEADER_BYTES - 4, salt));
    }

    /** Puts padding and footer behind data and trailers. */
    static void putRecordEnd(ByteBuffer into, int recordStart, SliceId slice, int length, long salt) {
        while ((into.position() - recordStart & 7) != 0) into.put((byte) 0);
        int at = into.position();
        into.putLong(slice.value()).putInt(length).putInt(FOOTER_MAGIC).putInt(0);
        into.putInt(crc(into, at, RECORD_FOOTER_BYTES - 4, salt));
    }

    private static int crc(ByteBuffer bytes, int at, int length, long salt) {
        var crc = new CRC32C();
        ByteBuffer view = bytes.duplicate();
        view.clear();
        crc.update(view.limit(at + length).position(at));
        for (int shift = 56; shift >= 0; shift -= 8) crc.update((int) (salt >>> shift) & 0xFF);
        return (int) crc.getValue();
    }

    private static boolean soundHeader(ByteBuffer bytes, int at, long salt) {
        if (bytes.getInt(at) != RECORD_MAGIC || bytes.getInt(at + 4) != RECORD_KIND) return false;
        int length = bytes.getInt(at + 16);
        return bytes.getLong(at + 24) == salt
                && bytes.getInt(at + 36) == crc(bytes, at, RECORD_HEADER_BYTES - 4, salt)
                && bytes.getLong(at + 8) > 0
                && length >= 0
                && length <= SliceStore.PACKED_SLICE_BYTES_MAX;
    }

    private static boolean soundFooter(ByteBuffer bytes, int at, long salt) {
        int length = bytes.getInt(at + 8);
        return bytes.getInt(at + 12) == FOOTER_MAGIC
                && bytes.getInt(at + 20) == crc(bytes, at, RECORD_FOOTER_BYTES - 4, salt)
                && bytes.getLong(at) > 0
                && length >= 0
                && length <= SliceStore.PACKED_SLICE_BYTES_MAX;
    }

    /** What a pack holds, by ascending offset, in primitive arrays. */
    static final class Entries {
        private long[] ids = new long[64];
        private int[] offsets = new int[64];
        private int[] lengths = new int[64];
        private int count;

        void add(long id, int offset, int length) {
            if (count == ids.length) {
                int capacity = count * 2;
                ids = Arrays.copyOf(ids, capacity);
                offsets = Arrays.copyOf(offsets, capacity);
                lengths = Arrays.copyOf(lengths, capacity);
            }
            ids[count] = id;
            offsets[count] = offset;
            lengths[count++] = length;
        }

        int count() {
            return count;
        }

        SliceId slice(int i) {
            return new SliceId(ids[i]);
        }

        int offset(int i) {
            return offsets[i];
        }

        int length(int i) {
            return lengths[i];
        }
    }

    /**
     * @param coveredBytes the pack's records before this offset are those of the entries and no others
     * @param punchedBytes bytes of the pack that were given back to the disk
     */
    record Index(long salt, int coveredBytes, long punchedBytes, Entries entries) {}

    static void writeIndex(Volume volume, long number, Index index) throws IOException {
        Entries entries = index.entries();
        int count = entries.count();
        var bytes = ByteBuffer.allocate(HEADER_BYTES + count * INDEX_ENTRY_BYTES);
        bytes.position(HEADER_BYTES);
        for (int i = 0; i < count; i++) {
            bytes.putLong(entries.ids[i]).putInt(entries.offsets[i]).putInt(entries.lengths[i]);
        }
        int crc = Checksums.crc(bytes.duplicate().flip().position(HEADER_BYTES));
        bytes.clear();
        bytes.putLong(INDEX_MAGIC).putInt(1).putInt(count).putLong(number).putLong(index.salt());
        bytes.putLong(index.coveredBytes()).putLong(index.punchedBytes()).putInt(crc);
        bytes.putInt(60, Checksums.crc(bytes.duplicate().clear().limit(60)));
        AtomicFile.write(volume, indexPath(number), bytes.clear());
    }

    /** The index of a pack, or null if there is none that can be believed: the pack is scanned then. */
    static @Nullable Index readIndex(Volume volume, long number, long packFileBytes) throws IOException {
        ByteBuffer bytes;
        try {
            bytes = AtomicFile.read(volume, indexPath(number), Integer.MAX_VALUE - 16);
        } catch (IOException unreadable) {
            return null;
        }
        if (bytes == null || bytes.remaining() < HEADER_BYTES) return null;
        int count = bytes.getInt(12);
        long covered = bytes.getLong(32);
        boolean sound = bytes.getLong(0) == INDEX_MAGIC
                && bytes.getInt(8) == 1
                && bytes.getLong(16) == number
                && bytes.getInt(60) == Checksums.crc(bytes.duplicate().clear().limit(60))
                && bytes.remaining() == HEADER_BYTES + (long) count * INDEX_ENTRY_BYTES
                && bytes.getInt(48) == Checksums.crc(bytes.duplicate().position(HEADER_BYTES))
                && covered <= packFileBytes;
        if (!sound) return null;
        var entries = new Entries();
        for (int i = 0, at = HEADER_BYTES; i < count; i++, at += INDEX_ENTRY_BYTES) {
            entries.add(bytes.getLong(at), bytes.getInt(at + 8), bytes.getInt(at + 12));
        }
        return new Index(bytes.getLong(24), (int) covered, bytes.getLong(40), entries);
    }

    /** Told what a scan finds, by ascending offset except for damage. */
    interface Found {
        void whole(SliceId slice, int offset, int length);

        void damaged(SliceId slice, int offset);
    }

    /**
     * Reads a pack's records from an offset on and checks every block. Bytes that are no record are passed over; where
     * records follow them, footers tell which slices were there.
     *
     * @param seal of the store, if it has one
     * @return the end of the last record whose header is sound, at least {@code from}
     */
    static int scan(Volume.VolumeFile file, int from, int fileBytes, long salt, @Nullable SliceSeal seal, Found found)
            throws IOException {
        var window = new Window(file, fileBytes);
        int end = from;
        int at = from;
        while (at + RECORD_HEADER_BYTES + RECORD_FOOTER_BYTES <= fileBytes) {
            int w = window.at(at, RECORD_HEADER_BYTES);
            if (!soundHeader(window.bytes, w, salt)) {
                at += 8;
                continue;
            }
            var slice = new SliceId(window.bytes.getLong(w + 8));
            int length = window.bytes.getInt(w + 16);
            int record = recordBytes(length);
            if (at + (long) record > fileBytes) {
                at += 8; // torn by the end of the file
                continue;
            }
            if (at > end) footersBackwards(window, end, at, salt, found);
            w = window.at(at, record);
            if (isWhole(window.bytes, w + RECORD_HEADER_BYTES, slice, length, seal)) found.whole(slice, at, length);
            else found.damaged(slice, at);
            at += record;
            end = at;
        }
        if (fileBytes - end >= RECORD_FOOTER_BYTES) footersBackwards(window, end, fileBytes & ~7, salt, found);
        return end;
    }

    private static void footersBackwards(Window window, int from, int to, long salt, Found found) throws IOException {
        int end = to;
        while (end - RECORD_FOOTER_BYTES >= from) {
            int w = window.at(end - RECORD_FOOTER_BYTES, RECORD_FOOTER_BYTES);
            if (!soundFooter(window.bytes, w, salt)) return;
            int start = end - recordBytes(window.bytes.getInt(w + 8));
            if (start < from) return;
            found.damaged(new SliceId(window.bytes.getLong(w)), start);
            end = start;
        }
    }

    /** Whether data and trailers, from a place in the buffer on, are what was stored. */
    static boolean isWhole(ByteBuffer bytes, int data, SliceId slice, int length, @Nullable SliceSeal seal) {
        if (seal != null) return seal.isWhole(bytes, data, slice, length);
        int trailer = data + length;
        for (int block = 0; block < Checksums.blocks(length); block++, trailer += Checksums.TRAILER_BYTES) {
            int blockLength = Checksums.blockLength(length, block);
            if (!Checksums.isTrailer(bytes, trailer)
                    || Checksums.trailerTag(bytes, trailer)
                            != Checksums.tag(slice, block, bytes, data + block * ContentStore.BLOCK_BYTES, blockLength))
                return false;
        }
        return true;
    }

    /** A part of the file in memory, large enough for any record. */
    private static final class Window {
        final ByteBuffer bytes = ByteBuffer.allocateDirect(4 << 20);
        private final Volume.VolumeFile file;
        private final int fileBytes;
        private int start;
        private int end;

        Window(Volume.VolumeFile file, int fileBytes) {
            this.file = file;
            this.fileBytes = fileBytes;
        }

        /** Where in {@link #bytes} so many bytes at a position of the file are; they are within the file. */
        int at(int position, int length) throws IOException {
            if (position < start || position + length > end) {
                bytes.clear().limit(Math.min(bytes.capacity(), fileBytes - position));
                int n = file.read(bytes, position);
                if (n < length) throw new IOException("pack became shorter while it was read");
                bytes.clear();
                start = position;
                end = position + n;
            }
            return position - start;
        }
    }
}
