// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A change of the replicated state. Commands say intent and the ids they expect, never resulting rows. Each has a number
 * in the log format ({@code docs/formats/commands.md}); what an old command does never changes. Byte arrays inside
 * commands are owned by them and must not change.
 */
public sealed interface Command {
    // ---- the tree

    /**
     * Makes an inode under a name. Refused: ENOENT/ENOTDIR (parent), EEXIST (name taken), EMLINK. In a setgid directory the
     * group is the directory's, and a new directory is setgid too. EPERM: the directory is immutable. Where the directory
     * has a default ACL the permissions come from it and the umask does not count, else the umask is taken from them.
     *
     * @param inode a fresh id of the proposer; outcome value: 0
     * @param target a symlink's target, empty for every other type
     * @param device st_rdev of device nodes, else 0
     */
    record Create(
            InodeId parent,
            FileName name,
            InodeId inode,
            FileType type,
            int permissions,
            int uid,
            int gid,
            int device,
            byte[] target,
            int umask)
            implements Command {
        /** With the umask applied already. */
        public Create(
                InodeId parent,
                FileName name,
                InodeId inode,
                FileType type,
                int permissions,
                int uid,
                int gid,
                int device,
                byte[] target) {
            this(parent, name, inode, type, permissions, uid, gid, device, target, 0);
        }
    }

    /**
     * A regular file without a name, held by the incarnation (O_TMPFILE); {@link Link} may give it a name later.
     *
     * @param parent whose group (if setgid), default ACL and flags it takes, as {@link Create}; null: none
     */
    record CreateOrphan(
            InodeId inode,
            int permissions,
            int uid,
            int gid,
            Incarnation holder,
            @Nullable InodeId parent,
            int umask) implements Command {
        public CreateOrphan(InodeId inode, int permissions, int uid, int gid, Incarnation holder) {
            this(inode, permissions, uid, gid, holder, null, 0);
        }
    }

    /** A further name for an inode that is not a directory. Refused: EEXIST, EPERM (directory), EMLINK, ENOENT. */
    record Link(InodeId inode, InodeId parent, FileName name) implements Command {}

    /** Removes a name of something that is not a directory. Refused: ENOENT, also when the name leads elsewhere; EISDIR. */
    record Unlink(InodeId parent, FileName name, InodeId expected) implements Command {}

    /** Removes an empty directory. Refused: ENOENT (also: leads elsewhere), ENOTDIR, ENOTEMPTY. */
    record RemoveDirectory(InodeId parent, FileName name, InodeId expected) implements Command {}

    /**
     * rename(2). Refused: ENOENT (source gone or elsewhere), EEXIST (NO_REPLACE, or a target that was not expected: the
     * proposer looks again), ENOTEMPTY, EISDIR, ENOTDIR, EINVAL (a directory into itself), EMLINK.
     *
     * @param expected what the proposer saw under the source name
     * @param replaced what it saw under the target name, null for nothing
     */
    record Rename(
            InodeId fromParent,
            FileName fromName,
            InodeId expected,
            InodeId toParent,
            FileName toName,
            @Nullable InodeId replaced,
            RenameMode mode)
            implements Command {}

    enum RenameMode {
        REPLACE,
        NO_REPLACE,
        EXCHANGE
    }

    /**
     * Changes attributes; null leaves one as it is. A change of size trims or leaves a hole, counts as content, and clears
     * suid/sgid as ftruncate does when {@code killPrivileges}. Outcome value: the new content counter.
     */
    record SetAttributes(
            InodeId inode,
            @Nullable Integer permissions,
            @Nullable Integer uid,
            @Nullable Integer gid,
            @Nullable Long size,
            @Nullable Long accessedNanos,
            @Nullable Long modifiedNanos,
            boolean killPrivileges)
            implements Command {}

    enum XattrMode {
        ANY,
        CREATE,
        REPLACE
    }

    /** Refused: EEXIST (CREATE), ENODATA (REPLACE). Names are 1-255 bytes, values at most 65,536 bytes. */
    record SetXattr(InodeId inode, byte[] name, byte[] value, XattrMode mode) implements Command {}

    /** Refused: ENODATA. */
    record RemoveXattr(InodeId inode, byte[] name) implements Command {}

    /**
     * Sets the access ACL, with the permission bits it implies, or a directory's default ACL. Refused: EINVAL (not an ACL),
     * EACCES (a default ACL of something else), EOPNOTSUPP (symlink), ENODATA (nothing to remove), EPERM (immutable).
     *
     * @param acl as {@link dev.wormhole.model.Acl}; without an entry: it is removed
     * @param killSetgid the caller is not of the file's group
     */
    record SetAcl(InodeId inode, boolean isDefault, byte[] acl, boolean killSetgid) implements Command {}

    /**
     * Sets all {@link dev.wormhole.model.InodeFlags}. Refused: EOPNOTSUPP for one that such an inode cannot have, EPERM for
     * another change of one that is and stays immutable.
     */
    record SetFlags(InodeId inode, int flags) implements Command {}

    // ---- bytes

    /** A slice as its writer introduces it: its whole length and who has it. */
    record NewSlice(SliceId slice, long lengthBytes, List<Incarnation> durableOn) {}

    /**
     * Commits written bytes: introduces slices and names ranges of them (or of slices already known). What the extents
     * cover is displaced, and kept in history while the new slices are durable on fewer pods than min(2, copies wanted).
     * Refused: ENOENT (inode gone), ESTALE (a slice was discarded or abandoned). The extents
     * are in order and do not overlap, else EINVAL. Outcome value: the new content counter.
     *
     * @param view the content counter that the writing handle last saw
     * @param sizeAtLeast the file is at least this long afterwards
     * @param modifiedNanos time of the last write by the writer's clock
     * @param safeCopies displaced content may go once the new slices are durable on so many pods
     * @param killPrivileges clears suid, and sgid where group-executable, as write(2) by a normal user does
     */
    record Write(
            InodeId inode,
            long view,
            List<NewSlice> slices,
            List<Extent> extents,
            long sizeAtLeast,
            long modifiedNanos,
            int safeCopies,
            boolean killPrivileges)
            implements Command {}

    /**
     * Adds bytes at what is the end of the file when this is applied. Outcome value: the offset that the bytes got.
     *
     * @param parts ranges of slices in order; {@code fileOffset} of each counts from the beginning of the appended bytes
     */
    record Append(
            InodeId inode,
            List<NewSlice> slices,
            List<Extent> parts,
            long modifiedNanos,
            int safeCopies,
            boolean killPrivileges)
            implements Command {}

    /** Makes [from, from + length) a hole; never changes the size. Outcome value: the new content counter. */
    record PunchHole(InodeId inode, long from, long length, long modifiedNanos) implements Command {}

    /** Adds or upgrades holders of slices. Discarded slices in the list are passed over. Outcome value: how many took. */
    record AddHolders(Incarnation holder, HolderState state, List<SliceId> slices) implements Command {}

    /**
     * Ends one holder's claim. Refused with EBUSY unless at least one incarnation is relied on and each of them is another
     * holder of a copy, neither absent nor draining, named once; or nothing names the slice any more, or the claim is no copy.
     * The proposer lists as many as the slice wants: the log does not know the rules.
     */
    record DropHolder(SliceId slice, Incarnation holder, List<Incarnation> relyingOn) implements Command {}

    /**
     * The holder says that its bytes are gone or damaged; always accepted. Where that was the last copy and what the slice
     * displaced is still kept, files go back to it. Outcome value: how many claims ended.
     */
    record LoseHolder(Incarnation holder, List<SliceId> slices) implements Command {}

    /**
     * Lets slices go that nothing names: their rows are removed and every store deletes them. Named ones and those
     * without a row are passed over. Outcome value: how many went.
     */
    record Discard(List<SliceId> slices) implements Command {}

    /**
     * The writer gives up slices that it never committed; a later commit that names one is refused. Slices with a row are
     * passed over. Outcome value: how many were given up now.
     */
    record Abandon(List<SliceId> slices) implements Command {}

    // ---- sessions, time, versions

    /**
     * Opens the session of one start of an incarnation and raises its settled mark: slices of this allocator whose counter
     * is below it and that no row names are dead. Ends the incarnation's older sessions and their holds. The same command
     * again does nothing. Refused: ENOENT (no member), EINVAL (numbers out of range), and without a trace in the session that
     * is open, when the store is a restored image of itself and would give ids out twice: ESTALE (a later start was opened),
     * EEXIST (this start was opened with another settled counter, or an earlier one with a higher). After either of the two
     * the store never gets a session; its pod joins as a new incarnation.
     *
     * <p>Done does not prove that the store is no restored image: one that was taken just before the present start repeats
     * this start's command word for word. A pod that has proposed nothing yet therefore also asks, once it has caught up,
     * whether batches of its session are applied already ({@link Namespace#lastSequence} above 0).
     *
     * @param startCount how often the store was opened, from 1; each open raises it
     * @param settledCounter first counter that the store had not reserved when this start began; the same for a whole start
     */
    record OpenSession(Incarnation incarnation, long startCount, long settledCounter) implements Command {}

    /** A pod has the orphan open. Does nothing to an inode with a name. Refused: ENOENT, ESTALE (no member). */
    record Hold(InodeId inode, Incarnation holder) implements Command {}

    /** The pod's last handle on it was closed. */
    record Release(InodeId inode, Incarnation holder) implements Command {}

    /**
     * Deletes orphans that nobody holds. Passed over: those held, or orphaned at an index that a pod which is not absent has
     * not acknowledged ({@link AcknowledgeOrphans}), and, for another Reap to go on with, the rest of one with more than 65,536
     * extents. Outcome value: how many are gone.
     */
    record Reap(List<InodeId> inodes) implements Command {}

    /** This incarnation has applied the log up to the index, and its holds on orphans made until then are committed. */
    record AcknowledgeOrphans(Incarnation incarnation, long index) implements Command {}

    /** So much time has passed by the leader's monotonic clock since its last tick. */
    record Tick(long elapsedNanos) implements Command {}

    /** New behaviour from here on. Refused with EINVAL unless one above the present level and known to every pod. */
    record RaiseLevel(int level) implements Command {}

    /** The digest of the state after the entry with the given log index; a pod that differs stops serving. */
    record Digest(long index, long digest) implements Command {}

    // ---- pods and configuration

    /**
     * Takes a pod (or a new incarnation of one) into the network. Outcome value: the incarnation granted. Refused: EEXIST
     * when another incarnation of that name is not removed; the same {@code storeToken} again gets the same answer, or ESTALE if
     * that incarnation was removed; EINVAL (name).
     *
     * @param storeToken random, made with the store, so that a repeated request is recognised
     */
    record AdmitPod(long storeToken, PodSettings settings) implements Command {}

    /** The pod's own file changed. Refused: ENOENT, EEXIST (name), EINVAL (name), EPERM as {@link RemovePod}. */
    record UpdatePod(Incarnation incarnation, PodSettings settings) implements Command {}

    /** Leaving: no new slices go there, its own are copied elsewhere; or back to being a full member. */
    record SetDraining(Incarnation incarnation, boolean draining) implements Command {}

    /** Declared absent (repair goes on without it), or back. */
    record SetAbsent(Incarnation incarnation, boolean absent) implements Command {}

    /**
     * Takes a pod into the prompt set or out of it. Proposed by the leader alone and without a session, so that it is
     * committed in the leader's own term or never. Refused: ENOENT (no member), ESTALE (another start of its store), EINVAL (in
     * a session).
     *
     * @param startCount the start that enters; anything when it leaves
     */
    record SetPrompt(Incarnation incarnation, long startCount, boolean prompt) implements Command {}

    /**
     * Ends a pod's membership and all its holder records. Refused with EBUSY when a slice would lose its last copy, unless
     * forced, and with EPERM when the network has administrators and the proposer is neither one nor that pod. Unforced it
     * reads every slice. Files whose newest bytes had no other copy go back as in {@link LoseHolder}.
     */
    record RemovePod(Incarnation incarnation, boolean force) implements Command {}

    /**
     * The network's configuration, whole, as its file says it. Refused with ESTALE unless it follows {@code basedOn}, and with
     * EPERM when the network has administrators and the proposer is none.
     * Outcome value: its version.
     */
    record Configure(long basedOn, String toml) implements Command {}

    // ---- administrators, invitations, joining

    /**
     * Makes a pod an administrator, or an ordinary one again. Refused: EPERM unless the proposer is an administrator (or there
     * is none, and it names itself), ENOENT (no member), EBUSY (the last one).
     */
    record SetAdministrator(Incarnation incarnation, boolean administrator) implements Command {}

    /**
     * Lets pods join with a token. Invitations that expired by then are forgotten. Refused: EPERM (the proposer is no
     * administrator), EEXIST (the token is known), EINVAL (numbers, name), ENOSPC (too many invitations).
     *
     * @param token hash of the token's public key, 32 bytes
     * @param uses how many pods may join with it, 1 to 10,000
     * @param expiresMillis since the epoch; from then on it lets nobody in
     * @param asAdministrator who joins with it is one
     * @param replaces whoever has the name is removed when somebody joins with it
     * @param name what the pod must be called; empty for any name
     * @param nowMillis the proposer's clock
     */
    record Invite(
            byte[] token,
            int uses,
            long expiresMillis,
            boolean asAdministrator,
            boolean replaces,
            String name,
            long nowMillis)
            implements Command {
        public Invite {
            checkBytes(token, Invitation.TOKEN_BYTES);
        }

        /** One that replaces nobody. */
        public Invite(
                byte[] token, int uses, long expiresMillis, boolean asAdministrator, String name, long nowMillis) {
            this(token, uses, expiresMillis, asAdministrator, false, name, nowMillis);
        }
    }

    /** Ends an invitation. Refused: EPERM (the proposer is no administrator), ENOENT. */
    record Withdraw(byte[] token) implements Command {
        public Withdraw {
            checkBytes(token, Invitation.TOKEN_BYTES);
        }
    }

    /**
     * As {@link AdmitPod}, for a machine that an administrator's pod has checked: it takes one use of the invitation, and keeps
     * the key's hash, so that nobody else gets the answer of a request that is repeated. Refused as AdmitPod, and: EPERM (the
     * proposer is no administrator), EEXIST also where the store token came with another key, and, by the invitation, ENOENT
     * (there is none), ETIMEDOUT (expired), EAGAIN (used up), EACCES (it is for another name).
     *
     * @param key SHA-256 of the pod's public key, 32 bytes
     * @param token of the invitation as in {@link Invite}; empty where the network is open, or an administrator said yes
     * @param nowMillis the proposer's clock, which decides whether the invitation is still valid
     */
    record JoinPod(long storeToken, PodSettings settings, byte[] key, byte[] token, long nowMillis) implements Command {
        public JoinPod {
            checkBytes(key, 32);
            if (token.length > 0) checkBytes(token, Invitation.TOKEN_BYTES);
        }
    }

    // ---- authorities and certificates

    /**
     * Certificates of this authority count from here on, beside those of the one before, and it alone issues new ones. Outcome
     * value: its number. Refused: EPERM (the proposer is no administrator), EEXIST (the key is or was an authority's), EBUSY
     * (two count already), ESTALE (the next number is another), EINVAL (the first one has no link, every other one has), ENOSPC.
     *
     * @param number the next one, so that two who rotate at once do not both
     * @param certificate its own, DER, 4,096 bytes at most, as the others
     * @param publicKey of the certificate, SubjectPublicKeyInfo
     * @param link a certificate of the same key by the authority before it; empty for the first
     */
    record TrustAuthority(int number, byte[] certificate, byte[] publicKey, byte[] link) implements Command {
        public TrustAuthority {
            for (byte[] each : new byte[][] {certificate, publicKey, link})
                if (each.length > AuthorityRecord.CERTIFICATE_BYTES_MAX)
                    throw new IllegalArgumentException("bytes: " + each.length);
        }
    }

    /**
     * Certificates of an earlier authority count no more. Refused: EPERM (the proposer is no administrator), ENOENT (it does
     * not count), EBUSY (it is the newest), and, unless forced, EAGAIN: a member has not said yet that it shows a newer one.
     */
    record DropAuthority(int number, boolean force) implements Command {}

    /**
     * The proposer shows this certificate from now on. Refused: EPERM (no member), ENOENT (such an authority does not count),
     * EACCES (the network knows another key of it).
     *
     * @param authority number of the one that issued it
     * @param key SHA-256 of the pod's public key, 32 bytes
     */
    record Certified(int authority, long expiresMillis, byte[] key) implements Command {
        public Certified {
            checkBytes(key, 32);
        }
    }

    /**
     * An administrator lets a member back whose certificate does not count any more. Refused: EPERM (the proposer is no
     * administrator), ENOENT (no member), EACCES (it has another key).
     *
     * @param key SHA-256 of the pod's public key, 32 bytes
     */
    record Recertify(Incarnation incarnation, byte[] key) implements Command {
        public Recertify {
            checkBytes(key, 32);
        }
    }

    /** An administrator made a recovery file of the newest authority: for the audit log alone. Refused: EPERM, ENOENT (it is not). */
    record ExportedAuthority(int number) implements Command {}

    /**
     * The proposer has the newest authority's key, and so is an administrator. Refused: EPERM (no member), ENOENT (there is
     * no authority), ESTALE (there was another act of administration), EACCES (signature).
     *
     * @param acts how many acts of administration there were so far: what was signed once counts once
     * @param signature ECDSA of SHA-256 (64 bytes, both numbers of 32) by the newest authority's key over {@link #signed}
     */
    record ClaimAdministration(long acts, byte[] signature) implements Command {
        public ClaimAdministration {
            checkBytes(signature, 64);
        }

        /** {@code wormhole administration 1}, pod (4 bytes), number of the authority (4), acts (8). */
        public static byte[] signed(Incarnation pod, int authority, long acts) {
            return AuthorityChanges.claim(pod, authority, acts);
        }
    }

    private static void checkBytes(byte[] bytes, int length) {
        if (bytes.length != length) throw new IllegalArgumentException("bytes: " + bytes.length + ", not " + length);
    }

    // ---- locks of files; each is about those of the pod whose session it comes in

    enum LockMode {
        TRY,
        WAIT,
        /** Locks nothing: only has the holder tell what is held. */
        ASK
    }

    /**
     * Asks for a lock. Where no pod decides about the file's locks and nothing is held or waited for, the asking one decides
     * from then on. Outcome value: {@link #GRANTED}; {@link #WAITING}: it will be granted without a further command;
     * {@link #ASKED}: another pod decides and is asked to tell, so look again when it has; below 0: this pod decides, since the
     * log index that is the value without its sign. Refused: EAGAIN (something is in the way), EDEADLK, ENOLCK (too many locks), ENOENT
     * (inode gone), ESTALE (this pod lost locks of the file and has not answered yet, see {@link ForgoLocks}).
     *
     * @param ticket names the request in its session
     */
    record Lock(InodeId inode, FileLock wanted, long ticket, LockMode mode) implements Command {
        public static final long GRANTED = 0, WAITING = 1, ASKED = 2;
    }

    /** Ends what the owner holds there. Outcome value: 0, or below 0 as {@link Lock}. Refused: ENOLCK (no room to split a range). */
    record Unlock(InodeId inode, LockSpace space, LockOwner owner, long from, long to) implements Command {}

    /** Ends a request. Outcome value: 1; 0 if it does not wait (any more: it may have been granted); or below 0 as {@link Lock}. */
    record CancelLock(InodeId inode, LockOwner owner, long ticket) implements Command {}

    /**
     * The pod that decides tells what is held and waited for there; from then on the log decides. If nothing is held, and one
     * other pod waits, that one decides. Requests that would wait for ever are left out: they ask again. Refused: ESTALE (it
     * does not decide, or not since this epoch).
     */
    record ShareLocks(InodeId inode, long epoch, List<FileLock> held, List<LockTable.Waiter> waiters)
            implements Command {}

    /** This pod alone has locks or requests there: it decides again. Refused: EAGAIN. Outcome value: as {@link Lock}. */
    record KeepLocks(InodeId inode) implements Command {}

    /**
     * Takes away what a silent pod holds there, and its right to decide. It can change none of the file's bytes until it has
     * answered with {@link ForgoLocks}. Refused: EBUSY while it is in the prompt set. Outcome value: 1, or 0 if it has nothing.
     */
    record TakeLocks(InodeId inode, Incarnation from) implements Command {}

    /** This pod knows that its locks of the file are gone, and has given up what was written under them. */
    record ForgoLocks(InodeId inode) implements Command {}
}
