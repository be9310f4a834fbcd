// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

/** What the others make of a pod's silence. Lateness is observed and passes; absence is declared through the log. */
public enum Presence {
    /** Heard lately, and its applied index moves. */
    PRESENT,
    /** Not heard, or stuck, for a moment: not waited for, but all that it holds still counts. */
    LATE,
    /** Declared gone: repair goes on without it. */
    ABSENT
}
