// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.health.Acknowledgements;
import dev.wormhole.health.Attention;
import dev.wormhole.health.Freshness;
import dev.wormhole.model.Incarnation;
import dev.wormhole.mount.linux.OsClock;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import java.io.IOException;
import java.util.ArrayList;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Logger;

/**
 * This pod's part in the prompt set (DESIGN section 7): for how long it may answer from what it has, telling proposers up to
 * where it does, and waiting for the others when it is the proposer. Thread-safe.
 */
final class Visibility {
    private static final Logger LOG = Logger.getLogger(Visibility.class.getName());

    private final Incarnation self;
    private final Peers peers;
    private final Freshness freshness = new Freshness();
    private final Acknowledgements acknowledgements = new Acknowledgements();
    private final ConcurrentHashMap<Incarnation, Proposer> proposers = new ConcurrentHashMap<>();
    private final CompletableFuture<Void> left = new CompletableFuture<>();
    private volatile boolean prompt;
    private final Attention attention = new Attention(OsClock.boottimeNanos());
    private volatile boolean answers;
    private volatile boolean closing;
    private volatile long told;

    Visibility(Incarnation self, Peers peers) {
        this.self = self;
        this.peers = peers;
    }

    // ---- answering

    /** The mount is there: programs are answered, and others may wait for this pod. */
    void opened() {
        answers = true;
    }

    /** No program is answered any more. Completes when nobody waits for this pod. */
    CompletableFuture<Void> closed() {
        answers = false;
        closing = true;
        freshness.lose();
        if (!prompt) left.complete(null);
        return left;
    }

    /** Whether others may have to wait for this pod. Asked with every heartbeat, by one thread. */
    boolean beat() {
        if (!answers) return false;
        var state = attention.beat(OsClock.boottimeNanos());
        if (state == Attention.State.AWAY) freshness.lose();
        return state != Attention.State.AWAY;
    }

    /** What the last {@link #beat} said. */
    boolean answers() {
        return answers && attention.state() != Attention.State.AWAY;
    }

    /** A heartbeat sent then was acknowledged; both of CLOCK_BOOTTIME. */
    void acknowledged(long sentNanos, long grantedNanos) {
        if (answers()) freshness.acknowledged(sentNanos, grantedNanos);
    }

    /** Nanoseconds for which this pod may answer for shared things from what it has. */
    long freshNanos() {
        long now = OsClock.boottimeNanos();
        return attention.look(now) && prompt ? freshness.leftNanos(now) : 0;
    }

    // ---- telling

    /** Up to where this pod answers by the log. */
    long told() {
        return told;
    }

    /** Told with growing indexes, from any thread. */
    void told(long index) {
        told = index;
        if (!prompt) return;
        for (Proposer proposer : proposers.values()) proposer.tell();
    }

    /**
     * The thread that applies the log has an entry of another pod, which waits to be told.
     *
     * @param answeredHere this pod leads, and so most likely answers the proposer too
     */
    void owes(Incarnation proposer, long index, boolean answeredHere) {
        if (!prompt || proposer.equals(self)) return;
        proposers.computeIfAbsent(proposer, Proposer::new).owed(index, answeredHere);
    }

    /** What the answer to a proposer's entry tells it. */
    long tellWithAnswer(Incarnation pod) {
        var proposer = proposers.get(pod);
        return !prompt || proposer == null ? 0 : proposer.tellWithAnswer();
    }

    /** One call under way to each: what is told meanwhile goes with the next. A lost one is made good by heartbeats. */
    private final class Proposer {
        private final Incarnation pod;
        private long owed;
        private long sent;
        private boolean calling;
        /** The answer to the entry owed is still to be sent from here, and will tell. */
        private boolean answering;

        Proposer(Incarnation pod) {
            this.pod = pod;
        }

        synchronized void owed(long index, boolean answeredHere) {
            owed = index;
            answering = answeredHere;
        }

        long tellWithAnswer() {
            long index;
            synchronized (this) {
                index = told;
                if (index >= owed) sent = Math.max(sent, index);
                answering = false;
            }
            tell();
            return index;
        }

        void tell() {
            long index;
            synchronized (this) {
                index = told;
                if (calling || answering || sent >= owed || index <= sent) return;
                calling = true;
                sent = index;
            }
            byte[] body = Messages.writer().putVarint(index).toBytes();
            peers.call(pod, Calls.TOLD, body, Calls.TOLD_DEADLINE).whenComplete((_, _) -> {
                synchronized (this) {
                    calling = false;
                }
                tell();
            });
        }
    }

    byte[] heard(Request request) throws IOException {
        var caller = request.caller();
        if (caller == null) throw new IOException("a pod speaks for itself alone");
        heard(caller, Messages.reader(request.body()).getVarint());
        return new byte[0];
    }

    /** Another pod has told an index, by a call or through the leader's word. */
    void heard(Incarnation pod, long index) {
        acknowledgements.told(pod, index);
    }

    // ---- waiting

    /** The members as the log has them; told by the thread that applies it, before anybody may wait for that entry. */
    void members(NamespaceView view) {
        var others = new ArrayList<Incarnation>();
        boolean own = false;
        for (PodRecord pod : view.pods()) {
            if (!pod.prompt()) continue;
            if (pod.incarnation().equals(self)) own = true;
            else others.add(pod.incarnation());
        }
        acknowledgements.promptSet(others);
        if (own != prompt) LOG.info(own ? "in the prompt set" : "out of the prompt set");
        prompt = own;
        if (own) return;
        freshness.lose();
        if (closing) left.complete(null);
    }

    /** A snapshot took the place of the state. */
    void replaced(NamespaceView view) {
        freshness.lose();
        members(view);
    }

    /** Completes once everybody in the prompt set answers by this pod's entry. */
    CompletableFuture<Void> all(long index) {
        return acknowledgements.all(index);
    }

    /** The network is lost, or this pod ends: nobody is waited for. */
    void giveUp() {
        acknowledgements.giveUp();
    }
}
