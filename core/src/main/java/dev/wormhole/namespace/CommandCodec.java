// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Commands as bytes, see docs/formats/commands.md. A number is never given a second meaning. */
final class CommandCodec {
    private static final int CREATE = 1;
    private static final int CREATE_ORPHAN = 2;
    private static final int LINK = 3;
    private static final int UNLINK = 4;
    private static final int REMOVE_DIRECTORY = 5;
    private static final int RENAME = 6;
    private static final int SET_ATTRIBUTES = 7;
    private static final int SET_XATTR = 8;
    private static final int REMOVE_XATTR = 9;
    private static final int CREATE_MASKED = 10;
    private static final int CREATE_ORPHAN_IN = 11;
    private static final int SET_ACL = 12;
    private static final int SET_FLAGS = 13;
    private static final int WRITE = 20;
    private static final int APPEND = 21;
    private static final int PUNCH_HOLE = 22;
    private static final int ADD_HOLDERS = 23;
    private static final int DROP_HOLDER = 24;
    private static final int LOSE_HOLDER = 25;
    private static final int DISCARD = 26;
    private static final int ABANDON = 27;
    private static final int OPEN_SESSION = 40;
    private static final int HOLD = 41;
    private static final int RELEASE = 42;
    private static final int REAP = 43;
    private static final int ACKNOWLEDGE_ORPHANS = 44;
    private static final int TICK = 45;
    private static final int RAISE_LEVEL = 46;
    private static final int DIGEST = 47;
    private static final int ADMIT_POD = 60;
    private static final int UPDATE_POD = 61;
    private static final int SET_DRAINING = 62;
    private static final int SET_ABSENT = 63;
    private static final int REMOVE_POD = 64;
    private static final int CONFIGURE = 65;
    private static final int SET_PROMPT = 66;
    private static final int SET_ADMINISTRATOR = 67;
    private static final int INVITE = 68;
    private static final int WITHDRAW = 69;
    private static final int JOIN_POD = 70;
    private static final int EXPORTED_AUTHORITY = 74;
    private static final int TRUST_AUTHORITY = 75;
    private static final int DROP_AUTHORITY = 76;
    private static final int CERTIFIED = 77;
    private static final int RECERTIFY = 78;
    private static final int CLAIM_ADMINISTRATION = 79;
    // Reserved: 80 grant, 81 revoke, 83 settle, 84 generation.
    private static final int LOCK = 82;
    private static final int UNLOCK = 85;
    private static final int CANCEL_LOCK = 86;
    private static final int SHARE_LOCKS = 87;
    private static final int KEEP_LOCKS = 88;
    private static final int TAKE_LOCKS = 89;
    private static final int FORGO_LOCKS = 90;

    private static final FileType[] TYPES = FileType.values();
    private static final HolderState[] HOLDER_STATES = HolderState.values();
    private static final Command.RenameMode[] RENAME_MODES = Command.RenameMode.values();
    private static final Command.XattrMode[] XATTR_MODES = Command.XattrMode.values();
    private static final Command.LockMode[] LOCK_MODES = Command.LockMode.values();
    private static final LockSpace[] LOCK_SPACES = LockSpace.values();
    private static final PodSettings.Role[] ROLES = PodSettings.Role.values();

    private CommandCodec() {}

    static void encode(ByteSink to, Command command) {
        switch (command) {
            case Command.Create c -> {
                to.u16(c.umask() == 0 ? CREATE : CREATE_MASKED).i64(c.parent().value());
                name(to, c.name());
                to.i64(c.inode().value()).u8(c.type().ordinal()).u16(c.permissions());
                to.i32(c.uid()).i32(c.gid()).i32(c.device()).blob(c.target());
                if (c.umask() != 0) to.u16(c.umask());
            }
            case Command.CreateOrphan c -> {
                InodeId parent = c.parent();
                to.u16(parent == null ? CREATE_ORPHAN : CREATE_ORPHAN_IN)
                        .i64(c.inode().value())
                        .u16(c.permissions())
                        .i32(c.uid())
                        .i32(c.gid())
                        .i32(c.holder().number());
                if (parent != null) to.i64(parent.value()).u16(c.umask());
            }
            case Command.Link c -> {
                to.u16(LINK).i64(c.inode().value()).i64(c.parent().value());
                name(to, c.name());
            }
            case Command.Unlink c -> {
                to.u16(UNLINK).i64(c.parent().value());
                name(to, c.name());
                to.i64(c.expected().value());
            }
            case Command.RemoveDirectory c -> {
                to.u16(REMOVE_DIRECTORY).i64(c.parent().value());
                name(to, c.name());
                to.i64(c.expected().value());
            }
            case Command.Rename c -> {
                to.u16(RENAME).i64(c.fromParent().value());
                name(to, c.fromName());
                to.i64(c.expected().value()).i64(c.toParent().value());
                name(to, c.toName());
                InodeId replaced = c.replaced();
                to.i64(replaced == null ? 0 : replaced.value()).u8(c.mode().ordinal());
            }
            case Command.SetAttributes c -> setAttributes(to, c);
            case Command.SetXattr c ->
                to.u16(SET_XATTR)
                        .i64(c.inode().value())
                        .blob(c.name())
                        .blob(c.value())
                        .u8(c.mode().ordinal());
            case Command.RemoveXattr c ->
                to.u16(REMOVE_XATTR).i64(c.inode().value()).blob(c.name());
            case Command.SetAcl c ->
                to.u16(SET_ACL)
                        .i64(c.inode().value())
                        .u8(c.isDefault() ? 1 : 0)
                        .blob(c.acl())
                        .u8(c.killSetgid() ? 1 : 0);
            case Command.SetFlags c -> to.u16(SET_FLAGS).i64(c.inode().value()).i32(c.flags());
            case Command.Write c -> {
                to.u16(WRITE).i64(c.inode().value()).i64(c.view());
                newSlices(to, c.slices());
                extents(to, c.extents());
                to.i64(c.sizeAtLeast())
                        .i64(c.modifiedNanos())
                        .i32(c.safeCopies())
                        .u8(c.killPrivileges() ? 1 : 0);
            }
            case Command.Append c -> {
                to.u16(APPEND).i64(c.inode().value());
                newSlices(to, c.slices());
                extents(to, c.parts());
                to.i64(c.modifiedNanos()).i32(c.safeCopies()).u8(c.killPrivileges() ? 1 : 0);
            }
            case Command.PunchHole c ->
                to.u16(PUNCH_HOLE)
                        .i64(c.inode().value())
                        .i64(c.from())
                        .i64(c.length())
                        .i64(c.modifiedNanos());
            case Command.AddHolders c -> {
                to.u16(ADD_HOLDERS).i32(c.holder().number()).u8(c.state().ordinal());
                slices(to, c.slices());
            }
            case Command.DropHolder c -> {
                to.u16(DROP_HOLDER).i64(c.slice().value()).i32(c.holder().number());
                incarnations(to, c.relyingOn());
            }
            case Command.LoseHolder c -> {
                to.u16(LOSE_HOLDER).i32(c.holder().number());
                slices(to, c.slices());
            }
            case Command.Discard c -> slices(to.u16(DISCARD), c.slices());
            case Command.Abandon c -> slices(to.u16(ABANDON), c.slices());
            case Command.OpenSession c ->
                to.u16(OPEN_SESSION)
                        .i32(c.incarnation().number())
                        .i64(c.startCount())
                        .i64(c.settledCounter());
            case Command.Hold c ->
                to.u16(HOLD).i64(c.inode().value()).i32(c.holder().number());
            case Command.Release c ->
                to.u16(RELEASE).i64(c.inode().value()).i32(c.holder().number());
            case Command.Reap c -> {
                to.u16(REAP).i32(c.inodes().size());
                for (InodeId inode : c.inodes()) to.i64(inode.value());
            }
            case Command.AcknowledgeOrphans c ->
                to.u16(ACKNOWLEDGE_ORPHANS).i32(c.incarnation().number()).i64(c.index());
            case Command.Tick c -> to.u16(TICK).i64(c.elapsedNanos());
            case Command.RaiseLevel c -> to.u16(RAISE_LEVEL).i32(c.level());
            case Command.Digest c -> to.u16(DIGEST).i64(c.index()).i64(c.digest());
            case Command.AdmitPod c -> settings(to.u16(ADMIT_POD).i64(c.storeToken()), c.settings());
            case Command.UpdatePod c ->
                settings(to.u16(UPDATE_POD).i32(c.incarnation().number()), c.settings());
            case Command.SetDraining c ->
                to.u16(SET_DRAINING).i32(c.incarnation().number()).u8(c.draining() ? 1 : 0);
            case Command.SetAbsent c ->
                to.u16(SET_ABSENT).i32(c.incarnation().number()).u8(c.absent() ? 1 : 0);
            case Command.SetPrompt c ->
                to.u16(SET_PROMPT)
                        .i32(c.incarnation().number())
                        .i64(c.startCount())
                        .u8(c.prompt() ? 1 : 0);
            case Command.RemovePod c ->
                to.u16(REMOVE_POD).i32(c.incarnation().number()).u8(c.force() ? 1 : 0);
            case Command.Configure c -> to.u16(CONFIGURE).i64(c.basedOn()).text(c.toml());
            case Command.SetAdministrator c ->
                to.u16(SET_ADMINISTRATOR).i32(c.incarnation().number()).u8(c.administrator() ? 1 : 0);
            case Command.Invite c ->
                to.u16(INVITE)
                        .raw(c.token())
                        .i32(c.uses())
                        .i64(c.expiresMillis())
                        .u8(c.asAdministrator() ? 1 : 0)
                        .u8(c.replaces() ? 1 : 0)
                        .text(c.name())
                        .i64(c.nowMillis());
            case Command.Withdraw c -> to.u16(WITHDRAW).raw(c.token());
            case Command.JoinPod c -> {
                settings(to.u16(JOIN_POD).i64(c.storeToken()), c.settings());
                to.raw(c.key()).u8(c.token().length == 0 ? 0 : 1).raw(c.token()).i64(c.nowMillis());
            }
            case Command.TrustAuthority c ->
                to.u16(TRUST_AUTHORITY)
                        .i32(c.number())
                        .blob(c.certificate())
                        .blob(c.publicKey())
                        .blob(c.link());
            case Command.DropAuthority c ->
                to.u16(DROP_AUTHORITY).i32(c.number()).u8(c.force() ? 1 : 0);
            case Command.Certified c ->
                to.u16(CERTIFIED).i32(c.authority()).i64(c.expiresMillis()).raw(c.key());
            case Command.Recertify c ->
                to.u16(RECERTIFY).i32(c.incarnation().number()).raw(c.key());
            case Command.ExportedAuthority c -> to.u16(EXPORTED_AUTHORITY).i32(c.number());
            case Command.ClaimAdministration c ->
                to.u16(CLAIM_ADMINISTRATION).i64(c.acts()).raw(c.signature());
            case Command.Lock c -> {
                to.u16(LOCK).i64(c.inode().value()).i64(c.ticket()).u8(c.mode().ordinal());
                LockRow.lock(to, c.wanted());
            }
            case Command.Unlock c -> {
                owner(to.u16(UNLOCK).i64(c.inode().value()), c.owner());
                to.u8(c.space().ordinal()).i64(c.from()).i64(c.to());
            }
            case Command.CancelLock c ->
                owner(to.u16(CANCEL_LOCK).i64(c.inode().value()), c.owner()).i64(c.ticket());
            case Command.ShareLocks c -> {
                to.u16(SHARE_LOCKS).i64(c.inode().value()).i64(c.epoch());
                to.i32(c.held().size());
                for (FileLock lock : c.held()) LockRow.lock(to, lock);
                to.i32(c.waiters().size());
                for (LockTable.Waiter waiter : c.waiters()) LockRow.waiter(to, waiter);
            }
            case Command.KeepLocks c -> to.u16(KEEP_LOCKS).i64(c.inode().value());
            case Command.TakeLocks c ->
                to.u16(TAKE_LOCKS).i64(c.inode().value()).i32(c.from().number());
            case Command.ForgoLocks c -> to.u16(FORGO_LOCKS).i64(c.inode().value());
        }
    }

    private static void setAttributes(ByteSink to, Command.SetAttributes c) {
        Integer permissions = c.permissions();
        Integer uid = c.uid();
        Integer gid = c.gid();
        Long size = c.size();
        Long accessed = c.accessedNanos();
        Long modified = c.modifiedNanos();
        int given = (permissions != null ? 1 : 0)
                | (uid != null ? 2 : 0)
                | (gid != null ? 4 : 0)
                | (size != null ? 8 : 0)
                | (accessed != null ? 16 : 0)
                | (modified != null ? 32 : 0)
                | (c.killPrivileges() ? 64 : 0);
        to.u16(SET_ATTRIBUTES).i64(c.inode().value()).u8(given);
        if (permissions != null) to.u16(permissions);
        if (uid != null) to.i32(uid);
        if (gid != null) to.i32(gid);
        if (size != null) to.i64(size);
        if (accessed != null) to.i64(accessed);
        if (modified != null) to.i64(modified);
    }

    static Command decode(ByteSource from) throws MalformedEntryException {
        int start = from.offset();
        int number = from.u16();
        return switch (number) {
            case CREATE, CREATE_MASKED -> {
                InodeId parent = inode(from);
                FileName name = name(from);
                InodeId inode = inode(from);
                FileType type = from.constant(TYPES);
                int permissions = from.u16();
                int uid = from.i32();
                int gid = from.i32();
                int device = from.i32();
                byte[] target = from.blob();
                int umask = number == CREATE ? 0 : umask(from);
                yield new Command.Create(parent, name, inode, type, permissions, uid, gid, device, target, umask);
            }
            case CREATE_ORPHAN ->
                new Command.CreateOrphan(inode(from), from.u16(), from.i32(), from.i32(), incarnation(from));
            case CREATE_ORPHAN_IN ->
                new Command.CreateOrphan(
                        inode(from), from.u16(), from.i32(), from.i32(), incarnation(from), inode(from), umask(from));
            case LINK -> new Command.Link(inode(from), inode(from), name(from));
            case UNLINK -> new Command.Unlink(inode(from), name(from), inode(from));
            case REMOVE_DIRECTORY -> new Command.RemoveDirectory(inode(from), name(from), inode(from));
            case RENAME ->
                new Command.Rename(
                        inode(from),
                        name(from),
                        inode(from),
                        inode(from),
                        name(from),
                        inodeOrNull(from),
                        from.constant(RENAME_MODES));
            case SET_ATTRIBUTES -> {
                InodeId inode = inode(from);
                int given = from.u8();
                if (given > 127) throw from.malformed("attributes " + given);
                yield new Command.SetAttributes(
                        inode,
                        (given & 1) != 0 ? (Integer) from.u16() : null,
                        (given & 2) != 0 ? (Integer) from.i32() : null,
                        (given & 4) != 0 ? (Integer) from.i32() : null,
                        (given & 8) != 0 ? (Long) from.i64() : null,
                        (given & 16) != 0 ? (Long) from.i64() : null,
                        (given & 32) != 0 ? (Long) from.i64() : null,
                        (given & 64) != 0);
            }
            case SET_XATTR -> new Command.SetXattr(inode(from), from.blob(), from.blob(), from.constant(XATTR_MODES));
            case REMOVE_XATTR -> new Command.RemoveXattr(inode(from), from.blob());
            case SET_ACL -> new Command.SetAcl(inode(from), from.flag(), from.blob(), from.flag());
            case SET_FLAGS -> new Command.SetFlags(inode(from), from.i32());
            case WRITE ->
                new Command.Write(
                        inode(from),
                        from.i64(),
                        newSlices(from),
                        extents(from),
                        from.i64(),
                        from.i64(),
                        from.i32(),
                        from.flag());
            case APPEND ->
                new Command.Append(inode(from), newSlices(from), extents(from), from.i64(), from.i32(), from.flag());
            case PUNCH_HOLE -> new Command.PunchHole(inode(from), from.i64(), from.i64(), from.i64());
            case ADD_HOLDERS -> new Command.AddHolders(incarnation(from), from.constant(HOLDER_STATES), slices(from));
            case DROP_HOLDER -> new Command.DropHolder(slice(from), incarnation(from), incarnations(from));
            case LOSE_HOLDER -> new Command.LoseHolder(incarnation(from), slices(from));
            case DISCARD -> new Command.Discard(slices(from));
            case ABANDON -> new Command.Abandon(slices(from));
            case OPEN_SESSION -> new Command.OpenSession(incarnation(from), from.i64(), from.i64());
            case HOLD -> new Command.Hold(inode(from), incarnation(from));
            case RELEASE -> new Command.Release(inode(from), incarnation(from));
            case REAP -> {
                int count = from.count(8);
                var inodes = new ArrayList<InodeId>(count);
                for (int i = 0; i < count; i++) inodes.add(inode(from));
                yield new Command.Reap(inodes);
            }
            case ACKNOWLEDGE_ORPHANS -> new Command.AcknowledgeOrphans(incarnation(from), from.i64());
            case TICK -> new Command.Tick(from.i64());
            case RAISE_LEVEL -> new Command.RaiseLevel(from.i32());
            case DIGEST -> new Command.Digest(from.i64(), from.i64());
            case ADMIT_POD -> new Command.AdmitPod(from.i64(), settings(from));
            case UPDATE_POD -> new Command.UpdatePod(incarnation(from), settings(from));
            case SET_DRAINING -> new Command.SetDraining(incarnation(from), from.flag());
            case SET_ABSENT -> new Command.SetAbsent(incarnation(from), from.flag());
            case SET_PROMPT -> new Command.SetPrompt(incarnation(from), from.i64(), from.flag());
            case REMOVE_POD -> new Command.RemovePod(incarnation(from), from.flag());
            case CONFIGURE -> new Command.Configure(from.i64(), from.text());
            case SET_ADMINISTRATOR -> new Command.SetAdministrator(incarnation(from), from.flag());
            case INVITE ->
                new Command.Invite(
                        from.raw(Invitation.TOKEN_BYTES),
                        from.i32(),
                        from.i64(),
                        from.flag(),
                        from.flag(),
                        from.text(),
                        from.i64());
            case WITHDRAW -> new Command.Withdraw(from.raw(Invitation.TOKEN_BYTES));
            case JOIN_POD -> {
                long storeToken = from.i64();
                PodSettings settings = settings(from);
                byte[] key = from.raw(32);
                byte[] token = from.flag() ? from.raw(Invitation.TOKEN_BYTES) : new byte[0];
                yield new Command.JoinPod(storeToken, settings, key, token, from.i64());
            }
            case TRUST_AUTHORITY ->
                new Command.TrustAuthority(from.i32(), certificate(from), certificate(from), certificate(from));
            case DROP_AUTHORITY -> new Command.DropAuthority(from.i32(), from.flag());
            case CERTIFIED -> new Command.Certified(from.i32(), from.i64(), from.raw(32));
            case RECERTIFY -> new Command.Recertify(incarnation(from), from.raw(32));
            case EXPORTED_AUTHORITY -> new Command.ExportedAuthority(from.i32());
            case CLAIM_ADMINISTRATION -> new Command.ClaimAdministration(from.i64(), from.raw(64));
            case LOCK -> {
                InodeId inode = inode(from);
                long ticket = from.i64();
                Command.LockMode mode = from.constant(LOCK_MODES);
                yield new Command.Lock(inode, LockRow.lock(from), ticket, mode);
            }
            case UNLOCK -> {
                InodeId inode = inode(from);
                LockOwner owner = owner(from);
                LockSpace space = from.constant(LOCK_SPACES);
                long first = from.i64();
                long last = from.i64();
                if (first < 0 || last < first) throw from.malformed("bytes " + first + " to " + last);
                yield new Command.Unlock(inode, space, owner, first, last);
            }
            case CANCEL_LOCK -> new Command.CancelLock(inode(from), owner(from), from.i64());
            case SHARE_LOCKS -> {
                InodeId inode = inode(from);
                long epoch = from.i64();
                int count = from.count(LockRow.LOCK_BYTES);
                var held = new ArrayList<FileLock>(count);
                for (int i = 0; i < count; i++) held.add(LockRow.lock(from));
                count = from.count(8 + LockRow.LOCK_BYTES);
                var waiters = new ArrayList<LockTable.Waiter>(count);
                for (int i = 0; i < count; i++) waiters.add(LockRow.waiter(from));
                yield new Command.ShareLocks(inode, epoch, held, waiters);
            }
            case KEEP_LOCKS -> new Command.KeepLocks(inode(from));
            case TAKE_LOCKS -> new Command.TakeLocks(inode(from), incarnation(from));
            case FORGO_LOCKS -> new Command.ForgoLocks(inode(from));
            default -> throw new MalformedEntryException("unknown command " + number, start);
        };
    }

    private static int umask(ByteSource from) throws MalformedEntryException {
        int umask = from.u16();
        if (umask > 0777) throw from.malformed("umask " + umask);
        return umask;
    }

    private static ByteSink owner(ByteSink to, LockOwner owner) {
        return to.i32(owner.pod().number()).i64(owner.key());
    }

    private static LockOwner owner(ByteSource from) throws MalformedEntryException {
        return new LockOwner(incarnation(from), from.i64());
    }

    private static void name(ByteSink to, FileName name) {
        to.u8(name.bytes().length).raw(name.bytes());
    }

    private static FileName name(ByteSource from) throws MalformedEntryException {
        byte[] bytes = from.raw(from.u8());
        if (!FileName.isValid(bytes)) throw from.malformed("file name");
        return new FileName(bytes);
    }

    private static InodeId inode(ByteSource from) throws MalformedEntryException {
        long value = from.i64();
        if (value <= 0) throw from.malformed("inode " + value);
        return new InodeId(value);
    }

    private static @Nullable InodeId inodeOrNull(ByteSource from) throws MalformedEntryException {
        long value = from.i64();
        if (value < 0) throw from.malformed("inode " + value);
        return value == 0 ? null : new InodeId(value);
    }

    private static SliceId slice(ByteSource from) throws MalformedEntryException {
        long value = from.i64();
        if (value <= 0) throw from.malformed("slice " + value);
        return new SliceId(value);
    }

    private static byte[] certificate(ByteSource from) throws MalformedEntryException {
        byte[] bytes = from.blob();
        if (bytes.length > AuthorityRecord.CERTIFICATE_BYTES_MAX) throw from.malformed("certificate");
        return bytes;
    }

    static Incarnation incarnation(ByteSource from) throws MalformedEntryException {
        int number = from.i32();
        if (number <= 0 || number > Ids.ALLOCATOR_MAX) throw from.malformed("incarnation " + number);
        return new Incarnation(number);
    }

    private static void slices(ByteSink to, List<SliceId> slices) {
        to.i32(slices.size());
        for (SliceId slice : slices) to.i64(slice.value());
    }

    private static List<SliceId> slices(ByteSource from) throws MalformedEntryException {
        int count = from.count(8);
        var slices = new ArrayList<SliceId>(count);
        for (int i = 0; i < count; i++) slices.add(slice(from));
        return slices;
    }

    private static void incarnations(ByteSink to, List<Incarnation> incarnations) {
        to.i32(incarnations.size());
        for (Incarnation incarnation : incarnations) to.i32(incarnation.number());
    }

    private static List<Incarnation> incarnations(ByteSource from) throws MalformedEntryException {
        int count = from.count(4);
        var incarnations = new ArrayList<Incarnation>(count);
        for (int i = 0; i < count; i++) incarnations.add(incarnation(from));
        return incarnations;
    }

    private static void newSlices(ByteSink to, List<Command.NewSlice> slices) {
        to.i32(slices.size());
        for (Command.NewSlice slice : slices) {
            to.i64(slice.slice().value()).i64(slice.lengthBytes());
            incarnations(to, slice.durableOn());
        }
    }

    private static List<Command.NewSlice> newSlices(ByteSource from) throws MalformedEntryException {
        int count = from.count(20);
        var slices = new ArrayList<Command.NewSlice>(count);
        for (int i = 0; i < count; i++) slices.add(new Command.NewSlice(slice(from), from.i64(), incarnations(from)));
        return slices;
    }

    private static void extents(ByteSink to, List<Extent> extents) {
        to.i32(extents.size());
        for (Extent extent : extents)
            to.i64(extent.fileOffset())
                    .i64(extent.length())
                    .i64(extent.slice().value())
                    .i64(extent.sliceOffset());
    }

    private static List<Extent> extents(ByteSource from) throws MalformedEntryException {
        int count = from.count(32);
        var extents = new ArrayList<Extent>(count);
        for (int i = 0; i < count; i++) {
            long fileOffset = from.i64();
            long length = from.i64();
            SliceId slice = slice(from);
            long sliceOffset = from.i64();
            if (fileOffset < 0
                    || length <= 0
                    || sliceOffset < 0
                    || fileOffset > Long.MAX_VALUE - length
                    || sliceOffset > Long.MAX_VALUE - length)
                throw from.malformed("extent " + fileOffset + "+" + length + " at " + sliceOffset);
            extents.add(new Extent(fileOffset, length, slice, sliceOffset));
        }
        return extents;
    }

    static void settings(ByteSink to, PodSettings settings) {
        to.text(settings.name()).u8(settings.role().ordinal()).u8(settings.intermittent() ? 1 : 0);
        to.text(settings.zone()).i32(settings.addresses().size());
        for (String address : settings.addresses()) to.text(address);
        to.i64(settings.limitBytes());
    }

    static PodSettings settings(ByteSource from) throws MalformedEntryException {
        String name = from.text();
        PodSettings.Role role = from.constant(ROLES);
        boolean intermittent = from.flag();
        String zone = from.text();
        int count = from.count(4);
        var addresses = new ArrayList<String>(count);
        for (int i = 0; i < count; i++) addresses.add(from.text());
        long limit = from.i64();
        if (limit < 0) throw from.malformed("limit " + limit);
        return new PodSettings(name, role, intermittent, zone, addresses, limit);
    }
}
