// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.HostPort;
import dev.wormhole.consensus.Member;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * Where the pods are now. Addresses are learnt in three ways, the surest last:
 * <ul>
 *   <li>From a datagram on the local network ({@link Discovery}): a hint, tried once. The handshake proves who answers there.
 *   <li>From the pod itself, by a call: at its start and whenever its addresses change it tells every member, until each has
 *       answered; the answer says where the callee is, and whom else it knows to have moved.
 *   <li>From the log, once the pod could say it there.
 * </ul>
 * What came last counts first, what the log says is tried too. An address lets nobody in and shuts nobody out: that is the
 * certificates' matter. Thread-safe.
 */
final class Whereabouts implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(Whereabouts.class.getName());
    /** How often this machine's addresses are looked at. */
    private static final Duration LOOK_EVERY = Duration.ofSeconds(1);

    private static final Duration CALL_DEADLINE = Duration.ofSeconds(2);
    private static final long RETRY_FIRST_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final long RETRY_MAX_NANOS = TimeUnit.SECONDS.toNanos(30);
    /** At most so often a datagram makes this pod call the one that it names. */
    private static final long HINT_PAUSE_NANOS = TimeUnit.SECONDS.toNanos(3);
    /** Addresses that come and go, as those of virtual machines, do not fill the log. */
    private static final long RECORD_PAUSE_NANOS = TimeUnit.SECONDS.toNanos(10);

    private static final int ANNOUNCEMENTS = 3;
    private static final int ADDRESSES_MAX = 16;
    private static final int ADDRESS_BYTES_MAX = 300;
    private static final int PLACES_MAX = 10_000;
    /** Steps of one start: more than a machine moves in its life. */
    private static final int STEP_BITS = 24;

    /** @param sequence grows with each step of that pod, over its starts */
    record Place(long sequence, List<String> addresses) {
        void write(Messages.Writer to) {
            to.putVarint(sequence).putList(addresses, Messages.Writer::putString);
        }

        static Place read(Messages.Reader from) throws IOException {
            var sequence = from.getVarint();
            var addresses = from.getList(ADDRESSES_MAX, reader -> checked(reader.getString(ADDRESS_BYTES_MAX)));
            if (addresses.isEmpty()) throw new IOException("a pod without an address");
            return new Place(sequence, addresses);
        }

        private static String checked(String text) throws IOException {
            try {
                var address = HostPort.parse(text);
                if (address.everyAddress() || address.isWildcard() || address.port() == 0 || address.port() == 65535)
                    throw new IllegalArgumentException("is nothing to connect to");
                return address.toString();
            } catch (IllegalArgumentException e) {
                throw new IOException("an address that " + e.getMessage(), e);
            }
        }
    }

    /** The calls to one member that has not heard yet where this pod is. */
    private static final class Telling {
        long heardSequence = -1;
        boolean underWay;
        long pauseNanos = RETRY_FIRST_NANOS;
        long dueNanos = System.nanoTime();
        long hintedNanos = System.nanoTime() - HINT_PAUSE_NANOS;
    }

    private final Incarnation self;
    private final Supplier<List<String>> here;
    private final Peers peers;
    private final Consumer<List<Member>> logAddresses;
    private final Runnable addressLost;
    private final Supplier<CompletableFuture<?>> record;
    private final Thread thread;
    private volatile boolean closed;
    private volatile @Nullable Discovery discovery;

    // guarded by this
    private Place own;
    private Map<Incarnation, List<String>> recorded = Map.of();
    /** Members that said, after the log's last word, that they are elsewhere. */
    private final Map<Incarnation, Place> told = new HashMap<>();

    /** The newest step heard of each. */
    private final Map<Incarnation, Long> steps = new HashMap<>();

    private final Map<Incarnation, String> hints = new HashMap<>();
    private final Map<Incarnation, Telling> tellings = new HashMap<>();
    private long movedNanos = System.nanoTime();
    private long recordDueNanos = System.nanoTime();
    private boolean recording;
    /** Those that are made whether somebody misses them or not. */
    private int announcements = ANNOUNCEMENTS;

    private long announcePauseNanos = RETRY_FIRST_NANOS;
    private long announceDueNanos = System.nanoTime();

    /**
     * @param startCount of this pod's store
     * @param here this pod's addresses at this moment, best first
     * @param logAddresses takes the addresses of members' logs
     * @param addressLost told when this machine has lost an address: what began there falls silent
     * @param record proposes to the log what {@code here} says; asked when it is elsewhere than the log knows
     */
    Whereabouts(
            Incarnation self,
            long startCount,
            Supplier<List<String>> here,
            Peers peers,
            Consumer<List<Member>> logAddresses,
            Runnable addressLost,
            Supplier<CompletableFuture<?>> record) {
        this.self = self;
        this.here = here;
        this.peers = peers;
        this.logAddresses = logAddresses;
        this.addressLost = addressLost;
        this.record = record;
        this.own = new Place(startCount << STEP_BITS, here.get());
        this.thread = Thread.ofVirtual().name("whereabouts").unstarted(this::run);
    }

    void serve(Server server) {
        server.handle(Calls.WHEREABOUTS, this::answer);
    }

    /**
     * Once the log runs.
     *
     * @param found the local network, if it is to be asked
     */
    void start(@Nullable Discovery found) {
        discovery = found;
        synchronized (this) {
            for (var pod : recorded.keySet()) tellAddresses(pod);
        }
        thread.start();
    }

    @Override
    public void close() {
        closed = true;
        LockSupport.unpark(thread);
        var running = discovery;
        if (running != null) running.close();
    }

    // ---- what is learnt

    /** The log's members; whoever is no more among them is forgotten. */
    synchronized void recorded(List<PodRecord> pods) {
        var before = recorded;
        var now = new HashMap<Incarnation, List<String>>();
        for (var pod : pods) {
            var incarnation = pod.incarnation();
            var addresses = pod.settings().addresses();
            now.put(incarnation, addresses);
            if (!addresses.equals(before.get(incarnation)) && before.containsKey(incarnation)) told.remove(incarnation);
        }
        recorded = now;
        told.keySet().retainAll(now.keySet());
        steps.keySet().retainAll(now.keySet());
        hints.keySet().retainAll(now.keySet());
        tellings.keySet().retainAll(now.keySet());
        for (var pod : now.keySet()) tellAddresses(pod);
    }

    /** A member's own word, or what another one heard from it. */
    private synchronized void told(Incarnation pod, Place place, boolean byItself) {
        if (pod.equals(self) || !recorded.containsKey(pod)) return;
        // What others heard may be long past; its own word counts again when an older entry of the log came in between.
        long newest = steps.getOrDefault(pod, -1L);
        if (place.sequence() < newest || place.sequence() == newest && !byItself) return;
        steps.put(pod, place.sequence());
        var known = told.get(pod);
        if (place.addresses().equals(known == null ? recorded.get(pod) : known.addresses())) return;
        if (place.addresses().equals(recorded.get(pod))) told.remove(pod);
        else told.put(pod, place);
        LOG.info(pod + " is at " + String.join(", ", place.addresses()) + " now");
        tellAddresses(pod);
    }

    /** Under this. */
    private void tellAddresses(Incarnation pod) {
        var all = addresses(pod);
        if (all.isEmpty() || pod.equals(self)) return;
        peers.learn(pod, all);
        logAddresses.accept(List.of(new Member(pod, Steward.logAddress(all.getFirst()))));
    }

    /** What is known of a pod's addresses, the most likely first; under this. */
    private List<String> addresses(Incarnation pod) {
        var all = new LinkedHashSet<String>();
        var place = told.get(pod);
        if (place != null) all.addAll(place.addresses());
        all.addAll(recorded.getOrDefault(pod, List.of()));
        var hint = hints.get(pod);
        if (hint != null) all.add(hint);
        return List.copyOf(all);
    }

    /**
     * Somebody on the local network says to be a pod that is lost or has moved.
     *
     * @param address where the datagram came from, with the port that it names: not proven
     */
    void hint(Incarnation pod, String address) {
        synchronized (this) {
            if (pod.equals(self) || !recorded.containsKey(pod)) return;
            var telling = tellings.computeIfAbsent(pod, _ -> new Telling());
            var now = System.nanoTime();
            if (now - telling.hintedNanos < HINT_PAUSE_NANOS) return;
            telling.hintedNanos = now;
            telling.dueNanos = now;
            telling.heardSequence = -1;
            if (!addresses(pod).contains(address)) hints.put(pod, address);
            tellAddresses(pod);
        }
        peers.heard(pod);
        LockSupport.unpark(thread);
    }

    // ---- what is told

    private void run() {
        while (!closed) {
            try {
                look();
                for (var pod : due()) tell(pod);
                recordIfMoved();
                announceIfLost();
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "looking where this pod is failed", bug);
            }
            LockSupport.parkNanos(LOOK_EVERY.toNanos());
        }
    }

    private void look() {
        var now = here.get();
        boolean lost;
        synchronized (this) {
            // The log's own configuration may name a place that its member has left.
            for (var pod : told.keySet()) tellAddresses(pod);
            if (now.isEmpty() || now.equals(own.addresses())) return;
            // Without a network there is nothing to be reached at: the old addresses will do.
            if (now.stream().allMatch(address -> address.startsWith("127."))) return;
            lost = !now.containsAll(own.addresses());
            own = new Place(own.sequence() + 1, now);
            movedNanos = System.nanoTime();
            announcements = ANNOUNCEMENTS;
            announcePauseNanos = RETRY_FIRST_NANOS;
            for (var telling : tellings.values()) {
                telling.pauseNanos = RETRY_FIRST_NANOS;
                telling.dueNanos = movedNanos;
            }
        }
        LOG.info("this pod is at " + String.join(", ", now) + " now");
        if (lost) addressLost.run();
    }

    /** Who is to be called now. */
    private synchronized List<Incarnation> due() {
        var now = System.nanoTime();
        var due = new ArrayList<Incarnation>();
        for (var pod : recorded.keySet()) {
            if (pod.equals(self)) continue;
            var telling = tellings.computeIfAbsent(pod, _ -> new Telling());
            if (telling.underWay || telling.heardSequence == own.sequence() || now - telling.dueNanos < 0) continue;
            telling.underWay = true;
            telling.dueNanos = now + telling.pauseNanos;
            telling.pauseNanos = Math.min(2 * telling.pauseNanos, RETRY_MAX_NANOS);
            due.add(pod);
        }
        return due;
    }

    private void tell(Incarnation pod) {
        Place place;
        byte[] body;
        synchronized (this) {
            place = own;
            body = encode();
        }
        var _ = peers.call(pod, Calls.WHEREABOUTS, body, CALL_DEADLINE).whenComplete((reply, failure) -> {
            if (failure == null) {
                try {
                    learn(pod, reply.body());
                } catch (IOException nonsense) {
                    LOG.log(Level.WARNING, "{0} does not say where it is: {1}", new Object[] {pod, nonsense.getMessage()
                    });
                }
            }
            synchronized (this) {
                hints.remove(pod);
                var telling = tellings.get(pod);
                if (telling == null) return;
                telling.underWay = false;
                if (failure == null) telling.heardSequence = place.sequence();
            }
        });
    }

    private byte[] answer(Request request) throws IOException {
        var caller = request.caller();
        if (caller == null) throw new PeerRefused(PeerRefused.STRANGER, "only pods of the network may do this");
        learn(caller, request.body());
        synchronized (this) {
            return encode();
        }
    }

    /** This pod's place, then those of others that the log may not know; under this. */
    private byte[] encode() {
        var to = Messages.writer();
        own.write(to);
        to.putList(told.entrySet(), (writer, one) -> {
            writer.putIncarnation(one.getKey());
            one.getValue().write(writer);
        });
        return to.toBytes();
    }

    private record Heard(Incarnation pod, Place place) {}

    private void learn(Incarnation from, byte[] body) throws IOException {
        var reader = Messages.reader(body);
        var place = Place.read(reader);
        var others = reader.getList(PLACES_MAX, one -> new Heard(one.getIncarnation(), Place.read(one)));
        reader.end();
        told(from, place, true);
        for (var other : others) if (!other.pod().equals(from)) told(other.pod(), other.place(), false);
    }

    private void recordIfMoved() {
        var now = System.nanoTime();
        synchronized (this) {
            var known = recorded.get(self);
            if (known == null || known.equals(own.addresses()) || recording) return;
            if (now - movedNanos < 2 * LOOK_EVERY.toNanos() || now - recordDueNanos < 0) return;
            recording = true;
            recordDueNanos = now + RECORD_PAUSE_NANOS;
        }
        var _ = record.get().whenComplete((_, failure) -> {
            synchronized (this) {
                recording = false;
            }
            if (failure != null) LOG.log(Level.FINE, "the log does not know yet where this pod is", failure);
        });
    }

    /** Says on the local network where this pod is: after each move, and ever more rarely while somebody has not heard it. */
    private void announceIfLost() {
        var running = discovery;
        if (running == null) return;
        Place place;
        synchronized (this) {
            Set<Incarnation> unheard = new HashSet<>(recorded.keySet());
            unheard.remove(self);
            unheard.removeIf(pod -> {
                var telling = tellings.get(pod);
                return telling != null && telling.heardSequence == own.sequence();
            });
            var now = System.nanoTime();
            if (announcements > 0) {
                announcements--;
            } else {
                if (unheard.isEmpty() || now - announceDueNanos < 0) return;
                announcePauseNanos = Math.min(2 * announcePauseNanos, RETRY_MAX_NANOS);
            }
            announceDueNanos = now + announcePauseNanos;
            place = own;
        }
        running.announce(place.sequence());
    }
}
