// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.content.ContentStore;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Sends slices of the local store to a chain of pods, each of which passes them on. Thread-safe.
 *
 * <p>A push completes, never exceptionally, with the pods that told to have the slice <em>durably</em>. It ends when all
 * of the chain have it, when nobody else can be reached, or at its deadline. No progress for 1 s makes it go on with the
 * rest of the chain; see {@link Route}.
 *
 * <p>Small slices (up to 256 KiB) to one chain travel in groups, which the receiver makes durable with one sync: the first
 * goes at once, and what comes while groups are under way makes up the next. Larger ones stream, 512 KiB a frame, and
 * resume where they broke. The source is the local store; the slice needs to be sealed but not synced, so the local sync
 * runs at the same time.
 */
public final class SliceSender {
    private static final Logger log = System.getLogger(SliceSender.class.getName());

    static final int SMALL_BYTES_MAX = 256 * 1024;
    static final int GROUP_BYTES_MAX = 1 << 20;
    static final int GROUP_SLICES_MAX = 512;
    static final int FRAME_DATA_BYTES = 512 * 1024;
    static final int CHAIN_MAX = 64;
    static final byte FORMAT = 0;

    /** Two, so that one group travels while the one before is synced. */
    private static final int GROUPS_IN_FLIGHT_MAX = 2;

    private static final int PENDING_MAX = 65_536;
    static final long PROGRESS_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final long BEAT_NANOS = TimeUnit.MILLISECONDS.toNanos(250);
    private static final long PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    /** Sent and not yet staged there; beyond it the sender waits, so that a stall is noticed as one. */
    private static final long WINDOW_BYTES = 16L << 20;

    private static final int STREAMS_MAX = 8;

    private final Peers peers;
    private final ContentStore store;
    private final Buffers buffers = new Buffers();
    private final ConcurrentHashMap<List<Incarnation>, Groups> groups = new ConcurrentHashMap<>();
    private final ConcurrentHashMap<LargeKey, CompletableFuture<List<Incarnation>>> large = new ConcurrentHashMap<>();
    private final AtomicInteger pending = new AtomicInteger();
    /** Apart, so that what other pods pass through us never waits for what we send to them. */
    private final Semaphore ownStreams = new Semaphore(STREAMS_MAX);

    private final Semaphore passedStreams = new Semaphore(STREAMS_MAX);

    private record LargeKey(SliceId slice, List<Incarnation> chain) {}

    public SliceSender(Peers peers, ContentStore store) {
        this.peers = peers;
        this.store = store;
    }

    /**
     * @param lengthBytes the slice's whole length
     * @param chain who should have it; the first passes it on to the second, and so on
     */
    public CompletableFuture<List<Incarnation>> push(
            SliceId slice, long lengthBytes, List<Incarnation> chain, Duration deadline) {
        if (lengthBytes <= SMALL_BYTES_MAX) return pushSmall(slice, (int) lengthBytes, chain, deadline, true);
        return pushLarge(slice, new Sealed(lengthBytes), chain, deadline, true);
    }

    /** As {@link #push} of each; small ones share frames and syncs. One future each, in the order given. */
    public List<CompletableFuture<List<Incarnation>>> pushMany(
            List<SliceId> slices, List<Incarnation> chain, Duration deadline) {
        var all = new ArrayList<CompletableFuture<List<Incarnation>>>(slices.size());
        for (var slice : slices) {
            var length = store.length(slice);
            if (length < 0) all.add(CompletableFuture.completedFuture(List.of()));
            else all.add(push(slice, length, chain, deadline));
        }
        return all;
    }

    // ---- small slices ------------------------------------------------------------------------------------------

    /** One small slice on its way; touched by one group thread at a time. */
    private final class Small {
        final SliceId slice;
        final int length;
        final Route route;
        final long endsAt;
        final CompletableFuture<List<Incarnation>> done = new CompletableFuture<>();

        Small(SliceId slice, int length, List<Incarnation> chain, Duration deadline, boolean patient) {
            this.slice = slice;
            this.length = length;
            this.route = new Route(chain, patient);
            this.endsAt = System.nanoTime() + deadline.toNanos();
        }

        void goOn() {
            var next = route.next();
            if (next == null || System.nanoTime() - endsAt >= 0) {
                end();
            } else if (route.pauses()) {
                peers.deadlines.after(PAUSE_NANOS, () -> enqueue(this, next));
            } else {
                enqueue(this, next);
            }
        }

        void end() {
            pending.decrementAndGet();
            if (done.getNumberOfDependents() == 0) done.complete(route.durable());
            else Thread.startVirtualThread(() -> done.complete(route.durable()));
        }
    }

    private CompletableFuture<List<Incarnation>> pushSmall(
            SliceId slice, int length, List<Incarnation> chain, Duration deadline, boolean patient) {
        if (pending.incrementAndGet() > PENDING_MAX) {
            pending.decrementAndGet();
            log.log(Level.WARNING, "push of {0} given up: {1} others wait", slice, PENDING_MAX);
            return CompletableFuture.completedFuture(List.of());
        }
        var small = new Small(slice, length, chain, deadline, patient);
        small.goOn();
        return small.done;
    }

    private void enqueue(Small small, List<Incarnation> chain) {
        while (!groups.computeIfAbsent(chain, Groups::new).add(small)) {
            // It had just ended and taken itself out of the map.
            groups.remove(chain, groups.get(chain));
        }
    }

    /** What waits for one chain. */
    private final class Groups {
        private final List<Incarnation> chain;
        private final Deque<Small> waiting = new ArrayDeque<>();
        private int inFlight;
        private boolean ended;

        Groups(List<Incarnation> chain) {
            this.chain = List.copyOf(chain);
        }

        synchronized boolean add(Small small) {
            if (ended) return false;
            waiting.add(small);
            if (inFlight < GROUPS_IN_FLIGHT_MAX) {
                inFlight++;
                Thread.startVirtualThread(this::run);
            }
            return true;
        }

        private synchronized List<Small> take() {
            var group = new ArrayList<Small>(Math.min(waiting.size(), GROUP_SLICES_MAX));
            var bytes = 0L;
            while (!waiting.isEmpty() && group.size() < GROUP_SLICES_MAX) {
                bytes += waiting.getFirst().length;
                if (bytes > GROUP_BYTES_MAX && !group.isEmpty()) break;
                group.add(waiting.removeFirst());
            }
            if (group.isEmpty() && --inFlight == 0) {
                ended = true;
                groups.remove(chain, this);
            }
            return group;
        }

        private void run() {
            while (true) {
                var group = take();
                if (group.isEmpty()) return;
                try {
                    sendGroup(chain, group);
                } catch (RuntimeException e) {
                    log.log(Level.ERROR, "a group for " + chain + " ended by a bug", e);
                    for (var small : group) if (!small.done.isDone()) small.end();
                }
            }
        }
    }

    private void sendGroup(List<Incarnation> chain, List<Small> group) {
        var buffer = buffers.take();
        var sent = encode(buffer, chain, group);
        if (sent.isEmpty()) {
            buffers.give(buffer);
            return;
        }
        var now = System.nanoTime();
        var latest = now;
        for (var small : sent) latest = Math.max(latest, small.endsAt);
        // A hop that loses the next one needs its own second for it.
        var patience = Math.clamp(latest - now, 1_000_000, PROGRESS_NANOS * chain.size());
        try {
            var reply = peers.await(
                    Lane.PUSH, chain.getFirst(), Kinds.PUSH_GROUP, Duration.ofNanos(patience), buffer.duplicate());
            buffers.give(buffer);
            var in = Messages.reader(reply.body());
            for (var small : sent) {
                var status = in.getByte();
                var have = in.getList(CHAIN_MAX, Messages.Reader::getIncarnation);
                small.route.ended(chain, status == 0 ? Route.End.DONE : Route.End.REFUSED, have, true);
            }
            in.end();
        } catch (IOException | InterruptedException e) {
            buffers.lose(buffer);
            log.log(Level.DEBUG, "group of {0} slices to {1} failed: {2}", sent.size(), chain, e.getMessage());
            for (var small : sent) small.route.ended(chain, end(e), List.of(), false);
        }
        for (var small : sent) small.goOn();
    }

    private static Route.End end(Exception failure) {
        return switch (failure) {
            case PeerRefused refused when refused.code() == PeerRefused.OVERLOADED -> Route.End.STALLED;
            case PeerRefused refused when refused.code() == PeerRefused.BAD_REQUEST -> Route.End.BROKEN;
            case PeerRefused _ -> Route.End.REFUSED;
            case PeerUnreachable _ -> Route.End.UNREACHABLE;
            case PeerTimeout _ -> Route.End.STALLED;
            default -> Route.End.BROKEN;
        };
    }

    /**
     * Format byte, chain (count byte, int each), count; per slice id, length and a checksum per block; then all data. Leaves
     * the buffer ready to be written.
     *
     * @return those that could be read here; the others have ended
     */
    private List<Small> encode(ByteBuffer buffer, List<Incarnation> chain, List<Small> group) {
        var heads = 2 + 4 * (chain.size() - 1) + 4;
        for (var small : group) heads += 12 + 4 * Blocks.count(small.length);
        var sent = new ArrayList<Small>(group.size());
        buffer.put(FORMAT).put((byte) (chain.size() - 1));
        for (var next : chain.subList(1, chain.size())) buffer.putInt(next.number());
        var countAt = buffer.position();
        var headAt = countAt + 4;
        var data = buffer.duplicate().position(heads);
        for (var small : group) {
            var at = data.position();
            try {
                readFully(small.slice, 0, data.limit(at + small.length));
                data.limit(data.capacity());
                buffer.putLong(headAt, small.slice.value()).putInt(headAt + 8, small.length);
                Blocks.sum(buffer, headAt + 12, at, small.length);
                headAt += 12 + 4 * Blocks.count(small.length);
                sent.add(small);
            } catch (IOException e) {
                data.limit(data.capacity()).position(at);
                log.log(Level.WARNING, "push of {0}: {1}", small.slice, e.getMessage());
                small.end();
            }
        }
        // Where one was left out, a gap stays between heads and data; close it.
        if (headAt < heads) {
            var bytes = data.position() - heads;
            var moved = buffer.duplicate().position(headAt);
            moved.put(buffer.slice(heads, bytes));
            data.position(headAt + bytes);
        }
        buffer.putInt(countAt, sent.size());
        buffer.position(0).limit(data.position());
        return sent;
    }

    private void readFully(SliceId slice, long offset, ByteBuffer into) throws IOException {
        var at = offset;
        while (into.hasRemaining()) {
            var read = store.read(slice, at, into);
            if (read <= 0) throw new IOException("slice " + slice + " ends at " + at);
            at += read;
        }
    }

    // ---- large slices ------------------------------------------------------------------------------------------

    /** Bytes of a slice in the local store, all of them or still growing. */
    interface Source {
        long length();

        /** Waits until more than {@code have} bytes are there, at most so long; returns how many are. */
        long await(long have, long nanos) throws IOException, InterruptedException;
    }

    /** All of the slice is in the local store. */
    record Sealed(long length) implements Source {
        @Override
        public long await(long have, long nanos) {
            return length;
        }
    }

    /**
     * A slice that was pushed to us goes on to the rest of its chain, while it arrives if it is large. As {@link #push},
     * but never tries a pod again that stalled: whoever waits for our answer knows that we have it.
     */
    CompletableFuture<List<Incarnation>> pass(
            SliceId slice, Source source, List<Incarnation> chain, Duration deadline) {
        if (source.length() > SMALL_BYTES_MAX) return pushLarge(slice, source, chain, deadline, false);
        return pushSmall(slice, (int) source.length(), chain, deadline, false);
    }

    private CompletableFuture<List<Incarnation>> pushLarge(
            SliceId slice, Source source, List<Incarnation> chain, Duration deadline, boolean own) {
        var streams = own ? ownStreams : passedStreams;
        var key = new LargeKey(slice, List.copyOf(chain));
        var mine = new CompletableFuture<List<Incarnation>>();
        var running = large.putIfAbsent(key, mine);
        if (running != null) return running.copy();
        if (pending.incrementAndGet() > PENDING_MAX) {
            pending.decrementAndGet();
            large.remove(key);
            mine.complete(List.of());
            return mine;
        }
        var endsAt = System.nanoTime() + deadline.toNanos();
        Thread.ofVirtual().name("wormhole-push-" + slice).start(() -> {
            var route = new Route(chain, own);
            try {
                if (streams.tryAcquire(deadline.toNanos(), TimeUnit.NANOSECONDS)) {
                    try {
                        follow(route, slice, source, endsAt);
                    } finally {
                        streams.release();
                    }
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } catch (IOException | RuntimeException e) {
                log.log(Level.WARNING, "push of " + slice + " to " + chain + " ended", e);
            } finally {
                pending.decrementAndGet();
                large.remove(key);
                mine.complete(route.durable());
            }
        });
        return mine.copy();
    }

    private void follow(Route route, SliceId slice, Source source, long endsAt)
            throws IOException, InterruptedException {
        while (System.nanoTime() - endsAt < 0) {
            var chain = route.next();
            if (chain == null) return;
            var attempt = new Attempt(slice, source, chain, endsAt);
            var end = attempt.run();
            route.ended(chain, end, attempt.durable(), attempt.advanced());
            if (end != Route.End.DONE) {
                log.log(Level.DEBUG, "push of {0} to {1}: {2}, {3}", slice, chain, end, attempt.why);
            }
            if (end != Route.End.DONE && (route.pauses() || end == Route.End.BROKEN && !attempt.advanced())) {
                TimeUnit.NANOSECONDS.sleep(PAUSE_NANOS);
            }
        }
    }

    /** One stream to the first of a chain: the sending thread, a reading thread, and a watch over both. */
    private final class Attempt {
        private final SliceId slice;
        private final Source source;
        private final List<Incarnation> chain;
        private final long endsAt;
        private final ReentrantLock lock = new ReentrantLock();
        private final Condition changed = lock.newCondition();
        // Guarded by lock.
        private final Set<Incarnation> durable = new LinkedHashSet<>();
        private long acceptedAt = -1;
        private long staged = -1;
        private long sent;
        private boolean done;
        private @Nullable PeerRefused refused;
        private boolean broken;
        private boolean stalled;
        private long heardAt = System.nanoTime();
        private long advancedAt = System.nanoTime();
        private String why = "";
        private final AtomicBoolean ended = new AtomicBoolean();

        Attempt(SliceId slice, Source source, List<Incarnation> chain, long endsAt) {
            this.slice = slice;
            this.source = source;
            this.chain = chain;
            this.endsAt = endsAt;
        }

        List<Incarnation> durable() {
            return locked(() -> List.copyOf(durable));
        }

        boolean advanced() {
            return locked(() -> acceptedAt >= 0 && staged > acceptedAt);
        }

        private <T> T locked(java.util.function.Supplier<T> inside) {
            lock.lock();
            try {
                return inside.get();
            } finally {
                lock.unlock();
            }
        }

        /** @throws IOException only if the local slice cannot be read */
        Route.End run() throws IOException, InterruptedException {
            Peers.Stream stream;
            try {
                stream = peers.openStream(
                        chain.getFirst(), Duration.ofNanos(Math.clamp(endsAt - System.nanoTime(), 1, PROGRESS_NANOS)));
            } catch (PeerException e) {
                why = String.valueOf(e.getMessage());
                return SliceSender.end(e);
            }
            var clean = false;
            try {
                heardAt = System.nanoTime();
                Thread.ofVirtual().name("wormhole-push-read-" + slice).start(() -> read(stream));
                watch(stream);
                clean = send(stream);
            } finally {
                ended.set(true);
                if (clean) stream.release();
                else stream.drop();
            }
            return locked(() -> {
                if (done) return Route.End.DONE;
                if (refused != null) return SliceSender.end(refused);
                return stalled ? Route.End.STALLED : Route.End.BROKEN;
            });
        }

        /** True if the stream can carry another push. */
        private boolean send(Peers.Stream stream) throws IOException, InterruptedException {
            var body = ByteBuffer.allocate(10 + 4 * chain.size()).put(FORMAT).putLong(source.length());
            body.put((byte) (chain.size() - 1));
            for (var next : chain.subList(1, chain.size())) body.putInt(next.number());
            var left =
                    (int) Math.clamp(TimeUnit.NANOSECONDS.toMillis(endsAt - System.nanoTime()), 1, Integer.MAX_VALUE);
            try {
                stream.write(Frame.PUSH, slice.value(), left, body.flip());
            } catch (IOException e) {
                return broken(e);
            }
            if (!awaiting(() -> acceptedAt >= 0, stream)) return locked(() -> done);
            var at = acceptedAt;
            var buffer = buffers.take();
            var reusable = false;
            try {
                while (at < source.length()) {
                    var offset = at;
                    if (!awaiting(() -> offset - staged < WINDOW_BYTES, stream)) break;
                    var available = source.await(at, BEAT_NANOS);
                    // Whole blocks, so that a resumed push begins at one.
                    var bytes = (int) Math.min(available - at, FRAME_DATA_BYTES);
                    if (at + bytes < source.length()) bytes -= bytes % Blocks.BYTES;
                    if (bytes > 0) encode(buffer.clear(), at, bytes);
                    try {
                        if (bytes > 0) stream.write(Frame.DATA, slice.value(), 0, buffer);
                        else stream.write(Frame.DATA, slice.value(), 0);
                    } catch (IOException e) {
                        reusable = true;
                        return broken(e);
                    }
                    at += bytes;
                    advance(at);
                }
                reusable = true;
            } finally {
                if (reusable) buffers.give(buffer);
                else buffers.lose(buffer);
            }
            awaiting(() -> false, stream);
            return locked(() -> done) && at == source.length();
        }

        private void advance(long at) {
            lock.lock();
            try {
                if (sent <= staged) advancedAt = System.nanoTime();
                sent = at;
            } finally {
                lock.unlock();
            }
        }

        private void encode(ByteBuffer buffer, long offset, int bytes) throws IOException {
            var dataAt = 12 + 4 * Blocks.count(bytes);
            buffer.putLong(offset).putInt(bytes);
            buffer.position(dataAt).limit(dataAt + bytes);
            readFully(slice, offset, buffer);
            Blocks.sum(buffer, 12, dataAt, bytes);
            buffer.position(0);
        }

        private boolean broken(IOException e) {
            lock.lock();
            try {
                broken = true;
                if (why.isEmpty()) why = String.valueOf(e.getMessage());
            } finally {
                lock.unlock();
            }
            return false;
        }

        /** Waits, with signs of life, until the condition holds (true) or the attempt is over (false). */
        private boolean awaiting(BooleanSupplier condition, Peers.Stream stream) throws InterruptedException {
            while (true) {
                lock.lock();
                try {
                    if (done || refused != null || broken || stalled) return false;
                    if (condition.getAsBoolean()) return true;
                    if (changed.awaitNanos(BEAT_NANOS) > 0) continue;
                } finally {
                    lock.unlock();
                }
                try {
                    stream.write(Frame.DATA, slice.value(), 0);
                } catch (IOException e) {
                    broken(e);
                }
            }
        }

        private void read(Peers.Stream stream) {
            var in = stream.greeting.in();
            try {
                while (true) {
                    var frame = in.next();
                    var body = in.body(frame);
                    if (frame.requestId != slice.value()) throw new MalformedMessageException("answer to another push");
                    var message = Messages.reader(body);
                    lock.lock();
                    try {
                        heardAt = System.nanoTime();
                        switch (frame.type) {
                            case Frame.ACCEPT -> {
                                acceptedAt = message.getLong();
                                if (acceptedAt < 0 || acceptedAt > source.length() || acceptedAt % Blocks.BYTES != 0) {
                                    throw new MalformedMessageException("accepts at " + acceptedAt);
                                }
                                staged = acceptedAt;
                                sent = acceptedAt;
                                advancedAt = heardAt;
                            }
                            case Frame.PROGRESS -> {
                                var now = message.getLong();
                                if (now > staged) advancedAt = heardAt;
                                staged = Math.max(staged, now);
                                durable.addAll(message.getList(CHAIN_MAX, Messages.Reader::getIncarnation));
                            }
                            case Frame.DONE -> {
                                durable.addAll(message.getList(CHAIN_MAX, Messages.Reader::getIncarnation));
                                done = true;
                            }
                            case Frame.ERROR -> {
                                var refusal = Handshake.refusal(frame, body);
                                why = String.valueOf(refusal.getMessage());
                                if (refusal instanceof PeerRefused told) refused = told;
                                else stalled = true;
                            }
                            default -> throw new MalformedMessageException("frame of type " + frame.type);
                        }
                        changed.signalAll();
                        if (done || refused != null || stalled) return;
                    } finally {
                        lock.unlock();
                    }
                }
            } catch (IOException | RuntimeException e) {
                lock.lock();
                try {
                    broken = true;
                    if (why.isEmpty()) why = String.valueOf(e.getMessage());
                    changed.signalAll();
                } finally {
                    lock.unlock();
                }
            }
        }

        /** Closes a stream on which nothing moves, which wakes whoever is blocked in it. Runs on the sweeping thread. */
        private void watch(Peers.Stream stream) {
            peers.deadlines.after(BEAT_NANOS, () -> {
                if (ended.get()) return;
                var now = System.nanoTime();
                lock.lock();
                try {
                    if (done || refused != null || broken) return;
                    var silent = now - heardAt > PROGRESS_NANOS;
                    var stuck = acceptedAt >= 0 && sent > staged && now - advancedAt > PROGRESS_NANOS;
                    if (silent || stuck || now - endsAt >= 0) {
                        stalled = true;
                        why = silent ? "silent" : stuck ? "no progress" : "deadline";
                        changed.signalAll();
                        Thread.startVirtualThread(stream::drop);
                        return;
                    }
                } finally {
                    lock.unlock();
                }
                watch(stream);
            });
        }
    }
}
