// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.control.ControlException;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** One command. What it throws becomes words and an exit code in {@link Wormhole}. */
@Command(mixinStandardHelpOptions = true, versionProvider = Wormhole.Version.class)
abstract class Action implements Callable<Integer> {
    final Host host;

    Action(Host host) {
        this.host = host;
    }

    /** @return an exit code */
    abstract int run() throws IOException, ControlException, InterruptedException;

    @Override
    public final Integer call() throws IOException, ControlException, InterruptedException {
        return run();
    }

    void say(String line) {
        host.out().println(line);
    }
}
