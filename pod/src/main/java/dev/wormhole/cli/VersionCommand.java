// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import picocli.CommandLine.Command;

@Command(name = "version", description = "Print the version of Wormhole and of Java.")
final class VersionCommand extends Action {
    VersionCommand(Host host) {
        super(host);
    }

    @Override
    int run() {
        say("wormhole " + Wormhole.version() + " (Java " + Runtime.version() + ")");
        return ExitCode.OK;
    }
}
