// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

/** Ends a command with an exit code and words that a person can act on. */
final class CliException extends RuntimeException {
    private final int exitCode;
    private final String hint;

    CliException(int exitCode, String message, String hint) {
        super(message);
        this.exitCode = exitCode;
        this.hint = hint;
    }

    CliException(int exitCode, String message, String hint, Throwable cause) {
        super(message, cause);
        this.exitCode = exitCode;
        this.hint = hint;
    }

    int exitCode() {
        return exitCode;
    }

    /** What to do about it; may have several lines, may be empty. */
    String hint() {
        return hint;
    }
}
