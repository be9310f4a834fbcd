// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.rocksdb.Options;
import org.rocksdb.RocksDB;
import org.rocksdb.RocksDBException;
import org.rocksdb.WriteOptions;

/** What programs on one pod do, as programs on another see it, by the kernels of both. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(4 * 3600)
final class PosixIT {
    /** For longer: {@code -Dfiles.seconds=3600 -Dfiles.seed=7}. */
    private static final Duration TIME = Duration.ofSeconds(Long.getLong("files.seconds", 10));

    private Testbed bed;

    @BeforeAll
    void start() {
        bed = new Testbed(2);
        Shell.sh(bed.root, "chmod 755 ."); // users come as far as the folders
        bed.machine(1).create(2);
        bed.machine(2).join(bed.machine(1));
    }

    @AfterAll
    void stop() {
        if (bed != null) bed.close();
    }

    private Path folder(int pod) {
        return bed.machine(pod).mount;
    }

    /** A script of bash; $A and $B are a new directory by the one and by the other pod. */
    private String script(String name, String script) throws IOException {
        Files.createDirectory(folder(1).resolve(name));
        return Shell.run(
                        bed.root,
                        Map.of(),
                        List.of(
                                "bash",
                                "-ec",
                                "A=" + folder(1).resolve(name) + " B="
                                        + folder(2).resolve(name) + "\nchmod 777 $A\n"
                                        + "as() { setpriv --reuid $1 --regid $1 --clear-groups \"${@:2}\" 2>&1; }\n"
                                        + script))
                .orFail(script)
                .output()
                .strip();
    }

    @Test
    void randomOperationsOnTwoPodsInTurnGiveTheBytesOfTheModel() throws IOException {
        long seed = Long.getLong("files.seed", System.nanoTime());
        assertThat(RandomFiles.run(List.of(folder(1), folder(2)), TIME, seed)).isPositive();
    }

    @Test
    void anAclSetOnOnePodIsObeyedOnTheOther() throws IOException {
        assertThat(script("acl", """
                echo secret > $A/f; chmod 600 $A/f
                as 1234 cat $B/f | grep -o denied   # the kernel there knows that there is none
                setfacl -m u:1234:r $A/f; as 1234 cat $B/f
                setfacl -x u:1234 $B/f; as 1234 cat $A/f | grep -o denied
                setfacl -d -m u:1234:rwx $B; (umask 077; echo new > $A/new); as 1234 cat $B/new
                getfacl -cpE $B/new | tr '\\n' ' '
                """)).isEqualTo("""
                denied
                secret
                denied
                new
                user::rw- user:1234:rwx group::rwx mask::rw- other::rw-""");
    }

    @Test
    void aFlagSetOnOnePodBindsWhatIsOpenOnTheOther() throws IOException {
        assertThat(script("flags", """
                echo old > $A/f; exec 3>> $B/f
                chattr +a $A/f; lsattr $B/f | cut -c 1-8
                echo appended >&3
                (: > $B/f) 2>&1 | grep -o 'not permitted'; rm -f $B/f 2>&1 | grep -o 'not permitted'
                chattr -a +i $B/f; (echo more >&3) 2>&1 | grep -o 'not permitted'
                mv $A/f $A/g 2>&1 | grep -o 'not permitted'
                chattr -i $A/f; echo free >&3; exec 3>&-; cat $A/f
                """)).isEqualTo("""
                -----a--
                not permitted
                not permitted
                not permitted
                not permitted
                old
                appended
                free""");
    }

    /** As a database with a log, tables and a lock file does it. */
    @Test
    void aRocksDbStoreIsUsedOnTwoPodsInTurn() throws RocksDBException {
        RocksDB.loadLibrary();
        byte[] value = new byte[300];
        int written = 0;
        for (int turn = 0; turn < 4; turn++) {
            String store = folder(1 + turn % 2).resolve("rocks").toString();
            try (var options = new Options().setCreateIfMissing(turn == 0).setWriteBufferSize(256 << 10);
                    var synced = new WriteOptions().setSync(true);
                    var plain = new WriteOptions();
                    RocksDB db = RocksDB.open(options, store)) {
                for (int i = 0; i < written; i++) {
                    value[7] = (byte) i;
                    assertThat(db.get(key(i)))
                            .as("turn " + turn + ", record " + i)
                            .isEqualTo(value);
                }
                for (int until = written + 1_500; written < until; written++) {
                    value[7] = (byte) written;
                    db.put(written % 300 == 0 ? synced : plain, key(written), value);
                }
                if (turn == 2) db.compactRange();
            }
        }
    }

    private static byte[] key(int i) {
        return ("record " + i).getBytes(StandardCharsets.US_ASCII);
    }

    /** As LMDB does it: written with pwrite, read through a mapping by several processes; what was synced survives a kill. */
    @Test
    void aMappedFileShowsWhatIsWrittenAndKeepsWhatWasSynced() throws IOException {
        assertThat(script("mapped", """
                cat > $A/../mapped.py <<'P'
                import mmap, os, signal, sys
                path, size = sys.argv[1], 1 << 20
                fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                if os.fstat(fd).st_size < size: os.ftruncate(fd, size)
                shown = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
                if sys.argv[2] == "read":
                    n = int.from_bytes(shown[:8], "little")
                    assert all(shown[p * 4096] == p % 251 for p in range(1, n + 1))
                    print(n)
                    sys.exit()
                r, w = os.pipe()
                first = int.from_bytes(shown[:8], "little")
                child = os.fork()
                for n in range(first + 1, first + 41):
                    if child == 0:  # writes a page, syncs it, and then the number of pages
                        os.pwrite(fd, bytes([n % 251]) * 4096, n * 4096); os.fdatasync(fd)
                        os.pwrite(fd, n.to_bytes(8, "little"), 0); os.fdatasync(fd)
                        os.write(w, b".")
                    else:
                        os.read(r, 1)
                        assert int.from_bytes(shown[:8], "little") >= n and shown[n * 4096 + 4095] == n % 251
                if child == 0: signal.pause()
                os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
                P
                python3 $A/../mapped.py $A/f write; python3 $B/../mapped.py $B/f read
                python3 $B/../mapped.py $B/f write; python3 $A/../mapped.py $A/f read
                """)).isEqualTo("40\n80");
    }

    @Test
    void aHandleOutlivesTheDaemon() throws IOException {
        Path program = bed.root.resolve("handle.py");
        Files.writeString(program, """
                import ctypes, os, sys
                class Handle(ctypes.Structure):
                    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("h", ctypes.c_ubyte * 128)]
                libc, h = ctypes.CDLL(None, use_errno=True), Handle()
                if sys.argv[1] == "name":
                    h.bytes = 128
                    assert libc.name_to_handle_at(-100, sys.argv[2].encode(), ctypes.byref(h), ctypes.byref(ctypes.c_int()), 0) == 0
                    open(sys.argv[3], "wb").write(bytes(h))
                else:
                    ctypes.memmove(ctypes.byref(h), open(sys.argv[3], "rb").read(), ctypes.sizeof(h))
                    fd = libc.open_by_handle_at(os.open(sys.argv[2], os.O_RDONLY), ctypes.byref(h), os.O_RDONLY)
                    print(os.read(fd, 99).decode() if fd >= 0 else "errno %d" % ctypes.get_errno())
                """);
        Path file = folder(2).resolve("a/b/f");
        Files.createDirectories(file.getParent());
        Files.writeString(file, "by its number");
        Path stored = bed.root.resolve("handle");
        Shell.sh(bed.root, "python3 " + program + " name " + file + " " + stored);
        bed.machine(2).down();
        bed.machine(2).up();
        String open = "python3 " + program + " open %s " + stored;
        assertThat(Shell.sh(bed.root, open.formatted(folder(2)))).contains("by its number");
        assertThat(Shell.sh(bed.root, open.formatted(folder(1)))).contains("by its number"); // on the other pod too
        Files.delete(file);
        assertThat(Shell.sh(bed.root, open.formatted(folder(1)))).contains("errno 116");
    }
}
