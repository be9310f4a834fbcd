// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What is mounted where, from /proc/self/mountinfo: asking it never asks a filesystem. */
final class MountTable {
    /**
     * One mount.
     *
     * @param id the kernel's mount id; may be used again after the mount is gone
     * @param device "major:minor" of the superblock; for FUSE the minor names the connection
     */
    record Mounted(int id, String device, String path, String type, String source) {
        int minor() {
            return Integer.parseInt(device.substring(device.indexOf(':') + 1));
        }
    }

    private MountTable() {}

    /** Lower mounts come before what is mounted over them. */
    static List<Mounted> read() throws IOException {
        var mounts = new ArrayList<Mounted>();
        byte[] table = Files.readAllBytes(Path.of("/proc/self/mountinfo"));
        for (String line : new String(table, StandardCharsets.ISO_8859_1).split("\n")) {
            String[] field = line.split(" ");
            int dash = 6;
            while (dash < field.length && !field[dash].equals("-")) dash++;
            if (dash + 2 >= field.length) continue;
            mounts.add(new Mounted(
                    Integer.parseInt(field[0]),
                    field[2],
                    unescape(field[4]),
                    unescape(field[dash + 1]),
                    unescape(field[dash + 2])));
        }
        return mounts;
    }

    /** What a path name leads to, if something is mounted right there. */
    static @Nullable Mounted topmostAt(String path) throws IOException {
        Mounted top = null;
        for (Mounted mount : read()) if (mount.path().equals(path)) top = mount;
        return top;
    }

    static String unescape(String field) {
        var bytes = new ByteArrayOutputStream();
        for (int i = 0; i < field.length(); i++) {
            char c = field.charAt(i);
            if (c == '\\' && i + 3 < field.length()) {
                bytes.write(Integer.parseInt(field.substring(i + 1, i + 4), 8));
                i += 3;
            } else bytes.write(c);
        }
        return bytes.toString(Libc.PATHS);
    }
}
