// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.control.DaemonEntry;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ServiceLoader;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** A run for the JVM to learn from, by {@code bin/train}: never a pod of anybody's. */
@Command(name = "train", hidden = true, description = "Run a small network in this process, for the JVM to learn from.")
final class TrainCommand extends Action {
    @Parameters(paramLabel = "FOLDER", description = "An empty folder.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path folder;

    @Option(names = "--mount", description = "Mount a pod too.")
    private boolean mount;

    TrainCommand(Host host) {
        super(host);
    }

    @Override
    int run() throws IOException, InterruptedException {
        var at = host.absolute(folder);
        DaemonLog.install(at.resolve("log"));
        var entry = ServiceLoader.load(DaemonEntry.class)
                .findFirst()
                .orElseThrow(() -> new IOException("this build has no daemon"));
        entry.train(at, mount);
        return ExitCode.OK;
    }
}
