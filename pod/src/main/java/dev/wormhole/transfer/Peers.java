// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Calls to other pods. Thread-safe.
 *
 * <p>Each peer has at most one connection per lane; calls are multiplexed over it and leave in the order in which they
 * were made. A connection is dialled when first needed, over all known addresses, the last good one first. After a failed
 * dial calls fail at once until the next attempt is due (20 ms, doubling to 1 s).
 *
 * <p>Every call ends by its deadline. When one times out and nothing at all was heard on its connection since it was
 * written, that connection takes no more calls, the next call dials anew, and the old one ends with its last call: so a
 * peer that was cut off without a reset costs its callers one deadline.
 *
 * <p>Small frames are written by the calling thread. A thread that is interrupted in the middle of it costs the
 * connection (the JDK closes the channel); a thread already interrupted hands over to the connection's writer.
 */
public final class Peers implements AutoCloseable {
    /** Bytes written and unanswered up to which a caller writes itself: the socket's buffer surely takes them. */
    private static final int INLINE_BYTES_MAX = 12 * 1024;

    private static final long BACKOFF_FIRST_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
    private static final long BACKOFF_MAX_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final long STAGGER_MILLIS = 150;
    private static final int ADDRESSES_MAX = 16;
    private static final int STREAMS_IDLE_MAX = 2;

    /**
     * @param outstandingMax most unanswered calls per peer and lane; more are refused as OVERLOADED
     * @param outstandingBytesMax most bytes of their bodies
     * @param connectTimeout longest time to connect and greet
     * @param idleMax after which an unused connection that is not for control is closed
     */
    public record Limits(int outstandingMax, int outstandingBytesMax, Duration connectTimeout, Duration idleMax) {
        public static final Limits DEFAULT = new Limits(4096, 32 << 20, Duration.ofSeconds(2), Duration.ofSeconds(60));
    }

    private final Transport transport;
    private final Supplier<Identity> identity;
    private final LongSupplier appliedIndex;
    private final Limits limits;
    final Deadlines deadlines = new Deadlines("wormhole-calls");
    private final ConcurrentHashMap<Incarnation, Peer> peers = new ConcurrentHashMap<>();
    private final AtomicLong requestIds = new AtomicLong();
    private volatile Consumer<PeerRefused> onRefused = _ -> {};
    private volatile boolean closed;

    /**
     * @param identity who this pod is now; asked for every frame, so it may change
     * @param appliedIndex the log index that this pod has applied; travels with every call
     */
    public Peers(Transport transport, Supplier<Identity> identity, LongSupplier appliedIndex, Limits limits) {
        this.transport = transport;
        this.identity = identity;
        this.appliedIndex = appliedIndex;
        this.limits = limits;
        deadlines.after(limits.idleMax.toNanos(), this::closeIdle);
    }

    /** Replaces the known addresses of a peer, best first, each {@code host:port}; ends its backoff if they are new. */
    public void learn(Incarnation peer, List<String> addresses) {
        peer(peer).learn(addresses.size() > ADDRESSES_MAX ? addresses.subList(0, ADDRESSES_MAX) : addresses);
    }

    /** Drops a peer, its connections and its counters; outstanding calls fail. */
    public void forget(Incarnation peer) {
        var known = peers.remove(peer);
        if (known != null) known.close("forgotten");
    }

    /** Told when a peer does not let this pod speak as it does, at each attempt; must not block. */
    public void onRefused(Consumer<PeerRefused> told) {
        onRefused = told;
    }

    /** A sign of life from elsewhere, such as a connection from that peer: the next call dials without waiting. */
    public void heard(Incarnation peer) {
        var known = peers.get(peer);
        if (known != null) for (var line : known.lines) line.retryNow();
    }

    /**
     * Calls a peer. Completes by the deadline with its reply or with a {@link PeerException}, on a virtual thread of its
     * own, so dependent stages may block.
     *
     * @param kind a number for which the peer's server has a handler
     * @param body must not be changed afterwards
     */
    public CompletableFuture<Reply> call(Incarnation to, int kind, byte[] body, Duration deadline) {
        var call = new Call(kind, deadline, true, ByteBuffer.wrap(body));
        submit(Lane.CONTROL, to, call);
        return call.done;
    }

    /** As {@link #call}, and waits for it: the fastest way. An interrupt ends the waiting, not the call. */
    public Reply await(Incarnation to, int kind, byte[] body, Duration deadline)
            throws PeerException, InterruptedException {
        return await(Lane.CONTROL, to, kind, deadline, ByteBuffer.wrap(body));
    }

    Reply await(Lane lane, Incarnation to, int kind, Duration deadline, ByteBuffer... body)
            throws PeerException, InterruptedException {
        var call = new Call(kind, deadline, false, body);
        submit(lane, to, call);
        try {
            return call.done.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof PeerException peer) throw peer;
            throw new IllegalStateException("call ended with " + e.getCause(), e);
        }
    }

    /**
     * Calls whoever listens at an address, over a connection of its own: as a stranger while this pod has no
     * incarnation, which only kinds that are open to strangers answer.
     */
    public CompletableFuture<Reply> callAddress(String address, int kind, byte[] body, Duration deadline) {
        var call = new Call(kind, deadline, true, ByteBuffer.wrap(body));
        var line = new Line(new Peer(null), Lane.CONTROL, true);
        line.owner.addresses = List.of(address);
        line.submit(call);
        return call.done.whenComplete((_, _) -> line.close("done"));
    }

    /** Counters of every known peer. */
    public Map<Incarnation, PeerStats> stats() {
        var all = new TreeMap<Incarnation, PeerStats>();
        peers.forEach((incarnation, peer) -> all.put(incarnation, peer.stats()));
        return all;
    }

    private void submit(Lane lane, Incarnation to, Call call) {
        var peer = peers.get(to);
        if (closed) call.fail(new PeerUnreachable("this pod is stopping"));
        else if (peer == null) call.fail(new PeerUnreachable("no address of " + to + " is known"));
        else peer.lines[lane.ordinal()].submit(call);
    }

    private Peer peer(Incarnation incarnation) {
        return peers.computeIfAbsent(incarnation, Peer::new);
    }

    private void closeIdle() {
        if (closed) return;
        var now = System.nanoTime();
        for (var peer : peers.values()) peer.closeIdle(now - limits.idleMax.toNanos());
        deadlines.after(limits.idleMax.toNanos() / 2, this::closeIdle);
    }

    /** Ends every connection; outstanding calls fail. */
    @Override
    public void close() {
        closed = true;
        for (var incarnation : List.copyOf(peers.keySet())) forget(incarnation);
        deadlines.close();
    }

    /** A connection for one large slice at a time. */
    final class Stream {
        final Handshake.Greeting greeting;
        private final Peer peer;
        private final ReentrantLock writing = new ReentrantLock();
        private long idleSince;

        Stream(Peer peer, Handshake.Greeting greeting) {
            this.peer = peer;
            this.greeting = greeting;
        }

        void write(byte type, long requestId, int deadlineMillis, ByteBuffer... body) throws IOException {
            var frame = Frame.encode(
                    type, Kinds.PUSH_STREAM, identity.get(), deadlineMillis, requestId, appliedIndex.getAsLong(), body);
            var bytes = Frame.bytes(frame);
            writing.lock();
            try {
                greeting.duplex().write(frame);
            } finally {
                writing.unlock();
            }
            peer.bytesOut.add(bytes);
        }

        /** Keeps the connection for the next push; only after a push ended in good order. */
        void release() {
            peer.release(this);
        }

        void drop() {
            greeting.duplex().close();
        }
    }

    /** A greeted stream connection, a kept one if there is one. */
    Stream openStream(Incarnation to, Duration deadline) throws PeerException {
        var peer = peers.get(to);
        if (peer == null || closed) throw new PeerUnreachable("no address of " + to + " is known");
        var kept = peer.takeStream();
        if (kept != null) return kept;
        var line = peer.lines[Lane.STREAM.ordinal()];
        line.throwIfWaiting();
        try {
            return new Stream(peer, line.greet(deadline));
        } catch (PeerException e) {
            line.dialFailed(e);
            throw e;
        }
    }

    /** One call from its making to its end, which happens once. */
    private final class Call {
        final int kind;
        final ByteBuffer[] body;
        final int bytes;
        final long madeAt = System.nanoTime();
        final long endsAt;
        final boolean async;
        final long id = requestIds.incrementAndGet();
        final CompletableFuture<Reply> done = new CompletableFuture<>();
        private final AtomicBoolean ended = new AtomicBoolean();
        private Deadlines.@Nullable Entry timer;
        volatile @Nullable Line line;
        volatile @Nullable Connection connection;
        /** When its frame was handed to the channel; 0 before. */
        volatile long writtenAt;

        Call(int kind, Duration deadline, boolean async, ByteBuffer... body) {
            this.kind = kind;
            this.body = body;
            this.async = async;
            this.bytes = Frame.bytes(body);
            this.endsAt = madeAt + Math.max(1, deadline.toNanos());
        }

        void start() {
            timer = deadlines.after(endsAt - System.nanoTime(), this::timeout);
        }

        boolean isEnded() {
            return ended.get();
        }

        private boolean end(@Nullable Reply reply, @Nullable PeerException failure) {
            if (!ended.compareAndSet(false, true)) return false;
            if (timer != null) deadlines.cancel(timer);
            var on = connection;
            if (on != null) on.ended(this);
            var through = line;
            if (through != null) through.ended(this, reply != null);
            if (async) Thread.startVirtualThread(() -> complete(reply, failure));
            else complete(reply, failure);
            return true;
        }

        private void complete(@Nullable Reply reply, @Nullable PeerException failure) {
            if (failure != null) done.completeExceptionally(failure);
            else if (reply != null) done.complete(reply);
        }

        void reply(Reply reply) {
            end(reply, null);
        }

        void fail(PeerException failure) {
            end(null, failure);
        }

        private void timeout() {
            var on = connection;
            var waited = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - madeAt);
            var to = line == null ? "peer" : line.owner.name();
            if (on != null) on.suspect(this);
            fail(new PeerTimeout("no reply from " + to + " to a call of kind " + kind + " within " + waited + " ms"));
        }

        int millisLeft() {
            return (int) Math.clamp(TimeUnit.NANOSECONDS.toMillis(endsAt - System.nanoTime()), 0, Integer.MAX_VALUE);
        }
    }

    private final class Peer {
        final @Nullable Incarnation incarnation;
        final Line[] lines = new Line[Lane.values().length];
        private final Deque<Stream> idleStreams = new ArrayDeque<>();
        volatile List<String> addresses = List.of();
        final LongAdder bytesOut = new LongAdder();
        final LongAdder bytesIn = new LongAdder();
        final LongAdder calls = new LongAdder();
        final LongAdder failures = new LongAdder();
        volatile long roundTripNanos;

        Peer(@Nullable Incarnation incarnation) {
            this.incarnation = incarnation;
            for (var lane : Lane.values()) lines[lane.ordinal()] = new Line(this, lane, false);
        }

        String name() {
            return incarnation == null ? addresses.toString() : incarnation.toString();
        }

        void learn(List<String> learnt) {
            var known = addresses;
            // The address that worked last stays in front, as long as it is still one of them.
            var merged = new LinkedHashSet<String>();
            if (!known.isEmpty() && learnt.contains(known.getFirst())) merged.add(known.getFirst());
            merged.addAll(learnt);
            addresses = List.copyOf(merged);
            if (!known.containsAll(learnt)) for (var line : lines) line.retryNow();
        }

        void prefer(String address) {
            var known = addresses;
            if (known.isEmpty() || known.getFirst().equals(address) || !known.contains(address)) return;
            var merged = new LinkedHashSet<String>();
            merged.add(address);
            merged.addAll(known);
            addresses = List.copyOf(merged);
        }

        @Nullable Stream takeStream() {
            synchronized (idleStreams) {
                return idleStreams.pollLast();
            }
        }

        void release(Stream stream) {
            stream.idleSince = System.nanoTime();
            synchronized (idleStreams) {
                if (idleStreams.size() < STREAMS_IDLE_MAX && !closed) {
                    idleStreams.addLast(stream);
                    return;
                }
            }
            stream.drop();
        }

        void closeIdle(long before) {
            synchronized (idleStreams) {
                while (!idleStreams.isEmpty() && idleStreams.peekFirst().idleSince - before < 0) {
                    idleStreams.removeFirst().drop();
                }
            }
            for (var line : lines) if (line.lane != Lane.CONTROL) line.closeIfIdle(before);
        }

        void close(String why) {
            for (var line : lines) line.close(why);
            synchronized (idleStreams) {
                idleStreams.forEach(Stream::drop);
                idleStreams.clear();
            }
        }

        PeerStats stats() {
            var outstanding = 0L;
            for (var line : lines) outstanding += line.outstanding.get();
            var control = lines[Lane.CONTROL.ordinal()];
            return new PeerStats(
                    bytesOut.sum(),
                    bytesIn.sum(),
                    calls.sum(),
                    failures.sum(),
                    outstanding,
                    TimeUnit.NANOSECONDS.toMicros(roundTripNanos),
                    control.isConnected());
        }
    }

    /** One lane to one peer: the connection in use, the calls that wait for one, and when to dial again. */
    private final class Line {
        final Peer owner;
        final Lane lane;
        private final boolean once;
        private final ReentrantLock lock = new ReentrantLock();
        private final Deque<Call> waiting = new ArrayDeque<>();
        private @Nullable Connection current;
        private boolean dialling;
        private boolean ended;
        private long retryAt = System.nanoTime();
        private long backoff = BACKOFF_FIRST_NANOS;
        private @Nullable PeerException lastFailure;
        final AtomicInteger outstanding = new AtomicInteger();
        private final AtomicLong outstandingBytes = new AtomicLong();

        Line(Peer owner, Lane lane, boolean once) {
            this.owner = owner;
            this.lane = lane;
            this.once = once;
        }

        boolean isConnected() {
            lock.lock();
            try {
                return current != null;
            } finally {
                lock.unlock();
            }
        }

        void submit(Call call) {
            owner.calls.increment();
            call.line = this;
            var calls = outstanding.incrementAndGet();
            var bytes = outstandingBytes.addAndGet(call.bytes);
            call.start();
            if (calls > limits.outstandingMax || bytes > limits.outstandingBytesMax && calls > 1) {
                call.fail(new PeerRefused(
                        PeerRefused.OVERLOADED, (calls - 1) + " calls to " + owner.name() + " are not answered yet"));
                return;
            }
            if (call.bytes > Frame.BODY_MAX) {
                call.fail(new PeerRefused(PeerRefused.TOO_LARGE, "a call of " + call.bytes + " bytes"));
                return;
            }
            PeerException failure = null;
            Connection connection;
            lock.lock();
            try {
                connection = current;
                if (connection != null) {
                    connection.enqueue(call);
                } else if (ended) {
                    failure = new PeerUnreachable(owner.name() + " was dropped");
                } else if (dialling) {
                    waiting.add(call);
                } else {
                    failure = backingOff();
                    if (failure == null) {
                        waiting.add(call);
                        dialling = true;
                        Thread.startVirtualThread(this::dial);
                    }
                }
            } finally {
                lock.unlock();
            }
            if (failure != null) call.fail(failure);
            else if (connection != null) connection.flush(call.bytes);
        }

        void ended(Call call, boolean answered) {
            outstanding.decrementAndGet();
            outstandingBytes.addAndGet(-call.bytes);
            if (!answered) owner.failures.increment();
            else if (lane == Lane.CONTROL) {
                var took = System.nanoTime() - call.madeAt;
                var before = owner.roundTripNanos;
                owner.roundTripNanos = before == 0 ? took : before + (took - before) / 8;
            }
        }

        void throwIfWaiting() throws PeerException {
            lock.lock();
            try {
                var failure = backingOff();
                if (failure != null) throw failure;
            } finally {
                lock.unlock();
            }
        }

        private @Nullable PeerException backingOff() {
            if (retryAt - System.nanoTime() <= 0 || lastFailure == null) return null;
            if (lastFailure instanceof PeerRefused refused) {
                return new PeerRefused(refused.code(), String.valueOf(refused.getMessage()));
            }
            return new PeerUnreachable(String.valueOf(lastFailure.getMessage()));
        }

        void retryNow() {
            lock.lock();
            try {
                retryAt = System.nanoTime();
                backoff = BACKOFF_FIRST_NANOS;
            } finally {
                lock.unlock();
            }
        }

        void dialFailed(PeerException failure) {
            if (failure instanceof PeerRefused refused && refused.code() == PeerRefused.UNAUTHENTICATED)
                onRefused.accept(refused);
            lock.lock();
            try {
                lastFailure = failure;
                // Half of it by chance, so that many pods do not come back at one instant.
                retryAt = System.nanoTime()
                        + backoff / 2
                        + ThreadLocalRandom.current().nextLong(backoff / 2 + 1);
                backoff = Math.min(backoff * 2, BACKOFF_MAX_NANOS);
            } finally {
                lock.unlock();
            }
        }

        private void dial() {
            try {
                var connection = new Connection(this, greet(limits.connectTimeout));
                var keep = false;
                lock.lock();
                try {
                    dialling = false;
                    keep = !ended;
                    if (keep) {
                        current = connection;
                        backoff = BACKOFF_FIRST_NANOS;
                        lastFailure = null;
                        for (var call : waiting) connection.enqueue(call);
                        waiting.clear();
                    }
                } finally {
                    lock.unlock();
                }
                if (keep) connection.start();
                else connection.fail("dropped");
            } catch (PeerException e) {
                dialFailed(e);
                List<Call> failed;
                lock.lock();
                try {
                    dialling = false;
                    failed = List.copyOf(waiting);
                    waiting.clear();
                } finally {
                    lock.unlock();
                }
                for (var call : failed) call.fail(e);
            }
        }

        /** Tries every address, a further one every 150 ms; the first greeted connection wins. */
        Handshake.Greeting greet(Duration deadline) throws PeerException {
            var addresses = owner.addresses;
            if (addresses.isEmpty()) throw new PeerUnreachable("no address of " + owner.name() + " is known");
            var first = new CompletableFuture<Handshake.Greeting>();
            var left = new AtomicInteger(addresses.size());
            var failures = new ArrayList<String>();
            var end = System.nanoTime() + deadline.toNanos();
            for (var i = 0; i < addresses.size() && !first.isDone(); i++) {
                var address = addresses.get(i);
                Thread.startVirtualThread(() -> {
                    try {
                        var greeting = Handshake.dial(
                                transport,
                                deadlines,
                                address,
                                identity.get(),
                                lane,
                                owner.incarnation,
                                Duration.ofNanos(Math.max(1_000_000, end - System.nanoTime())));
                        owner.prefer(address);
                        if (!first.complete(greeting)) greeting.duplex().close();
                    } catch (IOException | RuntimeException e) {
                        var why = address + ": "
                                + (e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage());
                        synchronized (failures) {
                            failures.add(why);
                        }
                        // A clear refusal is worth more than a silent address, but another address may still do.
                        if (left.decrementAndGet() == 0) {
                            synchronized (failures) {
                                first.completeExceptionally(
                                        e instanceof PeerRefused refused
                                                ? refused
                                                : new PeerUnreachable(
                                                        "cannot reach " + owner.name() + ": " + failures));
                            }
                        }
                    }
                });
                if (i + 1 < addresses.size()) {
                    try {
                        first.get(STAGGER_MILLIS, TimeUnit.MILLISECONDS);
                    } catch (TimeoutException | ExecutionException e) {
                        // The next address.
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                }
            }
            try {
                return first.get(Math.max(1, end - System.nanoTime()), TimeUnit.NANOSECONDS);
            } catch (ExecutionException e) {
                if (e.getCause() instanceof PeerException peer) throw peer;
                throw new IllegalStateException(e);
            } catch (TimeoutException | InterruptedException e) {
                if (e instanceof InterruptedException) Thread.currentThread().interrupt();
                var late = new PeerUnreachable("no connection to " + owner.name() + " at " + addresses);
                if (!first.completeExceptionally(late) && !first.isCompletedExceptionally()) {
                    return first.join();
                }
                throw late;
            }
        }

        /** The connection takes no more calls; the next one dials. */
        void detach(Connection connection) {
            lock.lock();
            try {
                if (current == connection) current = null;
            } finally {
                lock.unlock();
            }
        }

        void closeIfIdle(long before) {
            Connection idle = null;
            lock.lock();
            try {
                if (current != null && outstanding.get() == 0 && current.lastHeard - before < 0) {
                    idle = current;
                    current = null;
                }
            } finally {
                lock.unlock();
            }
            if (idle != null) idle.fail("idle");
        }

        void close(String why) {
            Connection connection;
            List<Call> failed;
            lock.lock();
            try {
                ended = true;
                connection = current;
                current = null;
                failed = List.copyOf(waiting);
                waiting.clear();
            } finally {
                lock.unlock();
            }
            for (var call : failed) call.fail(new PeerUnreachable(owner.name() + ": " + why));
            if (connection != null) connection.fail(why);
        }
    }

    /** A multiplexed connection: one reading thread, one writing thread that callers of small frames spare. */
    private final class Connection {
        private final Line line;
        private final Transport.Duplex duplex;
        private final Frame.In in;
        private final ConcurrentHashMap<Long, Call> outstanding = new ConcurrentHashMap<>();
        private final Deque<Call> queue = new ArrayDeque<>();
        private final ReentrantLock writing = new ReentrantLock();
        private final AtomicLong unanswered = new AtomicLong();
        private final Thread writer;
        private volatile boolean dead;
        private volatile boolean draining;
        private volatile String why = "";
        volatile long lastHeard = System.nanoTime();

        Connection(Line line, Handshake.Greeting greeting) {
            this.line = line;
            this.duplex = greeting.duplex();
            this.in = greeting.in();
            writer = Thread.ofVirtual()
                    .name("wormhole-write-" + line.owner.name())
                    .unstarted(this::writeQueued);
        }

        void start() {
            writer.start();
            Thread.ofVirtual().name("wormhole-read-" + line.owner.name()).start(this::read);
            LockSupport.unpark(writer);
        }

        /** Under the line's lock, which is what keeps the order of calls. */
        void enqueue(Call call) {
            outstanding.put(call.id, call);
            call.connection = this;
            if (call.isEnded()) outstanding.remove(call.id);
            synchronized (queue) {
                queue.add(call);
            }
            if (dead) call.fail(new PeerUnreachable(line.owner.name() + ": " + why));
        }

        void flush(int bytes) {
            var inline = unanswered.get() + bytes <= INLINE_BYTES_MAX
                    && !Thread.currentThread().isInterrupted()
                    && writing.tryLock();
            if (!inline) {
                LockSupport.unpark(writer);
                return;
            }
            boolean more;
            try {
                more = drain(INLINE_BYTES_MAX);
            } finally {
                writing.unlock();
            }
            if (more) LockSupport.unpark(writer);
        }

        private void writeQueued() {
            while (!dead) {
                writing.lock();
                try {
                    drain(Long.MAX_VALUE);
                } finally {
                    writing.unlock();
                }
                synchronized (queue) {
                    if (!queue.isEmpty()) continue;
                }
                LockSupport.park(this);
            }
        }

        /** Writes what is queued while fewer bytes than that are unanswered; tells whether some is left. */
        private boolean drain(long unansweredMax) {
            while (true) {
                Call call;
                synchronized (queue) {
                    call = queue.peek();
                    if (call == null) return false;
                    if (unanswered.get() + call.bytes > unansweredMax) return true;
                    queue.remove();
                }
                if (call.isEnded()) continue;
                var frame = Frame.encode(
                        Frame.CALL,
                        call.kind,
                        identity.get(),
                        call.millisLeft(),
                        call.id,
                        appliedIndex.getAsLong(),
                        call.body);
                var bytes = Frame.bytes(frame);
                unanswered.addAndGet(call.bytes + Frame.HEADER_BYTES);
                call.writtenAt = System.nanoTime() | 1;
                try {
                    duplex.write(frame);
                } catch (IOException | RuntimeException e) {
                    fail(String.valueOf(e.getMessage()));
                    return false;
                }
                line.owner.bytesOut.add(bytes);
            }
        }

        private void read() {
            var counted = 0L;
            try {
                while (!dead) {
                    var frame = in.next();
                    var body = in.body(frame);
                    lastHeard = System.nanoTime();
                    line.owner.bytesIn.add(in.bytesIn - counted);
                    counted = in.bytesIn;
                    var call = outstanding.get(frame.requestId);
                    if (call == null) continue; // its caller has given up
                    if (frame.type == Frame.REPLY) call.reply(new Reply(body, frame.appliedIndex));
                    else if (frame.type == Frame.ERROR) call.fail(Handshake.refusal(frame, body));
                    else throw new MalformedMessageException("frame of type " + frame.type + " is no reply");
                }
            } catch (IOException | RuntimeException e) {
                fail(e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage());
            }
        }

        void ended(Call call) {
            outstanding.remove(call.id);
            if (call.writtenAt != 0) unanswered.addAndGet(-call.bytes - Frame.HEADER_BYTES);
            if (draining && outstanding.isEmpty()) Thread.startVirtualThread(() -> fail("silent"));
        }

        void suspect(Call call) {
            var written = call.writtenAt;
            if (written != 0 && lastHeard - written >= 0) return;
            if (written == 0 && outstanding.size() > 1 && System.nanoTime() - lastHeard < TimeUnit.SECONDS.toNanos(1))
                return;
            draining = true;
            line.detach(this);
        }

        void fail(String reason) {
            if (!dead) why = reason;
            dead = true;
            line.detach(this);
            duplex.close();
            LockSupport.unpark(writer);
            for (var call : outstanding.values()) {
                call.fail(new PeerUnreachable("connection to " + line.owner.name() + " lost: " + reason));
            }
        }
    }
}
