// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.ratis.proto.RaftProtos.LogEntryProto;
import org.apache.ratis.server.RaftServerConfigKeys.Log.CorruptionPolicy;
import org.apache.ratis.server.raftlog.segmented.LogSegment;
import org.apache.ratis.server.raftlog.segmented.LogSegmentPath;
import org.apache.ratis.util.SizeInBytes;

/**
 * A log whose majority is lost for good, and the one that goes on from it: nobody runs while this is done. The new log has
 * another group and begins behind a snapshot of the state that the old one led to.
 */
public final class FormerLog {
    private static final Pattern NAME = Pattern.compile("log_(?:inprogress_)?(\\d+).*");

    private FormerLog() {}

    /**
     * Brings a state up to the end of what this pod's log has, committed or not: whoever asked for an entry that was not
     * committed was not answered, and may find it done.
     *
     * @param directory of the log, as in {@link Settings}
     * @param applier of a copy of the state: the old log's own may not contain what is not committed
     * @throws IOException if the log is damaged, or ends before the state
     */
    public static void replay(Path directory, UUID group, Applier applier) throws IOException {
        Path of = directory.resolve(group.toString());
        Snapshots.recoverSwap(of);
        if (Files.isDirectory(of.resolve("sm"))) {
            var snapshots = new Snapshots(of.resolve("sm"));
            var newest = snapshots.getLatestSnapshot();
            if (newest != null && newest.getIndex() > applier.position().index())
                applier.installSnapshot(snapshots.path());
        }
        for (LogSegmentPath segment : segments(of.resolve("current"))) {
            if (first(segment) > applier.position().index() + 1)
                throw new IOException("the log in " + of + " has nothing between " + applier.position() + " and "
                        + segment.getPath().getFileName());
            try {
                var _ = LogSegment.readSegmentFile(
                        segment.getPath().toFile(),
                        segment.getStartEnd(),
                        SizeInBytes.valueOf("32MB"),
                        CorruptionPolicy.EXCEPTION,
                        null,
                        entry -> apply(entry, applier));
            } catch (UncheckedIOException e) {
                throw e.getCause();
            }
        }
    }

    private static void apply(LogEntryProto entry, Applier applier) {
        if (entry.getIndex() <= applier.position().index()) return;
        if (entry.hasStateMachineLogEntry())
            applier.apply(
                    entry.getTerm(),
                    entry.getIndex(),
                    entry.getStateMachineLogEntry().getLogData().toByteArray());
        else applier.applyEmpty(entry.getTerm(), entry.getIndex());
    }

    /** The index that its name says it begins with. */
    private static long first(LogSegmentPath segment) {
        var name = NAME.matcher(segment.getPath().getFileName().toString());
        if (!name.matches()) throw new IllegalStateException("no segment of a log: " + segment.getPath());
        return Long.parseLong(name.group(1));
    }

    private static List<LogSegmentPath> segments(Path current) throws IOException {
        var segments = new ArrayList<LogSegmentPath>();
        try (Stream<Path> files = Files.list(current)) {
            files.map(LogSegmentPath::matchLogSegment)
                    .filter(segment -> segment != null)
                    .forEach(segments::add);
        } catch (NoSuchFileException none) {
            return segments;
        }
        segments.sort(Comparator.comparingLong(FormerLog::first));
        return segments;
    }

    /**
     * Makes the storage of a new log that goes on behind a state, for a pod that opens it with {@link Settings.Start#FOUND}.
     * Durable when this returns.
     *
     * @param directory must have no log of that group
     */
    public static void begin(Path directory, UUID group, RocksTable state) throws IOException {
        Position at = state.position();
        if (at.index() < 0) throw new IllegalArgumentException("a state without an entry");
        Path of = directory.resolve(group.toString());
        Path snapshot = of.resolve("sm").resolve("snapshot-" + at.term() + "-" + at.index());
        Files.createDirectories(snapshot.getParent());
        state.checkpoint(snapshot);
        // Without it Ratis takes the directory for one that it never finished to make, and empties it.
        Path current = Files.createDirectories(of.resolve("current"));
        Files.writeString(
                current.resolve("raft-meta"), "term=" + at.term() + "\nvotedFor=\n", StandardCharsets.US_ASCII);
        RocksTable.syncTree(of);
        RocksTable.sync(directory);
    }
}
