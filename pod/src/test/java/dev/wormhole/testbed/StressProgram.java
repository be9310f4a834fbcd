// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.SystemCalls.EXCHANGE;
import static dev.wormhole.testbed.SystemCalls.KEEP_SIZE;
import static dev.wormhole.testbed.SystemCalls.NOREPLACE;
import static dev.wormhole.testbed.SystemCalls.O_APPEND;
import static dev.wormhole.testbed.SystemCalls.O_CREAT;
import static dev.wormhole.testbed.SystemCalls.O_DIRECTORY;
import static dev.wormhole.testbed.SystemCalls.O_EXCL;
import static dev.wormhole.testbed.SystemCalls.O_RDONLY;
import static dev.wormhole.testbed.SystemCalls.O_RDWR;
import static dev.wormhole.testbed.SystemCalls.O_TMPFILE;
import static dev.wormhole.testbed.SystemCalls.O_TRUNC;
import static dev.wormhole.testbed.SystemCalls.O_WRONLY;
import static dev.wormhole.testbed.SystemCalls.PUNCH_HOLE;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;

/**
 * A process whose threads do random things to one tree, of so few names that they are in each other's way, and in that of
 * the same program on other pods. Nothing is coordinated, so most of what can be answered is right; what cannot be is an
 * error that its operation does not have, a byte that nobody wrote there, an entry listed twice, or a long wait.
 *
 * <p>Arguments: FOLDER SECONDS SEED THREADS REPORT. The report, lines of "KEY COUNT WHAT", is written at the end.
 */
final class StressProgram {
    /** What is done; each names the errors that it may meet besides those of looking up a path. */
    enum Act {
        CREATE(12, Errno.EEXIST, Errno.EISDIR),
        WRITE(10, Errno.EISDIR),
        APPEND(8, Errno.EISDIR),
        TRUNCATE(4, Errno.EISDIR),
        PUNCH(3, Errno.EISDIR),
        READ(8, Errno.EISDIR),
        SYNC(2, Errno.EISDIR),
        RENAME(9, Errno.ENOTEMPTY, Errno.EEXIST, Errno.EISDIR, Errno.EINVAL),
        RENAME_NEW(4, Errno.EEXIST, Errno.EINVAL, Errno.ENOTEMPTY),
        EXCHANGE_NAMES(4, Errno.EINVAL, Errno.ENOTEMPTY),
        LINK(5, Errno.EEXIST, Errno.EPERM),
        SYMLINK(3, Errno.EEXIST),
        READLINK(2, Errno.EINVAL),
        UNLINK(9, Errno.EISDIR),
        MAKE_DIRECTORY(7, Errno.EEXIST),
        REMOVE_DIRECTORY(5, Errno.ENOTEMPTY),
        CHANGE_MODE(2),
        SET_ATTRIBUTE(2),
        GET_ATTRIBUTE(2, Errno.ENODATA),
        REMOVE_ATTRIBUTE(1, Errno.ENODATA),
        SET_TIMES(2),
        STAT(5),
        LIST(5),
        /** Opens a file, takes its name away, and goes on with it for a while. */
        HOLD(4, Errno.EISDIR),
        USE_HELD(6),
        /** A file that never had a name, and may get one. */
        NAMELESS(2, Errno.EEXIST, Errno.EISDIR);

        final int weight;
        final Set<Integer> errors;

        Act(int weight, int... errors) {
            this.weight = weight;
            this.errors = new HashSet<>(LOOKUP);
            for (int error : errors) this.errors.add(error);
        }
    }

    /** Linux's numbers. */
    static final class Errno {
        static final int EPERM = 1, ENOENT = 2, EEXIST = 17, ENOTDIR = 20, EISDIR = 21, EINVAL = 22;
        static final int ENOTEMPTY = 39, ELOOP = 40, ENODATA = 61, ESTALE = 116;

        private Errno() {}
    }

    /**
     * Any path may be gone, go through a file, or around in symbolic links. ESTALE is the kernel's own: a directory that it
     * knows in one place and finds in another while it is busy there.
     */
    private static final Set<Integer> LOOKUP = Set.of(Errno.ENOENT, Errno.ENOTDIR, Errno.ELOOP, Errno.ESTALE);

    private static final List<String> NAMES = List.of("a", "b", "c", "d", "e", "f");
    private static final List<String> TARGETS = List.of("a", "b", "c/d", "d/e", "e", "nowhere", ".");
    private static final int SIZE_MAX = 200_000;
    private static final int HELD_MAX = 3;
    private static final int TOLD_MAX = 20;
    private static final byte APPENDED = (byte) 255;

    private final Path folder;
    private final Random random;
    private final MemorySegment buffer;
    private final ArrayDeque<Integer> held = new ArrayDeque<>();
    private final Map<Act, Long> counts = new EnumMap<>(Act.class);
    private final Map<Act, Long> longestNanos = new EnumMap<>(Act.class);
    private final Map<String, Long> errors = new TreeMap<>();
    private final List<String> unexpected = new ArrayList<>();
    private String doing = "";

    private StressProgram(Path folder, long seed, Arena arena) {
        this.folder = folder;
        random = new Random(seed);
        buffer = arena.allocate(SIZE_MAX, 8);
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        long end = System.nanoTime() + Long.parseLong(arguments[1]) * 1_000_000_000L;
        long seed = Long.parseLong(arguments[2]);
        int threadCount = Integer.parseInt(arguments[3]);
        var programs = new ArrayList<StressProgram>();
        var threads = new ArrayList<Thread>();
        try (Arena arena = Arena.ofShared()) {
            for (int i = 0; i < threadCount; i++) {
                var program = new StressProgram(folder, seed * 1_000 + i, arena);
                programs.add(program);
                threads.add(Thread.ofPlatform().name("stress-" + i).start(() -> program.run(end)));
            }
            for (Thread thread : threads) thread.join();
        }
        write(Path.of(arguments[4]), programs);
    }

    private static void write(Path report, List<StressProgram> programs) throws IOException {
        var lines = new ArrayList<String>();
        for (StressProgram program : programs) {
            program.counts.forEach((act, count) -> lines.add("done " + count + " " + act));
            program.longestNanos.forEach((act, nanos) -> lines.add("millis " + nanos / 1_000_000 + " " + act));
            program.errors.forEach((error, count) -> lines.add("error " + count + " " + error));
            for (String what : program.unexpected) lines.add("unexpected 1 " + what.replace('\n', ' '));
        }
        Files.write(report, lines);
    }

    private void run(long end) {
        try {
            while (System.nanoTime() < end) step(next());
            while (!held.isEmpty()) SystemCalls.close(held.removeFirst());
        } catch (RuntimeException | Error failure) {
            unexpected.add("thread ended by " + failure + " in " + doing);
        }
    }

    private Act next() {
        int sum = 0;
        for (Act act : Act.values()) sum += act.weight;
        int at = random.nextInt(sum);
        for (Act act : Act.values()) {
            at -= act.weight;
            if (at < 0) return act;
        }
        throw new IllegalStateException("weights");
    }

    private void step(Act act) {
        long start = System.nanoTime();
        doing = act.name();
        try {
            perform(act);
            counts.merge(act, 1L, Long::sum);
        } catch (SystemCalls.FailedException failure) {
            errors.merge(act + " errno " + failure.errno, 1L, Long::sum);
            if (!act.errors.contains(failure.errno)) wrong(doing + ": " + failure.getMessage());
        }
        longestNanos.merge(act, System.nanoTime() - start, Math::max);
    }

    private void wrong(String what) {
        if (unexpected.size() < TOLD_MAX) unexpected.add(what);
    }

    // ---- what is chosen

    private Path path() {
        Path path = folder;
        int dice = random.nextInt(10);
        for (int depth = dice < 4 ? 1 : dice < 8 ? 2 : 3; depth > 0; depth--) path = path.resolve(name());
        return path;
    }

    private String name() {
        return NAMES.get(random.nextInt(NAMES.size()));
    }

    private String attribute() {
        return "user." + NAMES.get(random.nextInt(2));
    }

    private Path directory() {
        return random.nextInt(4) == 0 ? folder : path();
    }

    private int length() {
        return 1 + random.nextInt(random.nextInt(5) == 0 ? 60_000 : 3_000);
    }

    private int offset() {
        return random.nextInt(random.nextInt(3) == 0 ? SIZE_MAX / 2 : 20_000);
    }

    // ---- what bytes may be

    /** A byte that is written at its own place: a wrong one, or one from elsewhere, is known by it. */
    private static byte placed(long offset) {
        return (byte) (1 + offset % 251);
    }

    private void writeAt(int fd, int offset, int length) {
        for (int i = 0; i < length; i++) buffer.set(ValueLayout.JAVA_BYTE, i, placed(offset + i));
        int written = SystemCalls.pwrite(fd, buffer.asSlice(0, length), offset);
        if (written != length) wrong("wrote " + written + " of " + length + " in " + doing);
    }

    private void readAt(int fd, int offset, int length) {
        int count = SystemCalls.pread(fd, buffer.asSlice(0, length), offset);
        for (int i = 0; i < count; i++) {
            byte value = buffer.get(ValueLayout.JAVA_BYTE, i);
            if (value == 0 || value == APPENDED || value == placed(offset + i)) continue;
            wrong("byte " + value + " at " + (offset + i) + ", nobody wrote it there: " + doing);
            return;
        }
    }

    // ---- what is done

    private interface Use {
        void with(int fd);
    }

    private void opened(Path path, int flags, Use use) {
        doing += " " + path;
        int fd = SystemCalls.open(path, flags, random.nextBoolean() ? 0644 : 0600);
        try {
            use.with(fd);
        } finally {
            SystemCalls.close(fd);
        }
    }

    private Path told(Path path) {
        doing += " " + path;
        return path;
    }

    private void perform(Act act) {
        switch (act) {
            case CREATE -> {
                int more = random.nextInt(3);
                opened(path(), O_CREAT | O_RDWR | (more == 0 ? O_EXCL : more == 1 ? O_TRUNC : 0), fd -> {
                    if (random.nextBoolean()) writeAt(fd, 0, length());
                });
            }
            case WRITE ->
                opened(path(), O_RDWR, fd -> {
                    for (int i = random.nextInt(3); i >= 0; i--) writeAt(fd, offset(), length());
                });
            case APPEND ->
                opened(path(), O_WRONLY | O_APPEND | (random.nextBoolean() ? O_CREAT : 0), fd -> {
                    int length = 1 + random.nextInt(500);
                    buffer.asSlice(0, length).fill(APPENDED);
                    int written = SystemCalls.write(fd, buffer.asSlice(0, length));
                    if (written != length) wrong("appended " + written + " of " + length + " in " + doing);
                });
            case TRUNCATE -> opened(path(), O_RDWR, fd -> SystemCalls.ftruncate(fd, offset()));
            case PUNCH ->
                opened(path(), O_RDWR, fd -> SystemCalls.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, offset(), length()));
            case READ ->
                opened(path(), O_RDONLY, fd -> {
                    for (int i = random.nextInt(3); i >= 0; i--) readAt(fd, offset(), length());
                });
            case SYNC ->
                opened(path(), O_RDWR, fd -> {
                    writeAt(fd, offset(), 100);
                    SystemCalls.fsync(fd);
                });
            case RENAME -> SystemCalls.rename(told(path()), told(path()), 0);
            case RENAME_NEW -> SystemCalls.rename(told(path()), told(path()), NOREPLACE);
            case EXCHANGE_NAMES -> SystemCalls.rename(told(path()), told(path()), EXCHANGE);
            case LINK -> SystemCalls.link(told(path()), told(path()));
            case SYMLINK -> SystemCalls.symlink(TARGETS.get(random.nextInt(TARGETS.size())), told(path()));
            case READLINK -> {
                String target = SystemCalls.readlink(told(path()));
                if (!TARGETS.contains(target)) wrong("target " + target + ": " + doing);
            }
            case UNLINK -> SystemCalls.unlink(told(path()));
            case MAKE_DIRECTORY -> SystemCalls.mkdir(told(path()));
            case REMOVE_DIRECTORY -> SystemCalls.rmdir(told(path()));
            case CHANGE_MODE -> SystemCalls.chmod(told(path()), random.nextInt(01000) | 0700);
            case SET_ATTRIBUTE -> SystemCalls.setxattr(told(path()), attribute(), "value " + random.nextInt(1_000));
            case GET_ATTRIBUTE -> {
                String value = SystemCalls.getxattr(told(path()), attribute());
                if (!value.startsWith("value ")) wrong("attribute " + value + ": " + doing);
            }
            case REMOVE_ATTRIBUTE -> SystemCalls.removexattr(told(path()), attribute());
            case SET_TIMES ->
                SystemCalls.times(told(path()), random.nextInt() & 0xFFFF_FFFFL, random.nextInt(1_000_000_000));
            case STAT -> {
                var stat = SystemCalls.stat(told(path()));
                if (stat.inode() <= 0 || (stat.mode() & 0170000) == 0) wrong(stat + ": " + doing);
            }
            case LIST -> list(directory());
            case HOLD -> hold(path());
            case USE_HELD -> {
                if (!held.isEmpty()) useHeld();
            }
            case NAMELESS ->
                opened(directory(), O_TMPFILE | O_RDWR, fd -> {
                    int length = length();
                    writeAt(fd, 0, length);
                    readAt(fd, 0, length);
                    if (random.nextBoolean()) SystemCalls.link(fd, told(path()));
                });
        }
    }

    private void list(Path directory) {
        opened(directory, O_RDONLY | O_DIRECTORY, fd -> {
            var seen = new HashSet<String>();
            for (var some = SystemCalls.entries(fd); !some.isEmpty(); some = SystemCalls.entries(fd))
                for (String name : some) if (!seen.add(name)) wrong(name + " is listed twice: " + doing);
            if (!seen.contains(".") || !seen.contains("..")) wrong("without . or ..: " + doing);
        });
    }

    private void hold(Path path) {
        doing += " " + path;
        int fd = SystemCalls.open(path, O_RDWR);
        held.add(fd);
        if (held.size() > HELD_MAX) SystemCalls.close(held.removeFirst());
        SystemCalls.unlink(path); // or what has the name by now
    }

    private void useHeld() {
        int fd = held.removeFirst();
        held.add(fd);
        switch (random.nextInt(5)) {
            case 0 -> writeAt(fd, offset(), length());
            case 1 -> readAt(fd, offset(), length());
            case 2 -> SystemCalls.ftruncate(fd, offset());
            case 3 -> SystemCalls.fsync(fd);
            default -> {
                held.removeLast();
                SystemCalls.close(fd);
            }
        }
    }
}
