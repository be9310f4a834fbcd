// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Reads slices that other pods hold. Thread-safe.
 *
 * <p>Bytes come as whole blocks, each compared with its checksum, and are kept in a bounded cache. A holder that fails, or
 * gives nothing for 300 ms, has the next one asked besides; what it did is remembered, so the next read begins with a
 * healthy one. Reading on where the last read of a slice ended makes the following blocks come ahead, 256 KiB at first and
 * doubling to 4 MiB.
 */
public final class RemoteReader {
    private static final long HEDGE_NANOS = TimeUnit.MILLISECONDS.toNanos(300);
    private static final long WHOLE_NANOS = TimeUnit.SECONDS.toNanos(2);
    private static final long SHUN_NANOS = TimeUnit.SECONDS.toNanos(5);
    private static final long ROUND_PAUSE_MILLIS = 50;
    private static final int WINDOW_FIRST_BLOCKS = 4;
    private static final int SEQUENCES_MAX = 1024;

    /**
     * @param cacheBytesMax bytes of fetched blocks kept
     * @param aheadBytesMax most that one slice is read ahead
     * @param aheadTotalBytesMax most that is on its way ahead at a time, over all slices
     */
    public record Limits(long cacheBytesMax, long aheadBytesMax, long aheadTotalBytesMax) {
        public static final Limits DEFAULT = new Limits(16 << 20, 4 << 20, 8 << 20);
    }

    private record Key(SliceId slice, long block) {}

    private final Peers peers;
    private final Limits limits;
    private final ReentrantLock lock = new ReentrantLock();
    // Guarded by lock.
    private final LinkedHashMap<Key, byte[]> cache = new LinkedHashMap<>(64, 0.75f, true);
    private long cachedBytes;
    private final Map<Key, CompletableFuture<byte[]>> coming = new HashMap<>();
    private final LinkedHashMap<SliceId, Sequence> sequences = new LinkedHashMap<>(64, 0.75f, true);

    private final AtomicLong aheadBytes = new AtomicLong();
    private final AtomicInteger turn = new AtomicInteger();
    private final ConcurrentHashMap<Incarnation, Memory> memories = new ConcurrentHashMap<>();

    public RemoteReader(Peers peers, Limits limits) {
        this.peers = peers;
        this.limits = limits;
    }

    /** How one slice is being read. */
    private static final class Sequence {
        long next = -1;
        int window;
        /** Length of the slice once a holder has told it. */
        long length = Long.MAX_VALUE;
    }

    /** What a holder did lately. */
    private static final class Memory {
        volatile long nanos;
        volatile long shunUntil;
        volatile boolean shunned;

        boolean isShunned() {
            return shunned && shunUntil - System.nanoTime() > 0;
        }
    }

    /**
     * Fills the buffer's remaining bytes with verified ones.
     *
     * @param holders pods that have the slice, in no order
     * @throws IOException when no holder gave them within 2 s, naming them, or the slice ends before; what was put into
     *     the buffer until then is of no use
     */
    public void read(SliceId slice, List<Incarnation> holders, long offset, ByteBuffer into)
            throws IOException, InterruptedException {
        if (offset < 0) throw new IllegalArgumentException("offset: " + offset);
        if (!into.hasRemaining()) return;
        var endsAt = System.nanoTime() + WHOLE_NANOS;
        var end = offset + into.remaining();
        var first = offset / Blocks.BYTES;
        var last = (end - 1) / Blocks.BYTES;
        var blocks = request(slice, holders, first, last, false);
        readAhead(slice, holders, offset, end);
        for (var block = first; block <= last; block++) {
            var bytes = await(slice, holders, block, blocks.get((int) (block - first)), endsAt);
            var from = (int) Math.max(0, offset - block * Blocks.BYTES);
            var to = (int) Math.min(Blocks.BYTES, end - block * Blocks.BYTES);
            if (to > bytes.length) throw new IOException("slice " + slice + " ends before " + end);
            into.put(bytes, from, to - from);
        }
    }

    /** Drops what is cached of slices that are gone, or that a test wants to be fetched again. */
    public void forget(SliceId slice) {
        lock.lock();
        try {
            var entries = cache.entrySet().iterator();
            while (entries.hasNext()) {
                var entry = entries.next();
                if (!entry.getKey().slice.equals(slice)) continue;
                cachedBytes -= entry.getValue().length;
                entries.remove();
            }
            sequences.remove(slice);
        } finally {
            lock.unlock();
        }
    }

    /** Bytes of blocks in the cache. */
    public long cachedBytes() {
        lock.lock();
        try {
            return cachedBytes;
        } finally {
            lock.unlock();
        }
    }

    private byte[] await(
            SliceId slice, List<Incarnation> holders, long block, CompletableFuture<byte[]> future, long endsAt)
            throws IOException, InterruptedException {
        var waited = future;
        while (true) {
            try {
                return waited.get(Math.max(1, endsAt - System.nanoTime()), TimeUnit.NANOSECONDS);
            } catch (TimeoutException e) {
                throw new IOException("no holder of " + slice + " answered within 2 s: " + holders);
            } catch (ExecutionException e) {
                // It may have been somebody else's fetch, begun long before or with other holders.
                if (endsAt - System.nanoTime() <= WHOLE_NANOS / 4 || e.getCause() instanceof Final) {
                    throw new IOException(
                            e.getCause() == null ? "" : e.getCause().getMessage(), e);
                }
                waited = request(slice, holders, block, block, false).getFirst();
            }
        }
    }

    /** A failure that another try would only repeat. */
    private static final class Final extends IOException {
        private static final long serialVersionUID = 1;

        Final(String message) {
            super(message);
        }
    }

    private void readAhead(SliceId slice, List<Incarnation> holders, long offset, long end) {
        long from;
        long to;
        lock.lock();
        try {
            var sequence = sequence(slice);
            var follows = sequence.next == offset;
            sequence.next = end;
            if (!follows) {
                sequence.window = 0;
                return;
            }
            var most = Math.toIntExact(limits.aheadBytesMax / Blocks.BYTES);
            sequence.window = Math.min(most, sequence.window == 0 ? WINDOW_FIRST_BLOCKS : sequence.window * 2);
            from = (end + Blocks.BYTES - 1) / Blocks.BYTES;
            to = Math.min(from + sequence.window - 1, (sequence.length - 1) / Blocks.BYTES);
            // Not block by block: wait until half of the window has been read, then ask for all of it.
            var half = from + sequence.window / 2;
            if (half <= to && known(new Key(slice, half))) return;
        } finally {
            lock.unlock();
        }
        if (from <= to) {
            var _ = request(slice, holders, from, to, true);
        }
    }

    private boolean known(Key key) {
        return cache.containsKey(key) || coming.containsKey(key);
    }

    private Sequence sequence(SliceId slice) {
        var sequence = sequences.computeIfAbsent(slice, _ -> new Sequence());
        if (sequences.size() > SEQUENCES_MAX) sequences.pollFirstEntry();
        return sequence;
    }

    /** Blocks from the cache, on their way already, or asked for now in runs of at most 1 MiB. */
    private List<CompletableFuture<byte[]>> request(
            SliceId slice, List<Incarnation> holders, long first, long last, boolean ahead) {
        var all = new ArrayList<CompletableFuture<byte[]>>((int) (last - first + 1));
        var runs = new ArrayList<Run>();
        lock.lock();
        try {
            Run run = null;
            for (var block = first; block <= last; block++) {
                var key = new Key(slice, block);
                var cached = cache.get(key);
                var known = cached != null ? CompletableFuture.completedFuture(cached) : coming.get(key);
                if (known != null) {
                    all.add(known);
                    run = null;
                    continue;
                }
                if (ahead && aheadBytes.get() + Blocks.BYTES > limits.aheadTotalBytesMax) break;
                if (ahead) aheadBytes.addAndGet(Blocks.BYTES);
                if (run == null || run.blocks.size() == SliceProvider.BLOCKS_MAX) {
                    run = new Run(slice, holders, block, ahead, new ArrayList<>());
                    runs.add(run);
                }
                var future = new CompletableFuture<byte[]>();
                coming.put(key, future);
                run.blocks.add(future);
                all.add(future);
            }
        } finally {
            lock.unlock();
        }
        for (var run : runs) Thread.startVirtualThread(() -> fetch(run));
        return all;
    }

    /** Neighbouring blocks that are asked for in one request. */
    private record Run(
            SliceId slice,
            List<Incarnation> holders,
            long first,
            boolean ahead,
            List<CompletableFuture<byte[]>> blocks) {}

    private record Fetched(long length, List<byte[]> blocks) {}

    private void fetch(Run run) {
        Fetched fetched = null;
        IOException failure = new IOException("reading " + run.slice + " was ended");
        try {
            fetched = fromAnyone(run);
        } catch (IOException e) {
            failure = e;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            deliver(run, fetched, failure);
        }
    }

    private void deliver(Run run, @Nullable Fetched fetched, IOException failure) {
        lock.lock();
        try {
            for (var i = 0; i < run.blocks.size(); i++) {
                var key = new Key(run.slice, run.first + i);
                coming.remove(key);
                if (fetched != null && i < fetched.blocks.size()) keep(key, fetched.blocks.get(i));
            }
            if (fetched != null) sequence(run.slice).length = fetched.length;
        } finally {
            lock.unlock();
        }
        if (run.ahead) aheadBytes.addAndGet(-(long) run.blocks.size() * Blocks.BYTES);
        for (var i = 0; i < run.blocks.size(); i++) {
            var future = run.blocks.get(i);
            if (fetched == null) future.completeExceptionally(failure);
            else if (i < fetched.blocks.size()) future.complete(fetched.blocks.get(i));
            else future.completeExceptionally(new Final("slice " + run.slice + " has " + fetched.length + " bytes"));
        }
    }

    private void keep(Key key, byte[] block) {
        var before = cache.put(key, block);
        cachedBytes += block.length - (before == null ? 0 : before.length);
        while (cachedBytes > limits.cacheBytesMax) {
            var eldest = cache.pollFirstEntry();
            if (eldest == null) return;
            cachedBytes -= eldest.getValue().length;
        }
    }

    /** What one holder answered; one of both. */
    private record Answer(
            Incarnation holder,
            @Nullable Fetched fetched,
            @Nullable IOException failure) {}

    private Fetched fromAnyone(Run run) throws IOException, InterruptedException {
        var endsAt = System.nanoTime() + WHOLE_NANOS;
        var candidates = ranked(run);
        if (candidates.isEmpty()) throw new Final("no holder of " + run.slice + " is known");
        var answers = new ArrayBlockingQueue<Answer>(64);
        var failures = new LinkedHashMap<Incarnation, String>();
        var hopeless = new LinkedHashSet<Incarnation>();
        var asked = 0;
        var open = 0;
        while (true) {
            if (asked < candidates.size()) {
                ask(run, candidates.get(asked++), endsAt, answers);
                open++;
            } else if (open == 0) {
                // Everyone has failed: once more around while there is time, without those that said no.
                candidates.removeAll(hopeless);
                if (candidates.isEmpty() || endsAt - System.nanoTime() < HEDGE_NANOS) break;
                Thread.sleep(ROUND_PAUSE_MILLIS);
                asked = 0;
                continue;
            }
            var left = endsAt - System.nanoTime();
            if (left <= 0) break;
            var answer =
                    answers.poll(asked < candidates.size() ? Math.min(left, HEDGE_NANOS) : left, TimeUnit.NANOSECONDS);
            if (answer == null) continue;
            if (answer.fetched != null) return answer.fetched;
            open--;
            var failure = answer.failure;
            failures.put(answer.holder, failure == null ? "" : String.valueOf(failure.getMessage()));
            if (failure instanceof PeerRefused refused && refused.code() != PeerRefused.OVERLOADED) {
                hopeless.add(answer.holder);
            }
        }
        for (var holder : run.holders) failures.putIfAbsent(holder, "no answer");
        var message = "no holder could give " + run.slice + " at " + run.first * Blocks.BYTES + ": " + failures;
        throw candidates.isEmpty() ? new Final(message) : new IOException(message);
    }

    /** The healthy before the shunned, the fast before the slow; equally fast ones take turns. */
    private List<Incarnation> ranked(Run run) {
        var all = new ArrayList<>(new LinkedHashSet<>(run.holders));
        all.sort(Comparator.<Incarnation, Boolean>comparing(
                        holder -> memory(holder).isShunned())
                .thenComparingLong(holder -> memory(holder).nanos));
        if (all.size() < 2 || memory(all.get(1)).isShunned()) return all;
        var fastest = memory(all.getFirst()).nanos;
        var second = memory(all.get(1)).nanos;
        if (second <= 2 * fastest && (turn.getAndIncrement() & 1) == 1) all.addFirst(all.remove(1));
        return all;
    }

    private Memory memory(Incarnation holder) {
        return memories.computeIfAbsent(holder, _ -> new Memory());
    }

    private void ask(Run run, Incarnation holder, long endsAt, ArrayBlockingQueue<Answer> answers) {
        Thread.startVirtualThread(() -> {
            var begun = System.nanoTime();
            var memory = memory(holder);
            // A holder that does not answer the next 300 ms is passed over at once by reads that begin meanwhile.
            var slow = peers.deadlines.after(HEDGE_NANOS, () -> shun(memory));
            Answer answer;
            try {
                var fetched = ask(run, holder, Duration.ofNanos(Math.max(1, endsAt - begun)));
                var took = System.nanoTime() - begun;
                memory.nanos = memory.nanos == 0 ? took : memory.nanos + (took - memory.nanos) / 4;
                if (took < HEDGE_NANOS) memory.shunned = false;
                answer = new Answer(holder, fetched, null);
            } catch (IOException e) {
                shun(memory);
                answer = new Answer(holder, null, e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                answer = new Answer(holder, null, new IOException(e));
            } finally {
                peers.deadlines.cancel(slow);
            }
            var _ = answers.offer(answer);
        });
    }

    private static void shun(Memory memory) {
        memory.shunUntil = System.nanoTime() + SHUN_NANOS;
        memory.shunned = true;
    }

    private Fetched ask(Run run, Incarnation holder, Duration deadline) throws IOException, InterruptedException {
        var offset = run.first * Blocks.BYTES;
        var request = Messages.writer().putSlice(run.slice).putLong(offset).putInt(run.blocks.size());
        var reply = peers.await(Lane.READ, holder, Kinds.READ_BLOCKS, deadline, ByteBuffer.wrap(request.toBytes()));
        var body = ByteBuffer.wrap(reply.body());
        if (body.remaining() < 12) throw new MalformedMessageException("no blocks");
        var length = body.getLong(0);
        var bytes = body.getInt(8);
        var expected = Math.clamp(length - offset, 0, run.blocks.size() * Blocks.BYTES);
        if (length < 0 || bytes != expected || body.remaining() != 12 + 4 * Blocks.count(bytes) + bytes) {
            throw new MalformedMessageException(bytes + " bytes at " + offset + " of " + length);
        }
        var dataAt = 12 + 4 * Blocks.count(bytes);
        Blocks.verify(body, 12, dataAt, bytes);
        var blocks = new ArrayList<byte[]>(run.blocks.size());
        for (var done = 0; done < bytes; done += Blocks.BYTES) {
            var block = new byte[Math.min(Blocks.BYTES, bytes - done)];
            body.get(dataAt + done, block);
            blocks.add(block);
        }
        return new Fetched(length, blocks);
    }
}
