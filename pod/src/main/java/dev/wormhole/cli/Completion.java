// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(
        name = "completion",
        description = "Print a script that completes wormhole's commands in a shell.",
        footer = {"", "bash: source <(wormhole completion bash)", "zsh:  source <(wormhole completion zsh)"})
final class Completion extends Action {
    enum Shell {
        bash,
        zsh
    }

    @Parameters(paramLabel = "SHELL", description = "bash or zsh.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Shell shell;

    Completion(Host host) {
        super(host);
    }

    @Override
    int run() {
        if (shell == Shell.zsh) {
            say("autoload -U +X compinit && compinit");
            say("autoload -U +X bashcompinit && bashcompinit");
        }
        say(AutoComplete.bash("wormhole", Wormhole.commandLine(host)));
        return ExitCode.OK;
    }
}
