// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.model.InodeId;
import dev.wormhole.mount.fuse.Notification;
import dev.wormhole.vfs.FileSystem.KernelCache;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Tells the kernel what to drop, from threads of its own. Attributes never wait for content: dropping pages waits for READs
 * of that inode and calls back for dirty mapped pages, so several threads do it, and none of them serves requests. An inode
 * that is queued already is queued once. Names are never notified. When {@link #QUEUE_MAX} inodes are queued further ones
 * are left out: attributes run out by themselves within {@link #ATTRIBUTES_NANOS}, which who waits for them waits too, and
 * the next OPEN decides by version.
 */
final class Notifier implements KernelCache {
    private static final int QUEUE_MAX = 262_144;
    private static final int CONTENT_THREADS = 4;
    /** Attributes are never granted for longer. */
    private static final long ATTRIBUTES_NANOS = 1_000_000_000;

    private final Queue attributes;
    private final Queue content;
    private final Troubles troubles;

    Notifier(String name, Troubles troubles) {
        this.troubles = troubles;
        attributes = new Queue("fuse-attributes-" + name, 1, false);
        content = new Queue("fuse-content-" + name, CONTENT_THREADS, true);
    }

    /** Notifications made before are kept until now. */
    void start(Device device) {
        attributes.start(device);
        content.start(device);
    }

    /** Returns at once; a thread in a blocked notification ends with the connection. */
    void stop() {
        attributes.stop();
        content.stop();
    }

    /** Waits until no thread uses the device. */
    void join() throws InterruptedException {
        attributes.join();
        content.join();
    }

    @Override
    public void attributesChanged(InodeId inode) {
        attributes.add(inode.value());
    }

    @Override
    public void contentChanged(InodeId inode) {
        content.add(inode.value());
    }

    @Override
    public void afterContent(InodeId inode, Runnable action) {
        content.afterInode(inode.value(), action);
    }

    @Override
    public void afterAttributes(Runnable action) {
        attributes.after(action);
    }

    private final class Queue {
        private final String name;
        private final boolean pages;
        private final Thread[] threads;
        private final ReentrantLock lock = new ReentrantLock();
        private final Condition changed = lock.newCondition();
        private final LinkedHashSet<Long> inodes = new LinkedHashSet<>();
        /** To be run once what is queued by now has been sent: the number of inodes before each. */
        private final ArrayDeque<Marker> markers = new ArrayDeque<>();

        private record Marker(long sent, Runnable action) {}

        /** To be run once an inode that is queued, or being sent, has been sent. */
        private final HashMap<Long, List<Runnable>> waiting = new HashMap<>();

        private final HashMap<Long, Integer> sending = new HashMap<>();
        private long queued;
        private long sent;
        private boolean stopped;
        private boolean overflowed;
        private @Nullable Device device;

        Queue(String name, int threads, boolean pages) {
            this.name = name;
            this.pages = pages;
            this.threads = new Thread[threads];
        }

        void start(Device to) {
            device = to;
            for (int i = 0; i < threads.length; i++)
                threads[i] = Thread.ofPlatform().daemon().name(name + "-" + i).start(this::run);
        }

        void add(long inode) {
            boolean full = false;
            lock.lock();
            try {
                if (stopped) return;
                if (inodes.size() < QUEUE_MAX) {
                    if (inodes.add(inode)) {
                        queued++;
                        changed.signal();
                    }
                } else if (!overflowed && !inodes.contains(inode)) {
                    overflowed = true;
                    full = true;
                }
            } finally {
                lock.unlock();
            }
            if (full) troubles.note(System.Logger.Level.WARNING, name + ": full, leaving notifications out");
        }

        /** Needs a queue of one thread. Runs it at once when nothing is queued, and when the kernel is gone. */
        void after(Runnable action) {
            lock.lock();
            try {
                if (overflowed && !stopped) {
                    Thread.startVirtualThread(() -> {
                        LockSupport.parkNanos(ATTRIBUTES_NANOS);
                        action.run();
                    });
                    return;
                }
                if (!stopped && sent < queued) {
                    markers.add(new Marker(queued, action));
                    return;
                }
            } finally {
                lock.unlock();
            }
            action.run();
        }

        /** Runs it at once when the inode is not queued, and when the kernel is gone. */
        void afterInode(long inode, Runnable action) {
            lock.lock();
            try {
                if (!stopped && overflowed && !inodes.contains(inode)) { // it may have been left out
                    inodes.add(inode);
                    queued++;
                    changed.signal();
                }
                if (!stopped && (inodes.contains(inode) || sending.containsKey(inode))) {
                    waiting.computeIfAbsent(inode, _ -> new ArrayList<>(1)).add(action);
                    return;
                }
            } finally {
                lock.unlock();
            }
            action.run();
        }

        /** Inside the lock, when the inode was sent: what waited for that. */
        private List<Runnable> sent(long inode) {
            sending.computeIfPresent(inode, (_, count) -> count == 1 ? null : count - 1);
            if (inodes.contains(inode) || sending.containsKey(inode)) return List.of();
            List<Runnable> actions = waiting.remove(inode);
            return actions == null ? List.of() : actions;
        }

        /** Those whose turn it is; to be run without the lock. */
        private List<Runnable> due() {
            if (markers.isEmpty()) return List.of();
            var due = new ArrayList<Runnable>();
            while (!markers.isEmpty() && (stopped || markers.peek().sent <= sent)) due.add(markers.poll().action);
            return due;
        }

        void stop() {
            List<Runnable> due;
            lock.lock();
            try {
                stopped = true;
                inodes.clear();
                changed.signalAll();
                due = new ArrayList<>(due());
                waiting.values().forEach(due::addAll);
                waiting.clear();
            } finally {
                lock.unlock();
            }
            due.forEach(Runnable::run);
        }

        void join() throws InterruptedException {
            for (Thread thread : threads) if (thread != null) thread.join();
        }

        private void run() {
            var slab = new Slab();
            try {
                while (true) {
                    long inode;
                    Device to;
                    lock.lock();
                    try {
                        while (inodes.isEmpty() && !stopped) changed.awaitUninterruptibly();
                        if (stopped || device == null) return;
                        to = device;
                        inode = inodes.removeFirst();
                        if (pages) sending.merge(inode, 1, Integer::sum);
                        if (inodes.isEmpty()) overflowed = false;
                    } finally {
                        lock.unlock();
                    }
                    long address = slab.replyAddress();
                    int bytes = pages
                            ? Notification.contentOfInode(inode, address)
                            : Notification.attributesOfInode(inode, address);
                    int r = to.send(slab, bytes);
                    if (r == -Libc.ENODEV || r == -Libc.ENOTCONN) {
                        stop();
                        return;
                    }
                    // ENOENT: the kernel does not know the inode, so it has nothing to drop
                    if (r != 0 && r != -Libc.ENOENT && r != -Libc.EINTR)
                        troubles.note(
                                System.Logger.Level.WARNING,
                                name + ": notification of inode " + inode + ": errno " + -r);
                    List<Runnable> due;
                    lock.lock();
                    try {
                        sent++;
                        due = pages ? sent(inode) : due();
                    } finally {
                        lock.unlock();
                    }
                    due.forEach(Runnable::run);
                }
            } catch (Throwable e) {
                troubles.bug(name, e);
            } finally {
                slab.unmap();
            }
        }
    }
}
