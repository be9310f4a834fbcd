// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.control.AuthorityApi;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** The network's authority: whoever has its key decides who is a pod. */
final class AuthorityCommands {
    private static final long FILE_BYTES_MAX = 16 << 10;

    private AuthorityCommands() {}

    private static String read(Path file) throws IOException {
        if (Files.size(file) > FILE_BYTES_MAX)
            throw new CliException(ExitCode.FAILED, file + " is too large", "is it the right file?");
        return Files.readString(file);
    }

    @Command(
            name = "authority",
            description = {
                "Show the network's authority, and whose certificates are of it.",
                "Its key is on administrators' pods alone. Pods renew their certificates by themselves."
            },
            synopsisSubcommandLabel = "[COMMAND]")
    static final class Show extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--json", description = "As JSON.")
        boolean json;

        Show(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var answer = Target.find(host, options, null).client().call(AuthorityApi.SHOW);
            if (json) {
                say(Json.pretty(answer));
                return ExitCode.OK;
            }
            var overview = Json.to(AuthorityApi.Overview.class, answer);
            Console.table(
                            List.of("AUTHORITY>", "FINGERPRINT", "SINCE", ""),
                            overview.authorities().stream()
                                    .map(each -> List.of(
                                            Integer.toString(each.number()),
                                            each.fingerprint(),
                                            AdministrationCommands.time(each.sinceMillis()),
                                            each.state()))
                                    .toList())
                    .forEach(this::say);
            say("");
            Console.table(
                            List.of("POD", "CERTIFIED BY>", "UNTIL", ""),
                            overview.pods().stream()
                                    .map(each -> List.of(
                                            each.name(),
                                            each.authority() == 0 ? "?" : Integer.toString(each.authority()),
                                            each.expiresMillis() == 0
                                                    ? "?"
                                                    : AdministrationCommands.time(each.expiresMillis()),
                                            each.administrator() ? "administrator" : ""))
                                    .toList())
                    .forEach(this::say);
            return ExitCode.OK;
        }
    }

    @Command(
            name = "export",
            description = {
                "Write the authority's key to a new file, encrypted with a passphrase.",
                "With it, any pod of the network becomes an administrator's: keep it where no pod is. Only on an"
                        + " administrator's pod. Anew after each rotation."
            })
    static final class Export extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Mixin
        PassphraseOptions passphrase = new PassphraseOptions();

        @Parameters(paramLabel = "FILE", description = "It must not exist.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        Path file;

        Export(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var target = Target.find(host, options, null);
            var path = host.absolute(file);
            if (Files.exists(path)) throw exists(path, new FileAlreadyExistsException(path.toString()));
            var secret = passphrase.choose(host);
            AuthorityApi.Exported made;
            try (var console = new Console(host)) {
                made = Json.to(
                        AuthorityApi.Exported.class,
                        target.client().call(AuthorityApi.EXPORT, new AuthorityApi.Passphrase(secret), console));
            }
            write(path, made.text());
            say("authority " + made.number() + " (" + made.fingerprint() + ") is in " + path);
            host.err()
                    .println("whoever has that file and the passphrase can make pods of this network; without the"
                            + " passphrase nobody can use it, you neither");
            return ExitCode.OK;
        }

        private static CliException exists(Path path, Exception cause) {
            return new CliException(
                    ExitCode.REFUSED, path + " exists; it is not overwritten", "name another file", cause);
        }

        private static void write(Path path, String text) throws IOException {
            try (var channel = FileChannel.open(
                    path,
                    Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
                var bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII));
                while (bytes.hasRemaining()) channel.write(bytes);
                channel.force(true);
            } catch (FileAlreadyExistsException e) {
                throw exists(path, e);
            }
        }
    }

    @Command(
            name = "restore",
            description = {
                "Make this pod an administrator's, with a recovery file: the administrators' pods are lost.",
                "The file must be of the network's present authority."
            })
    static final class Restore extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Mixin
        PassphraseOptions passphrase = new PassphraseOptions();

        @Parameters(paramLabel = "FILE", description = "As wormhole authority export wrote it.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        Path file;

        Restore(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var target = Target.find(host, options, null);
            var text = read(host.absolute(file));
            var secret = passphrase.existing(host, "Passphrase of the recovery file");
            AuthorityApi.Restored done;
            try (var console = new Console(host)) {
                done = Json.to(
                        AuthorityApi.Restored.class,
                        target.client().call(AuthorityApi.RESTORE, new AuthorityApi.Restore(text, secret), console));
            }
            if (done.administrator()) say("this pod is an administrator's now");
            else {
                say("this pod has the authority's key");
                host.err()
                        .println("the network decides nothing now: let its pods back (wormhole requests, wormhole"
                                + " approve), then restore once more to make this pod an administrator's");
            }
            return ExitCode.OK;
        }
    }

    @Command(
            name = "rotate",
            description = {
                "Give the network a new authority: its key may have been seen by others, or its holder is not trusted any more.",
                "Pods renew their certificates by themselves, while everything goes on. When the last one has, the old"
                        + " authority is dropped."
            })
    static final class Rotate extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(
                names = "--finish",
                description =
                        "Drop the old authority now: pods that have not renewed must be let back by an administrator.")
        boolean finish;

        @Option(names = "--yes", description = "Do not ask.")
        boolean yes;

        Rotate(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException {
            var target = Target.find(host, options, null);
            if (!yes
                    && !host.agrees(
                            finish
                                    ? "Drop the old authority, and shut out pods that have not renewed?"
                                    : "Replace the network's authority? Recovery files and invitations of before are"
                                            + " worth nothing then."))
                throw new CliException(ExitCode.REFUSED, "nothing was done", "say --yes to do it without being asked");
            AuthorityApi.Rotated done;
            try (var console = new Console(host)) {
                done = Json.to(
                        AuthorityApi.Rotated.class,
                        target.client().call(AuthorityApi.ROTATE, new AuthorityApi.Rotate(finish), console));
            }
            var behind = String.join(", ", done.behind());
            if (finish) {
                say("authority " + done.number() + " alone counts now");
                if (!behind.isEmpty())
                    host.err()
                            .println("to be let back when they are here (wormhole requests, wormhole approve): "
                                    + behind);
                return ExitCode.OK;
            }
            say("authority " + done.number() + " (" + done.fingerprint()
                    + ") certifies the network's pods from now on");
            host.err()
                    .println(
                            "they renew by themselves; see wormhole authority. Make a new recovery file: wormhole authority export FILE");
            if (done.invitations() > 0)
                host.err().println(done.invitations() + " invitations of before are worth nothing: invite again");
            return ExitCode.OK;
        }
    }
}
