// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Acl;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeFlags;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Rows.OrphanRow;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Names, inodes, attributes: each command is checked whole, in the order in which Linux checks, then applied. */
final class TreeChanges {
    static final int SYMLINK_BYTES_MAX = 4095;
    static final int XATTR_NAME_BYTES_MAX = 255;
    static final int XATTR_VALUE_BYTES_MAX = 65_536;
    /** listxattr(2) cannot tell more. */
    static final int XATTR_LIST_BYTES_MAX = 65_536;

    static final int LINKS_MAX = Integer.MAX_VALUE;
    private static final int SETGID = 02000;
    private static final byte[] CAPABILITY = "security.capability".getBytes(StandardCharsets.US_ASCII);
    private static final Outcome DONE = new Outcome.Done(0);

    private final Working state;
    private final ContentChanges content;
    private final LockChanges locks;

    TreeChanges(Working state, ContentChanges content, LockChanges locks) {
        this.state = state;
        this.content = content;
        this.locks = locks;
    }

    static Outcome refused(Errno errno) {
        return new Outcome.Refused(errno);
    }

    // ---- names

    private long lookup(long directory, FileName name) {
        byte[] row = state.get(state.entry(directory, name.bytes()));
        return row == null ? 0 : Rows.entryInode(row);
    }

    private void putEntry(InodeRow directory, FileName name, InodeRow inode) {
        state.put(state.entry(directory.id, name.bytes()), Rows.entry(inode.id, inode.type));
    }

    /** The directory's row if names can be made in it, else why not. */
    private sealed interface Directory {
        record Open(InodeRow row) implements Directory {}

        record Not(Errno errno) implements Directory {}
    }

    private Directory directory(InodeId id) {
        InodeRow row = state.inode(id);
        if (row == null) return new Directory.Not(Errno.ENOENT);
        if (!row.isDirectory()) return new Directory.Not(Errno.ENOTDIR);
        if (row.links == 0) return new Directory.Not(Errno.ENOENT);
        return new Directory.Open(row);
    }

    private void addName(InodeRow inode, InodeRow directory, FileName name) {
        if (inode.parent == 0) {
            inode.parent = directory.id;
            inode.name = name.bytes();
        } else {
            state.put(Keys.of(Keys.FURTHER_NAME, inode.id, directory.id, name.bytes()), Rows.MARK);
        }
    }

    /** Forgets one of the inode's names; another one, if there is any, becomes its first. */
    private void removeName(InodeRow inode, InodeRow directory, FileName name) {
        if (!inode.isNamed(directory.id, name.bytes())) {
            state.remove(Keys.of(Keys.FURTHER_NAME, inode.id, directory.id, name.bytes()));
            return;
        }
        inode.unname();
        if (inode.isDirectory() || inode.links <= 1) return;
        state.scan(Keys.of(Keys.FURTHER_NAME, inode.id), (key, _) -> {
            inode.parent = Keys.id(key, 1);
            inode.name = Keys.tail(key, 2);
            state.remove(key);
            return false;
        });
    }

    /** The name has just gone from its directory: one link less, and an orphan if it was the last. */
    private void unlinked(InodeRow inode, InodeRow directory, FileName name) {
        removeName(inode, directory, name);
        if (inode.isDirectory()) {
            inode.links = 0;
            directory.links--;
        } else {
            inode.links--;
        }
        state.touch(inode);
        if (inode.links == 0) {
            state.put(Keys.of(Keys.ORPHAN, inode.id), new OrphanRow(false, state.index, List.of()).encode());
            state.orphanCount++;
            state.changes.add(new Change.Orphaned(new InodeId(inode.id)));
        }
    }

    Outcome create(Command.Create c) {
        InodeRow parent;
        switch (directory(c.parent())) {
            case Directory.Open(var row) -> parent = row;
            case Directory.Not(var errno) -> {
                return refused(errno);
            }
        }
        if (lookup(parent.id, c.name()) != 0) return refused(Errno.EEXIST);
        if (isImmutable(parent)) return refused(Errno.EPERM);
        if (state.inode(c.inode()) != null) return refused(Errno.EEXIST);
        boolean symlink = c.type() == FileType.SYMLINK;
        if (symlink && c.target().length == 0) return refused(Errno.ENOENT);
        if (symlink && c.target().length > SYMLINK_BYTES_MAX) return refused(Errno.ENAMETOOLONG);
        if (!symlink && c.target().length > 0) return refused(Errno.EINVAL);
        boolean isDirectory = c.type() == FileType.DIRECTORY;
        if (isDirectory && parent.links == LINKS_MAX) return refused(Errno.EMLINK);

        InodeRow inode = state.newInode(c.inode(), c.type());
        inode.permissions = c.permissions() & 07777;
        inode.uid = c.uid();
        inode.gid = c.gid();
        inode.device = c.device();
        inode.links = isDirectory ? 2 : 1;
        inode.size = c.target().length;
        inherit(inode, parent, c.umask());
        if (symlink) state.put(Keys.of(Keys.SYMLINK, inode.id), Rows.opaque(c.target()));
        addName(inode, parent, c.name());
        putEntry(parent, c.name(), inode);
        parent.entries++;
        if (isDirectory) parent.links++;
        state.touch(inode);
        state.touchDirectory(parent, c.name());
        return DONE;
    }

    /** What something new takes from its directory: group, flags, default ACL; without one the umask counts. */
    private void inherit(InodeRow inode, InodeRow parent, int umask) {
        if ((parent.permissions & SETGID) != 0) {
            inode.gid = parent.gid;
            if (inode.isDirectory()) inode.permissions |= SETGID;
        }
        inode.flags = InodeFlags.inherited(parent.flags, inode.type);
        if (inode.type == FileType.SYMLINK) return;
        byte[] inherited = parent.xattrNameBytes == 0 ? null : state.get(Keys.of(Keys.XATTR, parent.id, Acl.DEFAULT));
        if (inherited == null) {
            inode.permissions &= ~umask;
            return;
        }
        Acl acl = stored(inherited).forNew(inode.permissions);
        putAccess(inode, acl);
        if (inode.isDirectory()) putXattr(inode, Acl.DEFAULT, Rows.opaqueValue(inherited));
    }

    private static boolean isImmutable(InodeRow inode) {
        return (inode.flags & InodeFlags.IMMUTABLE) != 0;
    }

    Outcome createOrphan(Command.CreateOrphan c) {
        InodeRow parent = null;
        InodeId in = c.parent();
        if (in != null) {
            switch (directory(in)) {
                case Directory.Open(var row) -> parent = row;
                case Directory.Not(var errno) -> {
                    return refused(errno);
                }
            }
            if (isImmutable(parent)) return refused(Errno.EPERM);
        }
        if (state.inode(c.inode()) != null) return refused(Errno.EEXIST);
        if (!state.isMember(c.holder().number())) return refused(Errno.ESTALE);
        InodeRow inode = state.newInode(c.inode(), FileType.REGULAR);
        inode.permissions = c.permissions() & 07777;
        inode.uid = c.uid();
        inode.gid = c.gid();
        if (parent != null) inherit(inode, parent, c.umask());
        int holder = c.holder().number();
        state.put(Keys.of(Keys.ORPHAN, inode.id), new OrphanRow(true, state.index, List.of(holder)).encode());
        state.put(Keys.of(Keys.HOLD, holder, inode.id), Rows.MARK);
        state.orphanCount++;
        state.touch(inode);
        return DONE;
    }

    Outcome link(Command.Link c) {
        InodeRow inode = state.inode(c.inode());
        if (inode == null) return refused(Errno.ENOENT);
        InodeRow parent;
        switch (directory(c.parent())) {
            case Directory.Open(var row) -> parent = row;
            case Directory.Not(var errno) -> {
                return refused(errno);
            }
        }
        if (lookup(parent.id, c.name()) != 0) return refused(Errno.EEXIST);
        if (inode.isDirectory() || inode.isFixed() || isImmutable(parent)) return refused(Errno.EPERM);
        OrphanRow orphan = inode.links == 0 ? state.orphan(inode.id) : null;
        if (orphan != null && !orphan.linkable()) return refused(Errno.ENOENT);
        if (inode.links == LINKS_MAX) return refused(Errno.EMLINK);

        if (orphan != null) {
            state.remove(Keys.of(Keys.ORPHAN, inode.id));
            for (int holder : orphan.holders()) state.remove(Keys.of(Keys.HOLD, holder, inode.id));
            state.orphanCount--;
        }
        addName(inode, parent, c.name());
        inode.links++;
        putEntry(parent, c.name(), inode);
        parent.entries++;
        state.touch(inode);
        state.touchDirectory(parent, c.name());
        return DONE;
    }

    Outcome unlink(Command.Unlink c) {
        return removeEntry(c.parent(), c.name(), c.expected(), false);
    }

    Outcome removeDirectory(Command.RemoveDirectory c) {
        return removeEntry(c.parent(), c.name(), c.expected(), true);
    }

    private Outcome removeEntry(InodeId directory, FileName name, InodeId expected, boolean wantsDirectory) {
        InodeRow parent;
        switch (directory(directory)) {
            case Directory.Open(var row) -> parent = row;
            case Directory.Not(var errno) -> {
                return refused(errno);
            }
        }
        long found = lookup(parent.id, name);
        if (found == 0 || found != expected.value()) return refused(Errno.ENOENT);
        InodeRow inode = state.existing(found);
        if (parent.isFixed() || inode.isFixed()) return refused(Errno.EPERM);
        if (wantsDirectory && !inode.isDirectory()) return refused(Errno.ENOTDIR);
        if (!wantsDirectory && inode.isDirectory()) return refused(Errno.EISDIR);
        if (wantsDirectory && inode.entries > 0) return refused(Errno.ENOTEMPTY);

        state.remove(state.entry(parent.id, name.bytes()));
        parent.entries--;
        unlinked(inode, parent, name);
        state.touchDirectory(parent, name);
        return DONE;
    }

    Outcome rename(Command.Rename c) {
        InodeRow from;
        switch (directory(c.fromParent())) {
            case Directory.Open(var row) -> from = row;
            case Directory.Not(var errno) -> {
                return refused(errno);
            }
        }
        InodeRow to;
        switch (directory(c.toParent())) {
            case Directory.Open(var row) -> to = row;
            case Directory.Not(var errno) -> {
                return refused(errno);
            }
        }
        long sourceId = lookup(from.id, c.fromName());
        if (sourceId == 0 || sourceId != c.expected().value()) return refused(Errno.ENOENT);
        long targetId = lookup(to.id, c.toName());
        if (targetId != 0 && c.mode() == Command.RenameMode.NO_REPLACE) return refused(Errno.EEXIST);
        if (targetId == 0 && c.mode() == Command.RenameMode.EXCHANGE) return refused(Errno.ENOENT);
        InodeId replaced = c.replaced();
        if (targetId != 0 && (replaced == null || replaced.value() != targetId)) return refused(Errno.EEXIST);
        InodeRow source = state.existing(sourceId);
        if (from.isFixed() || source.isFixed()) return refused(Errno.EPERM);
        if (targetId == 0
                ? isImmutable(to)
                : to.isFixed() || state.existing(targetId).isFixed()) return refused(Errno.EPERM);
        if (source.isDirectory() && isAncestor(source, to)) return refused(Errno.EINVAL);
        if (targetId == sourceId) return DONE;
        boolean moves = from.id != to.id;
        if (targetId == 0) {
            if (source.isDirectory() && moves && to.links == LINKS_MAX) return refused(Errno.EMLINK);
            move(source, from, c.fromName(), to, c.toName());
            return DONE;
        }
        InodeRow target = state.existing(targetId);
        if (c.mode() == Command.RenameMode.EXCHANGE) {
            if (target.isDirectory() && isAncestor(target, from)) return refused(Errno.EINVAL);
            boolean more = source.isDirectory() && !target.isDirectory();
            boolean less = target.isDirectory() && !source.isDirectory();
            if (moves && (more && to.links == LINKS_MAX || less && from.links == LINKS_MAX))
                return refused(Errno.EMLINK);
            exchange(source, from, c.fromName(), target, to, c.toName());
            return DONE;
        }
        if (source.isDirectory() && !target.isDirectory()) return refused(Errno.ENOTDIR);
        if (!source.isDirectory() && target.isDirectory()) return refused(Errno.EISDIR);
        if (target.isDirectory() && target.entries > 0) return refused(Errno.ENOTEMPTY);
        state.remove(state.entry(to.id, c.toName().bytes()));
        to.entries--;
        unlinked(target, to, c.toName());
        move(source, from, c.fromName(), to, c.toName());
        return DONE;
    }

    /** Whether a directory is the other or above it. */
    private boolean isAncestor(InodeRow above, InodeRow below) {
        InodeRow at = below;
        while (true) {
            if (at.id == above.id) return true;
            if (at.id == InodeId.ROOT.value() || at.parent == 0) return false;
            at = state.existing(at.parent);
        }
    }

    private void move(InodeRow source, InodeRow from, FileName fromName, InodeRow to, FileName toName) {
        state.remove(state.entry(from.id, fromName.bytes()));
        from.entries--;
        rename(source, from, fromName, to, toName);
        putEntry(to, toName, source);
        to.entries++;
        if (source.isDirectory()) {
            from.links--;
            to.links++;
        }
        state.touch(source);
        state.touchDirectory(from, fromName);
        state.touchDirectory(to, toName);
    }

    private void rename(InodeRow inode, InodeRow from, FileName fromName, InodeRow to, FileName toName) {
        if (inode.isNamed(from.id, fromName.bytes())) {
            inode.parent = to.id;
            inode.name = toName.bytes();
        } else {
            state.remove(Keys.of(Keys.FURTHER_NAME, inode.id, from.id, fromName.bytes()));
            state.put(Keys.of(Keys.FURTHER_NAME, inode.id, to.id, toName.bytes()), Rows.MARK);
        }
    }

    private void exchange(
            InodeRow source, InodeRow from, FileName fromName, InodeRow target, InodeRow to, FileName toName) {
        rename(source, from, fromName, to, toName);
        rename(target, to, toName, from, fromName);
        putEntry(to, toName, source);
        putEntry(from, fromName, target);
        if (source.isDirectory()) {
            from.links--;
            to.links++;
        }
        if (target.isDirectory()) {
            to.links--;
            from.links++;
        }
        state.touch(source);
        state.touch(target);
        state.touchDirectory(from, fromName);
        state.touchDirectory(to, toName);
    }

    // ---- attributes

    Outcome setAttributes(Command.SetAttributes c) {
        InodeRow inode = state.inode(c.inode());
        if (inode == null) return refused(Errno.ENOENT);
        Long size = c.size();
        if (size != null) {
            if (inode.isDirectory()) return refused(Errno.EISDIR);
            if (inode.type != FileType.REGULAR || size < 0) return refused(Errno.EINVAL);
        }
        boolean changesMore = c.permissions() != null || c.uid() != null || c.gid() != null || size != null;
        boolean changesTimes = c.accessedNanos() != null || c.modifiedNanos() != null;
        if (changesMore && inode.isFixed() || changesTimes && isImmutable(inode)) return refused(Errno.EPERM);
        state.touch(inode);
        if (c.killPrivileges()) killPrivileges(inode);
        if (size != null) {
            if (size != inode.size) {
                if (size < inode.size) content.release(inode, size, Long.MAX_VALUE);
                inode.size = size;
                inode.layout++;
                state.touchContent(inode);
            }
            inode.modified = state.now;
        }
        Integer permissions = c.permissions();
        if (permissions != null) {
            inode.permissions = permissions & 07777;
            byte[] access = inode.xattrNameBytes == 0 ? null : state.get(Keys.of(Keys.XATTR, inode.id, Acl.ACCESS));
            if (access != null) putAccess(inode, stored(access).withPermissions(permissions));
        }
        Integer uid = c.uid();
        if (uid != null) inode.uid = uid;
        Integer gid = c.gid();
        if (gid != null) inode.gid = gid;
        Long accessed = c.accessedNanos();
        if (accessed != null) inode.accessed = accessed;
        Long modified = c.modifiedNanos();
        if (modified != null) inode.modified = modified;
        return new Outcome.Done(inode.content);
    }

    /** Suid, sgid and file capabilities go, as after a write by a normal user. */
    void killPrivileges(InodeRow inode) {
        inode.killPrivileges();
        if (!inode.isDirectory()) removeXattr(inode, CAPABILITY);
    }

    Outcome setXattr(Command.SetXattr c) {
        if (c.name().length == 0 || c.name().length > XATTR_NAME_BYTES_MAX) return refused(Errno.ERANGE);
        for (byte b : c.name()) if (b == 0) return refused(Errno.EINVAL);
        if (c.value().length > XATTR_VALUE_BYTES_MAX) return refused(Errno.E2BIG);
        InodeRow inode = state.inode(c.inode());
        if (inode == null) return refused(Errno.ENOENT);
        if (inode.isFixed()) return refused(Errno.EPERM);
        byte[] key = Keys.of(Keys.XATTR, inode.id, c.name());
        boolean exists = inode.xattrNameBytes > 0 && state.get(key) != null;
        if (exists && c.mode() == Command.XattrMode.CREATE) return refused(Errno.EEXIST);
        if (!exists && c.mode() == Command.XattrMode.REPLACE) return refused(Errno.ENODATA);
        if (!exists && inode.xattrNameBytes + c.name().length + 1 > XATTR_LIST_BYTES_MAX) return refused(Errno.ENOSPC);
        if (!exists) inode.xattrNameBytes += c.name().length + 1;
        state.put(key, Rows.opaque(c.value()));
        state.touch(inode);
        return DONE;
    }

    Outcome removeXattr(Command.RemoveXattr c) {
        if (c.name().length == 0 || c.name().length > XATTR_NAME_BYTES_MAX) return refused(Errno.ERANGE);
        InodeRow inode = state.inode(c.inode());
        if (inode == null) return refused(Errno.ENOENT);
        if (inode.isFixed()) return refused(Errno.EPERM);
        if (!removeXattr(inode, c.name())) return refused(Errno.ENODATA);
        state.touch(inode);
        return DONE;
    }

    // ---- ACLs and flags

    Outcome setAcl(Command.SetAcl c) {
        InodeRow inode = state.inode(c.inode());
        if (inode == null) return refused(Errno.ENOENT);
        if (inode.type == FileType.SYMLINK) return refused(Errno.EOPNOTSUPP);
        if (c.isDefault() && !inode.isDirectory()) return refused(Errno.EACCES);
        if (inode.isFixed()) return refused(Errno.EPERM);
        byte[] name = c.isDefault() ? Acl.DEFAULT : Acl.ACCESS;
        if (Acl.isEmpty(c.acl())) {
            if (!removeXattr(inode, name)) return refused(Errno.ENODATA);
            state.touch(inode);
            return DONE;
        }
        Acl acl = Acl.decode(c.acl());
        if (acl == null) return refused(Errno.EINVAL);
        if (inode.xattrNameBytes + name.length + 1 > XATTR_LIST_BYTES_MAX
                && state.get(Keys.of(Keys.XATTR, inode.id, name)) == null) return refused(Errno.ENOSPC);
        if (c.isDefault()) {
            putXattr(inode, name, acl.encode());
        } else {
            putAccess(inode, acl);
            if (c.killSetgid()) inode.permissions &= ~SETGID;
        }
        state.touch(inode);
        return DONE;
    }

    private static Acl stored(byte[] row) {
        Acl acl = Acl.decode(Rows.opaqueValue(row));
        if (acl == null) throw new IllegalStateException("an ACL that is none");
        return acl;
    }

    /** The permission bits follow the list; one that says no more than they is not kept. */
    private void putAccess(InodeRow inode, Acl acl) {
        inode.permissions = inode.permissions & ~0777 | acl.permissions();
        if (acl.isExtended()) putXattr(inode, Acl.ACCESS, acl.encode());
        else removeXattr(inode, Acl.ACCESS);
    }

    private void putXattr(InodeRow inode, byte[] name, byte[] value) {
        byte[] key = Keys.of(Keys.XATTR, inode.id, name);
        if (inode.xattrNameBytes == 0 || state.get(key) == null) inode.xattrNameBytes += name.length + 1;
        state.put(key, Rows.opaque(value));
    }

    private boolean removeXattr(InodeRow inode, byte[] name) {
        byte[] key = Keys.of(Keys.XATTR, inode.id, name);
        if (inode.xattrNameBytes == 0 || state.get(key) == null) return false;
        state.remove(key);
        inode.xattrNameBytes -= name.length + 1;
        return true;
    }

    Outcome setFlags(Command.SetFlags c) {
        InodeRow inode = state.inode(c.inode());
        if (inode == null) return refused(Errno.ENOENT);
        if ((c.flags() & ~InodeFlags.possible(inode.type)) != 0) return refused(Errno.EOPNOTSUPP);
        // as Linux has it, an immutable one must become mutable before its other flags change
        if (isImmutable(inode) && (c.flags() & InodeFlags.IMMUTABLE) != 0 && c.flags() != inode.flags)
            return refused(Errno.EPERM);
        inode.flags = c.flags();
        state.touch(inode);
        return DONE;
    }

    // ---- orphans

    Outcome hold(Command.Hold c) {
        InodeRow inode = state.inode(c.inode());
        if (inode == null) return refused(Errno.ENOENT);
        int holder = c.holder().number();
        if (!state.isMember(holder)) return refused(Errno.ESTALE);
        OrphanRow orphan = state.orphan(inode.id);
        if (orphan == null || orphan.holders().contains(holder)) return DONE;
        var holders = new ArrayList<>(orphan.holders());
        holders.add(holder);
        state.put(Keys.of(Keys.ORPHAN, inode.id), new OrphanRow(orphan.linkable(), orphan.index(), holders).encode());
        state.put(Keys.of(Keys.HOLD, holder, inode.id), Rows.MARK);
        return DONE;
    }

    Outcome release(Command.Release c) {
        endHold(c.inode().value(), c.holder().number());
        return DONE;
    }

    private void endHold(long inode, int holder) {
        state.remove(Keys.of(Keys.HOLD, holder, inode));
        OrphanRow orphan = state.orphan(inode);
        if (orphan == null || !orphan.holders().contains(holder)) return;
        var holders = new ArrayList<>(orphan.holders());
        holders.remove((Integer) holder);
        state.put(Keys.of(Keys.ORPHAN, inode), new OrphanRow(orphan.linkable(), orphan.index(), holders).encode());
    }

    /** A start of an incarnation is over, and with it everything it had open. */
    void endHolds(int holder) {
        state.scan(Keys.of(Keys.HOLD, holder), (key, _) -> {
            endHold(Keys.id(key, 1), holder);
            return true;
        });
    }

    Outcome reap(Command.Reap c) {
        long acknowledged = Long.MAX_VALUE;
        for (Rows.PodRow pod : state.pods.values())
            if (!pod.record().absent())
                acknowledged = Math.min(acknowledged, pod.record().orphansAcknowledgedIndex());
        long reaped = 0;
        for (InodeId id : c.inodes()) {
            OrphanRow orphan = state.orphan(id.value());
            if (orphan == null || !orphan.holders().isEmpty() || orphan.index() > acknowledged) continue;
            InodeRow inode = state.existing(id.value());
            if (!content.releaseAll(inode)) continue;
            if (inode.xattrNameBytes > 0)
                state.scan(Keys.of(Keys.XATTR, inode.id), (key, _) -> {
                    state.remove(key);
                    return true;
                });
            if (inode.type == FileType.SYMLINK) state.remove(Keys.of(Keys.SYMLINK, inode.id));
            state.remove(Keys.of(Keys.ORPHAN, inode.id));
            state.orphanCount--;
            locks.removed(inode);
            state.removeInode(inode);
            state.changes.add(new Change.Reaped(id));
            reaped++;
        }
        return new Outcome.Done(reaped);
    }
}
