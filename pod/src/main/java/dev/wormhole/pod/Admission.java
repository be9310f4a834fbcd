// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.PodRecord;
import java.util.HashSet;
import java.util.Set;

/**
 * Who is let in, of those whose certificate is in order: everybody but who was removed, as far as this pod has applied the log.
 * Incarnations are granted in order and never twice, so whoever has one that was granted already, and is no member, was removed;
 * a higher one is of a pod that this one has not heard of yet. Nor is a member let in that showed, when it was heard last, a
 * certificate of an authority which counts no more. Thread-safe; {@link #refresh} is for one thread at a time.
 */
final class Admission {
    private record Members(int lastGranted, Set<Incarnation> members) {}

    private volatile Members known = new Members(0, Set.of());

    boolean admits(Incarnation pod) {
        var now = known;
        return pod.number() > now.lastGranted || now.members.contains(pod);
    }

    /**
     * To be called where no entry is applied meanwhile.
     *
     * @return who was removed since the last call
     */
    Set<Incarnation> refresh(NamespaceView view) {
        var members = new HashSet<Incarnation>();
        var counting = new HashSet<Integer>();
        for (var authority : view.authorities()) if (authority.isTrusted()) counting.add(authority.number());
        for (PodRecord pod : view.pods()) {
            // Until an administrator lets it back: its connections may stand since before.
            var shown = view.certificate(pod.incarnation());
            if (shown == null || counting.contains(shown.authority())) members.add(pod.incarnation());
        }
        var before = known;
        known = new Members(view.lastGranted(), Set.copyOf(members));
        var removed = new HashSet<>(before.members);
        removed.removeAll(members);
        return removed;
    }
}
