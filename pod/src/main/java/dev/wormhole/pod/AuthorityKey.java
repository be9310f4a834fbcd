// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.AuthorityRecord;
import dev.wormhole.security.Authority;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerException;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.cert.CertificateEncodingException;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * The authority's key on the pods of administrators: read at the start, and fetched from another one when this pod has become an
 * administrator's, or when the authority has changed. Thread-safe.
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

    /** The key that issues certificates now, as far as this pod knows; empty where it has none, or an earlier one. */
    Optional<Authority> get() {
        var now = held;
        var newest = newest();
        return now == null || newest != null && !is(now.certificate(), newest) ? Optional.empty() : Optional.of(now);
    }

    /**
     * The same where this pod lets others in: on an administrator's, and, where the network decides nothing, on whoever has the
     * key. One that was an administrator's leaves it to those that are: nobody would see who waits there.
     */
    Optional<Authority> deciding() {
        var administrator = log.view().administrators().contains(self);
        return administrator || log.leader().isEmpty() || log.disconnected() ? get() : Optional.empty();
    }

    /** The newest in the log, null before the first is written down. */
    @Nullable AuthorityRecord newest() {
        var all = log.view().authorities();
        return all.isEmpty() ? null : all.getLast();
    }

    static boolean is(X509Certificate certificate, AuthorityRecord authority) {
        try {
            return Arrays.equals(certificate.getEncoded(), authority.certificate());
        } catch (CertificateEncodingException e) {
            throw new IllegalStateException("it was read from its encoding", e);
        }
    }

    /** This pod holds it from now on; on disk when this returns. */
    void hold(Authority authority) throws IOException {
        secure.files().write(authority);
        held = authority;
    }

    /**
     * What is to follow the present authority, durable before anybody is asked to trust it. The one that was made before, if
     * the network may have agreed to it without this pod's knowing.
     */
    Authority next(Authority present, Instant now) throws IOException {
        var before = secure.files().next();
        if (before.isPresent()
                && before.get().link().isPresent()
                && present.issued(before.get().link().get())) return before.get();
        var made = present.successor(now);
        secure.files().writeNext(made);
        return made;
    }

    /** The network has agreed to what this pod made to follow: it holds that now. */
    void settle() throws IOException {
        var newest = newest();
        if (newest == null) return;
        var next = secure.files().next();
        if (next.isEmpty() || !is(next.get().certificate(), newest)) return;
        hold(next.get());
        secure.files().forgetNext();
        LOG.info("this pod has the key of the network's new authority");
    }

    /** Answers other administrators' pods. */
    void serve(Server server) {
        server.handle(Calls.AUTHORITY, this::handOver);
    }

    private byte[] handOver(Request request) throws IOException, InterruptedException {
        log.barrier(); // somebody may have been removed, or made an ordinary pod, just now
        var authority = get();
        if (authority.isEmpty()) throw new PeerRefused(Calls.NO_AUTHORITY, "this pod has no key of the authority");
        var caller = request.caller();
        if (caller == null
                || log.view().pod(caller) == null
                || !log.view().administrators().contains(caller))
            throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "only administrators' pods are given the key");
        LOG.log(Level.INFO, "the authority''s key goes to {0}, which is an administrator''s pod", caller);
        try {
            var answer = Messages.writer()
                    .putBytes(authority.get().secretKey())
                    .putBytes(authority.get().certificate().getEncoded());
            var link = authority.get().link();
            return answer.putBytes(link.isPresent() ? link.get().getEncoded() : new byte[0])
                    .toBytes();
        } catch (CertificateEncodingException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
    }

    /** To be called when administrators or authorities may have changed; does not block. */
    void look() {
        synchronized (this) {
            if (fetching || closed.getCount() == 0 || !isWanted()) return;
            fetching = true;
        }
        Thread.ofVirtual().name("authority-key").start(this::fetch);
    }

    private boolean isWanted() {
        return get().isEmpty() && log.view().administrators().contains(self);
    }

    private void fetch() {
        try {
            do {
                settle(); // perhaps it was made here
                for (var administrator : log.view().administrators()) {
                    if (!isWanted()) return;
                    if (administrator.equals(self)) continue;
                    var reply = ask(administrator);
                    if (reply.isEmpty()) continue;
                    hold(reply.get());
                    LOG.info("this pod has the authority's key now: it can let others in");
                    return;
                }
            } while (isWanted() && !closed.await(AGAIN_SECONDS, TimeUnit.SECONDS));
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
            var from = Messages.reader(reply.body());
            byte[] key = from.getBytes(KEY_BYTES_MAX);
            var certificate = KeyFiles.parse(from.getBytes(AuthorityRecord.CERTIFICATE_BYTES_MAX));
            byte[] link = from.getBytes(AuthorityRecord.CERTIFICATE_BYTES_MAX);
            var newest = newest();
            if (newest == null ? !secure.trusted().contains(certificate) : !is(certificate, newest))
                throw new GeneralSecurityException("it is of another authority");
            return Optional.of(Authority.of(key, certificate)
                    .linked(link.length == 0 ? Optional.empty() : Optional.of(KeyFiles.parse(link))));
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
