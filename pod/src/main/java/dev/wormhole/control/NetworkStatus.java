// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import com.google.gson.annotations.SerializedName;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What {@code wormhole status} shows: the network as one pod sees it.
 *
 * @param network its name
 * @param generation of the network's log, from 1
 * @param version of the software of this pod
 * @param pod the name of the pod that answers
 * @param leader the name of the leading pod, empty where none is known
 * @param situation one of healthy, recoverable, degraded, critical
 * @param situationReasons why, empty when healthy
 * @param copies the network's default
 * @param pods all members, this one among them
 * @param warnings what a person should know, most urgent first
 */
public record NetworkStatus(
        String network,
        long generation,
        String version,
        String pod,
        String leader,
        String situation,
        List<String> situationReasons,
        int copies,
        List<PodStatus> pods,
        ReplicationStatus replication,
        List<String> warnings) {
    @SuppressWarnings("NullAway") // Gson leaves what is absent null
    public NetworkStatus {
        network = Commands.text(network);
        version = Commands.text(version);
        pod = Commands.text(pod);
        leader = Commands.text(leader);
        situation = Commands.text(situation);
        situationReasons = Commands.list(situationReasons);
        pods = Commands.list(pods);
        replication = replication == null ? ReplicationStatus.NONE : replication;
        warnings = Commands.list(warnings);
    }

    /** The answer of {@code pods}. */
    public record Pods(List<PodStatus> pods) {
        public Pods {
            pods = Commands.list(pods);
        }
    }

    /**
     * One pod, as the answering pod knows it.
     *
     * @param pid of its daemon on its machine, 0 if unknown
     * @param role storage or witness
     * @param store its path on its machine
     * @param mount likewise, empty without a mount
     * @param incarnation of its store
     * @param voter it votes on metadata; otherwise it listens
     * @param intermittent it sleeps at times
     * @param addresses HOST:PORT, best first
     * @param usedBytes by slices
     * @param limitBytes most bytes of slices, {@link Long#MAX_VALUE} without a limit of its own
     * @param freeBytes that it would still take
     * @param appliedIndex of the log
     * @param lag log entries behind the newest that the answering pod knows
     * @param lastHeardMillis since it was heard of; 0 for the answering pod, -1 never
     * @param memoryBytes resident memory of its daemon, 0 if unknown
     * @param uptimeMillis of its daemon, 0 if unknown
     */
    public record PodStatus(
            String name,
            long pid,
            String role,
            String store,
            String mount,
            PodState state,
            int incarnation,
            boolean voter,
            boolean leader,
            boolean intermittent,
            String zone,
            List<String> addresses,
            long usedBytes,
            long limitBytes,
            long freeBytes,
            long appliedIndex,
            long lag,
            long lastHeardMillis,
            long memoryBytes,
            long uptimeMillis) {
        @SuppressWarnings("NullAway") // Gson leaves what is absent or unknown null
        public PodStatus {
            name = Commands.text(name);
            role = Commands.text(role);
            store = Commands.text(store);
            mount = Commands.text(mount);
            state = state == null ? PodState.UNKNOWN : state;
            zone = Commands.text(zone);
            addresses = Commands.list(addresses);
        }
    }

    public enum PodState {
        /** The daemon runs, the mount does not work yet. */
        @SerializedName("starting")
        STARTING("starting"),
        /** Mounted, in step, writable. */
        @SerializedName("ready")
        READY("ready"),
        /** Mounted, behind the log. */
        @SerializedName("catching-up")
        CATCHING_UP("catching-up"),
        /** Cut off from the network: as its file says, read-only. */
        @SerializedName("frozen")
        FROZEN("frozen"),
        /** Not heard for a moment. */
        @SerializedName("late")
        LATE("late"),
        /** Away so long that its copies are made again. */
        @SerializedName("absent")
        ABSENT("absent"),
        /** It leaves; its data moves. */
        @SerializedName("leaving")
        LEAVING("leaving"),
        /** Known of, never heard. */
        @SerializedName("unknown")
        UNKNOWN("unknown");

        private final String word;

        PodState(String word) {
            this.word = word;
        }

        @Override
        public String toString() {
            return word;
        }
    }

    /**
     * @param slices in the network
     * @param belowCopies of them, with fewer copies than wished
     * @param lost of them, without any holder that is not absent
     * @param pendingBytes not yet on as many pods as wished
     * @param unsafeBytes not yet on a second pod, of files that should be
     * @param jobs what is being done and why, most urgent first
     */
    public record ReplicationStatus(
            long slices, long belowCopies, long lost, long pendingBytes, long unsafeBytes, List<Job> jobs) {
        public static final ReplicationStatus NONE = new ReplicationStatus(0, 0, 0, 0, 0, List.of());

        public ReplicationStatus {
            jobs = Commands.list(jobs);
        }
    }

    /**
     * @param kind repair, drop, leave, reclaim, catch-up
     * @param reason for people: {@code pod-2 absent for 12 min}
     * @param doneBytes of {@code totalBytes}; 0 and 0 where it is not known
     * @param blocked why it cannot go on, empty while it does
     */
    public record Job(
            String kind,
            String reason,
            long doneBytes,
            long totalBytes,
            @Nullable String blocked) {}
}
