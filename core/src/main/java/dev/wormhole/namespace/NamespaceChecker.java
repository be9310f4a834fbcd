// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.model.Acl;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.Ids;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Rows.OrphanRow;
import dev.wormhole.namespace.Rows.PodRow;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Looks for everything in a table that cannot be the state after any log: link counts, parents, names that lead nowhere,
 * orphans with names, extents that overlap or name nothing, counts, indexes, totals, the digest. Keeps a few dozen bytes
 * of heap for each inode and slice; reads only.
 */
public final class NamespaceChecker {
    private static final int FINDINGS_MAX = 1_000;

    /** What the walk over other tables says of an inode. */
    private static final class Seen {
        final InodeRow row;
        long names;
        long furtherNames;
        long entries;
        long directories;
        long allocated;
        long xattrNameBytes;
        int histories;
        boolean primaryFound;
        boolean orphan;
        boolean target;

        Seen(InodeRow row) {
            this.row = row;
        }
    }

    private final Table.Snapshot table;
    private final Table whole; // it knows names' cookies
    private final List<String> findings = new ArrayList<>();
    private final Map<Long, Seen> inodes = new HashMap<>();
    private final Map<Long, SliceRow> slices = new HashMap<>();
    private final Map<Long, Integer> names = new HashMap<>();

    private NamespaceChecker(Table whole, Table.Snapshot table) {
        this.whole = whole;
        this.table = table;
    }

    /**
     * Checks the state in the table, of one instant.
     *
     * @return what is wrong, for people, at most 1,000 lines; empty if nothing is
     */
    public static List<String> check(Table table) {
        try (Table.Snapshot snapshot = table.snapshot()) {
            var checker = new NamespaceChecker(table, snapshot);
            try {
                checker.run();
            } catch (IllegalStateException | IllegalArgumentException | IndexOutOfBoundsException e) {
                checker.found("unreadable row: " + e);
            }
            return List.copyOf(checker.findings);
        }
    }

    private void found(String finding) {
        if (findings.size() < FINDINGS_MAX) findings.add(finding);
    }

    private interface RowVisitor {
        void visit(byte[] key, byte[] value);
    }

    private void each(char letter, RowVisitor visitor) {
        byte[] prefix = Keys.table(letter);
        try (Table.Scan scan = table.scan(prefix, Keys.after(prefix))) {
            while (scan.next()) visitor.visit(scan.key(), scan.value());
        }
    }

    private void run() {
        each(Keys.INODE, (key, row) -> {
            long id = Keys.id(key, 0);
            inodes.put(id, new Seen(InodeRow.decode(id, row)));
        });
        each(Keys.SLICE, (key, row) -> {
            long id = Keys.id(key, 0);
            slices.put(id, SliceRow.decode(id, row));
        });
        entries();
        furtherNames();
        orphans();
        attributes();
        extents();
        histories();
        locks();
        for (Seen seen : inodes.values()) inode(seen);
        ways();
        long[] unnamed = slices();
        totals(unnamed[0], unnamed[1]);
        pods();
        digest();
    }

    private static String inode(long id) {
        return id > 0 ? new InodeId(id).toString() : "inode " + id;
    }

    private void entries() {
        each(Keys.ENTRY, (key, row) -> {
            long directory = Keys.id(key, 0);
            byte[] name = Keys.tail(key, 2);
            String what = "entry " + inode(directory) + "/" + new FileName(name);
            if (Keys.id(key, 1) != whole.cookie(name)) found(what + ": its cookie is not its name's");
            Seen parent = inodes.get(directory);
            if (parent == null || !parent.row.isDirectory()) found(what + ": no such directory");
            else parent.entries++;
            long child = Rows.entryInode(row);
            Seen seen = inodes.get(child);
            if (seen == null) {
                found(what + ": leads to " + inode(child) + ", which is not there");
                return;
            }
            if (seen.row.type != Rows.entryType(row))
                found(what + ": says " + Rows.entryType(row) + ", inode " + seen.row.type);
            seen.names++;
            if (seen.row.isDirectory() && parent != null) parent.directories++;
            if (seen.row.isNamed(directory, name)) seen.primaryFound = true;
            else if (table.get(Keys.of(Keys.FURTHER_NAME, child, directory, name)) == null)
                found(what + ": " + inode(child) + " does not know this name");
        });
    }

    private void furtherNames() {
        each(Keys.FURTHER_NAME, (key, _) -> {
            long id = Keys.id(key, 0);
            byte[] name = Keys.tail(key, 2);
            Seen seen = inodes.get(id);
            if (seen == null) {
                found("further name of " + inode(id) + ", which is not there");
                return;
            }
            seen.furtherNames++;
            byte[] entry = table.get(Keys.entry(Keys.id(key, 1), whole.cookie(name), name));
            if (entry == null || Rows.entryInode(entry) != id)
                found(inode(id) + " believes in a name that is not its own");
        });
    }

    private void orphans() {
        var holds = new HashSet<String>();
        each(Keys.ORPHAN, (key, row) -> {
            long id = Keys.id(key, 0);
            Seen seen = inodes.get(id);
            if (seen == null) {
                found("orphan " + inode(id) + " is not there");
                return;
            }
            seen.orphan = true;
            for (int holder : OrphanRow.decode(row).holders()) {
                if (!holds.add(holder + " " + id)) found("orphan " + inode(id) + " is held twice by p" + holder);
                if (table.get(Keys.of(Keys.POD, holder)) == null)
                    found("orphan " + inode(id) + " is held by p" + holder + ", which is no member");
                if (table.get(Keys.of(Keys.HOLD, holder, id)) == null)
                    found("hold of p" + holder + " on " + inode(id) + " is not in the index");
            }
        });
        each(Keys.HOLD, (key, _) -> {
            if (!holds.contains(Keys.id(key, 0) + " " + Keys.id(key, 1)))
                found("index has a hold of p" + Keys.id(key, 0) + " on " + inode(Keys.id(key, 1)) + " that is none");
        });
    }

    private void attributes() {
        each(Keys.XATTR, (key, row) -> {
            Rows.checkFormat(row, Rows.FORMAT);
            Seen seen = inodes.get(Keys.id(key, 0));
            if (seen == null) found("extended attribute of " + inode(Keys.id(key, 0)) + ", which is not there");
            else {
                seen.xattrNameBytes += key.length - 11 + 1;
                acl(seen.row, Keys.tail(key, 1), Rows.opaqueValue(row));
            }
        });
        each(Keys.SYMLINK, (key, row) -> {
            Seen seen = inodes.get(Keys.id(key, 0));
            if (seen == null) {
                found("target of " + inode(Keys.id(key, 0)) + ", which is not there");
                return;
            }
            seen.target = true;
            if (seen.row.size != row.length - 1) found(inode(seen.row.id) + ": size is not its target's length");
        });
    }

    private void acl(InodeRow inode, byte[] name, byte[] value) {
        boolean access = Arrays.equals(name, Acl.ACCESS);
        if (!access && !Arrays.equals(name, Acl.DEFAULT)) return;
        Acl acl = Acl.decode(value);
        if (acl == null) found(inode(inode.id) + ": an ACL that is none");
        else if (access && (!acl.isExtended() || acl.permissions() != (inode.permissions & 0777)))
            found(inode(inode.id) + ": its ACL is not what its permissions say");
        if (!access && !inode.isDirectory()) found(inode(inode.id) + ": a default ACL, but no directory");
    }

    private void name(Extent extent, String where) {
        SliceRow slice = slices.get(extent.slice().value());
        if (slice == null) {
            found(where + " names " + extent.slice() + ", which is not there");
            return;
        }
        if (extent.sliceOffset() + extent.length() > slice.length)
            found(where + " reaches behind the end of " + extent.slice());
        names.merge(slice.id, 1, Integer::sum);
    }

    private void extents() {
        long[] before = {0, 0};
        each(Keys.EXTENT, (key, row) -> {
            long id = Keys.id(key, 0);
            Extent extent = Rows.extent(Keys.id(key, 1), row);
            String where = inode(id) + " extent " + extent.fileOffset() + "+" + extent.length();
            if (before[0] == id && extent.fileOffset() < before[1]) found(where + " overlaps the one before");
            before[0] = id;
            before[1] = extent.fileEnd();
            name(extent, where);
            Seen seen = inodes.get(id);
            if (seen == null) {
                found(where + ": no such inode");
                return;
            }
            seen.allocated += extent.length();
            if (extent.fileEnd() > seen.row.size) found(where + " lies behind the end of the file, " + seen.row.size);
        });
    }

    private void histories() {
        var kept = new HashSet<String>();
        each(Keys.HISTORY_EXTENT, (key, row) -> {
            long id = Keys.id(key, 0);
            kept.add(id + " " + Keys.id(key, 1));
            name(Rows.extent(Keys.id(key, 2), row), inode(id) + " history " + Keys.id(key, 1));
        });
        Map<String, Long> waits = new HashMap<>();
        Set<Long> waitedFor = new HashSet<>();
        each(Keys.WAIT, (key, row) -> {
            SliceRow slice = slices.get(Keys.id(key, 0));
            waits.merge(Keys.id(key, 1) + " " + Keys.id(key, 2), 1L, Long::sum);
            if (slice == null) {
                found("wait for slice " + Keys.id(key, 0) + ", which is not there");
                return;
            }
            waitedFor.add(slice.id);
            if (slice.names == 0) found("wait for " + new SliceId(slice.id) + ", which nothing names");
            if (slice.copies(n -> table.get(Keys.of(Keys.POD, n)) != null) >= Rows.number(row, 0))
                found("wait for " + new SliceId(slice.id) + ", which is durable enough");
        });
        for (SliceRow slice : slices.values())
            if (slice.waitedFor != waitedFor.contains(slice.id))
                found(new SliceId(slice.id) + ": says waited for: " + slice.waitedFor);
        var heads = new HashSet<String>();
        each(Keys.HISTORY, (key, row) -> {
            long id = Keys.id(key, 0);
            String head = id + " " + Keys.id(key, 1);
            heads.add(head);
            String what = inode(id) + " history " + Keys.id(key, 1);
            Seen seen = inodes.get(id);
            if (seen == null) found(what + ": no such inode");
            else seen.histories++;
            if (!kept.contains(head)) found(what + " keeps nothing");
            if (Rows.number(row, 0) != waits.getOrDefault(head, 0L))
                found(what + " counts " + Rows.number(row, 0) + " waits, there are " + waits.getOrDefault(head, 0L));
        });
        for (String head : kept) if (!heads.contains(head)) found("history " + head + " has no head");
        for (String head : waits.keySet())
            if (!heads.contains(head)) found("wait for a history " + head + " that is not");
    }

    private void locks() {
        var parts = new HashSet<String>();
        var waits = new HashSet<String>();
        each(Keys.LOCKS, (key, value) -> {
            LockRow row = LockRow.decode(Keys.id(key, 0), value);
            String what = "locks of " + inode(row.inode);
            if (!inodes.containsKey(row.inode)) found(what + ", which is not there");
            if (row.isEmpty()) found(what + " say nothing");
            if (row.holder != 0 && !row.table.held().isEmpty()) found(what + ": known, and decided by p" + row.holder);
            if (row.holder != 0 && row.lost.contains(row.holder))
                found(what + ": decided by p" + row.holder + ", which lost them");
            for (FileLock lock : row.table.held())
                if (row.table.conflict(lock) != null) found(what + ": " + lock + " beside " + row.table.conflict(lock));
            for (var waiter : row.table.waiters())
                if (row.holder == 0 && row.table.conflict(waiter.wanted()) == null)
                    found(what + ": " + waiter + " waits for nobody");
            for (int pod : row.pods()) {
                parts.add(pod + " " + row.inode);
                if (table.get(Keys.of(Keys.SESSION, pod)) == null) found(what + ": p" + pod + " has no session");
                if (table.get(Keys.of(Keys.LOCKED_BY, pod, row.inode)) == null)
                    found(what + ": p" + pod + " is not in the index");
            }
            for (LockOwner owner : row.waiting()) {
                waits.add(owner.pod().number() + " " + owner.key() + " " + row.inode);
                if (table.get(Keys.of(Keys.LOCK_WAIT, owner.pod().number(), owner.key(), row.inode)) == null)
                    found(what + ": the wait of " + owner + " is not in the index");
            }
        });
        each(Keys.LOCKED_BY, (key, _) -> {
            if (!parts.contains(Keys.id(key, 0) + " " + Keys.id(key, 1)))
                found("index has p" + Keys.id(key, 0) + " at the locks of " + inode(Keys.id(key, 1)));
        });
        each(Keys.LOCK_WAIT, (key, _) -> {
            if (!waits.contains(Keys.id(key, 0) + " " + Keys.id(key, 1) + " " + Keys.id(key, 2)))
                found("index has p" + Keys.id(key, 0) + " waiting for " + inode(Keys.id(key, 2)));
        });
    }

    private void inode(Seen seen) {
        InodeRow row = seen.row;
        String what = inode(row.id);
        boolean root = row.id == InodeId.ROOT.value();
        if (row.isDirectory()) {
            long links = row.links == 0 && seen.orphan ? 0 : 2 + seen.directories;
            if (row.links != links) found(what + ": links " + row.links + ", should be " + links);
            if (seen.names > (root ? 0 : 1)) found(what + ": a directory with " + seen.names + " names");
            if (row.entries != seen.entries) found(what + ": counts " + row.entries + " entries, has " + seen.entries);
            if (seen.orphan && seen.entries > 0) found(what + ": an orphan with entries");
        } else if (row.links != seen.names) {
            found(what + ": links " + row.links + ", names " + seen.names);
        }
        if (seen.orphan && seen.names > 0) found(what + ": an orphan with a name");
        if (!seen.orphan && !root && seen.names == 0) found(what + ": neither a name nor an orphan");
        if (root) {
            if (row.parent != row.id) found("the root's parent is " + row.parent);
        } else if (seen.names > 0) {
            if (!seen.primaryFound) found(what + ": its first name is not there");
            if (seen.furtherNames != seen.names - 1)
                found(what + ": further names " + seen.furtherNames + " of " + seen.names);
        } else if (row.parent != 0 || row.name.length != 0) {
            found(what + ": believes in a name");
        }
        if (row.allocated != seen.allocated) found(what + ": allocated " + row.allocated + ", has " + seen.allocated);
        if (row.xattrNameBytes != seen.xattrNameBytes)
            found(what + ": attribute names " + row.xattrNameBytes + ", has " + seen.xattrNameBytes);
        if (row.histories != seen.histories) found(what + ": histories " + row.histories + ", has " + seen.histories);
        if ((row.type == FileType.SYMLINK) != seen.target) found(what + ": " + row.type + ", target " + seen.target);
    }

    /** Every directory that has a name leads to the root. */
    private void ways() {
        var good = new HashSet<Long>();
        good.add(InodeId.ROOT.value());
        for (Seen seen : inodes.values()) {
            if (!seen.row.isDirectory() || seen.orphan) continue;
            var way = new HashSet<Long>();
            long at = seen.row.id;
            while (!good.contains(at) && way.add(at)) {
                Seen next = inodes.get(at);
                at = next == null ? 0 : next.row.parent;
            }
            if (good.contains(at)) good.addAll(way);
            else found(inode(seen.row.id) + ": no way to the root");
        }
    }

    /** @return how many slices nothing names, and the bytes of the others */
    private long[] slices() {
        long unnamed = 0;
        long bytes = 0;
        for (SliceRow slice : slices.values()) {
            String what = new SliceId(slice.id).toString();
            int named = names.getOrDefault(slice.id, 0);
            if (slice.names != named) found(what + ": counts " + slice.names + " names, has " + named);
            boolean indexed = table.get(Keys.of(Keys.UNNAMED, slice.id)) != null;
            if (indexed != (slice.names == 0))
                found(what + ": names " + slice.names + ", in the index of unnamed: " + indexed);
            if (slice.names == 0) unnamed++;
            else bytes += slice.length;
            if (Arrays.stream(slice.holders).distinct().count() != slice.holders.length)
                found(what + ": a holder twice");
            if (Ids.allocator(slice.id) == 0) found(what + ": no incarnation wrote it");
        }
        each(Keys.UNNAMED, (key, _) -> {
            if (!slices.containsKey(Keys.id(key, 0)))
                found("index of unnamed has a slice " + Keys.id(key, 0) + " that is not");
        });
        return new long[] {unnamed, bytes};
    }

    private void totals(long unnamed, long namedBytes) {
        byte[] row = table.get(Keys.TOTALS);
        if (row == null) {
            found("no totals");
            return;
        }
        long orphans = inodes.values().stream().filter(s -> s.orphan).count();
        var totals = new NamespaceView.Totals(
                Rows.number(row, 0),
                Rows.number(row, 1),
                Rows.number(row, 2),
                Rows.number(row, 3),
                Rows.number(row, 4));
        var should = new NamespaceView.Totals(inodes.size(), orphans, slices.size(), namedBytes, unnamed);
        if (!totals.equals(should)) found("totals " + totals + ", should be " + should);
    }

    private void pods() {
        byte[] allocated = table.get(Keys.ALLOCATOR);
        long last = allocated == null ? 0 : Rows.number(allocated, 0);
        var podNames = new HashSet<String>();
        each(Keys.POD, (key, value) -> {
            int number = (int) Keys.id(key, 0);
            PodRow pod = PodRow.decode(number, value);
            if (number > last) found("p" + number + " was never granted");
            if (!podNames.add(pod.record().settings().name()))
                found("two members named " + pod.record().settings().name());
            byte[] token = table.get(Keys.of(Keys.TOKEN, pod.token()));
            if (token == null || Rows.number(token, 0) != number)
                found("p" + number + ": its store's token is not known");
        });
        each(Keys.ADMINISTRATOR, (key, row) -> {
            Rows.checkFormat(row, Rows.FORMAT);
            if (table.get(Keys.of(Keys.POD, Keys.id(key, 0))) == null)
                found("administrator p" + Keys.id(key, 0) + " is no member");
        });
        each(Keys.POD_KEY, (key, row) -> {
            if (Rows.opaqueValue(row).length != 32) found("the key of p" + Keys.id(key, 0) + " is no hash");
            if (table.get(Keys.of(Keys.POD, Keys.id(key, 0))) == null)
                found("the key of p" + Keys.id(key, 0) + ", which is no member");
        });
        int[] authorities = new int[2];
        each(Keys.AUTHORITY, (key, row) -> {
            AuthorityRecord authority = AuthorityRecord.decode((int) Keys.id(key, 0), row);
            if (authority.number() != ++authorities[0])
                found("authority " + authority.number() + " where " + authorities[0] + " should be");
            if (authority.link().length == 0 != (authority.number() == 1))
                found("authority " + authority.number()
                        + (authority.number() == 1 ? " follows on another" : " follows on none"));
            if (authority.isTrusted()) authorities[1]++;
            else if (authorities[1] > 0)
                found("authority " + authority.number() + " was dropped before an earlier one");
        });
        if (authorities[1] > 2 || authorities[0] > 0 && authorities[1] == 0)
            found("authorities that count: " + authorities[1]);
        each(Keys.CERTIFICATE, (key, row) -> {
            CertificateRecord shown = CertificateRecord.decode(row);
            if (table.get(Keys.of(Keys.POD, Keys.id(key, 0))) == null)
                found("the certificate of p" + Keys.id(key, 0) + ", which is no member");
            if (shown.authority() < 1 || shown.authority() > authorities[0])
                found("p" + Keys.id(key, 0) + " shows a certificate of no authority: " + shown.authority());
        });
        byte[] present = table.get(Keys.GENERATION);
        long generation = present == null ? 0 : Rows.number(present, 0);
        each(Keys.REFORMED, (key, row) -> {
            if (Keys.id(key, 0) > generation)
                found("generation " + Keys.id(key, 0) + " is not the state's, nor before it");
            if (Rows.opaqueValue(row).length == 0) found("nothing is known of generation " + Keys.id(key, 0));
        });
        byte[] audited = table.get(Keys.AUDITED);
        long acts = audited == null ? 0 : Rows.number(audited, 0);
        long[] next = {Math.max(0, acts - AuditRecord.COUNT_MAX) + 1};
        each(Keys.AUDIT, (key, row) -> {
            AuditRecord record = AuditRecord.decode(Keys.id(key, 0), row);
            if (record.sequence() != next[0]) found("act " + record.sequence() + " where " + next[0] + " should be");
            next[0] = record.sequence() + 1;
        });
        if (next[0] != acts + 1) found("acts up to " + (next[0] - 1) + ", should be " + acts);
        int[] invitations = new int[1];
        each(Keys.INVITATION, (key, row) -> {
            invitations[0]++;
            byte[] token = Keys.tail(key, 0);
            Invitation invitation = Invitation.decode(token, row);
            if (token.length != Invitation.TOKEN_BYTES) found("an invitation whose token is no hash");
            if (invitation.usesLeft() < 0 || invitation.usesLeft() > Invitation.USES_MAX)
                found("invitation " + invitation.id() + " has " + invitation.usesLeft() + " uses left");
        });
        if (invitations[0] > Invitation.COUNT_MAX) found("too many invitations: " + invitations[0]);
        each(Keys.SESSION, (key, row) -> {
            long number = Keys.id(key, 0);
            MemberChanges.Session session = MemberChanges.Session.decode(row);
            byte[] pod = table.get(Keys.of(Keys.POD, number));
            if (pod == null || PodRow.decode((int) number, pod).record().startCount() != session.startCount())
                found("session " + number + "/" + session.startCount() + " is of no member's present start");
        });
        each(Keys.ANSWER, (key, _) -> {
            byte[] row = table.get(Keys.of(Keys.SESSION, Keys.id(key, 0)));
            long sequence = Keys.id(key, 1);
            MemberChanges.Session session = row == null ? null : MemberChanges.Session.decode(row);
            if (session == null || sequence < session.kept() || sequence > session.last())
                found("answer " + Keys.id(key, 0) + "/" + sequence + " is kept for nobody");
        });
    }

    private void digest() {
        long sum = 0;
        try (Table.Scan scan = table.scan(Keys.FIRST, Keys.END)) {
            while (scan.next())
                if (!Arrays.equals(scan.key(), Keys.APPLIED)) sum += Keys.rowHash(scan.key(), scan.value());
        }
        byte[] applied = table.get(Keys.APPLIED);
        if (applied == null) found("no applied index");
        else if (Rows.number(applied, 1) != sum)
            found("digest " + Long.toHexString(Rows.number(applied, 1)) + ", should be " + Long.toHexString(sum));
    }
}
