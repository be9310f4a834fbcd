// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Incarnation;

/**
 * A member as the log knows it.
 *
 * @param prompt in the prompt set: changes are acknowledged once it has told that it answers by them, and while it is fresh
 *     it answers from what it has; DESIGN section 7
 */
public record PodRecord(
        Incarnation incarnation,
        PodSettings settings,
        boolean draining,
        boolean absent,
        boolean prompt,
        long startCount,
        long settledCounter,
        long orphansAcknowledgedIndex) {
    PodRecord withSettings(PodSettings other) {
        return new PodRecord(
                incarnation, other, draining, absent, prompt, startCount, settledCounter, orphansAcknowledgedIndex);
    }

    PodRecord withDraining(boolean now) {
        return new PodRecord(
                incarnation, settings, now, absent, prompt, startCount, settledCounter, orphansAcknowledgedIndex);
    }

    /** Whoever is absent is not waited for. */
    PodRecord withAbsent(boolean now) {
        return new PodRecord(
                incarnation,
                settings,
                draining,
                now,
                prompt && !now,
                startCount,
                settledCounter,
                orphansAcknowledgedIndex);
    }

    PodRecord withPrompt(boolean now) {
        return new PodRecord(
                incarnation, settings, draining, absent, now, startCount, settledCounter, orphansAcknowledgedIndex);
    }

    PodRecord withOrphansAcknowledged(long index) {
        return new PodRecord(incarnation, settings, draining, absent, prompt, startCount, settledCounter, index);
    }

    /** Another start of its store, which has to enter the prompt set anew. */
    PodRecord withStart(long count, long settled) {
        return new PodRecord(incarnation, settings, draining, absent, false, count, settled, orphansAcknowledgedIndex);
    }
}
