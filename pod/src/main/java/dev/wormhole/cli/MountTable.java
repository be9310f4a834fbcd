// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What is mounted where, from /proc/self/mountinfo: it never touches a mount, which may be dead. */
record MountTable(List<Mount> mounts) {
    static final String TYPE = "fuse.wormhole";
    private static final String SOURCE = "wormhole:";

    MountTable {
        mounts = List.copyOf(mounts);
    }

    record Mount(Path point, String type, String source) {
        boolean isWormhole() {
            return type.equals(TYPE);
        }

        /** Of the pod behind a Wormhole mount; empty where the source names none. */
        Optional<Path> store() {
            return isWormhole() && source.startsWith(SOURCE + "/")
                    ? Optional.of(Path.of(source.substring(SOURCE.length())))
                    : Optional.empty();
        }
    }

    static MountTable read() {
        try {
            return parse(Files.readString(Path.of("/proc/self/mountinfo"), StandardCharsets.ISO_8859_1));
        } catch (IOException e) {
            return new MountTable(List.of());
        }
    }

    /** @param text each char one byte, as ISO 8859-1 decodes it */
    static MountTable parse(String text) {
        var mounts = new ArrayList<Mount>();
        for (var line : text.split("\n", -1)) {
            // 36 35 98:0 /root /mount/point options optional... - type source superoptions
            var fields = line.split(" ", -1);
            var separator = List.of(fields).indexOf("-");
            if (separator < 6 || fields.length < separator + 3) continue;
            mounts.add(new Mount(Path.of(unescape(fields[4])), fields[separator + 1], unescape(fields[separator + 2])));
        }
        return new MountTable(mounts);
    }

    /** The kernel writes space, tab, newline and backslash as three octal digits. */
    private static String unescape(String field) {
        var bytes = new ByteArrayOutputStream();
        for (var i = 0; i < field.length(); i++) {
            var c = field.charAt(i);
            if (c == '\\'
                    && i + 3 < field.length()
                    && field.substring(i + 1, i + 4).matches("[0-3][0-7]{2}")) {
                bytes.write(Integer.parseInt(field.substring(i + 1, i + 4), 8));
                i += 3;
            } else {
                bytes.write(c);
            }
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }

    /** The innermost mount that a path is in; later mounts lie over earlier ones. */
    Optional<Mount> containing(Path path) {
        Mount best = null;
        for (var mount : mounts) {
            if (path.startsWith(mount.point)
                    && (best == null || mount.point.getNameCount() >= best.point.getNameCount())) {
                best = mount;
            }
        }
        return Optional.ofNullable(best);
    }

    /** What is mounted exactly there, uppermost. */
    Optional<Mount> at(Path point) {
        return containing(point).filter(mount -> mount.point.equals(point));
    }

    /** Mounts at or below a folder. */
    List<Mount> below(Path folder) {
        return mounts.stream().filter(mount -> mount.point.startsWith(folder)).toList();
    }
}
