// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.AuthorityRecord;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.security.Authority;
import dev.wormhole.security.Credentials;
import dev.wormhole.security.JoinRequest;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.Keys;
import dev.wormhole.security.PodIdentity;
import dev.wormhole.security.Succession;
import dev.wormhole.transfer.Identity;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerException;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.PublicKey;
import java.security.cert.X509Certificate;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * How a member gets its next certificate: by the one that it has, or, where that does not count any more, by an
 * administrator's yes. Both ends of the calls RENEW and RETURN.
 */
final class Recertifying {
    private static final Logger LOG = Logger.getLogger(Recertifying.class.getName());
    private static final long ASK_SECONDS = 20;
    private static final long DECIDE_SECONDS = 5;

    private final UUID network;
    private final PodLog log;
    private final Peers peers;
    private final NetworkSettings settings;
    private final Approvals approvals;
    private final AuthorityKey key;
    private final Secure secure;
    private final InstantSource clock;

    Recertifying(
            UUID network,
            PodLog log,
            Peers peers,
            NetworkSettings settings,
            Approvals approvals,
            AuthorityKey key,
            Secure secure,
            InstantSource clock) {
        this.network = network;
        this.log = log;
        this.peers = peers;
        this.settings = settings;
        this.approvals = approvals;
        this.key = key;
        this.secure = secure;
        this.clock = clock;
    }

    void serve(Server server) {
        server.handle(Calls.RENEW, this::renew);
        server.handle(Calls.RETURN, this::letBack, Server.Option.STRANGERS);
    }

    // ---- authorities, as they travel

    /** One of the network's authorities, as another pod told. */
    record Told(Succession.Step step, boolean counts) {}

    /** All of them; where none is written down yet, the one that issues. */
    static void write(Messages.Writer to, NamespaceView view, Authority issuer) throws IOException {
        var all = view.authorities();
        try {
            if (all.isEmpty())
                all = List.of(
                        new AuthorityRecord(1, 0, 0, issuer.certificate().getEncoded(), new byte[0], new byte[0]));
        } catch (GeneralSecurityException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
        to.putList(
                all,
                (writer, each) -> writer.putBytes(each.certificate())
                        .putBytes(each.link())
                        .putBoolean(each.isTrusted()));
    }

    static List<Told> read(Messages.Reader from) throws IOException {
        return from.getList(AuthorityRecord.COUNT_MAX, reader -> {
            byte[] certificate = reader.getBytes(AuthorityRecord.CERTIFICATE_BYTES_MAX);
            byte[] link = reader.getBytes(AuthorityRecord.CERTIFICATE_BYTES_MAX);
            try {
                var step = new Succession.Step(
                        KeyFiles.parse(certificate),
                        link.length == 0 ? Optional.empty() : Optional.of(KeyFiles.parse(link)));
                return new Told(step, reader.getBoolean());
            } catch (GeneralSecurityException e) {
                throw new IOException("an authority that makes no sense", e);
            }
        });
    }

    /** Those that count. */
    static List<X509Certificate> counting(List<Told> authorities) {
        return authorities.stream()
                .filter(Told::counts)
                .map(each -> each.step().authority())
                .toList();
    }

    private byte[] answer(X509Certificate certificate, Authority issuer) throws IOException {
        try {
            var to = Messages.writer().putBytes(certificate.getEncoded());
            write(to, log.view(), issuer);
            return to.toBytes();
        } catch (GeneralSecurityException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
    }

    /**
     * What was answered, checked: a certificate for this pod's own key and incarnation, by an authority that counts and that
     * those it trusts lead to.
     */
    private static Credentials checked(byte[] body, java.security.KeyPair own, Secure secure)
            throws IOException, GeneralSecurityException {
        var from = Messages.reader(body);
        var certificate = KeyFiles.parse(from.getBytes(AuthorityRecord.CERTIFICATE_BYTES_MAX));
        var told = read(from);
        from.end();
        var known = new ArrayList<>(secure.trusted());
        known.add(secure.credentials().authority());
        var believed = Succession.trusted(known, told.stream().map(Told::step).toList());
        for (var each : told) {
            if (!each.counts() || !believed.contains(each.step().authority())) continue;
            if (!Succession.issued(each.step().authority(), certificate)) continue;
            var made = Credentials.of(
                    own.getPrivate(),
                    certificate,
                    each.step().authority(),
                    each.step().link());
            if (!made.identity().equals(secure.credentials().identity()))
                throw new GeneralSecurityException(
                        "it is for " + made.identity().incarnation());
            var counting = new ArrayList<>(counting(told));
            counting.retainAll(believed);
            secure.trust(counting);
            return made;
        }
        throw new GeneralSecurityException("it is of no authority that follows on the one this pod knows");
    }

    /** The pod's next certificate where this pod can issue it itself. */
    X509Certificate issue(Authority authority, PublicKey podKey, Incarnation pod) {
        var record = log.view().pod(pod);
        return authority.issue(
                podKey,
                record == null ? pod.toString() : record.settings().name(),
                new PodIdentity(network, pod, PodIdentity.Role.MEMBER),
                clock.instant(),
                settings.get().certificates().lifetime());
    }

    // ---- by the certificate that it has

    /** Asks an administrator's pod. @throws IOException with a reason for people */
    Credentials askRenewal(Incarnation administrator, String name) throws IOException, InterruptedException {
        var own = secure.files().ownKeys();
        var request = JoinRequest.make(own, name, new byte[0], Optional.empty());
        var reply = peers.await(administrator, Calls.RENEW, request.encode(), Calls.RENEW_DEADLINE);
        try {
            return checked(reply.body(), own, secure);
        } catch (GeneralSecurityException e) {
            throw new IOException("it gave out a useless certificate: " + e.getMessage(), e);
        }
    }

    private byte[] renew(Request request) throws IOException, InterruptedException {
        log.barrier(); // somebody may have been removed, or the authority changed, just now
        var authority = key.deciding();
        if (authority.isEmpty()) throw new PeerRefused(Calls.NO_AUTHORITY, "this pod has no key of the authority");
        var caller = request.caller();
        if (caller == null || log.view().pod(caller) == null)
            throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "only members renew their certificates");
        var podKey = verified(JoinRequest.decode(request.body()), authority.get(), request);
        if (!Arrays.equals(Keys.hash(podKey), log.view().podKey(caller)))
            throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "the network knows another key of " + caller);
        LOG.log(Level.INFO, "{0} gets its next certificate", caller);
        return answer(issue(authority.get(), podKey, caller), authority.get());
    }

    private static PublicKey verified(JoinRequest asked, Authority authority, Request request) throws PeerRefused {
        try {
            return asked.verify(authority.certificate().getPublicKey());
        } catch (GeneralSecurityException e) {
            LOG.log(Level.INFO, "refused {0}: {1}", new Object[] {request.remote(), e.getMessage()});
            throw new PeerRefused(PeerRefused.UNAUTHENTICATED, String.valueOf(e.getMessage()));
        }
    }

    // ---- by an administrator's yes

    /** What became of asking. */
    sealed interface Answer {
        /** To be shown from now on. */
        record LetBack(Credentials credentials) implements Answer {}

        /** @param fingerprint what an administrator sees too */
        record Waiting(String fingerprint) implements Answer {}

        /** The certificate is fine: what is missing is something else. */
        record StillGood() implements Answer {}
    }

    /**
     * Asks whoever listens at an address, as a stranger: it learns who this pod was, and nothing else. What it answers is
     * believed if it leads on from what this pod trusts.
     */
    Answer askReturn(String address, String name) throws IOException, InterruptedException {
        var own = secure.files().ownKeys();
        var transport = Joining.strangers(Optional.empty());
        try (var stranger = new Peers(transport, Identity::stranger, () -> 0L, Peers.Limits.DEFAULT)) {
            var shown = secure.credentials().certificate().getEncoded();
            var request = JoinRequest.make(own, name, shown, Optional.empty());
            var reply = stranger.callAddress(
                            address, Calls.RETURN, request.encode(), java.time.Duration.ofSeconds(ASK_SECONDS))
                    .get(ASK_SECONDS + 5, TimeUnit.SECONDS);
            return new Answer.LetBack(checked(reply.body(), own, secure));
        } catch (GeneralSecurityException e) {
            throw new IOException("it gave out a useless certificate: " + e.getMessage(), e);
        } catch (ExecutionException failure) {
            if (failure.getCause() instanceof PeerRefused refused) {
                if (refused.code() == Calls.STILL_GOOD) return new Answer.StillGood();
                var met = transport.authorityMet();
                if (refused.code() == Calls.WAITING && met.isPresent())
                    return new Answer.Waiting(
                            Keys.fingerprint(own.getPublic(), met.get().getPublicKey()));
                throw refused;
            }
            throw new IOException(Causes.message(failure), failure);
        } catch (TimeoutException late) {
            throw new IOException("no answer", late);
        }
    }

    /**
     * May be asked where nothing can be decided: when all pods slept past their expiry, the log needs those that come back.
     * What this pod knows must do then, and an administrator's word.
     */
    private byte[] letBack(Request request) throws IOException, InterruptedException {
        var authority = key.deciding();
        if (authority.isEmpty()) return Joining.forward(request, Calls.RETURN, log, peers);
        var asked = JoinRequest.decode(request.body());
        var podKey = verified(asked, authority.get(), request);
        byte[] hash = Keys.hash(podKey);
        var member = log.view().pods().stream()
                .filter(each -> Arrays.equals(hash, log.view().podKey(each.incarnation())))
                .findFirst()
                .orElseThrow(() -> new PeerRefused(
                        PeerRefused.UNAUTHENTICATED,
                        "no member of the network has this key: the pod was removed; join with an empty store"));
        if (isGood(asked.settings(), podKey))
            throw new PeerRefused(Calls.STILL_GOOD, "this certificate counts, no other one is needed");
        var name = member.settings().name();
        var fingerprint = Keys.fingerprint(podKey, authority.get().certificate().getPublicKey());
        switch (approvals.ask(hash, new Approvals.Waiting(name, fingerprint, request.remote(), true))) {
            case YES -> {}
            case NO -> throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "an administrator refused it");
            case TOO_MANY ->
                throw new PeerRefused(PeerRefused.OVERLOADED, "too many machines wait for approval; try again later");
            case WAIT ->
                throw new PeerRefused(
                        Calls.WAITING, "waiting for an administrator: wormhole approve " + name + " on their pod");
        }
        recertify(member.incarnation(), hash);
        LOG.log(Level.INFO, "{0} ({1}) is let back, asked from {2}", new Object[] {
            name, member.incarnation(), request.remote()
        });
        return answer(issue(authority.get(), podKey, member.incarnation()), authority.get());
    }

    private boolean isGood(byte[] certificate, PublicKey podKey) throws PeerRefused {
        try {
            var shown = KeyFiles.parse(certificate);
            return shown.getPublicKey().equals(podKey) && secure.counts(shown);
        } catch (GeneralSecurityException e) {
            throw new PeerRefused(PeerRefused.BAD_REQUEST, "no certificate in the request");
        }
    }

    private void recertify(Incarnation pod, byte[] hash) throws PeerException, InterruptedException {
        try {
            if (log.leader().isEmpty() || log.disconnected()) throw new TimeoutException("no leader is known");
            var outcome = log.propose(new Command.Recertify(pod, hash))
                    .get(DECIDE_SECONDS, TimeUnit.SECONDS)
                    .outcome();
            if (outcome instanceof Outcome.Refused(var errno))
                throw new PeerRefused(
                        PeerRefused.UNAUTHENTICATED,
                        switch (errno) {
                            case ENOENT -> "the pod was removed; join with an empty store";
                            case EPERM -> "the pod that was asked is no administrator's any more";
                            default -> "the network refused: " + errno;
                        });
        } catch (ExecutionException | TimeoutException undecided) {
            LOG.log(
                    Level.WARNING,
                    "{0} is let back by this pod alone: the network decides nothing now ({1})",
                    new Object[] {pod, Causes.message(undecided)});
        }
    }
}
