// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.cli;

import dev.wormhole.config.HostPort;
import dev.wormhole.config.Names;
import dev.wormhole.config.NetworkConfig;
import dev.wormhole.config.Parsed;
import dev.wormhole.config.PodConfig;
import dev.wormhole.config.Size;
import dev.wormhole.control.Commands;
import dev.wormhole.control.ControlClient;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.Json;
import dev.wormhole.control.NetworkStatus;
import dev.wormhole.control.StartIntent;
import dev.wormhole.control.StoreFiles;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Into a network and out of it. */
final class MembershipCommands {
    private MembershipCommands() {}

    /** The words as help and files spell them, without what is only planned. */
    static final class Roles extends Words {
        Roles() {
            super("storage", "witness");
        }
    }

    static final class Presences extends Words {
        Presences() {
            super("always", "intermittent");
        }
    }

    /** What completion offers for an option; picocli makes one of each by itself. */
    private static class Words implements Iterable<String> {
        private final List<String> words;

        Words(String... words) {
            this.words = List.of(words);
        }

        @Override
        public Iterator<String> iterator() {
            return words.iterator();
        }
    }

    /** What create and join have in common: the declaration of this machine's pod. */
    static final class PodOptions {
        @Option(names = "--mount", paramLabel = "DIR", description = "Where the shared folder appears.")
        @Nullable Path mount;

        @Option(
                names = "--store",
                paramLabel = "DIR",
                description = "Where metadata and data are kept. Default: /var/lib/wormhole/NETWORK/POD.")
        @Nullable Path store;

        @Option(names = "--name", paramLabel = "POD", description = "The pod's name. Default: this machine's.")
        @Nullable String name;

        @Option(
                names = "--listen",
                paramLabel = "ADDRESS",
                description = "Where other pods connect to. Default: 0.0.0.0:7420, or the next free port.")
        @Nullable String listen;

        @Option(
                names = "--advertise",
                paramLabel = "ADDRESS",
                split = ",",
                description = "Where other pods find this one, if not at its own addresses.")
        List<String> advertise = List.of();

        @Option(names = "--limit", paramLabel = "SIZE", description = "At most so much data, such as 4TB.")
        @Nullable String limit;

        @Option(names = "--zone", paramLabel = "NAME", description = "Where this machine stands.")
        @Nullable String zone;

        @Option(
                names = "--presence",
                paramLabel = "PRESENCE",
                completionCandidates = Presences.class,
                description = "always, or intermittent for a machine that sleeps at times.")
        PodConfig.@Nullable Presence presence;

        @Option(
                names = "--encrypt",
                description = {
                    "Keep everything on the disk unreadable without a key, which lies in the store's folder of keys,",
                    "or see --key-file and --passphrase. Only now: a store stays as it was made."
                })
        boolean encrypt;

        @Option(
                names = "--key-file",
                paramLabel = "FILE",
                description = "Where the key is, such as on another disk; made if it is not there. Implies --encrypt.")
        @Nullable Path keyFile;

        @Option(
                names = "--passphrase",
                description =
                        "A passphrase, asked for now and at every start, instead of a key file. Implies --encrypt.")
        boolean askPassphrase;

        @Mixin
        PassphraseOptions passphrase = new PassphraseOptions();

        /** The new store's passphrase, where it is to have one. */
        Optional<String> newPassphrase(Host host) {
            if (!askPassphrase && passphrase.file == null) return Optional.empty();
            if (keyFile != null)
                throw new CliException(ExitCode.USAGE, "--key-file and a passphrase are two ways to say one thing", "");
            return Optional.of(passphrase.choose(host));
        }

        /** Checks what can be checked before anything is written. */
        PodConfig declare(Host host, String folder, PodConfig.Role role) {
            var podName = name == null ? Names.from(host.around().hostName()) : checked("--name", name, Names::check);
            var podStore =
                    store == null ? host.around().stores().resolve(folder).resolve(podName) : host.absolute(store);
            var podMount = Optional.ofNullable(mount).map(host::absolute);
            if (podMount.isEmpty() && role != PodConfig.Role.WITNESS) {
                throw new CliException(
                        ExitCode.USAGE,
                        "where should the folder appear?",
                        "say --mount DIR, such as --mount /mnt/" + folder);
            }
            podMount.ifPresent(point -> checkMount(host, point, podStore));
            if (Files.exists(podStore) && !isEmpty(podStore)) {
                throw new CliException(
                        ExitCode.REFUSED,
                        "the store " + podStore + " is not empty",
                        "it may hold a pod: wormhole up starts it. Else choose another: --store DIR");
            }
            var address = listen == null ? freeListen(host) : checked("--listen", listen, HostPort::parse);
            var config = PodConfig.of(podName, podMount, podStore, address);
            var basis = config.pod();
            return config.withPod(new PodConfig.Pod(
                            podName,
                            basis.network(),
                            role,
                            presence != null
                                    ? presence
                                    : host.around().battery()
                                            ? PodConfig.Presence.INTERMITTENT
                                            : PodConfig.Presence.ALWAYS,
                            zone == null ? "" : checked("--zone", zone, Names::check),
                            podMount,
                            address,
                            advertise.stream()
                                    .map(text -> checked("--advertise", text, HostPort::parse))
                                    .toList(),
                            basis.discovery(),
                            podStore))
                    .withStorage(new PodConfig.Storage(
                            role == PodConfig.Role.WITNESS
                                    ? 0
                                    : limit == null
                                            ? Long.MAX_VALUE
                                            : checked("--limit", limit, Size::parse)
                                                    .bytes(),
                            config.storage().keepFree(),
                            Optional.empty(),
                            List.of(),
                            encrypt || askPassphrase || passphrase.file != null || keyFile != null,
                            Optional.ofNullable(keyFile).map(host::absolute)));
        }
    }

    static <T> T checked(String option, String text, java.util.function.Function<String, T> parser) {
        try {
            return parser.apply(text);
        } catch (IllegalArgumentException e) {
            throw new CliException(ExitCode.USAGE, option + " " + text + " " + e.getMessage(), "", e);
        }
    }

    /** An empty or missing folder that is no mount of something else. */
    static void checkMount(Host host, Path point, Path store) {
        if (point.startsWith(store) || store.startsWith(point)) {
            throw new CliException(ExitCode.USAGE, "mount " + point + " and store " + store + " lie in each other", "");
        }
        if (!Files.exists(Path.of("/dev/fuse"))) {
            throw new CliException(
                    ExitCode.FAILED,
                    "this machine has no FUSE: /dev/fuse is missing",
                    "modprobe fuse, or in a container: --device /dev/fuse");
        }
        if (!host.root() && !onPath(host, "fusermount3")) {
            throw new CliException(
                    ExitCode.FAILED, "fusermount3 is missing, without which only root can mount", "apt install fuse3");
        }
        var there = host.mounts().get().at(point);
        if (there.isPresent()) {
            // of a pod that died, perhaps: its daemon recovers it, and no stat may touch it here
            if (there.get().isWormhole()) return;
            throw new CliException(
                    ExitCode.REFUSED,
                    point + " is a mount of something else (" + there.get().type() + ")",
                    "choose another folder");
        }
        if (Files.exists(point) && !Files.isDirectory(point)) {
            throw new CliException(ExitCode.REFUSED, point + " is no folder", "choose another for --mount");
        }
        if (Files.isDirectory(point) && !isEmpty(point)) {
            throw new CliException(
                    ExitCode.REFUSED,
                    "the folder " + point + " is not empty; what is in it would be hidden",
                    "choose another for --mount, and copy the files in afterwards");
        }
    }

    private static boolean onPath(Host host, String program) {
        for (var folder : host.environment().getOrDefault("PATH", "").split(":", -1)) {
            if (folder.startsWith("/") && Files.isExecutable(Path.of(folder, program))) return true;
        }
        return false;
    }

    private static boolean isEmpty(Path folder) {
        try (var list = Files.newDirectoryStream(folder)) {
            return !list.iterator().hasNext();
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot read " + folder + ": " + Registry.reason(e), "", e);
        }
    }

    /** The usual port, or the next ten further on that is free. */
    private static HostPort freeListen(Host host) {
        for (var port = HostPort.PORT; port < HostPort.PORT + 1000; port += 10) {
            if (isFree("0.0.0.0", port)) {
                if (port != HostPort.PORT)
                    host.err().println("port " + HostPort.PORT + " is taken; listening on " + port);
                return new HostPort("0.0.0.0", port);
            }
        }
        throw new CliException(ExitCode.FAILED, "no free port from " + HostPort.PORT, "say --listen ADDRESS:PORT");
    }

    static boolean isFree(String address, int port) {
        try (var socket = new ServerSocket()) {
            socket.setReuseAddress(true);
            socket.bind(new InetSocketAddress(address, port));
            return true;
        } catch (BindException e) {
            return false;
        } catch (IOException e) {
            throw new CliException(ExitCode.FAILED, "cannot listen on " + address + ": " + e.getMessage(), "", e);
        }
    }

    /** There once a store belongs to a network: deleting it then would leave a member without a store behind. */
    static final String MEMBER_FILE = "store";

    /**
     * Writes the pod's file and intent, starts it, and waits until its folder works. After a failure nothing of it is left,
     * so that the same command can be tried again.
     */
    static void bringUp(Host host, Path podToml, PodConfig config, StartIntent intent, Optional<String> passphrase)
            throws InterruptedException {
        var store = config.pod().store();
        var storeExisted = Files.exists(store);
        var mountExisted = config.pod().mount().filter(Files::exists).isPresent();
        var process = new PodProcess(host, podToml, config);
        try (var console = new Console(host)) {
            Registry.write(podToml, config.toToml());
            StoreFiles.make(store);
            intent.write(store);
            if (config.pod().mount().isPresent())
                makeMountPoint(host, config.pod().mount().get());
            process.start(passphrase);
            process.awaitReady(console);
        } catch (IOException | CliException e) {
            process.giveUp();
            config.pod().mount().ifPresent(point -> {
                try {
                    if (PodProcess.unmount(host, point) && !mountExisted) Files.deleteIfExists(point);
                } catch (IOException stays) {
                    host.err().println(point + " stays: " + Registry.reason(stays));
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                }
            });
            if (Files.exists(store.resolve(MEMBER_FILE))) {
                throw new CliException(
                        ExitCode.FAILED,
                        String.valueOf(e.getMessage()),
                        "it is a member already, its store and " + podToml + " stay; start it with: wormhole up "
                                + config.pod().name(),
                        e);
            }
            new Registry(host).remove(podToml);
            if (!storeExisted) PodProcess.delete(host, store);
            if (e instanceof CliException cli) throw cli;
            throw new CliException(ExitCode.FAILED, "cannot make " + store + ": " + e.getMessage(), "", e);
        }
    }

    private static void makeMountPoint(Host host, Path point) throws IOException {
        if (host.mounts().get().at(point).isPresent()) return;
        Files.createDirectories(point);
    }

    static NetworkStatus status(Path store) throws IOException, ControlException {
        return Json.to(NetworkStatus.class, new ControlClient(store).call(Commands.STATUS));
    }

    @Command(
            name = "create",
            description = "Make a new network, with this machine as its first pod.",
            footer = {"", "Example: wormhole create atelier --mount /mnt/atelier"})
    static final class Create extends Action {
        @Parameters(paramLabel = "NAME", description = "The network's name: letters a-z, digits and -.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        String network;

        @Mixin
        PodOptions options = new PodOptions();

        @Option(names = "--copies", paramLabel = "N", description = "Of every file, each on another pod. Default: 2.")
        int copies = NetworkConfig.DEFAULT.redundancy().copies();

        Create(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException, InterruptedException {
            checked("network", network, Names::check);
            if (copies < 1 || copies > NetworkConfig.COPIES_MAX) {
                throw new CliException(
                        ExitCode.USAGE,
                        "--copies must be from 1 to " + NetworkConfig.COPIES_MAX + ", not " + copies,
                        "");
            }
            var registry = new Registry(host);
            var config = options.declare(host, network, PodConfig.Role.STORAGE).withNetwork(network);
            var podToml = registry.podFile(network, config.pod().name());
            var networkToml = registry.networkFile(network);
            if (Files.exists(podToml) || Files.exists(networkToml)) {
                throw new CliException(
                        ExitCode.REFUSED,
                        "this machine already has a network " + network + ": " + podToml.getParent(),
                        "wormhole up starts it; wormhole destroy removes it");
            }
            var defaults = NetworkConfig.DEFAULT;
            var redundancy = defaults.redundancy();
            var reachable =
                    config.reachableAt(host.around(), config.pod().listen().port());
            var declared = new NetworkConfig(
                    new NetworkConfig.Network(
                            network,
                            Optional.empty(),
                            NetworkConfig.Join.TOKEN,
                            List.of(),
                            reachable.stream()
                                    .map(HostPort::parse)
                                    .filter(address -> address.port() > 0)
                                    .toList(),
                            Optional.empty()),
                    new NetworkConfig.Redundancy(
                            copies,
                            redundancy.minCopies(),
                            redundancy.spread(),
                            redundancy.replicationDelay(),
                            redundancy.rebuildAfter(),
                            redundancy.rebuildAfterIntermittent()),
                    defaults.durability(),
                    defaults.conflicts(),
                    defaults.situations(),
                    defaults.trash(),
                    defaults.scrub(),
                    defaults.notifications(),
                    defaults.certificates(),
                    defaults.rules());
            var passphrase = options.newPassphrase(host);
            Registry.write(networkToml, declared.toToml());
            bringUp(host, podToml, config, new StartIntent.Create(network, declared.toToml()), passphrase);
            say("network " + network + " is up; its folder: "
                    + config.pod().mount().map(Path::toString).orElse("(none)"));
            say("to let another machine in: wormhole invite");
            say("its files: " + networkToml + ", " + podToml);
            return ExitCode.OK;
        }
    }

    @Command(
            name = "join",
            description = "Add this machine to a network, with an invitation from it.",
            footer = {"", "Example: wormhole join nas-1:7420 --token AQ3d... --mount /mnt/atelier"})
    static final class Join extends Action {
        @Parameters(paramLabel = "ADDRESS", description = "HOST[:PORT] of any pod of the network.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        String address;

        @Mixin
        PodOptions options = new PodOptions();

        @Option(
                names = "--role",
                paramLabel = "ROLE",
                completionCandidates = Roles.class,
                description = "storage, or witness: it follows and votes but stores no data. Default: storage.")
        PodConfig.Role role = PodConfig.Role.STORAGE;

        @Option(
                names = "--token",
                paramLabel = "TOKEN",
                description = {
                    "The invitation, as wormhole invite printed it; - reads it from standard input.",
                    "Other users of this machine can see a command's arguments while it runs."
                })
        @Nullable String token;

        @Option(names = "--token-file", paramLabel = "FILE", description = "A file with the invitation in it.")
        @Nullable Path tokenFile;

        @Option(
                names = "--replace",
                paramLabel = "POD",
                description =
                        "Take the place of this pod, which is gone for good: with what wormhole invite --replace gave.")
        @Nullable String replace;

        Join(Host host) {
            super(host);
        }

        /** Empty for an open network. */
        private String token() throws IOException {
            if (token != null && tokenFile != null)
                throw new CliException(ExitCode.USAGE, "--token and --token-file are two ways to say one thing", "");
            var text = token;
            if (tokenFile != null) {
                text = Files.readString(host.absolute(tokenFile));
            } else if ("-".equals(token)) {
                text = host.in().readLine();
            }
            if (text == null) return "";
            // The daemon reads it whole; this finds what was pasted in half before anything is made.
            var stripped = text.strip();
            if (!stripped.matches("[A-Za-z0-9_-]{48}"))
                throw new CliException(
                        ExitCode.USAGE,
                        "this is no join token: one has 48 letters, digits, - and _",
                        "paste it whole, as wormhole invite printed it");
            return stripped;
        }

        @Override
        int run() throws IOException, ControlException, InterruptedException {
            if (role == PodConfig.Role.CLIENT) {
                throw new CliException(
                        ExitCode.USAGE, "--role client is not available yet (planned)", "storage or witness");
            }
            var parsed = checked("address", address, HostPort::parse);
            if (replace != null) {
                if (options.name != null && !options.name.equals(replace))
                    throw new CliException(ExitCode.USAGE, "--replace gives the name too; leave out --name", "");
                options.name = replace;
            }
            var invitation = token();
            if (invitation.isEmpty()) invitation = Rejoining.ownInvitation(host, parsed, options.name);
            if (options.store != null) {
                var former = Rejoining.former(host, host.absolute(options.store));
                if (former.isPresent()) {
                    var opening = options.passphrase.of(
                            host,
                            former.get().name(),
                            former.get().config().pod().store());
                    Rejoining.run(host, former.get(), parsed.toString(), invitation, opening);
                    say("pod " + former.get().name() + " is in the network again, with what its store has");
                    return ExitCode.OK;
                }
            }
            // the network's name is only known inside
            var folder = Names.from(parsed.host() + "-" + parsed.port());
            var registry = new Registry(host);
            var config = options.declare(host, folder, role);
            var provisional = registry.podFile(folder, config.pod().name());
            if (Files.exists(provisional)) {
                throw new CliException(
                        ExitCode.REFUSED,
                        "this machine already has a pod there: " + provisional,
                        "wormhole up starts it");
            }
            var passphrase = options.newPassphrase(host);
            bringUp(host, provisional, config, new StartIntent.Join(parsed.toString(), invitation), passphrase);
            var status = status(config.pod().store());
            var podToml = registry.podFile(status.network(), config.pod().name());
            if (Files.exists(podToml)) {
                say("this machine has another pod " + status.network() + "/"
                        + config.pod().name() + "; the file of this one stays " + provisional);
            } else {
                Registry.write(podToml, config.withNetwork(status.network()).toToml());
                registry.remove(provisional);
            }
            say("pod " + config.pod().name() + " is in network " + status.network() + ", with "
                    + status.pods().size() + " pods; its folder: "
                    + config.pod().mount().map(Path::toString).orElse("(none)"));
            return ExitCode.OK;
        }
    }

    @Command(
            name = "leave",
            description = {
                "Take a pod of this machine out of its network for good, after moving its data to others.",
                "With --gone, take out a member whose machine will not come back, once its copies are made elsewhere."
            })
    static final class Leave extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--keep-store", description = "Leave the store's files on the disk.")
        boolean keepStore;

        @Option(names = "--gone", paramLabel = "NAME", description = "A member that is not on this machine.")
        @Nullable String gone;

        Leave(Host host) {
            super(host);
        }

        @Override
        int run() throws IOException, ControlException, InterruptedException {
            var target = Target.find(host, options, null);
            var store = target.store();
            if (gone != null) {
                try (var console = new Console(host)) {
                    target.client().call(Commands.LEAVE, new Commands.LeaveArguments(gone), console);
                }
                say("pod " + gone + " is no member any more");
                return ExitCode.OK;
            }
            var mount = mountOf(host, store);
            try (var console = new Console(host)) {
                target.client().call(Commands.LEAVE, new Commands.LeaveArguments(""), console);
                PodProcess.stop(store, target.name(), true, Duration.ofSeconds(20), console);
            }
            removeLocal(host, store, mount, keepStore);
            say("pod " + target.name() + " has left; its data is on the others");
            return ExitCode.OK;
        }
    }

    @Command(
            name = "destroy",
            description = {
                "Stop a pod of this machine and delete its store and files, without moving its data.",
                "What only this pod held is lost; wormhole leave moves it to other pods first."
            })
    static final class Destroy extends Action {
        @Mixin
        Target.Options options = new Target.Options();

        @Option(names = "--yes", description = "Do not ask.")
        boolean yes;

        Destroy(Host host) {
            super(host);
        }

        @Override
        int run() throws InterruptedException {
            var target = Target.find(host, options, null);
            var store = target.store();
            if (Files.exists(store) && !PodProcess.looksLikeStore(store)) {
                throw new CliException(
                        ExitCode.REFUSED, store + " does not look like the store of a pod; nothing was deleted", "");
            }
            if (!yes && !host.agrees("Delete pod " + target.name() + " and all data in " + store + "?")) {
                throw new CliException(
                        ExitCode.REFUSED,
                        "nothing was deleted",
                        "say --yes to delete " + store + " without being asked");
            }
            var mount = mountOf(host, store);
            try (var console = new Console(host)) {
                PodProcess.stop(store, target.name(), true, Duration.ofSeconds(10), console);
            }
            removeLocal(host, store, mount, false);
            say("pod " + target.name() + " is gone, " + store + " is deleted");
            return ExitCode.OK;
        }
    }

    private static List<Path> mountOf(Host host, Path store) {
        var points = new ArrayList<Path>();
        for (var mount : host.mounts().get().mounts()) {
            if (mount.store().filter(store::equals).isPresent()) points.add(mount.point());
        }
        return points;
    }

    /** The dead mount, the store and the registered file of a pod that is stopped. */
    private static void removeLocal(Host host, Path store, List<Path> mounts, boolean keepStore)
            throws InterruptedException {
        for (var point : mounts) {
            if (!PodProcess.unmount(host, point)) {
                throw new CliException(ExitCode.FAILED, "cannot unmount " + point, "umount -l " + point);
            }
        }
        if (!keepStore) PodProcess.delete(host, store);
        var registry = new Registry(host);
        for (var entry : registry.entries()) {
            try {
                var parsed = PodConfig.parse(entry.file().toString(), Files.readString(entry.file()), host.around());
                if (parsed instanceof Parsed.Good<PodConfig>(var config)
                        && config.pod().store().equals(store)) {
                    registry.remove(entry.file());
                }
            } catch (IOException e) {
                host.err().println(String.format(Locale.ROOT, "cannot read %s: %s", entry.file(), Registry.reason(e)));
            }
        }
    }
}
