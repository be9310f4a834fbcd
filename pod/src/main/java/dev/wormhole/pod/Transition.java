// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.DiskVolume;
import dev.wormhole.content.IdSource;
import dev.wormhole.content.StoreHeader;
import dev.wormhole.control.StartIntent;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;

/**
 * A store goes over to another generation, whole or not at all: what it needs there is laid out in {@code switch.new}, and
 * becomes what the store is by being renamed to {@code switch}. From then on every start finishes it: the parts are put in
 * their places, and those of the generation that ended go to {@code former}, where they stay. Slices are left where they are.
 *
 * <p>For a store that nobody has open but the caller. Layout: {@code docs/formats/store.md}.
 */
final class Transition {
    static final String TABLES = "tables";
    static final String LOG = "log-raft";
    static final String KEYS = "keys";

    private static final String STAGED = "switch";
    private static final String UNFINISHED = "switch.new";
    private static final String FROM = "from";
    private static final List<String> PARTS = List.of(TABLES, LOG, KEYS);

    private final Path store;
    private final Path folder;

    private Transition(Path store) {
        this.store = store;
        this.folder = store.resolve(UNFINISHED);
    }

    /** Begins anew; what an earlier attempt left goes. */
    static Transition begin(Path store) throws IOException {
        var begun = new Transition(store);
        removeTree(begun.folder);
        Files.createDirectory(begun.folder, PosixFilePermissions.asFileAttribute(owner("rwx------")));
        return begun;
    }

    private static Set<java.nio.file.attribute.PosixFilePermission> owner(String mode) {
        return PosixFilePermissions.fromString(mode);
    }

    /** Where parts are laid out: {@link #TABLES}, {@link #LOG}, {@link #KEYS}. What is not there stays as it is. */
    Path folder() {
        return folder;
    }

    /**
     * All parts are there: from now on this is what the store is.
     *
     * @param before what the store was
     * @param next what it is; with another incarnation its ids begin anew
     * @param keepSlices whether slices that the new generation does not know are kept, because the old one may have
     */
    void commit(StoreHeader before, StoreHeader next, boolean keepSlices) throws IOException {
        var former = store.resolve(FormerSlices.FOLDER);
        Files.createDirectories(former);
        var base = "generation-" + Long.toHexString(before.generation());
        var name = base;
        for (int i = 2; Files.exists(former.resolve(name)); i++) name = base + "-" + i;
        if (keepSlices) Files.writeString(folder.resolve(FormerSlices.UNLISTED), "");
        Files.writeString(folder.resolve(FROM), name, StandardCharsets.US_ASCII);
        next.write(new DiskVolume(folder));
        syncBelow(folder);
        Files.move(folder, store.resolve(STAGED), StandardCopyOption.ATOMIC_MOVE);
        sync(store);
    }

    /** Finishes what was committed, however far it came before. @return whether there was something to finish */
    static boolean finish(Path store, DiskVolume volume) throws IOException {
        return finish(store, volume, () -> {});
    }

    /** @param step told after each change, for tests of crashes */
    static boolean finish(Path store, DiskVolume volume, Runnable step) throws IOException {
        removeTree(store.resolve(UNFINISHED));
        var staged = store.resolve(STAGED);
        if (!Files.isDirectory(staged)) return false;
        var next = StoreHeader.read(new DiskVolume(staged))
                .orElseThrow(() -> new IOException(staged + " is damaged: it has no header"));
        var all = store.resolve(FormerSlices.FOLDER);
        var former = all.resolve(Files.readString(staged.resolve(FROM)));
        Files.createDirectories(former);
        sync(all);
        for (var part : PARTS) {
            if (!Files.exists(staged.resolve(part))) continue;
            // One that is in its place already is the old one, unless the old one has gone before.
            if (Files.exists(store.resolve(part))) {
                Files.move(store.resolve(part), former.resolve(part), StandardCopyOption.ATOMIC_MOVE);
                sync(former);
                sync(store);
                step.run();
            }
            Files.move(staged.resolve(part), store.resolve(part), StandardCopyOption.ATOMIC_MOVE);
            sync(store);
            sync(staged);
            step.run();
        }
        if (Files.exists(staged.resolve(FormerSlices.UNLISTED))) {
            Files.move(
                    staged.resolve(FormerSlices.UNLISTED),
                    store.resolve(FormerSlices.FOLDER).resolve(FormerSlices.UNLISTED),
                    StandardCopyOption.ATOMIC_MOVE);
            sync(store.resolve(FormerSlices.FOLDER));
            step.run();
        }
        var before = StoreHeader.read(volume);
        if (before.isEmpty() || !before.get().incarnation().equals(next.incarnation())) {
            try {
                IdSource.create(volume, next.incarnation());
            } catch (IllegalStateException again) {
                // made before a crash, and none of them given out
            }
            step.run();
        }
        next.write(volume);
        step.run();
        Files.deleteIfExists(store.resolve(Superseded.FILE));
        StartIntent.remove(store);
        removeTree(store.resolve(Reformer.REJOIN));
        sync(store);
        step.run();
        Files.move(staged, store.resolve(UNFINISHED), StandardCopyOption.ATOMIC_MOVE);
        sync(store);
        step.run();
        removeTree(store.resolve(UNFINISHED));
        return true;
    }

    // ---- files

    /** Durable on return; readable by its owner alone. */
    static void write(Path file, byte[] content) throws IOException {
        var temporary = file.resolveSibling(file.getFileName() + ".new");
        Files.deleteIfExists(temporary);
        try (var channel = FileChannel.open(
                temporary,
                Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(owner("rw-------")))) {
            var bytes = ByteBuffer.wrap(content);
            while (bytes.hasRemaining()) channel.write(bytes);
            channel.force(true);
        }
        Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
        var folder = file.toAbsolutePath().getParent();
        if (folder != null) sync(folder);
    }

    static void removeTree(Path path) throws IOException {
        if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
                for (Path entry : entries) removeTree(entry);
            }
        }
        Files.deleteIfExists(path);
    }

    private static void syncBelow(Path path) throws IOException {
        if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
                for (Path entry : entries) syncBelow(entry);
            }
        }
        sync(path);
    }

    private static void sync(Path path) throws IOException {
        try (var channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
