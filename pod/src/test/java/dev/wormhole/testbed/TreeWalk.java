// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;

/**
 * A process that writes down all of a tree, a line an entry, sorted: what two pods must agree on. Times of reading are not
 * among it. Lines of "wrong" say what one pod's tree contradicts itself in: links of a file that its names do not
 * explain, a directory's links, a name listed twice.
 *
 * <p>Arguments: FOLDER OUT.
 */
final class TreeWalk {
    private static final int TYPE = 0170000, DIRECTORY = 0040000, FILE = 0100000, SYMLINK = 0120000;

    private final Path root;
    private final List<String> lines = new ArrayList<>();
    private final Map<Long, List<String>> names = new TreeMap<>();
    private final Map<Long, Integer> links = new TreeMap<>();

    private TreeWalk(Path root) {
        this.root = root;
    }

    public static void main(String[] arguments) throws IOException {
        var walk = new TreeWalk(Path.of(arguments[0]));
        walk.entry(walk.root);
        walk.names.forEach((inode, found) -> {
            int said = walk.links.getOrDefault(inode, 0);
            if (said != found.size())
                walk.lines.add("wrong: inode " + inode + " says " + said + " links, its names are " + found);
        });
        Files.write(Path.of(arguments[1]), walk.lines);
    }

    private void entry(Path path) throws IOException {
        Map<String, Object> attributes = Files.readAttributes(path, "unix:*", LinkOption.NOFOLLOW_LINKS);
        String name = root.relativize(path).toString();
        int mode = (Integer) attributes.get("mode");
        long inode = (Long) attributes.get("ino");
        int count = (Integer) attributes.get("nlink");
        var line = new StringBuilder("/" + name);
        line.append(" inode ").append(inode).append(" mode ").append(Integer.toOctalString(mode));
        line.append(" links ").append(count);
        line.append(" owner ").append(attributes.get("uid")).append(':').append(attributes.get("gid"));
        line.append(" size ").append(attributes.get("size"));
        line.append(" mtime ").append(((FileTime) attributes.get("lastModifiedTime")).toInstant());
        line.append(" ctime ").append(((FileTime) attributes.get("ctime")).toInstant());
        switch (mode & TYPE) {
            case SYMLINK -> line.append(" -> ").append(Files.readSymbolicLink(path));
            case FILE -> line.append(" content ").append(checksum(path)).append(extended(path));
            case DIRECTORY -> line.append(extended(path));
            default -> {}
        }
        lines.add(line.toString());
        if ((mode & TYPE) == DIRECTORY) {
            directory(path, name, count);
        } else {
            names.computeIfAbsent(inode, _ -> new ArrayList<>()).add(name);
            links.put(inode, count);
        }
    }

    private void directory(Path path, String name, int count) throws IOException {
        var children = new ArrayList<Path>();
        try (var listing = Files.newDirectoryStream(path)) {
            listing.forEach(children::add);
        }
        if (new HashSet<>(children).size() != children.size())
            lines.add("wrong: listed twice in /" + name + ": " + children);
        children.sort(null);
        int directories = 0;
        for (Path child : children) {
            if (Files.isDirectory(child, LinkOption.NOFOLLOW_LINKS)) directories++;
            entry(child);
        }
        if (count != 2 + directories)
            lines.add("wrong: /" + name + " says " + count + " links, has " + directories + " directories");
    }

    private static String checksum(Path path) throws IOException {
        var crc = new CRC32C();
        var bytes = ByteBuffer.allocate(64 << 10);
        long length = 0;
        try (var file = FileChannel.open(path)) {
            while (file.read(bytes.clear()) >= 0) {
                length += bytes.position();
                crc.update(bytes.flip());
            }
        }
        return length + ":" + Long.toHexString(crc.getValue());
    }

    private static String extended(Path path) throws IOException {
        var view = Files.getFileAttributeView(path, UserDefinedFileAttributeView.class);
        var values = new TreeMap<String, String>();
        for (String name : view.list()) {
            var value = ByteBuffer.allocate(view.size(name));
            view.read(name, value);
            values.put(name, new String(value.array(), StandardCharsets.UTF_8));
        }
        return " " + values;
    }
}
