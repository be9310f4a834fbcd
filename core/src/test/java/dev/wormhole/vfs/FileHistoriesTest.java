// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import static dev.wormhole.vfs.Program.O_APPEND;
import static dev.wormhole.vfs.Program.O_CREAT;
import static dev.wormhole.vfs.Program.O_RDWR;
import static dev.wormhole.vfs.Program.O_TRUNC;
import static dev.wormhole.vfs.Program.ok;
import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Command.RenameMode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random file operations against arrays of bytes, in the manner of fsx. The seed is the test's argument; rerun with it.
 */
@Timeout(120)
class FileHistoriesTest {
    private static final int NAMES = 4;
    private static final int SIZE_MAX = 300_000;

    /** An open file and what it should hold, shared by all handles and names of the inode. */
    private record Open(Program program, long handle, InodeId inode, Bytes bytes, boolean append) {}

    private static final class Bytes {
        byte[] content = new byte[0];
        /** What a crash must not take away: null if something was changed since. */
        byte[] synced = new byte[0];

        boolean isSynced = true;

        void put(int at, byte[] bytes) {
            if (at + bytes.length > content.length) content = Arrays.copyOf(content, at + bytes.length);
            System.arraycopy(bytes, 0, content, at, bytes.length);
            isSynced = false;
        }

        void resize(int size) {
            content = Arrays.copyOf(content, size);
            isSynced = false;
        }

        void zero(int from, int to) {
            Arrays.fill(content, Math.min(from, content.length), Math.min(to, content.length), (byte) 0);
            isSynced = false;
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void onePodReadsWhatWasWritten(long seed) throws Exception {
        run(seed, 1, 1_500, false);
    }

    /** One pod at a time has files open; whatever it closed is what the other reads. */
    @ParameterizedTest
    @ValueSource(longs = {11, 12, 13, 14, 15, 16, 17, 18})
    void twoPodsInTurnReadWhatTheOtherClosed(long seed) throws Exception {
        run(seed, 2, 1_500, false);
    }

    @ParameterizedTest
    @ValueSource(longs = {21, 22, 23, 24, 25, 26, 27, 28})
    void whatWasSyncedIsThereAfterACrash(long seed) throws Exception {
        run(seed, 2, 800, true);
    }

    /** The first pod keeps some of its bytes, or none, and writes the others through. */
    @ParameterizedTest
    @ValueSource(longs = {31, 32, 33, 34, 35, 36, 37, 38})
    void aFullPodReadsWritesAndCrashesLikeAnyOther(long seed) throws Exception {
        run(seed, 2, 800, true, seed % 4 == 0 ? 0 : new Random(seed).nextLong(1 << 20));
    }

    private void run(long seed, int pods, int steps, boolean crashes) throws Exception {
        run(seed, pods, steps, crashes, 4L << 30);
    }

    private void run(long seed, int pods, int steps, boolean crashes, long firstLimitBytes) throws Exception {
        System.out.println("FileHistoriesTest seed " + seed);
        var random = new Random(seed);
        try (var network = new SimulatedNetwork()) {
            network.settings = SimulatedNetwork.settings(
                    Duration.ofMillis(random.nextBoolean() ? 1 : 3_600_000), Duration.ofMillis(random.nextInt(10)));
            network.add(firstLimitBytes);
            for (int i = 1; i < pods; i++) network.add();
            new History(network, random, seed, firstLimitBytes < 4L << 30).run(steps, crashes);
        }
    }

    private static final class History {
        private final SimulatedNetwork network;
        private final Random random;
        private final long seed;
        private final boolean firstIsFull;
        private final TreeMap<String, Bytes> names = new TreeMap<>();
        private final List<Open> open = new ArrayList<>();
        private Program program;
        private int step;

        History(SimulatedNetwork network, Random random, long seed, boolean firstIsFull) {
            this.firstIsFull = firstIsFull;
            this.network = network;
            this.random = random;
            this.seed = seed;
            program = network.pods.getFirst().program();
        }

        void run(int steps, boolean crashes) throws Exception {
            for (step = 0; step < steps; step++) {
                int kind = random.nextInt(100);
                if (kind < 2) changePod();
                else if (kind < 3 && crashes) crash();
                else if (kind < 5) collect();
                else if (kind < 15 || open.isEmpty()) openOne();
                else if (kind < 20) closeOne(random.nextInt(open.size()));
                else if (kind < 23) unlink();
                else if (kind < 26) rename();
                else use(open.get(random.nextInt(open.size())));
            }
            changePod();
            for (var pod : network.pods) {
                program = pod.program();
                checkAll();
            }
        }

        private String where() {
            return "seed " + seed + ", step " + step;
        }

        private String name() {
            return "n" + random.nextInt(NAMES);
        }

        private byte[] some(int max) {
            var bytes = new byte[1 + random.nextInt(max)];
            random.nextBytes(bytes);
            return bytes;
        }

        private void openOne() throws Exception {
            if (open.size() >= 6) return;
            String name = name();
            boolean append = random.nextInt(4) == 0;
            boolean truncate = random.nextInt(6) == 0;
            long handle = program.open(name, O_RDWR | O_CREAT | (append ? O_APPEND : 0) | (truncate ? O_TRUNC : 0));
            Bytes bytes = names.computeIfAbsent(name, key -> new Bytes());
            if (truncate && bytes.content.length > 0) bytes.resize(0);
            open.add(new Open(program, handle, program.inode(name), bytes, append));
        }

        private void closeOne(int which) throws Exception {
            Open file = open.remove(which);
            file.program.close(file.handle);
        }

        private void use(Open file) throws Exception {
            Bytes bytes = file.bytes;
            int at = random.nextInt(random.nextInt(5) == 0 ? SIZE_MAX : Math.max(1, bytes.content.length + 100));
            int size = bytes.content.length;
            switch (random.nextInt(14)) {
                case 0, 1, 2, 3 -> {
                    byte[] some = some(random.nextInt(10) == 0 ? 100_000 : 5_000);
                    if (at + some.length > SIZE_MAX) return;
                    if (file.append) at = size;
                    // a part at a time: an append must not be torn by others, but may be cut by itself
                    file.program.write(file.handle, at, some);
                    bytes.put(at, some);
                }
                case 4, 5, 6 -> check(file, at, 1 + random.nextInt(20_000));
                case 7 -> {
                    int to = random.nextInt(SIZE_MAX / 2);
                    file.program.truncate(file.handle, file.inode, to);
                    bytes.resize(to);
                }
                case 8 -> {
                    file.program.sync(file.handle);
                    bytes.synced = bytes.content.clone();
                    bytes.isSynced = true;
                }
                case 9 -> {
                    int length = 1 + random.nextInt(30_000);
                    ok(file.program.files().allocate(file.handle, at, length, 3));
                    bytes.zero(at, at + length);
                }
                case 10 -> {
                    int length = 1 + random.nextInt(30_000);
                    if (at + length > SIZE_MAX) return;
                    boolean zero = random.nextBoolean();
                    boolean keep = random.nextBoolean();
                    ok(file.program.files().allocate(file.handle, at, length, (zero ? 16 : 0) | (keep ? 1 : 0)));
                    if (zero) bytes.zero(at, at + length);
                    if (!keep && at + length > bytes.content.length) bytes.resize(at + length);
                }
                case 11 -> copy(file, open.get(random.nextInt(open.size())), at);
                case 12 -> {
                    ok(file.program.files().flush(file.handle));
                    check(file, 0, SIZE_MAX);
                }
                default ->
                    assertThat(ok(file.program.files().attributes(file.inode, file.handle))
                                    .attributes()
                                    .size())
                            .as(where())
                            .isEqualTo(size);
            }
        }

        private void copy(Open from, Open to, int toAt) throws Exception {
            if (to.append) return;
            int length = 1 + random.nextInt(50_000);
            int fromAt = random.nextInt(from.bytes.content.length + 1);
            if (toAt + length > SIZE_MAX) return;
            if (from.bytes == to.bytes && fromAt < toAt + length && toAt < fromAt + length) return;
            int expected = Math.max(0, Math.min(length, from.bytes.content.length - fromAt));
            long copied = ok(from.program.files().copyRange(from.handle, fromAt, to.handle, toAt, length));
            assertThat(copied).as(where()).isEqualTo(expected);
            if (expected > 0) to.bytes.put(toAt, Arrays.copyOfRange(from.bytes.content, fromAt, fromAt + expected));
        }

        private void check(Open file, int at, int length) throws Exception {
            byte[] expected = Arrays.copyOfRange(
                    file.bytes.content,
                    Math.min(at, file.bytes.content.length),
                    Math.min(at + length, file.bytes.content.length));
            same(file.program.read(file.handle, at, length), expected, "at " + at);
        }

        private void same(byte[] actual, byte[] expected, String what) {
            int mismatch = Arrays.mismatch(actual, expected);
            assertThat(mismatch)
                    .as(where() + ", " + what + ": " + actual.length + " and " + expected.length
                            + " bytes, first different")
                    .isEqualTo(-1);
        }

        private void unlink() throws Exception {
            String name = name();
            if (names.remove(name) != null) program.unlink(name);
        }

        private void rename() throws Exception {
            String from = name();
            String to = name();
            if (!names.containsKey(from) || from.equals(to)) return;
            boolean exchange = names.containsKey(to) && random.nextInt(3) == 0;
            ok(program.files()
                    .rename(
                            InodeId.ROOT,
                            FileName.of(from),
                            InodeId.ROOT,
                            FileName.of(to),
                            exchange ? RenameMode.EXCHANGE : RenameMode.REPLACE));
            Bytes replaced = names.put(to, names.remove(from));
            if (exchange) names.put(from, replaced);
        }

        private void changePod() throws Exception {
            while (!open.isEmpty()) closeOne(random.nextInt(open.size()));
            program = network.pods.get(random.nextInt(network.pods.size())).program();
            checkAll();
        }

        private void collect() throws Exception {
            network.settle();
            network.collect();
        }

        private void checkAll() throws Exception {
            var listed = program.list(InodeId.ROOT, 3);
            listed.removeAll(List.of(".", ".."));
            assertThat(listed).as(where()).containsExactlyInAnyOrderElementsOf(names.keySet());
            for (var file : names.entrySet())
                same(program.content(file.getKey()), file.getValue().content, file.getKey());
        }

        /** Files nobody wrote to since their sync are as they were; the others are read anew. */
        private void crash() throws Exception {
            for (Map.Entry<String, Bytes> file : names.entrySet()) {
                if (random.nextInt(3) > 0) continue;
                long handle = program.open(file.getKey(), 0);
                program.sync(handle);
                program.close(handle);
                file.getValue().synced = file.getValue().content.clone();
                file.getValue().isSynced = true;
            }
            var pod = network.pods.stream()
                    .filter(candidate -> candidate.program().files() == program.files())
                    .findFirst()
                    .orElseThrow();
            pod.kill(random.nextLong());
            open.clear();
            // what a full pod has no room for is on the other one alone
            boolean complete = !firstIsFull || pod == network.pods.getFirst();
            boolean elsewhere = network.pods.size() > 1 && complete && random.nextBoolean();
            if (elsewhere) {
                // while it is down, the other pod has everything that was synced
                for (var other : network.pods) if (other.up) program = other.program();
                checkSynced();
                pod.start();
            } else {
                pod.start();
                program = pod.program();
            }
            var after = new HashMap<Bytes, byte[]>();
            checkSynced();
            for (Bytes bytes : names.values()) if (!bytes.isSynced) after.put(bytes, bytes.content);
            for (var file : names.entrySet()) file.getValue().content = program.content(file.getKey());
        }

        private void checkSynced() throws Exception {
            for (var file : names.entrySet()) {
                if (!file.getValue().isSynced) continue;
                same(program.content(file.getKey()), file.getValue().synced, "synced " + file.getKey());
            }
        }
    }
}
