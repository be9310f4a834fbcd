// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.ratis.server.protocol.TermIndex;
import org.apache.ratis.server.storage.FileInfo;
import org.apache.ratis.server.storage.RaftStorage;
import org.apache.ratis.statemachine.SnapshotInfo;
import org.apache.ratis.statemachine.SnapshotRetentionPolicy;
import org.apache.ratis.statemachine.StateMachineStorage;
import org.jspecify.annotations.Nullable;

/**
 * The snapshots of one log: directories {@code sm/snapshot-<term>-<index>} in Ratis' storage, complete by their name
 * (written elsewhere, synced, renamed). An installed one replaces {@code sm} whole and has {@code .md5} files beside its
 * own. Only the newest is kept, and those that are being sent.
 */
final class Snapshots implements StateMachineStorage {
    private static final Pattern NAME = Pattern.compile("snapshot-(\\d+)-(\\d+)");
    /** A follower that takes no chunk for this long has given up, or caught up. */
    private static final Duration SENDING = Duration.ofSeconds(30);

    private final Path directory;
    private final Map<Path, Long> lastSentNanos = new ConcurrentHashMap<>();
    private volatile @Nullable Taken latest;

    /** One complete snapshot. Ratis asks for the files at every chunk it sends, and so tells that it is in use. */
    private final class Taken implements SnapshotInfo {
        final Path path;
        final TermIndex at;
        final List<FileInfo> files;

        Taken(Path path, TermIndex at) throws IOException {
            this.path = path;
            this.at = at;
            this.files = new ArrayList<>();
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
                for (Path entry : entries) {
                    if (!entry.toString().endsWith(".md5")) files.add(new FileInfo(entry.toAbsolutePath(), null));
                }
            }
            if (files.isEmpty()) throw new IOException("empty snapshot: " + path);
        }

        @Override
        public TermIndex getTermIndex() {
            return at;
        }

        @Override
        public List<FileInfo> getFiles() {
            lastSentNanos.put(path, System.nanoTime());
            return files;
        }

        @Override
        public String toString() {
            return path.getFileName().toString();
        }
    }

    Snapshots(Path directory) throws IOException {
        this.directory = directory;
        reload();
    }

    /**
     * Completes what a crash in Ratis' swap of directories left: it renames {@code sm} away, the new one in its place,
     * then removes the old. Before the log's storage is opened.
     */
    static void recoverSwap(Path groupDirectory) throws IOException {
        if (!Files.isDirectory(groupDirectory)) return;
        Path current = groupDirectory.resolve("sm");
        try (DirectoryStream<Path> leftovers = Files.newDirectoryStream(groupDirectory, "sm.tmp*")) {
            for (Path leftover : leftovers) {
                if (Files.exists(current)) RocksTable.removeTree(leftover);
                else Files.move(leftover, current, StandardCopyOption.ATOMIC_MOVE);
            }
        }
        RocksTable.sync(groupDirectory);
    }

    /** Looks at the directory again, after it was replaced or at the start. */
    void reload() throws IOException {
        Files.createDirectories(directory);
        Taken newest = null;
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
            for (Path entry : entries) {
                Matcher name = NAME.matcher(entry.getFileName().toString());
                if (!name.matches()) {
                    RocksTable.removeTree(entry); // unfinished
                    continue;
                }
                TermIndex at = TermIndex.valueOf(Long.parseLong(name.group(1)), Long.parseLong(name.group(2)));
                if (newest == null || at.getIndex() > newest.at.getIndex()) newest = new Taken(entry, at);
            }
        }
        latest = newest;
    }

    /** Where the newest snapshot is. */
    Path path() {
        Taken newest = latest;
        if (newest == null) throw new IllegalStateException("no snapshot in " + directory);
        return newest.path;
    }

    void take(TermIndex at, Applier applier) throws IOException {
        Path unfinished = directory.resolve("unfinished");
        RocksTable.removeTree(unfinished);
        applier.takeSnapshot(unfinished);
        Path path = directory.resolve("snapshot-" + at.getTerm() + "-" + at.getIndex());
        RocksTable.removeTree(path);
        Files.move(unfinished, path, StandardCopyOption.ATOMIC_MOVE);
        RocksTable.sync(directory);
        latest = new Taken(path, at);
    }

    /** Whether the newest snapshot is being sent to somebody: the log behind it will be wanted next. */
    boolean sending() {
        Taken newest = latest;
        return newest != null && sending(newest.path);
    }

    private boolean sending(Path path) {
        Long last = lastSentNanos.get(path);
        return last != null && System.nanoTime() - last < SENDING.toNanos();
    }

    @Override
    public @Nullable SnapshotInfo getLatestSnapshot() {
        return latest;
    }

    @Override
    public void cleanupOldSnapshots(SnapshotRetentionPolicy policy) throws IOException {
        Taken newest = latest;
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
            for (Path entry : entries) {
                if (newest != null && entry.equals(newest.path) || sending(entry)) continue;
                RocksTable.removeTree(entry);
                lastSentNanos.remove(entry);
            }
        }
    }

    @Override
    public void init(RaftStorage storage) {}

    @Override
    public void format() {}
}
