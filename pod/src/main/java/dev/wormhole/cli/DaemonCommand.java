// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.Parsed;
import dev.wormhole.config.PodConfig;
import dev.wormhole.control.DaemonEntry;
import dev.wormhole.control.DaemonStart;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ServiceLoader;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** The pod's own process. {@code up}, {@code create} and {@code join} start it; so may a service manager. */
@Command(name = "daemon", hidden = true, description = "Run a pod in this process until it is stopped.")
final class DaemonCommand extends Action {
    private static final Logger LOG = Logger.getLogger(DaemonCommand.class.getName());

    @Parameters(paramLabel = "POD_TOML", description = "The pod's file.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path podToml;

    DaemonCommand(Host host) {
        super(host);
    }

    @Override
    int run() throws IOException {
        var file = host.absolute(podToml);
        var parsed = PodConfig.parse(file.toString(), Files.readString(file), host.around());
        var pod = switch (parsed) {
            case Parsed.Good<PodConfig>(var config) -> config.pod();
            case Parsed.Bad<PodConfig> bad -> throw new CliException(ExitCode.CONFIG, bad.report(), "");
        };
        var store = pod.store();
        StoreFiles.make(store);
        var other = StoreFiles.runningDaemon(store);
        if (other.isPresent() && other.get().pid() != ProcessHandle.current().pid()) {
            throw new CliException(
                    ExitCode.REFUSED,
                    "pod " + pod.name() + " already runs, process "
                            + other.get().pid(),
                    "");
        }
        Files.deleteIfExists(StoreFiles.startError(store));
        DaemonLog.install(StoreFiles.log(store));
        StoreFiles.writePid(store);
        var start = new DaemonStart(store, System.in);
        try {
            var entry = ServiceLoader.load(DaemonEntry.class)
                    .findFirst()
                    .orElseThrow(() -> new IOException("this build has no daemon"));
            LOG.info("pod " + pod.name() + " starts, version " + Wormhole.version() + ", file " + file);
            var code = entry.run(file, start);
            LOG.info("pod " + pod.name() + " ends with " + code);
            Files.deleteIfExists(StoreFiles.pidFile(store));
            return code;
        } catch (Throwable e) {
            // also an Error: a process that ends must say why
            LOG.log(Level.SEVERE, "pod " + pod.name() + " failed: " + e, e);
            var message = e.getMessage();
            start.failed(
                    e instanceof IOException && message != null
                            ? message
                            : "a bug: " + e.getClass().getSimpleName() + ": " + message);
            return ExitCode.FAILED;
        }
    }
}
