// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.Locale;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/** The daemon's log: one line an event, in a file that is set aside at 10 MB; one older file is kept. */
final class DaemonLog extends Handler {
    private static final long BYTES_MAX = 10_000_000;
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern(
                    "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", Locale.ROOT)
            .withZone(ZoneId.systemDefault());

    private final Path file;
    /** Not a channel: an interrupt of a thread that logs would close that for good. */
    private FileOutputStream out;

    private long bytes;

    private DaemonLog(Path file) throws IOException {
        this.file = file;
        this.out = open();
        this.bytes = Files.size(file);
        setFormatter(new LineFormatter());
    }

    /** Sends all logging of this process to the file. Libraries only speak of trouble. */
    static void install(Path file) throws IOException {
        if (file.getParent() instanceof Path parent) Files.createDirectories(parent);
        LogManager.getLogManager().reset();
        var root = Logger.getLogger("");
        root.addHandler(new DaemonLog(file));
        root.setLevel(Level.WARNING);
        OWN.setLevel(Level.INFO);
    }

    /** Held, since the log manager forgets loggers that nobody holds. */
    private static final Logger OWN = Logger.getLogger("dev.wormhole");

    private FileOutputStream open() throws IOException {
        return new FileOutputStream(file.toFile(), true);
    }

    @Override
    public synchronized void publish(@Nullable LogRecord record) {
        if (record == null || !isLoggable(record)) return;
        try {
            byte[] line = getFormatter().format(record).getBytes(StandardCharsets.UTF_8);
            if (bytes > 0 && bytes + line.length > BYTES_MAX) {
                out.close();
                Files.move(file, file.resolveSibling(file.getFileName() + ".1"), StandardCopyOption.REPLACE_EXISTING);
                out = open();
                bytes = 0;
            }
            bytes += line.length;
            out.write(line);
        } catch (IOException | RuntimeException e) {
            // a full disk must not stop the pod; its output file may still take it
            System.err.println("log: " + e);
        }
    }

    @Override
    public void flush() {}

    @Override
    public synchronized void close() {
        try {
            out.close();
        } catch (IOException e) {
            System.err.println("log: " + e);
        }
    }

    private static final class LineFormatter extends Formatter {
        @Override
        public String format(LogRecord record) {
            var text = new StringBuilder()
                    .append(TIME.format(record.getInstant().truncatedTo(ChronoUnit.MILLIS)))
                    .append(' ')
                    .append(record.getLevel().getName())
                    .append(' ')
                    .append(shortName(record.getLoggerName()))
                    .append(": ")
                    .append(formatMessage(record))
                    .append('\n');
            if (record.getThrown() != null) {
                var trace = new StringWriter();
                record.getThrown().printStackTrace(new PrintWriter(trace, true));
                text.append(trace);
            }
            return text.toString();
        }

        private static String shortName(@Nullable String logger) {
            return logger == null ? "?" : logger.substring(logger.lastIndexOf('.') + 1);
        }
    }
}
