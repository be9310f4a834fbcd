// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.Durations;
import dev.wormhole.config.Names;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Who may come into a network. */
final class AdministrationCommands {
    private static final int USES_MAX = 10_000;
    private static final Duration LIFE_MAX = Duration.ofDays(365);
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm", Locale.ROOT);

    private AdministrationCommands() {}

    static String time(long millis) {
        return TIME.format(Instant.ofEpochMilli(millis).atZone(ZoneId.systemDefault()));
    }

    @Command(
            name = "invite",
            description = {
                "Let other machines join the network: prints the command to paste there.",
                "Only on an administrator's pod: the network's first, or one that an administrator made one."
            },
            footer = {
                "",
                "The token in it is a secret until it is used up. To hand it over in a file:",
                "  wormhole invite --token-file nas-2.token",
                "  wormhole join nas-1:7420 --token-file nas-2.token --mount /mnt/atelier"
            })
    static final class Invite extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--uses", paramLabel = "N", description = "How many pods may join with it. Default: 1.")
        int uses = 1;

        @Option(
                names = "--for",
                paramLabel = "TIME",
                description = "How long it is valid, such as 30m or 7d. Default: 1h.")
        String life = "1h";

        @Option(names = "--name", paramLabel = "POD", description = "Only for a pod of this name.")
        @Nullable String name;

        @Option(names = "--admin", description = "Who joins with it becomes an administrator's pod too.")
        boolean admin;

        @Option(
                names = "--replace",
                paramLabel = "POD",
                description = "For a machine that takes the place of this one, which is gone for good.")
        @Nullable String replace;

        @Option(names = "--client", description = "For a pod that stores nothing (not available yet).")
        boolean client;

        @Option(
                names = "--token-file",
                paramLabel = "FILE",
                description = "Write the token to a new file, readable by you alone, instead of printing it.")
        @Nullable Path tokenFile;

        Invite(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            if (client)
                throw new CliException(ExitCode.USAGE, "--client is not available yet (planned)", "leave it out");
            if (uses < 1 || uses > USES_MAX)
                throw new CliException(ExitCode.USAGE, "--uses must be from 1 to " + USES_MAX + ", not " + uses, "");
            var valid = MembershipCommands.checked("--for", life, Durations::parse);
            if (valid.compareTo(Duration.ofSeconds(1)) < 0 || valid.compareTo(LIFE_MAX) > 0)
                throw new CliException(ExitCode.USAGE, "--for must be from 1s to 365d, not " + life, "");
            if (replace != null && (name != null || uses != 1 || admin))
                throw new CliException(
                        ExitCode.USAGE, "--replace goes without --name, --uses and --admin", "it is for one machine");
            var only = replace != null
                    ? MembershipCommands.checked("--replace", replace, Names::check)
                    : name == null ? "" : MembershipCommands.checked("--name", name, Names::check);
            var target = Target.find(host, options, null);
            Commands.Invited invited;
            try (var console = new Console(host)) {
                invited = Json.to(
                        Commands.Invited.class,
                        target.client()
                                .call(
                                        Commands.INVITE,
                                        new Commands.InviteArguments(
                                                uses, valid.toSeconds(), only, admin, replace != null),
                                        console));
            }
            var forWhom =
                    (only.isEmpty() ? "" : (replace == null ? " --name " : " --replace ") + only) + " --mount DIR";
            if (tokenFile == null) {
                say("wormhole join " + invited.address() + " --token " + invited.token() + forWhom);
            } else {
                var file = host.absolute(tokenFile);
                write(file, invited.token());
                say("wormhole join " + invited.address() + " --token-file " + file.getFileName() + forWhom);
            }
            host.err()
                    .println("invitation " + invited.id() + ": for " + (uses == 1 ? "one pod" : uses + " pods")
                            + ", until " + time(invited.expiresMillis()) + "; whoever has it can join");
            return ExitCode.OK;
        }

        private static void write(Path file, String token) throws IOException {
            try (var channel = FileChannel.open(
                    file,
                    Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
                var bytes = ByteBuffer.wrap((token + "\n").getBytes(StandardCharsets.US_ASCII));
                while (bytes.hasRemaining()) channel.write(bytes);
            } catch (FileAlreadyExistsException e) {
                throw new CliException(
                        ExitCode.REFUSED, file + " exists; it is not overwritten", "name another --token-file", e);
            }
        }
    }

    @Command(
            name = "invitations",
            description = "Show the invitations that were given out, or take one back. Their tokens are not kept.")
    static final class Invitations extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--withdraw", paramLabel = "ID", description = "Nobody joins with this one any more.")
        @Nullable String withdraw;

        @Option(names = "--json", description = "As JSON.")
        boolean json;

        Invitations(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var client = Target.find(host, options, null).client();
            if (withdraw != null) {
                try (var console = new Console(host)) {
                    client.call(Commands.WITHDRAW, new Commands.InvitationId(withdraw), console);
                }
                say("invitation " + withdraw + " is withdrawn");
                return ExitCode.OK;
            }
            var answer = client.call(Commands.INVITATIONS);
            if (json) {
                say(Json.pretty(answer));
                return ExitCode.OK;
            }
            var list = Json.to(Commands.Invitations.class, answer).invitations();
            if (list.isEmpty()) {
                say("no invitations");
                return ExitCode.OK;
            }
            var now = System.currentTimeMillis();
            Console.table(
                            List.of("ID", "LEFT>", "UNTIL", "FOR", "BY"),
                            list.stream()
                                    .map(each -> List.of(
                                            each.id(),
                                            Integer.toString(each.usesLeft()),
                                            time(each.expiresMillis())
                                                    + (each.expiresMillis() <= now ? " (expired)" : ""),
                                            each.name().isEmpty() ? "any pod" : each.name(),
                                            each.by()))
                                    .toList())
                    .forEach(this::say);
            return ExitCode.OK;
        }
    }

    @Command(
            name = "administrators",
            description = {
                "Show whose pods may let others in and change the network, or change that.",
                "The pod that is added fetches the authority's key as soon as it is reachable."
            })
    static final class Administrators extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--add", paramLabel = "POD", description = "Make this pod an administrator's.")
        @Nullable String add;

        @Option(names = "--remove", paramLabel = "POD", description = "Make this pod an ordinary one.")
        @Nullable String remove;

        Administrators(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var client = Target.find(host, options, null).client();
            if (add != null && remove != null)
                throw new CliException(ExitCode.USAGE, "--add and --remove are two commands", "");
            var name = add != null ? add : remove;
            if (name == null) {
                Json.to(Commands.Administrators.class, client.call(Commands.ADMINISTRATORS))
                        .pods()
                        .forEach(this::say);
                return ExitCode.OK;
            }
            try (var console = new Console(host)) {
                client.call(
                        Commands.SET_ADMINISTRATOR, new Commands.AdministratorArguments(name, add != null), console);
            }
            say("pod " + name + (add != null ? " is an administrator's now" : " is an ordinary pod now"));
            if (remove != null)
                host.err()
                        .println("it keeps its copy of the authority's key: if that machine is not to be trusted,"
                                + " make the network anew");
            return ExitCode.OK;
        }
    }

    @Command(
            name = "revoke",
            description = {
                "Throw a pod out of the network for good, at once: a stolen or broken machine.",
                "Every pod drops it and refuses it from then on; what it held counts as lost and is copied anew."
            })
    static final class Revoke extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @picocli.CommandLine.Parameters(paramLabel = "POD", description = "Its name.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        String name;

        @Option(names = "--yes", description = "Do not ask.")
        boolean yes;

        Revoke(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var target = Target.find(host, options, null);
            if (!yes && !host.agrees("Throw pod " + name + " out, and count as lost what only it holds?"))
                throw new CliException(
                        ExitCode.REFUSED, "nothing was done", "say --yes to revoke " + name + " without being asked");
            Commands.Revoked revoked;
            try (var console = new Console(host)) {
                revoked = Json.to(
                        Commands.Revoked.class,
                        target.client().call(Commands.REVOKE, new Commands.PodArgument(name), console));
            }
            say("pod " + name + " is out; the others refuse it");
            if (revoked.hadAuthority())
                host.err()
                        .println("it had the authority's key: whoever has that machine can make pods of this network;"
                                + " if it is in wrong hands, copy the files out and make the network anew");
            return ExitCode.OK;
        }
    }

    @Command(name = "audit", description = "Show who let pods in, threw them out, and changed the network, and when.")
    static final class Audit extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--json", description = "As JSON.")
        boolean json;

        Audit(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var answer = Target.find(host, options, null).client().call(Commands.AUDIT);
            if (json) {
                say(Json.pretty(answer));
                return ExitCode.OK;
            }
            Console.table(
                            List.of("#>", "WHEN", "BY", "WHAT", "WHOM"),
                            Json.to(Commands.AuditLog.class, answer).acts().stream()
                                    .map(each -> List.of(
                                            Long.toString(each.number()),
                                            time(each.millis()),
                                            each.by(),
                                            each.act(),
                                            each.subject()))
                                    .toList())
                    .forEach(this::say);
            return ExitCode.OK;
        }
    }

    @Command(
            name = "requests",
            description =
                    "Show who waits for an administrator's yes: machines that want to join (network.join = \"approval\"),"
                            + " and pods that slept past their certificate's expiry.")
    static final class Requests extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--json", description = "As JSON.")
        boolean json;

        Requests(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var answer = Target.find(host, options, null).client().call(Commands.REQUESTS);
            if (json) {
                say(Json.pretty(answer));
                return ExitCode.OK;
            }
            var list = Json.to(Commands.Requests.class, answer).requests();
            if (list.isEmpty()) {
                say("no requests");
                return ExitCode.OK;
            }
            Console.table(
                            List.of("POD", "FINGERPRINT", "FROM", "WANTS"),
                            list.stream()
                                    .map(each -> List.of(
                                            each.name(),
                                            each.fingerprint(),
                                            each.from(),
                                            each.member() ? "to come back" : "to join"))
                                    .toList())
                    .forEach(this::say);
            return ExitCode.OK;
        }
    }

    /** Yes or no. */
    private abstract static class Decide extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @picocli.CommandLine.Parameters(paramLabel = "POD", description = "Its name, or its fingerprint.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        String name;

        private final boolean yes;

        Decide(Host host, boolean yes) {
            super(host);
            this.yes = yes;
        }

        @Override
        int run() throws IOException, ControlException {
            var client = Target.find(host, options, null).client();
            try (var console = new Console(host)) {
                client.call(Commands.DECIDE, new Commands.DecideArguments(name, yes), console);
            }
            say(yes ? name + " may join; it is let in when it asks again" : name + " is refused");
            return ExitCode.OK;
        }
    }

    @Command(
            name = "approve",
            description = {
                "Let in a machine that waits (network.join = \"approval\").",
                "Compare its fingerprint in wormhole requests with the one that the machine shows."
            })
    static final class Approve extends Decide {
        Approve(Host host) {
            super(host, true);
        }
    }

    @Command(name = "refuse", description = "Turn away a machine that waits (network.join = \"approval\").")
    static final class Refuse extends Decide {
        Refuse(Host host) {
            super(host, false);
        }
    }
}
