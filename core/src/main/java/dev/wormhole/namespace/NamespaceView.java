// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The replicated state as this pod has applied it. Every method reads one consistent state that is at least as new as any
 * outcome or change already told on this pod; two calls may see two states. Thread-safe; nothing here waits for the
 * network.
 */
public interface NamespaceView {
    @Nullable Attributes attributes(InodeId inode);

    /** The entry of that name, null if the directory has none. */
    @Nullable InodeId lookup(InodeId directory, FileName name);

    /**
     * Entries in cookie order, those with a cookie above the given one (0: from the start), at least {@code limit} of them
     * if there are so many; entries of equal cookie are never parted, so it may be a few more.
     */
    List<DirectoryEntry> entries(InodeId directory, long afterCookie, int limit);

    /** The directory that holds a directory; the root's is itself. Null if there is no such directory. */
    @Nullable InodeId parent(InodeId directory);

    byte @Nullable [] symlinkTarget(InodeId inode);

    byte @Nullable [] xattr(InodeId inode, byte[] name);

    List<byte[]> xattrNames(InodeId inode);

    /** The extents that overlap [from, to), in order, not trimmed to it. */
    List<Extent> extents(InodeId inode, long from, long to);

    /** What the log knows of the file's locks; null if nothing is held and nobody decides about them. */
    @Nullable LockRecord locks(InodeId inode);

    /** As {@link #extents(InodeId, long, long)}, but the first {@code limit} of them at most. */
    List<Extent> extents(InodeId inode, long from, long to, int limit);

    @Nullable SliceRecord slice(SliceId slice);

    /** A path from the root by way of one of the inode's names, for rules and for people; null for an orphan. */
    @Nullable String path(InodeId inode);

    /** Walks slices in id order from the one above {@code after} (null: all) until the visitor answers false. */
    void slices(@Nullable SliceId after, Predicate<SliceRecord> visitor);

    /** Slices that nothing names, at most so many. */
    List<SliceId> unnamedSlices(int limit);

    /** Orphans, at most so many, from the one above {@code after}. */
    List<Orphan> orphans(@Nullable InodeId after, int limit);

    /** @param orphanedIndex log index at which the last name went */
    record Orphan(InodeId inode, long orphanedIndex, List<Incarnation> holders) {}

    List<PodRecord> pods();

    @Nullable PodRecord pod(Incarnation incarnation);

    /** Who may change the network, in order. */
    List<Incarnation> administrators();

    /** Every authority that the network has had, the newest last; none before the first is written down. */
    List<AuthorityRecord> authorities();

    /** What the pod said of its certificate, null before it did. */
    @Nullable CertificateRecord certificate(Incarnation pod);

    /** SHA-256 of a member's public key, null before it is known. */
    byte @Nullable [] podKey(Incarnation pod);

    /** How many acts of administration there were. */
    long acts();

    /** What an administrator's invitation says, null if there is none of that token. */
    @Nullable Invitation invitation(byte[] token);

    /** All invitations that are kept, those that are used up or expired among them. */
    List<Invitation> invitations();

    /** The newest acts of administration, the newest last, at most so many. */
    List<AuditRecord> audit(int limit);

    /** What was written down when the log was begun anew, oldest first: one for each generation after the first. */
    List<byte[]> reformings();

    /** The last incarnation that was granted, 0 for none: whoever has it or a lower one and is no member was removed. */
    int lastGranted();

    /** The network's configuration and its version, 0 and empty before the first. */
    Configuration configuration();

    record Configuration(long version, String toml) {}

    /** Totals of the tree, for statfs and status; kept in the state, so this costs nothing. */
    Totals totals();

    /** @param namedBytes bytes of slices with at least one name, counted once however many copies exist */
    record Totals(long inodes, long orphans, long slices, long namedBytes, long unnamedSlices) {}

    /** Level of the state, see RaiseLevel. */
    int level();

    /** Log index of the last entry applied. */
    long appliedIndex();
}
