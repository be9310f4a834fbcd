// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Programs of this machine working in a directory. */
record Shell(Path directory) {
    record Result(int status, String output) {}

    /** Runs a script of bash, at most a minute; both outputs together. */
    Result run(String script) throws IOException, InterruptedException {
        var process = start(script);
        process.getOutputStream().close();
        var output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (!process.waitFor(60, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new IOException("still running: " + script);
        }
        return new Result(process.exitValue(), output.strip());
    }

    /** As {@link #run}, and an error if it fails. */
    String must(String script) throws IOException, InterruptedException {
        var result = run("set -e\n" + script);
        if (result.status != 0)
            throw new AssertionError("status " + result.status + " of:\n" + script + "\n" + result.output);
        return result.output;
    }

    Process start(String script) throws IOException {
        // the working directory is entered by the child: this process never touches a mount of its own by it
        return new ProcessBuilder(
                        "timeout",
                        "-s",
                        "KILL",
                        "60",
                        "bash",
                        "-c",
                        "cd \"$0\" || exit 99\n" + script,
                        directory.toString())
                .redirectErrorStream(true)
                .start();
    }
}
