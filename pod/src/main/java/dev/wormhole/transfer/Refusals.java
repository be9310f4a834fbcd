// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Counts connections that came to nothing before they had greeted, and says so in the log at a bounded rate: the first one, and
 * then at most one line in ten seconds, whoever knocks how often. Thread-safe.
 */
public final class Refusals {
    private static final Logger log = System.getLogger(Refusals.class.getName());
    private static final long QUIET_NANOS = TimeUnit.SECONDS.toNanos(10);
    private static final int REASON_CHARS_MAX = 200;

    private final String where;
    private final LongSupplier nanos;
    private long total;
    private long untold;
    private long toldAt;

    /**
     * @param where what refuses, for people
     * @param nanos a clock as {@link System#nanoTime}
     */
    public Refusals(String where, LongSupplier nanos) {
        this.where = where;
        this.nanos = nanos;
        toldAt = nanos.getAsLong() - QUIET_NANOS;
    }

    /** @return whether it was told */
    public boolean note(String from, String reason) {
        long count;
        synchronized (this) {
            total++;
            untold++;
            var now = nanos.getAsLong();
            if (now - toldAt < QUIET_NANOS) return false;
            toldAt = now;
            count = untold;
            untold = 0;
        }
        // What a stranger sent may be in it: no line breaks, and not much.
        var clean = reason.replaceAll("\\p{Cntrl}", " ");
        log.log(
                Level.INFO,
                "{0} refused {1} connections since this was last said, the last one from {2}: {3}",
                where,
                count,
                from,
                clean.length() > REASON_CHARS_MAX ? clean.substring(0, REASON_CHARS_MAX) : clean);
        return true;
    }

    public synchronized long total() {
        return total;
    }
}
