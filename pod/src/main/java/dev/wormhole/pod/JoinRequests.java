// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerException;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * What waits for an administrator's yes, over all administrators' pods: a machine waits at the one that it was led to, and the
 * answer may be given on another. Thread-safe.
 */
final class JoinRequests {
    private static final Logger LOG = Logger.getLogger(JoinRequests.class.getName());
    private static final Duration DEADLINE = Duration.ofSeconds(5);

    private final Approvals approvals;
    private final PodLog log;
    private final Peers peers;

    JoinRequests(Approvals approvals, PodLog log, Peers peers) {
        this.approvals = approvals;
        this.log = log;
        this.peers = peers;
    }

    /** Those of this pod. */
    Approvals approvals() {
        return approvals;
    }

    void serve(Server server) {
        server.handle(Calls.REQUESTS, request -> {
            checkAdministrator(request);
            return Messages.writer()
                    .putList(
                            approvals.waiting(),
                            (to, each) -> to.putString(each.name())
                                    .putString(each.fingerprint())
                                    .putString(each.from())
                                    .putBoolean(each.member()))
                    .toBytes();
        });
        server.handle(Calls.DECIDE, request -> {
            checkAdministrator(request);
            var from = Messages.reader(request.body());
            boolean done = approvals.decide(from.getString(63), from.getString(63), from.getBoolean());
            return Messages.writer().putBoolean(done).toBytes();
        });
    }

    private void checkAdministrator(Request request) throws IOException, InterruptedException {
        log.barrier();
        var caller = request.caller();
        if (caller == null || !log.view().administrators().contains(caller))
            throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "only administrators' pods decide who joins");
    }

    /** All that wait, at administrators' pods that answer. */
    List<Approvals.Waiting> waiting() throws InterruptedException {
        var all = new LinkedHashSet<>(approvals.waiting());
        for (var administrator : log.view().administrators()) {
            try {
                var reply = peers.await(administrator, Calls.REQUESTS, new byte[0], DEADLINE);
                all.addAll(Messages.reader(reply.body())
                        .getList(
                                Approvals.WAITING_MAX,
                                from -> new Approvals.Waiting(
                                        from.getString(63),
                                        from.getString(63),
                                        from.getString(300),
                                        from.getBoolean())));
            } catch (PeerException notNow) {
                LOG.log(Level.FINE, "no requests from {0}: {1}", new Object[] {administrator, notNow.getMessage()});
            } catch (IOException nonsense) {
                LOG.log(Level.WARNING, "{0} told nonsense: {1}", new Object[] {administrator, nonsense.getMessage()});
            }
        }
        return new ArrayList<>(all);
    }

    /** @return false if it waits nowhere any more */
    boolean decide(Approvals.Waiting about, boolean yes) throws InterruptedException {
        if (approvals.decide(about.name(), about.fingerprint(), yes)) return true;
        byte[] body = Messages.writer()
                .putString(about.name())
                .putString(about.fingerprint())
                .putBoolean(yes)
                .toBytes();
        for (var administrator : log.view().administrators()) {
            try {
                var reply = peers.await(administrator, Calls.DECIDE, body, DEADLINE);
                if (Messages.reader(reply.body()).getBoolean()) return true;
            } catch (IOException notNow) {
                LOG.log(Level.FINE, "no answer from {0}: {1}", new Object[] {administrator, notNow.getMessage()});
            }
        }
        return false;
    }
}
