// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** The daemon's side of a start: what it was asked to do first, and where to tell that it failed. */
public final class DaemonStart {
    private final Path store;

    public DaemonStart(Path store) {
        this.store = store;
    }

    public Path store() {
        return store;
    }

    /** What to do once, before anything else. */
    public Optional<StartIntent> intent() throws IOException {
        return StartIntent.read(store);
    }

    /** To call when that is done and durable. */
    public void intentDone() throws IOException {
        StartIntent.remove(store);
    }

    /**
     * Leaves word for the person who started the pod: {@code start.error} in the store.
     *
     * @param message what is the matter and what to do, without a stack trace
     */
    public void failed(String message) {
        try {
            Files.createDirectories(store);
            Files.writeString(StoreFiles.startError(store), message.strip() + "\n");
        } catch (IOException e) {
            System.err.println(message);
        }
    }
}
