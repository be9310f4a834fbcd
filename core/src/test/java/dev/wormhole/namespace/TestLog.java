// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A log of one, for tests: commands go in one at a time, through the bytes of an entry, with a session of pod 1. Time goes
 * on by a millisecond with each.
 */
final class TestLog {
    static final InodeId ROOT = InodeId.ROOT;

    final Table table;
    Namespace namespace;
    final List<byte[]> entries = new ArrayList<>();
    long index;
    long sequence;
    long nanos = 1_000_000_000_000L;
    SessionId session;
    private long counter = 1_000;
    Applied last;

    TestLog() {
        this(new MemoryTable());
    }

    TestLog(Table table) {
        this.table = table;
        namespace = new Namespace(table);
        assertThat(admit("pod1")).isEqualTo(new Incarnation(1));
        session = open(new Incarnation(1), 1, 0);
        last = new Applied(0, Applied.Status.FRESH, null, 0, List.of(), List.of(), false);
    }

    NamespaceView view() {
        return namespace.view();
    }

    Applied apply(Entry entry) {
        byte[] bytes = entry.encode();
        try {
            Entry.stampLeader(bytes, nanos);
        } catch (MalformedEntryException e) {
            throw new AssertionError(e);
        }
        entries.add(bytes);
        return last = namespace.apply(++index, bytes);
    }

    Applied batch(List<Command> commands) {
        nanos += 1_000_000;
        Applied applied = apply(Entry.of(1, session, ++sequence, Math.max(1, sequence - 2), nanos, commands));
        assertThat(applied.status()).isEqualTo(Applied.Status.FRESH);
        return applied;
    }

    Outcome run(Command command) {
        return batch(List.of(command)).outcomes().getFirst();
    }

    long done(Command command) {
        return switch (run(command)) {
            case Outcome.Done(long value) -> value;
            case Outcome.Refused(Errno errno) -> throw new AssertionError(command + ": " + errno);
        };
    }

    void refused(Command command, Errno errno) {
        assertThat(run(command)).as(command.toString()).isEqualTo(new Outcome.Refused(errno));
    }

    Incarnation admit(String name) {
        nanos += 1_000_000;
        var settings = new PodSettings(name, PodSettings.Role.STORAGE, false, "", List.of("host:1"), 1L << 40);
        Applied applied = apply(Entry.withoutSession(
                1, nanos, List.of(new Command.AdmitPod(name.hashCode() * 31L + 7, settings))));
        return new Incarnation((int) ((Outcome.Done) applied.outcomes().getFirst()).value());
    }

    SessionId open(Incarnation incarnation, long startCount, long settled) {
        nanos += 1_000_000;
        Applied applied = apply(
                Entry.withoutSession(1, nanos, List.of(new Command.OpenSession(incarnation, startCount, settled))));
        assertThat(applied.outcomes()).containsExactly(new Outcome.Done(0));
        return new SessionId(incarnation, startCount);
    }

    void check() {
        assertThat(NamespaceChecker.check(table)).isEmpty();
    }

    // ---- shorthands

    InodeId id() {
        return new InodeId(Ids.of(1, counter++));
    }

    SliceId slice() {
        return new SliceId(Ids.of(1, counter++));
    }

    static FileName name(String name) {
        return FileName.of(name);
    }

    InodeId create(InodeId parent, String name, FileType type) {
        InodeId id = id();
        done(creation(parent, name, id, type));
        return id;
    }

    static Command.Create creation(InodeId parent, String name, InodeId id, FileType type) {
        byte[] target =
                type == FileType.SYMLINK ? "target".getBytes(java.nio.charset.StandardCharsets.US_ASCII) : new byte[0];
        int permissions = type == FileType.DIRECTORY ? 0755 : 0644;
        return new Command.Create(parent, name(name), id, type, permissions, 1000, 1000, 0, target);
    }

    InodeId file(InodeId parent, String name) {
        return create(parent, name, FileType.REGULAR);
    }

    InodeId directory(InodeId parent, String name) {
        return create(parent, name, FileType.DIRECTORY);
    }

    static Command.Rename rename(
            InodeId from, String fromName, InodeId expected, InodeId to, String toName, @Nullable InodeId replaced) {
        return new Command.Rename(
                from, name(fromName), expected, to, name(toName), replaced, Command.RenameMode.REPLACE);
    }

    Attributes stat(InodeId inode) {
        return Objects.requireNonNull(view().attributes(inode), () -> "no " + inode);
    }

    SliceRecord record(SliceId slice) {
        return Objects.requireNonNull(view().slice(slice), () -> "no " + slice);
    }

    /** Writes one whole new slice at the offset, durable on these pods. */
    SliceId write(InodeId inode, long offset, long length, int safeCopies, Incarnation... durableOn) {
        SliceId slice = slice();
        done(writing(inode, slice, offset, length, safeCopies, durableOn));
        return slice;
    }

    static Command.Write writing(
            InodeId inode, SliceId slice, long offset, long length, int safeCopies, Incarnation... durableOn) {
        return new Command.Write(
                inode,
                0,
                List.of(new Command.NewSlice(slice, length, List.of(durableOn))),
                List.of(new Extent(offset, length, slice, 0)),
                0,
                5,
                safeCopies,
                false);
    }

    /** Each extent as "from+length=slice@offset". */
    List<String> extents(InodeId inode) {
        return view().extents(inode, 0, Long.MAX_VALUE).stream()
                .map(e -> e.fileOffset() + "+" + e.length() + "=" + e.slice() + "@" + e.sliceOffset())
                .toList();
    }
}
