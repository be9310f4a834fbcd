// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The daemon's side of a start: what it was asked to do first, and where to tell that it failed. */
public final class DaemonStart {
    /** Of UTF-8. */
    public static final int PASSPHRASE_BYTES_MAX = 1024;

    private final Path store;
    private final InputStream input;
    /** The same at every start in this process: a pod that goes over to another generation begins anew. */
    private @Nullable String line;

    public DaemonStart(Path store) {
        this(store, InputStream.nullInputStream());
    }

    /** @param input whose first line is the passphrase of an encrypted store; read only where one is wanted */
    public DaemonStart(Path store, InputStream input) {
        this.store = store;
        this.input = input;
    }

    /** What the command that started this process was told. Empty where it was told nothing. */
    public synchronized Optional<String> passphrase() throws IOException {
        if (line == null) line = readLine();
        return Optional.of(line).filter(text -> !text.isEmpty());
    }

    private String readLine() throws IOException {
        var read = new ByteArrayOutputStream();
        for (int b = input.read(); b >= 0 && b != '\n'; b = input.read()) {
            if (read.size() == PASSPHRASE_BYTES_MAX)
                throw new IOException("the passphrase on standard input is too long");
            read.write(b);
        }
        return read.toString(StandardCharsets.UTF_8);
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
