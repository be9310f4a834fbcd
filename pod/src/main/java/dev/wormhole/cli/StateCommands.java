// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.Size;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.Explanation;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.control.NetworkStatus.PodStatus;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What a network is like, for people and, with --json, for programs. */
final class StateCommands {
    private StateCommands() {}

    @Command(
            name = "status",
            description = "Show the network: its pods, space, copies, and what is being done and why.")
    static final class Status extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--json", description = "As JSON.")
        boolean json;

        Status(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var answer = Target.find(host, options, null).client().call(Commands.STATUS);
            if (json) {
                say(Json.pretty(answer));
                return ExitCode.OK;
            }
            lines(Json.to(NetworkStatus.class, answer)).forEach(this::say);
            return ExitCode.OK;
        }
    }

    static List<String> lines(NetworkStatus status) {
        var lines = new ArrayList<String>();
        lines.add("network %s: %s, copies = %d, %s (as %s sees it)"
                .formatted(
                        status.network(),
                        status.situation().isEmpty() ? "situation unknown" : status.situation(),
                        status.copies(),
                        status.leader().isEmpty() ? "no leader" : "leader " + status.leader(),
                        status.pod()));
        status.situationReasons().forEach(reason -> lines.add("  " + reason));
        status.warnings().forEach(warning -> lines.add("warning: " + warning));
        lines.add("");
        lines.addAll(podTable(status.pods()));
        lines.add("");
        var replication = status.replication();
        lines.add("%d slices, %s%s"
                .formatted(
                        replication.slices(),
                        replication.belowCopies() == 0
                                ? "all with the copies wished"
                                : replication.belowCopies() + " below the copies wished ("
                                        + Size.human(replication.pendingBytes()) + " to copy)",
                        replication.lost() == 0 ? "" : ", " + replication.lost() + " without a reachable holder"));
        if (replication.unsafeBytes() > 0) {
            lines.add(Size.human(replication.unsafeBytes()) + " are on one pod only so far");
        }
        for (var job : replication.jobs()) {
            lines.add("  " + job.kind() + ": " + job.reason()
                    + (job.totalBytes() > 0
                            ? ", " + Size.human(job.doneBytes()) + " of " + Size.human(job.totalBytes())
                            : "")
                    + (job.blocked() == null || job.blocked().isEmpty() ? "" : "; waits: " + job.blocked()));
        }
        return lines;
    }

    static List<String> podTable(List<PodStatus> pods) {
        var rows = new ArrayList<List<String>>();
        for (var pod : pods) {
            rows.add(List.of(
                    pod.name(),
                    pod.role() + (pod.intermittent() ? ", intermittent" : ""),
                    pod.state().toString(),
                    pod.leader() ? "leader" : pod.voter() ? "votes" : "listens",
                    pod.zone(),
                    Size.human(pod.usedBytes()),
                    Size.human(pod.freeBytes()),
                    pod.lag() == 0 ? "" : Long.toString(pod.lag()),
                    heard(pod.lastHeardMillis()),
                    pod.pid() == 0 ? "" : Long.toString(pod.pid()),
                    pod.mount()));
        }
        return Console.table(
                List.of("POD", "ROLE", "STATE", "VOTE", "ZONE", "USED>", "FREE>", "BEHIND>", "HEARD>", "PID>", "MOUNT"),
                rows);
    }

    private static String heard(long millis) {
        if (millis < 0) return "never";
        if (millis < 1500) return "now";
        if (millis < 120_000) return millis / 1000 + " s ago";
        if (millis < 7_200_000) return millis / 60_000 + " min ago";
        return millis < 172_800_000 ? millis / 3_600_000 + " h ago" : millis / 86_400_000 + " d ago";
    }

    @Command(name = "pods", description = "List the pods of the network.")
    static final class Pods extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--json", description = "As JSON.")
        boolean json;

        Pods(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var answer = Target.find(host, options, null).client().call(Commands.PODS);
            if (json) say(Json.pretty(answer));
            else podTable(Json.to(NetworkStatus.Pods.class, answer).pods()).forEach(this::say);
            return ExitCode.OK;
        }
    }

    @Command(name = "explain", description = "Say who holds a file, how many copies it has and should have, and why.")
    static final class Explain extends Action {
        @Parameters(paramLabel = "PATH", description = "A file or folder in a mount.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        Path path;

        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--json", description = "As JSON.")
        boolean json;

        Explain(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var target = Target.find(host, options, path);
            // with a pod named, PATH may also be one in its tree
            var inTree = target.pathInTree()
                    .orElseGet(() -> Path.of("/").resolve(path).normalize().toString());
            var answer = target.client().call(Commands.EXPLAIN, new Commands.PathArgument(inTree), (_, _, _) -> {});
            if (json) say(Json.pretty(answer));
            else lines(Json.to(Explanation.class, answer)).forEach(this::say);
            return ExitCode.OK;
        }

        static List<String> lines(Explanation file) {
            var lines = new ArrayList<String>();
            lines.add("%s: %s, %s, inode %d, content version %d%s"
                    .formatted(
                            file.path(),
                            file.type(),
                            Size.human(file.sizeBytes()),
                            file.inode(),
                            file.contentVersion(),
                            file.readOnly() ? ", read-only by a rule" : ""));
            lines.add("copies: %d wanted (%s), %d had%s"
                    .formatted(
                            file.copiesWanted(),
                            file.decidedBy(),
                            file.copiesHad(),
                            file.slicesBelow() == 0
                                    ? ""
                                    : "; %d of %d slices below".formatted(file.slicesBelow(), file.slices())));
            if (!file.holders().isEmpty()) {
                var rows = new ArrayList<List<String>>();
                for (var holder : file.holders()) {
                    rows.add(List.of(
                            holder.pod(),
                            String.valueOf(holder.state()),
                            count(holder.verified()),
                            count(holder.durable()),
                            count(holder.written()),
                            Size.human(holder.bytes())));
                }
                lines.add("");
                lines.addAll(Console.table(
                        List.of("HOLDER", "STATE", "VERIFIED>", "DURABLE>", "ARRIVED ONLY>", "BYTES>"), rows));
            }
            lines.addAll(file.notes());
            return lines;
        }

        private static String count(long count) {
            return count == 0 ? "" : Long.toString(count);
        }
    }

    @Command(
            name = "sync",
            description =
                    "Wait until all that was written is on as many pods as it should be: then it is safe to leave.")
    static final class Sync extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        Sync(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var target = Target.find(host, options, null);
            try (var console = new Console(host)) {
                target.client().call(Commands.SYNC, new Object(), console);
            }
            return ExitCode.OK;
        }
    }
}
