// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.PodConfig;
import dev.wormhole.consensus.RaftLog;
import dev.wormhole.control.DaemonEntry;
import dev.wormhole.control.DaemonStart;
import dev.wormhole.control.StoreCheck;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.StoreKey;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The life of one pod in its process: start, signals, end. */
public final class PodMain implements DaemonEntry {
    private static final Logger LOG = Logger.getLogger(PodMain.class.getName());
    private static final int FAILED = 1;

    /** Found by the service loader. */
    public PodMain() {}

    /** Held, because a logger that nobody holds is forgotten with its level. */
    private static final List<Logger> QUIET =
            RaftLog.NOISY_LOGGERS.stream().map(Logger::getLogger).toList();

    @Override
    public int run(Path podToml, DaemonStart start) throws Exception {
        PodConfig config = PodConfig.load(podToml).orFail();
        quiet();
        var running = new AtomicReference<Pod>();
        Runtime.getRuntime()
                .addShutdownHook(Thread.ofPlatform().name("shutdown").unstarted(() -> {
                    var pod = running.get();
                    if (pod != null) pod.stop("the process was told to end");
                }));
        while (true) {
            Pod pod;
            try {
                pod = Pod.open(config, start);
            } catch (IOException failure) {
                LOG.log(Level.SEVERE, "pod " + config.pod().name() + " did not start: " + failure.getMessage());
                LOG.log(Level.FINE, "because", failure);
                start.failed(String.valueOf(failure.getMessage()));
                return FAILED;
            }
            running.set(pod);
            int code = pod.awaitEnd();
            if (code > 0) start.failed(pod.ended());
            if (code != Pod.RESTART) return code;
        }
    }

    @Override
    public void train(Path folder, boolean mount) throws IOException, InterruptedException {
        quiet();
        Training.run(folder, mount);
    }

    @Override
    public StoreCheck check(Path store, boolean bytes, Unlock unlock) throws IOException {
        return StoreInspection.run(store, bytes, unlock);
    }

    @Override
    public void changeLock(Path store, Unlock old, Unlock next) throws IOException {
        var keys = new KeyFiles(store);
        if (!StoreKey.exists(keys)) throw new IOException("the store " + store + " is not encrypted");
        var key = StoreKey.open(keys, old.keyFile(), old.passphrase());
        StoreKey.Lock lock = next.passphrase().isPresent()
                ? new StoreKey.Lock.Passphrase(next.passphrase().get())
                : next.keyFile().<StoreKey.Lock>map(StoreKey.Lock.File::new).orElseGet(() -> StoreKey.besides(keys));
        StoreKey.wrap(keys, key, lock);
    }

    /** An absent peer is normal and told in our own words. */
    private static void quiet() {
        for (Logger noisy : QUIET) noisy.setLevel(Level.SEVERE);
    }
}
