// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A class of these tests as a program in a process of its own: what hangs in a folder hangs there, and can be ended. */
final class JavaProcess implements AutoCloseable {
    private final Process process;
    private final Path output;
    private final String name;

    JavaProcess(Path outputs, Class<?> program, String... arguments) {
        name = program.getSimpleName() + " " + String.join(" ", arguments);
        try {
            output = Files.createTempFile(outputs, program.getSimpleName(), ".out");
            var command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-Xmx128m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "--enable-native-access=ALL-UNNAMED",
                    "-cp",
                    Path.of(program.getProtectionDomain()
                                    .getCodeSource()
                                    .getLocation()
                                    .toURI())
                            .toString(),
                    program.getName()));
            command.addAll(List.of(arguments));
            process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        } catch (java.net.URISyntaxException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** Waits for its end; fails the test when it hangs, with what its threads are doing, or ends with anything but 0. */
    void await(long seconds) {
        try {
            boolean ended = process.waitFor(seconds, TimeUnit.SECONDS);
            if (!ended) {
                // the JVM answers with a dump of its threads, in its output
                Shell.sh(Path.of("/"), "kill -QUIT " + process.pid());
                process.waitFor(2, TimeUnit.SECONDS);
            }
            String said = Files.readString(output);
            if (!ended) throw new AssertionError("after " + seconds + " s it still runs: " + name + "\n" + said);
            if (process.exitValue() != 0)
                throw new AssertionError(name + " ended with " + process.exitValue() + ":\n" + said);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
            throw new AssertionError(interrupt);
        }
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
