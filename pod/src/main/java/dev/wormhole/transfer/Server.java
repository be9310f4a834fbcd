// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.model.Incarnation;
import dev.wormhole.model.Newcomers;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Answers calls of other pods. Thread-safe. Register the handlers, then {@link #start}.
 *
 * <p>Nothing but a handshake of at most 120 bytes within its time is read from a connection before it has named our
 * network and generation. A caller without an incarnation reaches only kinds that are open to strangers, with few and
 * small calls. Connections, running calls and the bytes they hold are bounded; beyond a bound a call is refused as
 * OVERLOADED and a connection closed, of those that have not greeted the oldest one of the busiest host first.
 */
public final class Server implements AutoCloseable {
    private static final Logger log = System.getLogger(Server.class.getName());
    private static final long CHECK_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final long WRITE_STALL_NANOS = TimeUnit.SECONDS.toNanos(10);

    /**
     * @param connectionsMax greeted connections of pods
     * @param strangersMax greeted connections of strangers
     * @param greetingMax connections that have not greeted yet
     * @param greetingTimeout longest time a handshake may take
     * @param strangerLife longest life of a stranger's connection
     * @param strangerBodyMax largest call of a stranger in bytes
     * @param callsMax calls that are being handled, over all connections
     * @param callBytesMax bytes of their bodies
     */
    public record Limits(
            int connectionsMax,
            int strangersMax,
            int greetingMax,
            Duration greetingTimeout,
            Duration strangerLife,
            int strangerBodyMax,
            int callsMax,
            long callBytesMax) {
        public static final Limits DEFAULT =
                new Limits(1024, 16, 64, Duration.ofSeconds(2), Duration.ofSeconds(60), 64 << 10, 4096, 64L << 20);
    }

    /** How a kind is handled. */
    public enum Option {
        /** Calls of one pod are begun one after another, in the order in which they arrived. */
        ORDERED,
        /** Callers that have not joined are answered too. */
        STRANGERS,
        /**
         * A handler past its deadline is left to end by itself: an interrupt would close the file channels it works on.
         * Its caller is answered in time all the same.
         */
        UNINTERRUPTED
    }

    private static final int STRANGER_CALLS_MAX = 4;
    private static final int ORDERED_MAX = 1024;

    private final Transport transport;
    private final Supplier<Identity> identity;
    private final LongSupplier appliedIndex;
    private final Limits limits;
    private final Deadlines deadlines = new Deadlines("wormhole-serving");
    private final ConcurrentHashMap<Integer, Registration> registrations = new ConcurrentHashMap<>();
    private final ConcurrentHashMap<OrderKey, Order> orders = new ConcurrentHashMap<>();
    private final Set<Connection> connections = ConcurrentHashMap.newKeySet();
    private final Newcomers<Transport.Duplex> greeting;
    private final AtomicInteger pods = new AtomicInteger();
    private final AtomicInteger strangers = new AtomicInteger();
    private final AtomicInteger calls = new AtomicInteger();
    private final AtomicLong callBytes = new AtomicLong();
    private final Refusals refusals = new Refusals("the first port", System::nanoTime);
    private volatile @Nullable StreamHandler streams;
    private volatile Consumer<Incarnation> onPeer = _ -> {};
    private volatile Transport.@Nullable Listener listener;
    private volatile boolean closed;

    private record Registration(RawHandler handler, Set<Option> options) {
        boolean is(Option option) {
            return options.contains(option);
        }
    }

    private record OrderKey(Incarnation caller, int kind) {}

    /** Answers with buffers, or null when the answer comes through the exchange later. */
    @FunctionalInterface
    interface RawHandler {
        ByteBuffer @Nullable [] handle(Request request, Exchange exchange) throws Exception;
    }

    /** Works on a stream connection until it ends; the connection is closed behind it. */
    @FunctionalInterface
    interface StreamHandler {
        void serve(Connection connection, Incarnation caller) throws IOException;
    }

    public Server(Transport transport, Supplier<Identity> identity, LongSupplier appliedIndex, Limits limits) {
        this.transport = transport;
        this.identity = identity;
        this.appliedIndex = appliedIndex;
        this.limits = limits;
        this.greeting = new Newcomers<>(limits.greetingMax);
    }

    /** @throws IllegalStateException if the kind has a handler */
    public void handle(int kind, Handler handler, Option... options) {
        handleRaw(kind, (request, _) -> new ByteBuffer[] {ByteBuffer.wrap(handler.handle(request))}, options);
    }

    /** As {@link #handle}; an answer not there at the deadline is cancelled. */
    public void handleLater(int kind, FutureHandler handler, Option... options) {
        handleRaw(
                kind,
                (request, exchange) -> {
                    exchange.answerLater(handler.handle(request));
                    return null;
                },
                options);
    }

    void handleRaw(int kind, RawHandler handler, Option... options) {
        var set = EnumSet.noneOf(Option.class);
        for (var option : options) set.add(option);
        if (registrations.putIfAbsent(kind, new Registration(handler, set)) != null) {
            throw new IllegalStateException("kind " + kind + " has a handler");
        }
    }

    void handleStreams(StreamHandler handler) {
        streams = handler;
    }

    /** Told of every connection of a pod, on the connection's thread: a sign of life. */
    public void onPeer(Consumer<Incarnation> told) {
        onPeer = told;
    }

    /** Ends every connection of a pod: it is not admitted any more. */
    public void drop(Incarnation pod) {
        for (var connection : connections)
            if (pod.equals(connection.other.incarnation())) Thread.startVirtualThread(connection.duplex::close);
    }

    /**
     * Begins to listen.
     *
     * @return the address with the port that was taken
     */
    public String start(String address) throws IOException {
        var listening = transport.listen(address);
        listener = listening;
        Thread.ofVirtual().name("wormhole-accept").start(() -> accept(listening));
        deadlines.after(CHECK_NANOS, this::check);
        return listening.address();
    }

    /** Ends listening and every connection; running handlers are left to end. */
    @Override
    public void close() {
        closed = true;
        var listening = listener;
        if (listening != null) listening.close();
        for (var connection : connections) connection.duplex.close();
        greeting.all().forEach(Transport.Duplex::close);
        deadlines.close();
    }

    private void accept(Transport.Listener listening) {
        while (!closed) {
            try {
                var duplex = listening.accept();
                greeting.add(duplex, host(duplex.remote())).ifPresent(Transport.Duplex::close);
                if (closed) duplex.close();
                Thread.ofVirtual().name("wormhole-serve-" + duplex.remote()).start(() -> serve(duplex));
            } catch (IOException e) {
                if (closed) return;
                // Out of descriptors, mostly: others must end first, so do not spin.
                log.log(Level.WARNING, "accept failed: {0}", e.getMessage());
                try {
                    Thread.sleep(100);
                } catch (InterruptedException interrupted) {
                    return;
                }
            }
        }
    }

    /** Of "/10.0.0.1:7001" what all connections of that machine share. */
    private static String host(String remote) {
        var colon = remote.lastIndexOf(':');
        return colon < 0 ? remote : remote.substring(0, colon);
    }

    private void serve(Transport.Duplex duplex) {
        Connection connection = null;
        var watch = deadlines.after(limits.greetingTimeout.toNanos(), () -> Thread.startVirtualThread(duplex::close));
        try {
            var in = new Frame.In(duplex, Handshake.BODY_MAX);
            connection = greet(duplex, in);
            deadlines.cancel(watch);
            greeting.remove(duplex);
            if (connection == null) return;
            connections.add(connection);
            if (closed) return;
            var caller = connection.other.incarnation();
            if (caller != null) onPeer.accept(caller);
            connection.run();
        } catch (IOException e) {
            if (connection == null && !closed) refusals.note(duplex.remote(), String.valueOf(e.getMessage()));
            else log.log(Level.DEBUG, "connection of {0} ended: {1}", duplex.remote(), e.getMessage());
        } catch (RuntimeException e) {
            log.log(Level.ERROR, "connection of " + duplex.remote() + " ended by a bug", e);
        } finally {
            deadlines.cancel(watch);
            greeting.remove(duplex);
            if (connection != null) {
                connections.remove(connection);
                (connection.other.incarnation() == null ? strangers : pods).decrementAndGet();
            }
            duplex.close();
        }
    }

    /** Null if the caller was refused. */
    private @Nullable Connection greet(Transport.Duplex duplex, Frame.In in) throws IOException {
        var frame = in.next();
        var self = identity.get();
        try {
            if (frame.version != Frame.VERSION) {
                throw new PeerRefused(
                        PeerRefused.WRONG_VERSION, "protocol " + frame.version + " is not " + Frame.VERSION);
            }
            if (frame.type != Frame.HELLO) throw new MalformedMessageException("no hello: type " + frame.type);
            var other = Handshake.identity(frame, in.body(frame));
            var lane = Lane.of(frame.kind);
            var count = other.incarnation() == null ? strangers : pods;
            var most = other.incarnation() == null ? limits.strangersMax : limits.connectionsMax;
            duplex.authenticate(other);
            if (other.incarnation() != null) Handshake.check(self, other, "the caller");
            else if (lane != Lane.CONTROL) {
                throw new PeerRefused(PeerRefused.STRANGER, "only pods of the network may do this");
            }
            if (count.incrementAndGet() > most) {
                count.decrementAndGet();
                throw new PeerRefused(PeerRefused.OVERLOADED, "too many connections");
            }
            var greeted = false;
            try {
                duplex.write(Handshake.welcome(self, appliedIndex.getAsLong()));
                greeted = true;
            } finally {
                if (!greeted) count.decrementAndGet();
            }
            in.bodyMax(other.incarnation() == null ? limits.strangerBodyMax : Frame.BODY_MAX);
            return new Connection(duplex, in, other, lane);
        } catch (PeerRefused e) {
            refusals.note(duplex.remote(), String.valueOf(e.getMessage()));
            duplex.write(Handshake.error(self, 0, appliedIndex.getAsLong(), e.code(), String.valueOf(e.getMessage())));
            return null;
        }
    }

    /** Every second: connections whose caller takes no bytes, strangers that stay, a past generation, and whoever was removed end. */
    private void check() {
        if (closed) return;
        var now = System.nanoTime();
        var generation = identity.get().generation();
        for (var connection : connections) {
            var since = connection.writingSince;
            var stalled = since != 0 && now - since > WRITE_STALL_NANOS;
            var stranger = connection.other.incarnation() == null;
            var overstayed = stranger && now - connection.begunAt > limits.strangerLife.toNanos();
            var past = !stranger && connection.other.generation() != generation;
            if (stalled || overstayed || past || !isAuthentic(connection))
                Thread.startVirtualThread(connection.duplex::close);
        }
        deadlines.after(CHECK_NANOS, this::check);
    }

    private static boolean isAuthentic(Connection connection) {
        try {
            connection.duplex.authenticate(connection.other);
            return true;
        } catch (PeerRefused e) {
            log.log(Level.INFO, "connection of {0} ends: {1}", connection.other.incarnation(), e.getMessage());
            return false;
        }
    }

    /** One greeted connection. */
    final class Connection {
        final Transport.Duplex duplex;
        final Frame.In in;
        final Identity other;
        private final Lane lane;
        private final ReentrantLock writing = new ReentrantLock();
        private final AtomicInteger running = new AtomicInteger();
        private final long begunAt = System.nanoTime();
        private volatile long writingSince;

        Connection(Transport.Duplex duplex, Frame.In in, Identity other, Lane lane) {
            this.duplex = duplex;
            this.in = in;
            this.other = other;
            this.lane = lane;
        }

        private void run() throws IOException {
            var caller = other.incarnation();
            if (lane == Lane.STREAM && caller != null) {
                var handler = streams;
                if (handler == null) throw new MalformedMessageException("no streams here");
                handler.serve(this, caller);
                return;
            }
            while (!closed) receive(in.next());
        }

        private void receive(Frame frame) throws IOException {
            if (frame.type != Frame.CALL || frame.version != Frame.VERSION) {
                throw new MalformedMessageException("frame of type " + frame.type + " is no call");
            }
            checkSender(frame);
            var caller = other.incarnation();
            var registration = registrations.get(frame.kind);
            PeerRefused refusal = null;
            if (registration == null) {
                refusal = new PeerRefused(PeerRefused.UNKNOWN_KIND, "no handler of kind " + frame.kind);
            } else if (caller == null && !registration.is(Option.STRANGERS)) {
                refusal = new PeerRefused(PeerRefused.STRANGER, "only pods of the network may do this");
            } else if (caller == null && running.get() >= STRANGER_CALLS_MAX
                    || calls.get() >= limits.callsMax
                    || callBytes.get() + frame.bodyBytes > limits.callBytesMax) {
                refusal = new PeerRefused(PeerRefused.OVERLOADED, "too many calls at a time");
            }
            if (refusal != null || registration == null) {
                in.skip(frame);
                if (refusal != null) error(frame.requestId, refusal.code(), String.valueOf(refusal.getMessage()));
                return;
            }
            var endsAt = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(Math.max(0, frame.deadlineMillis));
            calls.incrementAndGet();
            running.incrementAndGet();
            callBytes.addAndGet(frame.bodyBytes);
            Exchange exchange = null;
            try {
                var request = new Request(caller, duplex.remote(), in.body(frame), frame.appliedIndex, endsAt);
                exchange = new Exchange(this, registration, request, frame.requestId, frame.bodyBytes);
            } finally {
                if (exchange == null) release(frame.bodyBytes);
            }
            exchange.watch();
            if (registration.is(Option.ORDERED) && caller != null) {
                var order = orders.computeIfAbsent(new OrderKey(caller, frame.kind), _ -> new Order());
                if (!order.add(exchange)) {
                    exchange.refuse(PeerRefused.OVERLOADED, "too many calls at a time");
                    release(frame.bodyBytes);
                }
            } else {
                Thread.startVirtualThread(exchange);
            }
        }

        void checkSender(Frame frame) throws IOException {
            if (frame.sender != other.number() || frame.generation != other.generation()) {
                throw new MalformedMessageException("frame of p" + frame.sender + ", generation " + frame.generation
                        + " on a connection of " + other.incarnation() + ", generation " + other.generation());
            }
        }

        private void release(int bodyBytes) {
            calls.decrementAndGet();
            running.decrementAndGet();
            callBytes.addAndGet(-bodyBytes);
        }

        void write(byte type, int kind, long requestId, ByteBuffer... body) throws IOException {
            write(Frame.encode(type, kind, identity.get(), 0, requestId, appliedIndex.getAsLong(), body));
        }

        void error(long requestId, int code, String message) throws IOException {
            write(Handshake.error(identity.get(), requestId, appliedIndex.getAsLong(), code, message));
        }

        private void write(ByteBuffer... frame) throws IOException {
            writing.lock();
            try {
                writingSince = System.nanoTime() | 1;
                duplex.write(frame);
            } finally {
                writingSince = 0;
                writing.unlock();
            }
        }
    }

    /** Begins the calls of one kind from one pod in order; a thread lives only while there are some. */
    private static final class Order implements Runnable {
        private final Deque<Exchange> waiting = new ArrayDeque<>();
        private boolean running;

        boolean add(Exchange exchange) {
            synchronized (waiting) {
                if (waiting.size() >= ORDERED_MAX) return false;
                waiting.add(exchange);
                if (running) return true;
                running = true;
            }
            Thread.startVirtualThread(this);
            return true;
        }

        @Override
        public void run() {
            while (true) {
                Exchange next;
                synchronized (waiting) {
                    next = waiting.poll();
                    if (next == null) {
                        running = false;
                        return;
                    }
                }
                next.run();
                // An interrupt meant for the last call must not hit the next one.
                var _ = Thread.interrupted();
            }
        }
    }

    /** One call on its way to an answer; the first of answer, refusal and deadline counts. */
    final class Exchange implements Runnable {
        private final Connection connection;
        private final Registration registration;
        private final Request request;
        private final long requestId;
        private final int bodyBytes;
        private boolean answered;
        private @Nullable Thread thread;
        private @Nullable CompletableFuture<byte[]> later;
        private Deadlines.@Nullable Entry timer;
        private @Nullable Runnable afterwards;

        Exchange(Connection connection, Registration registration, Request request, long requestId, int bodyBytes) {
            this.connection = connection;
            this.registration = registration;
            this.request = request;
            this.requestId = requestId;
            this.bodyBytes = bodyBytes;
        }

        /** Run by the handler's thread once the answer that the handler returned is written or was too late. */
        void afterwards(Runnable action) {
            afterwards = action;
        }

        void watch() {
            timer = deadlines.after(request.endsAtNanos() - System.nanoTime(), this::expire);
        }

        /** Claims the right to answer. */
        private boolean claim() {
            synchronized (this) {
                if (answered) return false;
                answered = true;
                thread = null;
            }
            if (timer != null) deadlines.cancel(timer);
            return true;
        }

        private void expire() {
            CompletableFuture<byte[]> abandoned;
            synchronized (this) {
                if (answered) return;
                answered = true;
                // Under the lock, so that it cannot hit the thread after it has gone on to something else.
                if (thread != null && !registration.is(Option.UNINTERRUPTED)) thread.interrupt();
                abandoned = later;
            }
            Thread.startVirtualThread(() -> {
                if (abandoned != null) abandoned.cancel(false);
                send(() -> connection.error(requestId, PeerRefused.TIMEOUT, "not done within the deadline"));
            });
        }

        @Override
        public void run() {
            synchronized (this) {
                if (answered) {
                    connection.release(bodyBytes);
                    return;
                }
                thread = Thread.currentThread();
            }
            var pending = false;
            try {
                var body = registration.handler.handle(request, this);
                pending = body == null;
                if (body != null) answer(body);
            } catch (Exception e) {
                fail(e);
            } finally {
                synchronized (this) {
                    thread = null;
                }
                if (!pending) connection.release(bodyBytes);
                if (afterwards != null) afterwards.run();
            }
        }

        private void answerLater(CompletableFuture<byte[]> future) {
            synchronized (this) {
                later = future;
                if (answered) future.cancel(false);
            }
            // On a thread of our own: whoever completes it, say the thread that applies the log, must not wait for a
            // socket.
            var _ = future.whenComplete((body, failure) -> Thread.startVirtualThread(() -> {
                try {
                    if (failure == null) answer(ByteBuffer.wrap(body));
                    else fail(failure);
                } finally {
                    connection.release(bodyBytes);
                }
            }));
        }

        private void answer(ByteBuffer... body) {
            if (Frame.bytes(body) > Frame.BODY_MAX) refuse(PeerRefused.TOO_LARGE, "the answer is too large");
            else if (claim()) send(() -> connection.write(Frame.REPLY, 0, requestId, body));
        }

        void refuse(int code, String message) {
            if (claim()) send(() -> connection.error(requestId, code, message));
        }

        private void fail(Throwable failure) {
            var cause =
                    failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
            switch (cause) {
                case PeerRefused refused -> refuse(refused.code(), String.valueOf(refused.getMessage()));
                case MalformedMessageException malformed ->
                    refuse(PeerRefused.BAD_REQUEST, String.valueOf(malformed.getMessage()));
                case InterruptedException _ -> refuse(PeerRefused.TIMEOUT, "not done within the deadline");
                case CancellationException _ -> refuse(PeerRefused.TIMEOUT, "given up");
                case IOException io -> {
                    log.log(Level.WARNING, "a call from {0} failed: {1}", connection.other.incarnation(), io);
                    refuse(PeerRefused.FAILED, String.valueOf(io));
                }
                default -> {
                    log.log(Level.ERROR, "a call from " + connection.other.incarnation() + " ended by a bug", cause);
                    refuse(PeerRefused.FAILED, String.valueOf(cause));
                }
            }
        }

        private void send(Sending sending) {
            try {
                sending.run();
            } catch (IOException e) {
                connection.duplex.close(); // the caller learns it from its connection
            }
        }
    }

    @FunctionalInterface
    private interface Sending {
        void run() throws IOException;
    }
}
