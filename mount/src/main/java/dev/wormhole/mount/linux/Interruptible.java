// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import org.jspecify.annotations.Nullable;

/**
 * Whom an INTERRUPT reaches: at most one request and the thread that serves it. The interrupt of one request never leaks
 * into the thread's next.
 */
class Interruptible {
    private long unique;
    private @Nullable Thread thread;
    private boolean interrupted;

    /** From here on {@link #interrupt} finds the request, though no thread serves it yet. */
    final synchronized void expect(long request) {
        unique = request;
        thread = null;
        interrupted = false;
    }

    /** The current thread serves the expected request. */
    final synchronized void begin() {
        thread = Thread.currentThread();
        if (interrupted) thread.interrupt();
    }

    /** The request is served. Answers whether it was interrupted; the thread no longer is. */
    final synchronized boolean end() {
        thread = null;
        unique = 0;
        boolean was = interrupted;
        interrupted = false;
        if (Thread.interrupted()) was = true;
        return was;
    }

    /** Interrupts the request if it is this one. */
    final synchronized boolean interrupt(long request) {
        if (unique != request) return false;
        interruptAny();
        return true;
    }

    /** Interrupts whatever is served here. */
    final synchronized void interruptAny() {
        if (unique == 0) return;
        interrupted = true;
        if (thread != null) thread.interrupt();
    }
}
