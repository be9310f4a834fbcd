// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static dev.wormhole.testbed.SystemCalls.O_APPEND;
import static dev.wormhole.testbed.SystemCalls.O_CREAT;
import static dev.wormhole.testbed.SystemCalls.O_DIRECTORY;
import static dev.wormhole.testbed.SystemCalls.O_EXCL;
import static dev.wormhole.testbed.SystemCalls.O_RDONLY;
import static dev.wormhole.testbed.SystemCalls.O_WRONLY;

import dev.wormhole.testbed.Operation.Kind;
import dev.wormhole.testbed.Operation.Outcome;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A process of clients, some on each pod's folder, that do one thing after the other to a few shared names and files, and
 * write down what they asked and what they were answered. Every few seconds they go on to new ones, so that what is to be
 * explained together stays small.
 *
 * <p>Names are symbolic links: made, replaced and read in one step each, and their target tells which one it is.
 *
 * <p>Arguments: OUT SECONDS SEED CLIENTS FOLDER..., where OUT is a directory for the histories, a file a client. Or:
 * OUT look OBJECTS FOLDER...: one client a folder looks at all objects that the file OBJECTS names, once.
 */
final class HistoryProgram {
    private static final long LIFE_NANOS = 4_000_000_000L;
    private static final long ONCE_NANOS = 250_000_000L;
    /** On a slow machine it goes on for so long until everything succeeded once. */
    private static final long LONGER_NANOS = 45_000_000_000L;

    private static final int ITEM_BYTES = 40;
    private static final int CONTENT_BYTES = 64;
    static final List<String> NAMES = List.of("x/a", "x/b", "y/c");

    private static final int ENOENT = 2, EEXIST = 17;

    /** What succeeded, of any client. */
    private static final Set<Kind> DONE = ConcurrentHashMap.newKeySet();

    private final int client;
    private final int pod;
    /** A directory of the pod's folder, which is not there while that is not mounted. */
    private final Path place;

    private int mounted = -1;
    /** The same by an open file: what is below a mount that is gone is never taken for it. */
    private Path folder = Path.of("/nowhere");

    private final Random random;
    private final Writer history;
    private final long start;
    private final MemorySegment buffer;
    private final List<Long> known = new ArrayList<>();
    private int values;
    private boolean trouble;

    private HistoryProgram(int client, int pod, Path place, Path out, long seed, long start, Arena arena)
            throws IOException {
        this.client = client;
        this.pod = pod;
        this.place = place;
        this.random = new Random(seed + client);
        this.history = Files.newBufferedWriter(out.resolve("history-" + client));
        this.start = start;
        this.buffer = arena.allocate(1 << 20, 8);
    }

    public static void main(String[] arguments) throws Exception {
        Path out = Path.of(arguments[0]);
        boolean looksOnly = arguments[1].equals("look");
        List<Path> folders = java.util.Arrays.stream(arguments)
                .skip(looksOnly ? 3 : 4)
                .map(Path::of)
                .toList();
        long seconds = looksOnly ? 0 : Long.parseLong(arguments[1]);
        long seed = looksOnly ? 0 : Long.parseLong(arguments[2]) * 1_000;
        int clients = looksOnly ? folders.size() : Integer.parseInt(arguments[3]);
        long start = System.nanoTime();
        var threads = new ArrayList<Thread>();
        var failures = new java.util.concurrent.ConcurrentLinkedQueue<Throwable>();
        try (Arena arena = Arena.ofShared()) {
            for (int i = 0; i < clients; i++) {
                int at = i % folders.size();
                var program =
                        new HistoryProgram(looksOnly ? 1_000 + i : i, at + 1, folders.get(at), out, seed, start, arena);
                threads.add(Thread.ofPlatform()
                        .name("client-" + i)
                        .uncaughtExceptionHandler((_, failure) -> failures.add(failure))
                        .start(() -> {
                            if (looksOnly) program.lookAtAll(Path.of(arguments[2]));
                            else program.run(start + seconds * 1_000_000_000L);
                        }));
            }
            for (Thread thread : threads) thread.join();
        }
        for (Throwable failure : failures) failure.printStackTrace(System.out);
        System.exit(failures.isEmpty() ? 0 : 1);
    }

    private void run(long end) {
        try (history) {
            enter();
            SystemCalls.close(SystemCalls.open(mine(), O_CREAT | O_WRONLY));
            while (System.nanoTime() < end
                    || DONE.size() < Kind.values().length && System.nanoTime() < end + LONGER_NANOS) {
                step();
                if (trouble) awaitService(end);
            }
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    // ---- asking and writing down

    private interface Ask {
        /** @return what was found, or nothing */
        String ask();
    }

    /** Not begun: nothing of it can have happened. */
    private static final class NotBegunException extends RuntimeException {
        NotBegunException(SystemCalls.FailedException cause) {
            super(cause);
        }
    }

    private void attempt(String object, Kind kind, List<String> arguments, Ask ask) {
        long invoked = System.nanoTime();
        Outcome outcome = Outcome.DONE;
        String answer;
        try {
            answer = ask.ask();
        } catch (NotBegunException failure) {
            trouble = true;
            return;
        } catch (SystemCalls.FailedException failure) {
            boolean refused = failure.errno == ENOENT || failure.errno == EEXIST;
            boolean named = !object.startsWith("file:") && !object.startsWith("log:");
            outcome = refused && named ? Outcome.REFUSED : Outcome.UNKNOWN;
            answer = failure.errno == ENOENT ? "ENOENT" : failure.errno == EEXIST ? "EEXIST" : failure.getMessage();
            trouble = outcome == Outcome.UNKNOWN;
        }
        if (outcome == Outcome.DONE) DONE.add(kind);
        var operation =
                new Operation(client, pod, object, kind, arguments, invoked, System.nanoTime(), outcome, answer);
        try {
            history.write(operation.line() + "\n");
            history.flush();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** An error that leaves an outcome open makes checking hard, so there are few: until it works again nothing is asked. */
    private void awaitService(long end) {
        while (System.nanoTime() < end) {
            try {
                enter();
                SystemCalls.times(mine(), 1, random.nextInt(1_000_000_000));
                trouble = false;
                return;
            } catch (SystemCalls.FailedException stillNot) {
                // the next round tries again
            }
            LockSupport.parkNanos(50_000_000);
        }
    }

    /** Fails while the folder is not mounted. */
    private void enter() {
        int entered = SystemCalls.open(place, O_RDONLY | O_DIRECTORY);
        int before = mounted;
        mounted = entered;
        folder = Path.of("/proc/self/fd/" + mounted);
        if (before >= 0) SystemCalls.close(before);
    }

    private Path mine() {
        return folder.resolve("client-" + client);
    }

    private String value() {
        return "v" + client + "-" + values++;
    }

    // ---- what is done

    private void step() {
        long age = System.nanoTime() - start;
        long life = age / LIFE_NANOS;
        if (!known.contains(life)) {
            if (!make(life)) {
                trouble = true;
                return;
            }
            known.add(life);
        }
        int dice = random.nextInt(100);
        if (dice < 58) names(life);
        else if (dice < 78) log(life);
        else if (dice < 88) file(life);
        else once(age / ONCE_NANOS);
    }

    private Path directory(long life) {
        return folder.resolve("life-" + life);
    }

    /** What a life has from its beginning, made by who comes first. */
    private boolean make(long life) {
        Path directory = directory(life);
        for (Path each : List.of(directory, directory.resolve("x"), directory.resolve("y"))) {
            try {
                SystemCalls.mkdir(each);
            } catch (SystemCalls.FailedException failure) {
                if (failure.errno != EEXIST) return false;
            }
        }
        try {
            for (String each : List.of("log", "file"))
                SystemCalls.close(SystemCalls.open(directory.resolve(each), O_CREAT | O_WRONLY));
        } catch (SystemCalls.FailedException failure) {
            return false;
        }
        return true;
    }

    private String name() {
        return NAMES.get(random.nextInt(NAMES.size()));
    }

    private void names(long life) {
        String object = "names:" + life;
        Path directory = directory(life);
        String name = name();
        String other = name();
        while (other.equals(name)) other = name();
        String to = other;
        Path first = directory.resolve(name);
        Path second = directory.resolve(to);
        int dice = random.nextInt(100);
        if (dice < 42) {
            look(object, directory, name);
        } else if (dice < 58) {
            String value = value();
            attempt(object, Kind.CREATE, List.of(name, value), () -> {
                SystemCalls.symlink(value, first);
                return "";
            });
        } else if (dice < 72) {
            put(object, directory, name);
        } else if (dice < 80) {
            attempt(object, Kind.REMOVE, List.of(name), () -> {
                SystemCalls.unlink(first);
                return "";
            });
        } else if (dice < 90) {
            attempt(object, Kind.MOVE, List.of(name, to), () -> {
                SystemCalls.rename(first, second, 0);
                return "";
            });
        } else if (dice < 95) {
            attempt(object, Kind.MOVE_NEW, List.of(name, to), () -> {
                SystemCalls.rename(first, second, SystemCalls.NOREPLACE);
                return "";
            });
        } else {
            attempt(object, Kind.EXCHANGE, List.of(name, to), () -> {
                SystemCalls.rename(first, second, SystemCalls.EXCHANGE);
                return "";
            });
        }
    }

    private void look(String object, Path directory, String name) {
        attempt(object, Kind.LOOK, List.of(name), () -> SystemCalls.readlink(directory.resolve(name)));
    }

    private void put(String object, Path directory, String name) {
        String value = value();
        Path fresh = directory.resolve("x/." + value);
        try {
            SystemCalls.symlink(value, fresh);
        } catch (SystemCalls.FailedException failure) {
            trouble = true;
            return;
        }
        attempt(object, Kind.PUT, List.of(name, value), () -> {
            SystemCalls.rename(fresh, directory.resolve(name), 0);
            return "";
        });
    }

    private void once(long number) {
        String object = "once:" + number;
        Path file = folder.resolve("once-" + number);
        if (random.nextInt(5) < 2) {
            lookOnce(object, file);
            return;
        }
        attempt(object, Kind.CREATE, List.of("v", "exists"), () -> {
            int fd = SystemCalls.open(file, O_CREAT | O_EXCL | O_WRONLY);
            try {
                SystemCalls.close(fd);
            } catch (SystemCalls.FailedException made) {
                trouble = true;
            }
            return "";
        });
    }

    private void lookOnce(String object, Path file) {
        attempt(object, Kind.LOOK, List.of("v"), () -> {
            SystemCalls.stat(file);
            return "exists";
        });
    }

    // ---- bytes

    private int open(Path file, int flags) {
        try {
            return SystemCalls.open(file, flags);
        } catch (SystemCalls.FailedException failure) {
            throw new NotBegunException(failure);
        }
    }

    /** A value that fills its place; a part of it is none. */
    private MemorySegment padded(String value, int bytes) {
        byte[] text = (value + ".".repeat(bytes - 1 - value.length()) + "\n").getBytes(StandardCharsets.US_ASCII);
        MemorySegment.copy(text, 0, buffer, ValueLayout.JAVA_BYTE, 0, bytes);
        return buffer.asSlice(0, bytes);
    }

    private static String unpadded(String text, int bytes) {
        int end = text.indexOf('.');
        boolean whole =
                text.length() == bytes - 1 && end > 0 && text.substring(end).matches("\\.+");
        return whole ? text.substring(0, end) : "torn!" + text.replaceAll("[^!-~]", "?");
    }

    private void log(long life) {
        String object = "log:" + life;
        Path file = directory(life).resolve("log");
        if (random.nextInt(5) < 2) {
            read(object, file);
            return;
        }
        String value = value();
        boolean synced = random.nextInt(3) == 0;
        attempt(object, Kind.APPEND, List.of(value), () -> {
            int fd = open(file, O_WRONLY | O_APPEND);
            write(fd, value, synced, () -> SystemCalls.write(fd, padded(value, ITEM_BYTES)), ITEM_BYTES);
            return "";
        });
    }

    private void write(int fd, String value, boolean synced, java.util.function.IntSupplier write, int bytes) {
        SystemCalls.@Nullable FailedException failed = null;
        try {
            int written = write.getAsInt();
            if (written != bytes) throw new IllegalStateException("wrote " + written + " of " + value);
            if (synced) SystemCalls.fsync(fd);
        } catch (SystemCalls.FailedException failure) {
            failed = failure;
        }
        try {
            SystemCalls.close(fd);
        } catch (SystemCalls.FailedException failure) {
            if (failed == null) failed = failure;
        }
        if (failed != null) throw failed;
    }

    private String content(Path file) {
        int fd = open(file, O_RDONLY);
        try {
            int length = 0;
            while (true) {
                int count = SystemCalls.pread(fd, buffer.asSlice(length, 4096), length);
                if (count == 0) break;
                length += count;
            }
            return new String(buffer.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.ISO_8859_1);
        } finally {
            SystemCalls.close(fd);
        }
    }

    private void read(String object, Path file) {
        attempt(object, Kind.READ, List.of(""), () -> {
            var items = new ArrayList<String>();
            String content = content(file);
            for (int at = 0; at < content.length(); ) {
                int end = content.indexOf('\n', at);
                items.add(unpadded(content.substring(at, end < 0 ? content.length() : end), end < 0 ? -1 : ITEM_BYTES));
                at = end < 0 ? content.length() : end + 1;
            }
            return String.join(" ", items);
        });
    }

    private void file(long life) {
        String object = "file:" + life;
        Path file = directory(life).resolve("file");
        if (random.nextInt(5) < 3) {
            lookInto(object, file);
            return;
        }
        String value = value();
        boolean synced = random.nextInt(3) == 0;
        attempt(object, Kind.PUT, List.of("v", value), () -> {
            int fd = open(file, O_WRONLY);
            write(fd, value, synced, () -> SystemCalls.pwrite(fd, padded(value, CONTENT_BYTES), 0), CONTENT_BYTES);
            return "";
        });
    }

    private void lookInto(String object, Path file) {
        attempt(object, Kind.LOOK, List.of("v"), () -> {
            String content = content(file);
            return content.isEmpty() ? "" : unpadded(content.stripTrailing(), CONTENT_BYTES);
        });
    }

    // ---- the end

    private void lookAtAll(Path objects) {
        try (history) {
            enter();
            for (String object : Files.readAllLines(objects)) {
                String number = object.substring(object.indexOf(':') + 1);
                Path directory = folder.resolve("life-" + number);
                switch (object.substring(0, object.indexOf(':'))) {
                    case "names" -> {
                        for (String name : NAMES) look(object, directory, name);
                    }
                    case "log" -> read(object, directory.resolve("log"));
                    case "file" -> lookInto(object, directory.resolve("file"));
                    default -> lookOnce(object, folder.resolve("once-" + number));
                }
            }
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
