// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.Size;
import dev.wormhole.control.DaemonEntry;
import dev.wormhole.control.Json;
import dev.wormhole.control.StoreCheck;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A look into a stopped pod's store, for who doubts a disk or Wormhole itself. */
@Command(
        name = "check",
        description = {
            "Look for contradictions in the store of a pod that does not run: in its tables, and between them and its slices.",
            "Changes nothing. Ends with 1 if something is wrong."
        })
final class CheckCommand extends Action {
    @Mixin
    Target.Options options = new Target.Options();

    @Option(names = "--bytes", description = "Also read every slice and compare it with its checksums.")
    private boolean bytes;

    @Mixin
    PassphraseOptions passphrase = new PassphraseOptions();

    @Option(
            names = "--key-file",
            paramLabel = "FILE",
            description = "The key file of an encrypted store that was moved.")
    private @Nullable Path keyFile;

    @Option(names = "--json", description = "As JSON.")
    private boolean json;

    CheckCommand(Host host) {
        super(host);
    }

    @Override
    int run() throws IOException {
        var target = Target.find(host, options, null);
        var daemon = StoreFiles.runningDaemon(target.store());
        if (daemon.isPresent())
            throw new CliException(
                    ExitCode.REFUSED,
                    "pod " + target.name() + " runs, process " + daemon.get().pid(),
                    "what is in a store is known when its pod is stopped: wormhole down");
        var check = ServiceLoader.load(DaemonEntry.class)
                .findFirst()
                .orElseThrow(() -> new IOException("this build has no daemon"))
                .check(
                        target.store(),
                        bytes,
                        new DaemonEntry.Unlock(
                                Optional.ofNullable(keyFile).map(host::absolute),
                                passphrase.of(host, target.name(), target.store())));
        if (json) say(Json.pretty(check));
        else lines(check).forEach(this::say);
        return check.findings().isEmpty() ? ExitCode.OK : ExitCode.FAILED;
    }

    static List<String> lines(StoreCheck check) {
        var lines = new ArrayList<String>();
        lines.add("%s: store %d of network %s, its tables as of entry %d of the log"
                .formatted(check.store(), check.incarnation(), check.network(), check.appliedIndex()));
        if (!check.inOrder()) lines.add("the pod was killed: its log has what happened last, its tables may not");
        lines.add("%d inodes, %d of them deleted and still held; %d slices, %d of them named by nothing any more"
                .formatted(check.inodes(), check.orphans(), check.slices(), check.unnamedSlices()));
        lines.add("%d slices here, %s".formatted(check.storedSlices(), Size.human(check.storedBytes())));
        if (check.deadSlices() > 0)
            lines.add("%d of them were let go, and go at the next start".formatted(check.deadSlices()));
        if (check.uncommittedSlices() > 0)
            lines.add("%d of them are not known to the log".formatted(check.uncommittedSlices()));
        if (check.unclaimedSlices() > 0)
            lines.add("%d of them are not counted on by the log".formatted(check.unclaimedSlices()));
        if (check.slicesWithoutCopy() > 0)
            lines.add("%d slices of files are on no disk that the log knows".formatted(check.slicesWithoutCopy()));
        check.findings().forEach(finding -> lines.add("WRONG: " + finding));
        lines.add(
                check.findings().isEmpty()
                        ? "nothing is wrong"
                        : check.findings().size() + " things are wrong");
        return lines;
    }
}
