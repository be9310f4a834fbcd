// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.nio.file.Path;

/** The pod itself, found by {@link java.util.ServiceLoader}, so that the command line needs nothing of it to compile. */
public interface DaemonEntry {
    /**
     * Runs a pod until it is stopped by {@link Commands#STOP}, a signal, or a failure, which it tells through
     * {@link DaemonStart#failed} if it happens before the pod is ready.
     *
     * @param podToml exists and was read without an error
     * @return the exit code of the process, 0 for an orderly stop
     */
    int run(Path podToml, DaemonStart start) throws Exception;
}
