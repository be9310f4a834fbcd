// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.zip.CRC32C;

/**
 * Where the control socket of a store is: {@code control.sock} in it, or, where that path is too long for a socket (the
 * kernel takes 107 bytes), a short one that {@code control.path} in the store names.
 */
final class SocketPath {
    static final int BYTES_MAX = 100;
    private static final String POINTER = "control.path";

    private SocketPath() {}

    /** For a client: where the socket should be now. */
    static Path find(Path store) throws IOException {
        var pointer = store.resolve(POINTER);
        if (Files.isRegularFile(pointer))
            return Path.of(Files.readString(pointer).strip());
        return store.resolve("control.sock");
    }

    /** For the daemon: where to bind it; writes or removes the pointer. */
    static Path claim(Path store) throws IOException {
        var direct = store.resolve("control.sock");
        if (direct.toString().getBytes(StandardCharsets.UTF_8).length <= BYTES_MAX) {
            Files.deleteIfExists(store.resolve(POINTER));
            return direct;
        }
        var checksum = new CRC32C();
        checksum.update(store.toRealPath().toString().getBytes(StandardCharsets.UTF_8));
        var chosen = shortFolder()
                .resolve("%08x-%x.sock"
                        .formatted(checksum.getValue(), store.toRealPath().hashCode()));
        Files.writeString(store.resolve(POINTER), chosen + "\n");
        return chosen;
    }

    /** A folder of this user alone: /run/wormhole for root, the user's own run folder, else one in /tmp. */
    private static Path shortFolder() throws IOException {
        var user = System.getProperty("user.name", "nobody");
        var runtime = System.getenv("XDG_RUNTIME_DIR");
        var folder = user.equals("root")
                ? Path.of("/run/wormhole")
                : runtime != null && runtime.startsWith("/") && runtime.length() < 60
                        ? Path.of(runtime, "wormhole")
                        : Path.of("/tmp", "wormhole-" + user.substring(0, Math.min(user.length(), 32)));
        var mine = PosixFilePermissions.fromString("rwx------");
        if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
            Files.createDirectory(folder, PosixFilePermissions.asFileAttribute(mine));
        }
        if (!Files.getOwner(folder, LinkOption.NOFOLLOW_LINKS).getName().equals(user)
                || !Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS)
                        .equals(mine)) {
            throw new IOException(folder + " must belong to " + user + " alone (mode 700): remove it and start again");
        }
        return folder;
    }
}
