// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Rows.OrphanRow;
import dev.wormhole.namespace.Rows.PodRow;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Reads the table, with a cache for what every system call needs. Each method is one get or one scan, or a snapshot. */
final class TableView implements NamespaceView {
    /** What is small enough to stand in memory, of one applied index. Never changed. */
    record Heads(
            long appliedIndex,
            long digest,
            int level,
            long generation,
            long elapsedNanos,
            Totals totals,
            Configuration configuration,
            TreeMap<Integer, PodRow> pods) {}

    /** Depth at which a path is a loop: a bug or a damaged table. */
    private static final int DEPTH_MAX = 100_000;

    private static final byte[] NOTHING = {};

    private final Table table;
    final RowCache cache;
    private volatile Heads heads;

    TableView(Table table, RowCache cache, Heads heads) {
        this.table = table;
        this.cache = cache;
        this.heads = heads;
    }

    Heads heads() {
        return heads;
    }

    void publish(Heads next) {
        heads = next;
    }

    private RowCache.@Nullable Node node(long inode) {
        RowCache.Node cached = cache.node(inode);
        if (cached != null) return cached;
        int version = cache.versionOf(inode);
        byte[] row = table.get(Keys.of(Keys.INODE, inode));
        if (row == null) return null;
        InodeRow decoded = InodeRow.decode(inode, row);
        var node = new RowCache.Node(inode, decoded.attributes(), decoded.xattrNameBytes);
        cache.keep(node, version);
        return node;
    }

    @Override
    public @Nullable Attributes attributes(InodeId inode) {
        RowCache.Node node = node(inode.value());
        return node == null ? null : node.attributes();
    }

    @Override
    public @Nullable InodeId lookup(InodeId directory, FileName name) {
        RowCache.Name cached = cache.name(directory.value(), name);
        if (cached != null) return cached.inode();
        int version = cache.versionOf(directory.value(), name);
        byte[] row = table.get(Keys.entry(directory.value(), table.cookie(name.bytes()), name.bytes()));
        InodeId inode = row == null ? null : new InodeId(Rows.entryInode(row));
        cache.keep(new RowCache.Name(directory.value(), name, inode), version);
        return inode;
    }

    @Override
    public List<DirectoryEntry> entries(InodeId directory, long afterCookie, int limit) {
        var entries = new ArrayList<DirectoryEntry>(Math.clamp(limit, 0, 1024));
        if (afterCookie == Long.MAX_VALUE || limit <= 0) return entries;
        byte[] from = Keys.of(Keys.ENTRY, directory.value(), Math.max(0, afterCookie) + 1);
        long last = 0;
        try (Table.Scan scan = table.scan(from, Keys.after(Keys.of(Keys.ENTRY, directory.value())))) {
            while (scan.next()) {
                byte[] key = scan.key();
                long cookie = Keys.id(key, 1);
                if (entries.size() >= limit && cookie != last) break;
                last = cookie;
                byte[] row = scan.value();
                entries.add(new DirectoryEntry(
                        new FileName(Keys.tail(key, 2)),
                        new InodeId(Rows.entryInode(row)),
                        Rows.entryType(row),
                        cookie));
            }
        }
        return entries;
    }

    @Override
    public @Nullable InodeId parent(InodeId directory) {
        byte[] row = table.get(Keys.of(Keys.INODE, directory.value()));
        if (row == null) return null;
        InodeRow inode = InodeRow.decode(directory.value(), row);
        return inode.isDirectory() && inode.parent != 0 ? new InodeId(inode.parent) : null;
    }

    @Override
    public byte @Nullable [] symlinkTarget(InodeId inode) {
        byte[] row = table.get(Keys.of(Keys.SYMLINK, inode.value()));
        return row == null ? null : Rows.opaqueValue(row);
    }

    @Override
    public byte @Nullable [] xattr(InodeId inode, byte[] name) {
        RowCache.Node node = node(inode.value());
        if (node == null || node.xattrNameBytes() == 0) return null;
        byte[] row = table.get(Keys.of(Keys.XATTR, inode.value(), name));
        return row == null ? null : Rows.opaqueValue(row);
    }

    @Override
    public List<byte[]> xattrNames(InodeId inode) {
        var names = new ArrayList<byte[]>();
        RowCache.Node node = node(inode.value());
        if (node == null || node.xattrNameBytes() == 0) return names;
        byte[] prefix = Keys.of(Keys.XATTR, inode.value());
        try (Table.Scan scan = table.scan(prefix, Keys.after(prefix))) {
            while (scan.next()) names.add(Keys.tail(scan.key(), 1));
        }
        return names;
    }

    @Override
    public List<Extent> extents(InodeId inode, long from, long to) {
        return extents(inode, from, to, Integer.MAX_VALUE);
    }

    @Override
    public List<Extent> extents(InodeId inode, long from, long to, int limit) {
        var extents = new ArrayList<Extent>();
        if (from >= to || from == Long.MAX_VALUE) return extents;
        byte[] first = Keys.of(Keys.EXTENT, inode.value(), Math.max(0, from) + 1);
        try (Table.Scan scan = table.scan(first, Keys.after(Keys.of(Keys.EXTENT, inode.value())))) {
            while (extents.size() < limit && scan.next()) {
                Extent extent = Rows.extent(Keys.id(scan.key(), 1), scan.value());
                if (extent.fileOffset() >= to) break;
                extents.add(extent);
            }
        }
        return extents;
    }

    @Override
    public @Nullable LockRecord locks(InodeId inode) {
        byte[] row = table.get(Keys.of(Keys.LOCKS, inode.value()));
        return row == null ? null : LockRow.decode(inode.value(), row).record();
    }

    private boolean isMember(int incarnation) {
        return heads.pods.containsKey(incarnation);
    }

    @Override
    public @Nullable SliceRecord slice(SliceId slice) {
        byte[] row = table.get(Keys.of(Keys.SLICE, slice.value()));
        return row == null ? null : SliceRow.decode(slice.value(), row).record(this::isMember);
    }

    @Override
    public @Nullable String path(InodeId inode) {
        var names = new ArrayList<byte[]>();
        long at = inode.value();
        try (Table.Snapshot snapshot = table.snapshot()) {
            while (at != InodeId.ROOT.value()) {
                byte[] row = snapshot.get(Keys.of(Keys.INODE, at));
                if (row == null) return null;
                InodeRow decoded = InodeRow.decode(at, row);
                if (decoded.parent == 0) return null;
                if (names.size() > DEPTH_MAX) throw new IllegalStateException("no way to the root from " + inode);
                names.add(decoded.name);
                at = decoded.parent;
            }
        }
        if (names.isEmpty()) return "/";
        var path = new StringBuilder();
        for (byte[] name : names.reversed()) path.append('/').append(new String(name, StandardCharsets.UTF_8));
        return path.toString();
    }

    @Override
    public void slices(@Nullable SliceId after, Predicate<SliceRecord> visitor) {
        byte[] prefix = Keys.table(Keys.SLICE);
        byte[] from = after == null ? prefix : Keys.of(Keys.SLICE, after.value() + 1);
        try (Table.Scan scan = table.scan(from, Keys.after(prefix))) {
            while (scan.next()) {
                SliceRow slice = SliceRow.decode(Keys.id(scan.key(), 0), scan.value());
                if (!visitor.test(slice.record(this::isMember))) return;
            }
        }
    }

    @Override
    public List<SliceId> unnamedSlices(int limit) {
        var slices = new ArrayList<SliceId>();
        byte[] prefix = Keys.table(Keys.UNNAMED);
        try (Table.Scan scan = table.scan(prefix, Keys.after(prefix))) {
            while (slices.size() < limit && scan.next()) slices.add(new SliceId(Keys.id(scan.key(), 0)));
        }
        return slices;
    }

    @Override
    public List<Orphan> orphans(@Nullable InodeId after, int limit) {
        var orphans = new ArrayList<Orphan>();
        byte[] prefix = Keys.table(Keys.ORPHAN);
        byte[] from = after == null ? prefix : Keys.of(Keys.ORPHAN, after.value() + 1);
        try (Table.Scan scan = table.scan(from, Keys.after(prefix))) {
            while (orphans.size() < limit && scan.next()) {
                OrphanRow row = OrphanRow.decode(scan.value());
                var holders = new ArrayList<Incarnation>(row.holders().size());
                for (int holder : row.holders()) holders.add(new Incarnation(holder));
                orphans.add(new Orphan(new InodeId(Keys.id(scan.key(), 0)), row.index(), holders));
            }
        }
        return orphans;
    }

    @Override
    public List<PodRecord> pods() {
        var pods = new ArrayList<PodRecord>();
        for (PodRow pod : heads.pods.values()) pods.add(pod.record());
        return pods;
    }

    @Override
    public @Nullable PodRecord pod(Incarnation incarnation) {
        PodRow pod = heads.pods.get(incarnation.number());
        return pod == null ? null : pod.record();
    }

    @Override
    public List<Incarnation> administrators() {
        var administrators = new ArrayList<Incarnation>();
        byte[] prefix = Keys.table(Keys.ADMINISTRATOR);
        try (Table.Scan scan = table.scan(prefix, Keys.after(prefix))) {
            while (scan.next()) administrators.add(new Incarnation((int) Keys.id(scan.key(), 0)));
        }
        return administrators;
    }

    @Override
    public List<AuthorityRecord> authorities() {
        var authorities = new ArrayList<AuthorityRecord>();
        byte[] prefix = Keys.table(Keys.AUTHORITY);
        try (Table.Scan scan = table.scan(prefix, Keys.after(prefix))) {
            while (scan.next()) authorities.add(AuthorityRecord.decode((int) Keys.id(scan.key(), 0), scan.value()));
        }
        return authorities;
    }

    @Override
    public @Nullable CertificateRecord certificate(Incarnation pod) {
        byte[] row = table.get(Keys.of(Keys.CERTIFICATE, pod.number()));
        return row == null ? null : CertificateRecord.decode(row);
    }

    @Override
    public byte @Nullable [] podKey(Incarnation pod) {
        byte[] row = table.get(Keys.of(Keys.POD_KEY, pod.number()));
        return row == null ? null : Rows.opaqueValue(row);
    }

    @Override
    public long acts() {
        byte[] row = table.get(Keys.AUDITED);
        return row == null ? 0 : Rows.number(row, 0);
    }

    @Override
    public @Nullable Invitation invitation(byte[] token) {
        byte[] row = table.get(Keys.of(Keys.INVITATION, token));
        return row == null ? null : Invitation.decode(token, row);
    }

    @Override
    public List<Invitation> invitations() {
        var invitations = new ArrayList<Invitation>();
        byte[] prefix = Keys.table(Keys.INVITATION);
        try (Table.Scan scan = table.scan(prefix, Keys.after(prefix))) {
            while (scan.next()) invitations.add(Invitation.decode(Keys.tail(scan.key(), 0), scan.value()));
        }
        return invitations;
    }

    @Override
    public List<byte[]> reformings() {
        var reformings = new ArrayList<byte[]>();
        byte[] prefix = Keys.table(Keys.REFORMED);
        try (Table.Scan scan = table.scan(prefix, Keys.after(prefix))) {
            while (scan.next()) reformings.add(Rows.opaqueValue(scan.value()));
        }
        return reformings;
    }

    @Override
    public List<AuditRecord> audit(int limit) {
        var records = new ArrayList<AuditRecord>();
        byte[] count = table.get(Keys.AUDITED);
        if (count == null || limit <= 0) return records;
        byte[] from = Keys.of(Keys.AUDIT, Math.max(0, Rows.number(count, 0) - limit) + 1);
        try (Table.Scan scan = table.scan(from, Keys.after(Keys.table(Keys.AUDIT)))) {
            while (scan.next()) records.add(AuditRecord.decode(Keys.id(scan.key(), 0), scan.value()));
        }
        return records;
    }

    @Override
    public int lastGranted() {
        byte[] row = table.get(Keys.ALLOCATOR);
        return row == null ? 0 : (int) Rows.number(row, 0);
    }

    @Override
    public Configuration configuration() {
        return heads.configuration;
    }

    @Override
    public Totals totals() {
        return heads.totals;
    }

    @Override
    public int level() {
        return heads.level;
    }

    @Override
    public long appliedIndex() {
        return heads.appliedIndex;
    }

    /** Reads what stands in memory from a table that holds a state. */
    static Heads read(Table table) {
        try (Table.Snapshot snapshot = table.snapshot()) {
            byte[] applied = get(snapshot, Keys.APPLIED);
            byte[] totals = get(snapshot, Keys.TOTALS);
            byte[] configuration = get(snapshot, Keys.CONFIGURATION);
            byte[] elapsed = get(snapshot, Keys.ELAPSED);
            var pods = new TreeMap<Integer, PodRow>();
            byte[] prefix = Keys.table(Keys.POD);
            try (Table.Scan scan = snapshot.scan(prefix, Keys.after(prefix))) {
                while (scan.next()) {
                    int number = (int) Keys.id(scan.key(), 0);
                    pods.put(number, PodRow.decode(number, scan.value()));
                }
            }
            return new Heads(
                    Rows.number(applied, 0),
                    Rows.number(applied, 1),
                    (int) Rows.number(get(snapshot, Keys.LEVEL), 0),
                    Rows.number(get(snapshot, Keys.GENERATION), 0),
                    elapsed.length == 0 ? 0 : Rows.number(elapsed, 0),
                    new Totals(
                            Rows.number(totals, 0),
                            Rows.number(totals, 1),
                            Rows.number(totals, 2),
                            Rows.number(totals, 3),
                            Rows.number(totals, 4)),
                    configuration.length == 0 ? new Configuration(0, "") : MemberChanges.configuration(configuration),
                    pods);
        }
    }

    private static byte[] get(Table.Snapshot snapshot, byte[] key) {
        byte[] row = snapshot.get(key);
        return row == null ? NOTHING : row;
    }
}
