// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import dev.wormhole.content.ContentStore;
import dev.wormhole.content.OutOfSpaceException;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.SliceId;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Takes slices that other pods push, passes them on while they arrive, and answers when they are durable. Thread-safe.
 *
 * <p>Every block is compared with its checksum before it is staged. A slice that is here already is answered at once;
 * several pushes of one slice become one: the later ones wait for the first and take over if it breaks. A broken stream is
 * kept for 30 s and resumes at its staged length. No room is answered as NO_SPACE, too many streams as OVERLOADED.
 */
public final class SliceReceiver {
    private static final Logger log = System.getLogger(SliceReceiver.class.getName());
    private static final long KEPT_NANOS = TimeUnit.SECONDS.toNanos(30);
    private static final long BEAT_NANOS = TimeUnit.MILLISECONDS.toNanos(250);
    private static final long SILENCE_NANOS = TimeUnit.SECONDS.toNanos(3);
    private static final int PROGRESS_BYTES = 2 << 20;

    /**
     * @param streamsMax large slices arriving or kept for resuming
     * @param stagedBytesMax their whole lengths together; a single larger one is taken all the same
     */
    public record Limits(int streamsMax, long stagedBytesMax) {
        public static final Limits DEFAULT = new Limits(32, 8L << 30);
    }

    private final Supplier<Identity> identity;
    private final ContentStore store;
    private final SliceSender sender;
    private final Deadlines deadlines;
    private final Limits limits;
    private final Buffers buffers = new Buffers();
    private final ConcurrentHashMap<SliceId, CompletableFuture<Boolean>> small = new ConcurrentHashMap<>();
    private final ReentrantLock lock = new ReentrantLock();
    // Guarded by lock.
    private final Map<SliceId, Incoming> incoming = new HashMap<>();
    private long incomingBytes;
    private boolean sweeping;

    /** Registers itself with the server, which must not have started. */
    public SliceReceiver(
            Server server,
            Peers peers,
            Supplier<Identity> identity,
            ContentStore store,
            SliceSender sender,
            Limits limits) {
        this.identity = identity;
        this.store = store;
        this.sender = sender;
        this.deadlines = peers.deadlines;
        this.limits = limits;
        server.handle(Kinds.PUSH_GROUP, this::group, Server.Option.UNINTERRUPTED);
        server.handleStreams(this::streams);
    }

    /** Bytes of large slices announced and not durable yet. */
    public long incomingBytes() {
        lock.lock();
        try {
            return incomingBytes;
        } finally {
            lock.unlock();
        }
    }

    private Incarnation self() {
        var self = identity.get().incarnation();
        if (self == null) throw new IllegalStateException("a stranger receives slices");
        return self;
    }

    private static List<Incarnation> chain(ByteBuffer in) throws MalformedMessageException {
        if (!in.hasRemaining()) throw new MalformedMessageException("no chain");
        var count = in.get() & 0xff;
        if (count > SliceSender.CHAIN_MAX || in.remaining() < 4 * count) {
            throw new MalformedMessageException("chain of " + count);
        }
        var chain = new ArrayList<Incarnation>(count);
        for (var i = 0; i < count; i++) {
            var number = in.getInt();
            if (number <= 0 || number > dev.wormhole.model.Ids.ALLOCATOR_MAX) {
                throw new MalformedMessageException("incarnation " + number);
            }
            chain.add(new Incarnation(number));
        }
        return chain;
    }

    // ---- small slices ------------------------------------------------------------------------------------------

    private record Part(SliceId slice, int dataAt, int length) {}

    private byte[] group(Request request) throws IOException, InterruptedException {
        var body = ByteBuffer.wrap(request.body());
        var chain = new ArrayList<Incarnation>();
        var parts = parse(body, chain);
        chain.remove(self());
        chain.remove(request.caller());
        // A second for each hop; the caller, which gives us one more, must hear from us even if all of them are dead.
        var patience = Duration.ofNanos(
                Math.min(request.timeLeft().toNanos(), SliceSender.PROGRESS_NANOS * Math.max(1, chain.size())));
        var mine = new ArrayList<SliceId>(parts.size());
        var others = new HashMap<SliceId, CompletableFuture<Boolean>>();
        var refused = new HashMap<SliceId, Integer>();
        var passed = new HashMap<SliceId, CompletableFuture<List<Incarnation>>>();
        var owned = new HashMap<SliceId, CompletableFuture<Boolean>>();
        var synced = false;
        try {
            for (var part : parts) {
                var code = take(part, body, mine, others, owned);
                if (code != 0) refused.put(part.slice, code);
                else if (!chain.isEmpty()) {
                    var onwards = new SliceSender.Sealed(part.length);
                    passed.put(part.slice, sender.pass(part.slice, onwards, chain, patience));
                }
            }
            if (!mine.isEmpty()) store.sync(mine);
            synced = true;
        } finally {
            for (var own : owned.entrySet()) {
                small.remove(own.getKey(), own.getValue());
                own.getValue().complete(synced);
            }
        }
        var answer = Messages.writer();
        for (var part : parts) {
            var have = new LinkedHashSet<Incarnation>();
            int code = refused.getOrDefault(part.slice, 0);
            var other = others.get(part.slice);
            if (other != null && !Boolean.TRUE.equals(settled(other, request, false))) code = PeerRefused.FAILED;
            if (code == 0) have.add(self());
            var behind = passed.get(part.slice);
            if (behind != null) have.addAll(settled(behind, request, List.of()));
            answer.putByte(code).putList(have, Messages.Writer::putIncarnation);
        }
        return answer.toBytes();
    }

    /** What the future gives in time to be answered with, else the other value. */
    private static <T> T settled(CompletableFuture<T> future, Request request, T otherwise)
            throws InterruptedException {
        try {
            var left = request.timeLeft().toNanos();
            return future.get(left - Math.min(left / 4, 50_000_000), TimeUnit.NANOSECONDS);
        } catch (ExecutionException | TimeoutException e) {
            return otherwise;
        }
    }

    private static List<Part> parse(ByteBuffer body, List<Incarnation> chain) throws MalformedMessageException {
        if (!body.hasRemaining() || body.get() != SliceSender.FORMAT) throw new MalformedMessageException("format");
        chain.addAll(chain(body));
        if (body.remaining() < 4) throw new MalformedMessageException("no count");
        var count = body.getInt();
        if (count < 0 || count > SliceSender.GROUP_SLICES_MAX) throw new MalformedMessageException("count " + count);
        var parts = new ArrayList<Part>(count);
        var crcs = new int[count];
        var bytes = 0L;
        for (var i = 0; i < count; i++) {
            if (body.remaining() < 12) throw new MalformedMessageException("group ends early");
            var id = body.getLong();
            var length = body.getInt();
            if (id <= 0 || length < 0 || length > SliceSender.GROUP_BYTES_MAX) {
                throw new MalformedMessageException("slice " + id + " of " + length + " bytes");
            }
            crcs[i] = body.position();
            if (body.remaining() < 4 * Blocks.count(length)) throw new MalformedMessageException("group ends early");
            body.position(body.position() + 4 * Blocks.count(length));
            parts.add(new Part(new SliceId(id), Math.toIntExact(bytes), length));
            bytes += length;
            if (bytes > Frame.BODY_MAX) throw new MalformedMessageException("group too large");
        }
        var data = body.position();
        if (body.remaining() != bytes) throw new MalformedMessageException("group of " + body.remaining() + " bytes");
        for (var i = 0; i < count; i++) {
            var part = parts.get(i);
            parts.set(i, new Part(part.slice, data + part.dataAt, part.length));
            Blocks.verify(body, crcs[i], data + part.dataAt, part.length);
        }
        return parts;
    }

    /** Stages one slice of a group, or finds out who does; 0 or the code of a refusal. */
    private int take(
            Part part,
            ByteBuffer body,
            List<SliceId> mine,
            Map<SliceId, CompletableFuture<Boolean>> others,
            Map<SliceId, CompletableFuture<Boolean>> owned)
            throws IOException {
        if (store.isDurable(part.slice) || owned.containsKey(part.slice)) return 0;
        var own = new CompletableFuture<Boolean>();
        var running = small.putIfAbsent(part.slice, own);
        if (running != null) {
            others.put(part.slice, running);
            return 0;
        }
        owned.put(part.slice, own);
        if (store.length(part.slice) == part.length) { // staged by a push whose sync failed or ended after isDurable
            mine.add(part.slice);
            return 0;
        }
        try (var writer = store.stage(part.slice, part.length)) {
            writer.append(body.slice(part.dataAt, part.length));
            writer.seal();
            mine.add(part.slice);
            return 0;
        } catch (OutOfSpaceException e) {
            return PeerRefused.NO_SPACE;
        } catch (IllegalStateException e) {
            log.log(Level.WARNING, "pushed slice {0} cannot be staged: {1}", part.slice, e.getMessage());
            return PeerRefused.FAILED;
        }
    }

    // ---- large slices ------------------------------------------------------------------------------------------

    /** A large slice on its way here; it outlives the stream that brings it. */
    private final class Incoming implements SliceSender.Source {
        final SliceId slice;
        final long length;
        /** Set before anything is received; used by the stream that owns this. */
        volatile ContentStore.@Nullable SliceWriter writer;

        final Condition changed = lock.newCondition();
        /** Written by the owning stream under the lock. */
        volatile long staged;

        // Guarded by lock.
        final Map<List<Incarnation>, CompletableFuture<List<Incarnation>>> passed = new HashMap<>();
        boolean owned = true;
        boolean ended;
        long idleSince;

        Incoming(SliceId slice, long length) {
            this.slice = slice;
            this.length = length;
        }

        ContentStore.SliceWriter writer() {
            var open = writer;
            if (open == null) throw new IllegalStateException("slice " + slice + " is not staged");
            return open;
        }

        @Override
        public long length() {
            return length;
        }

        @Override
        public long await(long have, long nanos) throws IOException, InterruptedException {
            lock.lock();
            try {
                var left = nanos;
                while (staged <= have && !ended && left > 0) left = changed.awaitNanos(left);
                if (ended && staged < length) throw new IOException("slice " + slice + " stopped arriving");
                return staged;
            } finally {
                lock.unlock();
            }
        }
    }

    private void streams(Server.Connection connection, Incarnation caller) throws IOException {
        while (true) {
            var frame = connection.in.next();
            connection.checkSender(frame);
            if (frame.type == Frame.DATA) {
                connection.in.skip(frame); // of a push that was answered before its sender knew
                continue;
            }
            if (frame.type != Frame.PUSH || frame.requestId <= 0) {
                throw new MalformedMessageException("frame of type " + frame.type + " begins no push");
            }
            var body = ByteBuffer.wrap(connection.in.body(frame));
            if (body.remaining() < 10 || body.get() != SliceSender.FORMAT) throw new MalformedMessageException("push");
            var length = body.getLong();
            var chain = chain(body);
            chain.remove(self());
            chain.remove(caller);
            var endsAt = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(Math.max(1, frame.deadlineMillis));
            try (var push = new Push(connection, new SliceId(frame.requestId), length, chain, endsAt)) {
                push.run();
            }
        }
    }

    /** One PUSH on one stream. */
    private final class Push implements AutoCloseable {
        private final Server.Connection connection;
        private final SliceId slice;
        private final long length;
        private final List<Incarnation> chain;
        private final long endsAt;
        private final Thread beat;
        private final Set<Incarnation> durable = ConcurrentHashMap.newKeySet();
        private volatile long heardAt = System.nanoTime();
        private volatile boolean receiving;
        private volatile boolean ended;
        private volatile @Nullable Incoming current;

        Push(Server.Connection connection, SliceId slice, long length, List<Incarnation> chain, long endsAt)
                throws MalformedMessageException {
            if (length <= 0) throw new MalformedMessageException("slice of " + length + " bytes");
            this.connection = connection;
            this.slice = slice;
            this.length = length;
            this.chain = chain;
            this.endsAt = endsAt;
            beat = Thread.ofVirtual().name("wormhole-beat-" + slice).start(this::beat);
        }

        void run() throws IOException {
            try {
                if (!store.isDurable(slice) && !arrive()) return;
                durable.add(self());
                progress();
                var behind = passOn(current);
                if (behind != null) durable.addAll(waited(behind));
                stop();
                connection.write(
                        Frame.DONE,
                        0,
                        slice.value(),
                        body(Messages.writer().putList(durable, Messages.Writer::putIncarnation)));
            } catch (InterruptedException e) {
                throw new IOException("interrupted", e);
            }
        }

        private void refuse(int code, String message) throws IOException {
            stop();
            connection.error(slice.value(), code, message);
        }

        private List<Incarnation> waited(CompletableFuture<List<Incarnation>> behind) throws InterruptedException {
            try {
                var left = endsAt - System.nanoTime();
                return behind.get(left - Math.clamp(left / 4, 0, 100_000_000), TimeUnit.NANOSECONDS);
            } catch (ExecutionException | TimeoutException e) {
                return List.of();
            }
        }

        /** Brings the slice here durably; false if it was refused. */
        private boolean arrive() throws IOException, InterruptedException {
            var arriving = claim();
            if (arriving == null) return store.isDurable(slice);
            current = arriving;
            var whole = false;
            try {
                passOn(arriving);
                connection.write(
                        Frame.ACCEPT, 0, slice.value(), body(Messages.writer().putLong(arriving.staged)));
                heardAt = System.nanoTime();
                receiving = true;
                receive(arriving);
                receiving = false;
                arriving.writer().seal();
                whole = true;
                store.sync(List.of(slice));
                end(arriving);
                return true;
            } catch (OutOfSpaceException e) {
                receiving = false;
                end(arriving);
                refuse(PeerRefused.NO_SPACE, String.valueOf(e.getMessage()));
                return false;
            } catch (IOException | RuntimeException e) {
                receiving = false;
                if (whole) end(arriving); // sealed, not durable: the next push syncs again or is refused
                else rest(arriving);
                throw e;
            }
        }

        /** The right to bring this slice in, waiting for whoever has it; null if it is durable or was refused. */
        private @Nullable Incoming claim() throws IOException, InterruptedException {
            String refusal = null;
            Incoming begun = null;
            lock.lock();
            try {
                while (true) {
                    if (store.isDurable(slice)) return null;
                    var known = incoming.get(slice);
                    if (known == null) break;
                    if (known.length != length) {
                        refusal = "slice " + slice + " has " + known.length + " bytes, not " + length;
                        break;
                    }
                    if (!known.owned) {
                        known.owned = true;
                        return known;
                    }
                    var left = endsAt - System.nanoTime();
                    if (left <= 0) {
                        refusal = "another push of " + slice + " goes on";
                        break;
                    }
                    var _ = known.changed.awaitNanos(left);
                }
                if (refusal == null
                        && (incoming.size() >= limits.streamsMax
                                || !incoming.isEmpty() && incomingBytes + length > limits.stagedBytesMax)) {
                    refusal = incoming.size() + " slices are arriving already";
                }
                if (refusal == null) {
                    begun = new Incoming(slice, length);
                    incoming.put(slice, begun);
                    incomingBytes += length;
                }
            } finally {
                lock.unlock();
            }
            if (begun != null) return begin(begun) ? begun : null;
            refuse(PeerRefused.OVERLOADED, String.valueOf(refusal));
            return null;
        }

        private boolean begin(Incoming begun) throws IOException {
            var begins = false;
            try {
                if (store.length(slice) == length) { // sealed by a push whose sync failed or that ended before it
                    store.sync(List.of(slice));
                    return false;
                }
                if (store.usage().freeBytes() < length) throw new OutOfSpaceException(length + " bytes do not fit");
                begun.writer = store.stage(slice, length);
                begins = true;
            } catch (OutOfSpaceException e) {
                refuse(PeerRefused.NO_SPACE, String.valueOf(e.getMessage()));
            } catch (IllegalStateException e) {
                log.log(Level.WARNING, "pushed slice {0} cannot be staged: {1}", slice, e.getMessage());
                refuse(PeerRefused.FAILED, String.valueOf(e.getMessage()));
            } finally {
                if (!begins) end(begun);
            }
            return begins;
        }

        private void receive(Incoming arriving) throws IOException {
            var buffer = buffers.take();
            try {
                var told = arriving.staged;
                while (arriving.staged < length) {
                    var frame = connection.in.next();
                    if (frame.type != Frame.DATA || frame.requestId != slice.value()) {
                        throw new MalformedMessageException("frame of type " + frame.type + " in a push");
                    }
                    heardAt = System.nanoTime();
                    if (frame.bodyBytes == 0) continue;
                    if (frame.bodyBytes > buffer.capacity()) throw new MalformedMessageException("too much data");
                    connection.in.body(frame, buffer.clear());
                    if (frame.bodyBytes < 12) throw new MalformedMessageException("no data");
                    var offset = buffer.getLong(0);
                    var bytes = buffer.getInt(8);
                    if (offset != arriving.staged
                            || bytes <= 0
                            || bytes > length - offset
                            || frame.bodyBytes != 12 + 4 * Blocks.count(bytes) + bytes) {
                        throw new MalformedMessageException(bytes + " bytes at " + offset + " of " + slice);
                    }
                    var dataAt = 12 + 4 * Blocks.count(bytes);
                    Blocks.verify(buffer, 12, dataAt, bytes);
                    arriving.writer().append(buffer.slice(dataAt, bytes));
                    lock.lock();
                    try {
                        arriving.staged += bytes;
                        arriving.changed.signalAll();
                    } finally {
                        lock.unlock();
                    }
                    heardAt = System.nanoTime();
                    if (arriving.staged - told >= PROGRESS_BYTES || arriving.staged == length) {
                        told = arriving.staged;
                        progress();
                    }
                }
            } finally {
                buffers.give(buffer);
            }
        }

        /** The push to the rest of the chain, begun once however often the slice is resumed. */
        private @Nullable CompletableFuture<List<Incarnation>> passOn(@Nullable Incoming arriving) {
            if (chain.isEmpty()) return null;
            var left = Duration.ofNanos(Math.max(1, endsAt - System.nanoTime()));
            if (arriving == null) return sender.pass(slice, new SliceSender.Sealed(length), chain, left);
            lock.lock();
            try {
                return arriving.passed.computeIfAbsent(chain, onwards -> sender.pass(slice, arriving, onwards, left));
            } finally {
                lock.unlock();
            }
        }

        /** Every 250 ms: tells that we live, and ends a stream from which nothing comes. */
        private void beat() {
            while (!ended) {
                LockSupport.parkNanos(this, BEAT_NANOS);
                if (ended) return;
                if (receiving && System.nanoTime() - heardAt > SILENCE_NANOS) {
                    connection.duplex.close();
                    return;
                }
                try {
                    progress();
                } catch (IOException e) {
                    return; // the stream's own thread notices
                }
            }
        }

        private void progress() throws IOException {
            var arriving = current;
            var staged = arriving == null ? 0 : arriving.staged;
            if (!ended) {
                connection.write(
                        Frame.PROGRESS,
                        0,
                        slice.value(),
                        body(Messages.writer().putLong(staged).putList(durable, Messages.Writer::putIncarnation)));
            }
        }

        /** After this no PROGRESS of this push is written any more. */
        private void stop() {
            ended = true;
            LockSupport.unpark(beat);
            try {
                beat.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        @Override
        public void close() {
            ended = true;
            LockSupport.unpark(beat);
        }
    }

    private static ByteBuffer body(Messages.Writer writer) {
        return ByteBuffer.wrap(writer.toBytes());
    }

    /** The slice is durable or given up. */
    private void end(Incoming arriving) {
        var open = arriving.writer;
        if (open != null) open.close();
        lock.lock();
        try {
            if (arriving.ended) return;
            arriving.ended = true;
            incoming.remove(arriving.slice, arriving);
            incomingBytes -= arriving.length;
            arriving.changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** The stream broke: what was staged waits for another one. */
    private void rest(Incoming arriving) {
        lock.lock();
        try {
            arriving.owned = false;
            arriving.idleSince = System.nanoTime();
            arriving.changed.signalAll();
            if (!sweeping) {
                sweeping = true;
                deadlines.after(KEPT_NANOS, () -> Thread.startVirtualThread(this::sweep));
            }
        } finally {
            lock.unlock();
        }
    }

    private void sweep() {
        var given = new ArrayList<Incoming>();
        lock.lock();
        try {
            var now = System.nanoTime();
            for (var arriving : incoming.values()) {
                if (!arriving.owned && now - arriving.idleSince >= KEPT_NANOS) {
                    arriving.owned = true;
                    given.add(arriving);
                }
            }
            sweeping = incoming.size() > given.size();
            if (sweeping) deadlines.after(KEPT_NANOS / 6, () -> Thread.startVirtualThread(this::sweep));
        } finally {
            lock.unlock();
        }
        for (var arriving : given) {
            log.log(
                    Level.INFO,
                    "slice {0} given up at {1} of {2} bytes",
                    arriving.slice,
                    arriving.staged,
                    arriving.length);
            end(arriving);
        }
    }
}
