// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Acl;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Random commands, right and wrong ones, in batches, against {@link ModelTree}: outcomes, tree, attributes and every byte;
 * the checker after each few batches; at the end the same log into a table that crashes and is replayed.
 */
final class RandomHistoriesTest {
    private static final int SEEDS = Integer.getInteger("namespace.seeds", 6);
    private static final int COMMANDS = Integer.getInteger("namespace.commands", 2_500);
    private static final int FILE_BYTES_MAX = 200;
    private static final byte[] NONE = {};

    @Test
    void theMachineDoesWhatTheModelDoes() {
        long base = Long.getLong("seed", System.nanoTime());
        for (int i = 0; i < SEEDS; i++) {
            long seed = base + i;
            System.out.println("RandomHistories seed " + seed);
            try {
                new Run(seed).run();
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + ": " + e.getMessage(), e);
            }
        }
    }

    private static final class Run {
        final Random random;
        final MemoryTable table = new MemoryTable();
        final TestLog log = new TestLog(table);
        final ModelTree model = new ModelTree();
        final List<Command> batch = new ArrayList<>();
        final List<@Nullable Outcome> expected = new ArrayList<>();
        final List<Long> files = new ArrayList<>();
        final List<Long> directories = new ArrayList<>(List.of(1L));
        final List<Long> everything = new ArrayList<>(List.of(1L));
        final List<Long> slices = new ArrayList<>();
        final List<Integer> pods = new ArrayList<>(List.of(1));
        long counter = 1;
        int podNames = 2;

        Run(long seed) {
            random = new Random(seed);
            model.acknowledged.put(1, 1L);
            admit();
            admit();
        }

        void admit() {
            flush();
            Incarnation pod = log.admit("pod" + podNames++);
            pods.add(pod.number());
            model.acknowledged.put(pod.number(), log.index);
        }

        void run() {
            for (int step = 0; step < COMMANDS; step++) {
                model.index = log.index + 1;
                command();
                if (random.nextInt(4) == 0) flush();
                if (step % 100 == 99) {
                    flush();
                    compare();
                    log.check();
                }
            }
            flush();
            compare();
            log.check();
            replay();
        }

        void flush() {
            if (batch.isEmpty()) return;
            List<Outcome> outcomes = log.batch(List.copyOf(batch)).outcomes();
            for (int i = 0; i < batch.size(); i++)
                if (expected.get(i) != null)
                    assertThat(outcomes.get(i)).as(batch.get(i).toString()).isEqualTo(expected.get(i));
                else assertThat(outcomes.get(i)).as(batch.get(i).toString()).isInstanceOf(Outcome.Done.class);
            batch.clear();
            expected.clear();
        }

        /** @param errno what the model said; a value that it does not tell is not compared */
        void add(Command command, @Nullable Errno errno) {
            batch.add(command);
            expected.add(errno == null ? null : new Outcome.Refused(errno));
        }

        void add(Command command, long value) {
            batch.add(command);
            expected.add(new Outcome.Done(value));
        }

        long pick(List<Long> ids) {
            return ids.isEmpty() ? Ids.of(1, 1 << 20) : ids.get(random.nextInt(ids.size()));
        }

        String name() {
            return "n" + random.nextInt(8);
        }

        int pod() {
            return pods.get(random.nextInt(pods.size()));
        }

        List<Long> some(List<Long> ids) {
            var some = new ArrayList<Long>();
            for (int i = 1 + random.nextInt(3); i > 0; i--) {
                long id = pick(ids);
                if (!some.contains(id)) some.add(id);
            }
            return some;
        }

        static List<SliceId> sliceIds(List<Long> ids) {
            return ids.stream().map(SliceId::new).toList();
        }

        long child(long parent, String name) {
            ModelTree.Node node = model.nodes.get(parent);
            ModelTree.Node child = node == null ? null : node.children.get(name);
            return child == null || random.nextInt(20) == 0 ? pick(everything) : child.id;
        }

        void command() {
            switch (random.nextInt(26)) {
                case 0, 1, 2 -> create(FileType.REGULAR);
                case 3, 4 -> create(FileType.DIRECTORY);
                case 5 -> create(FileType.SYMLINK);
                case 6 -> {
                    long id = pick(everything);
                    long parent = pick(directories);
                    String name = name();
                    add(
                            new Command.Link(new InodeId(id), new InodeId(parent), FileName.of(name)),
                            model.link(id, parent, name));
                }
                case 7, 8 -> {
                    long parent = pick(directories);
                    String name = name();
                    long child = child(parent, name);
                    add(
                            new Command.Unlink(new InodeId(parent), FileName.of(name), new InodeId(child)),
                            model.remove(parent, name, child, false));
                }
                case 9 -> {
                    long parent = pick(directories);
                    String name = name();
                    long child = child(parent, name);
                    add(
                            new Command.RemoveDirectory(new InodeId(parent), FileName.of(name), new InodeId(child)),
                            model.remove(parent, name, child, true));
                }
                case 10, 11, 12 -> rename();
                case 13, 14, 15, 16 -> write();
                case 17 -> append();
                case 18 -> {
                    long id = pick(files);
                    int size = random.nextInt(FILE_BYTES_MAX);
                    add(
                            new Command.SetAttributes(
                                    new InodeId(id), null, null, null, (long) size, null, null, false),
                            model.truncate(id, size));
                }
                case 19 -> {
                    long id = pick(files);
                    int from = random.nextInt(FILE_BYTES_MAX);
                    int length = 1 + random.nextInt(60);
                    add(new Command.PunchHole(new InodeId(id), from, length, 3), model.punch(id, from, length));
                }
                case 20 -> {
                    int pod = pod();
                    int state = random.nextInt(3);
                    List<Long> some = some(slices);
                    add(
                            new Command.AddHolders(new Incarnation(pod), HolderState.values()[state], sliceIds(some)),
                            model.addHolders(pod, state, some));
                }
                case 21 -> {
                    int pod = pod();
                    List<Long> some = some(slices);
                    add(new Command.LoseHolder(new Incarnation(pod), sliceIds(some)), model.loseHolder(pod, some));
                }
                case 22 -> {
                    List<Long> some = some(slices);
                    if (random.nextInt(4) == 0) {
                        some.add(Ids.of(1, counter++));
                        slices.add(some.getLast());
                        add(new Command.Abandon(sliceIds(some)), model.abandon(some));
                    } else {
                        add(new Command.Discard(sliceIds(some)), model.discard(some));
                    }
                }
                case 23 -> orphans();
                case 24 -> attributes();
                default -> rare();
            }
        }

        void create(FileType type) {
            long parent = random.nextInt(20) == 0 ? pick(everything) : pick(directories);
            long id = random.nextInt(30) == 0 ? pick(everything) : Ids.of(1, counter++);
            String name = name();
            byte[] target = type == FileType.SYMLINK ? ("to " + name).getBytes(StandardCharsets.US_ASCII) : NONE;
            int permissions = random.nextInt(010000);
            int umask = random.nextInt(01000);
            Errno errno = model.create(parent, name, id, type, permissions, 5, 6, target, umask);
            add(
                    new Command.Create(
                            new InodeId(parent),
                            FileName.of(name),
                            new InodeId(id),
                            type,
                            permissions,
                            5,
                            6,
                            0,
                            target,
                            umask),
                    errno);
            if (errno != null) return;
            everything.add(id);
            if (type == FileType.DIRECTORY) directories.add(id);
            if (type == FileType.REGULAR) files.add(id);
        }

        void rename() {
            long from = pick(directories);
            long to = random.nextInt(3) == 0 ? from : pick(directories);
            String fromName = name();
            String toName = name();
            long expectedId = child(from, fromName);
            long replaced = random.nextInt(10) == 0 ? 0 : child(to, toName);
            Command.RenameMode mode = Command.RenameMode.values()[random.nextInt(3)];
            add(
                    new Command.Rename(
                            new InodeId(from),
                            FileName.of(fromName),
                            new InodeId(expectedId),
                            new InodeId(to),
                            FileName.of(toName),
                            replaced == 0 ? null : new InodeId(replaced),
                            mode),
                    model.rename(from, fromName, expectedId, to, toName, replaced, mode));
        }

        private record Parts(
                List<Command.NewSlice> slices,
                List<Extent> extents,
                List<ModelTree.Introduced> introduced,
                List<ModelTree.Part> parts) {}

        Parts parts() {
            var parts = new Parts(new ArrayList<>(), new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
            int at = random.nextInt(FILE_BYTES_MAX / 2);
            for (int i = random.nextInt(4); i >= 0; i--) {
                ModelTree.Slice known = model.slices.get(pick(slices));
                long id;
                long length;
                if (known != null && random.nextInt(3) == 0) {
                    id = known.id;
                    length = known.length;
                } else {
                    id = !slices.isEmpty() && random.nextInt(12) == 0 ? pick(slices) : Ids.of(1, counter++);
                    ModelTree.Slice again = model.slices.get(id);
                    length = again == null ? 1 + random.nextInt(50) : again.length;
                    if (parts.introduced.stream().anyMatch(s -> s.slice() == id)) continue;
                    var durable = new ArrayList<Integer>();
                    for (int pod : pods) if (random.nextInt(2) == 0) durable.add(pod);
                    parts.slices.add(new Command.NewSlice(
                            new SliceId(id),
                            length,
                            durable.stream().map(Incarnation::new).toList()));
                    parts.introduced.add(new ModelTree.Introduced(id, length, durable));
                    slices.add(id);
                }
                int skip = random.nextInt((int) length);
                int take = 1 + random.nextInt((int) length - skip);
                parts.extents.add(new Extent(at, take, new SliceId(id), skip));
                parts.parts.add(new ModelTree.Part(at, take, id, skip));
                at += take + (random.nextBoolean() ? 0 : random.nextInt(20));
            }
            return parts;
        }

        void write() {
            long id = random.nextInt(30) == 0 ? pick(everything) : pick(files);
            Parts parts = parts();
            int sizeAtLeast = random.nextInt(FILE_BYTES_MAX);
            int safe = random.nextInt(3);
            add(
                    new Command.Write(new InodeId(id), 0, parts.slices, parts.extents, sizeAtLeast, 4, safe, false),
                    model.write(id, parts.introduced, parts.parts, 0, sizeAtLeast, safe));
        }

        void append() {
            long id = pick(files);
            ModelTree.Node node = model.nodes.get(id);
            if (node != null && node.bytes.length > 2 * FILE_BYTES_MAX) return;
            Parts parts = parts();
            int offset = node == null ? 0 : node.bytes.length;
            Errno errno = model.write(id, parts.introduced, parts.parts, offset, 0, 2);
            var command = new Command.Append(new InodeId(id), parts.slices, parts.extents, 4, 2, false);
            if (errno == null) add(command, offset);
            else add(command, errno);
        }

        void orphans() {
            switch (random.nextInt(5)) {
                case 0 -> {
                    long id = Ids.of(1, counter++);
                    int pod = pod();
                    Errno errno = model.createOrphan(id, 0600, pod);
                    add(new Command.CreateOrphan(new InodeId(id), 0600, 0, 0, new Incarnation(pod)), errno);
                    if (errno == null) {
                        everything.add(id);
                        files.add(id);
                    }
                }
                case 1 -> {
                    long id = pick(everything);
                    int pod = pod();
                    ModelTree.Node node = model.nodes.get(id);
                    if (node != null && node.orphanedIndex >= 0) node.holders.add(pod);
                    add(new Command.Hold(new InodeId(id), new Incarnation(pod)), node == null ? Errno.ENOENT : null);
                }
                case 2 -> {
                    long id = pick(everything);
                    int pod = pod();
                    ModelTree.Node node = model.nodes.get(id);
                    if (node != null) node.holders.remove(pod);
                    add(new Command.Release(new InodeId(id), new Incarnation(pod)), 0);
                }
                case 3 -> {
                    for (int pod : pods) {
                        if (random.nextInt(5) == 0) continue;
                        model.acknowledged.put(pod, model.index);
                        add(new Command.AcknowledgeOrphans(new Incarnation(pod), log.index + 1), 0);
                    }
                }
                default -> {
                    List<Long> some = new ArrayList<>(everything);
                    add(new Command.Reap(some.stream().map(InodeId::new).toList()), model.reap(some));
                }
            }
        }

        void attributes() {
            long id = pick(everything);
            String name = "user." + name();
            byte[] nameBytes = name.getBytes(StandardCharsets.US_ASCII);
            switch (random.nextInt(6)) {
                case 0 -> {
                    String value = "value " + random.nextInt(100);
                    Command.XattrMode mode = Command.XattrMode.values()[random.nextInt(3)];
                    add(
                            new Command.SetXattr(
                                    new InodeId(id), nameBytes, value.getBytes(StandardCharsets.US_ASCII), mode),
                            model.setXattr(id, name, value, mode));
                }
                case 1 -> add(new Command.RemoveXattr(new InodeId(id), nameBytes), model.removeXattr(id, name));
                case 2, 3 -> {
                    boolean isDefault = random.nextBoolean();
                    boolean killSetgid = random.nextInt(4) == 0;
                    if (isDefault && random.nextInt(4) != 0) id = pick(directories);
                    ModelTree.Acl acl = random.nextInt(5) == 0 ? null : acl();
                    add(
                            new Command.SetAcl(
                                    new InodeId(id), isDefault, acl == null ? NONE : acl.bytes(), killSetgid),
                            model.setAcl(id, isDefault, acl, killSetgid));
                }
                case 4 -> flags();
                default -> {
                    int permissions = random.nextInt(010000);
                    add(
                            new Command.SetAttributes(new InodeId(id), permissions, null, 9, null, null, null, false),
                            model.chmod(id, permissions, 9));
                }
            }
        }

        ModelTree.Acl acl() {
            var users = new TreeMap<Integer, Integer>();
            var groups = new TreeMap<Integer, Integer>();
            for (int i = random.nextInt(3); i > 0; i--) users.put(random.nextInt(2_000), random.nextInt(8));
            for (int i = random.nextInt(3); i > 0; i--) groups.put(random.nextInt(2_000), random.nextInt(8));
            boolean masked = !users.isEmpty() || !groups.isEmpty() || random.nextInt(3) == 0;
            return new ModelTree.Acl(
                    random.nextInt(8),
                    random.nextInt(8),
                    random.nextInt(8),
                    masked ? random.nextInt(8) : -1,
                    users,
                    groups);
        }

        /** What is fixed is let go at the next turn, as otherwise nothing would change any more. */
        void flags() {
            long fixed = model.nodes.values().stream()
                    .filter(ModelTree.Node::isFixed)
                    .mapToLong(node -> node.id)
                    .findAny()
                    .orElse(0);
            long id = fixed == 0 || random.nextInt(4) == 0 ? pick(everything) : fixed;
            int flags = 0;
            for (int flag : new int[] {ModelTree.SYNC, ModelTree.NODUMP, ModelTree.NOATIME, ModelTree.DIRSYNC})
                if (random.nextInt(4) == 0) flags |= flag;
            if (fixed == 0 || random.nextInt(3) == 0)
                flags |= random.nextBoolean() ? ModelTree.IMMUTABLE : ModelTree.APPEND;
            ModelTree.Node node = model.nodes.get(id);
            if (node != null && random.nextInt(6) != 0) flags &= ModelTree.possible(node.type);
            add(new Command.SetFlags(new InodeId(id), flags), model.setFlags(id, flags));
        }

        void rare() {
            if (random.nextInt(8) != 0) return;
            switch (random.nextInt(3)) {
                case 0 -> {
                    if (pods.size() < 2) return;
                    int pod = pods.remove(1 + random.nextInt(pods.size() - 1));
                    model.removePod(pod);
                    add(new Command.RemovePod(new Incarnation(pod), true), 0);
                    admit();
                }
                case 1 -> {
                    flush();
                    log.namespace = new Namespace(table);
                }
                default -> {
                    // A new start: its holds end, and ids below the mark that have no row are dead.
                    flush();
                    log.session = log.open(new Incarnation(1), log.session.startCount() + 1, counter);
                    log.sequence = 0;
                    for (ModelTree.Node node : model.nodes.values()) node.holders.remove(1);
                    for (long id = 1; id < counter; id++)
                        if (!model.slices.containsKey(Ids.of(1, id))) model.dead.add(Ids.of(1, id));
                }
            }
        }

        void compare() {
            NamespaceView view = log.view();
            assertThat(view.totals().inodes()).isEqualTo(model.nodes.size());
            assertThat(view.totals().slices()).isEqualTo(model.slices.size());
            for (ModelTree.Node node : model.nodes.values()) {
                InodeId id = new InodeId(node.id);
                Attributes stat = Objects.requireNonNull(view.attributes(id), () -> "no " + id);
                assertThat(stat.type()).isEqualTo(node.type);
                assertThat(stat.permissions()).as("permissions of " + id).isEqualTo(node.permissions);
                assertThat(stat.gid()).isEqualTo(node.gid);
                assertThat(stat.links()).as("links of " + id).isEqualTo(node.links());
                assertThat(stat.flags()).as("flags of " + id).isEqualTo(node.flags);
                if (node.id != 1) {
                    String path = view.path(id);
                    assertThat(path == null).isEqualTo(node.orphanedIndex >= 0);
                    if (path != null) assertThat(find(path)).as(path).isSameAs(node);
                }
                if (node.isDirectory()) compareDirectory(view, node);
                if (node.type == FileType.SYMLINK)
                    assertThat(view.symlinkTarget(id)).isEqualTo(node.target);
                if (node.type == FileType.REGULAR) compareBytes(view, node, stat);
                var xattrs = new TreeMap<String, String>();
                int lists = 0;
                for (byte[] name : view.xattrNames(id)) {
                    String shown = new String(name, StandardCharsets.US_ASCII);
                    if (shown.startsWith("system.")) lists++;
                    else
                        xattrs.put(
                                shown,
                                new String(Objects.requireNonNull(view.xattr(id, name)), StandardCharsets.US_ASCII));
                }
                assertThat(lists).isEqualTo((node.access == null ? 0 : 1) + (node.inherited == null ? 0 : 1));
                assertThat(view.xattr(id, Acl.ACCESS)).isEqualTo(node.access == null ? null : node.access.bytes());
                assertThat(view.xattr(id, Acl.DEFAULT))
                        .isEqualTo(node.inherited == null ? null : node.inherited.bytes());
                assertThat(xattrs).isEqualTo(node.xattrs);
            }
            var held = new ArrayList<String>();
            view.slices(null, record -> {
                var holders = new TreeMap<Integer, Integer>();
                for (SliceRecord.Holder holder : record.holders())
                    holders.put(holder.incarnation().number(), holder.state().ordinal());
                held.add(record.slice().value() + " " + record.lengthBytes() + " " + holders + (record.names() > 0));
                return true;
            });
            var named = model.named();
            assertThat(held)
                    .isEqualTo(model.slices.values().stream()
                            .map(s -> s.id + " " + s.length + " " + s.holders + named.contains(s.id))
                            .toList());
            assertThat(view.unnamedSlices(Integer.MAX_VALUE).stream().map(SliceId::value))
                    .isEqualTo(model.slices.keySet().stream()
                            .filter(id -> !named.contains(id))
                            .toList());
            for (NamespaceView.Orphan orphan : view.orphans(null, Integer.MAX_VALUE)) {
                ModelTree.Node node =
                        Objects.requireNonNull(model.nodes.get(orphan.inode().value()));
                assertThat(orphan.orphanedIndex()).isEqualTo(node.orphanedIndex);
                assertThat(orphan.holders().stream().map(Incarnation::number))
                        .containsExactlyInAnyOrderElementsOf(node.holders);
            }
        }

        ModelTree.Node find(String path) {
            ModelTree.Node at = Objects.requireNonNull(model.nodes.get(1L));
            for (String part : path.substring(1).split("/"))
                at = Objects.requireNonNull(at.children.get(part), () -> "model has no " + path);
            return at;
        }

        void compareDirectory(NamespaceView view, ModelTree.Node node) {
            InodeId id = new InodeId(node.id);
            var listed = new TreeMap<String, Long>();
            long cookie = 0;
            while (true) {
                List<DirectoryEntry> entries = view.entries(id, cookie, 1 + random.nextInt(3));
                if (entries.isEmpty()) break;
                for (DirectoryEntry entry : entries) {
                    assertThat(entry.cookie()).isGreaterThanOrEqualTo(cookie);
                    cookie = entry.cookie();
                    assertThat(listed.put(entry.name().toString(), entry.inode().value()))
                            .isNull();
                }
            }
            var children = new TreeMap<String, Long>();
            node.children.forEach((name, child) -> children.put(name, child.id));
            assertThat(listed).isEqualTo(children);
            for (int i = 0; i < 8; i++) {
                InodeId found = view.lookup(id, FileName.of("n" + i));
                assertThat(found == null ? null : found.value()).isEqualTo(children.get("n" + i));
            }
            for (ModelTree.Node child : node.children.values())
                if (child.isDirectory())
                    assertThat(view.parent(new InodeId(child.id))).isEqualTo(id);
        }

        void compareBytes(NamespaceView view, ModelTree.Node node, Attributes stat) {
            assertThat(stat.size()).as("size of " + node.id).isEqualTo(node.bytes.length);
            assertThat(stat.allocatedBytes()).isEqualTo(node.allocated());
            var bytes = new ModelTree.Ref[node.bytes.length];
            for (Extent extent : view.extents(new InodeId(node.id), 0, Long.MAX_VALUE))
                for (int i = 0; i < extent.length(); i++)
                    bytes[(int) extent.fileOffset() + i] =
                            new ModelTree.Ref(extent.slice().value(), extent.sliceOffset() + i);
            assertThat(bytes).as("bytes of " + node.id).isEqualTo(node.bytes);
            if (node.bytes.length == 0) return;
            int from = random.nextInt(node.bytes.length);
            int to = from + 1 + random.nextInt(node.bytes.length - from);
            assertThat(view.extents(new InodeId(node.id), from, to))
                    .isEqualTo(view.extents(new InodeId(node.id), 0, Long.MAX_VALUE).stream()
                            .filter(e -> e.fileOffset() < to && e.fileEnd() > from)
                            .toList());
        }

        /** The whole log again, in a table that now and then goes back to an earlier state and is given the log from there. */
        void replay() {
            MemoryTable other = new MemoryTable();
            Namespace again = new Namespace(other);
            MemoryTable kept = other.copy();
            for (int at = 0; at < log.entries.size(); at++) {
                again.apply(at + 1, log.entries.get(at));
                if (random.nextInt(200) == 0) kept = other.copy();
                if (random.nextInt(400) == 0) {
                    other = kept.copy();
                    again = new Namespace(other);
                    int from = (int) Math.max(0, again.view().appliedIndex() - random.nextInt(3));
                    for (int i = from; i <= at; i++) {
                        boolean old = i + 1 <= again.view().appliedIndex();
                        Applied applied = again.apply(i + 1, log.entries.get(i));
                        assertThat(applied.status() == Applied.Status.SKIPPED).isEqualTo(old);
                    }
                }
            }
            assertThat(again.view().appliedIndex()).isEqualTo(log.index);
            assertThat(again.digest()).isEqualTo(log.namespace.digest());
            assertThat(NamespaceChecker.check(other)).isEmpty();
        }
    }
}
