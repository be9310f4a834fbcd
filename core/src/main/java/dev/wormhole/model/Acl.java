// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A POSIX access control list, as Linux keeps it in the attributes {@link #ACCESS} and {@link #DEFAULT}: version 2 (4 bytes,
 * little-endian), then entries of 8 bytes: tag 2, permissions rwx 2, user or group 4 (-1 where the tag has none). Entries are in order of tags,
 * those of one tag in growing order of ids. Immutable.
 */
public final class Acl {
    public static final byte[] ACCESS = "system.posix_acl_access".getBytes(StandardCharsets.US_ASCII);
    public static final byte[] DEFAULT = "system.posix_acl_default".getBytes(StandardCharsets.US_ASCII);

    private static final int VERSION = 2;
    private static final int HEAD_BYTES = 4, ENTRY_BYTES = 8;
    /** More fit into no attribute. */
    private static final int ENTRIES_MAX = 8_191;

    private static final int USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32;
    private static final int RWX = 7;

    private record Entry(int tag, int permissions, int id) {}

    private final Entry[] entries;

    private Acl(Entry[] entries) {
        this.entries = entries;
    }

    /** Whether there is a list in the attribute's bytes at all: none is another word for its removal. */
    public static boolean isEmpty(byte[] bytes) {
        return bytes.length <= HEAD_BYTES;
    }

    /** The list in an attribute's bytes, null if they are not a valid one. */
    public static @Nullable Acl decode(byte[] bytes) {
        int count = (bytes.length - HEAD_BYTES) / ENTRY_BYTES;
        if (bytes.length < HEAD_BYTES || count * ENTRY_BYTES + HEAD_BYTES != bytes.length || count > ENTRIES_MAX)
            return null;
        var from = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        if (from.getInt() != VERSION) return null;
        var entries = new Entry[count];
        int seen = 0;
        for (int i = 0; i < count; i++) {
            int tag = Short.toUnsignedInt(from.getShort());
            int permissions = Short.toUnsignedInt(from.getShort());
            int id = from.getInt();
            if (Integer.bitCount(tag) != 1 || tag > OTHER || permissions > RWX) return null;
            boolean named = tag == USER || tag == GROUP;
            if (i > 0) {
                Entry before = entries[i - 1];
                if (tag < before.tag || tag == before.tag && (!named || Integer.compareUnsigned(id, before.id) <= 0))
                    return null;
            }
            seen |= tag;
            entries[i] = new Entry(tag, permissions, named ? id : -1);
        }
        int base = USER_OBJ | GROUP_OBJ | OTHER;
        if ((seen & base) != base) return null;
        return (seen & (USER | GROUP)) != 0 && (seen & MASK) == 0 ? null : new Acl(entries);
    }

    public byte[] encode() {
        var to = ByteBuffer.allocate(HEAD_BYTES + ENTRY_BYTES * entries.length).order(ByteOrder.LITTLE_ENDIAN);
        to.putInt(VERSION);
        for (Entry entry : entries)
            to.putShort((short) entry.tag).putShort((short) entry.permissions).putInt(entry.id);
        return to.array();
    }

    /** Whether it says more than nine permission bits can. */
    public boolean isExtended() {
        return entries.length > 3;
    }

    /** The nine bits that stat(2) shows for it: the mask, where there is one, in the group's place. */
    public int permissions() {
        int bits = 0;
        for (Entry entry : entries) {
            switch (entry.tag) {
                case USER_OBJ -> bits |= entry.permissions << 6;
                case GROUP_OBJ -> bits |= entry.permissions << 3;
                case MASK -> bits = bits & ~(RWX << 3) | entry.permissions << 3;
                case OTHER -> bits |= entry.permissions;
                default -> {
                    // named users and groups
                }
            }
        }
        return bits;
    }

    /** As chmod(2) to these permission bits leaves it. */
    public Acl withPermissions(int permissions) {
        return map(permissions, false);
    }

    /** A directory's default list as something new made with these permission bits gets it. */
    public Acl forNew(int permissions) {
        return map(permissions, true);
    }

    // ---- where users and groups have other numbers

    /** With other users and groups, those left out for which there is none (-1). */
    public Acl renumbered(IntUnaryOperator users, IntUnaryOperator groups) {
        var kept = new ArrayList<Entry>();
        for (Entry entry : entries) {
            int id = entry.tag == USER
                    ? users.applyAsInt(entry.id)
                    : entry.tag == GROUP ? groups.applyAsInt(entry.id) : -1;
            if (id == -1 && (entry.tag == USER || entry.tag == GROUP)) continue;
            kept.add(new Entry(entry.tag, entry.permissions, id));
        }
        return sorted(kept);
    }

    /** How many users and groups it names. */
    public int named() {
        int count = 0;
        for (Entry entry : entries) if (entry.tag == USER || entry.tag == GROUP) count++;
        return count;
    }

    /** With what another list says of users and groups for whom there is no other number (-1), too. */
    public Acl withHidden(Acl other, IntUnaryOperator users, IntUnaryOperator groups) {
        var all = new ArrayList<>(Arrays.asList(entries));
        for (Entry entry : other.entries) {
            if (entry.tag == USER && users.applyAsInt(entry.id) == -1
                    || entry.tag == GROUP && groups.applyAsInt(entry.id) == -1) all.add(entry);
        }
        boolean masked = all.stream().anyMatch(entry -> entry.tag == MASK);
        if (all.size() > entries.length && !masked) all.add(new Entry(MASK, permissions() >>> 3 & RWX, -1));
        return sorted(all);
    }

    private static Acl sorted(List<Entry> entries) {
        entries.sort((a, b) -> a.tag != b.tag ? Integer.compare(a.tag, b.tag) : Integer.compareUnsigned(a.id, b.id));
        return new Acl(entries.toArray(Entry[]::new));
    }

    private Acl map(int permissions, boolean narrow) {
        boolean masked = Arrays.stream(entries).anyMatch(e -> e.tag == MASK);
        var mapped = new Entry[entries.length];
        for (int i = 0; i < entries.length; i++) {
            Entry entry = entries[i];
            int shift = switch (entry.tag) {
                case USER_OBJ -> 6;
                case GROUP_OBJ -> masked ? -1 : 3;
                case MASK -> 3;
                case OTHER -> 0;
                default -> -1;
            };
            int wanted = shift < 0 ? entry.permissions : permissions >>> shift & RWX;
            mapped[i] = new Entry(entry.tag, narrow ? entry.permissions & wanted : wanted, entry.id);
        }
        return new Acl(mapped);
    }
}
