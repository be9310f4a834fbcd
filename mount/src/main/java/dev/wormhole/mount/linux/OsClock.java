// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

/** Clocks of the operating system that the JDK does not offer. Thread-safe. */
public final class OsClock {
    private static final int CLOCK_BOOTTIME = 7;

    private OsClock() {}

    /** Nanoseconds since the machine started, suspended time included: it never stops and is never set. */
    public static long boottimeNanos() {
        return Libc.clockNanos(CLOCK_BOOTTIME);
    }
}
