// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ReplyTest {
    private static final InodeAttributes FILE = new InodeAttributes(
            0x1_0000_0007L,
            5000,
            16,
            1_500_000_001L,
            -500_000_000L,
            3_000_000_003L,
            4,
            0100644,
            2,
            1000,
            2000,
            259,
            0x90);
    private static final Reply.Entry ENTRY = new Reply.Entry(FILE, 100_000_000L, 2_000_000_005L);
    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void free() {
        arena.close();
    }

    private Image image(int error, int length) {
        return new Image().u32(16 + length).u32(error).u64(99);
    }

    private static Image attributes(Image image) {
        return image.u64(0x1_0000_0007L)
                .u64(5000)
                .u64(16)
                .u64(1)
                .u64(-1)
                .u64(3)
                .u32(500_000_001)
                .u32(500_000_000)
                .u32(3)
                .u32(0100644)
                .u32(2)
                .u32(1000)
                .u32(2000)
                .u32(259)
                .u32(4096)
                .u32(0);
    }

    private static Image entry(Image image) {
        return attributes(
                image.u64(0x1_0000_0007L).u64(0).u64(0).u64(2).u32(100_000_000).u32(5));
    }

    private void same(Reply reply, Image expected) {
        MemorySegment out = arena.allocate(4096, 8).fill((byte) 0x5a);
        int length = Reply.encode(reply, 99, out.address());
        assertThat(length).isEqualTo(expected.length());
        assertThat(out.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE))
                .isEqualTo(expected.in(arena).toArray(ValueLayout.JAVA_BYTE));
        assertThat(out.get(ValueLayout.JAVA_BYTE, length))
                .as("nothing behind the reply")
                .isEqualTo((byte) 0x5a);
    }

    @Test
    void everyReplyHasTheKernelsLayout() {
        same(new Reply.Failed(2), image(-2, 0));
        same(Reply.Done.INSTANCE, image(0, 0));
        same(ENTRY, entry(image(0, 128)));
        same(
                new Reply.Attributes(FILE, 1_000_000_002L),
                attributes(image(0, 104).u64(1).u32(2).u32(0)));
        same(new Reply.Opened(9, 2), image(0, 16).u64(9).u32(2).u32(0));
        same(
                new Reply.Created(ENTRY, new Reply.Opened(9, 1)),
                entry(image(0, 144)).u64(9).u32(1).u32(0));
        same(new Reply.Written(4096), image(0, 8).u32(4096).u32(0));
        same(new Reply.XattrSize(12), image(0, 8).u32(12).u32(0));
        same(new Reply.Wide(1L << 40), image(0, 8).u64(1L << 40));
        same(new Reply.Bytes(new byte[] {1, 2, 3}), image(0, 3).raw((byte) 1, (byte) 2, (byte) 3));
        same(
                new Reply.Space(1000, 500, 100, 50),
                image(0, 80)
                        .u64(1000)
                        .u64(500)
                        .u64(500)
                        .u64(100)
                        .u64(50)
                        .u32(4096)
                        .u32(255)
                        .u32(4096)
                        .raw(new byte[28]));
    }

    @Test
    void statxTellsTheTimeOfBirthAndTheDeviceInTwoParts() {
        var expected = image(0, 288).u64(1).u32(0).u32(0).u64(0).u64(0);
        expected.u32(0xfff)
                .u32(4096)
                .u64(0x10)
                .u32(2)
                .u32(1000)
                .u32(2000)
                .u16(0100644)
                .u16(0);
        expected.u64(0x1_0000_0007L).u64(5000).u64(16).u64(0x70);
        expected.u64(1).u32(500_000_001).u32(0);
        expected.u64(0).u32(4).u32(0);
        expected.u64(3).u32(3).u32(0);
        expected.u64(-1).u32(500_000_000).u32(0);
        expected.u32(1).u32(3).u32(0).u32(0).raw(new byte[112]);
        same(new Reply.ExtendedAttributes(FILE, 1_000_000_000L), expected);
    }

    @Test
    void validityIsNeverNegative() {
        var out = arena.allocate(256, 8);
        Reply.encode(new Reply.Attributes(FILE, -5), 1, out.address());
        assertThat(out.get(ValueLayout.JAVA_LONG, 16)).isZero();
        assertThat(out.get(ValueLayout.JAVA_INT, 24)).isZero();
    }

    @Test
    void initAnswersWithWhatBothSidesWant() {
        long everything = -1L;
        var terms = Negotiation.of(
                new Request.Init(new Request.Header(2, 0, 0, 0, 0), 7, 99, 131072, everything), 1 << 20, 4096);
        assertThat(terms.minor()).isEqualTo(45);
        long locks = Flags.POSIX_LOCKS | Flags.FLOCK_LOCKS;
        assertThat(terms.flags() & locks).isEqualTo(locks);
        long never = Flags.WRITEBACK_CACHE
                | Flags.ASYNC_DIO
                | Flags.NO_OPEN_SUPPORT
                | Flags.NO_OPENDIR_SUPPORT
                | Flags.AUTO_INVAL_DATA
                | Flags.EXPLICIT_INVAL_DATA;
        assertThat(terms.flags() & never).isZero();
        var expected = image(0, 64)
                .u32(7)
                .u32(45)
                .u32(131072)
                .u32((int) terms.flags())
                .u16(8192)
                .u16(6144)
                .u32(1 << 20)
                .u32(1)
                .u16(256)
                .u16(0)
                .u32(1 << 4)
                .raw(new byte[28]);
        same(new Reply.Agreed(terms), expected);
    }

    @Test
    void anOldKernelIsRefusedInWords() {
        var header = new Request.Header(2, 0, 0, 0, 0);
        assertThatThrownBy(() -> Negotiation.of(new Request.Init(header, 7, 31, 131072, -1L), 1 << 20, 4096))
                .hasMessageContaining("5.17");
        assertThatThrownBy(() -> Negotiation.of(
                        new Request.Init(header, 7, 45, 131072, ~Flags.HANDLE_KILLPRIV_V2), 1 << 20, 4096))
                .hasMessageContaining("5.17");
    }

    @Test
    void aListingHoldsWholeAlignedEntriesAndNoMore() {
        var out = arena.allocate(4096, 8).fill((byte) 0x5a);
        var plain = new Listing(out.address(), 32 + 32 + 31, false);
        assertThat(plain.add(bytes("."), 1, 0040000, 1, null)).isTrue();
        assertThat(plain.add(bytes("eightchr"), 7, 0120000, 2, null)).isTrue();
        assertThat(plain.add(bytes("x"), 8, 0100000, 3, null)).isFalse();
        assertThat(plain.lengthBytes()).isEqualTo(64);
        var expected = new Image().u64(1).u64(1).u32(1).u32(4).raw(bytes(".")).raw(new byte[7]);
        expected.u64(7).u64(2).u32(8).u32(10).raw(bytes("eightchr"));
        byte[] image = new byte[64];
        MemorySegment.copy(out, ValueLayout.JAVA_BYTE, 0, image, 0, 64);
        byte[] wanted = expected.in(arena).toArray(ValueLayout.JAVA_BYTE);
        System.arraycopy(new byte[] {1, 0, 0, 0}, 0, wanted, 0, 4); // a listing begins with an inode, not a length
        assertThat(image).isEqualTo(wanted);
        assertThat(out.get(ValueLayout.JAVA_BYTE, 64)).isEqualTo((byte) 0x5a);
    }

    @Test
    void aListingWithAttributesCountsNoReferenceForDots() {
        var out = arena.allocate(4096, 8).fill((byte) 0x5a);
        var plus = new Listing(out.address(), 400, true);
        assertThat(plus.add(bytes("."), 1, 0040000, 1, null)).isTrue();
        assertThat(plus.add(bytes("f"), FILE.inode(), 0100000, 2, ENTRY)).isTrue();
        assertThat(plus.add(bytes("g"), FILE.inode(), 0100000, 3, ENTRY)).isFalse();
        assertThat(plus.lengthBytes()).isEqualTo(2 * 160);
        assertThat(out.get(ValueLayout.JAVA_LONG, 0)).as("node of .").isZero();
        assertThat(out.get(ValueLayout.JAVA_LONG, 128)).as("inode of .").isEqualTo(1);
        assertThat(out.get(ValueLayout.JAVA_LONG, 160)).as("node of f").isEqualTo(FILE.inode());
        assertThat(out.get(ValueLayout.JAVA_LONG, 160 + 136)).as("cookie of f").isEqualTo(2);
    }

    @Test
    void notificationsNameTheInodeAndTheRange() {
        var out = arena.allocate(64, 8);
        assertThat(Notification.attributesOfInode(7, out.address())).isEqualTo(40);
        assertThat(out.asSlice(0, 40).toArray(ValueLayout.JAVA_BYTE))
                .isEqualTo(new Image()
                        .u32(40)
                        .u32(2)
                        .u64(0)
                        .u64(7)
                        .u64(-1)
                        .u64(0)
                        .in(arena)
                        .toArray(ValueLayout.JAVA_BYTE));
        assertThat(Notification.contentOfInode(7, out.address())).isEqualTo(40);
        assertThat(out.get(ValueLayout.JAVA_LONG, 24)).isZero();
        assertThat(out.get(ValueLayout.JAVA_LONG, 32)).isZero();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
