// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.NetworkConfig;
import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.seal.Secret;
import dev.wormhole.security.Authority;
import dev.wormhole.security.Credentials;
import dev.wormhole.security.JoinRequest;
import dev.wormhole.security.JoinToken;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.Keys;
import dev.wormhole.security.PodIdentity;
import dev.wormhole.security.TlsTransport;
import dev.wormhole.transfer.Identity;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerException;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import dev.wormhole.transfer.TcpTransport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.PublicKey;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * How a machine becomes a pod: it asks any pod, which asks an administrator's, which checks what it brings, asks the log, and
 * certifies its key. Before it has its certificate it is a stranger, and this is the one thing that strangers are answered.
 */
final class Joining {
    private static final String NOT_SEALED =
            "this network was founded without encryption, so names and log lie in clear on"
                    + " every pod, and encrypt = true would promise too much; join without --encrypt, or make a network with:"
                    + " wormhole create --encrypt";

    private static final Logger LOG = Logger.getLogger(Joining.class.getName());
    private static final Duration DEADLINE = Duration.ofSeconds(20);
    private static final Duration DECISION_MAX = Duration.ofSeconds(10);
    /** Who waits for approval asks this often. */
    private static final Duration ASK_AGAIN = Duration.ofSeconds(1);

    private static final int LIST_MAX = 10_000;
    private static final int TEXT_MAX = 1 << 20;
    private static final int CERTIFICATE_BYTES_MAX = 8192;

    private Joining() {}

    /**
     * What a member is told at its admission.
     *
     * @param configuration the text of network.toml
     * @param networkKey seals names and log, in a network that was founded so
     * @param certificate the pod's own, checked
     * @param authority that issued it
     * @param counting authorities of pods that it will meet
     */
    record Welcome(
            String networkName,
            UUID networkId,
            long generation,
            Incarnation incarnation,
            List<Pod> pods,
            String configuration,
            Optional<Secret> networkKey,
            X509Certificate certificate,
            X509Certificate authority,
            List<X509Certificate> counting) {
        record Pod(Incarnation incarnation, List<String> addresses) {}
    }

    /** Made from the pod's key, so that the same store is recognised when it asks again, and nobody else for it. */
    static long storeToken(PublicKey key) {
        return ByteBuffer.wrap(Keys.hash(key)).getLong();
    }

    /**
     * Asks at an address; the same keys get the same answer.
     *
     * @param token what was given out for this machine; without one the network is believed at sight, and must be open, or an
     *     administrator must say yes
     * @param encrypts whether nothing may lie on this machine's disk that can be read without a key
     * @param waiting told while an administrator is waited for
     */
    static Welcome ask(
            KeyFiles files,
            String address,
            Optional<JoinToken> token,
            PodSettings settings,
            boolean encrypts,
            Consumer<String> waiting)
            throws IOException, InterruptedException {
        var keys = files.ownKeys();
        var transport = strangers(token);
        while (true) {
            try {
                return askOnce(keys, transport, address, token, settings, encrypts);
            } catch (PeerRefused wait) {
                var authority = transport.authorityMet();
                if (wait.code() != Calls.WAITING || authority.isEmpty()) throw refused(address, wait);
                waiting.accept(wait.getMessage() + "; the fingerprint to compare: "
                        + Keys.fingerprint(keys.getPublic(), authority.get().getPublicKey()));
                Thread.sleep(ASK_AGAIN);
            }
        }
    }

    /** Of who has no certificate, or none that counts at the other end. */
    static TlsTransport strangers(Optional<JoinToken> token) {
        return TlsTransport.joining(new TcpTransport(), token, InstantSource.system());
    }

    private static IOException refused(String address, Throwable why) {
        return new IOException("the pod at " + address + " did not admit this one: " + why.getMessage());
    }

    /** @throws PeerRefused with the network's own words */
    private static Welcome askOnce(
            KeyPair keys,
            TlsTransport transport,
            String address,
            Optional<JoinToken> token,
            PodSettings settings,
            boolean encrypts)
            throws IOException, InterruptedException {
        var said = Messages.writer();
        write(said, settings);
        said.putBoolean(encrypts);
        var request = JoinRequest.make(keys, settings.name(), said.toBytes(), token);
        try (var stranger = new Peers(transport, Identity::stranger, () -> 0L, Peers.Limits.DEFAULT)) {
            var reply = stranger.callAddress(address, Calls.JOIN, request.encode(), DEADLINE)
                    .get(DEADLINE.toSeconds() + 5, TimeUnit.SECONDS);
            var welcome = readWelcome(Messages.reader(reply.body()));
            if (!transport.authorityMet().equals(Optional.of(welcome.authority()))
                    || token.isPresent() && !token.get().pins(welcome.authority()))
                throw new IOException("the pod at " + address + " gave out another network's certificate");
            if (encrypts && welcome.networkKey().isEmpty())
                throw new IOException("the pod at " + address + ": " + NOT_SEALED);
            var credentials = Credentials.of(keys.getPrivate(), welcome.certificate(), welcome.authority());
            var identity = credentials.identity();
            if (!identity.network().equals(welcome.networkId())
                    || !identity.incarnation().equals(welcome.incarnation()))
                throw new IOException("the pod at " + address + " gave out a certificate for " + identity.incarnation()
                        + ", not " + welcome.incarnation());
            return welcome;
        } catch (GeneralSecurityException e) {
            throw new IOException("the pod at " + address + " gave out a useless certificate: " + e.getMessage(), e);
        } catch (ExecutionException failure) {
            if (failure.getCause() instanceof PeerRefused refused) throw refused;
            throw refused(address, new IOException(Causes.message(failure)));
        } catch (TimeoutException late) {
            throw new IOException("the pod at " + address + " did not answer");
        }
    }

    /**
     * Answers those who ask; on a pod without the authority's key, by asking an administrator's pod.
     *
     * @param key this pod's, where it has it
     */
    static void serve(
            Server server,
            PodLog log,
            Peers peers,
            NetworkSettings network,
            Approvals approvals,
            AuthorityKey key,
            String networkName,
            UUID networkId,
            long generation) {
        server.handle(
                Calls.JOIN,
                request -> {
                    var authority = key.deciding();
                    return authority.isPresent()
                            ? admit(
                                    request,
                                    log,
                                    network,
                                    approvals,
                                    authority.get(),
                                    networkName,
                                    networkId,
                                    generation)
                            : forward(request, Calls.JOIN, log, peers);
                },
                Server.Option.STRANGERS);
    }

    /** Asks administrators' pods what this one cannot answer. */
    static byte[] forward(Request request, int kind, PodLog log, Peers peers)
            throws PeerException, InterruptedException {
        // Asked by a pod, this one was taken for an administrator's: nobody is sent round in circles.
        var administrators = request.caller() == null ? log.view().administrators() : List.<Incarnation>of();
        PeerException last = new PeerRefused(
                PeerRefused.FAILED, "no administrator's pod of the network is reachable; ask one of them");
        for (var administrator : administrators) {
            try {
                return peers.await(administrator, kind, request.body(), DECISION_MAX)
                        .body();
            } catch (PeerRefused refused) {
                if (refused.code() != Calls.NO_AUTHORITY) throw refused;
            } catch (PeerException unreachable) {
                last = new PeerRefused(
                        PeerRefused.FAILED,
                        "no administrator's pod of the network answers, and only they let others in");
            }
        }
        if (request.caller() != null)
            throw new PeerRefused(Calls.NO_AUTHORITY, "this pod has no key of the network's authority");
        throw last;
    }

    private static byte[] admit(
            Request request,
            PodLog log,
            NetworkSettings network,
            Approvals approvals,
            Authority authority,
            String networkName,
            UUID networkId,
            long generation)
            throws IOException, InterruptedException {
        var asked = JoinRequest.decode(request.body());
        PublicKey key;
        try {
            key = asked.verify(authority.certificate().getPublicKey());
        } catch (GeneralSecurityException e) {
            LOG.log(Level.INFO, "refused {0}: {1}", new Object[] {request.remote(), e.getMessage()});
            throw new PeerRefused(PeerRefused.UNAUTHENTICATED, String.valueOf(e.getMessage()));
        }
        var from = Messages.reader(asked.settings());
        PodSettings settings = read(from);
        boolean encrypts = from.getBoolean();
        from.end();
        if (encrypts && log.networkKey().isEmpty()) throw new PeerRefused(PeerRefused.UNAUTHENTICATED, NOT_SEALED);
        if (settings.addresses().isEmpty())
            throw new PeerRefused(PeerRefused.BAD_REQUEST, "a pod needs an address where others find it");
        log.barrier();
        var strategy = network.get().network().join();
        if (strategy == NetworkConfig.Join.CLOSED)
            throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "the network takes no pods: network.join is \"closed\"");
        var token = asked.tokenId();
        if (token.isEmpty() && strategy == NetworkConfig.Join.APPROVAL)
            awaitApproval(approvals, key, authority, settings, request);
        else if (token.isEmpty() && strategy != NetworkConfig.Join.OPEN)
            throw new PeerRefused(
                    PeerRefused.UNAUTHENTICATED,
                    "the network wants an invitation: on an administrator's pod, wormhole invite prints the command");
        checkReplaced(log, token, settings);
        Outcome outcome;
        try {
            outcome = log.propose(new Command.JoinPod(
                            storeToken(key),
                            settings,
                            Keys.hash(key),
                            token.orElse(new byte[0]),
                            System.currentTimeMillis()))
                    .get(DECISION_MAX.toMillis(), TimeUnit.MILLISECONDS)
                    .outcome();
        } catch (ExecutionException | TimeoutException failure) {
            throw new PeerRefused(PeerRefused.FAILED, "the network could not decide now, try again");
        }
        return switch (outcome) {
            case Outcome.Done(var number) -> {
                var incarnation = new Incarnation(Math.toIntExact(number));
                var certificate = authority.issue(
                        key,
                        settings.name(),
                        new PodIdentity(networkId, incarnation, PodIdentity.Role.MEMBER),
                        InstantSource.system().instant(),
                        network.get().certificates().lifetime());
                LOG.log(Level.INFO, "admitted {0} as {1}, asked from {2}", new Object[] {
                    settings.name(), incarnation, request.remote()
                });
                yield welcome(log, incarnation, certificate, authority, networkName, networkId, generation);
            }
            case Outcome.Refused(var errno) -> {
                LOG.log(Level.INFO, "refused {0} ({1}): {2}", new Object[] {settings.name(), request.remote(), errno});
                throw new PeerRefused(PeerRefused.UNAUTHENTICATED, reason(errno, settings, token, log));
            }
        };
    }

    /** An invitation to take a pod's place is worth nothing while that one is there. */
    private static void checkReplaced(PodLog log, Optional<byte[]> token, PodSettings settings) throws PeerRefused {
        var invitation = token.map(log.view()::invitation).orElse(null);
        if (invitation == null || !invitation.replaces()) return;
        for (PodRecord pod : log.view().pods())
            if (pod.settings().name().equals(settings.name())
                    && invitation.usesLeft() > 0
                    && Administration.isThere(log, pod))
                throw new PeerRefused(
                        PeerRefused.UNAUTHENTICATED,
                        "pod " + settings.name() + " is there: only one that is gone is replaced");
    }

    /** Returns when an administrator has said yes. */
    private static void awaitApproval(
            Approvals approvals, PublicKey key, Authority authority, PodSettings settings, Request request)
            throws PeerRefused {
        var fingerprint = Keys.fingerprint(key, authority.certificate().getPublicKey());
        var waiting = new Approvals.Waiting(settings.name(), fingerprint, request.remote(), false);
        switch (approvals.ask(Keys.hash(key), waiting)) {
            case YES -> {}
            case NO -> throw new PeerRefused(PeerRefused.UNAUTHENTICATED, "an administrator refused it");
            case TOO_MANY ->
                throw new PeerRefused(PeerRefused.OVERLOADED, "too many machines wait for approval; try again later");
            case WAIT ->
                throw new PeerRefused(
                        Calls.WAITING,
                        "waiting for an administrator: wormhole approve " + settings.name() + " on their pod");
        }
    }

    private static String reason(Errno errno, PodSettings settings, Optional<byte[]> token, PodLog log) {
        return switch (errno) {
            case ENOENT ->
                "the network does not know this invitation: it was withdrawn, or expired long ago; ask for another one";
            case ETIMEDOUT -> "the invitation has expired; ask for another one: wormhole invite";
            case EAGAIN -> "the invitation is used up; ask for another one: wormhole invite";
            case EACCES -> {
                var invitation = token.map(log.view()::invitation).orElse(null);
                yield "the invitation is for a pod named "
                        + (invitation == null ? "otherwise" : invitation.name() + ": say --name " + invitation.name());
            }
            case EEXIST ->
                "a pod named " + settings.name() + " is a member already; choose another --name, or remove that one"
                        + " first: wormhole leave --gone " + settings.name()
                        + "; to take the place of one that is gone for good: wormhole invite --replace "
                        + settings.name() + " gives an invitation for that";
            case ESTALE -> "this store was a member and was removed; join with an empty store";
            case EPERM -> "the pod that was asked is no administrator's any more";
            default -> "the network refused: " + errno;
        };
    }

    private static byte[] welcome(
            PodLog log,
            Incarnation incarnation,
            X509Certificate certificate,
            Authority authority,
            String networkName,
            UUID networkId,
            long generation)
            throws IOException {
        var pods = new ArrayList<Welcome.Pod>();
        for (PodRecord pod : log.view().pods())
            pods.add(new Welcome.Pod(pod.incarnation(), pod.settings().addresses()));
        try {
            var answer = Messages.writer();
            answer.putString(networkName)
                    .putLong(networkId.getMostSignificantBits())
                    .putLong(networkId.getLeastSignificantBits())
                    .putLong(generation)
                    .putIncarnation(incarnation)
                    .putList(
                            pods,
                            (to, pod) -> to.putIncarnation(pod.incarnation())
                                    .putList(pod.addresses(), Messages.Writer::putString))
                    .putString(log.view().configuration().toml())
                    .putBytes(log.networkKey().map(Secret::bytes).orElse(new byte[0]))
                    .putBytes(certificate.getEncoded())
                    .putBytes(authority.certificate().getEncoded());
            Recertifying.write(answer, log.view(), authority);
            return answer.toBytes();
        } catch (GeneralSecurityException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
    }

    private static void write(Messages.Writer to, PodSettings settings) {
        to.putString(settings.name())
                .putByte(settings.role().ordinal())
                .putBoolean(settings.intermittent())
                .putString(settings.zone())
                .putList(settings.addresses(), Messages.Writer::putString)
                .putVarint(settings.limitBytes());
    }

    private static PodSettings read(Messages.Reader from) throws IOException {
        String name = from.getString(63);
        if (!name.matches("[a-z0-9][a-z0-9-]{0,62}"))
            throw new PeerRefused(PeerRefused.BAD_REQUEST, "no name for a pod: " + name);
        int role = from.getByte();
        if (role >= PodSettings.Role.values().length) throw new PeerRefused(PeerRefused.BAD_REQUEST, "role " + role);
        var settings = new PodSettings(
                name,
                PodSettings.Role.values()[role],
                from.getBoolean(),
                from.getString(63),
                from.getList(16, reader -> reader.getString(300)),
                from.getVarint());
        // They are shown on other people's terminals.
        for (String address : settings.addresses())
            if (!address.matches("[!-~]+"))
                throw new PeerRefused(PeerRefused.BAD_REQUEST, "an address with characters that none has");
        if (!settings.zone().matches("[a-z0-9-]*"))
            throw new PeerRefused(PeerRefused.BAD_REQUEST, "a zone with characters that none has");
        return settings;
    }

    private static Optional<Secret> secret(byte[] bytes) throws IOException {
        if (bytes.length == 0) return Optional.empty();
        if (bytes.length != Secret.BYTES) throw new IOException("a key of the network of " + bytes.length + " bytes");
        return Optional.of(Secret.of(bytes));
    }

    private static Welcome readWelcome(Messages.Reader from) throws IOException, GeneralSecurityException {
        return new Welcome(
                from.getString(63),
                new UUID(from.getLong(), from.getLong()),
                from.getLong(),
                from.getIncarnation(),
                from.getList(
                        LIST_MAX,
                        reader -> new Welcome.Pod(
                                reader.getIncarnation(), reader.getList(16, address -> address.getString(300)))),
                from.getString(TEXT_MAX),
                secret(from.getBytes(Secret.BYTES)),
                KeyFiles.parse(from.getBytes(CERTIFICATE_BYTES_MAX)),
                KeyFiles.parse(from.getBytes(CERTIFICATE_BYTES_MAX)),
                Recertifying.counting(Recertifying.read(from)));
    }
}
