// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * A volume in memory that loses power. It keeps what was synced apart from what was not; {@link #crash} then keeps any
 * subset of the unsynced writes, tears some at sector boundaries, and keeps any subset of the unsynced changes of
 * names. It can be full, fail syncs and writes, and flip bits.
 */
public final class CrashingVolume implements Volume {
    private static final int SECTOR = 512;

    /** A file's bytes now, its bytes at the last sync, and the writes between. */
    private static final class Inode {
        byte[] now = new byte[0];
        int size;
        byte[] durable = new byte[0];
        final List<Write> unsynced = new ArrayList<>();
        /** A sync failed: the pages count as clean, and nothing unsynced ever reaches the disk. */
        boolean dropped;
    }

    private record Write(int position, byte[] bytes) {}

    /** Removes a name, or gives it an inode; a rename is both in one step. */
    private record NameChange(String removed, String added, Inode inode) {}

    private static final class Directory {
        final Map<String, Inode> now = new TreeMap<>();
        Map<String, Inode> durable = new TreeMap<>();
        final List<NameChange> unsynced = new ArrayList<>();
        boolean durableItself;
    }

    private final Map<String, Directory> directories = new HashMap<>();
    private long capacityBytes;
    private int epoch;
    private Predicate<String> failingSyncs = path -> false;
    private Predicate<String> failingWrites = path -> false;
    private int powerAfter = Integer.MAX_VALUE;
    private int syncs;

    public CrashingVolume() {
        this(Long.MAX_VALUE / 4);
    }

    public CrashingVolume(long capacityBytes) {
        this.capacityBytes = capacityBytes;
        var root = new Directory();
        root.durableItself = true;
        directories.put("", root);
    }

    /** Syncs of these files and directories fail until further notice, and drop what they should have synced. */
    public synchronized void failSyncs(Predicate<String> paths) {
        failingSyncs = paths;
    }

    public synchronized void failWrites(Predicate<String> paths) {
        failingWrites = paths;
    }

    public synchronized void capacity(long bytes) {
        capacityBytes = bytes;
    }

    /** After so many more changing calls everything fails, as it does for a process without a disk. */
    public synchronized void cutPowerAfter(int changes) {
        powerAfter = changes;
    }

    /** Syncs of files so far. */
    public synchronized int syncs() {
        return syncs;
    }

    /** Files in a directory, those not synced included. */
    public synchronized List<String> names(String directory) {
        Directory found = directories.get(directory);
        return found == null ? List.of() : List.copyOf(found.now.keySet());
    }

    /** Flips one bit of what is on the disk, unseen. */
    public synchronized void flipBit(String path, long bit) throws IOException {
        Inode inode = inode(path);
        int at = (int) (bit >>> 3);
        inode.now[at] ^= (byte) (1 << (bit & 7));
        if (at < inode.durable.length) inode.durable[at] = inode.now[at];
    }

    /** Ends the running process alone: what it wrote is still in the page cache, durable or not. */
    public synchronized void kill() {
        epoch++;
        powerAfter = Integer.MAX_VALUE;
    }

    /** Ends the running process and the power with it. Files that were open stay broken; the volume goes on. */
    public synchronized void crash(long seed) {
        var random = new Random(seed);
        epoch++;
        powerAfter = Integer.MAX_VALUE;
        failingSyncs = path -> false;
        failingWrites = path -> false;
        directories.values().removeIf(directory -> !directory.durableItself && random.nextBoolean());
        var inodes = new HashSet<Inode>();
        for (Directory directory : directories.values()) {
            inodes.addAll(directory.now.values());
            inodes.addAll(directory.durable.values());
            for (NameChange change : directory.unsynced) if (change.inode() != null) inodes.add(change.inode());
        }
        for (Directory directory : directories.values()) {
            boolean ordered = random.nextBoolean(); // as a journalling filesystem: a prefix; otherwise any subset
            int kept = random.nextInt(directory.unsynced.size() + 1);
            var names = new TreeMap<>(directory.durable);
            for (int i = 0; i < directory.unsynced.size(); i++) {
                if (ordered ? i < kept : random.nextBoolean()) apply(names, directory.unsynced.get(i));
            }
            directory.durableItself = true;
            directory.durable = names;
            directory.now.clear();
            directory.now.putAll(names);
            directory.unsynced.clear();
        }
        for (Inode inode : inodes) {
            int keep = random.nextInt(3);
            var unsynced = inode.dropped ? List.<Write>of() : inode.unsynced;
            for (Write write : unsynced) {
                boolean whole = keep == 2 || keep == 1 && random.nextBoolean();
                if (whole) inode.durable = put(inode.durable, write.position(), write.bytes());
                else if (keep > 0 && random.nextBoolean()) tear(inode, write, random);
            }
            inode.unsynced.clear();
            inode.dropped = false;
            inode.now = inode.durable.clone();
            inode.size = inode.now.length;
        }
    }

    private static void tear(Inode inode, Write write, Random random) {
        for (int at = 0; at < write.bytes().length; ) {
            int next = Math.min(
                    write.bytes().length, (write.position() + at) / SECTOR * SECTOR + SECTOR - write.position());
            if (random.nextBoolean()) {
                inode.durable = put(inode.durable, write.position() + at, Arrays.copyOfRange(write.bytes(), at, next));
            }
            at = next;
        }
    }

    private static void apply(Map<String, Inode> names, NameChange change) {
        if (!change.removed().isEmpty()) names.remove(change.removed());
        if (!change.added().isEmpty()) names.put(change.added(), change.inode());
    }

    private static byte[] put(byte[] old, int position, byte[] bytes) {
        byte[] result = position + bytes.length > old.length ? Arrays.copyOf(old, position + bytes.length) : old;
        System.arraycopy(bytes, 0, result, position, bytes.length);
        return result;
    }

    private void change() throws IOException {
        if (powerAfter-- <= 0) {
            powerAfter = 0;
            throw new IOException("the power is off");
        }
    }

    private Directory directory(String path) throws IOException {
        Directory directory = directories.get(path);
        if (directory == null) throw new NoSuchFileException(path);
        return directory;
    }

    private static String nameOf(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    private Directory parent(String path) throws IOException {
        return directory(AtomicFile.directoryOf(path));
    }

    private Inode inode(String path) throws IOException {
        Directory directory = directories.get(AtomicFile.directoryOf(path));
        Inode inode = directory == null ? null : directory.now.get(nameOf(path));
        if (inode == null) throw new NoSuchFileException(path);
        return inode;
    }

    private void rename(Directory directory, String removed, String added, Inode inode) {
        var change = new NameChange(removed, added, inode);
        apply(directory.now, change);
        directory.unsynced.add(change);
    }

    @Override
    public synchronized void createDirectory(String path) throws IOException {
        directory(AtomicFile.directoryOf(path));
        if (directories.containsKey(path)) return;
        change();
        directories.put(path, new Directory());
    }

    @Override
    public synchronized List<Entry> list(String path) {
        var entries = new ArrayList<Entry>();
        Directory directory = directories.get(path);
        if (directory != null) directory.now.forEach((name, inode) -> entries.add(new Entry(name, inode.size)));
        return entries;
    }

    @Override
    public synchronized VolumeFile create(String path) throws IOException {
        Directory directory = parent(path);
        if (directory.now.containsKey(nameOf(path))) throw new FileAlreadyExistsException(path);
        change();
        var inode = new Inode();
        rename(directory, "", nameOf(path), inode);
        return new File(path, inode);
    }

    @Override
    public synchronized VolumeFile open(String path) throws IOException {
        return new File(path, inode(path));
    }

    @Override
    public synchronized boolean exists(String path) {
        Directory directory = directories.get(AtomicFile.directoryOf(path));
        return directory != null && directory.now.containsKey(nameOf(path));
    }

    @Override
    public synchronized void rename(String from, String to) throws IOException {
        Inode inode = inode(from);
        change();
        rename(parent(from), nameOf(from), nameOf(to), inode);
    }

    @Override
    public synchronized boolean delete(String path) throws IOException {
        if (!exists(path)) return false;
        change();
        parent(path).unsynced.add(new NameChange(nameOf(path), "", inode(path)));
        parent(path).now.remove(nameOf(path));
        return true;
    }

    @Override
    public synchronized void syncDirectory(String path) throws IOException {
        Directory directory = directory(path);
        change();
        if (failingSyncs.test(path)) throw new IOException("injected: sync of directory " + path);
        directory.durable = new TreeMap<>(directory.now);
        directory.unsynced.clear();
        String prefix = path.isEmpty() ? "" : path + "/";
        directories.forEach((name, child) -> {
            if (name.startsWith(prefix) && name.indexOf('/', prefix.length()) < 0) child.durableItself = true;
        });
    }

    @Override
    public synchronized void allocate(String path, long bytes) throws IOException {
        delete(path);
        try (var file = create(path)) {
            file.write(ByteBuffer.allocate((int) bytes), 0);
            file.sync();
        } catch (IOException e) {
            delete(path);
            throw e;
        }
        syncDirectory(AtomicFile.directoryOf(path));
    }

    private long usedBytes() {
        long used = 0;
        for (Directory directory : directories.values()) for (Inode inode : directory.now.values()) used += inode.size;
        return used;
    }

    @Override
    public synchronized long freeBytes() {
        return Math.max(0, capacityBytes - usedBytes());
    }

    @Override
    public synchronized long totalBytes() {
        return capacityBytes;
    }

    private final class File implements VolumeFile {
        private final String path;
        private final Inode inode;
        private final int opened;
        private boolean closed;

        File(String path, Inode inode) {
            this.path = path;
            this.inode = inode;
            this.opened = epoch;
        }

        private void requireOpen() throws IOException {
            if (closed || opened != epoch) throw new IOException(path + " is closed");
        }

        @Override
        public int read(ByteBuffer into, long position) throws IOException {
            synchronized (CrashingVolume.this) {
                requireOpen();
                int n = (int) Math.max(0, Math.min(into.remaining(), inode.size - position));
                if (n > 0) into.put(inode.now, (int) position, n);
                return n;
            }
        }

        @Override
        public void write(ByteBuffer from, long position) throws IOException {
            synchronized (CrashingVolume.this) {
                requireOpen();
                change();
                if (failingWrites.test(path)) throw new IOException("injected: write to " + path);
                byte[] bytes = new byte[from.remaining()];
                long end = position + bytes.length;
                if (end - inode.size > freeBytes()) throw new OutOfSpaceException("injected: the disk is full");
                from.get(bytes);
                apply((int) position, bytes);
            }
        }

        private void apply(int position, byte[] bytes) {
            int end = position + bytes.length;
            if (end > inode.now.length) inode.now = Arrays.copyOf(inode.now, Math.max(end, inode.now.length * 2));
            System.arraycopy(bytes, 0, inode.now, position, bytes.length);
            inode.size = Math.max(inode.size, end);
            inode.unsynced.add(new Write(position, bytes));
        }

        @Override
        public long size() throws IOException {
            synchronized (CrashingVolume.this) {
                requireOpen();
                return inode.size;
            }
        }

        @Override
        public void sync() throws IOException {
            synchronized (CrashingVolume.this) {
                requireOpen();
                change();
                syncs++;
                if (failingSyncs.test(path)) {
                    inode.dropped = true;
                    throw new IOException("injected: sync of " + path);
                }
                if (inode.dropped) return; // the second sync says yes, and it is a lie
                for (Write write : inode.unsynced) {
                    inode.durable = put(inode.durable, write.position(), write.bytes());
                }
                inode.unsynced.clear();
            }
        }

        @Override
        public boolean punchHole(long position, long bytes) throws IOException {
            synchronized (CrashingVolume.this) {
                requireOpen();
                change();
                apply((int) position, new byte[(int) Math.min(bytes, inode.size - position)]);
                return true;
            }
        }

        @Override
        public void close() {
            synchronized (CrashingVolume.this) {
                closed = true;
            }
        }
    }
}
