// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Runs programs of the machine, each with a deadline, and keeps what they said. */
final class Shell {
    private static final long DEADLINE_SECONDS = 120;

    private Shell() {}

    record Result(int status, String output) {
        Result orFail(String what) {
            if (status != 0) throw new AssertionError(what + " ended with " + status + ":\n" + output);
            return this;
        }
    }

    /** Runs a script of sh in a directory; fails the test when it ends with anything but 0. */
    static String sh(Path directory, String script) {
        return run(directory, Map.of(), List.of("sh", "-ec", script))
                .orFail(script)
                .output();
    }

    static Result run(Path directory, Map<String, String> environment, List<String> command) {
        try {
            var builder = new ProcessBuilder(new ArrayList<>(command));
            builder.directory(directory.toFile()).redirectErrorStream(true);
            builder.environment().putAll(environment);
            Path output = java.nio.file.Files.createTempFile("wormhole-test", ".out");
            builder.redirectOutput(output.toFile());
            builder.redirectInput(ProcessBuilder.Redirect.from(new java.io.File("/dev/null")));
            Process process = builder.start();
            boolean ended = process.waitFor(DEADLINE_SECONDS, TimeUnit.SECONDS);
            if (!ended) process.descendants().forEach(ProcessHandle::destroyForcibly);
            if (!ended) process.destroyForcibly();
            String text = java.nio.file.Files.readString(output, StandardCharsets.ISO_8859_1);
            java.nio.file.Files.delete(output);
            if (!ended) throw new AssertionError(command + " did not end in " + DEADLINE_SECONDS + " s:\n" + text);
            return new Result(process.exitValue(), text);
        } catch (IOException failure) {
            throw new java.io.UncheckedIOException(failure);
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
            throw new AssertionError("interrupted while " + command + " ran", interrupt);
        }
    }
}
