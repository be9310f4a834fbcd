// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static dev.wormhole.model.Errno.*;

import dev.wormhole.model.Errno;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Ids;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The tree as simply as it can be said: objects that point at each other, and files as arrays that say for each byte which
 * byte of which slice it is. Written from the commands' documentation, to be compared with the real machine. Every
 * operation answers null or an errno.
 */
final class ModelTree {
    static final int SYNC = 0x8, IMMUTABLE = 0x10, APPEND = 0x20, NODUMP = 0x40, NOATIME = 0x80, DIRSYNC = 0x10000;

    /** Flags that an inode of this type can have. */
    static int possible(FileType type) {
        return switch (type) {
            case DIRECTORY -> SYNC | IMMUTABLE | APPEND | NODUMP | NOATIME | DIRSYNC;
            case REGULAR -> SYNC | IMMUTABLE | APPEND | NODUMP | NOATIME;
            default -> NODUMP | NOATIME;
        };
    }

    /** An ACL: rwx of the owner, the group and the others, of named users and groups; the mask, -1 if there is none. */
    record Acl(
            int user,
            int group,
            int other,
            int mask,
            TreeMap<Integer, Integer> users,
            TreeMap<Integer, Integer> groups) {
        boolean isPlain() {
            return mask < 0 && users.isEmpty() && groups.isEmpty();
        }

        int permissions() {
            return user << 6 | (mask < 0 ? group : mask) << 3 | other;
        }

        Acl chmod(int permissions) {
            int middle = permissions >> 3 & 7;
            return new Acl(
                    permissions >> 6 & 7,
                    mask < 0 ? middle : group,
                    permissions & 7,
                    mask < 0 ? -1 : middle,
                    users,
                    groups);
        }

        Acl narrowed(int permissions) {
            int middle = permissions >> 3 & 7;
            return new Acl(
                    user & permissions >> 6,
                    mask < 0 ? group & middle : group,
                    other & permissions,
                    mask < 0 ? -1 : mask & middle,
                    users,
                    groups);
        }

        /** As in the attribute: tags 1 owner, 2 user, 4 group of the file, 8 group, 16 mask, 32 others. */
        byte[] bytes() {
            var to = ByteBuffer.allocate(4 + 8 * (3 + users.size() + groups.size() + (mask < 0 ? 0 : 1)))
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(2);
            to.putShort((short) 1).putShort((short) user).putInt(-1);
            users.forEach((id, bits) ->
                    to.putShort((short) 2).putShort((short) (int) bits).putInt(id));
            to.putShort((short) 4).putShort((short) group).putInt(-1);
            groups.forEach((id, bits) ->
                    to.putShort((short) 8).putShort((short) (int) bits).putInt(id));
            if (mask >= 0) to.putShort((short) 16).putShort((short) mask).putInt(-1);
            return to.putShort((short) 32).putShort((short) other).putInt(-1).array();
        }
    }

    /** Which byte of which slice; null is a hole. */
    record Ref(long slice, long offset) {}

    static final class Node {
        final long id;
        final FileType type;
        int permissions;
        int uid;
        int gid;
        byte[] target = {};
        int flags;

        @Nullable Acl access;

        @Nullable Acl inherited;

        @Nullable Ref[] bytes = {};

        final TreeMap<String, Node> children = new TreeMap<>();
        final Set<String> names = new LinkedHashSet<>(); // parent id + "/" + name
        final TreeMap<String, String> xattrs = new TreeMap<>();
        boolean linkable;
        long orphanedIndex = -1;
        final Set<Integer> holders = new HashSet<>();
        final List<History> histories = new ArrayList<>();

        Node(long id, FileType type) {
            this.id = id;
            this.type = type;
        }

        boolean isDirectory() {
            return type == FileType.DIRECTORY;
        }

        boolean isFixed() {
            return (flags & (IMMUTABLE | APPEND)) != 0;
        }

        boolean isImmutable() {
            return (flags & IMMUTABLE) != 0;
        }

        void setAccess(Acl acl) {
            permissions = permissions & ~0777 | acl.permissions();
            access = acl.isPlain() ? null : acl;
        }

        int links() {
            if (!isDirectory()) return names.size();
            return orphanedIndex >= 0
                    ? 0
                    : 2
                            + (int) children.values().stream()
                                    .filter(Node::isDirectory)
                                    .count();
        }

        long allocated() {
            return Arrays.stream(bytes).filter(r -> r != null).count();
        }
    }

    /** What one commit displaced, by position, and the slices it waits for with the copies they need. */
    static final class History {
        final TreeMap<Integer, Ref> old = new TreeMap<>();
        final Map<Long, Integer> waits = new LinkedHashMap<>();
    }

    static final class Slice {
        final long id;
        final long length;
        /** 0 written, 1 durable, 2 verified. */
        final TreeMap<Integer, Integer> holders = new TreeMap<>();

        Slice(long id, long length) {
            this.id = id;
            this.length = length;
        }
    }

    final TreeMap<Long, Node> nodes = new TreeMap<>();
    final TreeMap<Long, Slice> slices = new TreeMap<>();
    final Set<Long> dead = new HashSet<>();
    final TreeMap<Integer, Long> acknowledged = new TreeMap<>();
    long index;

    ModelTree() {
        Node root = new Node(1, FileType.DIRECTORY);
        root.permissions = 0755;
        nodes.put(1L, root);
    }

    private @Nullable Errno parent(long id) {
        Node node = nodes.get(id);
        if (node == null) return ENOENT;
        if (!node.isDirectory()) return ENOTDIR;
        return node.orphanedIndex >= 0 ? ENOENT : null;
    }

    private Node node(long id) {
        Node node = nodes.get(id);
        if (node == null) throw new AssertionError("model has no " + id);
        return node;
    }

    @Nullable Errno create(
            long parent,
            String name,
            long id,
            FileType type,
            int permissions,
            int uid,
            int gid,
            byte[] target,
            int umask) {
        Errno errno = parent(parent);
        if (errno != null) return errno;
        Node directory = node(parent);
        if (directory.children.containsKey(name)) return EEXIST;
        if (directory.isImmutable()) return EPERM;
        if (nodes.containsKey(id)) return EEXIST;
        Node node = new Node(id, type);
        node.permissions = permissions;
        node.uid = uid;
        node.gid = gid;
        node.target = target;
        if ((directory.permissions & 02000) != 0) {
            node.gid = directory.gid;
            if (type == FileType.DIRECTORY) node.permissions |= 02000;
        }
        node.flags = directory.flags & (SYNC | NODUMP | NOATIME | DIRSYNC) & possible(type);
        if (type != FileType.SYMLINK) {
            if (directory.inherited == null) {
                node.permissions &= ~umask;
            } else {
                node.setAccess(directory.inherited.narrowed(node.permissions));
                if (type == FileType.DIRECTORY) node.inherited = directory.inherited;
            }
        }
        nodes.put(id, node);
        attach(directory, name, node);
        return null;
    }

    private static void attach(Node directory, String name, Node node) {
        directory.children.put(name, node);
        node.names.add(directory.id + "/" + name);
    }

    private static void detach(Node directory, String name) {
        Node node = directory.children.remove(name);
        if (node != null) node.names.remove(directory.id + "/" + name);
    }

    private void orphanIfNameless(Node node) {
        if (node.names.isEmpty() && node.orphanedIndex < 0) {
            node.orphanedIndex = index;
            node.linkable = false;
        }
    }

    @Nullable Errno createOrphan(long id, int permissions, int holder) {
        if (nodes.containsKey(id)) return EEXIST;
        if (!acknowledged.containsKey(holder)) return ESTALE;
        Node node = new Node(id, FileType.REGULAR);
        node.permissions = permissions;
        node.linkable = true;
        node.orphanedIndex = index;
        node.holders.add(holder);
        nodes.put(id, node);
        return null;
    }

    @Nullable Errno link(long id, long parent, String name) {
        Node node = nodes.get(id);
        if (node == null) return ENOENT;
        Errno errno = parent(parent);
        if (errno != null) return errno;
        if (node(parent).children.containsKey(name)) return EEXIST;
        if (node.isDirectory() || node.isFixed() || node(parent).isImmutable()) return EPERM;
        if (node.orphanedIndex >= 0 && !node.linkable) return ENOENT;
        node.orphanedIndex = -1;
        node.linkable = false;
        node.holders.clear();
        attach(node(parent), name, node);
        return null;
    }

    @Nullable Errno remove(long parent, String name, long expected, boolean directory) {
        Errno errno = parent(parent);
        if (errno != null) return errno;
        Node node = node(parent).children.get(name);
        if (node == null || node.id != expected) return ENOENT;
        if (node(parent).isFixed() || node.isFixed()) return EPERM;
        if (directory && !node.isDirectory()) return ENOTDIR;
        if (!directory && node.isDirectory()) return EISDIR;
        if (directory && !node.children.isEmpty()) return ENOTEMPTY;
        detach(node(parent), name);
        orphanIfNameless(node);
        return null;
    }

    private boolean isBelow(Node below, Node above) {
        if (below == above) return true;
        for (Node child : above.children.values()) if (child.isDirectory() && isBelow(below, child)) return true;
        return false;
    }

    @Nullable Errno rename(
            long fromId,
            String fromName,
            long expected,
            long toId,
            String toName,
            long replaced,
            Command.RenameMode mode) {
        Errno errno = parent(fromId);
        if (errno == null) errno = parent(toId);
        if (errno != null) return errno;
        Node from = node(fromId);
        Node to = node(toId);
        Node source = from.children.get(fromName);
        if (source == null || source.id != expected) return ENOENT;
        Node target = to.children.get(toName);
        if (target != null && mode == Command.RenameMode.NO_REPLACE) return EEXIST;
        if (target == null && mode == Command.RenameMode.EXCHANGE) return ENOENT;
        if (target != null && target.id != replaced) return EEXIST;
        if (from.isFixed() || source.isFixed()) return EPERM;
        if (target == null ? to.isImmutable() : to.isFixed() || target.isFixed()) return EPERM;
        if (source.isDirectory() && isBelow(to, source)) return EINVAL;
        if (target == source) return null;
        if (mode == Command.RenameMode.EXCHANGE && target != null) {
            if (target.isDirectory() && isBelow(from, target)) return EINVAL;
            detach(from, fromName);
            detach(to, toName);
            attach(from, fromName, target);
            attach(to, toName, source);
            return null;
        }
        if (target != null) {
            if (source.isDirectory() && !target.isDirectory()) return ENOTDIR;
            if (!source.isDirectory() && target.isDirectory()) return EISDIR;
            if (!target.children.isEmpty()) return ENOTEMPTY;
            detach(to, toName);
        }
        detach(from, fromName);
        attach(to, toName, source);
        if (target != null) orphanIfNameless(target);
        return null;
    }

    @Nullable Errno chmod(long id, int permissions, int gid) {
        Node node = nodes.get(id);
        if (node == null) return ENOENT;
        if (node.isFixed()) return EPERM;
        node.permissions = permissions;
        node.gid = gid;
        if (node.access != null) node.setAccess(node.access.chmod(permissions));
        return null;
    }

    @Nullable Errno setXattr(long id, String name, String value, Command.XattrMode mode) {
        Node node = nodes.get(id);
        if (node == null) return ENOENT;
        if (node.isFixed()) return EPERM;
        if (mode == Command.XattrMode.CREATE && node.xattrs.containsKey(name)) return EEXIST;
        if (mode == Command.XattrMode.REPLACE && !node.xattrs.containsKey(name)) return ENODATA;
        node.xattrs.put(name, value);
        return null;
    }

    @Nullable Errno removeXattr(long id, String name) {
        Node node = nodes.get(id);
        if (node == null) return ENOENT;
        if (node.isFixed()) return EPERM;
        return node.xattrs.remove(name) == null ? ENODATA : null;
    }

    /** @param acl null to remove it */
    @Nullable Errno setAcl(long id, boolean isDefault, @Nullable Acl acl, boolean killSetgid) {
        Node node = nodes.get(id);
        if (node == null) return ENOENT;
        if (node.type == FileType.SYMLINK) return EOPNOTSUPP;
        if (isDefault && !node.isDirectory()) return EACCES;
        if (node.isFixed()) return EPERM;
        if (acl == null) {
            if ((isDefault ? node.inherited : node.access) == null) return ENODATA;
            if (isDefault) node.inherited = null;
            else node.access = null;
            return null;
        }
        if (isDefault) {
            node.inherited = acl;
            return null;
        }
        node.setAccess(acl);
        if (killSetgid) node.permissions &= ~02000;
        return null;
    }

    @Nullable Errno setFlags(long id, int flags) {
        Node node = nodes.get(id);
        if (node == null) return ENOENT;
        if ((flags & ~possible(node.type)) != 0) return EOPNOTSUPP;
        if (node.isImmutable() && (flags & IMMUTABLE) != 0 && flags != node.flags) return EPERM;
        node.flags = flags;
        return null;
    }

    private @Nullable Errno file(long id) {
        Node node = nodes.get(id);
        if (node == null) return ENOENT;
        if (node.isDirectory()) return EISDIR;
        return node.type == FileType.REGULAR ? null : EINVAL;
    }

    @Nullable Errno truncate(long id, int size) {
        Errno errno = file(id);
        if (errno != null) return errno;
        Node node = node(id);
        if (node.isFixed()) return EPERM;
        node.bytes = Arrays.copyOf(node.bytes, size);
        settle();
        return null;
    }

    @Nullable Errno punch(long id, int from, int length) {
        Errno errno = file(id);
        if (errno != null) return errno;
        Node node = node(id);
        for (int p = from; p < Math.min(from + length, node.bytes.length); p++) node.bytes[p] = null;
        settle();
        return null;
    }

    /** One part of a commit: so many bytes at the position from the slice. */
    record Part(int position, int length, long slice, long sliceOffset) {}

    record Introduced(long slice, long length, List<Integer> durableOn) {}

    @Nullable Errno write(long id, List<Introduced> introduced, List<Part> parts, int offset, int sizeAtLeast, int safeCopies) {
        Errno errno = file(id);
        if (errno != null) return errno;
        for (Introduced slice : introduced) {
            if (slices.containsKey(slice.slice)) continue;
            if (dead.contains(slice.slice) || slice.durableOn.stream().noneMatch(acknowledged::containsKey))
                return ESTALE;
        }
        for (Part part : parts)
            if (!slices.containsKey(part.slice) && introduced.stream().noneMatch(s -> s.slice == part.slice))
                return ESTALE;
        for (Introduced slice : introduced) {
            boolean fresh = !slices.containsKey(slice.slice);
            Slice known = slices.computeIfAbsent(slice.slice, s -> new Slice(s, slice.length));
            for (int pod : slice.durableOn)
                if (acknowledged.containsKey(pod) && (fresh || pod == Ids.allocator(slice.slice)))
                    known.holders.merge(pod, 1, Math::max);
        }
        Node node = node(id);
        int end = sizeAtLeast;
        for (Part part : parts) end = Math.max(end, offset + part.position + part.length);
        if (end > node.bytes.length) node.bytes = Arrays.copyOf(node.bytes, end);
        var history = new History();
        for (Part part : parts) if (copies(part.slice) < safeCopies) history.waits.put(part.slice, safeCopies);
        for (Part part : parts)
            for (int i = 0; i < part.length; i++) {
                int p = offset + part.position + i;
                Ref old = node.bytes[p];
                if (old != null) history.old.put(p, old);
                node.bytes[p] = new Ref(part.slice, part.sliceOffset + i);
            }
        if (!history.old.isEmpty() && !history.waits.isEmpty()) node.histories.add(history);
        settle();
        return null;
    }

    int copies(long slice) {
        Slice known = slices.get(slice);
        if (known == null) throw new AssertionError("model has no slice " + slice);
        return (int) known.holders.values().stream().filter(state -> state > 0).count();
    }

    Set<Long> named() {
        var named = new HashSet<Long>();
        for (Node node : nodes.values()) {
            for (Ref ref : node.bytes) if (ref != null) named.add(ref.slice);
            for (History history : node.histories) for (Ref ref : history.old.values()) named.add(ref.slice);
        }
        return named;
    }

    /** Histories whose slices are safe, or named by nothing any more, go; that may unname others. */
    private void settle() {
        boolean again = true;
        while (again) {
            again = false;
            Set<Long> named = named();
            for (Node node : nodes.values()) {
                for (History history : node.histories)
                    again |= history.waits
                            .entrySet()
                            .removeIf(w -> !named.contains(w.getKey()) || copies(w.getKey()) >= w.getValue());
                again |= node.histories.removeIf(h -> h.waits.isEmpty());
            }
        }
    }

    long addHolders(int pod, int state, List<Long> list) {
        long took = 0;
        for (long id : list) {
            Slice slice = slices.get(id);
            if (slice == null) continue;
            Integer before = slice.holders.get(pod);
            if (before != null && before >= state) continue;
            slice.holders.put(pod, state);
            took++;
        }
        settle();
        return took;
    }

    long loseHolder(int pod, List<Long> list) {
        long ended = 0;
        for (long id : list) {
            Slice slice = slices.get(id);
            if (slice == null || slice.holders.remove(pod) == null) continue;
            ended++;
            if (copies(id) == 0) lost(id);
            settle();
        }
        return ended;
    }

    private void lost(long id) {
        for (Node node : nodes.values()) {
            for (int i = 0; i < node.histories.size(); i++) {
                History history = node.histories.get(i);
                if (!history.waits.containsKey(id)) continue;
                List<History> later = node.histories.subList(i + 1, node.histories.size());
                history.old.forEach((p, old) -> {
                    if (copies(old.slice) == 0) return;
                    if (p < node.bytes.length && node.bytes[p] instanceof Ref now && now.slice == id)
                        node.bytes[p] = old;
                    for (History h : later) if (h.old.get(p) instanceof Ref kept && kept.slice == id) h.old.put(p, old);
                });
            }
        }
        for (Node node : nodes.values()) {
            for (History history : node.histories) history.waits.remove(id);
            node.histories.removeIf(h -> h.waits.isEmpty());
        }
    }

    void removePod(int pod) {
        acknowledged.remove(pod);
        for (Node node : nodes.values()) node.holders.remove(pod);
        var had = new ArrayList<Long>();
        for (Slice slice : slices.values()) {
            Integer state = slice.holders.remove(pod);
            if (state != null && state > 0) had.add(slice.id);
        }
        for (long id : had) {
            boolean waited =
                    nodes.values().stream().anyMatch(n -> n.histories.stream().anyMatch(h -> h.waits.containsKey(id)));
            if (waited && copies(id) == 0) {
                lost(id);
                settle();
            }
        }
    }

    long discard(List<Long> list) {
        Set<Long> named = named();
        long gone = 0;
        for (long id : list) {
            if (named.contains(id) || slices.remove(id) == null) continue;
            dead.add(id);
            gone++;
        }
        return gone;
    }

    long abandon(List<Long> list) {
        long gone = 0;
        for (long id : list) if (!slices.containsKey(id) && dead.add(id)) gone++;
        return gone;
    }

    long reap(List<Long> list) {
        long least =
                acknowledged.values().stream().mapToLong(Long::longValue).min().orElse(Long.MAX_VALUE);
        long reaped = 0;
        for (long id : list) {
            Node node = nodes.get(id);
            if (node == null || node.orphanedIndex < 0 || !node.holders.isEmpty() || node.orphanedIndex > least)
                continue;
            nodes.remove(id);
            reaped++;
            settle();
        }
        return reaped;
    }
}
