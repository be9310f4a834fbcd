// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.consensus.Position;
import dev.wormhole.health.Member;
import dev.wormhole.health.Presence;
import dev.wormhole.model.Incarnation;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.Peers;
import java.io.IOException;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The leader tells the others what is committed as soon as it has applied it, so that they apply it too: the log alone tells
 * them later, and every change waits for the pods of the prompt set. One call under way to each pod; what is committed
 * meanwhile goes with the next. A lost call is made good by the log itself. Thread-safe.
 */
final class CommitNews {
    private final Incarnation self;
    private final Peers peers;
    private final ClusterView cluster;
    private final ConcurrentHashMap<Incarnation, Receiver> receivers = new ConcurrentHashMap<>();

    CommitNews(Incarnation self, Peers peers, ClusterView cluster) {
        this.self = self;
        this.peers = peers;
        this.cluster = cluster;
    }

    /**
     * This pod leads and has applied an entry; told by the thread that applies the log.
     *
     * @param informed learns it otherwise; this pod itself if nobody does
     */
    void applied(Position entry, Incarnation informed) {
        for (Member member : cluster.members().all()) {
            var pod = member.incarnation();
            if (pod.equals(self) || pod.equals(informed) || member.presence() != Presence.PRESENT) continue;
            receivers.computeIfAbsent(pod, Receiver::new).tell(entry);
        }
    }

    private final class Receiver {
        private final Incarnation pod;
        private Position newest = Position.NONE;
        private Position sent = Position.NONE;
        private boolean calling;

        Receiver(Incarnation pod) {
            this.pod = pod;
        }

        void tell(Position entry) {
            synchronized (this) {
                newest = entry;
                if (calling) return;
                calling = true;
                sent = entry;
            }
            call(entry);
        }

        private void call(Position entry) {
            byte[] body = write(Messages.writer(), entry).toBytes();
            peers.call(pod, Calls.COMMITTED, body, Calls.TOLD_DEADLINE).whenComplete((_, failure) -> {
                Position next;
                synchronized (this) {
                    next = newest;
                    calling = failure == null && next.index() > sent.index();
                    if (!calling) return;
                    sent = next;
                }
                call(next);
            });
        }
    }

    // ---- on the wire

    static Messages.Writer write(Messages.Writer to, Position entry) {
        return to.putVarint(entry.term()).putVarint(Math.max(0, entry.index()));
    }

    static Position read(Messages.Reader from) throws IOException {
        return new Position(from.getVarint(), from.getVarint());
    }
}
