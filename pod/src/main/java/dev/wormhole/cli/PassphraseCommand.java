// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.control.DaemonEntry;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Another lock for the same key. */
@Command(
        name = "passphrase",
        description = {
            "Change what opens the encrypted store of a pod of this machine: its passphrase, or its key file.",
            "Takes no time, whatever is in the store; whoever has an old copy of the store's keys opens it as before."
        })
final class PassphraseCommand extends Action {
    @Mixin
    Target.Options options = new Target.Options();

    @Mixin
    PassphraseOptions old = new PassphraseOptions();

    @Option(
            names = "--new-passphrase-file",
            paramLabel = "FILE",
            description = "Read the new passphrase from the first line of FILE. Default: it is asked for.")
    private @Nullable String next;

    @Option(names = "--key-file", paramLabel = "FILE", description = "The key file as it is now, if it was moved.")
    private @Nullable Path keyFile;

    @Option(
            names = "--new-key-file",
            paramLabel = "FILE",
            description = "No passphrase any more but a key file, made if it is not there.")
    private @Nullable Path nextKeyFile;

    PassphraseCommand(Host host) {
        super(host);
    }

    @Override
    int run() throws IOException {
        if (next != null && nextKeyFile != null)
            throw new CliException(
                    ExitCode.USAGE, "--new-passphrase-file and --new-key-file are two ways to say one thing", "");
        var target = Target.find(host, options, null);
        var before = new DaemonEntry.Unlock(
                Optional.ofNullable(keyFile).map(host::absolute), old.of(host, target.name(), target.store()));
        var after = nextKeyFile != null
                ? new DaemonEntry.Unlock(Optional.of(host.absolute(nextKeyFile)), Optional.empty())
                : new DaemonEntry.Unlock(
                        Optional.empty(),
                        Optional.of(
                                next == null
                                        ? new PassphraseOptions().choose(host)
                                        : PassphraseOptions.checkedNew(PassphraseOptions.firstLine(host, next))));
        ServiceLoader.load(DaemonEntry.class)
                .findFirst()
                .orElseThrow(() -> new IOException("this build has no daemon"))
                .changeLock(target.store(), before, after);
        say("the store of pod " + target.name() + " opens with "
                + (nextKeyFile == null ? "the new passphrase" : nextKeyFile) + " from now on");
        return ExitCode.OK;
    }
}
