// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.namespace.Table;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.BloomFilter;
import org.rocksdb.Checkpoint;
import org.rocksdb.CompressionType;
import org.rocksdb.FlushOptions;
import org.rocksdb.IndexType;
import org.rocksdb.InfoLogLevel;
import org.rocksdb.LRUCache;
import org.rocksdb.NativeLibraryLoader;
import org.rocksdb.Options;
import org.rocksdb.ReadOptions;
import org.rocksdb.RocksDB;
import org.rocksdb.RocksDBException;
import org.rocksdb.RocksIterator;
import org.rocksdb.Slice;
import org.rocksdb.WriteOptions;

/**
 * A table in RocksDB whose write-ahead log is never synced: the replicated log is what is durable. After a power cut the
 * rows are those of some earlier {@link #position}, never a mixture, and the log is replayed from there; after a kill they
 * are those of the last write, so that a pod that starts without its network shows what it knew.
 *
 * <p><b>Layout.</b> The directory holds database directories {@code db-<n>} and the file {@code current}, which names the
 * valid one ("db-000003\n", replaced by rename). A database never moves and never shares its directory with a successor,
 * so an old one may still be read, and be closed late, while a new one is in use. Whatever {@code current} does not name
 * is removed at the next open. One row is the table's own, in a group of keys that the namespace never uses, and is not
 * seen by scans: FF FF "\0applied" → term (8 bytes, big-endian), index (8), the position.
 *
 * <p><b>Threads.</b> Any thread reads; writes, checkpoints and replacements exclude each other. Readers count references
 * on the database they read, because a call on a freed native object would kill the process: the last one out closes it.
 * Scans and snapshots opened before {@link #replaceWith} go on seeing the old rows.
 */
public final class RocksTable implements Table, AutoCloseable {
    /**
     * Memory of a table, in bytes. Two write buffers exist at most; the cache holds blocks of data, indexes and filters.
     * The whole is about {@code 2 * writeBufferBytes + blockCacheBytes}.
     */
    public record Memory(long writeBufferBytes, long blockCacheBytes) {
        /** For an idle pod below 200 MB in all. */
        public static final Memory SMALL = new Memory(8L << 20, 16L << 20);

        public Memory {
            if (writeBufferBytes < 64 << 10) throw new IllegalArgumentException("write buffer: " + writeBufferBytes);
            if (blockCacheBytes < 1 << 20) throw new IllegalArgumentException("block cache: " + blockCacheBytes);
        }
    }

    private static final byte[] APPLIED = "\u00ff\u00ff\0applied".getBytes(StandardCharsets.ISO_8859_1);
    private static final String CURRENT = "current";
    private static final int KEPT_BATCH_BYTES_MAX = 1 << 20;

    private static boolean nativeLoaded; // guarded by the class

    private final Path directory;
    private final Memory memory;
    private final boolean writable;
    private final Object writing = new Object();
    private volatile Database database;
    private volatile Position position;
    private Position stored; // guarded by writing: what the database itself holds
    private org.rocksdb.WriteBatch batch = new org.rocksdb.WriteBatch(); // guarded by writing
    private final WriteOptions writeOptions = new WriteOptions(); // not synced
    private volatile boolean closed;

    private RocksTable(Path directory, Memory memory, Database database, boolean writable) throws RocksDBException {
        this.directory = directory;
        this.memory = memory;
        this.writable = writable;
        this.database = database;
        this.stored = database.position();
        this.position = stored;
    }

    /**
     * Opens the table in a directory, which is made if it is missing. One process at a time may have it open.
     *
     * @throws IOException if the directory cannot be read or its content is damaged
     */
    public static RocksTable open(Path directory, Memory memory) throws IOException {
        Files.createDirectories(directory);
        Path current = directory.resolve(CURRENT);
        String name;
        try {
            name = current(directory);
        } catch (NoSuchFileException e) {
            name = "db-000001";
            // A table without a pointer never held anything: its first database is made before the pointer.
            removeTree(directory.resolve(name));
        }
        removeAllBut(directory, name);
        loadNative(directory);
        Database opened = Database.open(directory.resolve(name), memory, true);
        try {
            if (!Files.exists(current)) point(directory, name);
            return new RocksTable(directory, memory, opened, true);
        } catch (IOException | RuntimeException e) {
            opened.release();
            throw e;
        } catch (RocksDBException e) {
            opened.release();
            throw failed("open " + directory, e);
        }
    }

    /**
     * Opens the table in a directory to read it: no row, and nothing that a later {@link #open} finds, is changed; writing
     * fails. Nobody may have it open for writing.
     *
     * @throws IOException if there is no table, it cannot be read or its content is damaged
     */
    public static RocksTable openForReading(Path directory, Memory memory) throws IOException {
        String name = current(directory);
        loadNative(directory);
        Database opened = Database.open(directory.resolve(name), memory, false);
        try {
            return new RocksTable(directory, memory, opened, false);
        } catch (RocksDBException e) {
            opened.release();
            throw failed("open " + directory, e);
        }
    }

    /** The name of the valid database. */
    private static String current(Path directory) throws IOException {
        Path current = directory.resolve(CURRENT);
        String name = Files.readString(current).strip();
        if (!name.matches("db-\\d{6,}")) throw new IOException("damaged: " + current + " says '" + name + "'");
        if (!Files.isDirectory(directory.resolve(name)))
            throw new IOException("damaged: " + current + " names " + name + ", which is missing");
        return name;
    }

    /**
     * Loads RocksDB's native library before any other of its objects, whose initialisers fail without. It lies in
     * {@code java.library.path}; where it does not, the copy in the jar is unpacked into the table's directory, and
     * removed at once, since a loaded library needs no name. What a crash in between leaves is not {@code current} and
     * goes at the next open. Left alone RocksDB unpacks 17 MB into the temporary directory at every start, where a killed
     * process leaves them.
     */
    private static synchronized void loadNative(Path directory) throws IOException {
        if (nativeLoaded) return;
        Path unpacked = directory.resolve("native");
        Files.createDirectories(unpacked);
        try {
            NativeLibraryLoader.getInstance().loadLibrary(unpacked.toString());
        } finally {
            removeTree(unpacked);
        }
        RocksDB.loadLibrary(); // finds it loaded, and remembers that
        nativeLoaded = true;
    }

    @Override
    public byte @Nullable [] get(byte[] key) {
        Database db = acquire();
        try {
            return db.rocks.get(key);
        } catch (RocksDBException e) {
            throw unchecked("get", e);
        } finally {
            db.release();
        }
    }

    @Override
    public Scan scan(byte[] from, byte @Nullable [] to) {
        return new RocksScan(acquire(), null, from, to);
    }

    @Override
    public void write(WriteBatch changes) {
        write(changes, null);
    }

    /**
     * As {@link #write(WriteBatch)}, and moves {@link #position} with it: after a crash both are there or neither.
     *
     * @throws IllegalStateException if the index does not lie above the table's position
     */
    public void write(WriteBatch changes, long term, long index) {
        write(changes, new Position(term, index));
    }

    /**
     * Moves {@link #position} past an entry that changes no row. Costs nothing: it is stored with the next write, flush or
     * checkpoint, and lost, harmlessly, in a crash before.
     */
    public void advance(long term, long index) {
        synchronized (writing) {
            position = above(new Position(term, index));
        }
    }

    /** What the rows contain. */
    public Position position() {
        return position;
    }

    @Override
    public Table.Snapshot snapshot() {
        return new RocksSnapshot(acquire());
    }

    /** Syncs everything written so far: after a power cut the position is at least the present one. */
    public void flush() {
        synchronized (writing) {
            Database db = acquire();
            try {
                flush(db);
            } finally {
                db.release();
            }
        }
    }

    /**
     * Writes the rows, with their position, as a directory that {@link #replaceWith} and RocksDB can open. Files that do
     * not change are hard-linked, so it costs milliseconds and little space. All of it is synced on return.
     *
     * @param target must not exist; on the same filesystem
     */
    public void checkpoint(Path target) throws IOException {
        synchronized (writing) {
            Database db = acquire();
            try (Checkpoint checkpoint = Checkpoint.create(db.rocks)) {
                flush(db);
                checkpoint.createCheckpoint(target.toString());
                syncTree(target);
            } catch (UncheckedIOException e) {
                throw e.getCause();
            } catch (RocksDBException e) {
                throw failed("checkpoint " + target, e);
            } finally {
                db.release();
            }
        }
    }

    /**
     * Replaces all rows, and the position, by those of a checkpoint, and syncs. A crash at any instant leaves the old or
     * the new rows. Reads in flight end on the old rows.
     *
     * @param checkpoint left as it is; files that RocksDB never changes are hard-linked, others and those on another
     *     filesystem copied
     * @throws IOException if it cannot be opened; the old rows stay
     */
    public void replaceWith(Path checkpoint) throws IOException {
        synchronized (writing) {
            if (closed) throw new IllegalStateException("table is closed: " + directory);
            Database old = database;
            String name = "db-%06d".formatted(number(old.path) + 1);
            Path target = directory.resolve(name);
            removeTree(target);
            Files.createDirectory(target);
            try (DirectoryStream<Path> files = Files.newDirectoryStream(checkpoint)) {
                for (Path file : files) {
                    String fileName = file.getFileName().toString();
                    if (!belongs(fileName)) continue;
                    if (!fileName.endsWith(".sst") || !link(file, target.resolve(fileName))) {
                        Files.copy(file, target.resolve(fileName));
                    }
                }
            }
            if (!Files.exists(target.resolve("CURRENT"))) {
                removeTree(target);
                throw new IOException("no checkpoint in " + checkpoint);
            }
            syncTree(target);
            Database opened;
            Position contained;
            try {
                opened = Database.open(target, memory, true);
                contained = opened.position();
            } catch (RocksDBException e) {
                removeTree(target);
                throw failed("open checkpoint " + checkpoint, e);
            } catch (IOException e) {
                removeTree(target);
                throw e;
            }
            try {
                sync(target); // RocksDB synced what opening wrote
                point(directory, name);
            } catch (IOException e) {
                opened.release();
                throw e;
            }
            stored = contained;
            position = contained;
            database = opened;
            old.retire();
        }
    }

    /** Flushes and closes. Scans and snapshots still open stay usable; the native memory goes with the last of them. */
    @Override
    public void close() {
        synchronized (writing) {
            if (closed) return;
            try {
                if (writable) flush();
            } finally {
                closed = true;
                batch.close();
                writeOptions.close();
                database.release();
            }
        }
    }

    private void write(WriteBatch changes, @Nullable Position to) {
        synchronized (writing) {
            Database db = acquire();
            try {
                for (Map.Entry<byte[], byte @Nullable []> row : changes.rows().entrySet()) {
                    byte[] key = row.getKey();
                    if (Arrays.equals(key, APPLIED)) throw new IllegalArgumentException("key is the table's own");
                    byte[] value = row.getValue();
                    if (value == null) batch.delete(key);
                    else batch.put(key, value);
                }
                // Lazily moved positions travel with the next batch, so that flushed rows never outrun their position.
                Position moved = to == null ? position : above(to);
                if (!moved.equals(stored)) batch.put(APPLIED, encode(moved));
                if (batch.count() == 0) return;
                db.rocks.write(writeOptions, batch);
                stored = moved;
                position = moved;
            } catch (RocksDBException e) {
                throw unchecked("write", e);
            } finally {
                if (batch.getDataSize() > KEPT_BATCH_BYTES_MAX) {
                    batch.close();
                    batch = new org.rocksdb.WriteBatch();
                } else {
                    batch.clear();
                }
                db.release();
            }
        }
    }

    private Position above(Position to) {
        if (to.compareTo(position) <= 0) {
            throw new IllegalStateException("table at " + position + " cannot move to " + to);
        }
        return to;
    }

    private void flush(Database db) {
        if (!position.equals(stored)) write(new WriteBatch(), null);
        try (FlushOptions options = new FlushOptions().setWaitForFlush(true)) {
            db.rocks.flush(options);
        } catch (RocksDBException e) {
            throw unchecked("flush", e);
        }
    }

    private Database acquire() {
        while (true) {
            Database db = database;
            if (closed) throw new IllegalStateException("table is closed: " + directory);
            if (db.tryAcquire()) return db;
            // replaced between the two lines above: the next round finds its successor
            Thread.onSpinWait();
        }
    }

    /** One open database and its native objects, freed with the last reference. */
    private static final class Database {
        final Path path;
        final RocksDB rocks;
        private final Deque<AutoCloseable> resources; // closed last in, first out
        private final AtomicInteger references = new AtomicInteger(1);
        private volatile boolean retired;

        private Database(Path path, RocksDB rocks, Deque<AutoCloseable> resources) {
            this.path = path;
            this.rocks = rocks;
            this.resources = resources;
        }

        static Database open(Path path, Memory memory, boolean writable) throws IOException {
            Deque<AutoCloseable> resources = new ArrayDeque<>();
            LRUCache cache = keep(resources, new LRUCache(memory.blockCacheBytes()));
            BloomFilter bloom = keep(resources, new BloomFilter(10, false));
            // Indexes and filters are partitioned: whole ones thrash a small cache (166 us a get, measured).
            BlockBasedTableConfig blocks = new BlockBasedTableConfig()
                    .setBlockCache(cache)
                    .setFilterPolicy(bloom)
                    .setIndexType(IndexType.kTwoLevelIndexSearch)
                    .setPartitionFilters(true)
                    .setMetadataBlockSize(4096)
                    .setCacheIndexAndFilterBlocks(true)
                    .setCacheIndexAndFilterBlocksWithHighPriority(true)
                    .setPinTopLevelIndexAndFilter(true)
                    .setPinL0FilterAndIndexBlocksInCache(false)
                    .setBlockSize(4096)
                    .setFormatVersion(5);
            Options options = keep(resources, new Options())
                    .setCreateIfMissing(true)
                    .setTableFormatConfig(blocks)
                    .setCompressionType(CompressionType.LZ4_COMPRESSION)
                    .setWriteBufferSize(memory.writeBufferBytes())
                    .setMaxWriteBufferNumber(2)
                    .setTargetFileSizeBase(Math.max(memory.writeBufferBytes(), 2L << 20))
                    .setMaxBytesForLevelBase(4 * Math.max(memory.writeBufferBytes(), 2L << 20))
                    .setMaxBackgroundJobs(2)
                    .setMaxOpenFiles(512)
                    .setMaxFileOpeningThreads(1)
                    .setMaxManifestFileSize(4L << 20)
                    .setKeepLogFileNum(2)
                    .setMaxLogFileSize(1L << 20)
                    .setInfoLogLevel(InfoLogLevel.WARN_LEVEL)
                    .setStatsDumpPeriodSec(0)
                    .setStatsPersistPeriodSec(0)
                    .setAvoidFlushDuringShutdown(true) // a replaced one must not write; the others flush before
                    .setAvoidFlushDuringRecovery(true)
                    .setSkipStatsUpdateOnDbOpen(true);
            try {
                RocksDB rocks = keep(
                        resources,
                        writable
                                ? RocksDB.open(options, path.toString())
                                : RocksDB.openReadOnly(options, path.toString()));
                return new Database(path, rocks, resources);
            } catch (RocksDBException e) {
                closeAll(resources);
                throw failed("open " + path, e);
            }
        }

        private static <T extends AutoCloseable> T keep(Deque<AutoCloseable> resources, T resource) {
            resources.push(resource);
            return resource;
        }

        private static void closeAll(Deque<AutoCloseable> resources) {
            for (AutoCloseable resource : resources) {
                try {
                    resource.close();
                } catch (Exception e) {
                    throw new IllegalStateException("close of " + resource, e);
                }
            }
        }

        boolean tryAcquire() {
            for (int n = references.get(); n > 0; n = references.get()) {
                if (references.compareAndSet(n, n + 1)) return true;
            }
            return false;
        }

        void release() {
            if (references.decrementAndGet() > 0) return;
            closeAll(resources);
            if (!retired) return;
            try {
                removeTree(path);
            } catch (IOException e) {
                // left behind for the next open, which removes whatever is not current
                System.getLogger(RocksTable.class.getName())
                        .log(System.Logger.Level.WARNING, "cannot remove " + path, e);
            }
        }

        /** Gives up the table's own reference; the files go with the last reader. */
        void retire() {
            retired = true;
            release();
        }

        Position position() throws RocksDBException {
            byte[] value = rocks.get(APPLIED);
            if (value == null) return Position.NONE;
            if (value.length != 16) throw new RocksDBException("position of " + value.length + " bytes in " + path);
            ByteBuffer bytes = ByteBuffer.wrap(value);
            return new Position(bytes.getLong(), bytes.getLong());
        }
    }

    private static final class RocksScan implements Scan {
        private final Database db;
        private final ReadOptions options;
        private final @Nullable Slice upper;
        private final RocksIterator iterator;
        private final byte[] from;
        private final AtomicBoolean open = new AtomicBoolean(true);
        private final boolean passesOwnRow;
        private boolean started;

        /** Takes over the caller's reference on the database. */
        RocksScan(Database db, org.rocksdb.@Nullable Snapshot snapshot, byte[] from, byte @Nullable [] to) {
            this.db = db;
            this.from = from;
            this.passesOwnRow = Arrays.compareUnsigned(from, APPLIED) <= 0
                    && (to == null || Arrays.compareUnsigned(to, APPLIED) > 0);
            this.upper = to == null ? null : new Slice(to);
            this.options = new ReadOptions();
            if (upper != null) options.setIterateUpperBound(upper);
            if (snapshot != null) options.setSnapshot(snapshot);
            this.iterator = db.rocks.newIterator(options);
        }

        @Override
        public boolean next() {
            if (!open.get()) throw new IllegalStateException("scan is closed");
            if (!started) {
                started = true;
                iterator.seek(from);
            } else if (iterator.isValid()) {
                iterator.next();
            }
            if (passesOwnRow && iterator.isValid() && Arrays.equals(iterator.key(), APPLIED)) iterator.next();
            if (iterator.isValid()) return true;
            try {
                iterator.status();
            } catch (RocksDBException e) {
                throw unchecked("scan", e);
            }
            return false;
        }

        @Override
        public byte[] key() {
            return valid().key();
        }

        @Override
        public byte[] value() {
            return valid().value();
        }

        private RocksIterator valid() {
            // the native iterator would crash the process instead
            if (!open.get() || !started || !iterator.isValid()) throw new IllegalStateException("scan is at no row");
            return iterator;
        }

        @Override
        public void close() {
            if (!open.compareAndSet(true, false)) return;
            iterator.close();
            options.close();
            if (upper != null) upper.close();
            db.release();
        }
    }

    private static final class RocksSnapshot implements Table.Snapshot {
        private final Database db;
        private final org.rocksdb.Snapshot snapshot;
        private final ReadOptions options;
        // Reads of a snapshot may race with its close; the last of them frees it.
        private final AtomicInteger references = new AtomicInteger(1);
        private final AtomicBoolean open = new AtomicBoolean(true);

        RocksSnapshot(Database db) {
            this.db = db;
            this.snapshot = db.rocks.getSnapshot();
            this.options = new ReadOptions().setSnapshot(snapshot);
        }

        @Override
        public byte @Nullable [] get(byte[] key) {
            acquire();
            try {
                return db.rocks.get(options, key);
            } catch (RocksDBException e) {
                throw unchecked("get", e);
            } finally {
                release();
            }
        }

        @Override
        public Scan scan(byte[] from, byte @Nullable [] to) {
            acquire();
            try {
                if (!db.tryAcquire()) throw new IllegalStateException("database freed under its snapshot");
                return new RocksScan(db, snapshot, from, to); // the iterator keeps its own state from here on
            } finally {
                release();
            }
        }

        private void acquire() {
            for (int n = references.get(); n > 0; n = references.get()) {
                if (references.compareAndSet(n, n + 1)) return;
            }
            throw new IllegalStateException("snapshot is closed");
        }

        private void release() {
            if (references.decrementAndGet() > 0) return;
            options.close();
            db.rocks.releaseSnapshot(snapshot);
            snapshot.close();
            db.release();
        }

        @Override
        public void close() {
            if (open.compareAndSet(true, false)) release();
        }
    }

    private static byte[] encode(Position position) {
        return ByteBuffer.allocate(16)
                .putLong(position.term())
                .putLong(position.index())
                .array();
    }

    private static long number(Path database) {
        return Long.parseLong(database.getFileName().toString().substring("db-".length()));
    }

    /** What RocksDB reads; the checksums that travel beside installed files stay out. */
    private static boolean belongs(String fileName) {
        if (fileName.endsWith(".md5")) return false;
        return fileName.endsWith(".sst")
                || fileName.equals("CURRENT")
                || fileName.startsWith("MANIFEST-")
                || fileName.startsWith("OPTIONS-");
    }

    private static boolean link(Path from, Path to) throws IOException {
        try {
            Files.createLink(to, from);
            return true;
        } catch (UnsupportedOperationException | FileSystemException e) {
            Files.deleteIfExists(to);
            return false;
        }
    }

    private static void point(Path directory, String name) throws IOException {
        Path next = directory.resolve(CURRENT + ".new");
        Files.writeString(next, name + "\n");
        sync(next);
        try {
            Files.move(next, directory.resolve(CURRENT), StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException e) {
            throw new IOException("rename must be atomic in " + directory, e);
        }
        sync(directory);
    }

    private static void removeAllBut(Path directory, String keep) throws IOException {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory, "db-*")) {
            for (Path entry : entries) {
                if (!entry.getFileName().toString().equals(keep)) removeTree(entry);
            }
        }
    }

    /** Removes a directory and all below, if it is there. */
    static void removeTree(Path path) throws IOException {
        if (Files.isDirectory(path, java.nio.file.LinkOption.NOFOLLOW_LINKS)) {
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
                for (Path entry : entries) removeTree(entry);
            }
        }
        Files.deleteIfExists(path);
    }

    /** Syncs all files below a directory, it and its parent. */
    static void syncTree(Path directory) throws IOException {
        syncBelow(directory);
        Path parent = directory.toAbsolutePath().getParent();
        if (parent != null) sync(parent);
    }

    private static void syncBelow(Path path) throws IOException {
        if (Files.isDirectory(path)) {
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
                for (Path entry : entries) syncBelow(entry);
            }
        }
        sync(path);
    }

    static void sync(Path path) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    private static UncheckedIOException unchecked(String act, RocksDBException e) {
        return new UncheckedIOException(failed(act, e));
    }

    private static IOException failed(String act, RocksDBException e) {
        return new IOException("table: " + act + ": " + e.getMessage(), e);
    }
}
