// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.transfer.Identity;
import dev.wormhole.transfer.Messages;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.Request;
import dev.wormhole.transfer.Server;
import dev.wormhole.transfer.Transport;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** How a new pod becomes a member: it asks any pod, which asks the leader, which asks the log. */
final class Joining {
    private static final Duration DEADLINE = Duration.ofSeconds(20);
    private static final int LIST_MAX = 10_000;
    private static final int TEXT_MAX = 1 << 20;

    private Joining() {}

    /**
     * What a member is told at its admission.
     *
     * @param configuration the text of network.toml
     */
    record Welcome(
            String networkName,
            UUID networkId,
            long generation,
            Incarnation incarnation,
            List<Pod> pods,
            String configuration) {
        record Pod(Incarnation incarnation, List<String> addresses) {}
    }

    /** Asks at an address; the same token gets the same answer. */
    static Welcome ask(Transport transport, String address, long storeToken, PodSettings settings)
            throws IOException, InterruptedException {
        var body = Messages.writer();
        body.putLong(storeToken);
        write(body, settings);
        try (var stranger = new Peers(transport, Identity::stranger, () -> 0L, Peers.Limits.DEFAULT)) {
            var reply = stranger.callAddress(address, Calls.JOIN, body.toBytes(), DEADLINE)
                    .get(DEADLINE.toSeconds() + 5, TimeUnit.SECONDS);
            return readWelcome(Messages.reader(reply.body()));
        } catch (ExecutionException failure) {
            throw new IOException("the pod at " + address + " did not admit this one: " + Causes.message(failure));
        } catch (TimeoutException late) {
            throw new IOException("the pod at " + address + " did not answer");
        }
    }

    /** Answers those who ask; on a pod that does not lead, by asking the leader. */
    static void serve(Server server, PodLog log, Peers peers, String networkName, UUID networkId, long generation) {
        server.handle(
                Calls.JOIN,
                request -> {
                    var leader = log.leader();
                    if (leader.isEmpty())
                        throw new PeerRefused(Calls.NOT_LEADER, "the network has no leader at the moment, try again");
                    if (!log.leads()) {
                        return peers.await(leader.get(), Calls.JOIN, request.body(), DEADLINE)
                                .body();
                    }
                    return admit(request, log, networkName, networkId, generation);
                },
                Server.Option.STRANGERS);
    }

    private static byte[] admit(Request request, PodLog log, String networkName, UUID networkId, long generation)
            throws IOException, InterruptedException {
        var from = Messages.reader(request.body());
        long token = from.getLong();
        PodSettings settings = read(from);
        from.end();
        if (settings.addresses().isEmpty())
            throw new PeerRefused(PeerRefused.BAD_REQUEST, "a pod needs an address where others find it");
        Outcome outcome;
        try {
            outcome = log.propose(new Command.AdmitPod(token, settings))
                    .get(DEADLINE.toMillis(), TimeUnit.MILLISECONDS)
                    .outcome();
        } catch (ExecutionException | TimeoutException failure) {
            throw new PeerRefused(PeerRefused.FAILED, "the network could not decide now, try again");
        }
        return switch (outcome) {
            case Outcome.Done(var number) -> {
                var pods = new ArrayList<Welcome.Pod>();
                for (PodRecord pod : log.view().pods())
                    pods.add(new Welcome.Pod(pod.incarnation(), pod.settings().addresses()));
                var answer = Messages.writer();
                answer.putString(networkName)
                        .putLong(networkId.getMostSignificantBits())
                        .putLong(networkId.getLeastSignificantBits())
                        .putLong(generation)
                        .putIncarnation(new Incarnation(Math.toIntExact(number)))
                        .putList(
                                pods,
                                (to, pod) -> to.putIncarnation(pod.incarnation())
                                        .putList(pod.addresses(), Messages.Writer::putString))
                        .putString(log.view().configuration().toml());
                yield answer.toBytes();
            }
            case Outcome.Refused(var errno) ->
                throw new PeerRefused(
                        PeerRefused.BAD_REQUEST,
                        errno == Errno.EEXIST
                                ? "a pod named " + settings.name() + " is a member already; choose another --name, or"
                                        + " remove that one first: wormhole leave --gone " + settings.name()
                                : "the network refused: " + errno);
        };
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
        return new PodSettings(
                name,
                PodSettings.Role.values()[role],
                from.getBoolean(),
                from.getString(63),
                from.getList(16, reader -> reader.getString(300)),
                from.getVarint());
    }

    private static Welcome readWelcome(Messages.Reader from) throws IOException {
        return new Welcome(
                from.getString(63),
                new UUID(from.getLong(), from.getLong()),
                from.getLong(),
                from.getIncarnation(),
                from.getList(
                        LIST_MAX,
                        reader -> new Welcome.Pod(
                                reader.getIncarnation(), reader.getList(16, address -> address.getString(300)))),
                from.getString(TEXT_MAX));
    }
}
