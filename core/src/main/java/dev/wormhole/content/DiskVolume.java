// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A directory of the machine's own filesystem. An interrupted thread never closes a file for the others. */
public final class DiskVolume implements Volume {
    private static final boolean WINDOWS = System.getProperty("os.name", "").startsWith("Windows");
    private static final int ZEROS_BYTES = 1 << 20;

    private final Path root;
    private final FileStore store;

    /** @param root an existing directory */
    public DiskVolume(Path root) throws IOException {
        this.root = root.toRealPath();
        this.store = Files.getFileStore(this.root);
    }

    public Path root() {
        return root;
    }

    private Path at(String path) {
        return path.isEmpty() ? root : root.resolve(path);
    }

    @Override
    public void createDirectory(String directory) throws IOException {
        Files.createDirectories(at(directory));
    }

    @Override
    public List<Entry> list(String directory) throws IOException {
        var entries = new ArrayList<Entry>();
        if (!Files.isDirectory(at(directory))) return entries;
        try (var names = Files.newDirectoryStream(at(directory))) {
            for (Path path : names) {
                try {
                    var attributes = Files.readAttributes(path, BasicFileAttributes.class);
                    if (attributes.isRegularFile()) {
                        entries.add(new Entry(String.valueOf(path.getFileName()), attributes.size()));
                    }
                } catch (NoSuchFileException gone) {
                    // deleted while we listed: as if it had been deleted before
                }
            }
        } catch (java.nio.file.DirectoryIteratorException e) {
            throw e.getCause();
        }
        return entries;
    }

    @Override
    public VolumeFile create(String path) throws IOException {
        Path file = at(path);
        return new DiskFile(
                file,
                FileChannel.open(
                        file, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW));
    }

    @Override
    public VolumeFile open(String path) throws IOException {
        Path file = at(path);
        return new DiskFile(file, openChannel(file));
    }

    private static FileChannel openChannel(Path file) throws IOException {
        return FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
    }

    @Override
    public boolean exists(String path) {
        return Files.exists(at(path));
    }

    @Override
    public void rename(String from, String to) throws IOException {
        Files.move(at(from), at(to), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public boolean delete(String path) throws IOException {
        return Files.deleteIfExists(at(path));
    }

    @Override
    public void syncDirectory(String directory) throws IOException {
        if (WINDOWS) return; // names are journalled there, and a directory cannot be opened
        try (var channel = FileChannel.open(at(directory), StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    @Override
    public void allocate(String path, long bytes) throws IOException {
        delete(path);
        try (var file = create(path)) {
            if (bytes > 0 && !Native.fallocate(at(path), 0, 0, bytes)) {
                var zeros = ByteBuffer.allocateDirect((int) Math.min(ZEROS_BYTES, bytes));
                for (long done = 0; done < bytes; done += zeros.capacity()) {
                    zeros.clear().limit((int) Math.min(zeros.capacity(), bytes - done));
                    file.write(zeros, done);
                }
            }
            file.sync();
        } catch (IOException e) {
            delete(path);
            throw e;
        }
        int slash = path.lastIndexOf('/');
        syncDirectory(slash < 0 ? "" : path.substring(0, slash));
    }

    @Override
    public long freeBytes() throws IOException {
        return store.getUsableSpace();
    }

    @Override
    public long totalBytes() throws IOException {
        return store.getTotalSpace();
    }

    private final class DiskFile implements VolumeFile {
        private final Path path;
        private volatile FileChannel channel;
        private boolean closed;

        DiskFile(Path path, FileChannel channel) {
            this.path = path;
            this.channel = channel;
        }

        private interface Work {
            long on(FileChannel channel) throws IOException;
        }

        /** The JDK closes a channel under an interrupted thread, for everybody. Opens it again and goes on. */
        private long retrying(Work work) throws IOException {
            boolean interrupted = false;
            try {
                while (true) {
                    FileChannel now = channel;
                    try {
                        return work.on(now);
                    } catch (ClosedChannelException e) {
                        interrupted |= Thread.interrupted();
                        reopen(now, e);
                    }
                }
            } finally {
                if (interrupted) Thread.currentThread().interrupt();
            }
        }

        private synchronized void reopen(FileChannel broken, ClosedChannelException cause) throws IOException {
            if (closed) throw cause;
            if (channel == broken) channel = openChannel(path);
        }

        @Override
        public int read(ByteBuffer into, long position) throws IOException {
            int start = into.position();
            return (int) retrying(open -> {
                into.position(start);
                long at = position;
                while (into.hasRemaining()) {
                    int n = open.read(into, at);
                    if (n < 0) break;
                    at += n;
                }
                return at - position;
            });
        }

        @Override
        public void write(ByteBuffer from, long position) throws IOException {
            int start = from.position();
            long asked = from.remaining();
            try {
                retrying(open -> {
                    from.position(start);
                    long at = position;
                    while (from.hasRemaining()) at += open.write(from, at);
                    return at;
                });
            } catch (ClosedChannelException e) {
                throw e;
            } catch (IOException e) {
                if (freeBytes() < asked + (64 << 10)) {
                    var full = new OutOfSpaceException("disk of " + root + " is full: " + e.getMessage());
                    full.initCause(e);
                    throw full;
                }
                throw e;
            }
        }

        @Override
        public long size() throws IOException {
            return retrying(FileChannel::size);
        }

        @Override
        public void sync() throws IOException {
            retrying(open -> {
                open.force(false);
                return 0;
            });
        }

        @Override
        public boolean punchHole(long position, long bytes) throws IOException {
            return Native.fallocate(path, Native.PUNCH_HOLE_KEEP_SIZE, position, bytes);
        }

        @Override
        public void close() throws IOException {
            synchronized (this) {
                closed = true;
            }
            channel.close();
        }
    }

    /** The one system call that the JDK lacks. Where it cannot be had, holes are not punched. */
    private static final class Native {
        static final int PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01;
        private static final int O_RDWR_CLOEXEC = 02 | 02000000;

        private static final @Nullable MethodHandle OPEN;
        private static final @Nullable MethodHandle FALLOCATE;
        private static final @Nullable MethodHandle CLOSE;

        static {
            MethodHandle open = null;
            MethodHandle fallocate = null;
            MethodHandle close = null;
            boolean linux = System.getProperty("os.name", "").equals("Linux");
            if (linux && DiskVolume.class.getModule().isNativeAccessEnabled()) {
                Linker linker = Linker.nativeLinker();
                var lookup = linker.defaultLookup();
                var number = ValueLayout.JAVA_INT;
                var offset = ValueLayout.JAVA_LONG;
                open = linker.downcallHandle(
                        lookup.findOrThrow("open"),
                        FunctionDescriptor.of(number, ValueLayout.ADDRESS, number),
                        Linker.Option.firstVariadicArg(2));
                fallocate = linker.downcallHandle(
                        lookup.findOrThrow("fallocate"), FunctionDescriptor.of(number, number, number, offset, offset));
                close = linker.downcallHandle(lookup.findOrThrow("close"), FunctionDescriptor.of(number, number));
            }
            OPEN = open;
            FALLOCATE = fallocate;
            CLOSE = close;
        }

        private Native() {}

        static boolean fallocate(Path path, int mode, long position, long bytes) throws IOException {
            if (OPEN == null || FALLOCATE == null || CLOSE == null) return false;
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment name = arena.allocateFrom(path.toString());
                int fd = (int) OPEN.invokeExact(name, O_RDWR_CLOEXEC);
                if (fd < 0) return false;
                try {
                    return (int) FALLOCATE.invokeExact(fd, mode, position, bytes) == 0;
                } finally {
                    int _ = (int) CLOSE.invokeExact(fd);
                }
            } catch (IOException | RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
