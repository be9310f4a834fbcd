// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.io.IOException;
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

    /**
     * Lets the JVM learn what a daemon does, for about ten seconds: a network in this process, of pods that nobody else
     * uses. All of it has ended on return.
     *
     * @param folder where everything is written; left to the caller
     * @param mount also mount a pod, at {@code folder/mount}
     */
    void train(Path folder, boolean mount) throws IOException, InterruptedException;

    /**
     * Looks for contradictions in the store of a pod that does not run: in its tables, and between them and the slices that it
     * has. Changes nothing.
     *
     * @param bytes also read every slice and compare it with its checksums
     * @throws IOException if there is no store, it is in use, or it cannot be read
     */
    StoreCheck check(Path store, boolean bytes) throws IOException;
}
