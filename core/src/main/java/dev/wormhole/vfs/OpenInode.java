// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.NamespaceView;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * What this pod knows of a file that is open here, has uncommitted bytes, or was open not long ago.
 *
 * <p>Two locks, never one inside the other the wrong way: {@link #lock} guards new bytes and may be held while they are
 * staged; the monitor guards what the thread that applies the log touches, and nothing waits inside it. The monitor may be
 * taken while holding the lock, not the other way round.
 */
final class OpenInode {
    private static final int UNSAFE_MAX = 1_024;
    /** For so long a file that grew counts as growing. */
    private static final long GROWS_NANOS = 10_000_000_000L;

    final InodeId id;
    private final long knownIndex;

    // ---- guarded by lock
    final ReentrantLock lock = new ReentrantLock();

    @Nullable Generation current;

    @Nullable Generation committing;
    /** Completes when {@link #committing} is committed or has failed. */
    CompletableFuture<Void> committed = CompletableFuture.completedFuture(null);
    /** Content counter after this pod's last commit. */
    long ownContent;
    /** Content counter up to which {@link #unsafe} lists everything that may be on too few disks; -1 if it does not. */
    long safetyKnownAt;
    /** Slices committed here that were on too few disks then. */
    private @Nullable LinkedHashSet<SliceId> unsafe;

    // ---- read anywhere
    /** Whether {@link #current} or {@link #committing} may be there: written under the lock. */
    volatile boolean dirty;
    /** Log index of what this pod changed last, 0 if nothing yet. */
    volatile long ownIndex;
    /** Counts times that bytes were lost, so that every handle tells it once. */
    volatile int losses;

    /** Whether a program here holds a lock of it: what is written belongs to that. */
    volatile boolean locked;
    /** Counts times that locks were lost: handles opened before are cut off. */
    volatile int cutOffs;

    volatile long accessedNanos = Long.MIN_VALUE;
    volatile boolean accessedSinceChange;
    /** {@link dev.wormhole.model.InodeFlags}, as applied here; written by {@link #flagsFrom}. */
    volatile int flags;

    volatile Replication.@Nullable Wish wish;
    final AtomicBoolean commitRequested = new AtomicBoolean();

    // ---- guarded by the monitor
    private int opens;
    private long kernelContent = -1;
    private long sureContent = -1;
    private long knownSize;
    private boolean grew;
    private long grewNanos;
    private int ownInFlight;
    private @Nullable CompletableFuture<?> hold;
    private int changing;
    /** Who locked through handles, and through how many. */
    private final Map<OpenFile.Locker, Integer> lockers = new HashMap<>(0);

    /** @param knownIndex log index of what was applied here when this state was made */
    OpenInode(InodeId id, long safetyKnownAt, long knownIndex) {
        this.id = id;
        this.safetyKnownAt = safetyKnownAt;
        this.knownIndex = knownIndex;
    }

    synchronized void changedAt(long index) {
        if (index > ownIndex) ownIndex = index;
    }

    /** Log index of what this pod changed last, or knew when this state was made. */
    long lastIndex() {
        return Math.max(knownIndex, ownIndex);
    }

    // ---- new bytes; the caller holds the lock

    /** End of the uncommitted bytes in the file, 0 if there are none (or only appends). */
    long dirtyEnd() {
        long end = current == null ? 0 : current.end();
        return committing == null ? end : Math.max(end, committing.end());
    }

    /** Whether what is being committed waits for somebody to ask what became of it. The lock is held. */
    boolean isInDoubt() {
        return committing != null && committing.doubt != null && committed.isDone();
    }

    boolean hasAppends() {
        return current != null && current.append || committing != null && committing.append;
    }

    boolean hasWrites() {
        return current != null && !current.append || committing != null && !committing.append;
    }

    void unsafe(SliceId slice) {
        if (unsafe == null) unsafe = new LinkedHashSet<>();
        if (unsafe.size() >= UNSAFE_MAX) safetyKnownAt = -1;
        else unsafe.add(slice);
    }

    Set<SliceId> unsafe() {
        return unsafe == null ? Set.of() : unsafe;
    }

    void safe(Collection<SliceId> slices) {
        if (unsafe == null) return;
        slices.forEach(unsafe::remove);
        if (unsafe.isEmpty()) unsafe = null;
    }

    /** Every slice of the file as of this content counter was looked at and is on enough disks. */
    void allSafeAt(long content) {
        unsafe = null;
        safetyKnownAt = content;
    }

    // ---- handles

    synchronized int opens() {
        return opens;
    }

    synchronized void opened() {
        opens++;
    }

    /** Answers how many are left. */
    synchronized int closed() {
        if (--opens < 0) throw new IllegalStateException(id + " closed more often than opened");
        return opens;
    }

    /** Remembers the hold under way if the inode is open here. */
    synchronized boolean holdIfOpen(CompletableFuture<?> hold) {
        if (opens == 0) return false;
        this.hold = hold;
        return true;
    }

    synchronized void heldFromTheStart() {
        hold = CompletableFuture.completedFuture(null);
    }

    /** The hold to be released now that nothing is open; null if there is none. */
    synchronized @Nullable CompletableFuture<?> takeHoldIfClosed() {
        if (opens > 0) return null;
        CompletableFuture<?> taken = hold;
        hold = null;
        return taken;
    }

    /** Looks the flags up: one after the other, so that the newest stay. */
    synchronized void flagsFrom(NamespaceView view) {
        Attributes now = view.attributes(id);
        if (now != null) flags = now.flags();
    }

    // ---- changes of the bytes by handles that a lost lock cuts off

    /** A handle that is not cut off begins to change bytes; answers false if it is. */
    synchronized boolean beginChange(OpenFile file) {
        if (file.isCutOff()) return false;
        changing++;
        return true;
    }

    synchronized void endChange() {
        if (--changing == 0) notifyAll();
    }

    synchronized void cutOff() {
        cutOffs++;
    }

    /** Returns when nothing is under way that began before. */
    synchronized void awaitChanges() throws InterruptedException {
        while (changing > 0) wait();
    }

    synchronized void lockerEnters(OpenFile.Locker locker) {
        lockers.merge(locker, 1, Integer::sum);
    }

    /** Answers whether that was the last handle. */
    synchronized boolean lockerLeaves(OpenFile.Locker locker) {
        return lockers.merge(locker, -1, (a, b) -> a + b == 0 ? null : a + b) == null;
    }

    // ---- what the kernel's pages are right for

    /**
     * Whether the kernel has no pages older than this content. What an open or a notification makes it drop counts here only
     * once it has: who gets a lock reads at once.
     */
    synchronized boolean surelyHas(long content) {
        return sureContent == content;
    }

    /** The kernel has dropped its pages since the content was looked at: what it has now is as new, if nothing changed. */
    synchronized void droppedAt(long content, NamespaceView view) {
        Attributes now = view.attributes(id);
        if (now != null && now.content() == content) kernelContent = sureContent = content;
    }

    /** The kernel opens it as of this content. Answers whether it may keep its pages; otherwise it drops them now. */
    synchronized boolean openedAt(long content, boolean direct) {
        boolean keep = kernelContent == content;
        if (!direct) kernelContent = content;
        return keep;
    }

    /** Another pod changed the bytes: told by the thread that applies the log. */
    synchronized void changedElsewhere(NamespaceView view, long nowNanos) {
        Attributes now = view.attributes(id);
        if (now == null) return;
        if (knownSize > 0 && now.size() > knownSize) {
            grew = true;
            grewNanos = nowNanos;
        }
        knownSize = now.size();
    }

    /**
     * Whether other pods add to it. Then its last page is never to be kept here: the kernel raises the size before it
     * drops pages, and between the two a program reads zeros from behind the old end.
     */
    synchronized boolean growsElsewhere(NamespaceView view, long nowNanos) {
        Attributes now = view.attributes(id);
        if (now != null) knownSize = now.size();
        return grew && nowNanos - grewNanos < GROWS_NANOS;
    }

    /** A change of the bytes that came through the kernel is about to be proposed. */
    synchronized void ownStarted() {
        ownInFlight++;
    }

    /**
     * It has ended.
     *
     * @param content the counter that it gave, -1 if it changed nothing
     * @return whether the kernel's pages are stale: somebody else's change came between
     */
    synchronized boolean ownEnded(long content, NamespaceView view) {
        ownInFlight--;
        boolean stale = false;
        if (content >= 0) sureContent = content == sureContent + 1 ? content : -1;
        if (content >= 0 && kernelContent >= 0) {
            if (content == kernelContent + 1) kernelContent = content;
            else if (content != kernelContent) stale = true;
        }
        if (stale) kernelContent = -1;
        return (compare(view) | stale) && opens > 0;
    }

    /** Bytes changed, by whomever: told by the thread that applies the log. Answers whether the kernel's pages are stale. */
    synchronized boolean contentTold(NamespaceView view) {
        return compare(view) && opens > 0;
    }

    /** Whatever the kernel has is not to be kept. Answers whether somebody has it open. */
    synchronized boolean pagesUnknown() {
        kernelContent = sureContent = -1;
        return opens > 0;
    }

    private boolean compare(NamespaceView view) {
        if (ownInFlight > 0 || kernelContent < 0) return false;
        Attributes now = view.attributes(id);
        if (now == null || now.content() == kernelContent) return false;
        kernelContent = -1;
        return true;
    }
}
