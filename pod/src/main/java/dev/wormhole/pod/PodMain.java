// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.PodConfig;
import dev.wormhole.control.DaemonEntry;
import dev.wormhole.control.DaemonStart;
import java.io.IOException;
import java.nio.file.Path;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The life of one pod in its process: start, signals, end. */
public final class PodMain implements DaemonEntry {
    private static final Logger LOG = Logger.getLogger(PodMain.class.getName());
    private static final int FAILED = 1;

    /** Found by the service loader. */
    public PodMain() {}

    @Override
    public int run(Path podToml, DaemonStart start) throws Exception {
        PodConfig config = PodConfig.load(podToml).orFail();
        Pod pod;
        try {
            pod = Pod.open(config, start);
        } catch (IOException failure) {
            LOG.log(Level.SEVERE, "pod " + config.pod().name() + " did not start: " + failure.getMessage(), failure);
            start.failed(String.valueOf(failure.getMessage()));
            return FAILED;
        }
        Runtime.getRuntime()
                .addShutdownHook(
                        Thread.ofPlatform().name("shutdown").unstarted(() -> pod.stop("the process was told to end")));
        return pod.awaitEnd();
    }
}
