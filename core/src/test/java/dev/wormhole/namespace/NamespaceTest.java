// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static dev.wormhole.namespace.TestLog.ROOT;
import static dev.wormhole.namespace.TestLog.name;
import static dev.wormhole.namespace.TestLog.rename;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Acl;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeFlags;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The whole machine, command by command; after each test the tables are checked whole. */
final class NamespaceTest {
    private static final Incarnation POD1 = new Incarnation(1);

    private final TestLog log = new TestLog();

    @AfterEach
    void consistent() {
        log.check();
    }

    @Test
    void anEmptyTableBecomesATreeWithARoot() {
        assertThat(log.stat(ROOT).permissions()).isEqualTo(0755);
        assertThat(log.stat(ROOT).links()).isEqualTo(2);
        assertThat(log.view().parent(ROOT)).isEqualTo(ROOT);
        assertThat(log.view().path(ROOT)).isEqualTo("/");
        assertThat(log.view().entries(ROOT, 0, 10)).isEmpty();
    }

    @Test
    void aFileIsCreatedLinkedRenamedAndRemoved() {
        InodeId d = log.directory(ROOT, "d");
        InodeId f = log.file(d, "f");
        assertThat(log.view().lookup(d, name("f"))).isEqualTo(f);
        assertThat(log.view().path(f)).isEqualTo("/d/f");
        log.done(new Command.Link(f, ROOT, name("g")));
        assertThat(log.stat(f).links()).isEqualTo(2);
        log.done(new Command.Unlink(d, name("f"), f));
        assertThat(log.view().path(f)).isEqualTo("/g");
        log.done(rename(ROOT, "g", f, d, "h", null));
        assertThat(log.view().path(f)).isEqualTo("/d/h");
        assertThat(log.view().lookup(ROOT, name("g"))).isNull();
        log.refused(new Command.RemoveDirectory(ROOT, name("d"), d), Errno.ENOTEMPTY);
        log.done(new Command.Unlink(d, name("h"), f));
        assertThat(log.view().orphans(null, 10))
                .extracting(NamespaceView.Orphan::inode)
                .containsExactly(f);
        log.done(new Command.RemoveDirectory(ROOT, name("d"), d));
        log.done(new Command.AcknowledgeOrphans(POD1, log.index));
        assertThat(log.done(new Command.Reap(List.of(f, d)))).isEqualTo(2);
        assertThat(log.view().attributes(f)).isNull();
        assertThat(log.view().totals().inodes()).isEqualTo(1);
    }

    @Test
    void anOverwriteTrimsWhatItCovers() {
        InodeId f = log.file(ROOT, "f");
        SliceId a = log.write(f, 0, 100, 1, POD1);
        SliceId b = log.write(f, 40, 20, 1, POD1);
        assertThat(log.extents(f)).containsExactly("0+40=" + a + "@0", "40+20=" + b + "@0", "60+40=" + a + "@60");
        assertThat(log.record(a).names()).isEqualTo(2);
        SliceId c = log.write(f, 0, 100, 1, POD1);
        assertThat(log.extents(f)).containsExactly("0+100=" + c + "@0");
        assertThat(log.view().unnamedSlices(10)).containsExactly(a, b);
    }

    // ---- names

    @Test
    void createIsRefusedAsLinuxRefusesIt() {
        InodeId f = log.file(ROOT, "f");
        log.refused(TestLog.creation(new InodeId(99), "x", log.id(), FileType.REGULAR), Errno.ENOENT);
        log.refused(TestLog.creation(f, "x", log.id(), FileType.REGULAR), Errno.ENOTDIR);
        log.refused(TestLog.creation(ROOT, "f", log.id(), FileType.REGULAR), Errno.EEXIST);
        log.refused(TestLog.creation(ROOT, "g", f, FileType.REGULAR), Errno.EEXIST);
        log.refused(symlink(new byte[4096]), Errno.ENAMETOOLONG);
        log.refused(symlink(new byte[0]), Errno.ENOENT);
        log.done(symlink(new byte[4095]));
        InodeId d = log.directory(ROOT, "d");
        log.done(new Command.RemoveDirectory(ROOT, name("d"), d));
        log.refused(TestLog.creation(d, "x", log.id(), FileType.REGULAR), Errno.ENOENT);
    }

    private Command symlink(byte[] target) {
        return new Command.Create(ROOT, name("s"), log.id(), FileType.SYMLINK, 0777, 0, 0, 0, target);
    }

    @Test
    void aSetgidDirectoryGivesItsGroupAndItself() {
        InodeId d = log.directory(ROOT, "d");
        log.done(new Command.SetAttributes(d, 02775, null, 77, null, null, null, false));
        assertThat(log.stat(log.file(d, "f")).gid()).isEqualTo(77);
        assertThat(log.stat(log.file(d, "g")).permissions()).isEqualTo(0644);
        InodeId sub = log.directory(d, "sub");
        assertThat(log.stat(sub).gid()).isEqualTo(77);
        assertThat(log.stat(sub).permissions()).isEqualTo(02755);
    }

    // ---- ACLs and flags

    /** user::rwx user:5:r-x group::rwx mask::rwx other::r-- */
    private static final byte[] LIST = acl(1, 7, -1, 2, 5, 5, 4, 7, -1, 16, 7, -1, 32, 4, -1);

    /** Entries of tag, permissions, id. */
    private static byte[] acl(int... entries) {
        var to = ByteBuffer.allocate(4 + entries.length / 3 * 8)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(2);
        for (int i = 0; i < entries.length; i += 3)
            to.putShort((short) entries[i]).putShort((short) entries[i + 1]).putInt(entries[i + 2]);
        return to.array();
    }

    private Command creation(InodeId parent, String as, InodeId inode, FileType type, int permissions, int umask) {
        return new Command.Create(parent, name(as), inode, type, permissions, 5, 6, 0, new byte[0], umask);
    }

    @Test
    void theUmaskCountsWhereNoDefaultAclDoes() {
        InodeId d = log.directory(ROOT, "d");
        InodeId plain = log.id();
        log.done(creation(d, "plain", plain, FileType.REGULAR, 04666, 027));
        assertThat(log.stat(plain).permissions()).isEqualTo(04640);
        log.done(new Command.SetAcl(d, true, LIST, false));
        assertThat(log.stat(d).permissions()).isEqualTo(0755);
        InodeId f = log.id();
        log.done(creation(d, "f", f, FileType.REGULAR, 0666, 077));
        assertThat(log.stat(f).permissions()).isEqualTo(0664);
        assertThat(log.view().xattr(f, Acl.ACCESS)).isEqualTo(acl(1, 6, -1, 2, 5, 5, 4, 7, -1, 16, 6, -1, 32, 4, -1));
        assertThat(log.view().xattr(f, Acl.DEFAULT)).isNull();
        InodeId sub = log.id();
        log.done(creation(d, "sub", sub, FileType.DIRECTORY, 0700, 0));
        assertThat(log.stat(sub).permissions()).isEqualTo(0700);
        assertThat(log.view().xattr(sub, Acl.DEFAULT)).isEqualTo(LIST);
        InodeId unnamed = log.id();
        log.done(new Command.CreateOrphan(unnamed, 0600, 5, 6, POD1, d, 022));
        assertThat(log.view().xattrNames(unnamed)).containsExactly(Acl.ACCESS);
        assertThat(log.stat(unnamed).permissions()).isEqualTo(0600);
        InodeId link = log.id();
        log.done(new Command.Create(d, name("l"), link, FileType.SYMLINK, 0777, 0, 0, 0, new byte[] {'x'}, 022));
        assertThat(log.stat(link).permissions()).isEqualTo(0777);
        assertThat(log.view().xattrNames(link)).isEmpty();
    }

    @Test
    void anAclAndThePermissionsFollowEachOther() {
        InodeId f = log.file(ROOT, "f");
        log.done(new Command.SetAttributes(f, 02644, null, null, null, null, null, false));
        log.done(new Command.SetAcl(f, false, LIST, false));
        assertThat(log.stat(f).permissions()).isEqualTo(02774);
        log.done(new Command.SetAttributes(f, 0750, null, null, null, null, null, false));
        assertThat(log.view().xattr(f, Acl.ACCESS)).isEqualTo(acl(1, 7, -1, 2, 5, 5, 4, 7, -1, 16, 5, -1, 32, 0, -1));
        log.done(new Command.SetAcl(f, false, acl(1, 6, -1, 4, 4, -1, 32, 0, -1), false));
        assertThat(log.stat(f).permissions()).isEqualTo(0640);
        assertThat(log.view().xattrNames(f)).isEmpty();
        log.refused(new Command.SetAcl(f, false, new byte[0], false), Errno.ENODATA);
        log.done(new Command.SetAttributes(f, 02755, null, null, null, null, null, false));
        log.done(new Command.SetAcl(f, false, LIST, true));
        assertThat(log.stat(f).permissions()).isEqualTo(0774);
        log.done(new Command.SetAcl(f, false, new byte[0], false));
        assertThat(log.stat(f).permissions()).isEqualTo(0774);
    }

    @Test
    void anAclIsRefusedWhereItIsNone() {
        InodeId f = log.file(ROOT, "f");
        log.refused(new Command.SetAcl(f, true, LIST, false), Errno.EACCES);
        log.refused(new Command.SetAcl(f, false, new byte[] {2, 0, 0, 0, 1}, false), Errno.EINVAL);
        log.refused(new Command.SetAcl(f, false, acl(1, 6, -1, 4, 4, -1), false), Errno.EINVAL); // nothing for others
        log.refused(new Command.SetAcl(f, false, acl(1, 6, -1, 2, 7, 5, 4, 4, -1, 32, 0, -1), false), Errno.EINVAL);
        log.refused(new Command.SetAcl(f, false, acl(1, 8, -1, 4, 4, -1, 32, 0, -1), false), Errno.EINVAL);
        log.refused(
                new Command.SetAcl(f, false, acl(1, 6, -1, 2, 7, 5, 2, 7, 5, 4, 4, -1, 16, 7, -1, 32, 0, -1), false),
                Errno.EINVAL);
        InodeId link = log.id();
        log.done(new Command.Create(ROOT, name("l"), link, FileType.SYMLINK, 0777, 0, 0, 0, new byte[] {'x'}));
        log.refused(new Command.SetAcl(link, false, LIST, false), Errno.EOPNOTSUPP);
    }

    @Test
    void whatIsImmutableStaysAsItIs() {
        InodeId d = log.directory(ROOT, "d");
        InodeId f = log.file(d, "f");
        InodeId g = log.file(d, "g");
        long plain = log.stat(f).changedNanos();
        log.done(new Command.SetFlags(f, InodeFlags.IMMUTABLE));
        assertThat(log.stat(f).flags()).isEqualTo(InodeFlags.IMMUTABLE);
        assertThat(log.stat(f).changedNanos()).isGreaterThan(plain);
        log.refused(new Command.Unlink(d, name("f"), f), Errno.EPERM);
        log.refused(new Command.Link(f, ROOT, name("h")), Errno.EPERM);
        log.refused(rename(d, "f", f, ROOT, "h", null), Errno.EPERM);
        log.refused(rename(d, "g", g, d, "f", f), Errno.EPERM);
        log.refused(new Command.SetAttributes(f, 0600, null, null, null, null, null, false), Errno.EPERM);
        log.refused(new Command.SetAttributes(f, null, null, null, 0L, null, null, false), Errno.EPERM);
        log.refused(new Command.SetAttributes(f, null, null, null, null, 1L, null, false), Errno.EPERM);
        byte[] x = {'u', '.', 'x'};
        log.refused(new Command.SetXattr(f, x, x, Command.XattrMode.ANY), Errno.EPERM);
        log.refused(new Command.RemoveXattr(f, x), Errno.EPERM);
        log.refused(new Command.SetAcl(f, false, LIST, false), Errno.EPERM);
        log.refused(new Command.SetFlags(f, InodeFlags.IMMUTABLE | InodeFlags.NOATIME), Errno.EPERM);
        log.done(new Command.SetFlags(f, 0));
        log.done(new Command.SetFlags(d, InodeFlags.IMMUTABLE));
        log.refused(new Command.Unlink(d, name("f"), f), Errno.EPERM);
        log.refused(TestLog.creation(d, "new", log.id(), FileType.REGULAR), Errno.EPERM);
        log.refused(new Command.CreateOrphan(log.id(), 0600, 0, 0, POD1, d, 0), Errno.EPERM);
        log.refused(new Command.Link(f, d, name("h")), Errno.EPERM);
        log.refused(rename(d, "f", f, ROOT, "h", null), Errno.EPERM);
        log.done(new Command.SetAttributes(f, 0600, null, null, 9L, null, null, false)); // what is in it is free
    }

    /** What was accepted before is never refused afterwards. */
    @Test
    void bytesWrittenBeforeAreCommittedToAnImmutableFile() {
        InodeId f = log.file(ROOT, "f");
        log.done(new Command.SetFlags(f, InodeFlags.IMMUTABLE));
        log.write(f, 0, 100, 1, POD1);
        assertThat(log.stat(f).size()).isEqualTo(100);
    }

    @Test
    void anAppendOnlyDirectoryTakesNamesAndGivesNoneBack() {
        InodeId d = log.directory(ROOT, "d");
        InodeId f = log.file(ROOT, "f");
        log.done(new Command.SetFlags(d, InodeFlags.APPEND));
        InodeId g = log.file(d, "g");
        log.done(rename(ROOT, "f", f, d, "f", null));
        log.refused(new Command.Unlink(d, name("g"), g), Errno.EPERM);
        log.refused(rename(d, "g", g, ROOT, "g", null), Errno.EPERM);
        log.refused(rename(d, "g", g, d, "f", f), Errno.EPERM);
    }

    @Test
    void flagsAreInheritedWhereTheyMeanSomething() {
        InodeId d = log.directory(ROOT, "d");
        int all = InodeFlags.NOATIME | InodeFlags.SYNC | InodeFlags.DIRSYNC | InodeFlags.NODUMP;
        log.done(new Command.SetFlags(d, all | InodeFlags.APPEND));
        assertThat(log.stat(log.directory(d, "sub")).flags()).isEqualTo(all);
        assertThat(log.stat(log.file(d, "f")).flags()).isEqualTo(all & ~InodeFlags.DIRSYNC);
        InodeId f = log.file(ROOT, "f");
        log.refused(new Command.SetFlags(f, InodeFlags.DIRSYNC), Errno.EOPNOTSUPP);
        log.refused(new Command.SetFlags(f, 1), Errno.EOPNOTSUPP);
        log.done(new Command.SetFlags(f, InodeFlags.APPEND));
        log.done(new Command.SetFlags(f, 0)); // its row is as before
        assertThat(log.stat(f).flags()).isZero();
        assertThat(log.view().path(f)).isEqualTo("/f");
    }

    @Test
    void linksOfDirectoriesCountTheirSubdirectories() {
        InodeId a = log.directory(ROOT, "a");
        InodeId b = log.directory(ROOT, "b");
        InodeId sub = log.directory(a, "sub");
        InodeId f = log.file(b, "f");
        assertThat(log.stat(ROOT).links()).isEqualTo(4);
        assertThat(log.stat(a).links()).isEqualTo(3);
        log.done(rename(a, "sub", sub, b, "sub", null));
        assertThat(log.stat(a).links()).isEqualTo(2);
        assertThat(log.stat(b).links()).isEqualTo(3);
        InodeId dir = log.directory(a, "dir");
        log.done(new Command.Rename(a, name("dir"), dir, b, name("f"), f, Command.RenameMode.EXCHANGE));
        assertThat(log.stat(a).links()).isEqualTo(2);
        assertThat(log.stat(b).links()).isEqualTo(4);
        assertThat(log.view().lookup(a, name("dir"))).isEqualTo(f);
        assertThat(log.view().path(f)).isEqualTo("/a/dir");
        assertThat(log.view().parent(dir)).isEqualTo(b);
    }

    @Test
    void renameIsRefusedAsLinuxRefusesIt() {
        InodeId a = log.directory(ROOT, "a");
        InodeId b = log.directory(a, "b");
        InodeId c = log.directory(b, "c");
        InodeId d = log.directory(ROOT, "d");
        InodeId full = log.directory(ROOT, "full");
        log.file(full, "x");
        InodeId f = log.file(ROOT, "f");
        log.refused(rename(ROOT, "none", f, ROOT, "x", null), Errno.ENOENT);
        log.refused(rename(ROOT, "f", d, ROOT, "x", null), Errno.ENOENT);
        log.refused(rename(ROOT, "f", f, ROOT, "d", null), Errno.EEXIST);
        log.refused(rename(ROOT, "f", f, ROOT, "d", a), Errno.EEXIST);
        log.refused(rename(ROOT, "f", f, ROOT, "d", d), Errno.EISDIR);
        log.refused(rename(ROOT, "d", d, ROOT, "f", f), Errno.ENOTDIR);
        log.refused(rename(ROOT, "d", d, ROOT, "full", full), Errno.ENOTEMPTY);
        log.refused(rename(ROOT, "a", a, c, "x", null), Errno.EINVAL);
        log.refused(rename(ROOT, "a", a, a, "x", null), Errno.EINVAL);
        log.refused(rename(b, "c", c, ROOT, "a", a), Errno.ENOTEMPTY);
        log.refused(new Command.Rename(b, name("c"), c, ROOT, name("a"), a, Command.RenameMode.EXCHANGE), Errno.EINVAL);
        log.refused(
                new Command.Rename(ROOT, name("d"), d, ROOT, name("f"), f, Command.RenameMode.NO_REPLACE),
                Errno.EEXIST);
        log.refused(
                new Command.Rename(ROOT, name("d"), d, ROOT, name("x"), null, Command.RenameMode.EXCHANGE),
                Errno.ENOENT);
        log.refused(rename(ROOT, "f", f, f, "x", null), Errno.ENOTDIR);
        log.done(rename(ROOT, "d", d, b, "d", null));
        log.done(rename(b, "d", d, b, "c", c));
        assertThat(log.view().lookup(b, name("c"))).isEqualTo(d);
        assertThat(log.stat(c).links()).isZero();
    }

    @Test
    void renameOfTwoNamesOfOneFileDoesNothing() {
        InodeId f = log.file(ROOT, "f");
        log.done(new Command.Link(f, ROOT, name("g")));
        long changed = log.stat(f).changedNanos();
        log.done(rename(ROOT, "f", f, ROOT, "g", f));
        assertThat(log.stat(f).links()).isEqualTo(2);
        assertThat(log.stat(f).changedNanos()).isEqualTo(changed);
        assertThat(log.view().lookup(ROOT, name("f"))).isEqualTo(f);
        log.done(rename(ROOT, "f", f, ROOT, "f", f));
        assertThat(log.view().lookup(ROOT, name("f"))).isEqualTo(f);
    }

    @Test
    void unlinkAndRmdirAreRefusedAsLinuxRefusesThem() {
        InodeId f = log.file(ROOT, "f");
        InodeId d = log.directory(ROOT, "d");
        log.refused(new Command.Unlink(ROOT, name("d"), d), Errno.EISDIR);
        log.refused(new Command.RemoveDirectory(ROOT, name("f"), f), Errno.ENOTDIR);
        log.refused(new Command.Unlink(ROOT, name("f"), d), Errno.ENOENT);
        log.refused(new Command.Unlink(f, name("x"), f), Errno.ENOTDIR);
        log.refused(new Command.Link(d, ROOT, name("e")), Errno.EPERM);
        log.refused(new Command.Link(f, ROOT, name("d")), Errno.EEXIST);
        log.refused(new Command.Link(new InodeId(99), ROOT, name("e")), Errno.ENOENT);
        log.done(new Command.Unlink(ROOT, name("f"), f));
        log.refused(new Command.Link(f, ROOT, name("e")), Errno.ENOENT);
    }

    @Test
    void entriesComeInCookieOrderAndNoneIsMissed() {
        var names = new TreeSet<String>();
        InodeId d = log.directory(ROOT, "d");
        for (int i = 0; i < 100; i++) {
            log.file(d, "file-" + i);
            names.add("file-" + i);
        }
        var listed = new TreeSet<String>();
        long cookie = 0;
        for (List<DirectoryEntry> some = log.view().entries(d, 0, 7); !some.isEmpty(); ) {
            for (DirectoryEntry entry : some) {
                assertThat(entry.cookie()).isGreaterThan(cookie).isGreaterThanOrEqualTo(Keys.COOKIE_MIN);
                cookie = entry.cookie();
                listed.add(entry.name().toString());
            }
            // A name that goes or comes meanwhile takes nothing away from the others.
            DirectoryEntry gone = some.getFirst();
            log.done(new Command.Unlink(d, gone.name(), gone.inode()));
            some = log.view().entries(d, cookie, 7);
        }
        assertThat(listed).isEqualTo(names);
    }

    /** Cookies that collide cannot be made at will, so these rows are written by hand. */
    @Test
    void entriesOfOneCookieAreNeverParted() {
        var table = new MemoryTable();
        var namespace = new Namespace(table);
        var batch = new Table.WriteBatch();
        for (int i = 0; i < 3; i++)
            batch.put(Keys.of(Keys.ENTRY, 1, 500, new byte[] {(byte) ('a' + i)}), Rows.entry(50 + i, FileType.REGULAR));
        batch.put(Keys.of(Keys.ENTRY, 1, 600, new byte[] {'z'}), Rows.entry(60, FileType.REGULAR));
        table.write(batch);
        assertThat(namespace.view().entries(ROOT, 0, 1)).hasSize(3);
        assertThat(namespace.view().entries(ROOT, 0, 3)).hasSize(3);
        assertThat(namespace.view().entries(ROOT, 0, 4)).hasSize(4);
        assertThat(namespace.view().entries(ROOT, 500, 1))
                .extracting(DirectoryEntry::cookie)
                .containsExactly(600L);
        assertThat(namespace.view().entries(ROOT, Long.MAX_VALUE, 1)).isEmpty();
    }

    // ---- attributes

    @Test
    void changesTellTheDirectoryAndTime() {
        InodeId d = log.directory(ROOT, "d");
        long before = log.stat(d).modifiedNanos();
        InodeId f = log.file(d, "f");
        assertThat(log.last.changes())
                .contains(
                        new Change.EntryChanged(d, name("f")),
                        new Change.InodeChanged(d, true),
                        new Change.InodeChanged(f, false));
        assertThat(log.stat(d).modifiedNanos()).isEqualTo(log.nanos).isGreaterThan(before);
        log.done(new Command.Unlink(d, name("f"), f));
        assertThat(log.last.changes()).contains(new Change.Orphaned(f));
    }

    @Test
    void changeTimeNeverGoesBack() {
        InodeId f = log.file(ROOT, "f");
        long changed = log.stat(f).changedNanos();
        log.nanos -= 5_000_000_000L;
        log.done(new Command.SetAttributes(f, 0600, null, null, null, null, 17L, false));
        assertThat(log.stat(f).changedNanos()).isEqualTo(changed);
        assertThat(log.stat(f).modifiedNanos()).isEqualTo(17);
    }

    @Test
    void aProposersWrongClockCountsForOneSecond() {
        long leader = log.nanos;
        Command create = TestLog.creation(ROOT, "f", new InodeId(77), FileType.REGULAR);
        Entry entry = Entry.of(1, log.session, ++log.sequence, 1, Long.MAX_VALUE / 2, List.of(create));
        log.apply(entry);
        assertThat(log.stat(new InodeId(77)).bornNanos()).isEqualTo(leader + 1_000_000_000L);
    }

    @Test
    void privilegesGoWhenAUserWrites() {
        InodeId f = log.file(ROOT, "f");
        byte[] capability = "security.capability".getBytes(StandardCharsets.US_ASCII);
        log.done(new Command.SetAttributes(f, 06755, null, null, null, null, null, false));
        log.done(new Command.SetXattr(f, capability, new byte[] {1}, Command.XattrMode.ANY));
        log.write(f, 0, 10, 1, POD1);
        assertThat(log.stat(f).permissions()).isEqualTo(06755);
        log.done(new Command.Write(f, 0, List.of(), List.of(), 20, 5, 1, true));
        assertThat(log.stat(f).permissions()).isEqualTo(0755);
        assertThat(log.view().xattr(f, capability)).isNull();
        log.done(new Command.SetAttributes(f, 02644, null, null, null, null, null, false));
        log.done(new Command.SetAttributes(f, null, null, null, 5L, null, null, true));
        assertThat(log.stat(f).permissions()).isEqualTo(02644);
    }

    @Test
    void truncationTrimsAndExtensionLeavesAHole() {
        InodeId f = log.file(ROOT, "f");
        SliceId a = log.write(f, 0, 100, 2, POD1);
        long content = log.stat(f).content();
        assertThat(log.done(size(f, 30))).isEqualTo(content + 1);
        log.done(size(f, 1000));
        assertThat(log.extents(f)).containsExactly("0+30=" + a + "@0");
        assertThat(log.stat(f).size()).isEqualTo(1000);
        assertThat(log.stat(f).allocatedBytes()).isEqualTo(30);
        log.done(size(f, 0));
        assertThat(log.view().unnamedSlices(5)).containsExactly(a);
        log.refused(size(f, -1), Errno.EINVAL);
        log.refused(size(ROOT, 5), Errno.EISDIR);
    }

    private static Command size(InodeId inode, long size) {
        return new Command.SetAttributes(inode, null, null, null, size, null, null, false);
    }

    @Test
    void extendedAttributesHaveTheirLimits() {
        InodeId f = log.file(ROOT, "f");
        byte[] name = "user.a".getBytes(StandardCharsets.US_ASCII);
        log.refused(new Command.SetXattr(f, new byte[0], name, Command.XattrMode.ANY), Errno.ERANGE);
        log.refused(new Command.SetXattr(f, new byte[256], name, Command.XattrMode.ANY), Errno.ERANGE);
        log.refused(new Command.SetXattr(f, name, new byte[65_537], Command.XattrMode.ANY), Errno.E2BIG);
        log.refused(new Command.SetXattr(f, name, name, Command.XattrMode.REPLACE), Errno.ENODATA);
        log.done(new Command.SetXattr(f, name, new byte[65_536], Command.XattrMode.CREATE));
        log.refused(new Command.SetXattr(f, name, name, Command.XattrMode.CREATE), Errno.EEXIST);
        log.done(new Command.SetXattr(f, name, new byte[0], Command.XattrMode.REPLACE));
        assertThat(log.view().xattr(f, name)).isEmpty();
        assertThat(log.view().xattrNames(f)).containsExactly(name);
        log.done(new Command.RemoveXattr(f, name));
        log.refused(new Command.RemoveXattr(f, name), Errno.ENODATA);
        for (int i = 0; i < 256; i++) {
            byte[] full = new byte[255];
            Arrays.fill(full, (byte) 'n');
            full[0] = (byte) (1 + i % 255);
            full[1] = (byte) (1 + i / 255);
            var command = new Command.SetXattr(f, full, new byte[0], Command.XattrMode.ANY);
            if (i * 256 + 256 <= 65_536) log.done(command);
            else log.refused(command, Errno.ENOSPC);
        }
    }

    // ---- bytes

    @Test
    void commitsAreRefusedWhole() {
        InodeId f = log.file(ROOT, "f");
        SliceId known = log.write(f, 0, 10, 1, POD1);
        SliceId fresh = log.slice();
        var introduced = List.of(new Command.NewSlice(fresh, 10, List.of(POD1)));
        log.refused(write(f, introduced, new Extent(0, 11, fresh, 0)), Errno.EINVAL);
        log.refused(write(f, introduced, new Extent(0, 5, fresh, 6)), Errno.EINVAL);
        log.refused(write(f, introduced, new Extent(5, 5, fresh, 0), new Extent(0, 5, fresh, 0)), Errno.EINVAL);
        log.refused(write(f, introduced, new Extent(0, 5, fresh, 0), new Extent(4, 5, fresh, 0)), Errno.EINVAL);
        log.refused(write(f, List.of(), new Extent(0, 5, fresh, 0)), Errno.ESTALE);
        log.refused(write(f, List.of(new Command.NewSlice(known, 9, List.of()))), Errno.EINVAL);
        log.refused(write(new InodeId(99), List.of()), Errno.ENOENT);
        log.refused(write(ROOT, List.of()), Errno.EISDIR);
        var strange = new SliceId(Ids.of(55, 1));
        log.refused(write(f, List.of(new Command.NewSlice(strange, 9, List.of()))), Errno.ESTALE);
        assertThat(log.view().slice(fresh)).isNull();
        assertThat(log.extents(f)).containsExactly("0+10=" + known + "@0");
    }

    private static Command write(InodeId inode, List<Command.NewSlice> slices, Extent... extents) {
        return new Command.Write(inode, 0, slices, List.of(extents), 0, 5, 1, false);
    }

    @Test
    void appendsNeverOverlap() {
        InodeId f = log.file(ROOT, "f");
        SliceId a = log.slice();
        SliceId b = log.slice();
        var appendA = new Command.Append(
                f, List.of(new Command.NewSlice(a, 10, List.of(POD1))), List.of(new Extent(0, 10, a, 0)), 5, 2, false);
        var appendB = new Command.Append(
                f, List.of(new Command.NewSlice(b, 10, List.of(POD1))), List.of(new Extent(0, 10, b, 0)), 5, 2, false);
        log.done(size(f, 100));
        assertThat(log.batch(List.of(appendA, appendB)).outcomes())
                .containsExactly(new Outcome.Done(100), new Outcome.Done(110));
        assertThat(log.extents(f)).containsExactly("100+10=" + a + "@0", "110+10=" + b + "@0");
        log.done(size(f, Long.MAX_VALUE));
        log.refused(appendA, Errno.EFBIG);
    }

    @Test
    void ofASliceThatIsKnownACommitNamesNobodyButItsWriter() {
        Incarnation pod2 = log.admit("pod2");
        InodeId f = log.file(ROOT, "f");
        SliceId slice = log.slice();
        log.done(write(f, List.of(new Command.NewSlice(slice, 10, List.of(pod2))), new Extent(0, 10, slice, 0)));
        log.done(new Command.AddHolders(POD1, HolderState.DURABLE, List.of(slice)));
        log.done(new Command.DropHolder(slice, pod2, List.of(POD1)));
        // the same commit once more: pod2 has deleted it by now
        log.done(write(f, List.of(new Command.NewSlice(slice, 10, List.of(POD1, pod2))), new Extent(0, 10, slice, 0)));
        assertThat(log.view().slice(slice).heldBy(pod2)).isFalse();
        assertThat(log.view().slice(slice).heldBy(POD1)).isTrue();
    }

    @Test
    void whatAnUnsafeCommitDisplacedIsKeptUntilItIsSafe() {
        Incarnation pod2 = log.admit("pod2");
        InodeId f = log.file(ROOT, "f");
        SliceId old = log.write(f, 0, 100, 2, POD1, pod2);
        assertThat(log.last.changes()).contains(new Change.HoldersChanged(List.of(old)));
        SliceId fresh = log.write(f, 0, 100, 2, POD1);
        assertThat(log.last.changes()).contains(new Change.HoldersChanged(List.of(fresh))); // pod2 may have it already
        assertThat(log.view().unnamedSlices(5)).isEmpty();
        log.done(new Command.AddHolders(pod2, HolderState.WRITTEN, List.of(fresh)));
        assertThat(log.view().unnamedSlices(5)).isEmpty();
        log.done(new Command.AddHolders(pod2, HolderState.DURABLE, List.of(fresh)));
        assertThat(log.view().unnamedSlices(5)).containsExactly(old);
    }

    @Test
    void aFileGoesBackWhenItsNewBytesAreLost() {
        Incarnation pod2 = log.admit("pod2");
        InodeId f = log.file(ROOT, "f");
        SliceId old = log.write(f, 0, 100, 2, POD1, pod2);
        SliceId fresh = log.write(f, 20, 30, 2, pod2);
        long content = log.stat(f).content();
        log.done(new Command.LoseHolder(pod2, List.of(fresh)));
        assertThat(log.last.changes()).contains(new Change.InodeChanged(f, true));
        assertThat(log.stat(f).content()).isGreaterThan(content);
        assertThat(log.extents(f))
                .containsExactly("0+20=" + old + "@0", "20+30=" + old + "@20", "50+50=" + old + "@50");
        assertThat(log.view().unnamedSlices(5)).containsExactly(fresh);
    }

    @Test
    void aFileGoesBackWhenThePodWithItsNewBytesIsRemoved() {
        Incarnation pod2 = log.admit("pod2");
        InodeId f = log.file(ROOT, "f");
        SliceId old = log.write(f, 0, 100, 2, POD1);
        SliceId fresh = log.write(f, 0, 100, 2, pod2);
        log.refused(new Command.RemovePod(pod2, false), Errno.EBUSY);
        log.done(new Command.RemovePod(pod2, true));
        assertThat(log.extents(f)).containsExactly("0+100=" + old + "@0");
        assertThat(log.record(fresh).holders()).isEmpty();
        assertThat(log.view().pod(pod2)).isNull();
    }

    @Test
    void bytesWithoutAPredecessorStayLostRatherThanBecomeZeros() {
        InodeId f = log.file(ROOT, "f");
        log.write(f, 0, 10, 1, POD1);
        SliceId fresh = log.write(f, 5, 20, 2, POD1);
        log.done(new Command.LoseHolder(POD1, List.of(fresh)));
        assertThat(log.extents(f)).contains("10+15=" + fresh + "@5");
    }

    @Test
    void aChainOfUnsafeCommitsGoesBackStepByStep() {
        Incarnation pod2 = log.admit("pod2");
        Incarnation pod3 = log.admit("pod3");
        InodeId f = log.file(ROOT, "f");
        SliceId one = log.write(f, 0, 100, 1, POD1);
        SliceId two = log.write(f, 0, 100, 2, pod2);
        SliceId three = log.write(f, 0, 100, 2, pod3);
        log.done(new Command.LoseHolder(pod2, List.of(two)));
        assertThat(log.extents(f)).containsExactly("0+100=" + three + "@0");
        log.done(new Command.LoseHolder(pod3, List.of(three)));
        assertThat(log.extents(f)).containsExactly("0+100=" + one + "@0");
    }

    // ---- the prompt set

    private boolean prompt(Incarnation pod) {
        return java.util.Objects.requireNonNull(log.view().pod(pod)).prompt();
    }

    private Applied setPrompt(Incarnation pod, long startCount, boolean prompt) {
        return log.apply(Entry.withoutSession(1, log.nanos, List.of(new Command.SetPrompt(pod, startCount, prompt))));
    }

    @Test
    void aPodIsPromptUntilItIsTakenOutIsAbsentOrStartsAnew() {
        Incarnation pod2 = log.admit("pod2");
        log.open(pod2, 1, 0);
        log.refused(new Command.SetPrompt(pod2, 1, true), Errno.EINVAL); // a session would send it again
        assertThat(setPrompt(pod2, 2, true).outcomes()).containsExactly(new Outcome.Refused(Errno.ESTALE));
        assertThat(prompt(pod2)).isFalse();
        assertThat(setPrompt(pod2, 1, true).changes()).contains(new Change.PodsChanged());
        assertThat(prompt(pod2)).isTrue();
        log.done(new Command.SetAbsent(pod2, true));
        assertThat(prompt(pod2)).isFalse();
        setPrompt(pod2, 1, true);
        assertThat(prompt(pod2)).as("nobody waits for who is absent").isFalse();
        log.done(new Command.SetAbsent(pod2, false));
        setPrompt(pod2, 1, true);
        log.open(pod2, 2, 0);
        assertThat(prompt(pod2)).as("another start").isFalse();
        setPrompt(pod2, 2, true);
        setPrompt(pod2, 0, false);
        assertThat(prompt(pod2)).isFalse();
    }

    // ---- holders and the end of slices

    @Test
    void theLastCopiesCannotBeDroppedByTwo() {
        Incarnation pod2 = log.admit("pod2");
        Incarnation pod3 = log.admit("pod3");
        InodeId f = log.file(ROOT, "f");
        SliceId s = log.write(f, 0, 100, 2, POD1, pod2, pod3);
        log.refused(new Command.DropHolder(s, pod3, List.of()), Errno.EBUSY);
        log.refused(new Command.DropHolder(s, pod3, List.of(pod3)), Errno.EBUSY);
        log.refused(new Command.DropHolder(s, pod3, List.of(POD1, POD1)), Errno.EBUSY);
        log.done(new Command.DropHolder(s, pod3, List.of(POD1, pod2)));
        log.refused(new Command.DropHolder(s, POD1, List.of(pod2, pod3)), Errno.EBUSY);
        log.done(new Command.SetAbsent(pod2, true));
        log.refused(new Command.DropHolder(s, POD1, List.of(pod2)), Errno.EBUSY);
        log.done(new Command.SetAbsent(pod2, false));
        log.done(new Command.SetDraining(pod2, true));
        log.refused(new Command.DropHolder(s, POD1, List.of(pod2)), Errno.EBUSY);
        log.done(size(f, 0));
        log.done(new Command.DropHolder(s, POD1, List.of()));
        assertThat(log.record(s).holders())
                .extracting(SliceRecord.Holder::incarnation)
                .containsExactly(pod2);
    }

    @Test
    void whatWasDiscardedOrAbandonedNeverComesBack() {
        InodeId f = log.file(ROOT, "f");
        SliceId s = log.write(f, 0, 10, 1, POD1);
        assertThat(log.done(new Command.Discard(List.of(s)))).isZero();
        log.done(size(f, 0));
        assertThat(log.done(new Command.Discard(List.of(s)))).isEqualTo(1);
        assertThat(log.last.changes()).contains(new Change.SlicesDiscarded(List.of(s)));
        log.refused(TestLog.writing(f, s, 0, 10, 1, POD1), Errno.ESTALE);
        assertThat(log.done(new Command.AddHolders(POD1, HolderState.DURABLE, List.of(s))))
                .isZero();
        SliceId given = log.slice();
        log.done(new Command.Abandon(List.of(given)));
        assertThat(log.last.changes()).contains(new Change.SlicesDiscarded(List.of(given)));
        log.refused(TestLog.writing(f, given, 0, 10, 1, POD1), Errno.ESTALE);
        SliceId used = log.write(f, 0, 10, 1, POD1);
        log.done(new Command.Abandon(List.of(used)));
        assertThat(log.extents(f)).hasSize(1);
    }

    @Test
    void aRestartSettlesTheIdsBelowItsMark() {
        InodeId f = log.file(ROOT, "f");
        SliceId named = log.write(f, 0, 10, 1, POD1);
        SliceId given = log.slice();
        SliceId inFlight = log.slice();
        log.done(new Command.Abandon(List.of(given)));
        SliceId later = new SliceId(Ids.of(1, 5_000));
        log.session = log.open(POD1, 2, 4_096);
        log.sequence = 0;
        log.refused(TestLog.writing(f, inFlight, 0, 10, 1, POD1), Errno.ESTALE);
        log.refused(TestLog.writing(f, given, 0, 10, 1, POD1), Errno.ESTALE);
        log.done(TestLog.writing(f, later, 0, 10, 1, POD1));
        log.done(write(f, List.of(), new Extent(50, 10, named, 0)));
        try (Table.Scan dead = log.table.scan(Keys.table(Keys.DEAD), Keys.after(Keys.table(Keys.DEAD)))) {
            assertThat(dead.next()).isFalse();
        }
    }

    // ---- orphans

    @Test
    void anOrphanStaysWhileItIsHeldOrNotAcknowledged() {
        Incarnation pod2 = log.admit("pod2");
        InodeId f = log.file(ROOT, "f");
        SliceId s = log.write(f, 0, 10, 1, POD1);
        log.done(new Command.Unlink(ROOT, name("f"), f));
        long orphaned = log.index;
        var reap = new Command.Reap(List.of(f));
        log.done(new Command.Hold(f, pod2));
        log.done(new Command.AcknowledgeOrphans(POD1, log.index));
        log.done(new Command.AcknowledgeOrphans(pod2, log.index));
        assertThat(log.done(reap)).isZero();
        assertThat(log.view().orphans(null, 5)).containsExactly(new NamespaceView.Orphan(f, orphaned, List.of(pod2)));
        assertThat(log.extents(f)).containsExactly("0+10=" + s + "@0");
        log.write(f, 10, 10, 1, POD1);
        log.done(new Command.Release(f, pod2));
        InodeId g = log.file(ROOT, "g");
        log.done(new Command.Unlink(ROOT, name("g"), g));
        log.done(new Command.AcknowledgeOrphans(POD1, Long.MAX_VALUE));
        assertThat(log.done(new Command.Reap(List.of(f, g)))).isEqualTo(1);
        assertThat(log.last.changes()).contains(new Change.Reaped(f));
        log.done(new Command.SetAbsent(pod2, true));
        assertThat(log.done(new Command.Reap(List.of(g)))).isEqualTo(1);
        assertThat(log.view().unnamedSlices(5)).hasSize(2);
        log.refused(new Command.Hold(f, pod2), Errno.ENOENT);
    }

    @Test
    void aRestartEndsHolds() {
        Incarnation pod2 = log.admit("pod2");
        log.open(pod2, 1, 0);
        InodeId f = log.id();
        log.done(new Command.CreateOrphan(f, 0600, 1, 1, pod2));
        log.done(new Command.AcknowledgeOrphans(POD1, log.index));
        log.done(new Command.AcknowledgeOrphans(pod2, log.index));
        assertThat(log.done(new Command.Reap(List.of(f)))).isZero();
        log.open(pod2, 2, 0);
        assertThat(log.done(new Command.Reap(List.of(f)))).isEqualTo(1);
    }

    @Test
    void aTemporaryFileGetsANameAndIsAnOrphanNoMore() {
        InodeId f = log.id();
        log.done(new Command.CreateOrphan(f, 0600, 1, 1, POD1));
        assertThat(log.stat(f).links()).isZero();
        log.done(new Command.Link(f, ROOT, name("f")));
        assertThat(log.stat(f).links()).isEqualTo(1);
        assertThat(log.view().orphans(null, 5)).isEmpty();
        log.done(new Command.AcknowledgeOrphans(POD1, log.index));
        assertThat(log.done(new Command.Reap(List.of(f)))).isZero();
    }

    @Test
    void aHugeOrphanGoesInSeveralSteps() {
        InodeId f = log.file(ROOT, "f");
        SliceId s = log.write(f, 0, 1, 1, POD1);
        for (int batch = 0; batch < 10; batch++) {
            var extents = new java.util.ArrayList<Extent>();
            for (int i = 0; i < 10_000; i++) extents.add(new Extent((batch * 10_000 + i) * 2L + 2, 1, s, 0));
            log.done(new Command.Write(f, 0, List.of(), extents, 0, 5, 1, false));
        }
        log.done(new Command.Unlink(ROOT, name("f"), f));
        log.done(new Command.AcknowledgeOrphans(POD1, log.index));
        assertThat(log.done(new Command.Reap(List.of(f)))).isZero();
        log.check();
        assertThat(log.done(new Command.Reap(List.of(f)))).isEqualTo(1);
        assertThat(log.view().unnamedSlices(5)).containsExactly(s);
    }

    // ---- pods, sessions, versions

    @Test
    void allocatorsAreGrantedOnceAndForAStoreOnlyOne() {
        assertThat(log.admit("pod1")).isEqualTo(POD1);
        Incarnation pod2 = log.admit("pod2");
        assertThat(pod2.number()).isEqualTo(2);
        var settings = new PodSettings("pod2", PodSettings.Role.STORAGE, false, "", List.of(), 0);
        log.refused(new Command.AdmitPod(999, settings), Errno.EEXIST);
        log.refused(new Command.UpdatePod(POD1, settings), Errno.EEXIST);
        log.done(new Command.RemovePod(pod2, false));
        log.refused(new Command.AdmitPod("pod2".hashCode() * 31L + 7, settings), Errno.ESTALE);
        assertThat(log.done(new Command.AdmitPod(999, settings))).isEqualTo(3);
        var bad = new PodSettings("Pod 4", PodSettings.Role.STORAGE, false, "", List.of(), 0);
        log.refused(new Command.AdmitPod(1000, bad), Errno.EINVAL);
        assertThat(log.view().pods())
                .extracting(pod -> pod.incarnation().number())
                .containsExactly(1, 3);
    }

    @Test
    void batchesRunOnceAndInOrder() {
        Command first = TestLog.creation(ROOT, "a", log.id(), FileType.DIRECTORY);
        Entry one = Entry.of(1, log.session, 1, 1, log.nanos, List.of(first, first));
        Entry two = Entry.of(1, log.session, 2, 1, log.nanos, List.of());
        assertThat(log.apply(two).status()).isEqualTo(Applied.Status.GAP);
        Applied fresh = log.apply(one);
        assertThat(fresh.outcomes()).containsExactly(new Outcome.Done(0), new Outcome.Refused(Errno.EEXIST));
        Applied repeat = log.apply(one);
        assertThat(repeat.status()).isEqualTo(Applied.Status.REPEAT);
        assertThat(repeat.outcomes()).isEqualTo(fresh.outcomes());
        assertThat(repeat.changes()).isEmpty();
        assertThat(log.apply(two).status()).isEqualTo(Applied.Status.FRESH);
        assertThat(log.namespace.answered(log.session, 1)).isEqualTo(fresh.outcomes());
        assertThat(log.namespace.lastSequence(log.session)).isEqualTo(2);
        assertThat(log.apply(Entry.of(1, log.session, 3, 3, log.nanos, List.of()))
                        .status())
                .isEqualTo(Applied.Status.FRESH);
        assertThat(log.namespace.answered(log.session, 1)).isNull();
        assertThat(log.apply(one).outcomes()).isEmpty();
        log.sequence = 3;
        for (int i = 0; i < 40; i++) log.apply(Entry.of(1, log.session, ++log.sequence, 3, log.nanos, List.of()));
        assertThat(log.namespace.answered(log.session, log.sequence - 15)).isEmpty();
        assertThat(log.namespace.answered(log.session, log.sequence - 16)).isNull();
    }

    @Test
    void aSessionEndsWithTheNextStart() {
        SessionId old = log.session;
        log.session = log.open(POD1, 2, 0);
        assertThat(log.apply(Entry.of(1, old, 1, 1, 1, List.of())).status()).isEqualTo(Applied.Status.NO_SESSION);
        assertThat(log.apply(Entry.of(2, log.session, 1, 1, 1, List.of())).status())
                .isEqualTo(Applied.Status.WRONG_GENERATION);
        var alone = Entry.withoutSession(1, 1, List.of(TestLog.creation(ROOT, "x", log.id(), FileType.REGULAR)));
        assertThat(log.apply(alone).status()).isEqualTo(Applied.Status.NO_SESSION);
        assertThat(log.view().lookup(ROOT, name("x"))).isNull();
        log.sequence = 0;
        log.refused(new Command.OpenSession(POD1, 1, 0), Errno.ESTALE);
        log.done(new Command.OpenSession(POD1, 2, 0));
        log.file(ROOT, "still-open");
    }

    @Test
    void aRestoredStoreGetsNoSession() {
        log.session = log.open(POD1, 3, 8_192);
        log.sequence = 0;
        log.file(ROOT, "f");
        // Images from before this start, opened again once or more often than the store itself was.
        log.refused(new Command.OpenSession(POD1, 2, 8_192), Errno.ESTALE);
        log.refused(new Command.OpenSession(POD1, 3, 4_096), Errno.EEXIST);
        log.refused(new Command.OpenSession(POD1, 3, 12_288), Errno.EEXIST);
        log.refused(new Command.OpenSession(POD1, 4, 8_191), Errno.EEXIST);
        log.refused(new Command.OpenSession(POD1, Long.MAX_VALUE, 0), Errno.EEXIST);
        var record = Objects.requireNonNull(log.view().pod(POD1));
        assertThat(record.startCount()).isEqualTo(3);
        assertThat(record.settledCounter()).isEqualTo(8_192);
        // The store that was there first goes on, with its holds and its batches.
        assertThat(log.namespace.lastSequence(log.session)).isEqualTo(log.sequence);
        assertThat(log.namespace.lastSequence(new SessionId(POD1, 4))).isEqualTo(-1);
        log.file(ROOT, "g");
    }

    @Test
    void aRefusedOpenLeavesHoldsAndUnwrittenIdsAlone() {
        log.session = log.open(POD1, 2, 100);
        log.sequence = 0;
        InodeId f = log.file(ROOT, "f");
        log.done(new Command.Unlink(ROOT, name("f"), f));
        log.done(new Command.Hold(f, POD1));
        log.refused(new Command.OpenSession(POD1, 3, 99), Errno.EEXIST);
        log.refused(new Command.OpenSession(POD1, 2, 1L << 30), Errno.EEXIST);
        assertThat(log.view().orphans(null, 10))
                .extracting(orphan -> orphan.holders().size())
                .containsExactly(1);
        // Its counter is below the refused mark, and it is not dead.
        InodeId g = log.file(ROOT, "g");
        log.write(g, 0, 100, 1, POD1);
    }

    @Test
    void openingAgainWithTheSameNumbersDoesNothing() {
        log.session = log.open(POD1, 2, 500);
        log.sequence = 0;
        log.file(ROOT, "f");
        long last = log.namespace.lastSequence(log.session);
        assertThat(log.open(POD1, 2, 500)).isEqualTo(log.session);
        assertThat(log.last.changes()).isEmpty();
        // What the pod of an image that repeats this start sees before its first batch.
        assertThat(log.namespace.lastSequence(log.session)).isEqualTo(last).isPositive();
        log.file(ROOT, "g");
        // A mark that stands still is not below the recorded one.
        log.session = log.open(POD1, 3, 500);
        log.sequence = 0;
        assertThat(log.namespace.lastSequence(log.session)).isZero();
        log.file(ROOT, "h");
    }

    @Test
    void whatWasAppliedIsSkippedWhenTheLogIsReplayed() {
        InodeId f = log.file(ROOT, "f");
        log.done(new Command.Unlink(ROOT, name("f"), f));
        long digest = log.namespace.digest();
        log.namespace = new Namespace(log.table);
        for (int i = 0; i < log.entries.size(); i++)
            assertThat(log.namespace.apply(i + 1, log.entries.get(i)).status()).isEqualTo(Applied.Status.SKIPPED);
        assertThat(log.namespace.digest()).isEqualTo(digest);
        log.namespace.applyEmpty(log.index);
        assertThat(log.view().appliedIndex()).isEqualTo(log.index);
        log.namespace.applyEmpty(++log.index);
        assertThat(log.view().appliedIndex()).isEqualTo(log.index);
        assertThat(log.namespace.digest()).isEqualTo(digest);
    }

    @Test
    void aDifferentDigestIsTold() {
        log.file(ROOT, "f");
        long digest = log.namespace.digest();
        long at = log.index;
        log.file(ROOT, "g");
        assertThat(log.batch(List.of(new Command.Digest(at, digest))).diverged())
                .isFalse();
        assertThat(log.batch(List.of(new Command.Digest(at, digest + 1))).diverged())
                .isTrue();
        assertThat(log.batch(List.of(new Command.Digest(at - 10_000, digest))).diverged())
                .isFalse();
        assertThat(log.batch(List.of(new Command.Digest(Long.MIN_VALUE, digest)))
                        .diverged())
                .isFalse();
    }

    @Test
    void anUnknownCommandStopsThePodAndLeavesTheState() {
        byte[] bytes =
                Entry.of(1, log.session, 1, 1, 1, List.of(new Command.Tick(5))).encode();
        bytes[79] = 99;
        EntryTest.mend(bytes);
        long digest = log.namespace.digest();
        assertThatThrownBy(() -> log.namespace.apply(log.index + 1, bytes))
                .isInstanceOf(UnknownCommandException.class)
                .hasMessageContaining("unknown command 99");
        byte[] newer =
                Entry.of(1, log.session, 1, 1, 1, List.of(new Command.Tick(5))).encode();
        newer[7] = 2;
        EntryTest.mend(newer);
        assertThatThrownBy(() -> log.namespace.apply(log.index + 1, newer)).isInstanceOf(UnknownCommandException.class);
        assertThat(log.namespace.digest()).isEqualTo(digest);
        assertThat(log.view().appliedIndex()).isEqualTo(log.index);
    }

    @Test
    void levelsTimeAndConfiguration() {
        log.refused(new Command.RaiseLevel(2), Errno.EINVAL);
        log.refused(new Command.RaiseLevel(1), Errno.EINVAL);
        assertThat(log.view().level()).isEqualTo(1);
        log.done(new Command.Tick(5));
        log.done(new Command.Tick(7));
        log.refused(new Command.Tick(-1), Errno.EINVAL);
        assertThat(log.namespace.elapsedNanos()).isEqualTo(12);
        assertThat(log.view().configuration()).isEqualTo(new NamespaceView.Configuration(0, ""));
        log.refused(new Command.Configure(1, "x"), Errno.ESTALE);
        assertThat(log.done(new Command.Configure(0, "a = \"\u00e9\""))).isEqualTo(1);
        assertThat(log.last.changes()).containsExactly(new Change.Configured());
        log.refused(new Command.Configure(0, "y"), Errno.ESTALE);
        assertThat(log.view().configuration()).isEqualTo(new NamespaceView.Configuration(1, "a = \"\u00e9\""));
        log.namespace = new Namespace(log.table);
        assertThat(log.view().configuration().version()).isEqualTo(1);
        assertThat(log.namespace.elapsedNanos()).isEqualTo(12);
    }

    @Test
    void aSnapshotReplacesEverything() {
        InodeId f = log.file(ROOT, "f");
        assertThat(log.view().lookup(ROOT, name("f"))).isEqualTo(f);
        assertThat(log.stat(f).links()).isEqualTo(1);
        var other = new TestLog();
        other.admit("pod2");
        InodeId g = other.file(ROOT, "g");
        ((MemoryTable) log.table).replaceWith(other.table);
        assertThat(log.namespace.reload()).containsExactly(new Change.Replaced());
        assertThat(log.view().lookup(ROOT, name("f"))).isNull();
        assertThat(log.view().lookup(ROOT, name("g"))).isEqualTo(g);
        assertThat(log.view().pods()).hasSize(2);
        assertThat(log.view().appliedIndex()).isEqualTo(other.index);
        assertThat(log.namespace.digest()).isEqualTo(other.namespace.digest());
    }
}
