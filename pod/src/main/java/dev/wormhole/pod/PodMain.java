// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.PodConfig;
import dev.wormhole.control.DaemonEntry;
import dev.wormhole.control.DaemonStart;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.logging.FileHandler;
import java.util.logging.Formatter;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** The process of one pod: its log, its signals, its end. */
public final class PodMain implements DaemonEntry {
    private static final Logger LOG = Logger.getLogger(PodMain.class.getName());
    private static final int LOG_BYTES_MAX = 10 << 20;
    private static final int LOG_FILES = 3;

    /** Found by the service loader. */
    public PodMain() {}

    @Override
    public int run(Path podToml, DaemonStart start) throws Exception {
        PodConfig config = PodConfig.load(podToml).orFail();
        Path store = config.pod().store();
        StoreFiles.make(store);
        logTo(StoreFiles.log(store));
        StoreFiles.writePid(store);
        LOG.info("pod " + config.pod().name() + " starts, process " + ProcessHandle.current().pid());
        Pod pod;
        try {
            pod = Pod.open(config, start);
        } catch (IOException | RuntimeException failure) {
            String message = failure instanceof IOException && failure.getMessage() != null
                    ? failure.getMessage()
                    : "a bug: " + failure;
            LOG.log(Level.SEVERE, "pod " + config.pod().name() + " did not start: " + message, failure);
            start.failed(message);
            return 1;
        }
        var hook = Thread.ofPlatform().name("shutdown").unstarted(() -> pod.stop("the process was told to end"));
        Runtime.getRuntime().addShutdownHook(hook);
        int status = pod.awaitEnd();
        LOG.info("pod " + config.pod().name() + " has ended");
        return status;
    }

    /** One line an event, with the time in UTC; Ratis and its libraries only from warnings on. */
    private static void logTo(Path file) throws IOException {
        Files.createDirectories(file.getParent());
        var root = Logger.getLogger("");
        for (var handler : root.getHandlers()) root.removeHandler(handler);
        var handler = new FileHandler(file.toString(), LOG_BYTES_MAX, LOG_FILES, true);
        handler.setFormatter(new LineFormatter());
        handler.setEncoding("UTF-8");
        root.addHandler(handler);
        root.setLevel(Level.WARNING);
        keep(Logger.getLogger("dev.wormhole"), Level.INFO);
        for (String noisy : dev.wormhole.consensus.RaftLog.NOISY_LOGGERS) keep(Logger.getLogger(noisy), Level.SEVERE);
    }

    /** Loggers are forgotten with their levels unless somebody holds them. */
    private static final java.util.List<Logger> KEPT = new java.util.concurrent.CopyOnWriteArrayList<>();

    private static void keep(Logger logger, Level level) {
        logger.setLevel(level);
        KEPT.add(logger);
    }

    private static final class LineFormatter extends Formatter {
        @Override
        public String format(LogRecord record) {
            var line = new StringBuilder();
            line.append(record.getInstant()).append(' ').append(record.getLevel().getName()).append(' ');
            String logger = record.getLoggerName();
            line.append(logger == null ? "" : logger.substring(logger.lastIndexOf('.') + 1)).append(": ");
            line.append(formatMessage(record)).append('\n');
            if (record.getThrown() != null) {
                var trace = new java.io.StringWriter();
                record.getThrown().printStackTrace(new java.io.PrintWriter(trace));
                line.append(trace);
            }
            return line.toString();
        }
    }
}
