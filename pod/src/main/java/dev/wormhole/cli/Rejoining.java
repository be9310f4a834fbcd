// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.HostPort;
import dev.wormhole.config.PodConfig;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlClient;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.Json;
import dev.wormhole.control.StartIntent;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Joining where something is there already: a store that a network left behind, or the network's own pod. */
final class Rejoining {
    private static final long SECONDS = 600;

    private Rejoining() {}

    /** A store that belongs to a network, and the file that declares its pod. */
    record Former(Path podToml, PodConfig config) {
        String name() {
            return config.pod().name();
        }
    }

    /** Empty where the store belongs to no network: then it is joined with as any other. */
    static Optional<Former> former(Host host, Path store) {
        if (!Files.exists(store.resolve(MembershipCommands.MEMBER_FILE))) return Optional.empty();
        var registry = new Registry(host);
        for (var entry : registry.entries()) {
            var config = registry.read(entry.file());
            if (config.pod().store().equals(store)) return Optional.of(new Former(entry.file(), config));
        }
        throw new CliException(
                ExitCode.REFUSED,
                "the store " + store + " belongs to a network already, and no pod.toml of this machine names it",
                "choose another: --store DIR");
    }

    /** Has the stopped pod ask to be let in again; on a refusal it stays what it was. */
    static void run(Host host, Former former, String address, String token, Optional<String> passphrase)
            throws InterruptedException {
        var process = new PodProcess(host, former.podToml(), former.config());
        if (process.runs())
            throw new CliException(
                    ExitCode.REFUSED,
                    "pod " + former.name() + " runs",
                    "stop it first: wormhole down " + former.name());
        try (var console = new Console(host)) {
            StoreFiles.make(former.config().pod().store());
            new StartIntent.Rejoin(address, token).write(former.config().pod().store());
            process.start(passphrase);
            process.awaitReady(console);
        } catch (IOException e) {
            throw new CliException(
                    ExitCode.FAILED, "cannot write to " + former.config().pod().store() + ": " + e.getMessage(), "", e);
        } catch (CliException e) {
            process.giveUp();
            throw e;
        }
    }

    /**
     * An invitation from the pod that listens at an address of this machine, where whoever runs the command may ask it for
     * one; empty otherwise.
     */
    static String ownInvitation(Host host, HostPort address, @Nullable String name) {
        if (!isHere(address)) return "";
        var registry = new Registry(host);
        for (var entry : registry.entries()) {
            try {
                var pod = registry.read(entry.file()).pod();
                if (pod.listen().port() != address.port()
                        || StoreFiles.runningDaemon(pod.store()).isEmpty()) continue;
                var wanted = new Commands.InviteArguments(1, SECONDS, name == null ? "" : name, false, false);
                try (var console = new Console(host)) {
                    var answer = new ControlClient(pod.store()).call(Commands.INVITE, wanted, console);
                    return Json.to(Commands.Invited.class, answer).token();
                }
            } catch (IOException | ControlException | CliException none) {
                // The network says itself what it wants.
            }
        }
        return "";
    }

    private static boolean isHere(HostPort address) {
        try {
            for (var at : InetAddress.getAllByName(address.host()))
                if (at.isLoopbackAddress() || at.isAnyLocalAddress() || NetworkInterface.getByInetAddress(at) != null)
                    return true;
        } catch (IOException unknown) {
            return false;
        }
        return false;
    }
}
