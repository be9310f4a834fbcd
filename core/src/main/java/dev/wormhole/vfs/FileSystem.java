// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Answer;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Command.RenameMode;
import dev.wormhole.namespace.Command.XattrMode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What a file operation means, whatever the operating system's protocol. An adapter calls these from many threads. A
 * refusal is an {@link Answer}; an {@link IOException} is a failure that the adapter answers with EIO (and logs once); an
 * interrupt of the calling thread ends a wait and the adapter answers EINTR. Permission checks of the caller are the
 * kernel's ({@code default_permissions}); ids in {@link Caller} make owners of new inodes.
 */
public interface FileSystem {
    /**
     * Who asks. {@code gid} is the caller's filesystem group, {@code pid} is for messages.
     *
     * @param umask permission bits that the caller's new files do not get, unless the directory's default ACL says what they
     *     get
     */
    record Caller(int uid, int gid, int pid, int umask) {}

    /**
     * An inode as the kernel may keep it.
     *
     * @param entryValidNanos for how long the kernel may trust the name
     * @param attributesValidNanos for how long it may trust the attributes
     * @param asOfNanos when that was granted, by {@link System#nanoTime}: a reply that leaves later than
     *     {@link #REPLY_NANOS} after it must grant nothing
     */
    record Entry(Attributes attributes, long entryValidNanos, long attributesValidNanos, long asOfNanos) {}

    /** Attributes and for how long the kernel may trust them, as {@link Entry}. */
    record Stat(Attributes attributes, long validNanos, long asOfNanos) {}

    /** How long a reply may be under way and still grant what it says. */
    long REPLY_NANOS = Grants.REPLY_NANOS;

    /**
     * An open file or directory.
     *
     * @param handle names the open file until {@link #release} or {@link #releaseDirectory}; never 0
     * @param keepCache the kernel's cached pages, or listing, are of the newest version; else it drops them now and may
     *     keep what it reads from here on
     * @param directIo the kernel must not cache reads, or a listing, and must not merge or believe offsets of writes
     */
    record Opened(long handle, boolean keepCache, boolean directIo) {}

    /** A new file, already open. */
    record Created(Entry entry, Opened opened) {}

    /**
     * Whether lookup, getattr, open, opendir, readdir, readlink and xattr reads are at this moment answered without waiting
     * for disk or network, so that an adapter may call them on the thread that reads requests.
     */
    boolean answersFromMemory();

    /** Refused: ENOENT. */
    Answer<Entry> lookup(InodeId directory, FileName name) throws IOException, InterruptedException;

    /** An inode by its number (".", for exported handles). Refused: ESTALE when it is gone, or nameless and not open here. */
    Answer<Entry> lookupSelf(InodeId inode) throws IOException, InterruptedException;

    /** The directory that holds a directory ("..", for exported handles). */
    Answer<Entry> lookupParent(InodeId directory) throws IOException, InterruptedException;

    /** Refused: ESTALE when it is gone. */
    Answer<Stat> attributes(InodeId inode, long handle) throws IOException, InterruptedException;

    /** The kernel drops {@code count} of the references that lookups, creates and listings gave it. */
    void forget(InodeId inode, long count);

    /**
     * What setattr(2) and its kin change; null leaves one as it is.
     *
     * @param timesChosen the times are the program's own, not its "now": an append-only file refuses them
     */
    record Changes(
            @Nullable Integer permissions,
            @Nullable Integer uid,
            @Nullable Integer gid,
            @Nullable Long size,
            @Nullable Long accessedNanos,
            @Nullable Long modifiedNanos,
            boolean killPrivileges,
            boolean timesChosen) {}

    /** @param handle the open file through which it is asked (ftruncate), or 0 */
    Answer<Stat> setAttributes(InodeId inode, long handle, Changes changes) throws IOException, InterruptedException;

    Answer<byte[]> readSymlink(InodeId inode) throws IOException, InterruptedException;

    /** mknod, mkdir, symlink. {@code target} is a symlink's, else empty. {@code permissions}: before the umask. */
    Answer<Entry> make(
            Caller caller, InodeId directory, FileName name, FileType type, int permissions, int device, byte[] target)
            throws IOException, InterruptedException;

    /** open(2) with O_CREAT. {@code flags} are Linux's; without O_EXCL an existing file is opened. */
    Answer<Created> create(Caller caller, InodeId directory, FileName name, int permissions, int flags)
            throws IOException, InterruptedException;

    /** open(2) with O_TMPFILE in the directory. */
    Answer<Created> createUnnamed(Caller caller, InodeId directory, int permissions, int flags)
            throws IOException, InterruptedException;

    Answer<Entry> link(InodeId inode, InodeId directory, FileName name) throws IOException, InterruptedException;

    Answer<Void> unlink(InodeId directory, FileName name) throws IOException, InterruptedException;

    Answer<Void> removeDirectory(InodeId directory, FileName name) throws IOException, InterruptedException;

    Answer<Void> rename(InodeId fromDirectory, FileName fromName, InodeId toDirectory, FileName toName, RenameMode mode)
            throws IOException, InterruptedException;

    /** {@code flags} are Linux's open flags. O_TRUNC is honoured. Refused: ESTALE for an inode without a name that nobody here has open. */
    Answer<Opened> open(InodeId inode, int flags) throws IOException, InterruptedException;

    /** Fills the buffer's remaining space. Answer: bytes read, less than asked only at the end of the file. */
    Answer<Integer> read(long handle, long offset, ByteBuffer into) throws IOException, InterruptedException;

    /** In {@code how} of a write: suid and sgid are to be cleared, as the kernel asks. */
    int KILL_PRIVILEGES = 1;

    /** The bytes were taken long ago, into a page of a mapping: they are kept even if the file has become immutable. */
    int FROM_PAGES = 2;

    /** The offset counts on an O_APPEND handle too: the program has taken O_APPEND back (fcntl(2)), or these are pages. */
    int AT_OFFSET = 4;

    /**
     * Takes the buffer's remaining bytes into staging. Waits for no commit. On an O_APPEND handle the offset is ignored.
     * Refused: EPERM for an immutable file.
     *
     * @param how {@link #KILL_PRIVILEGES}, {@link #FROM_PAGES}, {@link #AT_OFFSET}
     */
    Answer<Integer> write(long handle, long offset, ByteBuffer bytes, int how) throws IOException, InterruptedException;

    /** close(2) of one descriptor: new bytes are committed, so that an open elsewhere that follows sees them. */
    Answer<Void> flush(long handle) throws IOException, InterruptedException;

    /**
     * A lock as a program wants it: of a range of bytes (fcntl(2)), or of the whole file (flock(2)).
     *
     * @param owner of a range, the kernel's name for who would hold it: a process's table of files, or an open file. It is the
     *     next file's once a file is closed; so a lock of the whole file belongs to the handle, whatever this says
     * @param to last byte, {@link Long#MAX_VALUE} for the end of the file wherever it will be
     */
    record WantedLock(boolean whole, long owner, int pid, boolean exclusive, long from, long to) {}

    /**
     * Takes a lock that holds on every pod, in place of what its owner has there. What others committed before they gave it up
     * is seen from then on, also through pages that the kernel kept. Refused: EAGAIN (something is in the way, without {@code
     * wait}), EDEADLK (ranges alone), ENOLCK (too many, or no network).
     */
    Answer<Void> lock(long handle, WantedLock wanted, boolean wait) throws IOException, InterruptedException;

    /** Ends what the owner has there; what was written before is seen by whoever gets the lock next. */
    Answer<Void> unlock(long handle, WantedLock given) throws IOException, InterruptedException;

    /** F_GETLK: a lock in the way, if there is one. Its pid is 0 on other pods. */
    Answer<Optional<WantedLock>> lockInTheWay(long handle, WantedLock wanted) throws IOException, InterruptedException;

    /** After {@link #flush}: ends the locks of ranges that the closing process has, through whatever handle. */
    void unlockAtClose(long handle, long owner) throws InterruptedException;

    /** fsync(2), fdatasync(2): what was written is durable as declared. */
    Answer<Void> sync(long handle, boolean dataOnly) throws IOException, InterruptedException;

    /** The last descriptor of the handle is gone, and so are locks that belong to the open file itself. */
    void release(long handle);

    /** fallocate(2) with Linux's mode bits. Refused: EOPNOTSUPP for modes that are not supported. */
    Answer<Void> allocate(long handle, long offset, long length, int mode) throws IOException, InterruptedException;

    /** lseek(2) with SEEK_DATA (3) or SEEK_HOLE (4). */
    Answer<Long> seek(long handle, long offset, int whence) throws IOException, InterruptedException;

    /** copy_file_range(2); shares slices, moves no bytes. Answer: bytes copied. */
    Answer<Long> copyRange(long fromHandle, long fromOffset, long toHandle, long toOffset, long length)
            throws IOException, InterruptedException;

    Answer<Opened> openDirectory(InodeId directory) throws IOException, InterruptedException;

    /** One entry of a listing. {@code cookie} resumes behind it. {@code entry} only where attributes were asked for. */
    record Listed(
            byte[] name,
            InodeId inode,
            FileType type,
            long cookie,
            @Nullable Entry entry) {}

    /** Takes listing entries until it answers false (its buffer is full); the refused one is not counted as listed. */
    interface ListingSink {
        boolean take(Listed entry);
    }

    /**
     * Lists from behind the cookie (0: the start, with "." and ".." first). With {@code attributes} each entry that the sink
     * takes, but not "." and "..", counts as a lookup for {@link #forget}.
     */
    Answer<Void> list(long handle, long afterCookie, boolean attributes, ListingSink sink)
            throws IOException, InterruptedException;

    Answer<Void> syncDirectory(long handle, boolean dataOnly) throws IOException, InterruptedException;

    void releaseDirectory(long handle);

    /** Refused: ENODATA. */
    Answer<byte[]> xattr(InodeId inode, byte[] name) throws IOException, InterruptedException;

    Answer<List<byte[]>> xattrNames(InodeId inode) throws IOException, InterruptedException;

    Answer<Void> setXattr(InodeId inode, byte[] name, byte[] value, XattrMode mode)
            throws IOException, InterruptedException;

    Answer<Void> removeXattr(InodeId inode, byte[] name) throws IOException, InterruptedException;

    /**
     * Sets or, without an entry, removes the access or the default {@link dev.wormhole.model.Acl}; {@link #xattr} reads
     * them, and chmod and creation keep them as Linux does. Refused: EINVAL, EACCES (a default one, but no directory),
     * ENODATA (none to remove), EPERM, EOPNOTSUPP.
     *
     * @param killSetgid the caller is not of the file's group
     */
    Answer<Void> setAcl(InodeId inode, boolean isDefault, byte[] acl, boolean killSetgid)
            throws IOException, InterruptedException;

    /** Sets all {@link dev.wormhole.model.InodeFlags}. Refused as {@link dev.wormhole.namespace.Command.SetFlags}. */
    Answer<Void> setFlags(InodeId inode, int flags) throws IOException, InterruptedException;

    /** statfs(2) in blocks of 4,096 bytes. */
    record Space(long blocks, long freeBlocks, long inodes, long freeInodes) {}

    Space space() throws IOException;

    /** The mount tells where notifications go; called once, before the first request. */
    void attach(KernelCache cache);

    /** What the kernel may be told to drop. Never blocks the caller: a thread of the mount's own writes them. */
    interface KernelCache {
        void attributesChanged(InodeId inode);

        /** Cached pages (of a file) or the cached listing (of a directory) are stale. */
        void contentChanged(InodeId inode);

        /** Runs the action, which must not block, once the kernel has dropped the pages that it was told to drop before. */
        void afterContent(InodeId inode, Runnable action);

        /** Runs the action, which must not block, once the kernel has been told of all attributes named before. */
        void afterAttributes(Runnable action);
    }
}
