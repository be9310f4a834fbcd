// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;

/**
 * Runs things at their time unless they are cancelled before, made for deadlines that nearly always are. One thread sleeps
 * until the earliest time it knew when it looked last; beginning and ending a call is one entry in a hash set, and wakes
 * that thread only if the new time is earlier than its own. Thread-safe.
 */
final class Deadlines implements AutoCloseable {
    private static final long FAR = Long.MAX_VALUE / 2;

    private final Set<Entry> entries = ConcurrentHashMap.newKeySet();
    private final long origin = System.nanoTime();
    private final Thread sweeper;
    private volatile long wakeAt = FAR;
    private volatile boolean closed;

    Deadlines(String name) {
        sweeper = Thread.ofPlatform().daemon().name(name).start(this::sweep);
    }

    /** @param action run once on the sweeping thread; must not block */
    Entry after(long nanos, Runnable action) {
        var entry = new Entry(now() + nanos, action);
        entries.add(entry);
        if (entry.at < wakeAt) LockSupport.unpark(sweeper);
        return entry;
    }

    void cancel(Entry entry) {
        entries.remove(entry);
    }

    private long now() {
        return System.nanoTime() - origin;
    }

    private void sweep() {
        while (!closed) {
            // Whoever adds while we look sees FAR and leaves a permit, so the park below returns at once.
            wakeAt = FAR;
            var now = now();
            var earliest = FAR;
            for (var entry : entries) {
                if (entry.at > now) earliest = Math.min(earliest, entry.at);
                else if (entries.remove(entry)) run(entry);
            }
            wakeAt = earliest;
            if (earliest == FAR) LockSupport.park(this);
            else LockSupport.parkNanos(this, Math.max(1, earliest - now()));
        }
    }

    private static void run(Entry entry) {
        try {
            entry.action.run();
        } catch (RuntimeException e) {
            // Every other deadline depends on this thread.
            System.getLogger(Deadlines.class.getName()).log(System.Logger.Level.ERROR, "a deadline ended by a bug", e);
        }
    }

    @Override
    public void close() {
        closed = true;
        LockSupport.unpark(sweeper);
    }

    static final class Entry {
        private final long at;
        private final Runnable action;

        private Entry(long at, Runnable action) {
            this.at = at;
            this.action = action;
        }
    }
}
