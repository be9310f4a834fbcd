// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.content.PackFormat.Entries;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Append-only packs of small slices. One pack is open and grows by batches: all records of a batch are written
 * sequentially, synced once, and only then named by the index, so what the index names is always durable. A pack that
 * is full is sealed: its contents are put into an index file, which makes opening quick, and its dead space is given
 * back, by holes while most of it lives and by moving the rest when it does not.
 *
 * <p>Order of harm: an index file without the dead is durable before their bytes are punched; moved slices are durable
 * and named at their new place before the old pack goes.
 */
final class PackStore {
    /** A slice in memory that goes into a pack. */
    interface Packable {
        SliceId slice();

        int packedLength();

        /** Puts exactly that many bytes, as they are stored, and their trailers. */
        void putStored(ByteBuffer into);

        /** It is durable there. Called once, the index does not name it yet. */
        void placed(long location);
    }

    /** Reports and chores that are the store's. */
    interface Owner {
        void fault(String what, Throwable cause);

        void damaged(SliceId slice);

        /** There is work for {@link #maintain}. */
        void maintenanceWanted();
    }

    private static final int BUFFER_BYTES = 2 << 20;
    private static final int MOVE_BATCH_BYTES = 1 << 20;
    private static final int HOLE_BLOCK = 4096;

    private static final class Pack {
        final long number;
        final int slot;
        final long salt;
        /** End of the last durable record. */
        volatile int bytes;

        // guarded by this
        int live;
        int deadBytes;
        int deadBytesPunched;
        long punchedBytes;
        long accountedBytes;
        boolean sealed;
        boolean stuck;

        /** While there is no index file that names them. Written under the append lock until the pack is sealed. */
        volatile @Nullable Entries entries;

        Pack(long number, int slot, long salt, int bytes) {
            this.number = number;
            this.slot = slot;
            this.salt = salt;
            this.bytes = bytes;
        }
    }

    private final Volume volume;
    private final OpenFiles files;
    private final SliceIndex index;
    private final Space space;
    private final RandomGenerator random;
    private final Owner owner;
    private final @Nullable SliceSeal seal;
    private final int packBytes;
    private final int punchBytesMin;

    private final Object slotsLock = new Object();
    private volatile @Nullable Pack[] slots = new @Nullable Pack[16];
    private final ArrayDeque<Integer> freeSlots = new ArrayDeque<>();
    private int slotsUsed;

    private final ReentrantLock appendLock = new ReentrantLock();
    // guarded by appendLock
    private @Nullable Pack current;
    private OpenFiles.@Nullable Handle currentFile;
    private @Nullable ByteBuffer buffer;
    private long nextNumber = 1;
    private int placedCount;

    private final ReentrantLock maintainLock = new ReentrantLock();
    private volatile boolean punches = true;

    PackStore(
            Volume volume,
            OpenFiles files,
            SliceIndex index,
            Space space,
            RandomGenerator random,
            Owner owner,
            @Nullable SliceSeal seal,
            int packBytes) {
        this.volume = volume;
        this.files = files;
        this.index = index;
        this.space = space;
        this.random = random;
        this.owner = owner;
        this.seal = seal;
        this.packBytes = packBytes;
        this.punchBytesMin = packBytes / 16;
    }

    // ---- opening

    /** Finds every pack and names what is whole in it. */
    void open() throws IOException {
        volume.createDirectory(PackFormat.DIRECTORY);
        var packs = new ArrayList<Volume.Entry>();
        var indexes = new HashSet<String>();
        for (var entry : volume.list(PackFormat.DIRECTORY)) {
            if (entry.name().endsWith(PackFormat.PACK_SUFFIX)) packs.add(entry);
            else if (entry.name().endsWith(PackFormat.INDEX_SUFFIX)) indexes.add(entry.name());
            else if (entry.name().endsWith(AtomicFile.TEMPORARY_SUFFIX)) {
                volume.delete(PackFormat.DIRECTORY + "/" + entry.name());
            }
        }
        packs.sort(Comparator.comparing(Volume.Entry::name));
        for (int i = 0; i < packs.size(); i++) {
            String name = packs.get(i).name();
            String stem = name.substring(0, name.length() - PackFormat.PACK_SUFFIX.length());
            indexes.remove(stem + PackFormat.INDEX_SUFFIX);
            long number;
            try {
                number = Long.parseUnsignedLong(stem, 16);
            } catch (NumberFormatException notOurs) {
                continue;
            }
            nextNumber = Math.max(nextNumber, number + 1);
            openPack(number, packs.get(i).bytes(), i == packs.size() - 1);
        }
        for (String orphan : indexes) volume.delete(PackFormat.DIRECTORY + "/" + orphan);
    }

    private void openPack(long number, long fileBytes, boolean last) throws IOException {
        PackFormat.Index known = PackFormat.readIndex(volume, number, fileBytes);
        try (var handle = files.acquire(-number, PackFormat.packPath(number))) {
            long salt = known != null ? known.salt() : findSalt(handle.file(), number, fileBytes);
            if (salt == 0 || fileBytes > Integer.MAX_VALUE) {
                if (fileBytes <= Integer.MAX_VALUE && allZeros(handle.file(), fileBytes)) {
                    files.forget(-number);
                    volume.delete(PackFormat.packPath(number)); // created, and never used before the crash
                    return;
                }
                space.add(fileBytes);
                owner.fault("pack " + number + " cannot be read: its header is damaged", new IOException("no header"));
                return;
            }
            int covered = known == null ? PackFormat.HEADER_BYTES : known.coveredBytes();
            Entries entries = known == null ? new Entries() : known.entries();
            var damaged = new boolean[1];
            int end = covered;
            if (covered < fileBytes) {
                end = PackFormat.scan(handle.file(), covered, (int) fileBytes, salt, seal, new PackFormat.Found() {
                    @Override
                    public void whole(SliceId slice, int offset, int length) {
                        entries.add(slice.value(), offset, length);
                    }

                    @Override
                    public void damaged(SliceId slice, int offset) {
                        damaged[0] = true;
                        owner.damaged(slice);
                    }
                });
                handle.sync(); // found whole is not yet durable: it may be in the page cache alone
            }
            if (entries.count() == 0 && !damaged[0] && known == null) {
                files.forget(-number);
                volume.delete(PackFormat.packPath(number));
                return;
            }
            var pack = new Pack(number, takeSlot(), salt, end);
            pack.punchedBytes = known == null ? 0 : known.punchedBytes();
            pack.accountedBytes = end - pack.punchedBytes;
            space.add(pack.accountedBytes);
            pack.deadBytes = end - PackFormat.HEADER_BYTES;
            publish(pack);
            for (int i = 0; i < entries.count(); i++) {
                int length = entries.length(i);
                long old = index.put(entries.slice(i), SliceIndex.packed(pack.slot, entries.offset(i), length));
                pack.live++;
                pack.deadBytes -= PackFormat.recordBytes(length);
                if (old != SliceIndex.ABSENT) died(old);
            }
            pack.deadBytesPunched = pack.punchedBytes > 0 ? pack.deadBytes : 0;
            boolean goesOn = last && end == fileBytes && end < packBytes && pack.punchedBytes == 0 && !damaged[0];
            if (known == null || covered < end || goesOn) pack.entries = entries;
            pack.stuck = damaged[0]; // what is left of a damaged slice is not thrown away unasked
            if (goesOn) {
                current = pack;
                currentFile = files.acquire(-number, PackFormat.packPath(number));
            } else {
                pack.sealed = true;
            }
        }
    }

    /** From the header or, if that is damaged, from the first record, where no user's bytes can be. */
    private static long findSalt(Volume.VolumeFile file, long number, long fileBytes) throws IOException {
        var start = ByteBuffer.allocate(PackFormat.HEADER_BYTES + PackFormat.RECORD_HEADER_BYTES);
        int n = file.read(start, 0);
        long salt = n < PackFormat.HEADER_BYTES ? 0 : PackFormat.saltOf(start, number);
        if (salt == 0 && n == start.capacity()) salt = PackFormat.saltOfRecord(start, PackFormat.HEADER_BYTES);
        return salt;
    }

    private static boolean allZeros(Volume.VolumeFile file, long fileBytes) throws IOException {
        var part = ByteBuffer.allocate(64 << 10);
        for (long at = 0; at < fileBytes; at += part.capacity()) {
            int n = file.read(part.clear(), at);
            for (int i = 0; i < n; i++) if (part.get(i) != 0) return false;
        }
        return true;
    }

    // ---- slots

    private int takeSlot() {
        synchronized (slotsLock) {
            Integer free = freeSlots.poll();
            if (free != null) return free;
            if (slotsUsed == SliceIndex.SLOTS_MAX) throw new IllegalStateException("too many packs: " + slotsUsed);
            return slotsUsed++;
        }
    }

    private void publish(Pack pack) {
        synchronized (slotsLock) {
            @Nullable Pack[] now = slots;
            if (pack.slot >= now.length) now = Arrays.copyOf(now, Math.max(pack.slot + 1, now.length * 2));
            now[pack.slot] = pack;
            slots = now;
        }
    }

    private void release(Pack pack) {
        synchronized (slotsLock) {
            @Nullable Pack[] now = slots;
            now[pack.slot] = null;
            slots = now;
            freeSlots.add(pack.slot);
        }
    }

    private @Nullable Pack pack(long location) {
        @Nullable Pack[] now = slots;
        int slot = SliceIndex.slot(location);
        return slot < now.length ? now[slot] : null;
    }

    /** The open file of the pack that a location names. @throws NoSuchFileException if the pack is gone */
    OpenFiles.Handle file(long location) throws IOException {
        Pack pack = pack(location);
        if (pack == null) throw new NoSuchFileException("pack in slot " + SliceIndex.slot(location));
        return files.acquire(-pack.number, PackFormat.packPath(pack.number));
    }

    String name(long location) {
        Pack pack = pack(location);
        return pack == null ? "a pack that is gone" : PackFormat.packPath(pack.number);
    }

    // ---- appending

    /**
     * Makes slices durable, with one sequential write and one sync where they fit one pack. A pack that cannot be
     * written or synced is abandoned, and what it did not get goes into a new one, once.
     *
     * @throws IOException if that failed too; those not {@link Packable#placed} are then not durable
     */
    void append(List<? extends Packable> items) throws IOException {
        if (items.isEmpty()) return;
        appendLock.lock();
        try {
            placedCount = 0;
            try {
                appendFrom(items);
            } catch (IOException e) {
                abandon(e);
                try {
                    appendFrom(items);
                } catch (IOException again) {
                    abandon(again);
                    throw again;
                }
            }
        } finally {
            appendLock.unlock();
        }
    }

    private void appendFrom(List<? extends Packable> items) throws IOException {
        ByteBuffer bytes = buffer;
        if (bytes == null) buffer = bytes = ByteBuffer.allocateDirect(BUFFER_BYTES);
        while (placedCount < items.size()) {
            Pack pack = current;
            if (pack == null || pack.bytes >= packBytes) pack = roll();
            var file = currentFile;
            var entries = pack.entries;
            if (file == null || entries == null)
                throw new IllegalStateException("pack " + pack.number + " is not open");
            int position = pack.bytes;
            int written = position;
            int next = placedCount;
            bytes.clear();
            for (; next < items.size() && position < packBytes; next++) {
                Packable item = items.get(next);
                int record = PackFormat.recordBytes(item.packedLength());
                if (bytes.remaining() < record) {
                    file.write(bytes.flip(), written);
                    written = position;
                    bytes.clear();
                }
                int start = bytes.position();
                PackFormat.putRecordHeader(bytes, item.slice(), item.packedLength(), pack.salt);
                item.putStored(bytes);
                PackFormat.putRecordEnd(bytes, start, item.slice(), item.packedLength(), pack.salt);
                if (bytes.position() - start != record) throw new IllegalStateException("record of " + item.slice());
                position += record;
            }
            file.write(bytes.flip(), written);
            file.sync();
            int offset = pack.bytes;
            pack.bytes = position;
            while (placedCount < next) {
                Packable item = items.get(placedCount++);
                int record = PackFormat.recordBytes(item.packedLength());
                entries.add(item.slice().value(), offset, item.packedLength());
                synchronized (pack) {
                    pack.live++;
                    pack.accountedBytes += record;
                }
                item.placed(SliceIndex.packed(pack.slot, offset, item.packedLength()));
                offset += record;
            }
        }
    }

    private Pack roll() throws IOException {
        if (current != null) sealCurrent();
        long number = nextNumber++;
        long salt = random.nextLong() | 1; // 0 means none
        String path = PackFormat.packPath(number);
        var file = files.create(-number, path);
        try {
            file.write(PackFormat.header(number, salt), 0);
            file.sync();
            volume.syncDirectory(PackFormat.DIRECTORY);
        } catch (IOException e) {
            files.forget(-number);
            file.close();
            volume.delete(path);
            throw e;
        }
        var pack = new Pack(number, takeSlot(), salt, PackFormat.HEADER_BYTES);
        pack.entries = new Entries();
        pack.accountedBytes = PackFormat.HEADER_BYTES;
        space.add(pack.accountedBytes);
        publish(pack);
        current = pack;
        currentFile = file;
        return pack;
    }

    private void sealCurrent() {
        Pack pack = current;
        var file = currentFile;
        if (pack == null || file == null) return;
        current = null;
        currentFile = null;
        file.close();
        synchronized (pack) {
            pack.sealed = true;
        }
        owner.maintenanceWanted();
    }

    private void abandon(IOException cause) {
        Pack pack = current;
        owner.fault("pack " + (pack == null ? "that is new" : pack.number) + " was given up", cause);
        if (pack != null) files.forget(-pack.number); // its unsynced bytes are nobody's
        sealCurrent();
    }

    // ---- the dead

    /** A record that the index no longer names. */
    void died(long location) {
        Pack pack = pack(location);
        if (pack == null) throw new IllegalStateException("no pack in slot " + SliceIndex.slot(location));
        boolean wanted;
        synchronized (pack) {
            pack.live--;
            pack.deadBytes += PackFormat.recordBytes(SliceIndex.length(location));
            wanted = chore(pack) != Chore.NONE;
        }
        if (wanted) owner.maintenanceWanted();
    }

    private enum Chore {
        NONE,
        DROP,
        MOVE,
        PUNCH,
        INDEX
    }

    private Chore chore(Pack pack) { // holds pack
        if (!pack.sealed) return Chore.NONE;
        if (pack.live == 0 && !pack.stuck) return Chore.DROP;
        if (pack.deadBytes > pack.bytes / 4L * 3 && !pack.stuck) return Chore.MOVE;
        if (punches && !pack.stuck && pack.deadBytes - pack.deadBytesPunched >= punchBytesMin) return Chore.PUNCH;
        return pack.entries == null ? Chore.NONE : Chore.INDEX;
    }

    /** Writes index files, punches holes, moves what is left of mostly-dead packs. One thread at a time. */
    void maintain() throws IOException {
        maintainLock.lock();
        try {
            @Nullable Pack[] now = slots;
            for (Pack pack : now) {
                if (pack == null) continue;
                Chore chore;
                synchronized (pack) {
                    chore = chore(pack);
                }
                switch (chore) {
                    case NONE -> {}
                    case DROP -> drop(pack);
                    case MOVE -> move(pack);
                    case PUNCH -> punch(pack);
                    case INDEX -> writeIndex(pack, liveEntries(pack));
                }
            }
        } finally {
            maintainLock.unlock();
        }
    }

    private void drop(Pack pack) throws IOException {
        release(pack);
        files.forget(-pack.number);
        volume.delete(PackFormat.packPath(pack.number));
        volume.delete(PackFormat.indexPath(pack.number));
        volume.syncDirectory(PackFormat.DIRECTORY);
        space.add(-pack.accountedBytes);
    }

    private Entries liveEntries(Pack pack) throws IOException {
        Entries all = pack.entries;
        if (all == null) {
            var known = PackFormat.readIndex(volume, pack.number, pack.bytes);
            all = known != null && known.coveredBytes() == pack.bytes ? known.entries() : scanned(pack);
        }
        var live = new Entries();
        for (int i = 0; i < all.count(); i++) {
            long location = SliceIndex.packed(pack.slot, all.offset(i), all.length(i));
            if (index.get(all.slice(i)) == location) live.add(all.slice(i).value(), all.offset(i), all.length(i));
        }
        return live;
    }

    /** The index file is lost: takes what the records say, damaged ones included, for they may still be named. */
    private Entries scanned(Pack pack) throws IOException {
        var entries = new Entries();
        try (var handle = files.acquire(-pack.number, PackFormat.packPath(pack.number))) {
            PackFormat.scan(
                    handle.file(), PackFormat.HEADER_BYTES, pack.bytes, pack.salt, seal, new PackFormat.Found() {
                        @Override
                        public void whole(SliceId slice, int offset, int length) {
                            entries.add(slice.value(), offset, length);
                        }

                        @Override
                        public void damaged(SliceId slice, int offset) {
                            long location = index.get(slice);
                            if (pack(location) == pack && SliceIndex.offset(location) == offset) {
                                entries.add(slice.value(), offset, (int) SliceIndex.length(location));
                            }
                        }
                    });
        }
        int live;
        synchronized (pack) {
            live = pack.live;
        }
        if (entries.count() < live) {
            synchronized (pack) {
                pack.stuck = true;
            }
            throw new IOException("pack " + pack.number + " has " + live + " slices, a scan finds " + entries.count());
        }
        return entries;
    }

    private void writeIndex(Pack pack, Entries live) throws IOException {
        PackFormat.writeIndex(
                volume, pack.number, new PackFormat.Index(pack.salt, pack.bytes, pack.punchedBytes, live));
        pack.entries = null;
    }

    private void punch(Pack pack) throws IOException {
        int dead;
        synchronized (pack) {
            dead = pack.deadBytes;
        }
        Entries live = liveEntries(pack);
        long holes = 0;
        for (int i = 0, from = PackFormat.HEADER_BYTES; i <= live.count(); i++) {
            int to = i < live.count() ? live.offset(i) : pack.bytes;
            holes += Math.max(0, holeEnd(to) - holeStart(from));
            if (i < live.count()) from = to + PackFormat.recordBytes(live.length(i));
        }
        long given;
        synchronized (pack) {
            given = holes - pack.punchedBytes;
            pack.deadBytesPunched = dead;
            pack.punchedBytes = holes;
            pack.accountedBytes -= given;
        }
        writeIndex(pack, live); // the dead are forgotten durably before their bytes go
        try (var handle = files.acquire(-pack.number, PackFormat.packPath(pack.number))) {
            for (int i = 0, from = PackFormat.HEADER_BYTES; i <= live.count(); i++) {
                int to = i < live.count() ? live.offset(i) : pack.bytes;
                int start = holeStart(from);
                int length = holeEnd(to) - start;
                if (length > 0 && !handle.file().punchHole(start, length)) {
                    punches = false;
                    synchronized (pack) {
                        pack.accountedBytes += given;
                        pack.punchedBytes -= given;
                    }
                    return;
                }
                if (i < live.count()) from = to + PackFormat.recordBytes(live.length(i));
            }
        }
        space.add(-given);
    }

    private static int holeStart(int from) {
        return from + HOLE_BLOCK - 1 & -HOLE_BLOCK;
    }

    private static int holeEnd(int to) {
        return to & -HOLE_BLOCK;
    }

    private void move(Pack pack) throws IOException {
        Entries live = liveEntries(pack);
        var batch = new ArrayList<Move>();
        int batchBytes = 0;
        boolean stuck = false;
        for (int i = 0; i < live.count(); i++) {
            long from = SliceIndex.packed(pack.slot, live.offset(i), live.length(i));
            if (index.get(live.slice(i)) != from) continue;
            Move move = readRecord(pack, live.slice(i), from);
            if (move == null) {
                stuck = true;
                continue;
            }
            batch.add(move);
            batchBytes += live.length(i);
            if (batchBytes >= MOVE_BATCH_BYTES) {
                append(batch);
                batch.clear();
                batchBytes = 0;
            }
        }
        append(batch);
        boolean empty;
        synchronized (pack) {
            pack.stuck = stuck;
            empty = pack.live == 0;
        }
        if (empty) drop(pack);
    }

    private @Nullable Move readRecord(Pack pack, SliceId slice, long location) throws IOException {
        int length = (int) SliceIndex.length(location);
        int blocks = Checksums.blocks(length);
        var bytes = ByteBuffer.allocate(length + blocks * Checksums.TRAILER_BYTES);
        try (var handle = files.acquire(-pack.number, PackFormat.packPath(pack.number))) {
            handle.file().read(bytes, SliceIndex.offset(location) + PackFormat.RECORD_HEADER_BYTES);
        }
        boolean sound = !bytes.hasRemaining() && PackFormat.isWhole(bytes.clear(), 0, slice, length, seal);
        if (sound) return new Move(slice, location, length, bytes);
        if (index.get(slice) == location) owner.damaged(slice);
        return null;
    }

    private final class Move implements Packable {
        private final SliceId slice;
        private final long from;
        private final int length;
        private final ByteBuffer bytes; // data and trailers, as they are stored

        Move(SliceId slice, long from, int length, ByteBuffer bytes) {
            this.slice = slice;
            this.from = from;
            this.length = length;
            this.bytes = bytes;
        }

        @Override
        public SliceId slice() {
            return slice;
        }

        @Override
        public int packedLength() {
            return length;
        }

        @Override
        public void putStored(ByteBuffer into) {
            into.put(bytes.duplicate().clear());
        }

        @Override
        public void placed(long location) {
            space.add(PackFormat.recordBytes(length));
            died(index.replace(slice, from, location) ? from : location);
        }
    }

    /** Writes the open pack's index too, so that the next opening need not scan it and the deleted stay deleted. */
    void close() throws IOException {
        maintainLock.lock();
        try {
            appendLock.lock();
            try {
                Pack pack = current;
                if (pack != null && pack.bytes > PackFormat.HEADER_BYTES) {
                    PackFormat.writeIndex(
                            volume, pack.number, new PackFormat.Index(pack.salt, pack.bytes, 0, liveEntries(pack)));
                }
                var file = currentFile;
                if (file != null) file.close();
                current = null;
                currentFile = null;
            } finally {
                appendLock.unlock();
            }
        } finally {
            maintainLock.unlock();
        }
    }
}
