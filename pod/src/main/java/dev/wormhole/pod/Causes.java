// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** What stands behind the wrappers that futures put around a failure. */
final class Causes {
    private Causes() {}

    static Throwable of(Throwable failure) {
        Throwable cause = failure;
        while ((cause instanceof ExecutionException || cause instanceof CompletionException)
                && cause.getCause() != null) cause = cause.getCause();
        return cause;
    }

    /** Words for a person. */
    static String message(Throwable failure) {
        Throwable cause = of(failure);
        String message = cause.getMessage();
        return message == null ? cause.getClass().getSimpleName() : message;
    }
}
