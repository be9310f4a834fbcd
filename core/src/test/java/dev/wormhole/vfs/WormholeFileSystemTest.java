// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static dev.wormhole.vfs.Program.O_APPEND;
import static dev.wormhole.vfs.Program.O_CREAT;
import static dev.wormhole.vfs.Program.O_EXCL;
import static dev.wormhole.vfs.Program.O_RDWR;
import static dev.wormhole.vfs.Program.O_TRUNC;
import static dev.wormhole.vfs.Program.async;
import static dev.wormhole.vfs.Program.ok;
import static dev.wormhole.vfs.Program.refusal;
import static dev.wormhole.vfs.SimulatedNetwork.within10Seconds;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Acl;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeFlags;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Command.RenameMode;
import dev.wormhole.namespace.Command.XattrMode;
import dev.wormhole.namespace.SliceRecord;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class WormholeFileSystemTest {
    private static final FileSystem.Caller CALLER = new FileSystem.Caller(1000, 1000, 1, 0);

    private SimulatedNetwork network;
    private SimulatedNetwork.Pod podA;
    private SimulatedNetwork.Pod podB;
    private Program a;
    private Program b;

    @BeforeEach
    void start() throws Exception {
        network = new SimulatedNetwork();
        // nothing is committed in the background unless the test asks for it
        network.settings = SimulatedNetwork.settings(Duration.ofHours(1), Duration.ofSeconds(5));
        podA = network.add();
        podB = network.add();
        a = podA.program();
        b = podB.program();
    }

    @AfterEach
    void stop() throws IOException {
        network.close();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, UTF_8);
    }

    private List<SliceRecord> slices(SimulatedNetwork.Pod pod, InodeId inode) {
        return pod.view().extents(inode, 0, Long.MAX_VALUE).stream()
                .map(extent -> pod.view().slice(extent.slice()))
                .toList();
    }

    // ---- bytes

    @Test
    void whatIsWrittenIsReadOnThisPodAtOnceAndElsewhereAfterClose() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 0, bytes("hello"));
        assertThat(text(a.read(handle, 0, 100))).isEqualTo("hello");
        assertThat(a.stat("f").size()).isEqualTo(5);
        assertThat(b.stat("f").size()).isZero();
        a.close(handle);
        assertThat(text(b.content("f"))).isEqualTo("hello");
    }

    @Test
    void anFsyncOfAnAppendedBlockIsOneCommandThatNamesBothHolders() throws Exception {
        a.put("log", new byte[10_000]);
        long handle = a.open("log", O_RDWR);
        for (int i = 0; i < 5; i++) {
            long before = network.lastIndex();
            a.write(handle, 10_000 + i * 4_096L, new byte[4_096]);
            a.sync(handle);
            assertThat(network.commandsAfter(before)).hasSize(1).first().isInstanceOf(Command.Write.class);
        }
        long before = network.lastIndex();
        a.sync(handle);
        a.close(handle);
        assertThat(network.lastIndex()).isEqualTo(before);
        for (SliceRecord slice : slices(podA, a.inode("log"))) {
            assertThat(slice.heldBy(podA.incarnation())).isTrue();
            assertThat(slice.heldBy(podB.incarnation())).isTrue();
        }
    }

    @Test
    void anAppendHandleCommitsManyWritesWithOneCommand() throws Exception {
        long handle = a.open("log", O_RDWR | O_CREAT | O_APPEND);
        long before = network.lastIndex();
        for (int i = 0; i < 100; i++) a.write(handle, 0, bytes("line " + i + "\n"));
        a.sync(handle);
        assertThat(network.commandsAfter(before)).hasSize(1).first().isInstanceOf(Command.Append.class);
        assertThat(text(b.content("log"))).startsWith("line 0\nline 1\n").endsWith("line 99\n");
    }

    @Test
    void bytesWrittenWhileOlderOnesAreCommittedAreSeenOverThem() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 0, bytes("aaaaaaaaaa"));
        podA.pause();
        CompletableFuture<Void> closing = async(() -> ok(a.files().flush(handle)));
        synchronized (network) {
            while (network.commandsAfter(0).stream().noneMatch(Command.Write.class::isInstance)) network.wait(10);
        }
        a.write(handle, 3, bytes("bbb"));
        assertThat(text(a.read(handle, 0, 100))).isEqualTo("aaabbbaaaa");
        a.write(handle, 9, bytes("ccc"));
        assertThat(text(a.read(handle, 0, 100))).isEqualTo("aaabbbaaaccc");
        podA.resume();
        within10Seconds(closing);
        assertThat(text(a.read(handle, 0, 100))).isEqualTo("aaabbbaaaccc");
        a.close(handle);
        assertThat(text(b.content("f"))).isEqualTo("aaabbbaaaccc");
    }

    @Test
    void aFileLargerThanASliceIsWrittenInSlicesAndReadWhole() throws Exception {
        byte[] large = new byte[(int) (2 * Generation.SLICE_BYTES + 12_345)];
        new java.util.Random(7).nextBytes(large);
        long handle = a.open("large", O_RDWR | O_CREAT);
        for (int at = 0; at < large.length; at += 1 << 20)
            a.write(handle, at, java.util.Arrays.copyOfRange(large, at, Math.min(large.length, at + (1 << 20))));
        assertThat(java.util.Arrays.mismatch(a.read(handle, 0, large.length + 1), large))
                .isEqualTo(-1);
        a.close(handle);
        assertThat(slices(podA, a.inode("large"))).hasSize(3);
        assertThat(java.util.Arrays.mismatch(b.content("large"), large)).isEqualTo(-1);
    }

    @Test
    void holesReadAsZerosAndTheEndIsTheEnd() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 100_000, bytes("x"));
        assertThat(a.read(handle, 99_999, 10)).containsExactly(0, 'x');
        a.truncate(handle, a.inode("f"), 50_000);
        assertThat(a.read(handle, 49_990, 100)).isEqualTo(new byte[10]);
        assertThat(a.read(handle, 50_000, 100)).isEmpty();
        a.write(handle, 60_000, bytes("y"));
        assertThat(a.read(handle, 59_999, 10)).containsExactly(0, 'y');
        a.close(handle);
        assertThat(b.stat("f").size()).isEqualTo(60_001);
        assertThat(b.stat("f").allocatedBytes()).isEqualTo(1);
    }

    @Test
    void bytesThatAreNotHereAreReadFromTheirHolder() throws Exception {
        network.wish = new Replication.Wish(1, 1, false);
        a.put("only-on-a", bytes("from a"));
        assertThat(slices(podB, b.inode("only-on-a")).getFirst().heldBy(podB.incarnation()))
                .isFalse();
        assertThat(text(b.content("only-on-a"))).isEqualTo("from a");
        podB.disconnected = true;
        long handle = ok(b.files().open(b.inode("only-on-a"), 0)).handle();
        assertThatThrownBy(() -> b.read(handle, 0, 10))
                .isInstanceOf(IOException.class)
                .isNotInstanceOf(DisconnectedException.class);
    }

    @Test
    void seekFindsDataAndHolesCommittedOrNot() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 10, bytes("0123456789"));
        a.sync(handle);
        a.write(handle, 20, bytes("0123456789"));
        a.write(handle, 100, bytes("x"));
        ok(a.files().allocate(handle, 200, 100, 0));
        assertThat(ok(a.files().seek(handle, 0, 3))).isEqualTo(10);
        assertThat(ok(a.files().seek(handle, 0, 4))).isEqualTo(0);
        assertThat(ok(a.files().seek(handle, 10, 4))).isEqualTo(30);
        assertThat(ok(a.files().seek(handle, 30, 3))).isEqualTo(100);
        assertThat(ok(a.files().seek(handle, 100, 4))).isEqualTo(101);
        assertThat(refusal(() -> ok(a.files().seek(handle, 101, 3)))).isEqualTo(Errno.ENXIO);
        assertThat(refusal(() -> ok(a.files().seek(handle, 300, 4)))).isEqualTo(Errno.ENXIO);
    }

    @Test
    void copyRangeSharesSlicesAndKeepsHoles() throws Exception {
        long from = a.open("from", O_RDWR | O_CREAT);
        a.write(from, 0, bytes("0123456789"));
        a.write(from, 20, bytes("abcdefghij"));
        a.put("to", bytes("####################################################"));
        long to = a.open("to", O_RDWR);
        assertThat(ok(a.files().copyRange(from, 5, to, 10, 100))).isEqualTo(25);
        assertThat(text(a.read(to, 0, 100)).replace('\0', '.'))
                .isEqualTo("##########56789..........abcdefghij#################");
        assertThat(a.stat("to").size()).isEqualTo(52);
        assertThat(refusal(() -> ok(a.files().copyRange(to, 0, to, 5, 10)))).isEqualTo(Errno.EINVAL);
        a.unlink("from");
        a.close(from);
        a.close(to);
        network.settle();
        network.collect();
        assertThat(text(b.content("to"))).contains("abcdefghij");
    }

    @Test
    void timesSetAfterAWriteStay() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 0, bytes("old file"));
        ok(a.files()
                .setAttributes(
                        a.inode("f"),
                        handle,
                        new FileSystem.Changes(null, null, null, null, 111L, 222L, false, false)));
        a.close(handle);
        for (Program program : List.of(a, b)) {
            Attributes seen = program.stat("f");
            assertThat(seen.modifiedNanos()).isEqualTo(222);
            assertThat(seen.accessedNanos()).isEqualTo(111);
        }
    }

    @Test
    void readingSetsTheAccessTimeHereWithoutTheLog() throws Exception {
        a.put("f", bytes("text"));
        Attributes before = a.stat("f");
        long index = network.lastIndex();
        a.content("f");
        assertThat(a.stat("f").accessedNanos()).isGreaterThan(before.accessedNanos());
        assertThat(network.lastIndex()).isEqualTo(index);
        ok(a.files()
                .setAttributes(
                        a.inode("f"), 0, new FileSystem.Changes(0600, null, null, null, null, null, false, false)));
        assertThat(b.stat("f").accessedNanos()).isEqualTo(a.stat("f").accessedNanos());
    }

    // ---- several pods

    @Test
    void appendsOfTwoPodsAreAllThereAndWhole() throws Exception {
        long onA = a.open("log", O_RDWR | O_CREAT | O_APPEND);
        long onB = b.open("log", O_RDWR | O_APPEND);
        long alsoOnB = b.open("log", O_RDWR | O_APPEND);
        var work = new ArrayList<CompletableFuture<?>>();
        for (var writer : List.of(List.of("a", onA), List.of("b", onB), List.of("c", alsoOnB))) {
            String name = (String) writer.get(0);
            long handle = (Long) writer.get(1);
            Program program = name.equals("a") ? a : b;
            work.add(async(() -> {
                for (int i = 0; i < 200; i++) {
                    program.write(handle, 0, bytes(name + " writes line " + i + "\n"));
                    if (i % 17 == 0) program.sync(handle);
                }
                program.close(handle);
                return null;
            }));
        }
        for (var one : work) within10Seconds(one);
        String log = text(a.content("log"));
        assertThat(text(b.content("log"))).isEqualTo(log);
        for (String name : List.of("a", "b", "c")) {
            var lines = log.lines().filter(line -> line.startsWith(name)).toList();
            assertThat(lines).hasSize(200);
            for (int i = 0; i < 200; i++) assertThat(lines.get(i)).isEqualTo(name + " writes line " + i);
        }
        assertThat(log.lines()).hasSize(600);
    }

    @Test
    void aCreationThatMeetsANewSymbolicLinkHasTheKernelLookAgain() throws Exception {
        var link = FileName.of("link");
        ok(b.files().make(CALLER, InodeId.ROOT, link, FileType.SYMLINK, 0777, 0, bytes("target")));
        assertThat(refusal(() -> ok(a.files().create(CALLER, InodeId.ROOT, link, 0644, O_RDWR | O_CREAT))))
                .isEqualTo(Errno.ESTALE);
        assertThat(refusal(() -> ok(a.files().create(CALLER, InodeId.ROOT, link, 0644, O_RDWR | O_CREAT | O_EXCL))))
                .isEqualTo(Errno.EEXIST);
    }

    @Test
    void aSymbolicLinkThatIsGoneHasTheKernelLookAgain() throws Exception {
        ok(b.files().make(CALLER, InodeId.ROOT, FileName.of("link"), FileType.SYMLINK, 0777, 0, bytes("target")));
        InodeId inode = a.inode("link");
        assertThat(text(ok(a.files().readSymlink(inode)))).isEqualTo("target");
        b.unlink("link");
        while (podA.view().attributes(inode) != null) network.collect();
        assertThat(refusal(() -> ok(a.files().readSymlink(inode)))).isEqualTo(Errno.ESTALE);
        assertThat(refusal(() -> ok(a.files().readSymlink(InodeId.ROOT)))).isEqualTo(Errno.EINVAL);
    }

    @Test
    void aFileUnlinkedElsewhereIsUsedOnUntilItsLastClose() throws Exception {
        a.put("f", bytes("still here"));
        long handle = b.open("f", O_RDWR);
        InodeId inode = b.inode("f");
        a.unlink("f");
        network.settle();
        network.collect();
        network.collect();
        assertThat(text(b.read(handle, 0, 100))).isEqualTo("still here");
        b.write(handle, 0, bytes("STILL"));
        b.sync(handle);
        assertThat(text(b.read(handle, 0, 100))).isEqualTo("STILL here");
        assertThat(ok(b.files().attributes(inode, handle)).attributes().links()).isZero();
        assertThat(refusal(() -> b.open("f", 0))).isEqualTo(Errno.ENOENT);
        assertThat(refusal(() -> ok(a.files().open(inode, 0)))).isEqualTo(Errno.ESTALE);
        assertThat(podA.view().orphans(null, 10)).hasSize(1);
        b.write(handle, 0, bytes("nobody will see this"));
        b.files().release(handle);
        while (!podA.view().orphans(null, 10).isEmpty()) network.collect();
        assertThat(podA.view().attributes(inode)).isNull();
        network.collect();
        assertThat(podA.view().totals().slices()).isZero();
    }

    @Test
    void anOrphanIsNotAcknowledgedBeforeItsHoldIsCommitted() throws Exception {
        a.put("f", bytes("x"));
        long handle = b.open("f", 0);
        network.settle();
        long before = podB.files().acknowledgeableIndex();
        assertThat(before).isEqualTo(network.lastIndex());
        podB.disconnected = true; // it still applies, but its hold cannot be proposed
        a.unlink("f");
        long unlinked = network.lastIndex();
        podB.awaitApplied(unlinked);
        assertThat(podB.files().acknowledgeableIndex()).isLessThan(unlinked);
        podB.disconnected = false;
        while (podB.files().acknowledgeableIndex() < unlinked) Thread.onSpinWait();
        podA.awaitApplied(network.lastIndex());
        assertThat(podA.view().orphans(null, 10).getFirst().holders()).contains(podB.incarnation());
        b.files().release(handle);
    }

    @Test
    void anUnnamedFileCanBeGivenAName() throws Exception {
        FileSystem.Created created = ok(a.files().createUnnamed(CALLER, InodeId.ROOT, 0600, O_RDWR));
        long handle = created.opened().handle();
        InodeId inode = created.entry().attributes().inode();
        a.write(handle, 0, bytes("born later"));
        network.settle();
        network.collect();
        ok(a.files().link(inode, InodeId.ROOT, FileName.of("named")));
        a.close(handle);
        assertThat(text(b.content("named"))).isEqualTo("born later");
        network.settle();
        network.collect();
        assertThat(text(b.content("named"))).isEqualTo("born later");
    }

    @Test
    void errorsAreThoseOfTheNewestStateNotOfAnOldView() throws Exception {
        a.put("f", bytes("1"));
        b.stat("f");
        podB.pause();
        a.unlink("f");
        a.put("g", bytes("2"));
        CompletableFuture<Errno> unlinked = async(() -> refusal(() -> {
            b.unlink("f");
            return null;
        }));
        CompletableFuture<Errno> created = async(() ->
                refusal(() -> ok(b.files().create(CALLER, InodeId.ROOT, FileName.of("g"), 0644, O_RDWR | O_EXCL))));
        CompletableFuture<byte[]> opened = async(() -> {
            var file = ok(b.files().create(CALLER, InodeId.ROOT, FileName.of("g"), 0644, O_RDWR));
            return b.read(file.opened().handle(), 0, 10);
        });
        podB.resume();
        assertThat(within10Seconds(unlinked)).isEqualTo(Errno.ENOENT);
        assertThat(within10Seconds(created)).isEqualTo(Errno.EEXIST);
        assertThat(text(within10Seconds(opened))).isEqualTo("2");
    }

    @Test
    void aRenameOverSomethingThatChangedMeanwhileStillReplacesIt() throws Exception {
        a.put("tmp", bytes("new"));
        a.put("f", bytes("old"));
        b.stat("f");
        podB.pause();
        a.unlink("f");
        a.put("f", bytes("other"));
        CompletableFuture<Void> renamed = async(() -> ok(b.files()
                .rename(InodeId.ROOT, FileName.of("tmp"), InodeId.ROOT, FileName.of("f"), RenameMode.REPLACE)));
        podB.resume();
        within10Seconds(renamed);
        assertThat(text(a.content("f"))).isEqualTo("new");
        assertThat(refusal(() -> a.stat("tmp"))).isEqualTo(Errno.ENOENT);
        assertThat(refusal(() -> ok(a.files()
                        .rename(
                                InodeId.ROOT,
                                FileName.of("f"),
                                InodeId.ROOT,
                                FileName.of("none"),
                                RenameMode.EXCHANGE))))
                .isEqualTo(Errno.ENOENT);
    }

    @Test
    void pagesAreKeptWhileOnlyThisPodChangesTheFile() throws Exception {
        a.put("f", bytes("one"));
        FileSystem.Opened first = a.opened("f", O_RDWR);
        a.write(first.handle(), 0, bytes("two"));
        a.close(first.handle());
        FileSystem.Opened second = a.opened("f", O_RDWR);
        assertThat(second.keepCache()).isTrue();
        a.truncate(second.handle(), a.inode("f"), 1);
        assertThat(a.opened("f", 0).keepCache()).isTrue();
        assertThat(podA.pagesDropped).isEmpty();

        b.put("f", bytes("three"));
        network.settle();
        assertThat(podA.pagesDropped).contains(a.inode("f"));
        assertThat(a.opened("f", 0).keepCache()).isFalse();
        assertThat(a.opened("f", 0).keepCache()).isTrue();
    }

    /** The kernel raises a size before it drops pages: what it reads in between are zeros behind the old end. */
    @Test
    void aFileThatAnotherPodAddsToIsReadPastTheKernelsPages() throws Exception {
        b.put("log", bytes("one\n"));
        assertThat(text(a.content("log"))).isEqualTo("one\n");
        assertThat(a.opened("log", 0).directIo()).isFalse();
        long handle = b.open("log", O_RDWR | O_APPEND);
        b.write(handle, 0, bytes("two\n"));
        b.close(handle);
        network.settle();
        FileSystem.Opened growing = a.opened("log", 0);
        assertThat(growing.directIo()).isTrue();
        assertThat(growing.keepCache()).isFalse();
        assertThat(text(a.read(growing.handle(), 0, 100))).isEqualTo("one\ntwo\n");
        assertThat(b.opened("log", 0).directIo()).isFalse();
    }

    /** Also when the directory's times are set back, as archivers do. */
    @Test
    void listingsAreKeptUntilADirectoryChangesOrItsNamesAreOld() throws Exception {
        var valid = new AtomicLong(TimeUnit.HOURS.toNanos(1));
        var meanwhile = new AtomicReference<Runnable>(() -> {});
        ValidityPolicy none = ValidityPolicy.NONE;
        network.settings = SimulatedNetwork.settings(
                () -> FileSystemSettings.Fsync.REPLICATED,
                new ValidityPolicy() {
                    @Override
                    public long entryNanos(InodeId directory) {
                        long answer = valid.get();
                        meanwhile.getAndSet(() -> {}).run();
                        return answer;
                    }

                    @Override
                    public long attributesNanos(InodeId inode) {
                        return none.attributesNanos(inode);
                    }

                    @Override
                    public long namesChanged(InodeId directory) {
                        return none.namesChanged(directory);
                    }

                    @Override
                    public long attributesChanged(InodeId inode, boolean own) {
                        return none.attributesChanged(inode, own);
                    }

                    @Override
                    public long everythingChanged() {
                        return none.everythingChanged();
                    }

                    @Override
                    public void podsChanged() {}
                },
                Duration.ofHours(1),
                Duration.ofMillis(1));
        SimulatedNetwork.Pod pod = network.add();
        Program c = pod.program();
        InodeId dir = a.mkdir("dir");
        network.settle();
        assertThat(ok(c.files().openDirectory(dir)).keepCache()).isFalse();
        assertThat(ok(c.files().openDirectory(dir)).keepCache()).isTrue();

        Attributes before = c.stat("dir");
        ok(b.files().make(CALLER, dir, FileName.of("new"), FileType.FIFO, 0644, 0, new byte[0]));
        ok(b.files()
                .setAttributes(
                        dir,
                        0,
                        new FileSystem.Changes(null, null, null, null, null, before.modifiedNanos(), false, false)));
        assertThat(ok(c.files().openDirectory(dir)).keepCache()).isFalse();
        assertThat(pod.pagesDropped).contains(dir);
        assertThat(ok(c.files().openDirectory(dir)).keepCache()).isTrue();

        // another pod changes it while it is being opened: a listing on its way may be from before
        ok(c.files().make(CALLER, dir, FileName.of("own"), FileType.FIFO, 0644, 0, new byte[0]));
        meanwhile.set(() -> {
            try {
                ok(b.files().make(CALLER, dir, FileName.of("newer"), FileType.FIFO, 0644, 0, new byte[0]));
                network.settle();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(ok(c.files().openDirectory(dir)).directIo()).isTrue();
        FileSystem.Opened after = ok(c.files().openDirectory(dir));
        assertThat(after.keepCache()).isFalse();
        assertThat(after.directIo()).isFalse();

        ok(c.files().make(CALLER, dir, FileName.of("own2"), FileType.FIFO, 0644, 0, new byte[0]));
        valid.set(0); // and this is how long names are believed after others changed it
        assertThat(ok(c.files().openDirectory(dir)).directIo()).isTrue();
        assertThat(ok(c.files().openDirectory(dir)).keepCache()).isFalse();
    }

    /** What is remembered of where the bytes are is of the newest version, in windows wide and narrow. */
    @Test
    void readsAnywhereInALargeSparseFileOfManyExtentsFollowChanges() throws Exception {
        long seed = Long.getLong("seed", System.nanoTime());
        System.out.println("seed " + seed);
        var random = new Random(seed);
        long[] places = new long[900];
        // many in the first two MiB, some far away and across the borders of windows
        for (int i = 0; i < places.length; i++) places[i] = i < 800 ? i * 2_500L : (i - 799) * (32L << 20) - 50;
        a.put("f", new byte[0]);
        long inA = a.open("f", O_RDWR);
        byte[] content = new byte[places.length];
        for (int i = 0; i < places.length; i++) {
            content[i] = (byte) (1 + i % 100);
            a.write(inA, places[i], filled(content[i]));
        }
        a.sync(inA);
        long inB = b.open("f", O_RDWR);
        for (int step = 0; step < 3_000; step++) {
            int i = random.nextInt(places.length);
            if (step % 40 == 0) {
                content[i] = (byte) (1 + random.nextInt(100));
                boolean byA = random.nextBoolean();
                (byA ? a : b).write(byA ? inA : inB, places[i], filled(content[i]));
                (byA ? a : b).sync(byA ? inA : inB);
                network.settle();
            }
            Program reader = random.nextBoolean() ? a : b;
            byte[] read = reader.read(reader == a ? inA : inB, places[i], 102);
            assertThat(read).as("place " + i + ", step " + step).startsWith(filled(content[i]));
            if (read.length > 100) assertThat(read[100]).isZero();
        }
    }

    private static byte[] filled(byte value) {
        var bytes = new byte[100];
        Arrays.fill(bytes, value);
        return bytes;
    }

    @Test
    void aDirectoryIsListedOnceEachWhileItChanges() throws Exception {
        InodeId dir = a.mkdir("dir");
        var stay = new TreeSet<String>();
        for (int i = 0; i < 600; i++) {
            ok(a.files().make(CALLER, dir, FileName.of("n" + i), FileType.REGULAR, 0644, 0, new byte[0]));
            if (i % 3 != 0) stay.add("n" + i);
        }
        long handle = ok(b.files().openDirectory(dir)).handle();
        var seen = new ArrayList<String>();
        long cookie = 0;
        for (int round = 0; ; round++) {
            var some = new ArrayList<FileSystem.Listed>();
            ok(b.files().list(handle, cookie, true, entry -> some.size() < 7 && some.add(entry)));
            if (some.isEmpty()) break;
            for (var entry : some) seen.add(text(entry.name()));
            cookie = some.getLast().cookie();
            if (round * 3 < 600) {
                ok(a.files().unlink(dir, FileName.of("n" + round * 3)));
                ok(a.files().make(CALLER, dir, FileName.of("new" + round), FileType.FIFO, 0644, 0, new byte[0]));
            }
        }
        assertThat(seen).startsWith(".", "..").doesNotHaveDuplicates().containsAll(stay);
        assertThat(b.list(InodeId.ROOT, 1)).containsExactly(".", "..", "dir");
        assertThat(refusal(() -> ok(a.files().removeDirectory(InodeId.ROOT, FileName.of("dir")))))
                .isEqualTo(Errno.ENOTEMPTY);
        assertThat(refusal(() -> ok(a.files().unlink(InodeId.ROOT, FileName.of("dir")))))
                .isEqualTo(Errno.EISDIR);
    }

    @Test
    void extendedAttributesAndTheirLimits() throws Exception {
        a.put("f", bytes("x"));
        InodeId inode = a.inode("f");
        ok(a.files().setXattr(inode, bytes("user.k"), bytes("v"), XattrMode.CREATE));
        network.settle();
        assertThat(ok(b.files().xattr(inode, bytes("user.k")))).isEqualTo(bytes("v"));
        assertThat(refusal(() -> ok(b.files().setXattr(inode, bytes("user.k"), bytes("w"), XattrMode.CREATE))))
                .isEqualTo(Errno.EEXIST);
        assertThat(refusal(() -> ok(a.files().setXattr(inode, new byte[256], bytes("w"), XattrMode.ANY))))
                .isEqualTo(Errno.ERANGE);
        assertThat(refusal(() -> ok(a.files().setXattr(inode, bytes("user.b"), new byte[65_537], XattrMode.ANY))))
                .isEqualTo(Errno.E2BIG);
        ok(b.files().removeXattr(inode, bytes("user.k")));
        network.settle();
        assertThat(refusal(() -> ok(a.files().xattr(inode, bytes("user.k"))))).isEqualTo(Errno.ENODATA);
    }

    // ---- safety

    @Test
    void closeDoesNotWaitForACopyThatIsSlowButALaterFsyncDoes() throws Exception {
        network.settings = SimulatedNetwork.settings(Duration.ofHours(1), Duration.ofMillis(1));
        SimulatedNetwork.Pod podC = network.add();
        Program c = podC.program();
        network.pushGate = new CountDownLatch(1);
        c.put("f", bytes("precious"));
        SliceRecord slice = slices(podC, c.inode("f")).getFirst();
        assertThat(slice.holders()).hasSize(1);

        long handle = c.open("f", O_RDWR);
        CompletableFuture<Void> syncing = async(() -> ok(c.files().sync(handle, false)));
        assertThatThrownBy(() -> syncing.get(50, java.util.concurrent.TimeUnit.MILLISECONDS))
                .isInstanceOf(java.util.concurrent.TimeoutException.class);
        network.pushGate.countDown();
        within10Seconds(syncing);
        assertThat(podA.store().isDurable(slice.slice())).isTrue();
        awaitHolders(podC, c.inode("f"), 2);
        long before = network.lastIndex();
        c.sync(handle);
        assertThat(network.lastIndex()).isEqualTo(before);
    }

    @Test
    void whatFsyncWaitsForIsAskedAtEveryFsync() throws Exception {
        var declared = new AtomicReference<>(FileSystemSettings.Fsync.REPLICATED);
        network.settings = SimulatedNetwork.settings(
                declared::get, ValidityPolicy.NONE, Duration.ofHours(1), Duration.ofMillis(1));
        Program c = network.add().program();
        network.pushGate = new CountDownLatch(1);
        long handle = c.open("f", O_RDWR | O_CREAT);
        c.write(handle, 0, bytes("x"));
        declared.set(FileSystemSettings.Fsync.LOCAL);
        within10Seconds(async(() -> ok(c.files().sync(handle, false)))); // no other pod takes the bytes

        declared.set(FileSystemSettings.Fsync.REPLICATED);
        c.write(handle, 1, bytes("y"));
        CompletableFuture<Void> syncing = async(() -> ok(c.files().sync(handle, false)));
        assertThatThrownBy(() -> syncing.get(50, java.util.concurrent.TimeUnit.MILLISECONDS))
                .isInstanceOf(java.util.concurrent.TimeoutException.class);
        network.pushGate.countDown();
        within10Seconds(syncing);
    }

    @Test
    void podsThatHaveASliceOnlyAfterItsCommitClaimItThemselves() throws Exception {
        network.settings = SimulatedNetwork.settings(Duration.ofHours(1), Duration.ofMillis(1));
        SimulatedNetwork.Pod podC = network.add();
        network.pushGate = new CountDownLatch(1);
        for (int i = 0; i < 20; i++) podC.program().put("f" + i, bytes("x"));
        long before = network.lastIndex();
        network.pushGate.countDown();
        for (int i = 0; i < 20; i++) awaitHolders(podC, podC.program().inode("f" + i), 2);
        assertThat(network.commandsAfter(before))
                .allSatisfy(command -> assertThat(command)
                        .isInstanceOfSatisfying(
                                Command.AddHolders.class,
                                claim -> assertThat(claim.holder()).isEqualTo(podA.incarnation())));
    }

    @Test
    void aPodThatHasASliceBeforeItsCommitAndIsNotNamedClaimsItWhenItAppliesTheCommit() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 0, bytes("x"));
        podA.losesPushAnswers = true;
        a.close(handle);
        awaitHolders(podA, a.inode("f"), 2);
    }

    /** Waits until the log says that so many pods have the file's only slice. */
    private void awaitHolders(SimulatedNetwork.Pod pod, InodeId inode, int holders) throws InterruptedException {
        synchronized (network) {
            while (slices(pod, inode).getFirst().holders().size() < holders) network.wait(10);
        }
    }

    @Test
    void aFileClosedByAPodThatIsAloneIsMadeSafeByAnFsyncOnceAnotherIsThere() throws Exception {
        podB.kill(1);
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 0, bytes("alone"));
        a.sync(handle);
        assertThat(slices(podA, a.inode("f")).getFirst().holders()).hasSize(1);
        podB.start();
        a.sync(handle);
        assertThat(podB.store().isDurable(slices(podA, a.inode("f")).getFirst().slice()))
                .isTrue();
        awaitHolders(podA, a.inode("f"), 2);
        a.close(handle);
    }

    @Test
    void aDiskThatFailsOnceIsToldAndLosesNothing() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 0, bytes("0123456789"));
        podA.store().failingSyncs.set(1);
        assertThatThrownBy(() -> a.files().sync(handle, false)).isInstanceOf(IOException.class);
        assertThat(text(a.read(handle, 0, 100))).isEqualTo("0123456789");
        a.write(handle, 5, bytes("abc"));
        a.sync(handle);
        assertThat(text(a.read(handle, 0, 100))).isEqualTo("01234abc89");
        a.close(handle);
        assertThat(text(b.content("f"))).isEqualTo("01234abc89");
    }

    @Test
    void aCommitRefusedBecauseItsSliceWasDiscardedIsMadeAgainFromOtherSlices() throws Exception {
        podA.keepsDiscarded = true;
        for (int flags : new int[] {O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_APPEND}) {
            String name = "f" + flags;
            long handle = a.open(name, flags);
            podA.store().staged.clear();
            a.write(handle, 0, bytes("first "));
            a.write(handle, 6, bytes("second"));
            podB.await(new Command.Abandon(
                    new ArrayList<SliceId>(podA.store().staged.keySet())));
            network.settle();
            CompletableFuture<Void> refused = async(() -> ok(a.files().flush(handle)));
            assertThatThrownBy(() -> within10Seconds(refused)).isInstanceOf(IOException.class);
            a.close(handle);
            assertThat(text(b.content(name))).hasSize(12).isEqualTo("first second");
        }
    }

    @Test
    void bytesThatAreLostAreToldOnceToEveryHandle() throws Exception {
        long one = a.open("f", O_RDWR | O_CREAT);
        long two = a.open("f", O_RDWR);
        podA.store().staged.clear();
        a.write(one, 0, bytes("doomed"));
        podA.store().failingSyncs.set(1);
        assertThatThrownBy(() -> a.files().flush(one)).isInstanceOf(IOException.class);
        podA.store().delete(podA.store().staged.keySet()); // the disk has them no more
        assertThatThrownBy(() -> a.files().flush(one)).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> a.files().flush(two)).isInstanceOf(IOException.class);
        a.close(one);
        a.close(two);
    }

    @Test
    void aFullNetworkRefusesTheWriteAndKeepsWhatIsThere() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 0, bytes("kept"));
        a.sync(handle);
        podA.store().full = true;
        podB.store().full = true;
        assertThat(refusal(() -> ok(a.files().write(handle, 4, ByteBuffer.wrap(bytes("no")), 0))))
                .isEqualTo(Errno.ENOSPC);
        podA.store().full = false;
        podB.store().full = false;
        a.close(handle);
        assertThat(text(b.content("f"))).isEqualTo("kept");
    }

    @Test
    void aPodWithoutNetworkAnswersFromWhatItHasAndRefusesChanges() throws Exception {
        a.put("f", bytes("here"));
        network.settle();
        long handle = b.open("f", O_RDWR);
        b.write(handle, 0, bytes("H"));
        podB.disconnected = true;
        assertThat(text(b.read(handle, 0, 10))).isEqualTo("Here");
        assertThat(refusal(() -> ok(b.files().flush(handle)))).isEqualTo(Errno.EROFS);
        assertThat(refusal(() -> ok(b.files().write(handle, 0, ByteBuffer.wrap(bytes("x")), 0))))
                .isEqualTo(Errno.EROFS);
        assertThat(refusal(() -> ok(b.files().create(CALLER, InodeId.ROOT, FileName.of("n"), 0644, O_RDWR))))
                .isEqualTo(Errno.EROFS);
        assertThat(refusal(() -> {
                    b.unlink("f");
                    return null;
                }))
                .isEqualTo(Errno.EROFS);
        assertThat(refusal(() -> b.open("f", O_RDWR))).isEqualTo(Errno.EROFS);
        assertThat(b.list(InodeId.ROOT, 10)).contains("f");
        podB.disconnected = false;
        b.close(handle);
        assertThat(text(a.content("f"))).isEqualTo("Here");
    }

    /** The network is lost after a commit was sent and before it is answered: it must not be made a second time. */
    @Test
    void aCommitInDoubtIsNotRepeated() throws Exception {
        long appending = a.open("log", O_RDWR | O_CREAT | O_APPEND);
        long writing = a.open("f", O_RDWR | O_CREAT);
        a.write(appending, 0, bytes("one "));
        a.write(writing, 0, bytes("first"));
        network.settle();
        podA.pause();
        long before = network.lastIndex();
        var appended = async(() -> refusal(() -> ok(a.files().flush(appending))));
        var written = async(() -> refusal(() -> ok(a.files().flush(writing))));
        synchronized (network) {
            while (network.lastIndex() < before + 2) network.wait(10);
        }
        podA.loseNetwork();
        assertThat(appended.get(10, TimeUnit.SECONDS)).isEqualTo(Errno.EROFS);
        assertThat(written.get(10, TimeUnit.SECONDS)).isEqualTo(Errno.EROFS);
        assertThat(refusal(() -> ok(a.files().flush(writing))))
                .as("still in doubt")
                .isEqualTo(Errno.EROFS);
        b.put("f", bytes("other"));
        podA.disconnected = false;
        a.write(appending, 0, bytes("two"));
        var again = async(() -> ok(a.files().flush(appending)));
        podA.resume();
        again.get(10, TimeUnit.SECONDS);
        a.close(appending);
        a.close(writing);
        assertThat(text(b.content("log"))).isEqualTo("one two");
        assertThat(text(b.content("f"))).isEqualTo("other");
    }

    /** Whatever looks at the whole file looks at what is in it, not at its holes. */
    @Test
    @Timeout(10)
    void theLargestSparseFileIsAsQuickAsASmallOne() throws Exception {
        long last = Long.MAX_VALUE - 1;
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.truncate(handle, a.inode("f"), Long.MAX_VALUE);
        a.write(handle, last, bytes("z"));
        for (int committed = 0; committed < 2; committed++) {
            assertThat(ok(a.files().seek(handle, 0, 3))).isEqualTo(last);
            assertThat(ok(a.files().seek(handle, 0, 4))).isZero();
            assertThat(ok(a.files().seek(handle, last, 4))).isEqualTo(Long.MAX_VALUE);
            a.sync(handle);
        }
        long copy = a.open("g", O_RDWR | O_CREAT);
        assertThat(ok(a.files().copyRange(handle, last - 9, copy, 0, 10))).isEqualTo(10);
        assertThat(a.read(copy, 0, 100)).isEqualTo(bytes("\0\0\0\0\0\0\0\0\0z"));
        ok(a.files().allocate(handle, 1L << 62, (1L << 62) - 1, 3));
        a.truncate(handle, a.inode("f"), 1);
        a.close(handle);
        a.close(copy);
        assertThat(b.stat("f").size()).isEqualTo(1);
    }

    @Test
    void seekingFindsWhatIsCommittedAndWhatIsNot() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        var model = new java.util.BitSet();
        for (int i = 0; i < 3_000; i++) { // more extents than are looked at at once, some of them touching
            long at = i < 1_500 ? 10L * i : 10L * i + i % 7;
            a.write(handle, at, new byte[10]);
            model.set((int) at, (int) at + 10);
            if (i % 1_000 == 500) a.sync(handle);
        }
        int size = model.length();
        for (int at = 0; at < size; at += 13) {
            int hole = model.nextClearBit(at);
            assertThat(ok(a.files().seek(handle, at, 4))).as("hole from " + at).isEqualTo(hole);
            assertThat(ok(a.files().seek(handle, at, 3))).as("data from " + at).isEqualTo(model.nextSetBit(at));
        }
        assertThat(refusal(() -> ok(a.files().seek(handle, size, 3)))).isEqualTo(Errno.ENXIO);
        a.close(handle);
    }

    @Test
    void anImmutableFileRefusesItsOpenHandlesOnEveryPod() throws Exception {
        a.put("f", bytes("as it was"));
        InodeId f = a.inode("f");
        long here = a.open("f", O_RDWR);
        long there = b.open("f", O_RDWR);
        long paged = b.open("f", O_RDWR);
        b.write(paged, 0, bytes("A"));
        ok(a.files().setFlags(f, InodeFlags.IMMUTABLE));
        network.settle();
        assertThat(b.stat("f").flags()).isEqualTo(InodeFlags.IMMUTABLE);
        for (Program program : List.of(a, b)) {
            long handle = program == a ? here : there;
            assertThat(refusal(() -> ok(program.files().write(handle, 0, ByteBuffer.wrap(bytes("x")), 0))))
                    .isEqualTo(Errno.EPERM);
            assertThat(refusal(() -> ok(program.files().allocate(handle, 0, 100, 0))))
                    .isEqualTo(Errno.EPERM);
            assertThat(refusal(() -> program.open("f", O_RDWR))).isEqualTo(Errno.EPERM);
            assertThat(refusal(() -> program.open("f", O_RDWR | O_APPEND))).isEqualTo(Errno.EPERM);
            assertThat(refusal(() -> program.open("f", O_TRUNC))).isEqualTo(Errno.EPERM);
            assertThat(refusal(() -> {
                        program.truncate(handle, f, 0);
                        return null;
                    }))
                    .isEqualTo(Errno.EPERM);
        }
        // what programs had written into pages before is not lost, nor what was not committed yet
        ok(b.files().write(paged, 3, ByteBuffer.wrap(bytes("IT")), FileSystem.FROM_PAGES | FileSystem.AT_OFFSET));
        b.close(paged);
        assertThat(text(a.content("f"))).isEqualTo("As IT was");
        podA.pause(); // it has not applied yet what is true already
        ok(b.files().setFlags(f, 0));
        CompletableFuture<Void> written = async(() -> {
            a.write(here, 0, bytes("a"));
            return null;
        });
        podA.resume();
        within10Seconds(written);
        a.close(here);
        b.close(there);
    }

    @Test
    void aRenameOverWhatCameAndWentMeanwhileSucceeds() throws Exception {
        a.put("from", bytes("moved"));
        b.stat("from");
        podA.pause();
        b.put("to", bytes("for a moment"));
        CompletableFuture<Void> renamed = async(() -> ok(a.files()
                .rename(InodeId.ROOT, FileName.of("from"), InodeId.ROOT, FileName.of("to"), RenameMode.REPLACE)));
        synchronized (network) {
            while (network.commandsAfter(0).stream().noneMatch(Command.Rename.class::isInstance)) network.wait(10);
        }
        b.unlink("to");
        podA.resume();
        within10Seconds(renamed);
        assertThat(text(b.content("to"))).isEqualTo("moved");
    }

    /** The kernel would take the one that it had in mind for removed, and show it empty from then on. */
    @Test
    void aDirectoryThatTheKernelDoesNotMeanIsNotRemoved() throws Exception {
        FileName d = FileName.of("d");
        ok(a.files().make(CALLER, InodeId.ROOT, d, FileType.DIRECTORY, 0755, 0, new byte[0]));
        ok(b.files().make(CALLER, InodeId.ROOT, FileName.of("other"), FileType.DIRECTORY, 0755, 0, new byte[0]));
        ok(b.files().make(CALLER, InodeId.ROOT, FileName.of("third"), FileType.DIRECTORY, 0755, 0, new byte[0]));
        InodeId meant = ok(a.files().lookup(InodeId.ROOT, d)).attributes().inode();
        ok(b.files().rename(InodeId.ROOT, d, InodeId.ROOT, FileName.of("kept"), RenameMode.REPLACE));
        assertThat(refusal(() ->
                        ok(a.files().rename(InodeId.ROOT, FileName.of("third"), InodeId.ROOT, d, RenameMode.REPLACE))))
                .isEqualTo(Errno.ESTALE);
        ok(b.files().rename(InodeId.ROOT, FileName.of("other"), InodeId.ROOT, d, RenameMode.REPLACE));
        network.settle();
        assertThat(refusal(() -> ok(a.files().removeDirectory(InodeId.ROOT, d))))
                .isEqualTo(Errno.ESTALE);
        // another program's look does not tell whom the request means
        assertThat(ok(a.files().lookup(InodeId.ROOT, d)).attributes().inode()).isNotEqualTo(meant);
        assertThat(refusal(() -> ok(a.files().removeDirectory(InodeId.ROOT, d))))
                .isEqualTo(Errno.ESTALE);
        ok(b.files().removeDirectory(InodeId.ROOT, d)); // there nobody ever looked at another one
        assertThat(ok(a.files().lookup(InodeId.ROOT, FileName.of("kept")))
                        .attributes()
                        .inode())
                .isEqualTo(meant);
    }

    @Test
    void anAppendOnlyFileGrowsAndIsNeverRewritten() throws Exception {
        a.put("f", bytes("1"));
        InodeId f = a.inode("f");
        ok(a.files().setFlags(f, InodeFlags.APPEND));
        network.settle();
        assertThat(refusal(() -> b.open("f", O_RDWR))).isEqualTo(Errno.EPERM);
        assertThat(refusal(() -> b.open("f", O_RDWR | O_APPEND | O_TRUNC))).isEqualTo(Errno.EPERM);
        long handle = b.open("f", O_RDWR | O_APPEND);
        b.write(handle, 0, bytes("2"));
        assertThat(refusal(() -> ok(b.files().write(handle, 0, ByteBuffer.wrap(bytes("x")), FileSystem.AT_OFFSET))))
                .isEqualTo(Errno.EPERM);
        assertThat(refusal(() -> ok(b.files().allocate(handle, 0, 1, 3)))).isEqualTo(Errno.EPERM);
        b.close(handle);
        assertThat(text(a.content("f"))).isEqualTo("12");
        var touched = new FileSystem.Changes(null, null, null, null, 5L, 5L, false, false);
        ok(a.files().setAttributes(f, 0, touched));
        var chosen = new FileSystem.Changes(null, null, null, null, 5L, 5L, false, true);
        assertThat(refusal(() -> ok(a.files().setAttributes(f, 0, chosen)))).isEqualTo(Errno.EPERM);
    }

    @Test
    void anAppendHandleThatTookItBackWritesWhereItSays() throws Exception {
        a.put("f", bytes("0123456789"));
        long handle = a.open("f", O_RDWR | O_APPEND);
        a.write(handle, 0, bytes("ab"));
        ok(a.files().write(handle, 2, ByteBuffer.wrap(bytes("--")), FileSystem.AT_OFFSET));
        a.write(handle, 0, bytes("cd"));
        a.close(handle);
        assertThat(text(b.content("f"))).isEqualTo("01--456789abcd");
    }

    @Test
    void readingAFileThatKeepsItsAccessTimeLeavesItAsItIs() throws Exception {
        a.put("f", bytes("x"));
        a.put("g", bytes("x"));
        InodeId f = a.inode("f");
        ok(a.files().setFlags(f, InodeFlags.NOATIME));
        for (String name : List.of("f", "g")) {
            var old = new FileSystem.Changes(null, null, null, null, 5L, null, false, false);
            ok(a.files().setAttributes(a.inode(name), 0, old));
            a.content(name);
        }
        assertThat(a.stat("f").accessedNanos()).isEqualTo(5);
        assertThat(a.stat("g").accessedNanos()).isGreaterThan(5);
    }

    @Test
    void aWriteToASyncedFileIsCommittedWhenItIsAnswered() throws Exception {
        a.put("f", bytes("x"));
        ok(a.files().setFlags(a.inode("f"), InodeFlags.SYNC));
        long handle = a.open("f", O_RDWR);
        a.write(handle, 1, bytes("y"));
        network.settle();
        assertThat(text(b.content("f"))).isEqualTo("xy");
        a.close(handle);
    }

    @Test
    void aDefaultAclReachesNewFilesOnEveryPod() throws Exception {
        byte[] acl = HexFormat.of()
                .parseHex("0200000001000700ffffffff020005000500000004000700ffffffff10000700ffffffff20000400ffffffff");
        InodeId d = a.mkdir("d");
        ok(a.files().setAcl(d, true, acl, false));
        network.settle();
        var caller = new FileSystem.Caller(1000, 1000, 1, 077);
        var made = ok(b.files().create(caller, d, FileName.of("f"), 0666, O_RDWR));
        assertThat(made.entry().attributes().permissions()).isEqualTo(0664);
        b.close(made.opened().handle());
        assertThat(ok(a.files().xattr(made.entry().attributes().inode(), Acl.ACCESS)))
                .hasSize(acl.length);
        assertThat(refusal(() -> ok(a.files().setXattr(d, Acl.ACCESS, acl, Command.XattrMode.ANY))))
                .isEqualTo(Errno.EOPNOTSUPP);
        ok(b.files().setAcl(d, true, new byte[0], false));
        var plain = ok(b.files().create(caller, d, FileName.of("g"), 0666, O_RDWR));
        assertThat(plain.entry().attributes().permissions()).isEqualTo(0600);
        b.close(plain.opened().handle());
    }

    @Test
    void rulesThatForbidChangesAreKeptWhenTheFileIsOpened() throws Exception {
        a.put("f", bytes("x"));
        long before = a.open("f", O_RDWR);
        network.wish = new Replication.Wish(2, 1, true);
        assertThat(refusal(() -> a.open("f", O_RDWR))).isEqualTo(Errno.EROFS);
        assertThat(refusal(() -> a.open("f", O_TRUNC))).isEqualTo(Errno.EROFS);
        a.write(before, 0, bytes("y"));
        a.close(before);
        assertThat(text(a.content("f"))).isEqualTo("y");
        network.wish = new Replication.Wish(2, 2, false);
        podB.kill(1);
        assertThat(refusal(() -> a.open("f", O_RDWR))).isEqualTo(Errno.EROFS);
        podB.start();
        a.close(a.open("f", O_RDWR));
    }

    @Test
    void anInterruptedCloseEndsTheWaitAndNotTheCommit() throws Exception {
        long handle = a.open("f", O_RDWR | O_CREAT);
        a.write(handle, 0, bytes("slow"));
        podA.pause();
        var interrupted = new CompletableFuture<Boolean>();
        Thread closing = Thread.ofVirtual().start(() -> {
            try {
                ok(a.files().flush(handle));
                interrupted.complete(false);
            } catch (InterruptedException e) {
                interrupted.complete(true);
            } catch (Exception e) {
                interrupted.completeExceptionally(e);
            }
        });
        closing.interrupt();
        assertThat(within10Seconds(interrupted)).isTrue();
        podA.resume();
        a.close(handle);
        assertThat(text(b.content("f"))).isEqualTo("slow");
    }

    @Test
    void aFileThatStaysOpenIsCommittedAfterAWhile() throws Exception {
        network.settings = SimulatedNetwork.settings(Duration.ofMillis(1), Duration.ofMillis(20));
        SimulatedNetwork.Pod podC = network.add();
        Program c = podC.program();
        long handle = c.open("f", O_RDWR | O_CREAT);
        c.write(handle, 0, bytes("soon"));
        synchronized (network) {
            while (network.commandsAfter(0).stream().noneMatch(Command.Write.class::isInstance)) network.wait(10);
        }
        network.settle();
        assertThat(text(a.content("f"))).isEqualTo("soon");
        c.close(handle);
    }

    @Test
    void closingTheFileSystemCommitsWhatIsNew() throws Exception {
        for (int i = 0; i < 50; i++) a.write(a.open("f" + i, O_RDWR | O_CREAT), 0, bytes("x" + i));
        podA.files().close();
        for (int i = 0; i < 50; i++) assertThat(text(b.content("f" + i))).isEqualTo("x" + i);
    }

    @Test
    void writersWaitWhenTooMuchIsUncommittedAndGoOnWhenItIs() throws Exception {
        FileSystemSettings usual = SimulatedNetwork.settings(Duration.ofHours(1), Duration.ofMillis(20));
        network.settings = new FileSystemSettings(
                usual.fsync(),
                usual.onDisconnect(),
                usual.validity(),
                usual.commitAfter(),
                100_000,
                300_000,
                usual.closeWait(),
                usual.syncDeadline(),
                usual.shutdownDeadline());
        Program c = network.add().program();
        var work = new ArrayList<CompletableFuture<?>>();
        for (int file = 0; file < 4; file++) {
            String name = "f" + file;
            work.add(async(() -> {
                long handle = c.open(name, O_RDWR | O_CREAT);
                for (int i = 0; i < 100; i++) c.write(handle, i * 10_000L, new byte[10_000]);
                c.close(handle);
                return null;
            }));
        }
        for (var one : work) within10Seconds(one);
        for (int file = 0; file < 4; file++)
            assertThat(a.stat("f" + file).size()).isEqualTo(1_000_000);
    }

    @Test
    void aPodThatIsAloneMayBeBelievedForASecond() throws Exception {
        var alone = new SimulatedNetwork();
        SimulatedNetwork.Pod only = alone.add();
        ValidityPolicy policy = ValidityPolicy.shared(only, () -> 0, System::nanoTime);
        assertThat(policy.entryNanos(InodeId.ROOT)).isEqualTo(1_000_000_000);
        alone.add();
        alone.settle();
        policy.podsChanged();
        assertThat(policy.entryNanos(InodeId.ROOT)).isZero();
        alone.close();
    }
}
