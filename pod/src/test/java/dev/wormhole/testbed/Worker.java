// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;

/**
 * An ordinary program on a folder, in a process of its own: writes, syncs, renames, lists and reads back small files in a
 * directory that others use too, until its standard input ends. Prints one line: operations, errors, and the longest time
 * that one operation took. What it acknowledged (wrote and synced) is in the list file outside the folder.
 */
final class Worker implements AutoCloseable {
    private final Process process;
    private final String name;

    /** @param acknowledged receives a line "NAME CONTENT" for every file that was synced */
    Worker(Path folder, String name, Path acknowledged) {
        this.name = name;
        try {
            process = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "-Xmx64m",
                            "-XX:+UseSerialGC",
                            "-XX:TieredStopAtLevel=1",
                            "-cp",
                            Path.of("target", "test-classes").toAbsolutePath().toString(),
                            Worker.class.getName(),
                            folder.toString(),
                            name,
                            acknowledged.toString())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            int ready = process.getInputStream().read();
            if (ready != '.') throw new AssertionError("worker " + name + " did not start");
        } catch (IOException failure) {
            throw new java.io.UncheckedIOException(failure);
        }
    }

    /** @param longestMillis the longest time that one operation took */
    record Report(long operations, long errors, long longestMillis, String firstError) {}

    /** Ends the program and tells how it fared. */
    Report stop() {
        try {
            process.getOutputStream().close();
            if (!process.waitFor(60, java.util.concurrent.TimeUnit.SECONDS))
                throw new AssertionError("worker " + name + " hangs");
            String[] line = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                    .strip()
                    .split(" ", 4);
            var report = new Report(
                    Long.parseLong(line[0]),
                    Long.parseLong(line[1]),
                    Long.parseLong(line[2]),
                    line.length > 3 ? line[3] : "");
            System.out.println("worker " + name + ": " + report);
            return report;
        } catch (IOException failure) {
            throw new java.io.UncheckedIOException(failure);
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
            throw new AssertionError(interrupt);
        }
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }

    // ---- in the process

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        String name = arguments[1];
        long operations = 0;
        long errors = 0;
        long longest = 0;
        String firstError = "";
        Thread input = Thread.ofPlatform().daemon().start(() -> {
            try {
                while (System.in.read() >= 0) {}
            } catch (IOException end) {
                // the same as its end
            }
        });
        System.out.write('.');
        System.out.flush();
        try (var list = FileChannel.open(
                Path.of(arguments[2]),
                StandardOpenOption.CREATE,
                StandardOpenOption.WRITE,
                StandardOpenOption.APPEND)) {
            for (int i = 0; input.isAlive(); i++) {
                long start = System.nanoTime();
                try {
                    String file = name + "-" + i;
                    String content = file + ":" + start + ":" + "x".repeat(i % 5000);
                    Path temporary = folder.resolve("." + file + ".tmp");
                    try (var channel =
                            FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                        channel.write(ByteBuffer.wrap(content.getBytes(StandardCharsets.UTF_8)));
                        channel.force(true);
                    }
                    Files.move(temporary, folder.resolve(file));
                    if (!Files.readString(folder.resolve(file)).equals(content))
                        throw new IOException(file + " reads back differently");
                    try (var entries = Files.newDirectoryStream(folder)) {
                        for (Path entry : entries)
                            if (entry.getFileName().toString().equals("?")) errors++;
                    }
                    list.write(ByteBuffer.wrap((file + " " + content + "\n").getBytes(StandardCharsets.UTF_8)));
                    if (i >= 50 && i % 2 == 0) Files.delete(folder.resolve(name + "-" + (i - 50)));
                    operations++;
                } catch (IOException failure) {
                    errors++;
                    if (firstError.isEmpty()) firstError = failure.toString();
                }
                longest = Math.max(longest, System.nanoTime() - start);
            }
        }
        System.out.println(operations + " " + errors + " " + longest / 1_000_000 + " " + firstError);
    }

    static Map<String, String> acknowledged(Path list) throws IOException {
        var files = new java.util.TreeMap<String, String>();
        for (String line : Files.readAllLines(list)) {
            int space = line.indexOf(' ');
            files.put(line.substring(0, space), line.substring(space + 1));
        }
        return files;
    }
}
