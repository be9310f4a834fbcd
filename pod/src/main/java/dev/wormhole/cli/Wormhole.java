// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.control.ControlClient;
import dev.wormhole.control.ControlException;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The program: its commands, and how a failure becomes words and an exit code. */
@Command(
        name = "wormhole",
        mixinStandardHelpOptions = true,
        versionProvider = Wormhole.Version.class,
        description = "Machines that share one folder.",
        synopsisSubcommandLabel = "COMMAND",
        footer = {
            "",
            "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no pod answers, 4 refused, 5 error in a configuration file.",
            "Begin with: wormhole demo"
        })
public final class Wormhole implements Runnable {
    @Option(
            names = "--debug",
            scope = CommandLine.ScopeType.INHERIT,
            description = "On failure, print the stack trace too.")
    private boolean debug;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    public static void main(String[] args) {
        var host = Host.here();
        var code = run(host, args);
        host.out().flush();
        host.err().flush();
        // a daemon may leave threads behind
        System.exit(code);
    }

    static int run(Host host, String... args) {
        return commandLine(host).execute(args);
    }

    static CommandLine commandLine(Host host) {
        var root = new Wormhole();
        var line = new CommandLine(root)
                .addSubcommand(new MembershipCommands.Create(host))
                .addSubcommand(new AdministrationCommands.Invite(host))
                .addSubcommand(new AdministrationCommands.Invitations(host))
                .addSubcommand(new AdministrationCommands.Requests(host))
                .addSubcommand(new AdministrationCommands.Approve(host))
                .addSubcommand(new AdministrationCommands.Refuse(host))
                .addSubcommand(new AdministrationCommands.Administrators(host))
                .addSubcommand(new AdministrationCommands.Revoke(host))
                .addSubcommand(new AdministrationCommands.Audit(host))
                .addSubcommand(new CommandLine(new AuthorityCommands.Show(host))
                        .addSubcommand(new AuthorityCommands.Export(host))
                        .addSubcommand(new AuthorityCommands.Restore(host))
                        .addSubcommand(new AuthorityCommands.Rotate(host)))
                .addSubcommand(new MembershipCommands.Join(host))
                .addSubcommand(new LifeCommands.Up(host))
                .addSubcommand(new LifeCommands.Down(host))
                .addSubcommand(new StateCommands.Status(host))
                .addSubcommand(new StateCommands.Pods(host))
                .addSubcommand(new StateCommands.Explain(host))
                .addSubcommand(new StateCommands.Sync(host))
                .addSubcommand(new CommandLine(new ConfigCommands.Config())
                        .addSubcommand(new ConfigCommands.Check(host))
                        .addSubcommand(new ConfigCommands.Show(host)))
                .addSubcommand(new ConfigCommands.Apply(host))
                .addSubcommand(new MembershipCommands.Leave(host))
                .addSubcommand(new MembershipCommands.Destroy(host))
                .addSubcommand(new ReformCommand(host))
                .addSubcommand(new CheckCommand(host))
                .addSubcommand(new PassphraseCommand(host))
                .addSubcommand(new DemoCommand(host))
                .addSubcommand(new Completion(host))
                .addSubcommand(new VersionCommand(host))
                .addSubcommand(new DaemonCommand(host))
                .addSubcommand(new TrainCommand(host));
        line.setOut(host.out()).setErr(host.err());
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setUsageHelpAutoWidth(host.terminal());
        if (!host.terminal()) line.setColorScheme(CommandLine.Help.defaultColorScheme(CommandLine.Help.Ansi.OFF));
        line.setParameterExceptionHandler((e, _) -> {
            var err = e.getCommandLine().getErr();
            err.println("wormhole: " + e.getMessage());
            CommandLine.UnmatchedArgumentException.printSuggestions(e, err);
            err.println("  see " + e.getCommandLine().getCommandSpec().qualifiedName() + " --help");
            err.flush();
            return ExitCode.USAGE;
        });
        line.setExecutionExceptionHandler((e, _, _) -> root.explain(e, host.err()));
        return line;
    }

    @Override
    public void run() {
        throw new CommandLine.ParameterException(spec.commandLine(), "which command?");
    }

    private int explain(Exception e, PrintWriter err) {
        if (debug) e.printStackTrace(err);
        var code = switch (e) {
            case CliException cli -> {
                // a report of a file's errors names its places itself
                tell(err, cli.exitCode() == ExitCode.CONFIG ? "" : "wormhole: ", text(e), cli.hint());
                yield cli.exitCode();
            }
            case ControlException control -> {
                tell(err, "wormhole: ", control.message(), control.hint());
                yield switch (control.code()) {
                    case ControlException.REFUSED -> ExitCode.REFUSED;
                    case ControlException.NOT_READY, ControlException.BUSY -> ExitCode.UNREACHABLE;
                    default -> ExitCode.FAILED;
                };
            }
            case ControlClient.UnreachableException _ -> {
                tell(err, "wormhole: ", text(e), "is it running? start this machine's pods with: wormhole up");
                yield ExitCode.UNREACHABLE;
            }
            case IOException io -> {
                tell(err, "wormhole: ", Registry.reason(io), "");
                yield ExitCode.FAILED;
            }
            case InterruptedException _ -> {
                tell(err, "wormhole: ", "interrupted", "");
                yield ExitCode.FAILED;
            }
            default -> {
                tell(
                        err,
                        "wormhole: ",
                        "a bug: " + e.getClass().getSimpleName() + ": " + text(e),
                        debug ? "" : "the same command with --debug prints where");
                yield ExitCode.FAILED;
            }
        };
        err.flush();
        return code;
    }

    private static String text(Exception e) {
        return Optional.ofNullable(e.getMessage()).orElse("no details");
    }

    private static void tell(PrintWriter err, String prefix, String message, String hint) {
        err.println(prefix + message);
        if (!hint.isEmpty()) hint.lines().forEach(line -> err.println("  " + line));
    }

    /** From the manifest; classes outside of a jar are of no version. */
    static String version() {
        return Optional.ofNullable(Wormhole.class.getPackage().getImplementationVersion())
                .orElse("development");
    }

    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            return List.of("wormhole " + version()).toArray(String[]::new);
        }
    }
}
