// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

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
     * @param unlock opens an encrypted store
     * @throws IOException if there is no store, it is in use, or it cannot be read
     */
    StoreCheck check(Path store, boolean bytes, Unlock unlock) throws IOException;

    /**
     * Changes what opens an encrypted store. Its key, and all that is sealed with it, stay as they are.
     *
     * @param old as it is now
     * @param next as it will be: a passphrase if there is one, else a key file
     * @throws IOException if the old one does not open it; nothing is changed then
     */
    void changeLock(Path store, Unlock old, Unlock next) throws IOException;

    /**
     * @param keyFile where it is, if not where the store's key says
     * @param passphrase where the store wants one
     */
    record Unlock(Optional<Path> keyFile, Optional<String> passphrase) {
        @Override
        public String toString() {
            return passphrase.isPresent() ? "a passphrase" : "a key file";
        }
    }
}
