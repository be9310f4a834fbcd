// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.NetworkConfig;
import dev.wormhole.config.Parsed;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.ControlHandler;
import dev.wormhole.control.Explanation;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.AuditRecord;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Invitation;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.security.JoinToken;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/** What a person can ask of a running pod, through its control socket. */
final class ControlCommands {
    private static final long COMMAND_SECONDS = 30;
    private final Pod pod;

    ControlCommands(Pod pod) {
        this.pod = pod;
    }

    Map<String, ControlHandler> handlers() {
        var handlers = new LinkedHashMap<String, ControlHandler>();
        handlers.put(Commands.READY, (arguments, progress) -> {
            ready(progress);
            return Json.of(new Empty());
        });
        handlers.put(Commands.STATUS, (arguments, progress) -> Json.of(StatusReport.of(parts(), pod)));
        handlers.put(
                Commands.PODS,
                (arguments, progress) -> Json.of(
                        new NetworkStatus.Pods(StatusReport.of(parts(), pod).pods())));
        handlers.put(
                Commands.EXPLAIN,
                (arguments, progress) -> Json.of(
                        explain(Json.to(Commands.PathArgument.class, arguments).path())));
        handlers.put(Commands.STOP, (arguments, progress) -> {
            // The answer goes out first; the process ends behind it.
            Thread.ofPlatform().name("stop").start(() -> pod.stop("wormhole down"));
            return Json.of(new Empty());
        });
        handlers.put(
                Commands.CONFIG,
                (arguments, progress) -> Json.of(new Commands.ConfigText(
                        parts().log().view().configuration().toml())));
        handlers.put(Commands.APPLY, (arguments, progress) -> {
            apply(Json.to(Commands.ConfigText.class, arguments).toml());
            return Json.of(new Empty());
        });
        handlers.put(Commands.LEAVE, (arguments, progress) -> {
            leave(Json.text(arguments, "pod"), progress);
            return Json.of(new Empty());
        });
        handlers.put(
                Commands.INVITE,
                (arguments, progress) -> Json.of(invite(Json.to(Commands.InviteArguments.class, arguments))));
        handlers.put(Commands.REQUESTS, (arguments, progress) -> Json.of(requests()));
        handlers.put(Commands.DECIDE, (arguments, progress) -> {
            decide(Json.to(Commands.DecideArguments.class, arguments));
            return Json.of(new Empty());
        });
        handlers.put(Commands.AUDIT, (arguments, progress) -> Json.of(audit()));
        handlers.put(Commands.ADMINISTRATORS, (arguments, progress) -> Json.of(administrators()));
        handlers.put(Commands.SET_ADMINISTRATOR, (arguments, progress) -> {
            setAdministrator(Json.to(Commands.AdministratorArguments.class, arguments));
            return Json.of(new Empty());
        });
        handlers.put(Commands.REVOKE, (arguments, progress) -> Json.of(revoke(Json.text(arguments, "pod"))));
        handlers.put(Commands.INVITATIONS, (arguments, progress) -> Json.of(invitations()));
        handlers.put(Commands.WITHDRAW, (arguments, progress) -> {
            withdraw(Json.text(arguments, "id"));
            return Json.of(new Empty());
        });
        AuthorityControl.add(handlers, this::parts);
        new ReformCommands(pod).addTo(handlers);
        handlers.put(Commands.SYNC, (arguments, progress) -> {
            sync(progress);
            return Json.of(new Empty());
        });
        return handlers;
    }

    private record Empty() {}

    private Pod.Parts parts() throws ControlException {
        var parts = pod.parts();
        if (parts == null) throw new ControlException(ControlException.NOT_READY, pod.doing(), "");
        return parts;
    }

    private void ready(ControlHandler.Progress progress) throws ControlException, InterruptedException {
        String told = "";
        while (true) {
            try {
                pod.ready().get(200, TimeUnit.MILLISECONDS);
                return;
            } catch (TimeoutException notYet) {
                if (!pod.doing().equals(told)) progress.report(told = pod.doing(), 0, 0);
                if (!progress.watched()) return;
            } catch (ExecutionException failure) {
                throw new ControlException(ControlException.FAILED, Causes.message(failure), "");
            }
        }
    }

    static Outcome propose(Pod.Parts parts, Command command) throws ControlException, InterruptedException {
        try {
            return parts.log()
                    .propose(command)
                    .get(COMMAND_SECONDS, TimeUnit.SECONDS)
                    .outcome();
        } catch (ExecutionException failure) {
            throw new ControlException(
                    ControlException.NOT_READY, Causes.message(failure), "try again when the network is back");
        } catch (TimeoutException late) {
            throw new ControlException(
                    ControlException.NOT_READY,
                    "the network did not decide within " + COMMAND_SECONDS + " s",
                    "see wormhole status; a majority of the voters must run");
        }
    }

    // ---- configuration

    private void apply(String toml) throws ControlException, InterruptedException, IOException {
        var parts = parts();
        var wished = switch (NetworkConfig.parse("network.toml", toml)) {
            case Parsed.Good<NetworkConfig>(var config) -> config;
            case Parsed.Bad<NetworkConfig> bad ->
                throw new ControlException(ControlException.BAD_REQUEST, bad.report(), "nothing was changed");
        };
        parts.log().barrier();
        checkAdministrator(parts);
        var administrators = Administration.declared(parts, wished);
        Administration.add(parts, administrators, command -> propose(parts, command));
        var outcome = propose(
                parts, new Command.Configure(parts.log().view().configuration().version(), toml));
        if (outcome instanceof Outcome.Refused)
            throw new ControlException(
                    ControlException.REFUSED,
                    "another change of the configuration came first",
                    "look at it with wormhole config show, and apply again");
        Administration.remove(parts, administrators, command -> propose(parts, command));
    }

    // ---- invitations

    private Commands.Invited invite(Commands.InviteArguments wanted)
            throws ControlException, InterruptedException, IOException {
        var parts = parts();
        parts.log().barrier();
        checkAdministrator(parts);
        switch (parts.settings().get().network().join()) {
            case CLOSED ->
                throw new ControlException(
                        ControlException.REFUSED,
                        "the network takes no pods: network.join is \"closed\"",
                        "to change that: wormhole apply, with join = \"token\"");
            case TOKEN, OPEN, APPROVAL -> {}
        }
        if (wanted.administrator()) Administration.checkUndeclared(parts);
        if (wanted.replaces()) Administration.checkGone(parts, wanted.name());
        var token = JoinToken.make(parts.authorityKey()
                .get()
                .map(dev.wormhole.security.Authority::certificate)
                .orElseGet(() -> parts.secure().credentials().authority())
                .getPublicKey());
        var now = System.currentTimeMillis();
        var expires = now + TimeUnit.SECONDS.toMillis(Math.clamp(wanted.seconds(), 1, Integer.MAX_VALUE));
        var outcome = propose(
                parts,
                new Command.Invite(
                        token.id(),
                        wanted.uses(),
                        expires,
                        wanted.administrator(),
                        wanted.replaces(),
                        wanted.name(),
                        now));
        if (outcome instanceof Outcome.Refused(var errno))
            throw new ControlException(
                    ControlException.REFUSED,
                    switch (errno) {
                        case ENOSPC ->
                            "there are " + Invitation.COUNT_MAX + " invitations, used ones included, that have not"
                                    + " expired";
                        case EPERM -> "this pod is no administrator's any more";
                        default -> "the network refused: " + errno;
                    },
                    errno == Errno.ENOSPC ? "take some back: wormhole invitations --withdraw ID" : "");
        var self = parts.log().view().pod(parts.header().incarnation());
        var made = parts.log().view().invitation(token.id());
        if (self == null || made == null)
            throw new ControlException(ControlException.FAILED, "the invitation is gone already", "try again");
        return new Commands.Invited(
                made.id(), token.text(), self.settings().addresses().getFirst(), expires);
    }

    private static PodRecord named(Pod.Parts parts, String name) throws ControlException {
        for (PodRecord each : parts.log().view().pods())
            if (each.settings().name().equals(name)) return each;
        throw new ControlException(ControlException.NOT_FOUND, "there is no pod named " + name, "see wormhole pods");
    }

    private Commands.Administrators administrators() throws ControlException {
        var parts = parts();
        return new Commands.Administrators(parts.log().view().administrators().stream()
                .map(parts.cluster()::name)
                .toList());
    }

    private Commands.Requests requests() throws ControlException, InterruptedException, IOException {
        var parts = parts();
        checkMayDecide(parts);
        return new Commands.Requests(parts.requests().waiting().stream()
                .map(each -> new Commands.Requests.Request(each.name(), each.fingerprint(), each.from(), each.member()))
                .toList());
    }

    private void decide(Commands.DecideArguments wanted) throws ControlException, InterruptedException, IOException {
        var parts = parts();
        checkMayDecide(parts);
        var found = parts.requests().waiting().stream()
                .filter(each ->
                        each.name().equals(wanted.pod()) || each.fingerprint().equals(wanted.pod()))
                .toList();
        if (found.size() > 1)
            throw new ControlException(
                    ControlException.REFUSED,
                    "several machines wait under the name " + wanted.pod(),
                    "name one by its fingerprint: see wormhole requests");
        if (found.isEmpty() || !parts.requests().decide(found.getFirst(), wanted.yes()))
            throw new ControlException(
                    ControlException.NOT_FOUND,
                    "no machine waits under the name " + wanted.pod(),
                    "see wormhole requests");
    }

    private Commands.AuditLog audit() throws ControlException {
        return new Commands.AuditLog(parts().log().view().audit(AuditRecord.COUNT_MAX).stream()
                .map(each -> new Commands.AuditLog.Act(
                        each.sequence(),
                        TimeUnit.NANOSECONDS.toMillis(each.nanos()),
                        each.by(),
                        each.act().name().toLowerCase(Locale.ROOT).replace('_', ' '),
                        each.subject()))
                .toList());
    }

    private void setAdministrator(Commands.AdministratorArguments wanted)
            throws ControlException, InterruptedException, IOException {
        var parts = parts();
        parts.log().barrier();
        checkAdministrator(parts);
        Administration.checkUndeclared(parts);
        var pod = named(parts, wanted.pod());
        var command = new Command.SetAdministrator(pod.incarnation(), wanted.administrator());
        if (propose(parts, command) instanceof Outcome.Refused(var errno))
            throw new ControlException(
                    ControlException.REFUSED,
                    errno == Errno.EBUSY
                            ? wanted.pod() + " is the only administrator's pod"
                            : "the network refused: " + errno,
                    errno == Errno.EBUSY ? "make another one first: wormhole administrators --add POD" : "");
    }

    private Commands.Revoked revoke(String name) throws ControlException, InterruptedException, IOException {
        var parts = parts();
        parts.log().barrier();
        checkAdministrator(parts);
        var pod = named(parts, name);
        if (pod.incarnation().equals(parts.header().incarnation()))
            throw new ControlException(
                    ControlException.REFUSED, "a pod does not revoke itself", "to leave the network: wormhole leave");
        var voters = parts.log().raft().voters();
        if (voters.size() == 1 && voters.contains(pod.incarnation()))
            throw new ControlException(
                    ControlException.REFUSED,
                    name + " has the network's only vote: nothing can be decided without it",
                    "if it still runs and is yours: wormhole leave on it");
        boolean hadAuthority = parts.log().view().administrators().contains(pod.incarnation());
        if (propose(parts, new Command.RemovePod(pod.incarnation(), true)) instanceof Outcome.Refused(var errno))
            throw new ControlException(ControlException.REFUSED, "the network refused: " + errno, "");
        parts.repairer().lookAgain();
        return new Commands.Revoked(hadAuthority);
    }

    /** Where all pods slept too long nothing can be decided before some are let back: then the authority's key must do. */
    private static void checkMayDecide(Pod.Parts parts) throws ControlException, InterruptedException, IOException {
        boolean led = parts.log().leader().isPresent() && !parts.log().disconnected();
        if (led) parts.log().barrier();
        if (led || parts.authorityKey().get().isEmpty()) checkAdministrator(parts);
    }

    static void checkAdministrator(Pod.Parts parts) throws ControlException {
        var administrators = parts.log().view().administrators();
        if (administrators.contains(parts.header().incarnation())) return;
        var names = new ArrayList<String>();
        for (var each : administrators) names.add(parts.cluster().name(each));
        throw new ControlException(
                ControlException.REFUSED,
                "only an administrator's pod may do this",
                "ask one of: " + String.join(", ", names));
    }

    private Commands.Invitations invitations() throws ControlException {
        var parts = parts();
        return new Commands.Invitations(parts.log().view().invitations().stream()
                .sorted(Comparator.comparingLong(Invitation::expiresMillis))
                .map(each -> new Commands.Invitations.Invitation(
                        each.id(),
                        each.usesLeft(),
                        each.expiresMillis(),
                        each.name(),
                        parts.cluster().name(each.by())))
                .toList());
    }

    private void withdraw(String id) throws ControlException, InterruptedException, IOException {
        var parts = parts();
        parts.log().barrier();
        checkAdministrator(parts);
        var found = parts.log().view().invitations().stream()
                .filter(each -> id.length() >= 4 && each.id().startsWith(id.toLowerCase(Locale.ROOT)))
                .toList();
        if (found.size() != 1)
            throw new ControlException(
                    ControlException.NOT_FOUND,
                    found.isEmpty() ? "there is no invitation " + id : "there are several invitations " + id,
                    "see wormhole invitations");
        if (propose(parts, new Command.Withdraw(found.getFirst().token())) instanceof Outcome.Refused(var errno))
            throw new ControlException(ControlException.REFUSED, "the network refused: " + errno, "");
    }

    // ---- explain

    private Explanation explain(String path) throws ControlException, InterruptedException, IOException {
        var parts = parts();
        if (!parts.log().disconnected()) parts.log().barrier();
        NamespaceView view = parts.log().view();
        InodeId inode = InodeId.ROOT;
        for (String component : path.split("/")) {
            if (component.isEmpty()) continue;
            byte[] name = component.getBytes(StandardCharsets.UTF_8);
            InodeId next = FileName.isValid(name) ? view.lookup(inode, new FileName(name)) : null;
            if (next == null)
                throw new ControlException(ControlException.NOT_FOUND, "there is no " + component + " in " + path, "");
            inode = next;
        }
        var attributes = view.attributes(inode);
        if (attributes == null) throw new ControlException(ControlException.NOT_FOUND, path + " is gone", "");
        var wish = parts.settings().get().wish(path);
        Map<SliceId, SliceRecord> slices = new LinkedHashMap<>();
        for (var extent : view.extents(inode, 0, Long.MAX_VALUE)) {
            var slice = view.slice(extent.slice());
            if (slice != null) slices.put(slice.slice(), slice);
        }
        var counts = new TreeMap<Incarnation, long[]>();
        int fewest = Integer.MAX_VALUE;
        long below = 0;
        for (SliceRecord slice : slices.values()) {
            int copies = 0;
            for (var holder : slice.holders()) {
                var count = counts.computeIfAbsent(holder.incarnation(), _ -> new long[4]);
                count[holder.state().ordinal()]++;
                count[3] += slice.lengthBytes();
                PodRecord record = view.pod(holder.incarnation());
                if (holder.state().isCopy() && record != null && !record.absent()) copies++;
            }
            fewest = Math.min(fewest, copies);
            if (copies < wish.copies()) below++;
        }
        var status = StatusReport.of(parts, pod);
        var holders = new ArrayList<Explanation.Holder>();
        counts.forEach((incarnation, count) -> holders.add(new Explanation.Holder(
                parts.cluster().name(incarnation),
                status.pods().stream()
                        .filter(each -> each.incarnation() == incarnation.number())
                        .map(NetworkStatus.PodStatus::state)
                        .findFirst()
                        .orElse(NetworkStatus.PodState.UNKNOWN),
                count[HolderState.WRITTEN.ordinal()],
                count[HolderState.DURABLE.ordinal()],
                count[HolderState.VERIFIED.ordinal()],
                count[3])));
        var notes = new ArrayList<String>();
        if (below > 0)
            notes.add(below + " of " + slices.size() + " slices have fewer copies than wanted: see wormhole status");
        if (wish.readOnly()) notes.add("read-only by " + wish.readOnlyBy());
        int present = parts.replication().presentStoringPods();
        if (present < wish.minCopies())
            notes.add("cannot be written now: " + present + " pods that store are here, min_copies is "
                    + wish.minCopies());
        return new Explanation(
                path,
                attributes.type().name().toLowerCase(Locale.ROOT).replace('_', ' '),
                inode.value(),
                attributes.size(),
                attributes.content(),
                wish.copies(),
                slices.isEmpty() ? wish.copies() : fewest,
                wish.copiesBy(),
                wish.readOnly(),
                slices.size(),
                below,
                holders,
                notes);
    }

    // ---- leaving

    private void leave(String name, ControlHandler.Progress progress)
            throws ControlException, InterruptedException, IOException {
        var parts = parts();
        var log = parts.log();
        log.barrier();
        PodRecord leaver = null;
        for (PodRecord each : log.view().pods())
            if (each.settings()
                    .name()
                    .equals(name.isEmpty() ? pod.config().pod().name() : name)) leaver = each;
        if (leaver == null)
            throw new ControlException(
                    ControlException.NOT_FOUND, "there is no pod named " + name, "see wormhole pods");
        boolean self = leaver.incarnation().equals(parts.header().incarnation());
        if (log.view().pods().size() == 1)
            throw new ControlException(
                    ControlException.REFUSED,
                    "this is the network's last pod: its data would be lost",
                    "to end the network: wormhole destroy");
        Incarnation incarnation = leaver.incarnation();
        if (!self) checkAdministrator(parts);
        if (log.view().administrators().equals(java.util.List.of(incarnation)))
            throw new ControlException(
                    ControlException.REFUSED,
                    leaver.settings().name() + " is the only administrator's pod: nobody could be invited any more",
                    "make another one first: wormhole administrators --add POD");
        checkRoom(parts, leaver);
        propose(parts, new Command.SetDraining(incarnation, true));
        if (self) pod.leaving(true);
        boolean left = false;
        try {
            moveAway(parts, incarnation, leaver.settings().name(), progress);
            progress.report("leaving the log", 0, 0);
            awaitNoVote(parts, incarnation);
            var outcome = propose(parts, new Command.RemovePod(incarnation, false));
            if (outcome instanceof Outcome.Refused(var errno))
                throw new ControlException(
                        ControlException.REFUSED,
                        "the network keeps this pod: data would lose its last copy (" + errno + ")",
                        "try again when wormhole status shows no missing copies");
            left = true;
        } finally {
            if (!left) {
                if (self) pod.leaving(false);
                log.propose(new Command.SetDraining(incarnation, false));
            }
        }
    }

    /** Refused before anything moves when the others have no room for what only the leaver, with too few others, has. */
    private static void checkRoom(Pod.Parts parts, PodRecord leaver) throws ControlException {
        long room = 0;
        int others = 0;
        for (var member : parts.cluster().members().all()) {
            if (member.incarnation().equals(leaver.incarnation()) || !member.acceptsSlices()) continue;
            others++;
            room += member.freeBytes();
        }
        int left = others;
        long[] bytes = new long[1];
        parts.log().view().slices(null, slice -> {
            if (slice.heldBy(leaver.incarnation())) {
                int copies = Math.min(left, parts.replication().copiesWanted(slice.inode()));
                int elsewhere = 0;
                for (var holder : slice.holders())
                    if (holder.state().isCopy() && !holder.incarnation().equals(leaver.incarnation())) elsewhere++;
                if (elsewhere < copies) bytes[0] += slice.lengthBytes();
            }
            return true;
        });
        if (bytes[0] > room)
            throw new ControlException(
                    ControlException.REFUSED,
                    leaver.settings().name() + " holds " + bytes[0]
                            + " bytes that must move, and the others have room for " + room,
                    "add a pod or free space, then try again");
    }

    /** Until every slice that the leaver holds has its copies elsewhere, or as many as the others can give. */
    private void moveAway(Pod.Parts parts, Incarnation leaver, String name, ControlHandler.Progress progress)
            throws ControlException, InterruptedException {
        long total = -1;
        while (true) {
            if (parts.log().disconnected())
                throw new ControlException(
                        ControlException.NOT_READY, "the network is lost", "try again when it is back");
            int others = 0;
            for (var member : parts.cluster().members().all())
                if (member.acceptsSlices() && !member.incarnation().equals(leaver)) others++;
            int possible = others;
            long[] left = new long[1];
            parts.log().view().slices(null, slice -> {
                if (slice.names() == 0 || !slice.heldBy(leaver)) return true;
                int copies = Math.min(possible, parts.replication().copiesWanted(slice.inode()));
                int elsewhere = 0;
                for (var holder : slice.holders())
                    if (holder.state().isCopy() && !holder.incarnation().equals(leaver)) elsewhere++;
                if (elsewhere < Math.max(1, copies)) left[0] += slice.lengthBytes();
                return true;
            });
            if (total < 0) total = left[0];
            if (!progress.watched())
                throw new ControlException(
                        ControlException.REFUSED, "nobody waits for it any more; " + name + " stays", "");
            var member = parts.cluster().members().get(leaver);
            if (left[0] > 0 && (member == null || !member.isLive()))
                throw new ControlException(
                        ControlException.REFUSED,
                        left[0] + " bytes have too few copies without " + name + ", which is not there to give them",
                        "start " + name + ", or wait until repair has made the copies (wormhole status)");
            progress.report("moving the data of " + name, Math.max(0, total - left[0]), total);
            if (left[0] == 0) return;
            if (possible == 0)
                throw new ControlException(ControlException.REFUSED, "no other pod takes data", "add a pod first");
            parts.repairer().lookAgain();
            TimeUnit.MILLISECONDS.sleep(300);
        }
    }

    /** The leader takes a draining pod's vote by itself; a pod without a vote can go. */
    private void awaitNoVote(Pod.Parts parts, Incarnation leaver) throws ControlException, InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (true) {
            boolean votes = false;
            for (var voter : parts.log().raft().status().voters())
                votes |= voter.incarnation().equals(leaver);
            if (!votes) return;
            if (System.nanoTime() > end)
                throw new ControlException(
                        ControlException.FAILED,
                        "the network did not take this pod's vote over within 60 s",
                        "try again");
            TimeUnit.MILLISECONDS.sleep(100);
        }
    }

    // ---- sync

    /** Until nothing that this pod holds has fewer copies than fsync promises. */
    private void sync(ControlHandler.Progress progress) throws ControlException, InterruptedException, IOException {
        var parts = parts();
        Incarnation self = parts.header().incarnation();
        long total = -1;
        while (true) {
            parts.log().barrier();
            long[] left = new long[1];
            parts.log().view().slices(null, slice -> {
                if (slice.names() == 0 || !slice.heldBy(self)) return true;
                int copies = Math.min(2, parts.replication().copiesWanted(slice.inode()));
                if (copiesOf(slice, parts) < copies) left[0] += slice.lengthBytes();
                return true;
            });
            if (total < 0) total = left[0];
            progress.report("copying to a second pod", total - left[0], total);
            if (left[0] == 0) return;
            if (!progress.watched()) return;
            if (parts.cluster().presentStoring().size() < 2)
                throw new ControlException(
                        ControlException.NOT_READY,
                        "no other pod is there to take a copy of " + left[0] + " bytes",
                        "");
            parts.repairer().lookAgain();
            TimeUnit.MILLISECONDS.sleep(300);
        }
    }

    private static int copiesOf(SliceRecord slice, Pod.Parts parts) {
        int copies = 0;
        for (var holder : slice.holders()) {
            @Nullable PodRecord record = parts.log().view().pod(holder.incarnation());
            if (holder.state().isCopy() && record != null && !record.absent()) copies++;
        }
        return copies;
    }
}
