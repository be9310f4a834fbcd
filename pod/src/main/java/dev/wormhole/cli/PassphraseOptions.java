// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.control.DaemonStart;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where a passphrase comes from: a file, standard input, or a person, who does not see it on the screen. */
final class PassphraseOptions {
    private static final int CHARS_MIN = 8;

    @Option(
            names = "--passphrase-file",
            paramLabel = "FILE",
            description =
                    "Read the passphrase from the first line of FILE, or of standard input for -, instead of asking for it.")
    @Nullable String file;

    private @Nullable String read;

    /** What opens a store, if it wants a passphrase. */
    Optional<String> of(Host host, String pod, Path store) {
        return StoreFiles.wantsPassphrase(store)
                ? Optional.of(existing(host, "Passphrase of pod " + pod))
                : Optional.empty();
    }

    /** One that is there already. */
    String existing(Host host, String question) {
        return checked(fromFile(host).or(() -> host.askSecret(question)).orElseThrow(PassphraseOptions::missing));
    }

    /** A new one, which a person has to say twice. */
    String choose(Host host) {
        var given = fromFile(host);
        if (given.isPresent()) return checkedNew(given.get());
        var first = host.askSecret("New passphrase").orElseThrow(PassphraseOptions::missing);
        var again = host.askSecret("The same again").orElse("");
        if (!first.equals(again)) throw new CliException(ExitCode.USAGE, "these were two different passphrases", "");
        return checkedNew(first);
    }

    /** Whoever has a key that is locked with it can try as many as he likes. */
    static String checkedNew(String passphrase) {
        if (passphrase.length() < CHARS_MIN)
            throw new CliException(
                    ExitCode.USAGE,
                    "a passphrase has at least " + CHARS_MIN + " characters",
                    "take several words that nobody guesses");
        return checked(passphrase);
    }

    private Optional<String> fromFile(Host host) {
        if (file == null) return Optional.empty();
        if (read == null) read = firstLine(host, file);
        return Optional.of(read);
    }

    static String firstLine(Host host, String file) {
        try {
            var line = file.equals("-")
                    ? Optional.ofNullable(host.in().readLine())
                    : Files.readString(host.absolute(Path.of(file))).lines().findFirst();
            return line.filter(text -> !text.isEmpty())
                    .map(PassphraseOptions::checked)
                    .orElseThrow(() -> new CliException(
                            ExitCode.USAGE,
                            "there is no passphrase in " + (file.equals("-") ? "what was given" : file),
                            ""));
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot read " + file + ": " + Registry.reason(e), "", e);
        }
    }

    private static String checked(String passphrase) {
        if (passphrase.getBytes(StandardCharsets.UTF_8).length > DaemonStart.PASSPHRASE_BYTES_MAX)
            throw new CliException(
                    ExitCode.USAGE, "a passphrase has at most " + DaemonStart.PASSPHRASE_BYTES_MAX + " bytes", "");
        return passphrase;
    }

    private static CliException missing() {
        return new CliException(
                ExitCode.USAGE, "there is no terminal to ask for the passphrase", "say --passphrase-file FILE");
    }
}
