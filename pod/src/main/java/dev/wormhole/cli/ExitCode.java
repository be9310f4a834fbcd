// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

/** What a command's exit code says. Documented in docs/commands.md; part of the interface. */
final class ExitCode {
    static final int OK = 0;
    /** Tried, and did not work. */
    static final int FAILED = 1;
    /** The command line makes no sense. */
    static final int USAGE = 2;
    /** No pod answers. */
    static final int UNREACHABLE = 3;
    /** The answer is no, or a person would have to agree. */
    static final int REFUSED = 4;
    /** A configuration file is wrong. */
    static final int CONFIG = 5;

    private ExitCode() {}
}
