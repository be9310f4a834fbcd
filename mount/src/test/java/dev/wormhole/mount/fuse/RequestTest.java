// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class RequestTest {
    private static final Request.Header HEADER = new Request.Header(0x1122_3344L, 77, 1000, 2000, 3000);
    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void free() {
        arena.close();
    }

    private Request decode(Image image) {
        var segment = image.in(arena);
        return Request.decode(segment.address(), (int) segment.byteSize());
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Image lock(int opcode, int type, int flags) {
        return Image.request(opcode)
                .u64(9)
                .u64(77)
                .u64(3)
                .u64(Long.MAX_VALUE)
                .u32(type)
                .u32(4321)
                .u32(flags)
                .u32(0);
    }

    private void same(Image image, Request expected) {
        assertThat(decode(image)).usingRecursiveComparison().isEqualTo(expected);
    }

    @Test
    void everyOpcodeIsDecodedFromItsStructure() {
        same(Image.request(1).text("naïve"), new Request.Lookup(HEADER, bytes("naïve")));
        same(Image.request(2).u64(5), new Request.Forget(HEADER, 5));
        same(
                Image.request(42).u32(2).u32(0).u64(10).u64(1).u64(11).u64(2),
                new Request.BatchForget(HEADER, new long[] {10, 11}, new long[] {1, 2}));
        same(Image.request(3).u32(0).u32(0).u64(9), new Request.GetAttr(HEADER, 0));
        same(Image.request(3).u32(1).u32(0).u64(9), new Request.GetAttr(HEADER, 9));
        same(Image.request(52).u32(1).u32(0).u64(9).u32(0).u32(0xfff), new Request.Statx(HEADER, 9, 0xfff));
        same(
                Image.request(4)
                        .u32(1 | 2 | 4 | 8 | 16 | 32 | 64)
                        .u32(0)
                        .u64(9)
                        .u64(4096)
                        .u64(0)
                        .u64(100)
                        .u64(-200)
                        .u64(0)
                        .u32(1)
                        .u32(2)
                        .u32(0)
                        .u32(0644)
                        .u32(0)
                        .u32(1)
                        .u32(2)
                        .u32(0),
                new Request.SetAttr(HEADER, 127, 9, 4096, 100_000_000_001L, -199_999_999_998L, 0644, 1, 2));
        same(Image.request(5), new Request.ReadLink(HEADER));
        same(Image.request(6).text("l").text("to/there"), new Request.Symlink(HEADER, bytes("l"), bytes("to/there")));
        same(
                Image.request(8).u32(0020600).u32(259).u32(022).u32(0).text("n"),
                new Request.MkNod(HEADER, bytes("n"), 0020600, 259, 022));
        same(Image.request(9).u32(0755).u32(022).text("d"), new Request.MkDir(HEADER, bytes("d"), 0755, 022));
        same(Image.request(10).text("u"), new Request.Unlink(HEADER, bytes("u")));
        same(Image.request(11).text("r"), new Request.RmDir(HEADER, bytes("r")));
        same(Image.request(12).u64(8).text("a").text("b"), new Request.Rename(HEADER, bytes("a"), 8, bytes("b"), 0));
        same(
                Image.request(45).u64(8).u32(2).u32(0).text("a").text("b"),
                new Request.Rename(HEADER, bytes("a"), 8, bytes("b"), 2));
        same(Image.request(13).u64(5).text("h"), new Request.Link(HEADER, 5, bytes("h")));
        same(Image.request(14).u32(0x8001).u32(1), new Request.Open(HEADER, 0x8001, true));
        same(
                Image.request(15)
                        .u64(9)
                        .u64(1L << 40)
                        .u32(131072)
                        .u32(0)
                        .u64(0)
                        .u32(0)
                        .u32(0),
                new Request.Read(HEADER, 9, 1L << 40, 131072));
        same(Image.request(17), new Request.StatFs(HEADER));
        same(Image.request(18).u64(9).u32(0).u32(0).u64(0), new Request.Release(HEADER, 9));
        same(Image.request(20).u64(9).u32(1).u32(0), new Request.Fsync(HEADER, 9, true));
        same(
                Image.request(21).u32(3).u32(1).u32(1).u32(0).text("user.k").raw((byte) 1, (byte) 0, (byte) 3),
                new Request.SetXattr(HEADER, bytes("user.k"), new byte[] {1, 0, 3}, 1, true));
        same(Image.request(22).u32(64).u32(0).text("user.k"), new Request.GetXattr(HEADER, bytes("user.k"), 64));
        same(Image.request(23).u32(64).u32(0), new Request.ListXattr(HEADER, 64));
        same(Image.request(24).text("user.k"), new Request.RemoveXattr(HEADER, bytes("user.k")));
        same(Image.request(25).u64(9).u32(0).u32(0).u64(77), new Request.Flush(HEADER, 9, 77));
        var range = new Request.LockRange(77, 3, Long.MAX_VALUE, Request.LockRange.EXCLUSIVE, 4321, false);
        same(lock(31, 1, 0), new Request.GetLock(HEADER, 9, range));
        same(lock(32, 1, 0), new Request.SetLock(HEADER, 9, range, false));
        same(lock(33, 1, 0), new Request.SetLock(HEADER, 9, range, true));
        same(
                lock(33, 2, 1),
                new Request.SetLock(
                        HEADER,
                        9,
                        new Request.LockRange(77, 3, Long.MAX_VALUE, Request.LockRange.NONE, 4321, true),
                        true));
        assertThatThrownBy(() -> decode(lock(32, 3, 0))).hasMessageContaining("lock type 3");
        same(Image.request(27).u32(0).u32(0), new Request.OpenDir(HEADER));
        same(
                Image.request(28).u64(9).u64(3).u32(4096).u32(0).u64(0).u32(0).u32(0),
                new Request.ReadDir(HEADER, 9, 3, 4096, false));
        same(
                Image.request(44).u64(9).u64(3).u32(4096).u32(0).u64(0).u32(0).u32(0),
                new Request.ReadDir(HEADER, 9, 3, 4096, true));
        same(Image.request(29).u64(9).u32(0).u32(0).u64(0), new Request.ReleaseDir(HEADER, 9));
        same(Image.request(30).u64(9).u32(0).u32(0), new Request.FsyncDir(HEADER, 9, false));
        same(
                Image.request(35).u32(0x42).u32(0100640).u32(022).u32(0).text("c"),
                new Request.Create(HEADER, bytes("c"), 0x42, 0100640, 022));
        same(
                Image.request(51).u32(0x410002).u32(0100600).u32(022).u32(0).text("/"),
                new Request.TmpFile(HEADER, 0x410002, 0100600, 022));
        same(Image.request(36).u64(42), new Request.Interrupt(HEADER, 42));
        same(Image.request(38), new Request.Destroy(HEADER));
        same(Image.request(43).u64(9).u64(1).u64(2).u32(3).u32(0), new Request.Fallocate(HEADER, 9, 1, 2, 3));
        same(Image.request(46).u64(9).u64(1).u32(4).u32(0), new Request.Lseek(HEADER, 9, 1, 4));
        same(
                Image.request(47).u64(9).u64(1).u64(78).u64(10).u64(2).u64(3).u64(0),
                new Request.CopyFileRange(HEADER, 9, 1, 10, 2, 3, false));
        same(
                Image.request(53)
                        .u64(9)
                        .u64(1)
                        .u64(78)
                        .u64(10)
                        .u64(2)
                        .u64(1L << 33)
                        .u64(0),
                new Request.CopyFileRange(HEADER, 9, 1, 10, 2, 1L << 33, true));
        same(
                Image.request(39)
                        .u64(9)
                        .u32(1)
                        .u32(0x40086602)
                        .u64(0)
                        .u32(4)
                        .u32(28)
                        .u32(16),
                new Request.Ioctl(HEADER, 0x40086602, new byte[] {16, 0, 0, 0}, 28));
        same(Image.request(50).u64(0), new Request.SyncFs(HEADER));
        same(Image.request(4711).u64(0), new Request.Unknown(HEADER, 4711));
    }

    @Test
    void timesBeyondReachAreTheFirstAndTheLast() {
        var segment = Image.request(4)
                .u32(48)
                .u32(0)
                .raw(new byte[24])
                .u64(1L << 40)
                .u64(-(1L << 40))
                .raw(new byte[40])
                .in(arena);
        var request = (Request.SetAttr) Request.decode(segment.address(), (int) segment.byteSize());
        assertThat(request.accessedNanos()).isEqualTo(Long.MAX_VALUE);
        assertThat(request.modifiedNanos()).isEqualTo(Long.MIN_VALUE);
    }

    @Test
    void theBytesOfAWriteAreNamedNotCopied() {
        var segment = Image.request(16)
                .u64(9)
                .u64(4096)
                .u32(3)
                .u32(5)
                .u64(0)
                .u32(02001)
                .u32(0)
                .raw((byte) 'a', (byte) 'b', (byte) 'c')
                .in(arena);
        var request = Request.decode(segment.address(), (int) segment.byteSize());
        assertThat(request)
                .isEqualTo(new Request.Write(
                        HEADER, 9, 4096, 3, segment.address() + Request.WRITE_PAYLOAD_OFFSET, true, true, 02001));
    }

    @Test
    void initOfANewKernelHasItsUpperFlags() {
        var init = Image.request(26).u32(7).u32(45).u32(131072).u32(1 << 30 | 1).u32(1 << 4);
        for (int i = 0; i < 11; i++) init.u32(0);
        same(init, new Request.Init(HEADER, 7, 45, 131072, 1L << 36 | 1L << 30 | 1));
        same(Image.request(26).u32(7).u32(20).u32(131072).u32(1), new Request.Init(HEADER, 7, 20, 131072, 1));
    }

    @Test
    void extensionsBehindTheRequestAreNotPartOfIt() {
        var image = new Image();
        image.u32(0)
                .u32(9)
                .u64(1)
                .u64(2)
                .u32(0)
                .u32(0)
                .u32(0)
                .u16(2)
                .u16(0)
                .u32(0755)
                .u32(0)
                .text("d");
        image.u64(1).u64(2);
        assertThat(decode(image))
                .isInstanceOfSatisfying(
                        Request.MkDir.class, r -> assertThat(r.name()).isEqualTo(bytes("d")));
    }

    @Test
    void whatIsCutShortIsRefused() {
        var whole = Image.request(16)
                .u64(9)
                .u64(0)
                .u32(5000)
                .u32(0)
                .u64(0)
                .u32(0)
                .u32(0)
                .raw(new byte[4999]);
        assertThatThrownBy(() -> decode(whole)).isInstanceOf(ProtocolException.class);
        assertThatThrownBy(() -> decode(Image.request(1).raw((byte) 'x'))).hasMessageContaining("unterminated");
        assertThatThrownBy(() -> decode(Image.request(12).u64(1).text("a"))).hasMessageContaining("unterminated");
        assertThatThrownBy(() -> decode(Image.request(4).u64(0))).isInstanceOf(ProtocolException.class);
        assertThatThrownBy(() -> decode(Image.request(42).u32(1 << 28).u32(0))).isInstanceOf(ProtocolException.class);
        assertThatThrownBy(() -> decode(Image.request(21).u32(-1).u32(0).u64(0).text("n")))
                .isInstanceOf(ProtocolException.class);
        var segment = Image.request(17).in(arena);
        assertThatThrownBy(() -> Request.decode(segment.address(), 39)).isInstanceOf(ProtocolException.class);
    }

    /** Whatever the bytes are, the answer is a request or a ProtocolException. */
    @Test
    void randomBytesNeverDoAnythingElse() {
        long seed = new Random().nextLong();
        System.out.println("RequestTest seed " + seed);
        var random = new Random(seed);
        for (int i = 0; i < 200_000; i++) {
            var body = new byte[random.nextInt(120)];
            random.nextBytes(body);
            var image = Image.request(random.nextInt(56)).raw(body);
            try (var own = Arena.ofConfined()) {
                MemorySegment segment = image.in(own);
                if (random.nextInt(8) == 0) segment.set(ValueLayout.JAVA_SHORT, 36, (short) random.nextInt(8));
                assertThat(Request.decode(segment.address(), (int) segment.byteSize())
                                .header()
                                .unique())
                        .isEqualTo(HEADER.unique());
            } catch (ProtocolException expected) {
                assertThat(expected).hasMessageContaining("opcode");
            }
        }
    }
}
