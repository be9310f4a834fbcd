// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One member of a log as a process of its own, for tests and measurements: commands on standard input, one a line
 * ("id word args"), answers on standard output ("id ok ..." or "id error ..."), events as lines that begin with "!".
 *
 * <p>Arguments: directory, group, "p1@10.0.0.1:7001", FOUND or JOIN, and "small" for tiny logs and snapshots.
 */
final class RaftTool {
    private static final int TERM_BITS = 16;
    private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();

    private final RegisterApplier applier;
    private final RaftLog log;
    private final int self;
    private volatile boolean looping;
    private final List<Thread> loops = new ArrayList<>();
    private final AtomicLong reads = new AtomicLong();
    private final AtomicLong writes = new AtomicLong();
    private final AtomicLong violations = new AtomicLong();
    private final AtomicLong worstGapNanos = new AtomicLong();

    private RaftTool(String[] args) throws IOException {
        Path directory = Path.of(args[0]);
        Member member = member(args[2]);
        self = member.incarnation().number();
        boolean small = Arrays.asList(args).contains("small");
        RocksTable.Memory memory = small ? new RocksTable.Memory(1 << 20, 4 << 20) : RocksTable.Memory.SMALL;
        applier = new RegisterApplier(
                RocksTable.open(directory.resolve("table"), memory),
                leader -> say("! leader " + leader.map(Incarnation::toString).orElse("none")));
        Settings settings = Settings.of(
                directory.resolve("log"),
                UUID.fromString(args[1]),
                member,
                new InetSocketAddress(
                        member.address().getAddress(), member.address().getPort()),
                Settings.Start.valueOf(args[3]));
        if (small)
            settings = settings.with(new Settings.Sizes(256 << 10, 256 << 10, 100_000, 1 << 20, 20, 10, 64 << 20));
        log = RaftLog.open(settings, applier);
    }

    static Member member(String text) {
        String[] parts = text.split("[@:]", -1);
        return new Member(
                new Incarnation(Integer.parseInt(parts[0].substring(1))),
                new InetSocketAddress(parts[1], Integer.parseInt(parts[2])));
    }

    private static List<Member> members(String text) {
        return text.equals("-")
                ? List.of()
                : Arrays.stream(text.split(",", -1)).map(RaftTool::member).toList();
    }

    private static void say(String line) {
        synchronized (System.out) {
            System.out.println(line);
            System.out.flush();
        }
    }

    public static void main(String[] args) throws Exception {
        for (String noisy : RaftLog.NOISY_LOGGERS) {
            Logger logger = Logger.getLogger(noisy);
            logger.setLevel(Boolean.getBoolean("loud") ? Level.INFO : Level.WARNING);
            KEPT.add(logger);
        }
        RaftTool tool = new RaftTool(args);
        say("! open");
        Thread.ofPlatform().daemon().start(() -> {
            try {
                tool.applier.bug.await();
                say("! bug " + tool.applier.cause.get());
            } catch (InterruptedException e) {
                // ends with the process
            }
        });
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split(" ", 3);
            try {
                tool.run(words[0], words[1], words.length > 2 ? words[2] : "");
            } catch (RuntimeException | IOException e) {
                say(words[0] + " error " + e);
            }
        }
        tool.log.close();
        tool.applier.table.close();
        System.exit(0);
    }

    private static final List<Logger> KEPT = new ArrayList<>(); // loggers are held weakly

    private void run(String id, String word, String rest) throws IOException {
        switch (word) {
            case "append" ->
                answer(id, log.append(rest.getBytes(StandardCharsets.UTF_8)).thenApply(Appended::index));
            case "read" -> answer(id, log.readIndex());
            case "members" -> {
                String[] lists = rest.split(" ", -1);
                answer(id, log.setMembers(members(lists[0]), members(lists[1])).thenApply(_ -> 0L));
            }
            case "learn" -> {
                log.learn(members(rest));
                say(id + " ok");
            }
            case "transfer" ->
                answer(
                        id,
                        log.transferLeadership(new Incarnation(Integer.parseInt(rest.substring(1))))
                                .thenApply(_ -> 0L));
            case "stepdown" -> answer(id, log.stepDown().thenApply(_ -> 0L));
            case "snapshot" -> answer(id, log.snapshotNow());
            case "status" -> {
                Status s = log.status();
                say(id + " ok " + s.role() + " " + s.term() + " " + s.committed() + " " + s.applied() + " "
                        + s.flushed() + " " + s.logBytes() + " " + names(s.voters()) + " " + names(s.listeners()) + " "
                        + s.followers());
            }
            case "summary" -> {
                RegisterApplier.Summary s = applier.summary();
                say(id + " ok " + s.entries() + " " + Long.toHexString(s.digest()) + " " + applier.installed());
            }
            case "await" ->
                Thread.ofPlatform().daemon().start(() -> {
                    try {
                        boolean there = applier.await(Long.parseLong(rest), 60_000);
                        say(id + (there ? " ok" : " error not applied: " + applier.position()));
                    } catch (InterruptedException e) {
                        say(id + " error interrupted");
                    }
                });
            case "entry" -> {
                byte[] entry = applier.entry(Long.parseLong(rest));
                say(id + (entry == null ? " error absent" : " ok " + new String(entry, StandardCharsets.UTF_8)));
            }
            case "fill" -> Thread.ofPlatform().daemon().start(() -> fill(id, rest));
            case "loop" -> {
                loop(Path.of(rest));
                say(id + " ok");
            }
            case "unloop" -> Thread.ofPlatform().daemon().start(() -> unloop(id));
            case "verify" -> Thread.ofPlatform().daemon().start(() -> verify(id, Path.of(rest)));
            case "crash" -> {
                log.closeServerAsRatisWould();
                say(id + " ok");
            }
            case "bench" -> Thread.ofPlatform().daemon().start(() -> bench(id, rest));
            case "usage" -> say(id + " ok " + usage());
            default -> say(id + " error unknown " + word);
        }
    }

    private static String names(List<Member> members) {
        return members.isEmpty()
                ? "-"
                : String.join(",", members.stream().map(Member::toString).toList());
    }

    private static void answer(String id, java.util.concurrent.CompletableFuture<Long> future) {
        var unused =
                future.whenComplete((index, e) -> say(e == null ? id + " ok " + index : id + " error " + cause(e)));
    }

    private static Throwable cause(Throwable e) {
        return e instanceof java.util.concurrent.CompletionException && e.getCause() != null ? e.getCause() : e;
    }

    /** Appends "count bytes": many large entries, 16 at a time. */
    private void fill(String id, String rest) {
        String[] words = rest.split(" ", -1);
        Semaphore free = new Semaphore(16);
        AtomicLong last = new AtomicLong();
        AtomicLong errors = new AtomicLong();
        for (int i = 0; i < Integer.parseInt(words[0]); i++) {
            byte[] entry = new byte[Integer.parseInt(words[1])];
            new java.util.Random(i).nextBytes(entry);
            free.acquireUninterruptibly();
            var unused = log.append(entry).whenComplete((a, e) -> {
                if (e == null) last.accumulateAndGet(a.index(), Math::max);
                else errors.incrementAndGet();
                free.release();
            });
        }
        free.acquireUninterruptibly(16);
        say(id + (errors.get() == 0 ? " ok " + last.get() : " error " + errors.get() + " appends"));
    }

    /**
     * Two writers and two readers that never rest. The highest acknowledged position of all processes is in shared memory:
     * a reader looks at it, tells its log, asks for a read index, and must not get a lower one. Writers note what was
     * acknowledged.
     */
    private void loop(Path directory) throws IOException {
        MemorySegment shared;
        try (FileChannel channel = FileChannel.open(
                directory.resolve("acknowledged"),
                StandardOpenOption.READ,
                StandardOpenOption.WRITE,
                StandardOpenOption.CREATE)) {
            shared = channel.map(FileChannel.MapMode.READ_WRITE, 0, 8, Arena.global());
        }
        looping = true;
        for (int i = 0; i < 2; i++) {
            OutputStream acknowledged = Files.newOutputStream(directory.resolve(
                    "writer-p" + self + "-" + ProcessHandle.current().pid() + "-" + i));
            String prefix = "p" + self + "." + i + "." + ProcessHandle.current().pid() + ".";
            loops.add(Thread.ofPlatform().daemon().start(() -> writer(shared, prefix, acknowledged)));
            loops.add(Thread.ofPlatform().daemon().start(() -> reader(shared)));
        }
    }

    private void writer(MemorySegment shared, String prefix, OutputStream acknowledged) {
        long before = System.nanoTime();
        for (int n = 0; looping; n++) {
            byte[] entry = (prefix + n).getBytes(StandardCharsets.UTF_8);
            try {
                Position at = log.append(entry).get(20, TimeUnit.SECONDS).position();
                long index = at.index();
                long seen;
                do {
                    seen = (long) LONG.getVolatile(shared, 0L);
                } while (seen >> TERM_BITS < index
                        && !LONG.compareAndSet(shared, 0L, seen, index << TERM_BITS | at.term()));
                acknowledged.write(ByteBuffer.allocate(12)
                        .putLong(index)
                        .putInt(entry.length)
                        .array());
                acknowledged.write(entry);
                writes.incrementAndGet();
                long now = System.nanoTime();
                worstGapNanos.accumulateAndGet(now - before, Math::max);
                before = now;
            } catch (java.util.concurrent.ExecutionException | java.util.concurrent.TimeoutException e) {
                before = System.nanoTime();
                pause();
            } catch (InterruptedException | IOException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private void reader(MemorySegment shared) {
        while (looping) {
            long seen = (long) LONG.getVolatile(shared, 0L);
            long atLeast = seen >> TERM_BITS;
            // True news, which reaches also who is cut off or follows another leader.
            if (seen != 0) log.learnCommitted(new Position(seen & (1 << TERM_BITS) - 1, atLeast));
            try {
                long index = log.readIndex().get(20, TimeUnit.SECONDS);
                reads.incrementAndGet();
                if (index < atLeast) {
                    violations.incrementAndGet();
                    say("! violation read " + index + " after " + atLeast + " was acknowledged");
                }
            } catch (java.util.concurrent.ExecutionException | java.util.concurrent.TimeoutException e) {
                pause();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private static void pause() {
        java.util.concurrent.locks.LockSupport.parkNanos(2_000_000);
    }

    private void unloop(String id) {
        looping = false;
        for (Thread loop : loops) {
            try {
                loop.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
        loops.clear();
        say(id + " ok " + writes + " " + reads + " " + violations);
    }

    /** Looks up everything that any writer noted as acknowledged. */
    private void verify(String id, Path directory) {
        long checked = 0;
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.filter(f -> f.getFileName().toString().startsWith("writer-"))
                    .toList()) {
                ByteBuffer notes = ByteBuffer.wrap(Files.readAllBytes(file));
                while (notes.remaining() >= 12) {
                    long index = notes.getLong();
                    byte[] entry = new byte[notes.getInt()];
                    if (notes.remaining() < entry.length) break; // the writer was killed here
                    notes.get(entry);
                    byte @Nullable [] stored = applier.entry(index);
                    if (stored == null || !Arrays.equals(stored, entry)) {
                        say(id + " error lost " + new String(entry, StandardCharsets.UTF_8) + " at " + index);
                        return;
                    }
                    checked++;
                }
            }
            say(id + " ok " + checked);
        } catch (IOException e) {
            say(id + " error " + e);
        }
    }

    /** "seconds outstanding bytes": appends on the leader; "seconds 0 0": read indexes. Answers count and percentiles. */
    private void bench(String id, String rest) {
        String[] words = rest.split(" ", -1);
        int outstanding = Integer.parseInt(words[1]);
        byte[] entry = new byte[Integer.parseInt(words[2])];
        long end =
                System.nanoTime() + Duration.ofSeconds(Long.parseLong(words[0])).toNanos();
        long[] nanos = new long[1_000_000];
        AtomicLong count = new AtomicLong();
        Semaphore free = new Semaphore(Math.max(outstanding, 1));
        long begin = System.nanoTime();
        while (System.nanoTime() < end) {
            free.acquireUninterruptibly();
            long start = System.nanoTime();
            var unused = (outstanding == 0 ? log.readIndex() : log.append(entry)).whenComplete((_, e) -> {
                if (e == null) nanos[(int) (count.getAndIncrement() % nanos.length)] = System.nanoTime() - start;
                free.release();
            });
        }
        free.acquireUninterruptibly(Math.max(outstanding, 1));
        long took = System.nanoTime() - begin;
        int n = (int) Math.min(count.get(), nanos.length);
        Arrays.sort(nanos, 0, n);
        say(id + " ok " + count + " in " + took / 1_000_000 + " ms, " + count.get() * 1_000_000_000L / took + "/s, p50 "
                + nanos[n / 2] / 1000 + " us, p90 " + nanos[n * 9 / 10] / 1000 + " us, p99 "
                + nanos[n * 99 / 100] / 1000 + " us");
    }

    private static String usage() throws IOException {
        long rss = 0;
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmRSS")) rss = Long.parseLong(line.replaceAll("\\D", ""));
        }
        String[] stat = Files.readString(Path.of("/proc/self/stat"))
                .replaceAll(".*\\) ", "")
                .split(" ", -1);
        return rss / 1024 + " MB, cpu ticks " + (Long.parseLong(stat[11]) + Long.parseLong(stat[12])) + ", threads "
                + stat[17];
    }
}
