// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.SystemCalls.KEEP_SIZE;
import static dev.wormhole.testbed.SystemCalls.O_APPEND;
import static dev.wormhole.testbed.SystemCalls.O_CREAT;
import static dev.wormhole.testbed.SystemCalls.O_DIRECT;
import static dev.wormhole.testbed.SystemCalls.O_RDONLY;
import static dev.wormhole.testbed.SystemCalls.O_RDWR;
import static dev.wormhole.testbed.SystemCalls.O_TRUNC;
import static dev.wormhole.testbed.SystemCalls.PUNCH_HOLE;
import static dev.wormhole.testbed.SystemCalls.SEEK_DATA;
import static dev.wormhole.testbed.SystemCalls.SEEK_END;
import static dev.wormhole.testbed.SystemCalls.SEEK_HOLE;
import static dev.wormhole.testbed.SystemCalls.ZERO_RANGE;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Random operations on two files, against their bytes in memory, as fsx does it: whatever a program may do with a file's
 * bytes, through one folder after the other. The folders show the same directory, each by another pod; a file is closed in
 * one before it is opened in the next.
 *
 * <p>By hand, for hours: {@code RandomFiles SECONDS SEED FOLDER...}; the same seed does the same.
 */
final class RandomFiles {
    private static final int SIZE_MAX = 3 << 20;
    private static final int LENGTH_MAX = 200_000;
    private static final int PAGE = 4096;
    private static final int TOLD = 40;

    private final List<Path> folders;
    private final Random random;
    private final long seed;
    private final ArrayDeque<String> log = new ArrayDeque<>();
    private final MemorySegment buffer;
    private long operations;

    private static final class File {
        final String name;
        byte[] bytes = new byte[SIZE_MAX];
        int size;
        int folder;
        int fd = -1;

        File(String name) {
            this.name = name;
        }
    }

    private RandomFiles(List<Path> folders, long seed, Arena arena) {
        this.folders = folders;
        this.seed = seed;
        random = new Random(seed);
        buffer = arena.allocate(SIZE_MAX, PAGE);
    }

    /** @return how many operations there was time for */
    static long run(List<Path> folders, Duration time, long seed) throws IOException {
        System.out.println("RandomFiles seed " + seed);
        try (Arena arena = Arena.ofConfined()) {
            var run = new RandomFiles(folders, seed, arena);
            try {
                run.run(System.nanoTime() + time.toNanos());
            } catch (RuntimeException | Error e) {
                throw new AssertionError(
                        "seed " + seed + ", operation " + run.operations + ": " + e.getMessage() + "\n"
                                + String.join("\n", run.log),
                        e);
            }
            return run.operations;
        }
    }

    public static void main(String[] arguments) throws IOException {
        var folders = Arrays.stream(arguments).skip(2).map(Path::of).toList();
        long count = run(folders, Duration.ofSeconds(Long.parseLong(arguments[0])), Long.parseLong(arguments[1]));
        System.out.println(count + " operations");
    }

    private void run(long end) throws IOException {
        var files = List.of(new File("random-" + seed + "-a"), new File("random-" + seed + "-b"));
        for (File file : files) open(file, O_CREAT | O_TRUNC);
        while (System.nanoTime() < end) {
            File file = files.get(random.nextInt(2));
            operate(file, files.get(file == files.get(0) ? 1 : 0));
            operations++;
        }
        for (File file : files) {
            SystemCalls.close(file.fd);
            for (int folder = 0; folder < folders.size(); folder++) {
                file.folder = folder;
                open(file, 0);
                compareWhole(file);
                SystemCalls.close(file.fd);
            }
            Files.delete(path(file));
        }
    }

    private void operate(File file, File other) throws IOException {
        switch (random.nextInt(24)) {
            case 0, 1, 2, 3 -> write(file);
            case 4, 5, 6, 7 -> read(file, file.fd, 1);
            case 8 -> truncate(file);
            case 9 -> punch(file, PUNCH_HOLE | KEEP_SIZE);
            case 10 -> punch(file, random.nextBoolean() ? ZERO_RANGE : ZERO_RANGE | KEEP_SIZE);
            case 11 -> allocate(file);
            case 12 -> copy(file, file);
            case 13 -> copy(file, other);
            case 14, 15 -> map(file);
            case 16 -> append(file);
            case 17 -> direct(file);
            case 18 -> seek(file);
            case 19 -> {
                say(file, "fsync");
                SystemCalls.fsync(file.fd);
            }
            case 20 -> reopen(file, file.folder);
            case 21, 22 -> reopen(file, random.nextInt(folders.size()));
            default -> replace(file, other);
        }
        long size = SystemCalls.lseek(file.fd, 0, SEEK_END);
        if (size != file.size) throw new AssertionError(file.name + " is " + size + " long, not " + file.size);
    }

    private void say(File file, String what) {
        if (log.size() == TOLD) log.removeFirst();
        log.add(operations + " " + file.name.charAt(file.name.length() - 1) + file.folder + " of " + file.size + ": "
                + what);
    }

    private Path path(File file) {
        return folders.get(file.folder).resolve(file.name);
    }

    private void open(File file, int flags) {
        file.fd = SystemCalls.open(path(file), O_RDWR | flags);
    }

    private int offset(int most) {
        int offset = random.nextInt(most + 1);
        return random.nextInt(3) == 0 ? offset / PAGE * PAGE : offset;
    }

    private int length(int offset) {
        int length = 1 + random.nextInt(random.nextInt(4) == 0 ? LENGTH_MAX : 5_000);
        if (random.nextInt(3) == 0) length = Math.max(PAGE, length / PAGE * PAGE);
        return Math.min(length, SIZE_MAX - offset);
    }

    /** Random bytes in the buffer, and a copy of them. */
    private byte[] fresh(int length) {
        var bytes = new byte[length];
        random.nextBytes(bytes);
        MemorySegment.copy(bytes, 0, buffer, ValueLayout.JAVA_BYTE, 0, length);
        return bytes;
    }

    private static void put(File file, int offset, byte[] bytes) {
        System.arraycopy(bytes, 0, file.bytes, offset, bytes.length);
        file.size = Math.max(file.size, offset + bytes.length);
    }

    private void write(File file) {
        int offset = Math.min(offset(Math.min(SIZE_MAX - 1, file.size + 50_000)), SIZE_MAX - 1);
        byte[] bytes = fresh(length(offset));
        say(file, "write " + offset + "+" + bytes.length);
        int written = SystemCalls.pwrite(file.fd, buffer.asSlice(0, bytes.length), offset);
        if (written != bytes.length) throw new AssertionError("wrote " + written);
        put(file, offset, bytes);
    }

    private void read(File file, int fd, int aligned) {
        if (file.size == 0) return;
        int offset = offset(file.size - 1) / aligned * aligned;
        int length = (length(offset) + aligned - 1) / aligned * aligned;
        say(file, "read " + offset + "+" + length);
        int count = SystemCalls.pread(fd, buffer.asSlice(0, length), offset);
        if (count != Math.min(length, file.size - offset)) throw new AssertionError("read " + count);
        compare(file, buffer, 0, offset, count);
    }

    private void compare(File file, MemorySegment seen, long at, int offset, int length) {
        var model = MemorySegment.ofArray(file.bytes).asSlice(offset, length);
        long differs = seen.asSlice(at, length).mismatch(model);
        if (differs >= 0)
            throw new AssertionError(file.name + " has " + seen.get(ValueLayout.JAVA_BYTE, at + differs) + " at "
                    + (offset + differs) + ", should have " + file.bytes[(int) (offset + differs)]);
    }

    private void compareWhole(File file) {
        say(file, "compared whole");
        int count = 0;
        while (count < SIZE_MAX) {
            int some = SystemCalls.pread(file.fd, buffer.asSlice(count, Math.min(1 << 20, SIZE_MAX - count)), count);
            if (some == 0) break;
            count += some;
        }
        if (count != file.size) throw new AssertionError("whole is " + count + " long, not " + file.size);
        compare(file, buffer, 0, 0, count);
    }

    private void clear(File file, int from, int to) {
        if (from < to) Arrays.fill(file.bytes, from, to, (byte) 0);
    }

    private void truncate(File file) {
        int size = offset(random.nextInt(3) == 0 ? SIZE_MAX : Math.min(SIZE_MAX, file.size + 10_000));
        say(file, "truncate to " + size);
        SystemCalls.ftruncate(file.fd, size);
        clear(file, size, file.size);
        file.size = size;
    }

    private void punch(File file, int mode) {
        int offset = offset(Math.min(SIZE_MAX - 1, file.size));
        int length = length(offset);
        say(file, "fallocate mode " + mode + " " + offset + "+" + length);
        SystemCalls.fallocate(file.fd, mode, offset, length);
        clear(file, offset, Math.min(file.size, offset + length));
        if ((mode & KEEP_SIZE) == 0) file.size = Math.max(file.size, offset + length);
    }

    private void allocate(File file) {
        int offset = offset(Math.min(SIZE_MAX - 1, file.size));
        int length = length(offset);
        boolean keep = random.nextBoolean();
        say(file, "fallocate " + offset + "+" + length + (keep ? ", size kept" : ""));
        SystemCalls.fallocate(file.fd, keep ? KEEP_SIZE : 0, offset, length);
        if (!keep) file.size = Math.max(file.size, offset + length);
    }

    private void copy(File from, File to) {
        if (from.size == 0 || from.folder != to.folder) return;
        int offset = offset(from.size - 1);
        int length = Math.min(length(offset), from.size - offset);
        int target = Math.min(offset(to.size), SIZE_MAX - length);
        if (from == to && offset < target + length && target < offset + length) return;
        say(from, "copy " + offset + "+" + length + " to " + target + " of " + to.name);
        for (int done = 0; done < length; ) {
            long count = SystemCalls.copyFileRange(from.fd, offset + done, to.fd, target + done, length - done);
            if (count <= 0) throw new AssertionError("copied " + count);
            done += (int) count;
        }
        put(to, target, Arrays.copyOfRange(from.bytes, offset, offset + length));
    }

    private void map(File file) {
        if (file.size == 0) return;
        var mapping = SystemCalls.mmap(file.fd, file.size);
        try {
            int offset = offset(file.size - 1);
            int length = Math.min(length(offset), file.size - offset);
            if (random.nextBoolean()) {
                byte[] bytes = fresh(length);
                say(file, "mapped write " + offset + "+" + length);
                MemorySegment.copy(bytes, 0, mapping, ValueLayout.JAVA_BYTE, offset, length);
                put(file, offset, bytes);
                if (random.nextBoolean()) SystemCalls.msync(mapping);
            } else {
                say(file, "mapped read " + offset + "+" + length);
                compare(file, mapping, offset, offset, length);
            }
        } finally {
            SystemCalls.munmap(mapping);
        }
    }

    private void append(File file) {
        if (SIZE_MAX - file.size < LENGTH_MAX) return;
        byte[] bytes = fresh(length(file.size));
        say(file, "append " + bytes.length);
        int fd = SystemCalls.open(path(file), O_RDWR | O_APPEND);
        try {
            int written = SystemCalls.pwrite(fd, buffer.asSlice(0, bytes.length), 0);
            if (written != bytes.length) throw new AssertionError("appended " + written);
            put(file, file.size, bytes);
            if (random.nextBoolean()) read(file, fd, 1);
        } finally {
            SystemCalls.close(fd);
        }
    }

    private void direct(File file) {
        say(file, "open directly");
        int fd = SystemCalls.open(path(file), O_RDWR | O_DIRECT);
        try {
            if (random.nextBoolean()) {
                int offset = offset(Math.min(file.size, SIZE_MAX - LENGTH_MAX)) / PAGE * PAGE;
                byte[] bytes = fresh(Math.max(PAGE, Math.min(length(offset), LENGTH_MAX) / PAGE * PAGE));
                say(file, "direct write " + offset + "+" + bytes.length);
                int written = SystemCalls.pwrite(fd, buffer.asSlice(0, bytes.length), offset);
                if (written != bytes.length) throw new AssertionError("wrote " + written);
                put(file, offset, bytes);
            }
            read(file, fd, PAGE);
        } finally {
            SystemCalls.close(fd);
        }
    }

    /** What a search skips must be zeros. */
    private void seek(File file) {
        if (file.size == 0) return;
        int offset = offset(file.size - 1);
        say(file, "seek from " + offset);
        long data;
        try {
            data = SystemCalls.lseek(file.fd, offset, SEEK_DATA);
        } catch (SystemCalls.FailedException e) {
            if (e.errno != SystemCalls.ENXIO) throw e;
            data = file.size;
        }
        for (int i = offset; i < data; i++)
            if (file.bytes[i] != 0) throw new AssertionError("a hole until " + data + ", but not zero at " + i);
        long hole = SystemCalls.lseek(file.fd, offset, SEEK_HOLE);
        if (hole < offset || hole > file.size) throw new AssertionError("a hole at " + hole);
        if (hole < file.size && file.bytes[(int) hole] != 0)
            throw new AssertionError("a hole, but not zero at " + hole);
    }

    private void reopen(File file, int folder) {
        say(file, "reopened in folder " + folder);
        SystemCalls.close(file.fd);
        file.folder = folder;
        if (random.nextInt(8) == 0) {
            int fd = SystemCalls.open(path(file), O_RDONLY); // another descriptor beside it
            open(file, 0);
            read(file, fd, 1);
            SystemCalls.close(fd);
        } else {
            open(file, 0);
        }
        if (random.nextInt(4) == 0) compareWhole(file);
    }

    /** The file takes the other's place, and an empty one its own; what was open of the other is closed after that. */
    private void replace(File file, File other) throws IOException {
        if (random.nextInt(8) != 0) return;
        say(file, "takes the place of the other");
        Path to = folders.get(file.folder).resolve(other.name);
        Files.move(path(file), to, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        if (other.size > 0) read(other, other.fd, 1);
        SystemCalls.close(other.fd);
        byte[] bytes = other.bytes;
        other.bytes = file.bytes;
        other.size = file.size;
        other.folder = file.folder;
        other.fd = file.fd;
        file.bytes = bytes;
        Arrays.fill(file.bytes, (byte) 0);
        file.size = 0;
        open(file, O_CREAT);
    }
}
