// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.benchmarks;

import dev.wormhole.consensus.RocksTable;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Applied;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Entry;
import dev.wormhole.namespace.MalformedEntryException;
import dev.wormhole.namespace.MemoryTable;
import dev.wormhole.namespace.Namespace;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.namespace.SessionId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A namespace of two pods with directories d0 to d99, fed by a log of one session; the tables of a Rocks namespace are in a
 * temporary directory. One thread.
 */
final class Tree implements AutoCloseable {
    static final int DIRECTORIES = 100;

    private static final Incarnation FIRST = new Incarnation(1);
    private static final Incarnation SECOND = new Incarnation(2);
    private static final SessionId SESSION = new SessionId(FIRST, 1);
    private static final long FILE_COUNTER = 1L << 32;
    private static final long SLICE_COUNTER = 1L << 33;
    private static final long NANOS = 1_790_000_000_000_000_000L;
    private static final int SLICE_BYTES = 4096;

    /** The heap that a pod gives the cache of inodes and names. */
    private static final long CACHE_BYTES = 16L << 20;

    final Namespace namespace;
    private final @Nullable Path directory;
    private final @Nullable RocksTable rocks;
    private long index;
    private long sequence;

    /** @param table {@code memory} or {@code rocks} */
    Tree(String table) throws IOException {
        if (table.equals("rocks")) {
            directory = Files.createTempDirectory("wormhole-jmh");
            rocks = RocksTable.open(directory, RocksTable.Memory.SMALL);
        } else {
            directory = null;
            rocks = null;
        }
        namespace = new Namespace(rocks == null ? new MemoryTable() : rocks, 1, CACHE_BYTES);
        for (String name : List.of("one", "two")) {
            var settings = new PodSettings(
                    name, PodSettings.Role.STORAGE, false, "", List.of("192.0.2.1:7420"), Long.MAX_VALUE);
            apply(Entry.withoutSession(1, NANOS, List.of(new Command.AdmitPod(name.hashCode(), settings)))
                    .encode());
        }
        apply(Entry.withoutSession(1, NANOS, List.of(new Command.OpenSession(FIRST, 1, 0)))
                .encode());
        var made = new ArrayList<Command>();
        for (int i = 0; i < DIRECTORIES; i++) made.add(create(InodeId.ROOT, "d" + i, directory(i), FileType.DIRECTORY));
        for (byte[] entry : entries(made, DIRECTORIES)) apply(entry);
    }

    static InodeId directory(int number) {
        return new InodeId(Ids.of(1, 1 + number % DIRECTORIES));
    }

    static InodeId file(int number) {
        return new InodeId(Ids.of(1, FILE_COUNTER + number));
    }

    static FileName name(int number) {
        return FileName.of("object-" + number + ".o");
    }

    private static Command create(InodeId parent, String name, InodeId inode, FileType type) {
        return new Command.Create(parent, FileName.of(name), inode, type, 0755, 1000, 1000, 0, new byte[0]);
    }

    /** File {@code number} in directory {@code number} modulo 100. */
    static Command create(int number) {
        return new Command.Create(
                directory(number), name(number), file(number), FileType.REGULAR, 0644, 1000, 1000, 0, new byte[0]);
    }

    static Command unlink(int number) {
        return new Command.Unlink(directory(number), name(number), file(number));
    }

    /** The first 4 KiB of the file, durable on both pods. */
    static Command write(int number) {
        var slice = new SliceId(Ids.of(1, SLICE_COUNTER + number));
        return new Command.Write(
                file(number),
                0,
                List.of(new Command.NewSlice(slice, SLICE_BYTES, List.of(FIRST, SECOND))),
                List.of(new Extent(0, SLICE_BYTES, slice, 0)),
                SLICE_BYTES,
                NANOS,
                2,
                false);
    }

    /** The session's next entries, encoded and stamped, of so many commands each. */
    byte[][] entries(List<Command> commands, int batch) {
        var entries = new ArrayList<byte[]>();
        for (int i = 0; i < commands.size(); i += batch) {
            var part = commands.subList(i, Math.min(i + batch, commands.size()));
            sequence++;
            byte[] entry = Entry.of(1, SESSION, sequence, Math.max(1, sequence - 2), NANOS, part)
                    .encode();
            try {
                Entry.stampLeader(entry, NANOS);
            } catch (MalformedEntryException bug) {
                throw new IllegalStateException(bug);
            }
            entries.add(entry);
        }
        return entries.toArray(byte[][]::new);
    }

    /** As the log does: from bytes. A refusal would be another measurement than the one that was meant. */
    Applied apply(byte[] entry) {
        var applied = namespace.apply(++index, entry);
        if (applied.status() != Applied.Status.FRESH) throw new IllegalStateException("entry: " + applied.status());
        for (Outcome outcome : applied.outcomes())
            if (outcome instanceof Outcome.Refused(var errno)) throw new IllegalStateException("refused: " + errno);
        return applied;
    }

    @Override
    public void close() throws IOException {
        if (rocks == null || directory == null) return;
        rocks.close();
        try (var files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) Files.delete(file);
        }
    }
}
