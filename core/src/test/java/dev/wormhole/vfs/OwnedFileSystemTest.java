// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static dev.wormhole.vfs.Program.ok;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Acl;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeId;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** One pod on which the numbers are the network's, one on whose machine they are not. */
@Timeout(60)
class OwnedFileSystemTest {
    private static final int ME = 1000, MINE = 4242, OTHER = 2001;
    private static final FileSystem.Caller ROOT = new FileSystem.Caller(0, 0, 1, 0);
    private static final FileSystem.Caller USER = new FileSystem.Caller(ME, ME, 1, 0);

    private SimulatedNetwork network;
    /** As in the network. */
    private FileSystem plain;

    private FileSystem below;

    @BeforeEach
    void start() throws Exception {
        network = new SimulatedNetwork();
        plain = network.add().files();
        below = network.add().files();
        ok(plain.setAttributes(InodeId.ROOT, 0, changes(0777, 0, 0, null)));
    }

    @AfterEach
    void stop() throws Exception {
        network.close();
    }

    private FileSystem me(boolean root) {
        return new OwnedFileSystem(below, Owners.one(ME, ME, MINE, MINE, root));
    }

    /** The users 1000 and 1001 of this machine are 4242 and 4243; the group 50 is 60. */
    private FileSystem names() {
        return new OwnedFileSystem(below, Owners.named(Map.of(ME, MINE, 1001, 4243), Map.of(50, 60), false));
    }

    private static FileSystem.Changes changes(Integer permissions, Integer uid, Integer gid, Long size) {
        return new FileSystem.Changes(permissions, uid, gid, size, null, null, false, false);
    }

    /** Made by the network's root for somebody. */
    private InodeId given(String name, int uid, int gid, int permissions) throws Exception {
        var made = ok(plain.create(ROOT, InodeId.ROOT, FileName.of(name), 0600, Program.O_RDWR | Program.O_CREAT));
        var inode = made.entry().attributes().inode();
        plain.write(made.opened().handle(), 0, ByteBuffer.wrap("secret".getBytes(UTF_8)), 0);
        ok(plain.flush(made.opened().handle()));
        plain.release(made.opened().handle());
        ok(plain.setAttributes(inode, 0, changes(null, uid, gid, null)));
        ok(plain.setAttributes(inode, 0, changes(permissions, null, null, null)));
        network.settle();
        return inode;
    }

    private static InodeId make(FileSystem files, FileSystem.Caller caller, String name, int permissions)
            throws Exception {
        var made = ok(
                files.create(caller, InodeId.ROOT, FileName.of(name), permissions, Program.O_RDWR | Program.O_CREAT));
        ok(files.flush(made.opened().handle()));
        files.release(made.opened().handle());
        return made.entry().attributes().inode();
    }

    private Attributes in(FileSystem files, InodeId inode) throws Exception {
        network.settle();
        return ok(files.attributes(inode, 0)).attributes();
    }

    private static <T> void refusedWith(Errno errno, Program.Operation<T> operation) {
        assertThatThrownBy(() -> ok(operation.run()))
                .isInstanceOf(Program.RefusedException.class)
                .hasMessage(errno.toString());
    }

    // ---- one user

    @Test
    void everythingIsOneUsersAndWhatHeMakesIsOneOfTheNetwork() throws Exception {
        var files = me(false);
        var theirs = given("theirs", OTHER, 2002, 0640);
        assertThat(in(files, theirs).uid()).isEqualTo(ME);
        assertThat(in(files, theirs).gid()).isEqualTo(ME);
        assertThat(ok(files.lookup(InodeId.ROOT, FileName.of("theirs")))
                        .attributes()
                        .uid())
                .isEqualTo(ME);

        var mine = make(files, USER, "mine", 0644);
        assertThat(in(plain, mine).uid()).isEqualTo(MINE);
        assertThat(in(plain, mine).gid()).isEqualTo(MINE);
        assertThat(in(files, mine).uid()).isEqualTo(ME);

        // To give it to whom it is shown to belong to changes nothing; to anybody else is refused.
        ok(files.setAttributes(theirs, 0, changes(0600, ME, ME, null)));
        assertThat(in(plain, theirs).uid()).isEqualTo(OTHER);
        assertThat(in(plain, theirs).permissions()).isEqualTo(0600);
        refusedWith(Errno.EPERM, () -> files.setAttributes(theirs, 0, changes(null, 1234, null, null)));
        refusedWith(Errno.EPERM, () -> files.setAttributes(theirs, 0, changes(null, 0, null, null)));
        assertThat(in(plain, theirs).uid()).isEqualTo(OTHER);

        var listed = new ArrayList<Integer>();
        var open = ok(files.openDirectory(InodeId.ROOT));
        ok(files.list(open.handle(), 0, true, entry -> {
            if (entry.entry() != null) listed.add(entry.entry().attributes().uid());
            return true;
        }));
        assertThat(listed).containsOnly(ME).hasSize(2);
    }

    @Test
    void rootOfThisMachineIsNotRootInTheNetwork() throws Exception {
        var files = me(false);
        var secret = given("secret", 0, 0, 0600);
        assertThat(in(files, secret).uid()).isEqualTo(Owners.NOBODY);
        assertThat(in(files, secret).gid()).isEqualTo(Owners.NOBODY);
        // The kernel lets its root through to here whatever the permissions are.
        refusedWith(Errno.EACCES, () -> files.open(secret, 0));
        refusedWith(Errno.EACCES, () -> files.open(secret, Program.O_RDWR));
        refusedWith(Errno.EACCES, () -> files.create(ROOT, InodeId.ROOT, FileName.of("secret"), 0600, Program.O_RDWR));
        refusedWith(Errno.EACCES, () -> files.setAttributes(secret, 0, changes(null, null, null, 0L)));
        refusedWith(Errno.EPERM, () -> files.setAttributes(secret, 0, changes(0666, null, null, null)));
        refusedWith(Errno.EPERM, () -> files.setAttributes(secret, 0, changes(null, ME, null, null)));
        refusedWith(Errno.EPERM, () -> files.setAcl(secret, false, list(ME), false));
        refusedWith(Errno.EPERM, () -> files.setFlags(secret, 0));
        refusedWith(Errno.EPERM, () -> files.link(secret, InodeId.ROOT, FileName.of("kept")));
        assertThat(in(plain, secret).permissions()).isEqualTo(0600);
        assertThat(in(plain, secret).size()).isEqualTo(6);

        // What it makes itself is nobody's, and runs as nobody else.
        var made = make(files, ROOT, "made", 06755);
        assertThat(in(plain, made).uid()).isEqualTo(Owners.NOBODY);
        assertThat(in(plain, made).permissions()).isEqualTo(0755);
        refusedWith(
                Errno.EPERM,
                () -> files.make(
                        ROOT, InodeId.ROOT, FileName.of("disk"), FileType.BLOCK_DEVICE, 0666, 0x801, new byte[0]));
    }

    @Test
    void rootsFoldersAreOpenAsFarAsTheirPermissionsForOthersGo() throws Exception {
        var files = me(false);
        var readable = given("readable", 0, 0, 0644);
        ok(files.open(readable, 0));
        refusedWith(Errno.EACCES, () -> files.open(readable, Program.O_RDWR));
        var folder = ok(plain.make(ROOT, InodeId.ROOT, FileName.of("etc"), FileType.DIRECTORY, 0755, 0, new byte[0]))
                .attributes()
                .inode();
        ok(plain.create(ROOT, folder, FileName.of("passwd"), 0644, Program.O_RDWR | Program.O_CREAT));
        network.settle();
        ok(files.openDirectory(folder));
        refusedWith(Errno.EACCES, () -> files.create(ROOT, folder, FileName.of("x"), 0644, Program.O_RDWR));
        refusedWith(Errno.EACCES, () -> files.unlink(folder, FileName.of("passwd")));
        refusedWith(
                Errno.EACCES,
                () -> files.rename(
                        folder,
                        FileName.of("passwd"),
                        InodeId.ROOT,
                        FileName.of("taken"),
                        dev.wormhole.namespace.Command.RenameMode.REPLACE));
        // A folder for all with the sticky bit: root's names stay root's.
        ok(plain.setAttributes(folder, 0, changes(01777, null, null, null)));
        network.settle();
        refusedWith(Errno.EACCES, () -> files.unlink(folder, FileName.of("passwd")));
        ok(files.create(USER, folder, FileName.of("mine"), 0644, Program.O_RDWR | Program.O_CREAT));
        ok(files.unlink(folder, FileName.of("mine")));
        ok(plain.setAttributes(folder, 0, changes(0700, null, null, null)));
        network.settle();
        refusedWith(Errno.EACCES, () -> files.openDirectory(folder));
        refusedWith(Errno.EACCES, () -> files.lookup(folder, FileName.of("passwd")));
    }

    @Test
    void rootMayBeDeclared() throws Exception {
        var files = me(true);
        var secret = given("secret", 0, 0, 0600);
        assertThat(in(files, secret).uid()).isEqualTo(ME);
        ok(files.setAttributes(secret, 0, changes(0644, null, null, null)));
        assertThat(in(plain, secret).permissions()).isEqualTo(0644);
        var whole = new OwnedFileSystem(below, Owners.one(ME, ME, 0, 0, true));
        assertThat(in(plain, make(whole, USER, "new", 0644)).uid()).isZero();
        assertThatThrownBy(() -> Owners.one(ME, ME, 0, MINE, false)).isInstanceOf(IllegalArgumentException.class);
    }

    // ---- users by name

    @Test
    void usersAreThemselvesOnMachinesWithOtherNumbers() throws Exception {
        var files = names();
        var mine = make(files, USER, "mine", 0644);
        assertThat(in(plain, mine).uid()).isEqualTo(MINE);
        assertThat(in(plain, mine).gid()).as("the group has no counterpart").isEqualTo(Owners.NOBODY);
        assertThat(in(files, given("of-4243", 4243, 60, 0640)).uid()).isEqualTo(1001);
        assertThat(in(files, given("of-group", OTHER, 60, 0640)).gid()).isEqualTo(50);
        var unknown = given("unknown", OTHER, 61, 0640);
        assertThat(in(files, unknown).uid()).isEqualTo(Owners.NOBODY);
        refusedWith(Errno.EACCES, () -> files.open(unknown, 0));
        ok(files.setAttributes(mine, 0, changes(null, 1001, 50, null)));
        assertThat(in(plain, mine).uid()).isEqualTo(4243);
        assertThat(in(plain, mine).gid()).isEqualTo(60);
        refusedWith(Errno.EPERM, () -> files.setAttributes(mine, 0, changes(null, 1002, null, null)));
        assertThat(in(plain, make(files, ROOT, "roots", 0644)).uid()).isEqualTo(Owners.NOBODY);
    }

    @Test
    void noTableNamesRootUnlessThatIsDeclared() {
        assertThatThrownBy(() -> Owners.named(Map.of(1000, 0), Map.of(), false))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> Owners.named(Map.of(0, 1000), Map.of(), false))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> Owners.named(Map.of(), Map.of(0, 7), false))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> Owners.named(Map.of(1, 7, 2, 7), Map.of(), false))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(Owners.named(Map.of(0, 0), Map.of(), true).userHere(0)).isZero();
    }

    // ---- access control lists

    /** The owner rw, some users r, the group nothing, a mask r, others nothing. */
    private static byte[] list(int... users) {
        var to = ByteBuffer.allocate(4 + 8 * (4 + users.length)).order(ByteOrder.LITTLE_ENDIAN);
        to.putInt(2);
        entry(to, 1, 6, -1);
        for (int user : users) entry(to, 2, 4, user);
        entry(to, 4, 0, -1);
        entry(to, 16, 4, -1);
        entry(to, 32, 0, -1);
        return to.array();
    }

    private static void entry(ByteBuffer to, int tag, int permissions, int id) {
        to.putShort((short) tag).putShort((short) permissions).putInt(id);
    }

    @Test
    void listsNameTheUsersOfThisMachineAndKeepThoseOfOthers() throws Exception {
        var files = names();
        var mine = make(files, USER, "mine", 0644);
        network.settle();
        ok(plain.setAcl(mine, false, list(OTHER, 4243), false));
        network.settle();
        assertThat(ok(files.xattr(mine, Acl.ACCESS))).isEqualTo(list(1001));
        ok(files.setAcl(mine, false, list(ME), false));
        network.settle();
        assertThat(ok(plain.xattr(mine, Acl.ACCESS))).isEqualTo(list(OTHER, MINE));
        refusedWith(Errno.EINVAL, () -> files.setAcl(mine, false, list(1005), false));
        refusedWith(Errno.EINVAL, () -> files.setAcl(mine, false, new byte[13], false));
    }
}
