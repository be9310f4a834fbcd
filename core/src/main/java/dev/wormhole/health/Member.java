// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings.Role;

/**
 * One pod as planners see it: what the log says of it and what was last observed. Immutable.
 *
 * @param intermittent sleeps at times: never the only copy, no voter while there are others
 * @param zone empty when none is declared; such pods together count as one zone
 * @param limitBytes most bytes of slices that it takes, 0 for none
 * @param freeBytes bytes of slices that it still takes, as last told
 * @param draining leaving in good order: its copies can be read, and do not count as copies to keep
 */
public record Member(
        Incarnation incarnation,
        String name,
        Role role,
        boolean intermittent,
        String zone,
        long limitBytes,
        long freeBytes,
        Presence presence,
        boolean draining) {
    public Member {
        if (limitBytes < 0) throw new IllegalArgumentException("limit bytes: " + limitBytes);
        if (freeBytes < 0) throw new IllegalArgumentException("free bytes: " + freeBytes);
    }

    /** @param late what this pod observes; counts only while the log does not say absent */
    public static Member of(PodRecord pod, boolean late, long freeBytes) {
        var settings = pod.settings();
        var presence = pod.absent() ? Presence.ABSENT : late ? Presence.LATE : Presence.PRESENT;
        return new Member(
                pod.incarnation(),
                settings.name(),
                settings.role(),
                settings.intermittent(),
                settings.zone(),
                settings.limitBytes(),
                freeBytes,
                presence,
                pod.draining());
    }

    /** Whether it is a pod for slices at all, now or at another time. */
    public boolean stores() {
        return role == Role.STORAGE && limitBytes > 0;
    }

    /** Whether slices are meant to stay on it: it stores and is not leaving. Says nothing of its presence. */
    public boolean stays() {
        return stores() && !draining;
    }

    /** Whether a new slice may be meant for it: neither leaving nor gone. Says nothing of room. */
    public boolean acceptsSlices() {
        return stays() && presence != Presence.ABSENT;
    }

    /** Whether a copy on it counts towards the copies wanted: lateness passes, so a late pod's copies count. */
    public boolean keeps() {
        return acceptsSlices();
    }

    /** Whether a copy on it is one to rely on while another is given up: present and staying. */
    public boolean isSure() {
        return stays() && presence == Presence.PRESENT;
    }

    /** Whether a copy on it can be read now. */
    public boolean isLive() {
        return presence == Presence.PRESENT;
    }
}
