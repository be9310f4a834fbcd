// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import dev.wormhole.seal.Secret;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * A content store on one volume.
 *
 * <p><b>The life of a slice.</b> It is staged in memory. At {@link #sync} it goes into a pack, with all others that are
 * being synced, and one disk sync serves them all; only then does the index name it. A slice that outgrows
 * {@value #PACKED_SLICE_BYTES_MAX} bytes (or is announced as larger, or finds the staging memory used up) spills into a
 * file of its own, block by block; sync makes that file durable and renames it to its final name. So the index names
 * durable slices alone, and a slice that is not durable is in memory or in a file that the next opening deletes.
 *
 * <p><b>Reading</b> checks every block it takes from the disk, before the caller sees it. A reader may lose a race
 * against deletion, compaction or hole punching; whatever goes wrong, it looks the slice up again and believes in
 * damage only if the slice is still where it was.
 *
 * <p><b>Deleting</b> takes a slice out of the index at once and gives its space back later. The deletion itself is not
 * synced: after a power loss a deleted slice may be back, whole. Therefore the pod compares {@link #forEachDurable}
 * with the log after opening, and deletes what the log let go; it never takes presence here for permission to live.
 * An id may be staged again once it was deleted or given up: a slice moves away and comes back, a transfer breaks and
 * begins anew. An id names the same bytes for ever, so no reader can tell.
 */
public final class SliceStore implements ContentStore {
    /** Larger slices get files of their own. */
    public static final int PACKED_SLICE_BYTES_MAX = 1 << 20;

    /** The name of the file that keeps disk space for metadata emergencies. */
    public static final String RESERVE = "reserve";

    /** Memory for slices in transit: enough for four full ones, so that one is written while others are sent. */
    static final long TRANSIT_BYTES_MAX = 64L << 20;

    private static final int SMALL_CAPACITY = 4096;
    private static final int STAGED_OVERHEAD_BYTES = 256;
    private static final int WRITE_BYTES_MAX = 1 << 20;
    private static final int SCRATCH_BYTES = BLOCK_BYTES + 4096;
    private static final int SCRATCHES_KEPT = 32;

    /**
     * @param limitBytes most bytes that content may use
     * @param keepFreeBytes bytes of the disk that content leaves free
     * @param reserveBytes size of the reserve file, 0 for none
     * @param stagingBytesMax memory for slices that are not yet durable
     * @param packBytes a pack takes no more slices from this size on, at most 96 MiB
     * @param openFilesMax files kept open
     */
    public record Config(
            long limitBytes,
            long keepFreeBytes,
            long reserveBytes,
            long stagingBytesMax,
            int packBytes,
            int openFilesMax) {
        public Config {
            if (limitBytes < 0 || keepFreeBytes < 0 || reserveBytes < 0 || stagingBytesMax < 0) {
                throw new IllegalArgumentException("negative size");
            }
            if (packBytes < 4096 || packBytes > 96 << 20)
                throw new IllegalArgumentException("pack bytes: " + packBytes);
            if (openFilesMax < 4) throw new IllegalArgumentException("open files: " + openFilesMax);
        }

        /** The usual sizes: a reserve of min(1 GB, 5 % of the limit), 64 MiB of staging memory and packs, 256 files. */
        public static Config of(long limitBytes, long keepFreeBytes) {
            long reserve = Math.min(1_000_000_000L, limitBytes / 20);
            return new Config(limitBytes, keepFreeBytes, reserve, 64L << 20, 64 << 20, 256);
        }
    }

    private final Volume volume;
    private final Config config;
    private final Consumer<SliceId> damaged;
    private final Executor maintenance;
    private final SliceIndex index = new SliceIndex();
    private final BlockCache cache = new BlockCache();
    private final OpenFiles files;
    private final Space space;
    private final PackStore packs;
    private final @Nullable SliceSeal seal;
    private final ConcurrentHashMap<SliceId, Staged> pending = new ConcurrentHashMap<>();
    private final TransitSlices transit = new TransitSlices(TRANSIT_BYTES_MAX);
    private final AtomicLong stagedMemory = new AtomicLong();
    private final ArrayBlockingQueue<ByteBuffer> scratches = new ArrayBlockingQueue<>(SCRATCHES_KEPT);
    private final Set<String> ownDirectories = ConcurrentHashMap.newKeySet();
    private final AtomicReference<@Nullable String> fault = new AtomicReference<>();
    private final AtomicBoolean maintenanceDue = new AtomicBoolean();
    private final AtomicBoolean maintenanceRuns = new AtomicBoolean();
    private volatile boolean closed;

    /** Slices out of the index whose own file is not deleted yet; guarded by itself. */
    private final Set<SliceId> leaving = new HashSet<>();

    private final Object batchLock = new Object();
    private @Nullable Batch collecting; // guarded by batchLock
    private final ReentrantLock baton = new ReentrantLock();

    private SliceStore(
            Volume volume,
            Config config,
            Consumer<SliceId> damaged,
            Executor maintenance,
            RandomGenerator random,
            Optional<Secret> key)
            throws IOException {
        this.volume = volume;
        this.config = config;
        this.damaged = damaged;
        this.maintenance = maintenance;
        this.files = new OpenFiles(volume, config.openFilesMax());
        this.space = new Space(volume, Math.min(config.limitBytes(), volume.totalBytes()), config.keepFreeBytes());
        this.seal = key.map(secret -> new SliceSeal(secret, random)).orElse(null);
        this.packs = new PackStore(volume, files, index, space, random, new PackOwner(), seal, config.packBytes());
    }

    /**
     * Opens a store, or makes a new one in an empty volume. The caller holds the volume's {@link StoreLock}.
     *
     * @param damaged told of slices that were found and are not whole; those met while opening are not in the store.
     *     After a crash it may also name slices that were never synced. Called by any thread, must not block
     * @param maintenance runs compaction and the like, one task at a time; may do so in the calling thread
     * @param random salts packs, so that no stored bytes can pass for a record; unpredictable in production
     */
    public static SliceStore open(
            Volume volume, Config config, Consumer<SliceId> damaged, Executor maintenance, RandomGenerator random)
            throws IOException {
        return open(volume, config, damaged, maintenance, random, Optional.empty());
    }

    /**
     * As {@link #open(Volume, Config, Consumer, Executor, RandomGenerator)}.
     *
     * @param random makes nonces too
     * @param key seals what is stored; the same at every opening of a volume, from its first on. What another key sealed, or
     *     none, is damaged
     */
    public static SliceStore open(
            Volume volume,
            Config config,
            Consumer<SliceId> damaged,
            Executor maintenance,
            RandomGenerator random,
            Optional<Secret> key)
            throws IOException {
        var store = new SliceStore(volume, config, damaged, maintenance, random, key);
        try {
            store.open();
            return store;
        } catch (IOException | RuntimeException e) {
            store.files.close();
            throw e;
        }
    }

    private void open() throws IOException {
        packs.open();
        volume.createDirectory(OwnFile.DIRECTORY);
        for (int i = 0; i < 256; i++) {
            String directory = OwnFile.DIRECTORY + "/" + "%02x".formatted(i);
            var entries = volume.list(directory);
            if (entries.isEmpty()) continue;
            ownDirectories.add(directory);
            boolean found = false;
            for (var entry : entries) found |= openOwn(directory, entry);
            if (found) volume.syncDirectory(directory); // a name that we see may not be durable yet
        }
        volume.syncDirectory(OwnFile.DIRECTORY);
        volume.syncDirectory("");
        openReserve();
        maintenanceDue.set(true);
        beginMaintenance();
    }

    private boolean openOwn(String directory, Volume.Entry entry) throws IOException {
        String path = directory + "/" + entry.name();
        if (entry.name().endsWith(OwnFile.STAGED_SUFFIX)) {
            volume.delete(path);
            return false;
        }
        if (!entry.name().endsWith(OwnFile.SUFFIX)) return false;
        SliceId slice;
        try {
            slice = new SliceId(Long.parseLong(entry.name(), 0, entry.name().length() - OwnFile.SUFFIX.length(), 16));
        } catch (IllegalArgumentException notOurs) {
            return false;
        }
        long length = OwnFile.lengthOf(entry.bytes());
        if (length < 0) {
            space.add(entry.bytes());
            damaged.accept(slice);
            return false;
        }
        long old = index.get(slice);
        if (old != SliceIndex.ABSENT) { // deleted here, stored again in a pack: the same bytes twice
            volume.delete(path);
            return false;
        }
        index.put(slice, SliceIndex.own(length));
        space.add(OwnFile.chargedBytes(length));
        return true;
    }

    /** Ints that a block's trailer takes in memory. */
    private int tagWords() {
        return seal == null ? 1 : SliceSeal.WORDS;
    }

    /** Whether a block of a slice with a file of its own, at the buffer's start, is what was written. */
    private boolean isWhole(SliceId slice, int block, ByteBuffer stored, int bytes, int[] tags) {
        if (seal == null) return Checksums.tag(slice, block, stored, 0, bytes) == tags[block];
        try (var worker = seal.worker()) {
            stored.get(0, worker.in, 0, bytes);
            return worker.openOwn(slice, block, bytes, tags, block);
        }
    }

    // ---- the reserve

    private void openReserve() throws IOException {
        long bytes = 0;
        for (var entry : volume.list("")) if (entry.name().equals(RESERVE)) bytes = entry.bytes();
        if (bytes == config.reserveBytes()) return;
        if (bytes != 0) volume.delete(RESERVE);
        if (config.reserveBytes() != 0 && !restoreReserve()) {
            fault.compareAndSet(null, "the disk has no room for the reserve");
        }
    }

    /** Gives the reserve's space to whoever needs it (metadata); content still does not touch it. */
    public void releaseReserve() throws IOException {
        space.withhold(config.reserveBytes());
        if (volume.delete(RESERVE)) volume.syncDirectory("");
    }

    /** Takes the reserve's space again. @return false if the disk has not enough, then it stays released */
    public boolean restoreReserve() throws IOException {
        if (config.reserveBytes() == 0 || volume.exists(RESERVE)) return true;
        space.withhold(config.reserveBytes());
        if (volume.freeBytes() < config.reserveBytes()) return false;
        try {
            volume.allocate(RESERVE, config.reserveBytes());
        } catch (IOException full) {
            volume.delete(RESERVE);
            return false;
        }
        space.withhold(0);
        return true;
    }

    // ---- staging

    private enum State {
        WRITING,
        SEALED,
        DURABLE,
        GONE
    }

    @Override
    public SliceWriter stage(SliceId slice, long expectedBytes) throws IOException {
        if (expectedBytes < 0) throw new IllegalArgumentException("expected bytes: " + expectedBytes);
        requireOpen();
        var staged = new Staged(slice, expectedBytes);
        if (pending.putIfAbsent(slice, staged) != null) {
            boolean _ = staged.discard();
            throw new IllegalStateException("the store has slice " + slice);
        }
        if (index.get(slice) != SliceIndex.ABSENT) {
            boolean _ = staged.discard();
            pending.remove(slice, staged);
            throw new IllegalStateException("the store has slice " + slice);
        }
        awaitDeletion(slice);
        try {
            long announced = expectedBytes == 0 ? 1 : expectedBytes;
            space.charge(announced); // is there room at all? What is really appended is charged then
            space.add(-announced);
            return staged;
        } catch (IOException e) {
            staged.close();
            throw e;
        }
    }

    @Override
    public SliceWriter stageTransit(SliceId slice, int expectedBytes) throws IOException {
        if (expectedBytes < 0) throw new IllegalArgumentException("expected bytes: " + expectedBytes);
        requireOpen();
        if (length(slice) >= 0) throw new IllegalStateException("the store has slice " + slice);
        return transit.stage(slice, expectedBytes);
    }

    @Override
    public void endTransit(Collection<SliceId> slices) {
        slices.forEach(transit::end);
    }

    @Override
    public long transitBytes() {
        return transit.bytes();
    }

    /** A deletion that has left the index must have deleted the file before the file's name is used again. */
    private void awaitDeletion(SliceId slice) {
        boolean interrupted = false;
        synchronized (leaving) {
            while (leaving.contains(slice)) {
                try {
                    leaving.wait();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) Thread.currentThread().interrupt();
    }

    private void requireOpen() throws IOException {
        if (closed) throw new IOException("the store is closed");
    }

    /**
     * A slice that is not durable yet. Its writer alone changes what is written; fields that readers, sync and delete
     * look at are guarded by this. File I/O happens outside the lock, except a rename.
     */
    private final class Staged implements SliceWriter, PackStore.Packable {
        private final SliceId slice;
        private final boolean announcedLarge;

        // guarded by this
        private State state = State.WRITING;
        private long length;
        /** All bytes while in memory; null once the slice has a file. */
        private byte @Nullable [] memory;
        /** The path of its own file; null while in memory. */
        private @Nullable String path;
        /** Bytes in its own file; what follows is in the tail. Whole blocks until sealed. */
        private long written;

        private int[] tags = new int[1];
        private @Nullable ByteBuffer tail;
        private boolean broken;
        private @Nullable IOException failure;

        private long chargedBytes; // as are these
        private long memoryBytes;

        Staged(SliceId slice, long expectedBytes) {
            this.slice = slice;
            this.announcedLarge = expectedBytes > PACKED_SLICE_BYTES_MAX;
            this.memory = announcedLarge ? null : new byte[expectedBytes == 0 ? SMALL_CAPACITY : (int) expectedBytes];
            addMemory(STAGED_OVERHEAD_BYTES + (memory == null ? 0 : memory.length));
        }

        @Override
        public SliceId slice() {
            return slice;
        }

        @Override
        public synchronized long length() {
            return length;
        }

        private void addMemory(long bytes) {
            memoryBytes += bytes;
            stagedMemory.addAndGet(bytes);
            space.addUnwritten(bytes);
        }

        private synchronized void requireWriting() throws IOException {
            if (state == State.GONE) throw new UnknownSliceException(slice);
            if (state != State.WRITING) throw new IllegalStateException("slice " + slice + " is sealed");
            if (broken) throw new IOException("an earlier write to slice " + slice + " failed");
        }

        @Override
        public void append(ByteBuffer bytes) throws IOException {
            requireWriting();
            requireOpen();
            int more = bytes.remaining();
            if (more == 0) return;
            long after = length() + more;
            boolean large = announcedLarge || path() != null || after > PACKED_SLICE_BYTES_MAX;
            charge(large ? OwnFile.chargedBytes(after) : PackFormat.recordBytes(after));
            if (!large) {
                large = !reserveMemory((int) after);
                if (large) charge(OwnFile.chargedBytes(after));
            }
            if (large) {
                try {
                    appendToFile(bytes);
                } catch (IOException e) {
                    synchronized (this) {
                        broken = true;
                    }
                    throw e;
                }
                return;
            }
            synchronized (this) {
                if (state == State.GONE || memory == null) throw new UnknownSliceException(slice);
                bytes.get(memory, (int) length, more);
                length = after;
            }
        }

        private synchronized @Nullable String path() {
            return path;
        }

        private void charge(long bytes) throws IOException {
            long more;
            synchronized (this) {
                more = bytes - chargedBytes;
            }
            if (more <= 0) return;
            space.charge(more);
            synchronized (this) {
                if (state == State.GONE) space.add(-more);
                else chargedBytes += more;
            }
        }

        /** Makes room in memory. @return false if there is none and the slice must spill */
        private boolean reserveMemory(int needed) throws IOException {
            int capacity;
            synchronized (this) {
                if (state == State.GONE || memory == null) throw new UnknownSliceException(slice);
                if (memory.length >= needed) return true;
                capacity = Math.min(PACKED_SLICE_BYTES_MAX, Math.max(needed, memory.length * 2));
            }
            if (stagedMemory.get() + capacity > config.stagingBytesMax()) {
                relieveMemory();
                if (stagedMemory.get() + capacity > config.stagingBytesMax()) return false;
            }
            synchronized (this) {
                if (state == State.GONE || memory == null) throw new UnknownSliceException(slice);
                addMemory(capacity - memory.length);
                memory = Arrays.copyOf(memory, capacity);
            }
            return true;
        }

        private void appendToFile(ByteBuffer bytes) throws IOException {
            byte[] before;
            int beforeLength;
            synchronized (this) {
                if (state == State.GONE) throw new UnknownSliceException(slice);
                before = memory;
                beforeLength = (int) length;
            }
            if (path() == null) createFile();
            if (before != null && path() != null) spill(before, beforeLength);
            try (var file = files.acquire(slice.value(), OwnFile.path(slice, OwnFile.STAGED_SUFFIX))) {
                while (bytes.hasRemaining()) {
                    if (tailBytes() == 0 && bytes.remaining() >= BLOCK_BYTES) {
                        int whole = Math.min(bytes.remaining(), WRITE_BYTES_MAX) / BLOCK_BYTES * BLOCK_BYTES;
                        ByteBuffer view = bytes.duplicate().limit(bytes.position() + whole);
                        writeBlocks(file, view, true);
                        bytes.position(bytes.position() + whole);
                    } else {
                        fillTail(bytes);
                        ByteBuffer full = fullTail();
                        if (full != null) writeBlocks(file, full, false);
                    }
                }
            }
        }

        private void createFile() throws IOException {
            String directory = OwnFile.directory(slice);
            if (ownDirectories.add(directory)) {
                try {
                    volume.createDirectory(directory);
                    volume.syncDirectory(OwnFile.DIRECTORY);
                } catch (IOException e) {
                    ownDirectories.remove(directory);
                    throw e;
                }
            }
            String name = OwnFile.path(slice, OwnFile.STAGED_SUFFIX);
            volume.delete(name);
            files.forget(slice.value());
            try (var file = files.create(slice.value(), name)) {
                file.write(OwnFile.header(slice), 0);
            }
            boolean gone;
            synchronized (this) {
                gone = state == State.GONE;
                path = name;
            }
            if (gone) {
                files.forget(slice.value());
                volume.delete(name);
                throw new UnknownSliceException(slice);
            }
        }

        /** Moves what is in memory into the file: whole blocks written, the rest as the tail. */
        private void spill(byte[] before, int beforeLength) throws IOException {
            int whole = beforeLength / BLOCK_BYTES * BLOCK_BYTES;
            int[] blockTags = new int[Math.max(1, whole / BLOCK_BYTES * 2) * tagWords()];
            if (seal == null) {
                for (int at = 0; at < whole; at += BLOCK_BYTES) {
                    blockTags[at / BLOCK_BYTES] = Checksums.tag(slice, at / BLOCK_BYTES, before, at, BLOCK_BYTES);
                }
            }
            if (whole > 0) {
                try (var file = files.acquire(slice.value(), OwnFile.path(slice, OwnFile.STAGED_SUFFIX))) {
                    var bytes = ByteBuffer.wrap(before, 0, whole);
                    if (seal == null) file.write(bytes, OwnFile.DATA_START);
                    else writeSealed(seal, file, 0, bytes, blockTags);
                }
            }
            synchronized (this) {
                if (state == State.GONE) throw new UnknownSliceException(slice);
                tags = blockTags;
                written = whole;
                tail = ByteBuffer.allocateDirect(BLOCK_BYTES).put(before, whole, beforeLength - whole);
                addMemory(BLOCK_BYTES - before.length);
                memory = null;
            }
        }

        private synchronized int tailBytes() {
            return tail == null ? 0 : tail.position();
        }

        private synchronized void fillTail(ByteBuffer bytes) throws IOException {
            if (state == State.GONE) throw new UnknownSliceException(slice);
            if (tail == null) {
                tail = ByteBuffer.allocateDirect(BLOCK_BYTES);
                addMemory(BLOCK_BYTES);
            }
            int n = Math.min(tail.remaining(), bytes.remaining());
            tail.put(tail.position(), bytes, bytes.position(), n);
            tail.position(tail.position() + n);
            bytes.position(bytes.position() + n);
            length += n;
        }

        private synchronized @Nullable ByteBuffer fullTail() {
            return tail == null || tail.hasRemaining() ? null : tail.duplicate().flip();
        }

        /** Writes whole blocks (at sealing also a short last one) behind those written. */
        private void writeBlocks(OpenFiles.Handle file, ByteBuffer bytes, boolean fresh) throws IOException {
            int count = bytes.remaining();
            int first;
            long at;
            synchronized (this) {
                first = (int) (written / BLOCK_BYTES);
                at = written;
            }
            int[] more = new int[Checksums.blocks(count) * tagWords()];
            if (seal != null) {
                writeSealed(seal, file, first, bytes, more);
            } else {
                for (int i = 0; i < more.length; i++) {
                    int start = i * BLOCK_BYTES;
                    more[i] = Checksums.tag(
                            slice, first + i, bytes, bytes.position() + start, Math.min(BLOCK_BYTES, count - start));
                }
                file.write(bytes, OwnFile.DATA_START + at);
            }
            synchronized (this) {
                if (state == State.GONE) throw new UnknownSliceException(slice);
                int behind = first * tagWords();
                if (behind + more.length > tags.length) {
                    tags = Arrays.copyOf(tags, Math.max(behind + more.length, tags.length * 2));
                }
                System.arraycopy(more, 0, tags, behind, more.length);
                written += count;
                if (fresh) length += count;
                else if (tail != null) tail.clear();
            }
        }

        /** Writes blocks, sealed, to their place in the file. */
        private void writeSealed(SliceSeal seal, OpenFiles.Handle file, int first, ByteBuffer bytes, int[] words)
                throws IOException {
            int block = 0;
            try (var worker = seal.worker()) {
                while (bytes.hasRemaining()) {
                    long at = OwnFile.DATA_START + (long) (first + block) * BLOCK_BYTES;
                    worker.run.clear();
                    while (bytes.hasRemaining() && worker.run.hasRemaining()) {
                        int count = Math.min(BLOCK_BYTES, bytes.remaining());
                        bytes.get(worker.in, 0, count);
                        worker.sealOwn(slice, first + block, count, words, block);
                        worker.run.put(worker.out, 0, count);
                        block++;
                    }
                    file.write(worker.run.flip(), at);
                }
            }
        }

        @Override
        public void seal() throws IOException {
            requireWriting();
            requireOpen();
            if (announcedLarge && path() == null) {
                charge(OwnFile.chargedBytes(0));
                createFile();
            }
            if (path() != null) {
                sealFile();
            } else {
                synchronized (this) {
                    if (memory == null) throw new UnknownSliceException(slice);
                    int blocks = seal == null ? Checksums.blocks(length) : 0; // sealed on its way into the pack
                    tags = new int[blocks];
                    for (int block = 0; block < blocks; block++) {
                        int at = block * BLOCK_BYTES;
                        tags[block] = Checksums.tag(slice, block, memory, at, Checksums.blockLength(length, block));
                    }
                }
                charge(PackFormat.recordBytes(length()));
            }
            synchronized (this) {
                if (state == State.GONE) throw new UnknownSliceException(slice);
                state = State.SEALED;
            }
        }

        private void sealFile() throws IOException {
            try (var file = files.acquire(slice.value(), OwnFile.path(slice, OwnFile.STAGED_SUFFIX))) {
                ByteBuffer rest;
                synchronized (this) {
                    rest = tail == null || tail.position() == 0
                            ? null
                            : tail.duplicate().flip();
                }
                if (rest != null) writeBlocks(file, rest, false);
                int[] all;
                long bytes;
                synchronized (this) {
                    all = tags;
                    bytes = length;
                    if (tail != null) addMemory(-BLOCK_BYTES);
                    tail = null;
                }
                file.write(OwnFile.end(slice, bytes, all, seal), OwnFile.DATA_START + bytes);
            } catch (IOException e) {
                synchronized (this) {
                    broken = true;
                }
                throw e;
            }
        }

        @Override
        public void close() {
            synchronized (this) {
                if (state != State.WRITING) return;
            }
            if (discard()) pending.remove(slice, this);
        }

        /** Gives the slice up unless it is durable or gone already. */
        private boolean discard() {
            String file;
            synchronized (this) {
                if (state == State.DURABLE || state == State.GONE) return false;
                state = State.GONE;
                file = path;
                releaseMemory();
                space.add(-chargedBytes);
                chargedBytes = 0;
            }
            if (file != null) {
                files.forget(slice.value());
                deleteQuietly(file);
            }
            return true;
        }

        /** The array itself stays: a sync or a reader may be in the midst of it. */
        private synchronized void releaseMemory() {
            addMemory(-memoryBytes);
            tail = null;
        }

        private synchronized boolean waitsInMemory() {
            return state == State.SEALED && path == null;
        }

        private synchronized boolean waitsInFile() {
            return state == State.SEALED && path != null;
        }

        // -- becoming durable in a pack

        @Override
        public int packedLength() {
            return (int) length();
        }

        @Override
        public void putStored(ByteBuffer into) {
            byte[] data;
            int[] blockTags;
            int count;
            synchronized (this) {
                data = memory;
                blockTags = tags;
                count = (int) length;
            }
            if (data == null) throw new IllegalStateException("slice " + slice + " is not in memory");
            if (seal != null) {
                seal.putRecord(into, slice, data, count);
                return;
            }
            into.put(data, 0, count);
            for (int tag : blockTags) Checksums.putTrailer(into, tag);
        }

        @Override
        public void placed(long location) {
            boolean gone;
            synchronized (this) {
                gone = state == State.GONE;
                if (!gone) {
                    index.put(slice, location);
                    state = State.DURABLE;
                    releaseMemory();
                }
            }
            if (gone) {
                space.add(PackFormat.recordBytes(length()));
                packs.died(location);
            } else {
                pending.remove(slice, this);
            }
        }

        // -- becoming durable in its own file

        /** Syncs the file and gives it its final name, whose directory is to be synced then. */
        private void syncFile() throws IOException {
            try (var file = files.acquire(slice.value(), OwnFile.path(slice, OwnFile.STAGED_SUFFIX))) {
                file.sync();
            } catch (IOException e) {
                if (isGone()) throw new UnknownSliceException(slice);
                reportFault("slice " + slice + " could not be synced and is written again", e);
                writeAgain();
            }
            synchronized (this) {
                if (state == State.GONE) throw new UnknownSliceException(slice);
                String from = path;
                if (from == null) throw new IllegalStateException("slice " + slice + " has no file");
                String to = OwnFile.path(slice, OwnFile.SUFFIX);
                volume.rename(from, to);
                path = to;
            }
            files.forget(slice.value()); // it is open by its old name
        }

        private synchronized boolean isGone() {
            return state == State.GONE;
        }

        /** Copies the file, every block checked: a page that the failed sync dropped is found out. */
        private void writeAgain() throws IOException {
            String to = OwnFile.path(slice, OwnFile.AGAIN_SUFFIX);
            String from;
            int[] blockTags;
            long bytes;
            synchronized (this) {
                from = path;
                blockTags = tags;
                bytes = length;
            }
            if (from == null) throw new IllegalStateException("slice " + slice + " has no file");
            volume.delete(to);
            try (var source = volume.open(from);
                    var target = volume.create(to)) {
                target.write(OwnFile.header(slice), 0);
                ByteBuffer block = scratch();
                for (int i = 0; i < Checksums.blocks(bytes); i++) {
                    int blockBytes = Checksums.blockLength(bytes, i);
                    long at = OwnFile.DATA_START + (long) i * BLOCK_BYTES;
                    source.read(block.clear().limit(blockBytes), at);
                    if (block.hasRemaining() || !isWhole(slice, i, block, blockBytes, blockTags)) {
                        throw new CorruptSliceException(slice, (long) i * BLOCK_BYTES, from);
                    }
                    target.write(block.flip(), at);
                }
                target.write(OwnFile.end(slice, bytes, blockTags, seal), OwnFile.DATA_START + bytes);
                target.sync();
                release(block);
            } catch (IOException e) {
                deleteQuietly(to);
                throw e;
            }
            boolean gone;
            synchronized (this) {
                gone = state == State.GONE;
                path = to;
            }
            files.forget(slice.value());
            deleteQuietly(gone ? to : from);
        }

        /** Names a file that is durable, directory included. */
        private void fileIsDurable() {
            synchronized (this) {
                if (state == State.GONE) return; // discard deleted it under its new name
                index.put(slice, SliceIndex.own(length));
                state = State.DURABLE;
                addMemory(-memoryBytes);
            }
            pending.remove(slice, this);
        }

        private void giveUp(IOException cause) {
            synchronized (this) {
                failure = cause;
            }
            if (discard()) pending.remove(slice, this);
        }

        // -- reading what is not durable yet

        /** Fills from memory or file. @return false if the slice moved on and must be looked up again */
        private boolean read(long offset, ByteBuffer into, int count) throws IOException {
            int done = 0;
            while (done < count) {
                String file;
                int[] blockTags;
                long inFile;
                synchronized (this) {
                    if (state == State.GONE) return false;
                    long at = offset + done;
                    inFile = written;
                    if (memory != null) {
                        into.put(memory, (int) at, count - done);
                        return true;
                    }
                    if (path == null) return false;
                    if (at >= inFile) {
                        if (tail == null) return false;
                        int n = count - done;
                        into.put(into.position(), tail.duplicate().flip(), (int) (at - inFile), n);
                        into.position(into.position() + n);
                        return true;
                    }
                    file = path;
                    blockTags = tags;
                }
                int n = (int) Math.min(count - done, inFile - offset - done);
                try (var handle = files.acquire(slice.value(), file)) {
                    if (seal == null)
                        readBlocks(
                                slice,
                                handle.file(),
                                OwnFile.DATA_START,
                                inFile,
                                blockTags,
                                offset + done,
                                into,
                                n,
                                false,
                                file);
                    else
                        readSealed(
                                seal,
                                slice,
                                SliceSeal.UNKNOWN_LENGTH,
                                handle.file(),
                                OwnFile.DATA_START,
                                inFile,
                                blockTags,
                                offset + done,
                                into,
                                n,
                                false,
                                file);
                } catch (NoSuchFileException moved) {
                    synchronized (this) {
                        if (state != State.GONE && file.equals(path)) throw moved;
                    }
                    return false;
                }
                done += n;
            }
            return true;
        }
    }

    /** The staging memory is used up: makes what waits for a sync durable now. */
    private void relieveMemory() throws IOException {
        var waiting = new ArrayList<Staged>();
        for (Staged staged : pending.values()) if (staged.waitsInMemory()) waiting.add(staged);
        if (!waiting.isEmpty()) syncTogether(waiting);
    }

    private void deleteQuietly(String path) {
        try {
            volume.delete(path);
        } catch (IOException e) {
            reportFault(path + " could not be deleted", e);
        }
    }

    // ---- syncing

    /** What several callers sync together; its first caller does the work when the batch before is done. */
    private static final class Batch {
        final Set<Staged> members = new LinkedHashSet<>(); // neighbours stay neighbours in the pack
        final CountDownLatch done = new CountDownLatch(1);
    }

    @Override
    public void sync(Collection<SliceId> slices) throws IOException {
        requireOpen();
        var waiting = new ArrayList<Staged>(slices.size());
        for (SliceId slice : slices) {
            Staged staged = pending.get(slice);
            if (staged == null) {
                if (index.get(slice) == SliceIndex.ABSENT) throw new UnknownSliceException(slice);
                continue;
            }
            synchronized (staged) {
                switch (staged.state) {
                    case WRITING -> throw new IllegalStateException("slice " + slice + " is not sealed");
                    case GONE -> throw new UnknownSliceException(slice);
                    case SEALED -> waiting.add(staged);
                    case DURABLE -> {}
                }
            }
        }
        if (!waiting.isEmpty()) syncTogether(waiting);
    }

    private void syncTogether(List<Staged> waiting) throws IOException {
        Batch batch;
        boolean leads;
        synchronized (batchLock) {
            leads = collecting == null;
            if (collecting == null) collecting = new Batch();
            batch = collecting;
            batch.members.addAll(waiting);
        }
        if (leads) {
            baton.lock();
            try {
                synchronized (batchLock) {
                    collecting = null;
                }
                syncMembers(batch.members);
            } finally {
                baton.unlock();
                batch.done.countDown();
            }
        } else {
            awaitUninterruptibly(batch.done);
        }
        beginMaintenance();
        for (Staged staged : waiting) {
            synchronized (staged) {
                if (staged.state == State.DURABLE) continue;
                if (staged.state == State.GONE && staged.failure == null) throw new UnknownSliceException(staged.slice);
                throw new IOException("slice " + staged.slice + " could not be made durable", staged.failure);
            }
        }
    }

    private static void awaitUninterruptibly(CountDownLatch latch) {
        boolean interrupted = false;
        while (true) {
            try {
                latch.await();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) Thread.currentThread().interrupt();
    }

    private void syncMembers(Set<Staged> members) {
        var small = new ArrayList<Staged>();
        var large = new ArrayList<Staged>();
        for (Staged staged : members) {
            if (staged.waitsInMemory()) small.add(staged);
            else if (staged.waitsInFile()) large.add(staged);
        }
        try {
            packs.append(small);
        } catch (IOException e) {
            for (Staged staged : small) {
                synchronized (staged) {
                    staged.failure = e; // it stays in memory, a later sync may try another pack
                }
            }
        }
        var directories = new LinkedHashSet<String>();
        var renamed = new ArrayList<Staged>();
        for (Staged staged : large) {
            try {
                staged.syncFile();
                directories.add(OwnFile.directory(staged.slice));
                renamed.add(staged);
            } catch (UnknownSliceException deleted) {
                // its sync says so
            } catch (IOException e) {
                reportFault("slice " + staged.slice + " could not be made durable", e);
                staged.giveUp(e);
            }
        }
        for (String directory : directories) {
            try {
                volume.syncDirectory(directory);
            } catch (IOException e) {
                reportFault("directory " + directory + " could not be synced", e);
                for (Staged staged : renamed) {
                    if (OwnFile.directory(staged.slice).equals(directory)) staged.giveUp(e);
                }
            }
        }
        for (Staged staged : renamed) staged.fileIsDurable();
    }

    // ---- reading

    @Override
    public int read(SliceId slice, long offset, ByteBuffer into) throws IOException {
        if (offset < 0) throw new IllegalArgumentException("offset: " + offset);
        requireOpen();
        int start = into.position();
        while (true) {
            Staged staged = pending.get(slice);
            if (staged != null && !staged.isGone()) {
                long length = staged.length();
                int count = (int) Math.min(into.remaining(), length - offset);
                if (count <= 0) return offset >= length ? -1 : 0;
                if (staged.read(offset, into, count)) return count;
                into.position(start);
                continue;
            }
            long location = index.get(slice);
            if (location == SliceIndex.ABSENT) {
                int count = transit.read(slice, offset, into);
                if (count == TransitSlices.NONE) throw new UnknownSliceException(slice);
                return count;
            }
            long length = SliceIndex.length(location);
            int count = (int) Math.min(into.remaining(), length - offset);
            if (count <= 0) return offset >= length ? -1 : 0;
            try {
                readAt(slice, location, offset, into, count, true);
                return count;
            } catch (NoSuchFileException | CorruptSliceException e) {
                into.position(start);
                if (index.get(slice) == location) throw asCorrupt(slice, offset, e);
            }
        }
    }

    /** What a read met is told like what an opening met: a damaged copy can be made anew only when somebody knows of it. */
    private IOException asCorrupt(SliceId slice, long offset, IOException e) {
        damaged.accept(slice);
        if (e instanceof CorruptSliceException) return e;
        var corrupt = new CorruptSliceException(slice, offset, String.valueOf(e.getMessage()) + ", which is missing");
        corrupt.initCause(e);
        return corrupt;
    }

    private void readAt(SliceId slice, long location, long offset, ByteBuffer into, int count, boolean cached)
            throws IOException {
        long length = SliceIndex.length(location);
        if (SliceIndex.isOwn(location)) {
            String path = OwnFile.path(slice, OwnFile.SUFFIX);
            try (var handle = files.acquire(slice.value(), path)) {
                int[] tags = handle.tags;
                if (tags == null || !cached) handle.tags = tags = OwnFile.readTags(handle.file(), slice, length, seal);
                if (seal != null)
                    readSealed(
                            seal,
                            slice,
                            SliceSeal.UNKNOWN_LENGTH,
                            handle.file(),
                            OwnFile.DATA_START,
                            length,
                            tags,
                            offset,
                            into,
                            count,
                            cached,
                            path);
                else
                    readBlocks(
                            slice, handle.file(), OwnFile.DATA_START, length, tags, offset, into, count, cached, path);
            }
            return;
        }
        int blocks = Checksums.blocks(length);
        if (cached && count < BLOCK_BYTES && length > BLOCK_BYTES) {
            int block = (int) (offset / BLOCK_BYTES);
            int inBlock = (int) (offset % BLOCK_BYTES);
            if (inBlock + count <= BLOCK_BYTES && cache.copy(slice, block, inBlock, count, into)) return;
        }
        long data = SliceIndex.offset(location) + (long) PackFormat.RECORD_HEADER_BYTES;
        @Nullable ByteBuffer scratch = scratch();
        try (var handle = packs.file(location)) {
            if (blocks == 1 && seal != null) {
                if (cached && count < length && cache.copy(slice, 0, (int) offset, count, into)) return;
                readSealedBlock(seal, slice, (int) length, handle.file(), data, offset, into, count, cached, location);
                return;
            }
            if (blocks == 1) { // data and trailer in one read
                if (cached && count < length && cache.copy(slice, 0, (int) offset, count, into)) return;
                int whole = (int) length + Checksums.TRAILER_BYTES;
                int n = handle.file().read(scratch.clear().limit(whole), data);
                boolean sound = n == whole
                        && Checksums.isTrailer(scratch, (int) length)
                        && Checksums.trailerTag(scratch, (int) length)
                                == Checksums.tag(slice, 0, scratch, 0, (int) length);
                if (!sound) throw new CorruptSliceException(slice, 0, packs.name(location));
                into.put(into.position(), scratch, (int) offset, count);
                into.position(into.position() + count);
                if (cached && count < length) scratch = cache.exchange(slice, 0, scratch);
                return;
            }
            int trailers = blocks * Checksums.TRAILER_BYTES;
            int n = handle.file().read(scratch.clear().limit(trailers), data + length);
            int[] tags = new int[blocks * tagWords()];
            for (int block = 0; block < blocks; block++) {
                int at = block * Checksums.TRAILER_BYTES;
                boolean sound = n == trailers
                        && (seal == null
                                ? Checksums.isTrailer(scratch, at)
                                : SliceSeal.readTrailer(scratch, at, tags, block));
                if (!sound) {
                    throw new CorruptSliceException(slice, (long) block * BLOCK_BYTES, packs.name(location));
                }
                if (seal == null) tags[block] = Checksums.trailerTag(scratch, at);
            }
            String where = packs.name(location);
            if (seal == null) readBlocks(slice, handle.file(), data, length, tags, offset, into, count, cached, where);
            else readSealed(seal, slice, length, handle.file(), data, length, tags, offset, into, count, cached, where);
        } finally {
            release(scratch);
        }
    }

    /**
     * Reads verified bytes: runs of whole blocks straight into the caller's buffer if that is direct, others through a
     * scratch block, which is kept in the cache.
     */
    private void readBlocks(
            SliceId slice,
            Volume.VolumeFile file,
            long dataStart,
            long length,
            int[] tags,
            long offset,
            ByteBuffer into,
            int count,
            boolean cached,
            String where)
            throws IOException {
        int start = into.position();
        int done = 0;
        try {
            while (done < count) {
                int block = (int) ((offset + done) / BLOCK_BYTES);
                int inBlock = (int) ((offset + done) % BLOCK_BYTES);
                int blockBytes = Checksums.blockLength(length, block);
                if (inBlock == 0 && count - done >= blockBytes && into.isDirect()) {
                    int run = count - done == length - offset - done
                            ? count - done
                            : (count - done) / BLOCK_BYTES * BLOCK_BYTES;
                    ByteBuffer view = into.duplicate().limit(into.position() + run);
                    int n = file.read(view, dataStart + offset + done);
                    for (int at = 0; at < run; at += BLOCK_BYTES, block++) {
                        int bytes = Math.min(BLOCK_BYTES, run - at);
                        if (at + bytes > n
                                || Checksums.tag(slice, block, into, into.position() + at, bytes) != tags[block]) {
                            throw new CorruptSliceException(slice, (long) block * BLOCK_BYTES, where);
                        }
                    }
                    into.position(into.position() + run);
                    done += run;
                    continue;
                }
                int n = Math.min(count - done, blockBytes - inBlock);
                if (!cached || !cache.copy(slice, block, inBlock, n, into)) {
                    @Nullable ByteBuffer scratch = scratch();
                    try {
                        int got = file.read(scratch.clear().limit(blockBytes), dataStart + (long) block * BLOCK_BYTES);
                        if (got != blockBytes || Checksums.tag(slice, block, scratch, 0, blockBytes) != tags[block]) {
                            throw new CorruptSliceException(slice, (long) block * BLOCK_BYTES, where);
                        }
                        into.put(into.position(), scratch, inBlock, n);
                        into.position(into.position() + n);
                        if (cached && n < blockBytes) scratch = cache.exchange(slice, block, scratch);
                    } finally {
                        release(scratch);
                    }
                }
                done += n;
            }
        } catch (IOException e) {
            for (int i = start; i < start + count; i++) into.put(i, (byte) 0); // what was read unverified goes
            into.position(start);
            throw e;
        }
    }

    /**
     * As {@link #readBlocks}, of sealed ones: whatever gets into the caller's buffer was opened first.
     *
     * @param sealedLength what the blocks were told of the slice's length
     */
    private void readSealed(
            SliceSeal seal,
            SliceId slice,
            long sealedLength,
            Volume.VolumeFile file,
            long dataStart,
            long length,
            int[] words,
            long offset,
            ByteBuffer into,
            int count,
            boolean cached,
            String where)
            throws IOException {
        int start = into.position();
        int done = 0;
        try (var worker = seal.worker()) {
            while (done < count) {
                int block = (int) ((offset + done) / BLOCK_BYTES);
                int inBlock = (int) ((offset + done) % BLOCK_BYTES);
                if (cached) {
                    int some = Math.min(count - done, Checksums.blockLength(length, block) - inBlock);
                    if (cache.copy(slice, block, inBlock, some, into)) {
                        done += some;
                        continue;
                    }
                }
                long from = (long) block * BLOCK_BYTES;
                int run = (int) Math.min(
                        SliceSeal.RUN_BYTES,
                        Math.min(length, Checksums.blocks(offset + count) * (long) BLOCK_BYTES) - from);
                int got = file.read(worker.run.clear().limit(run), dataStart + from);
                for (int at = 0; at < run; at += BLOCK_BYTES, block++, inBlock = 0) {
                    int bytes = Checksums.blockLength(length, block);
                    if (at + bytes <= got) worker.run.get(at, worker.in, 0, bytes);
                    if (at + bytes > got || !worker.open(slice, sealedLength, block, bytes, words, block))
                        throw new CorruptSliceException(slice, (long) block * BLOCK_BYTES, where);
                    int some = Math.min(count - done, bytes - inBlock);
                    into.put(worker.out, inBlock, some);
                    done += some;
                    if (cached && some < bytes) keep(slice, block, worker.out, bytes);
                }
            }
        } catch (IOException e) {
            for (int i = start; i < into.position(); i++) into.put(i, (byte) 0);
            into.position(start);
            throw e;
        }
    }

    /** Data and trailer in one read. */
    private void readSealedBlock(
            SliceSeal seal,
            SliceId slice,
            int length,
            Volume.VolumeFile file,
            long data,
            long offset,
            ByteBuffer into,
            int count,
            boolean cached,
            long location)
            throws IOException {
        int[] words = new int[SliceSeal.WORDS];
        try (var worker = seal.worker()) {
            int whole = length + Checksums.TRAILER_BYTES;
            boolean sound = file.read(worker.run.clear().limit(whole), data) == whole
                    && SliceSeal.readTrailer(worker.run, length, words, 0);
            if (sound) {
                worker.run.get(0, worker.in, 0, length);
                sound = worker.open(slice, length, 0, length, words, 0);
            }
            if (!sound) throw new CorruptSliceException(slice, 0, packs.name(location));
            into.put(worker.out, (int) offset, count);
            if (cached && count < length) keep(slice, 0, worker.out, length);
        }
    }

    /** A verified block in the cache, for those who read the rest of it. */
    private void keep(SliceId slice, int block, byte[] verified, int length) {
        release(cache.exchange(slice, block, scratch().put(0, verified, 0, length)));
    }

    private ByteBuffer scratch() {
        ByteBuffer kept = scratches.poll();
        return (kept == null ? ByteBuffer.allocateDirect(SCRATCH_BYTES) : kept).clear();
    }

    private void release(@Nullable ByteBuffer scratch) {
        if (scratch == null) return; // the cache has it
        boolean _ = scratches.offer(scratch); // full: the collector takes it
    }

    @Override
    public long length(SliceId slice) {
        Staged staged = pending.get(slice);
        if (staged != null && !staged.isGone()) return staged.length();
        long location = index.get(slice);
        return location == SliceIndex.ABSENT ? transit.length(slice) : SliceIndex.length(location);
    }

    @Override
    public boolean isDurable(SliceId slice) {
        return index.get(slice) != SliceIndex.ABSENT;
    }

    @Override
    public void forEachDurable(Consumer<SliceId> visitor) {
        index.forEach(visitor);
    }

    @Override
    public void verify(SliceId slice) throws IOException {
        requireOpen();
        long length = length(slice);
        if (length < 0) throw new UnknownSliceException(slice);
        var block = ByteBuffer.allocateDirect((int) Math.max(1, Math.min(length, WRITE_BYTES_MAX)));
        while (true) {
            long location = index.get(slice);
            if (location == SliceIndex.ABSENT) {
                if (pending.containsKey(slice) || transit.has(slice))
                    throw new IllegalStateException("slice " + slice + " is not durable");
                throw new UnknownSliceException(slice);
            }
            try {
                if (length == 0 && SliceIndex.isOwn(location)) readAt(slice, location, 0, block, 0, false);
                for (long at = 0; at < length; at += block.capacity()) {
                    int count = (int) Math.min(block.capacity(), length - at);
                    readAt(slice, location, at, block.clear(), count, false);
                }
                return;
            } catch (NoSuchFileException | CorruptSliceException e) {
                if (index.get(slice) == location) throw asCorrupt(slice, 0, e);
            }
        }
    }

    // ---- deleting

    @Override
    public void delete(Collection<SliceId> slices) throws IOException {
        requireOpen();
        IOException failure = null;
        for (SliceId slice : slices) {
            transit.end(slice);
            Staged staged = pending.get(slice);
            if (staged != null && staged.discard()) {
                pending.remove(slice, staged);
                continue;
            }
            synchronized (leaving) {
                if (!leaving.add(slice)) continue; // another thread deletes it
            }
            try {
                long location = index.remove(slice);
                if (location == SliceIndex.ABSENT) continue;
                if (!SliceIndex.isOwn(location)) {
                    packs.died(location);
                    continue;
                }
                files.forget(slice.value());
                volume.delete(OwnFile.path(slice, OwnFile.SUFFIX));
                space.add(-OwnFile.chargedBytes(SliceIndex.length(location)));
            } catch (IOException e) {
                failure = e;
            } finally {
                synchronized (leaving) {
                    leaving.remove(slice);
                    leaving.notifyAll();
                }
            }
        }
        cache.forget(slices);
        beginMaintenance();
        if (failure != null) throw failure;
    }

    private final class PackOwner implements PackStore.Owner {
        @Override
        public void fault(String what, Throwable cause) {
            reportFault(what, cause);
        }

        @Override
        public void damaged(SliceId slice) {
            damaged.accept(slice);
        }

        @Override
        public void maintenanceWanted() {
            maintenanceDue.set(true); // begun by whoever made the work, when it holds no lock any more
        }
    }

    private void beginMaintenance() {
        if (!maintenanceDue.get() || closed || !maintenanceRuns.compareAndSet(false, true)) return;
        try {
            maintenance.execute(this::maintain);
        } catch (RejectedExecutionException stopping) {
            maintenanceRuns.set(false);
        }
    }

    private void maintain() {
        try {
            while (!closed && maintenanceDue.getAndSet(false)) packs.maintain();
        } catch (IOException e) {
            reportFault("compaction failed", e);
        } finally {
            maintenanceRuns.set(false);
        }
    }

    private void reportFault(String what, Throwable cause) {
        fault.set(what + ": " + cause.getMessage());
    }

    @Override
    public Usage usage() {
        return new Usage(space.limit(), space.used(), space.free(), index.size(), fault.get());
    }

    /** Bytes of memory that staged slices take, for tests and the status page. */
    public long stagedMemoryBytes() {
        return stagedMemory.get();
    }

    /** Bytes of the index's arrays, for tests and the status page. */
    public long indexBytes() {
        return index.heapBytes();
    }

    /** Files open now, for tests and the status page. */
    public int openFiles() {
        return files.count();
    }

    /** Ends: what is not durable is given up. Waits for a running sync or compaction. */
    @Override
    public void close() throws IOException {
        if (closed) return;
        closed = true;
        baton.lock();
        try {
            for (Staged staged : pending.values()) if (staged.discard()) pending.remove(staged.slice, staged);
            transit.endAll();
            packs.close();
        } finally {
            baton.unlock();
            files.close();
        }
    }
}
