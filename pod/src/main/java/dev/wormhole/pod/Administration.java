// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.NetworkConfig;
import dev.wormhole.control.ControlException;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodRecord;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Who administers: the log says so, and nothing else. Where network.toml declares {@code admin_pods}, applying the file brings
 * the log to what it declares, and the other ways to change it are closed, so that the two never differ for long.
 */
final class Administration {
    private Administration() {}

    interface Proposing {
        Outcome propose(Command command) throws ControlException, InterruptedException;
    }

    /** @throws ControlException if a name is no member's; empty if nothing is declared */
    static Set<Incarnation> declared(Pod.Parts parts, NetworkConfig config) throws ControlException {
        var declared = new LinkedHashSet<Incarnation>();
        for (var name : config.network().adminPods()) {
            var found = named(parts, name);
            if (found == null)
                throw new ControlException(
                        ControlException.BAD_REQUEST,
                        "network.admin_pods names " + name + ", which is no pod of this network",
                        "its pods: " + String.join(", ", names(parts)) + "; nothing was changed");
            declared.add(found.incarnation());
        }
        return declared;
    }

    private static List<String> names(Pod.Parts parts) {
        var names = new ArrayList<String>();
        for (PodRecord pod : parts.log().view().pods()) names.add(pod.settings().name());
        names.sort(null);
        return names;
    }

    static @org.jspecify.annotations.Nullable PodRecord named(Pod.Parts parts, String name) {
        for (PodRecord pod : parts.log().view().pods())
            if (pod.settings().name().equals(name)) return pod;
        return null;
    }

    /** Before the file is recorded: those that are missing. */
    static void add(Pod.Parts parts, Set<Incarnation> declared, Proposing log)
            throws ControlException, InterruptedException {
        for (var pod : declared) if (!parts.log().view().administrators().contains(pod)) set(pod, true, log);
    }

    /** Behind it: those that are too many, this pod last, which needs the right until then. */
    static void remove(Pod.Parts parts, Set<Incarnation> declared, Proposing log)
            throws ControlException, InterruptedException {
        if (declared.isEmpty()) return;
        var self = parts.header().incarnation();
        var surplus = new ArrayList<>(parts.log().view().administrators());
        surplus.removeAll(declared);
        if (surplus.remove(self)) surplus.add(self);
        for (var pod : surplus) set(pod, false, log);
    }

    private static void set(Incarnation pod, boolean administrator, Proposing log)
            throws ControlException, InterruptedException {
        if (log.propose(new Command.SetAdministrator(pod, administrator)) instanceof Outcome.Refused(var errno))
            throw new ControlException(
                    ControlException.REFUSED,
                    "the administrators are not yet as network.admin_pods says (" + errno + ")",
                    "apply the file again");
    }

    /** @throws ControlException where the file declares who administers */
    static void checkUndeclared(Pod.Parts parts) throws ControlException {
        var declared = parts.settings().get().network().adminPods();
        if (!declared.isEmpty())
            throw new ControlException(
                    ControlException.REFUSED,
                    "network.toml declares the administrators: admin_pods = " + declared,
                    "change it there, and: wormhole apply network.toml");
    }

    /** @throws ControlException if the pod is there: only one that is gone is replaced */
    static void checkGone(Pod.Parts parts, String name) throws ControlException {
        var pod = named(parts, name);
        if (pod == null)
            throw new ControlException(
                    ControlException.NOT_FOUND, "there is no pod named " + name, "see wormhole pods");
        if (isThere(parts.log(), pod))
            throw new ControlException(
                    ControlException.REFUSED,
                    "pod " + name + " is there: only one that is gone is replaced",
                    "to take a pod out that runs: wormhole leave on it, or wormhole revoke " + name);
    }

    /** Whether the network's leader hears it. */
    static boolean isThere(PodLog log, PodRecord pod) {
        return !pod.absent() && !log.isSilent(pod.incarnation());
    }
}
