// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Acl;
import dev.wormhole.model.Answer;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Command.RenameMode;
import dev.wormhole.namespace.Command.XattrMode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The tree as a machine sees it whose users have other numbers ({@link Owners}). The kernel checks its users against the owners
 * that are shown; two things it cannot:
 * <ul>
 *   <li>Its root may do anything with what is shown. Files that in the network belong to somebody who has no counterpart here,
 *       above all root's, are therefore open to this whole machine, its root included, only as far as their permissions for
 *       others, or for a group that is known here, go.
 *   <li>A program with the set-uid bit made here would run there as whom its file belongs to. Those bits are dropped.
 * </ul>
 */
public final class OwnedFileSystem implements FileSystem {
    private static final int READ = 4, WRITE = 2, SEARCH = 1;
    private static final int SET_IDS = 06000;
    private static final int O_ACCMODE = 3, O_RDONLY = 0, O_WRONLY = 1, O_TRUNC = 01000, FMODE_EXEC = 040;

    private final FileSystem inner;
    private final Owners owners;

    public OwnedFileSystem(FileSystem inner, Owners owners) {
        this.inner = inner;
        this.owners = owners;
    }

    // ---- what is shown

    private Attributes shown(Attributes a) {
        return new Attributes(
                a.inode(),
                a.type(),
                a.permissions(),
                a.links(),
                owners.userHere(a.uid()),
                owners.groupHere(a.gid()),
                a.device(),
                a.size(),
                a.allocatedBytes(),
                a.accessedNanos(),
                a.modifiedNanos(),
                a.changedNanos(),
                a.bornNanos(),
                a.content(),
                a.layout(),
                a.flags());
    }

    private Entry shown(Entry entry) {
        return new Entry(
                shown(entry.attributes()), entry.entryValidNanos(), entry.attributesValidNanos(), entry.asOfNanos());
    }

    private Answer<Entry> entry(Answer<Entry> answer) {
        return switch (answer) {
            case Answer.Ok<Entry>(var entry) -> new Answer.Ok<>(shown(entry));
            case Answer.Refused<Entry> refused -> refused;
        };
    }

    private Answer<Stat> stat(Answer<Stat> answer) {
        return switch (answer) {
            case Answer.Ok<Stat>(var stat) ->
                new Answer.Ok<>(new Stat(shown(stat.attributes()), stat.validNanos(), stat.asOfNanos()));
            case Answer.Refused<Stat> refused -> refused;
        };
    }

    private Answer<Created> created(Answer<Created> answer) {
        return switch (answer) {
            case Answer.Ok<Created>(var created) ->
                new Answer.Ok<>(new Created(shown(created.entry()), created.opened()));
            case Answer.Refused<Created> refused -> refused;
        };
    }

    private Caller there(Caller caller) {
        return new Caller(
                owners.userThere(caller.uid()), owners.groupThere(caller.gid()), caller.pid(), caller.umask());
    }

    private static int withoutSetIds(FileType type, int permissions) {
        return type == FileType.DIRECTORY ? permissions : permissions & ~SET_IDS;
    }

    // ---- what is somebody's of whom nobody here knows

    /** Whether this machine may, whoever asks; an inode that is gone is for the operation itself to refuse. */
    private boolean mayNot(InodeId inode, int wanted) throws IOException, InterruptedException {
        if (!(inner.attributes(inode, 0) instanceof Answer.Ok<Stat>(var stat))) return false;
        return mayNot(stat.attributes(), wanted);
    }

    private boolean mayNot(Attributes a, int wanted) {
        if (owners.hasUser(a.uid())) return false;
        int granted = a.permissions() & 7 | (owners.hasGroup(a.gid()) ? a.permissions() >>> 3 & 7 : 0);
        return (granted & wanted) != wanted;
    }

    private boolean isForeign(InodeId inode) throws IOException, InterruptedException {
        return inner.attributes(inode, 0) instanceof Answer.Ok<Stat>(var stat)
                && !owners.hasUser(stat.attributes().uid());
    }

    private static <T> Answer<T> denied() {
        return new Answer.Refused<>(Errno.EACCES);
    }

    private static <T> Answer<T> forbidden() {
        return new Answer.Refused<>(Errno.EPERM);
    }

    /** Names in a directory with the sticky bit that belongs to nobody here are their owners' alone. */
    private boolean mayNotTake(InodeId directory, FileName name) throws IOException, InterruptedException {
        if (!(inner.attributes(directory, 0) instanceof Answer.Ok<Stat>(var of))) return false;
        if (mayNot(of.attributes(), WRITE | SEARCH)) return true;
        if ((of.attributes().permissions() & 01000) == 0
                || owners.hasUser(of.attributes().uid())) return false;
        if (!(inner.lookup(directory, name) instanceof Answer.Ok<Entry>(var entry))) return false;
        inner.forget(entry.attributes().inode(), 1);
        return !owners.hasUser(entry.attributes().uid());
    }

    // ---- operations on names

    @Override
    public boolean answersFromMemory() {
        return inner.answersFromMemory();
    }

    @Override
    public Answer<Entry> lookup(InodeId directory, FileName name) throws IOException, InterruptedException {
        return mayNot(directory, SEARCH) ? denied() : entry(inner.lookup(directory, name));
    }

    @Override
    public Answer<Entry> lookupSelf(InodeId inode) throws IOException, InterruptedException {
        return entry(inner.lookupSelf(inode));
    }

    @Override
    public Answer<Entry> lookupParent(InodeId directory) throws IOException, InterruptedException {
        return entry(inner.lookupParent(directory));
    }

    @Override
    public Answer<Stat> attributes(InodeId inode, long handle) throws IOException, InterruptedException {
        return stat(inner.attributes(inode, handle));
    }

    @Override
    public void forget(InodeId inode, long count) {
        inner.forget(inode, count);
    }

    @Override
    public Answer<Stat> setAttributes(InodeId inode, long handle, Changes changes)
            throws IOException, InterruptedException {
        if (!(inner.attributes(inode, handle) instanceof Answer.Ok<Stat>(var before)))
            return stat(inner.setAttributes(inode, handle, changes));
        var a = before.attributes();
        if (!owners.hasUser(a.uid())) {
            if (changes.permissions() != null || changes.uid() != null || changes.gid() != null) return forbidden();
            // Through a handle it was allowed when that was opened.
            if (handle == 0 && mayNot(a, WRITE)) return changes.size() != null ? denied() : forbidden();
        }
        Integer uid = null;
        if (changes.uid() != null && changes.uid() != owners.userHere(a.uid())) {
            uid = owners.userGiven(changes.uid());
            if (uid == null) return forbidden();
        }
        Integer gid = null;
        if (changes.gid() != null && changes.gid() != owners.groupHere(a.gid())) {
            gid = owners.groupGiven(changes.gid());
            if (gid == null) return forbidden();
        }
        Integer permissions = changes.permissions();
        if (permissions != null) permissions = withoutSetIds(a.type(), permissions);
        return stat(inner.setAttributes(
                inode,
                handle,
                new Changes(
                        permissions,
                        uid,
                        gid,
                        changes.size(),
                        changes.accessedNanos(),
                        changes.modifiedNanos(),
                        changes.killPrivileges(),
                        changes.timesChosen())));
    }

    @Override
    public Answer<byte[]> readSymlink(InodeId inode) throws IOException, InterruptedException {
        return inner.readSymlink(inode);
    }

    @Override
    public Answer<Entry> make(
            Caller caller, InodeId directory, FileName name, FileType type, int permissions, int device, byte[] target)
            throws IOException, InterruptedException {
        if (mayNot(directory, WRITE | SEARCH)) return denied();
        // A device belongs to whoever may open it: not to a machine that is not root in the network.
        if ((type == FileType.CHARACTER_DEVICE || type == FileType.BLOCK_DEVICE) && owners.userThere(0) != 0)
            return forbidden();
        return entry(
                inner.make(there(caller), directory, name, type, withoutSetIds(type, permissions), device, target));
    }

    @Override
    public Answer<Created> create(Caller caller, InodeId directory, FileName name, int permissions, int flags)
            throws IOException, InterruptedException {
        if (mayNot(directory, SEARCH)) return denied();
        // An existing file is opened, which asks for nothing of the directory.
        if (inner.lookup(directory, name) instanceof Answer.Ok<Entry>(var existing)) {
            inner.forget(existing.attributes().inode(), 1);
            if (mayNot(existing.attributes(), wanted(flags))) return denied();
        } else if (mayNot(directory, WRITE | SEARCH)) {
            return denied();
        }
        return created(
                inner.create(there(caller), directory, name, withoutSetIds(FileType.REGULAR, permissions), flags));
    }

    @Override
    public Answer<Created> createUnnamed(Caller caller, InodeId directory, int permissions, int flags)
            throws IOException, InterruptedException {
        if (mayNot(directory, WRITE | SEARCH)) return denied();
        return created(
                inner.createUnnamed(there(caller), directory, withoutSetIds(FileType.REGULAR, permissions), flags));
    }

    @Override
    public Answer<Entry> link(InodeId inode, InodeId directory, FileName name)
            throws IOException, InterruptedException {
        if (mayNot(directory, WRITE | SEARCH)) return denied();
        // As with fs.protected_hardlinks: nobody keeps what is not his by another name.
        if (isForeign(inode) && mayNot(inode, READ | WRITE)) return forbidden();
        return entry(inner.link(inode, directory, name));
    }

    @Override
    public Answer<Void> unlink(InodeId directory, FileName name) throws IOException, InterruptedException {
        return mayNotTake(directory, name) ? denied() : inner.unlink(directory, name);
    }

    @Override
    public Answer<Void> removeDirectory(InodeId directory, FileName name) throws IOException, InterruptedException {
        return mayNotTake(directory, name) ? denied() : inner.removeDirectory(directory, name);
    }

    @Override
    public Answer<Void> rename(
            InodeId fromDirectory, FileName fromName, InodeId toDirectory, FileName toName, RenameMode mode)
            throws IOException, InterruptedException {
        if (mayNotTake(fromDirectory, fromName) || mayNotTake(toDirectory, toName)) return denied();
        return inner.rename(fromDirectory, fromName, toDirectory, toName, mode);
    }

    // ---- open files

    private static int wanted(int flags) {
        // The kernel opens a program to run it, which asks for no more than that.
        if ((flags & FMODE_EXEC) != 0) return SEARCH;
        int access = flags & O_ACCMODE;
        int wanted = access == O_RDONLY ? READ : access == O_WRONLY ? WRITE : READ | WRITE;
        return (flags & O_TRUNC) != 0 ? wanted | WRITE : wanted;
    }

    @Override
    public Answer<Opened> open(InodeId inode, int flags) throws IOException, InterruptedException {
        if (!(inner.attributes(inode, 0) instanceof Answer.Ok<Stat>(var stat))) return inner.open(inode, flags);
        return mayNot(stat.attributes(), wanted(flags)) ? denied() : inner.open(inode, flags);
    }

    @Override
    public Answer<Integer> read(long handle, long offset, ByteBuffer into) throws IOException, InterruptedException {
        return inner.read(handle, offset, into);
    }

    @Override
    public Answer<Integer> write(long handle, long offset, ByteBuffer bytes, int how)
            throws IOException, InterruptedException {
        return inner.write(handle, offset, bytes, how);
    }

    @Override
    public Answer<Void> flush(long handle) throws IOException, InterruptedException {
        return inner.flush(handle);
    }

    @Override
    public Answer<Void> lock(long handle, WantedLock wanted, boolean wait) throws IOException, InterruptedException {
        return inner.lock(handle, wanted, wait);
    }

    @Override
    public Answer<Void> unlock(long handle, WantedLock given) throws IOException, InterruptedException {
        return inner.unlock(handle, given);
    }

    @Override
    public Answer<Optional<WantedLock>> lockInTheWay(long handle, WantedLock wanted)
            throws IOException, InterruptedException {
        return inner.lockInTheWay(handle, wanted);
    }

    @Override
    public void unlockAtClose(long handle, long owner) throws InterruptedException {
        inner.unlockAtClose(handle, owner);
    }

    @Override
    public Answer<Void> sync(long handle, boolean dataOnly) throws IOException, InterruptedException {
        return inner.sync(handle, dataOnly);
    }

    @Override
    public void release(long handle) {
        inner.release(handle);
    }

    @Override
    public Answer<Void> allocate(long handle, long offset, long length, int mode)
            throws IOException, InterruptedException {
        return inner.allocate(handle, offset, length, mode);
    }

    @Override
    public Answer<Long> seek(long handle, long offset, int whence) throws IOException, InterruptedException {
        return inner.seek(handle, offset, whence);
    }

    @Override
    public Answer<Long> copyRange(long fromHandle, long fromOffset, long toHandle, long toOffset, long length)
            throws IOException, InterruptedException {
        return inner.copyRange(fromHandle, fromOffset, toHandle, toOffset, length);
    }

    // ---- listings

    @Override
    public Answer<Opened> openDirectory(InodeId directory) throws IOException, InterruptedException {
        return mayNot(directory, READ) ? denied() : inner.openDirectory(directory);
    }

    @Override
    public Answer<Void> list(long handle, long afterCookie, boolean attributes, ListingSink sink)
            throws IOException, InterruptedException {
        return inner.list(handle, afterCookie, attributes, listed -> {
            var entry = listed.entry();
            return sink.take(new Listed(
                    listed.name(),
                    listed.inode(),
                    listed.type(),
                    listed.cookie(),
                    entry == null ? null : shown(entry)));
        });
    }

    @Override
    public Answer<Void> syncDirectory(long handle, boolean dataOnly) throws IOException, InterruptedException {
        return inner.syncDirectory(handle, dataOnly);
    }

    @Override
    public void releaseDirectory(long handle) {
        inner.releaseDirectory(handle);
    }

    // ---- extended attributes and access control lists

    private static boolean isList(byte[] name) {
        return Arrays.equals(name, Acl.ACCESS) || Arrays.equals(name, Acl.DEFAULT);
    }

    @Override
    public Answer<byte[]> xattr(InodeId inode, byte[] name) throws IOException, InterruptedException {
        var answer = inner.xattr(inode, name);
        if (!isList(name)) return mayNot(inode, READ) ? denied() : answer;
        if (!(answer instanceof Answer.Ok<byte[]>(var bytes))) return answer;
        Acl list = Acl.decode(bytes);
        return list == null
                ? answer
                : new Answer.Ok<>(list.renumbered(owners::listedUserHere, owners::listedGroupHere)
                        .encode());
    }

    @Override
    public Answer<List<byte[]>> xattrNames(InodeId inode) throws IOException, InterruptedException {
        return inner.xattrNames(inode);
    }

    @Override
    public Answer<Void> setXattr(InodeId inode, byte[] name, byte[] value, XattrMode mode)
            throws IOException, InterruptedException {
        return mayNot(inode, WRITE) ? denied() : inner.setXattr(inode, name, value, mode);
    }

    @Override
    public Answer<Void> removeXattr(InodeId inode, byte[] name) throws IOException, InterruptedException {
        return mayNot(inode, WRITE) ? denied() : inner.removeXattr(inode, name);
    }

    @Override
    public Answer<Void> setAcl(InodeId inode, boolean isDefault, byte[] acl, boolean killSetgid)
            throws IOException, InterruptedException {
        if (isForeign(inode)) return forbidden();
        Acl list = Acl.isEmpty(acl) ? null : Acl.decode(acl);
        if (list == null) return inner.setAcl(inode, isDefault, acl, killSetgid);
        // Entries of whom nobody here knows were not shown: they stay as they are.
        Acl before = inner.xattr(inode, isDefault ? Acl.DEFAULT : Acl.ACCESS) instanceof Answer.Ok<byte[]>(var bytes)
                ? Acl.decode(bytes)
                : null;
        Acl there = list.renumbered(owners::listedUserThere, owners::listedGroupThere);
        if (there.named() < list.named()) return new Answer.Refused<>(Errno.EINVAL);
        if (before != null) there = there.withHidden(before, owners::listedUserHere, owners::listedGroupHere);
        return inner.setAcl(inode, isDefault, there.encode(), killSetgid);
    }

    @Override
    public Answer<Void> setFlags(InodeId inode, int flags) throws IOException, InterruptedException {
        return isForeign(inode) ? forbidden() : inner.setFlags(inode, flags);
    }

    // ---- the rest

    @Override
    public Space space() throws IOException {
        return inner.space();
    }

    @Override
    public void attach(KernelCache cache) {
        inner.attach(cache);
    }
}
