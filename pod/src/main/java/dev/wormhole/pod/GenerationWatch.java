// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.StoreHeader;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.security.Reformation;
import dev.wormhole.transfer.Identity;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import java.io.IOException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * Learns whether the network goes on without this pod, and tells the others when it does: pods of two generations say nothing
 * to each other but this. It is asked and told between strangers, because a new generation may have another authority: what
 * is told is signed by itself ({@link Reformation}). Asked are members that are silent, at the start all of them, and those
 * that a re-forming has left behind.
 */
final class GenerationWatch implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(GenerationWatch.class.getName());
    private static final Duration DEADLINE = Duration.ofMillis(1500);
    private static final long AGAIN_MIN_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final long AGAIN_MAX_NANOS = TimeUnit.SECONDS.toNanos(10);
    private static final long TURN_MILLIS = 500;
    /** At a start, so many pods are asked: enough to hear of it, and no crowd in a large network. */
    private static final int FIRST_ASKED_MAX = 32;

    private final StoreHeader header;
    private final PodLog log;
    private final ClusterView cluster;
    private final Supplier<List<X509Certificate>> authorities;
    private final Consumer<Superseded> superseded;
    private final AtomicBoolean told = new AtomicBoolean();
    private final AtomicBoolean rivalTold = new AtomicBoolean();
    private final Semaphore wake = new Semaphore(0);
    private final Thread thread;
    private volatile boolean closed;

    /** When an address is asked again, and after which pause the time before. The watch's thread alone. */
    private record Turn(long atNanos, long pauseNanos) {}

    private final Map<String, Turn> turns = new HashMap<>();

    /** @param superseded told once, when the network goes on in a later generation; must not block */
    GenerationWatch(
            StoreHeader header,
            PodLog log,
            ClusterView cluster,
            Supplier<List<X509Certificate>> authorities,
            Consumer<Superseded> superseded) {
        this.header = header;
        this.log = log;
        this.cluster = cluster;
        this.authorities = authorities;
        this.superseded = superseded;
        this.thread = Thread.ofPlatform().name("generation").daemon().unstarted(this::run);
    }

    void start(Server server) {
        server.handle(Calls.GENERATION, this::answer, Server.Option.STRANGERS);
        thread.start();
    }

    private byte[] answer(Request request) throws IOException {
        heard(Superseded.decode(request.body()));
        return Superseded.encode(log.view().reformings());
    }

    private void heard(List<byte[]> shown) {
        if (shown.isEmpty()) return;
        var judged = Superseded.judge(
                shown, header.networkId(), header.generation(), header.incarnation(), authorities.get());
        if (judged.isPresent()) {
            if (told.compareAndSet(false, true)) superseded.accept(judged.get());
        } else noteRival(shown);
    }

    /** Two pods that each re-formed the network, not knowing of each other: neither follows the other. */
    private void noteRival(List<byte[]> shown) {
        for (var mine : log.view().reformings()) {
            for (var theirs : shown) {
                try {
                    var own = Reformation.decode(mine);
                    var other = Reformation.decode(theirs);
                    if (own.parent() != other.parent()
                            || own.generation() == other.generation()
                            || !own.network().equals(other.network())
                            || !rivalTold.compareAndSet(false, true)) continue;
                    LOG.log(
                            Level.SEVERE,
                            "the network was re-formed twice: by {0} and by {1}. The two have nothing in common any"
                                    + " more; choose one, stop the pods of the other, and take them in with: wormhole"
                                    + " join ADDRESS --token TOKEN --replace NAME",
                            new Object[] {own.byName(), other.byName()});
                } catch (IOException nonsense) {
                    LOG.log(Level.FINE, "a re-forming that cannot be read: {0}", nonsense.getMessage());
                }
            }
        }
    }

    // ---- asking

    /** Something points to another generation: ask now. */
    void look() {
        if (wake.availablePermits() == 0) wake.release();
    }

    /** Asks the other members at once, and returns when all have answered or the deadline has passed. */
    void askAll() throws InterruptedException {
        var asked = new ArrayList<String>();
        for (PodRecord pod : log.view().pods())
            if (!pod.incarnation().equals(header.incarnation())
                    && !pod.settings().addresses().isEmpty()
                    && asked.size() < FIRST_ASKED_MAX)
                asked.add(pod.settings().addresses().getFirst());
        var left = new CountDownLatch(asked.size());
        for (var address : asked)
            Thread.ofVirtual().name("generation").start(() -> {
                try {
                    var _ = ask(address);
                } catch (InterruptedException stop) {
                    Thread.currentThread().interrupt();
                } finally {
                    left.countDown();
                }
            });
        var unused = left.await(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
    }

    private void run() {
        while (!closed) {
            try {
                var hurry = wake.tryAcquire(TURN_MILLIS, TimeUnit.MILLISECONDS);
                if (hurry) turns.clear();
                var due = due();
                if (due == null) continue;
                var before = turns.get(due);
                var answered = ask(due);
                var pause = before == null || answered && hurry
                        ? AGAIN_MIN_NANOS
                        : Math.min(2 * before.pauseNanos(), AGAIN_MAX_NANOS);
                turns.put(due, new Turn(System.nanoTime() + pause, pause));
            } catch (InterruptedException stop) {
                return;
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "looking for other generations failed", bug);
            }
        }
    }

    private @Nullable String due() {
        var addresses = new LinkedHashSet<String>();
        for (PodRecord pod : log.view().pods())
            if (isSilent(pod.incarnation())) addresses.addAll(pod.settings().addresses());
        leftBehind(addresses);
        turns.keySet().retainAll(addresses);
        var now = System.nanoTime();
        String first = null;
        for (var address : addresses) {
            var turn = turns.get(address);
            if (turn == null) return address;
            if (turn.atNanos() - now <= 0 && first == null) first = address;
        }
        return first;
    }

    private boolean isSilent(Incarnation pod) {
        if (pod.equals(header.incarnation())) return false;
        var seen = cluster.seen(pod);
        return log.disconnected() || log.leader().isEmpty() || seen == null || seen.presence() != Presence.PRESENT;
    }

    private void leftBehind(Set<String> addresses) {
        var reformings = log.view().reformings();
        if (reformings.isEmpty()) return;
        try {
            addresses.addAll(Reformation.decode(reformings.getLast()).left());
        } catch (IOException nonsense) {
            LOG.log(Level.FINE, "a re-forming that cannot be read: {0}", nonsense.getMessage());
        }
    }

    /** Shows what this pod knows, and hears what the other does. @return whether somebody answered */
    private boolean ask(String address) throws InterruptedException {
        try (var stranger =
                new Peers(Joining.strangers(Optional.empty()), Identity::stranger, () -> 0L, Peers.Limits.DEFAULT)) {
            var reply = stranger.callAddress(
                            address,
                            Calls.GENERATION,
                            Superseded.encode(log.view().reformings()),
                            DEADLINE)
                    .get(DEADLINE.toMillis() + 500, TimeUnit.MILLISECONDS);
            heard(Superseded.decode(reply.body()));
            return true;
        } catch (ExecutionException | TimeoutException | IOException silent) {
            LOG.log(Level.FINE, "{0} tells no generation: {1}", new Object[] {address, silent.getMessage()});
            return false;
        }
    }

    @Override
    public void close() {
        closed = true;
        thread.interrupt();
    }
}
