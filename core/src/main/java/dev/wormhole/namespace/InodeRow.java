// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeFlags;
import dev.wormhole.model.InodeId;
import java.util.Arrays;

/** The row of an inode, while apply works on it. Layout in docs/formats/tables.md. */
final class InodeRow {
    private static final int FORMAT = 1;
    /** With four bytes of flags before the name; written only for an inode that has some. */
    private static final int FORMAT_FLAGS = 2;

    private static final FileType[] TYPES = FileType.values();
    private static final int FIXED_BYTES = 108;
    private static final byte[] NO_NAME = {};

    final long id;
    final FileType type;
    int permissions;
    int uid;
    int gid;
    int device;
    int links;
    long size;
    long allocated;
    long accessed;
    long modified;
    long changed;
    long born;
    long content;
    long layout;
    /** Names in a directory. */
    long entries;
    /** Lengths of the names of its extended attributes, each with a NUL; 0: it has none. */
    int xattrNameBytes;
    /** {@link dev.wormhole.model.InodeFlags}. */
    int flags;
    /** Commits whose displaced content is still kept. */
    int histories;
    /** One of its names: the only one of a directory. 0 and empty for an orphan; the root's is itself. */
    long parent;

    byte[] name = NO_NAME;

    boolean gone;

    InodeRow(long id, FileType type) {
        this.id = id;
        this.type = type;
    }

    boolean isDirectory() {
        return type == FileType.DIRECTORY;
    }

    /** Whether its names and attributes may not change. */
    boolean isFixed() {
        return (flags & InodeFlags.FIXED) != 0;
    }

    boolean isNamed(long directory, byte[] as) {
        return parent == directory && Arrays.equals(name, as);
    }

    void unname() {
        parent = 0;
        name = NO_NAME;
    }

    /** The suid bit goes, and sgid where it means execution; never of directories. */
    void killPrivileges() {
        if (isDirectory()) return;
        permissions &= ~04000;
        if ((permissions & 02010) == 02010) permissions &= ~02000;
    }

    byte[] encode() {
        var to = new ByteSink(FIXED_BYTES + 4 + name.length);
        to.u8(flags == 0 ? FORMAT : FORMAT_FLAGS)
                .u8(type.ordinal())
                .u16(permissions)
                .i32(uid)
                .i32(gid)
                .i32(device)
                .i32(links);
        to.i64(size)
                .i64(allocated)
                .i64(accessed)
                .i64(modified)
                .i64(changed)
                .i64(born)
                .i64(content)
                .i64(layout);
        to.i64(entries).i32(xattrNameBytes).i32(histories).i64(parent);
        if (flags != 0) to.i32(flags);
        to.raw(name);
        return to.toBytes();
    }

    static InodeRow decode(long id, byte[] row) {
        boolean flagged = row.length > 0 && row[0] == FORMAT_FLAGS;
        if (!flagged) Rows.checkFormat(row, FORMAT);
        var inode = new InodeRow(id, TYPES[row[1]]);
        inode.permissions = (short) ByteSink.SHORT.get(row, 2) & 0xffff;
        inode.uid = Rows.i32(row, 4);
        inode.gid = Rows.i32(row, 8);
        inode.device = Rows.i32(row, 12);
        inode.links = Rows.i32(row, 16);
        inode.size = Rows.i64(row, 20);
        inode.allocated = Rows.i64(row, 28);
        inode.accessed = Rows.i64(row, 36);
        inode.modified = Rows.i64(row, 44);
        inode.changed = Rows.i64(row, 52);
        inode.born = Rows.i64(row, 60);
        inode.content = Rows.i64(row, 68);
        inode.layout = Rows.i64(row, 76);
        inode.entries = Rows.i64(row, 84);
        inode.xattrNameBytes = Rows.i32(row, 92);
        inode.histories = Rows.i32(row, 96);
        inode.parent = Rows.i64(row, 100);
        if (flagged) inode.flags = Rows.i32(row, FIXED_BYTES);
        int nameAt = flagged ? FIXED_BYTES + 4 : FIXED_BYTES;
        if (row.length > nameAt) inode.name = Arrays.copyOfRange(row, nameAt, row.length);
        return inode;
    }

    Attributes attributes() {
        return new Attributes(
                new InodeId(id),
                type,
                permissions,
                links,
                uid,
                gid,
                device,
                size,
                allocated,
                accessed,
                modified,
                changed,
                born,
                content,
                layout,
                flags);
    }
}
