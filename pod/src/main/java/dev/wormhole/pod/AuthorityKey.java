// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Incarnation;
import dev.wormhole.security.Authority;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerException;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * The authority's key on the pods of administrators: read at the start, and fetched from another one when this pod has become an
 * administrator's. Thread-safe.
 */
final class AuthorityKey implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(AuthorityKey.class.getName());
    private static final long AGAIN_SECONDS = 5;
    private static final int KEY_BYTES_MAX = 1024;

    private final Incarnation self;
    private final Secure secure;
    private final PodLog log;
    private final Peers peers;
    private final CountDownLatch closed = new CountDownLatch(1);
    private volatile @Nullable Authority held;
    private boolean fetching; // under this

    AuthorityKey(Incarnation self, Secure secure, PodLog log, Peers peers) throws IOException {
        this.self = self;
        this.secure = secure;
        this.log = log;
        this.peers = peers;
        held = secure.files().authority().orElse(null);
    }

    Optional<Authority> get() {
        return Optional.ofNullable(held);
    }

    /** Answers other administrators' pods. */
    void serve(Server server) {
        server.handle(Calls.AUTHORITY, this::handOver);
    }

    private byte[] handOver(Request request) throws IOException, InterruptedException {
        var authority = held;
        if (authority == null) throw new PeerRefused(Calls.NO_AUTHORITY, "this pod has no key of the authority");
        log.barrier(); // somebody may have been removed, or made an ordinary pod, just now
        var caller = request.caller();
        if (caller == null
                || log.view().pod(caller) == null
                || !log.view().administrators().contains(caller))
            throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "only administrators' pods are given the key");
        LOG.log(Level.INFO, "the authority''s key goes to {0}, which is an administrator''s pod", caller);
        return Messages.writer().putBytes(authority.secretKey()).toBytes();
    }

    /** To be called when administrators may have changed; does not block. */
    void look() {
        synchronized (this) {
            if (held != null || fetching || closed.getCount() == 0) return;
            if (!log.view().administrators().contains(self)) return;
            fetching = true;
        }
        Thread.ofVirtual().name("authority-key").start(this::fetch);
    }

    private void fetch() {
        try {
            do {
                for (var administrator : log.view().administrators()) {
                    if (administrator.equals(self)) continue;
                    var reply = ask(administrator);
                    if (reply.isEmpty()) continue;
                    secure.files().write(reply.get());
                    held = reply.get();
                    LOG.info("this pod has the authority's key now: it can let others in");
                    return;
                }
            } while (!closed.await(AGAIN_SECONDS, TimeUnit.SECONDS)
                    && log.view().administrators().contains(self));
        } catch (IOException failure) {
            LOG.log(Level.WARNING, "the authority''s key cannot be kept here: {0}", failure.getMessage());
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        } finally {
            synchronized (this) {
                fetching = false;
            }
        }
    }

    private Optional<Authority> ask(Incarnation administrator) throws InterruptedException {
        try {
            var reply = peers.await(administrator, Calls.AUTHORITY, new byte[0], Calls.AUTHORITY_DEADLINE);
            return Optional.of(
                    Authority.of(Messages.reader(reply.body()).getBytes(KEY_BYTES_MAX), secure.authorityCertificate()));
        } catch (PeerException notNow) {
            LOG.log(Level.FINE, "no key from {0}: {1}", new Object[] {administrator, notNow.getMessage()});
        } catch (IOException | GeneralSecurityException nonsense) {
            LOG.log(Level.WARNING, "{0} gave out a key that is not the authority''s: {1}", new Object[] {
                administrator, nonsense.getMessage()
            });
        }
        return Optional.empty();
    }

    @Override
    public void close() {
        closed.countDown();
    }
}
