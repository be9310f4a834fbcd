// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Extent;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;

final class EntryTest {
    private static final InodeId I = new InodeId(7);
    private static final InodeId J = new InodeId((3L << 39) + 9);
    private static final FileName N = FileName.of("na\u00efve name");
    private static final Incarnation P = new Incarnation(3);
    private static final Incarnation Q = new Incarnation((1 << 24) - 1);
    private static final SliceId S = new SliceId((3L << 39) + 11);
    private static final SliceId T = new SliceId((3L << 39) + 12);
    private static final PodSettings SETTINGS = new PodSettings(
            "nas-1", PodSettings.Role.WITNESS, true, "paris", List.of("nas-1.local:7420", "[::1]:7420"), 1L << 42);

    private static final FileLock RANGE =
            new FileLock(LockSpace.RANGES, new LockOwner(P, -77), true, 3, 1L << 50, 4321);
    private static final FileLock FLOCK =
            new FileLock(LockSpace.WHOLE, new LockOwner(Q, 78), false, 0, Long.MAX_VALUE, 1);

    private static final byte[] HASH = new byte[32];
    private static final byte[] OTHER_HASH = new byte[32];

    static {
        Arrays.fill(HASH, (byte) 0x5a);
        Arrays.fill(OTHER_HASH, (byte) 0xa5);
    }

    /** What came after the stored sample of format 1 was made. */
    private static final Set<Class<?>> LATER = Set.of(
            Command.SetPrompt.class,
            Command.SetAdministrator.class,
            Command.Invite.class,
            Command.Withdraw.class,
            Command.JoinPod.class,
            Command.TrustAuthority.class,
            Command.DropAuthority.class,
            Command.Certified.class,
            Command.Recertify.class,
            Command.ExportedAuthority.class,
            Command.ClaimAdministration.class,
            Command.SetAcl.class,
            Command.SetFlags.class,
            Command.Lock.class,
            Command.Unlock.class,
            Command.CancelLock.class,
            Command.ShareLocks.class,
            Command.KeepLocks.class,
            Command.TakeLocks.class,
            Command.ForgoLocks.class);

    /** One of each, with every field different from its default. */
    static List<Command> everyCommand() {
        var slices = List.of(new Command.NewSlice(S, 500, List.of(P, Q)), new Command.NewSlice(T, 7, List.of()));
        var extents = List.of(new Extent(0, 400, S, 100), new Extent(1L << 40, 7, T, 0));
        return List.of(
                new Command.Create(I, N, J, FileType.SYMLINK, 0777, 1000, 100, 0x801, new byte[] {1, 2, 3}),
                new Command.CreateOrphan(J, 0600, -2, -1, P),
                new Command.Create(I, N, J, FileType.REGULAR, 0666, 1, 2, 0, new byte[0], 027),
                new Command.CreateOrphan(J, 0600, -2, -1, P, I, 0),
                new Command.Link(J, I, N),
                new Command.Unlink(I, N, J),
                new Command.RemoveDirectory(I, N, J),
                new Command.Rename(I, N, J, J, FileName.of("x"), null, Command.RenameMode.NO_REPLACE),
                new Command.Rename(I, N, J, J, FileName.of("x"), I, Command.RenameMode.EXCHANGE),
                new Command.SetAttributes(I, null, null, null, null, null, null, false),
                new Command.SetAttributes(I, 04755, 1, 2, 3L, -4L, Long.MIN_VALUE, true),
                new Command.SetXattr(I, new byte[] {'u', '.', 'x'}, new byte[] {9, 0, 9}, Command.XattrMode.REPLACE),
                new Command.RemoveXattr(I, new byte[] {'u', '.', 'x'}),
                new Command.SetAcl(I, true, new byte[] {2, 0, 0, 0}, true),
                new Command.SetFlags(I, 0x10),
                new Command.Write(I, 5, slices, extents, 1L << 41, 77, 2, true),
                new Command.Append(I, slices, extents, 78, 1, false),
                new Command.PunchHole(I, 10, 20, 79),
                new Command.AddHolders(P, HolderState.VERIFIED, List.of(S, T)),
                new Command.DropHolder(S, P, List.of(Q)),
                new Command.LoseHolder(P, List.of(S)),
                new Command.Discard(List.of(S, T)),
                new Command.Abandon(List.of(T)),
                new Command.OpenSession(P, 4, 1000),
                new Command.Hold(J, P),
                new Command.Release(J, P),
                new Command.Reap(List.of(I, J)),
                new Command.AcknowledgeOrphans(P, 123),
                new Command.Tick(1_000_000_000),
                new Command.RaiseLevel(2),
                new Command.Digest(99, -7),
                new Command.AdmitPod(-5, SETTINGS),
                new Command.UpdatePod(P, SETTINGS),
                new Command.SetDraining(P, true),
                new Command.SetAbsent(P, true),
                new Command.SetPrompt(P, 3, true),
                new Command.RemovePod(P, true),
                new Command.Configure(3, "[network]\nname = \"at\u00e9lier\"\n"),
                new Command.SetAdministrator(P, true),
                new Command.Invite(HASH, 7, 1_800_000_000_000L, true, "nas-2", 1_700_000_000_000L),
                new Command.Withdraw(HASH),
                new Command.JoinPod(-6, SETTINGS, OTHER_HASH, HASH, 1_700_000_000_001L),
                new Command.JoinPod(-6, SETTINGS, OTHER_HASH, new byte[0], 1_700_000_000_001L),
                new Command.TrustAuthority(7, new byte[] {1, 2}, new byte[] {3}, new byte[] {4, 5, 6}),
                new Command.DropAuthority(3, true),
                new Command.Certified(2, 1_800_000_000_001L, HASH),
                new Command.Recertify(P, OTHER_HASH),
                new Command.ExportedAuthority(2),
                new Command.ClaimAdministration(12, new byte[64]),
                new Command.Lock(I, RANGE, 8, Command.LockMode.WAIT),
                new Command.Unlock(I, LockSpace.RANGES, RANGE.owner(), 4, 6),
                new Command.CancelLock(I, RANGE.owner(), 8),
                new Command.ShareLocks(I, 21, List.of(RANGE, FLOCK), List.of(new LockTable.Waiter(9, RANGE))),
                new Command.KeepLocks(I),
                new Command.TakeLocks(I, Q),
                new Command.ForgoLocks(I));
    }

    static Entry everything() {
        return new Entry(1, 42, 0, new SessionId(P, 4), 17, 15, 2, 1_700_000_000_000_000_001L, 0, everyCommand());
    }

    /** Records with arrays are not equal by value: they are compared as text of their fields. */
    private static String text(Command command) {
        var text = new StringBuilder(command.getClass().getSimpleName());
        for (var field : command.getClass().getRecordComponents()) {
            try {
                field.getAccessor().setAccessible(true);
                Object value = field.getAccessor().invoke(command);
                text.append(' ').append(field.getName()).append('=');
                text.append(value instanceof byte[] bytes ? HexFormat.of().formatHex(bytes) : Objects.toString(value));
            } catch (ReflectiveOperationException e) {
                throw new AssertionError(e);
            }
        }
        return text.toString();
    }

    private static void assertSame(Entry actual, Entry expected) {
        assertThat(actual.commands().stream().map(EntryTest::text))
                .containsExactlyElementsOf(
                        expected.commands().stream().map(EntryTest::text).toList());
        assertThat(head(actual)).isEqualTo(head(expected));
    }

    private static List<Object> head(Entry e) {
        return Arrays.asList(
                e.level(),
                e.generation(),
                e.group(),
                e.session(),
                e.sequence(),
                e.lowestUnanswered(),
                e.leaseEpoch(),
                e.proposerNanos(),
                e.leaderNanos());
    }

    @Test
    void everyCommandIsInTheSample() {
        var classes = new TreeSet<String>();
        for (Command command : everyCommand()) classes.add(command.getClass().getName());
        assertThat(classes)
                .isEqualTo(new TreeSet<>(Arrays.stream(Command.class.getPermittedSubclasses())
                        .map(Class::getName)
                        .toList()));
    }

    @Test
    void whatIsEncodedIsDecoded() throws MalformedEntryException {
        assertSame(Entry.decode(everything().encode()), everything());
        Entry without = Entry.withoutSession(1, -1, List.of());
        assertSame(Entry.decode(without.encode()), without);
        byte[] encoded = without.encode();
        ByteBuffer buffer = ByteBuffer.allocateDirect(encoded.length + 2)
                .put((byte) 0)
                .put(encoded)
                .put((byte) 0);
        assertSame(Entry.decode(buffer.slice(1, encoded.length)), without);
    }

    @Test
    void theLeaderStampsTheEncodedBytes() throws MalformedEntryException {
        byte[] bytes = everything().encode();
        Entry.stampLeader(bytes, 123);
        assertSame(Entry.decode(bytes), everything().stamped(123));
        assertThat(bytes).isEqualTo(everything().stamped(123).encode());
        bytes[65] ^= 1;
        assertThatThrownBy(() -> Entry.decode(bytes)).isInstanceOf(MalformedEntryException.class);
        assertThatThrownBy(() -> Entry.stampLeader(new byte[90], 1)).isInstanceOf(MalformedEntryException.class);
    }

    @Test
    void theStampsAreBroughtTogether() {
        assertThat(Entry.withoutSession(1, 100, List.of()).stamped(200).nanos()).isEqualTo(100);
        assertThat(Entry.withoutSession(1, 9_000_000_000L, List.of()).stamped(1).nanos())
                .isEqualTo(1_000_000_001L);
        assertThat(Entry.withoutSession(1, 0, List.of()).stamped(5_000_000_000L).nanos())
                .isEqualTo(4_000_000_000L);
    }

    /** Entries of the first release, stored when it was made: see src/test/resources. */
    @Test
    void theStoredSampleOfFormat1IsStillRead() throws IOException {
        try (InputStream in = Objects.requireNonNull(EntryTest.class.getResourceAsStream("entry-v1.hex"))) {
            String hex = new String(in.readAllBytes(), StandardCharsets.US_ASCII).replaceAll("\\s", "");
            byte[] stored = HexFormat.of().parseHex(hex);
            // what came later has no place in it
            var then = everyCommand().stream()
                    .filter(command -> switch (command) {
                        case Command.Create create -> create.umask() == 0;
                        case Command.CreateOrphan orphan -> orphan.parent() == null;
                        default -> !LATER.contains(command.getClass());
                    })
                    .toList();
            var entry = new Entry(1, 42, 0, new SessionId(P, 4), 17, 15, 2, 1_700_000_000_000_000_001L, 0, then)
                    .stamped(1_700_000_000_500_000_000L);
            assertSame(Entry.decode(stored), entry);
            assertThat(entry.encode()).isEqualTo(stored);
        }
    }

    @Test
    void everyCutAndEveryFlippedBitIsFound() {
        byte[] whole = everything().encode();
        for (int length = 0; length < whole.length; length++) {
            byte[] cut = Arrays.copyOf(whole, length);
            assertMalformed(cut);
        }
        for (int bit = 0; bit < whole.length * 8; bit++) {
            byte[] flipped = whole.clone();
            flipped[bit >> 3] ^= (byte) (1 << (bit & 7));
            assertMalformed(flipped);
        }
    }

    private static void assertMalformed(byte[] bytes) {
        try {
            Entry.decode(bytes);
            fail("decoded " + HexFormat.of().formatHex(bytes));
        } catch (MalformedEntryException e) {
            assertThat(e.offset()).isBetween(0, bytes.length);
        }
    }

    /** With the checksums made good again, so that the damage reaches the decoder of commands. */
    @Test
    void noBytesBringTheDecoderDown() {
        for (long seed = 1; seed <= 20_000; seed++) {
            var random = new Random(seed);
            byte[] bytes = everything().encode();
            if (random.nextInt(4) == 0) bytes = Arrays.copyOf(bytes, 82 + random.nextInt(bytes.length - 82));
            for (int i = 1 + random.nextInt(4); i > 0; i--) {
                int at = 6 + random.nextInt(bytes.length - 10);
                switch (random.nextInt(4)) {
                    case 0 -> bytes[at] = (byte) random.nextInt();
                    case 1 -> bytes[at] = -1;
                    case 2 -> bytes[at] = Byte.MAX_VALUE;
                    default -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                }
            }
            if (random.nextInt(50) == 0) random.nextBytes(bytes);
            mend(bytes);
            try {
                Entry decoded = Entry.decode(bytes);
                assertThat(decoded.encode().length).as("seed " + seed).isLessThanOrEqualTo(bytes.length);
            } catch (MalformedEntryException e) {
                assertThat(e.offset()).as("seed " + seed).isBetween(0, bytes.length);
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed, e);
            }
        }
    }

    static void mend(byte[] bytes) {
        var stamp = new CRC32C();
        stamp.update(bytes, 62, 8);
        ByteBuffer.wrap(bytes).putInt(70, (int) stamp.getValue());
        var crc = new CRC32C();
        crc.update(bytes, 0, 62);
        crc.update(bytes, 74, bytes.length - 78);
        ByteBuffer.wrap(bytes).putInt(bytes.length - 4, (int) crc.getValue());
    }
}
