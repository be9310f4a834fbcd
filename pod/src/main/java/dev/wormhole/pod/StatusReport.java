// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.consensus.Member;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.control.NetworkStatus.PodState;
import dev.wormhole.health.Presence;
import dev.wormhole.health.Situation;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.namespace.Reforming;
import dev.wormhole.transfer.PeerException;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Server;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What {@code wormhole status} shows: the leader's view where there is a leader, else this pod's own. */
final class StatusReport {
    static final String VERSION = version();
    private static final Duration LEADER_DEADLINE = Duration.ofSeconds(2);

    private StatusReport() {}

    private static String version() {
        String version = StatusReport.class.getPackage().getImplementationVersion();
        return version == null ? "0.1.0-SNAPSHOT" : version;
    }

    /** Other pods ask the leader through this. */
    static void serve(Server server, Pod pod) {
        server.handle(Calls.STATUS, request -> {
            var parts = pod.parts();
            if (parts == null || !parts.log().leads())
                throw new PeerRefused(Calls.NOT_LEADER, "this pod does not lead");
            return Json.line(own(parts, pod)).getBytes(StandardCharsets.UTF_8);
        });
    }

    /** The status that the network's leader gives, or this pod's own where no leader answers. */
    static NetworkStatus of(Pod.Parts parts, Pod pod) throws InterruptedException {
        var log = parts.log();
        var leader = log.leader();
        if (leader.isPresent() && !log.leads()) {
            try {
                var reply = parts.peers().await(leader.get(), Calls.STATUS, new byte[0], LEADER_DEADLINE);
                var told = Json.to(NetworkStatus.class, Json.parse(new String(reply.body(), StandardCharsets.UTF_8)));
                return as(told, pod.config().pod().name(), parts.renewal().warnings());
            } catch (PeerException | RuntimeException noAnswer) {
                // The leader is going or gone: what this pod knows itself is better than nothing.
            }
        }
        return as(own(parts, pod), pod.config().pod().name(), parts.renewal().warnings());
    }

    private static NetworkStatus as(NetworkStatus told, String pod, List<String> own) {
        var warnings = new ArrayList<>(own);
        warnings.addAll(told.warnings());
        return new NetworkStatus(
                told.network(),
                told.generation(),
                told.version(),
                pod,
                told.leader(),
                told.situation(),
                told.situationReasons(),
                told.copies(),
                told.pods(),
                told.replication(),
                warnings);
    }

    private static NetworkStatus own(Pod.Parts parts, Pod pod) {
        var log = parts.log();
        var cluster = parts.cluster();
        Incarnation self = parts.header().incarnation();
        var raft = log.raft().status();
        Set<Incarnation> voters = new HashSet<>();
        for (Member voter : raft.voters()) voters.add(voter.incarnation());
        long newest = Math.max(raft.committed(), log.applied());
        var pods = new ArrayList<NetworkStatus.PodStatus>();
        var warnings = new ArrayList<String>();
        for (PodRecord record : log.view().pods()) {
            var incarnation = record.incarnation();
            boolean isSelf = incarnation.equals(self);
            var seen = cluster.seen(incarnation);
            var state = isSelf ? pod.state(self, log, parts.slices()) : seen == null ? null : seen.state();
            var settings = record.settings();
            pods.add(new NetworkStatus.PodStatus(
                    settings.name(),
                    state == null ? 0 : state.pid(),
                    settings.role().name().toLowerCase(Locale.ROOT),
                    state == null ? "" : state.store(),
                    state == null ? "" : state.mount(),
                    podState(record, isSelf, log.disconnected(), seen, state),
                    incarnation.number(),
                    voters.contains(incarnation),
                    log.leader().isPresent() && log.leader().get().equals(incarnation),
                    settings.intermittent(),
                    settings.zone(),
                    settings.addresses(),
                    state == null ? 0 : state.usedBytes(),
                    state == null || settings.role() == PodSettings.Role.WITNESS
                            ? settings.limitBytes()
                            : state.limitBytes(),
                    state == null ? 0 : state.freeBytes(),
                    state == null ? 0 : state.appliedIndex(),
                    state == null ? newest : Math.max(0, newest - state.appliedIndex()),
                    isSelf ? 0 : seen == null ? -1 : cluster.silentMillis(seen),
                    state == null ? 0 : state.memoryBytes(),
                    state == null ? 0 : state.uptimeMillis()));
            if (state != null && !state.fault().isEmpty()) warnings.add(settings.name() + ": " + state.fault());
        }
        pods.sort(Comparator.comparing(NetworkStatus.PodStatus::name));
        warnings.addAll(parts.renewal().warningsOfMembers());
        if (log.disconnected()) warnings.add("this pod has lost the network; " + pod.withoutNetwork());
        if (voters.size() == 2) warnings.add("two pods vote: if one of them is lost, nothing can be changed");
        var administrators = log.view().administrators();
        if (administrators.size() == 1 && pods.size() > 1)
            warnings.add("only " + cluster.name(administrators.getFirst())
                    + " can let pods in, and certify them anew: if it is lost, nobody can;"
                    + " wormhole administrators --add POD, and keep a recovery file: wormhole authority export FILE");
        var situation = parts.repairer().situation();
        var network = parts.settings().get();
        return new NetworkStatus(
                parts.header().networkName(),
                Reforming.number(parts.header().generation()),
                VERSION,
                pod.config().pod().name(),
                log.leader().map(cluster::name).orElse(""),
                situation.level().name().toLowerCase(Locale.ROOT),
                situation.reasons(),
                network.redundancy().copies(),
                pods,
                replication(parts),
                warnings);
    }

    private static PodState podState(
            PodRecord record,
            boolean isSelf,
            boolean disconnected,
            ClusterView.@Nullable Seen seen,
            dev.wormhole.pod.@Nullable PodState state) {
        if (record.absent() && !isSelf) return PodState.ABSENT;
        if (state == null) return PodState.UNKNOWN;
        if (!isSelf && (disconnected || seen == null || seen.presence() == Presence.LATE)) return PodState.LATE;
        if (record.draining()) return PodState.LEAVING;
        return switch (state.stage()) {
            case STARTING -> PodState.STARTING;
            case READY -> PodState.READY;
            case CATCHING_UP -> PodState.CATCHING_UP;
            case FROZEN -> PodState.FROZEN;
            case LEAVING -> PodState.LEAVING;
        };
    }

    private static NetworkStatus.ReplicationStatus replication(Pod.Parts parts) {
        var totals = parts.log().view().totals();
        var jobs = new ArrayList<NetworkStatus.Job>();
        var shown = parts.repairer().progress();
        shown.causes().forEach((cause, count) -> {
            if (count == 0) return;
            jobs.add(new NetworkStatus.Job(
                    "repair",
                    count + " slices: " + words(cause.name()),
                    shown.bytesDone(),
                    shown.bytesDone() + shown.bytesToDo(),
                    null));
        });
        long others = parts.repairer().othersToDo();
        if (others > 0)
            jobs.add(new NetworkStatus.Job(
                    "repair", others + " slices: too few copies, made by other pods that have one", 0, 0, null));
        if (totals.unnamedSlices() > 0)
            jobs.add(new NetworkStatus.Job(
                    "reclaim", totals.unnamedSlices() + " slices that nothing names any more", 0, 0, null));
        if (totals.orphans() > 0)
            jobs.add(
                    new NetworkStatus.Job("reclaim", totals.orphans() + " deleted files", 0, 0, whyOrphansStay(parts)));
        Situation.Facts facts = parts.repairer().facts();
        return new NetworkStatus.ReplicationStatus(
                totals.slices(),
                facts == null ? 0 : facts.slicesBelowCopies(),
                facts == null ? 0 : facts.slicesMissing() + facts.singleSlicesMissing(),
                facts == null ? 0 : facts.bytesToCopy(),
                facts == null ? 0 : facts.bytesOnOnePod(),
                List.copyOf(jobs));
    }

    /** Which pod has the oldest orphan open, or has not said yet that it has not; null when it goes with the next round. */
    private static @Nullable String whyOrphansStay(Pod.Parts parts) {
        for (var orphan : parts.log().view().orphans(null, 1)) {
            var names = new ArrayList<String>();
            for (Incarnation holder : orphan.holders())
                names.add(parts.cluster().name(holder));
            if (!names.isEmpty()) return "open on " + String.join(", ", names);
            for (PodRecord pod : parts.log().view().pods())
                if (!pod.absent() && pod.orphansAcknowledgedIndex() < orphan.orphanedIndex())
                    names.add(pod.settings().name());
            if (!names.isEmpty()) return "not acknowledged yet by " + String.join(", ", names);
        }
        return null;
    }

    private static String words(String constant) {
        return constant.toLowerCase(Locale.ROOT).replace('_', ' ');
    }
}
