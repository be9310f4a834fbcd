// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.content.OutOfSpaceException;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Waits for what is under way. */
final class Waiting {
    private Waiting() {}

    /** The future's value. An interrupt ends the wait. */
    static <T> T on(CompletableFuture<T> future) throws IOException, InterruptedException {
        try {
            return future.get();
        } catch (ExecutionException e) {
            throw failure(e);
        }
    }

    /** Whether the future completed within so many milliseconds. An interrupt ends the wait. */
    static boolean briefly(CompletableFuture<?> future, long millis) throws IOException, InterruptedException {
        try {
            future.get(millis, TimeUnit.MILLISECONDS);
            return true;
        } catch (TimeoutException e) {
            return false;
        } catch (ExecutionException e) {
            throw failure(e);
        }
    }

    /** The failure as the caller sees it; bugs are thrown as they are. */
    private static IOException failure(ExecutionException e) {
        Throwable cause = e.getCause();
        while (cause instanceof CompletionException && cause.getCause() != null) cause = cause.getCause();
        return switch (cause) {
            case DisconnectedException disconnected -> disconnected;
            case OutOfSpaceException full -> new OutOfSpaceException(String.valueOf(full.getMessage()));
            case IOException io -> new IOException(io.getMessage(), io);
            case RuntimeException bug -> throw bug;
            case Error error -> throw error;
            case null, default -> new IOException(cause);
        };
    }
}
