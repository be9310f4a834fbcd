// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.HostPort;
import dev.wormhole.config.NetworkConfig;
import dev.wormhole.config.PodConfig;
import dev.wormhole.config.Surroundings;
import dev.wormhole.consensus.Member;
import dev.wormhole.consensus.RaftLog;
import dev.wormhole.consensus.RocksTable;
import dev.wormhole.consensus.Settings;
import dev.wormhole.content.ContentStore;
import dev.wormhole.content.DiskVolume;
import dev.wormhole.content.IdSource;
import dev.wormhole.content.SliceStore;
import dev.wormhole.content.StoreHeader;
import dev.wormhole.content.StoreLock;
import dev.wormhole.control.ControlServer;
import dev.wormhole.control.DaemonStart;
import dev.wormhole.control.StartIntent;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.mount.linux.LinuxMount;
import dev.wormhole.namespace.Change;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.namespace.Reforming;
import dev.wormhole.seal.Secret;
import dev.wormhole.security.Authority;
import dev.wormhole.security.JoinToken;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.PodIdentity;
import dev.wormhole.security.Reformation;
import dev.wormhole.transfer.Identity;
import dev.wormhole.transfer.PeerRefused;
import dev.wormhole.transfer.Peers;
import dev.wormhole.transfer.RemoteReader;
import dev.wormhole.transfer.Server;
import dev.wormhole.transfer.SliceProvider;
import dev.wormhole.transfer.SliceReceiver;
import dev.wormhole.transfer.SliceSender;
import dev.wormhole.vfs.FileSystemSettings;
import dev.wormhole.vfs.ValidityPolicy;
import dev.wormhole.vfs.WormholeFileSystem;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * One pod of one network: all its parts, opened in the order in which they need each other and closed the other way round.
 *
 * <p>A start: the store is locked and says which incarnation it is (or the pod founds or joins its network first); tables,
 * slices and log are opened; the session of this start is opened through the log; what the others committed is caught up
 * with; then the folder appears. {@link #stop} takes the folder away first and hands leadership over.
 */
final class Pod {
    private static final Logger LOG = Logger.getLogger(Pod.class.getName());
    /** Damaged slices that wait to be given up; what finds no place is met again by the next read. */
    private static final int DAMAGED_MAX = 10_000;

    /** How a pod ends that is to be opened again at once. */
    static final int RESTART = -1;

    private static final Duration UNMOUNT_GRACE = Duration.ofSeconds(2);
    private static final Duration FIRST_START_MAX = Duration.ofMinutes(2);
    private static final Duration PROMPT_LEAVE_MAX = Duration.ofSeconds(1);
    /** Longer than any election takes. */
    private static final Duration ELECTION_MAX = Duration.ofSeconds(3);

    private final PodConfig config;
    private final Path store;
    private final long startedNanos = System.nanoTime();
    private final Deque<AutoCloseable> closers = new ArrayDeque<>();
    private final CompletableFuture<Integer> end = new CompletableFuture<>();
    private final AtomicBoolean stopping = new AtomicBoolean();
    private final AtomicReference<String> ended = new AtomicReference<>("");
    private volatile PodState.Stage stage = PodState.Stage.STARTING;
    private volatile String doing = "starting";
    private final AtomicReference<String> lastRefusal = new AtomicReference<>("");
    private volatile boolean frozen;
    /** The network goes on in a later generation: this pod is about to end. */
    private volatile boolean past;

    private final CompletableFuture<Void> ready = new CompletableFuture<>();
    private volatile @Nullable Parts parts;

    /** What exists once the pod is a member and its log runs. */
    record Parts(
            StoreHeader header,
            Secure secure,
            JoinRequests requests,
            AuthorityKey authorityKey,
            Renewal renewal,
            PodLog log,
            ClusterView cluster,
            NetworkSettings settings,
            ContentStore slices,
            PodReplication replication,
            Repairer repairer,
            Steward steward,
            Peers peers,
            WormholeFileSystem files) {}

    private Pod(PodConfig config) {
        this.config = config;
        this.store = config.pod().store();
    }

    /**
     * Returns once the folder can be used, or when the pod has learnt on the way that it is to be opened again. On failure
     * nothing is left open.
     */
    static Pod open(PodConfig config, DaemonStart start) throws IOException, InterruptedException {
        var pod = new Pod(config);
        try {
            pod.start(start);
            return pod;
        } catch (IOException | RuntimeException | InterruptedException failure) {
            // Whoever stops it closes what is open; what was opened behind that is closed here.
            boolean stopped = pod.past || pod.stopping.get();
            int code = stopped ? pod.awaitEnd() : 0;
            pod.closeAll();
            if (code == RESTART) return pod;
            if (stopped && failure instanceof IOException) throw new IOException(pod.ended(), failure);
            throw failure;
        }
    }

    private void start(DaemonStart start) throws IOException, InterruptedException {
        closeLater(StoreLock.acquire(store));
        closeLater(ControlServer.start(store, new ControlCommands(this).handlers()));
        var volume = new DiskVolume(store);
        var intent = start.intent();
        Transition.finish(store, volume);
        var header = StoreHeader.read(volume);
        if (header.isEmpty() && intent.isEmpty())
            throw new IOException("the store " + store + " belongs to no network; make one with: wormhole create, or"
                    + " join one with: wormhole join");
        var plainKeys = new KeyFiles(store);
        var key = AtRest.open(config.storage(), plainKeys, header.isPresent(), start);
        var keys = AtRest.keys(plainKeys, key);
        String founded = null;
        List<Joining.Welcome.Pod> met = List.of();
        var addresses = addresses();
        if (addresses.isEmpty())
            throw new IOException("this machine has no address that others could reach; name one with advertise");
        PodSettings settings = settings(addresses);
        checkPorts();
        if (header.isEmpty()) {
            switch (intent.orElseThrow()) {
                case StartIntent.Create(var network, var toml) -> {
                    founded = toml;
                    var made = new StoreHeader(
                            network, UUID.randomUUID(), 1, new Incarnation(1), new SecureRandom().nextLong(), 0, 0);
                    makeAuthority(keys, made);
                    if (key.isPresent()) keys.writeNetworkKey(Secret.make(new SecureRandom()));
                    IdSource.create(volume, made.incarnation());
                    made.write(volume);
                    header = Optional.of(made);
                }
                case StartIntent.Join(var address, var token) -> {
                    doing("asking " + address + " to be admitted");
                    var welcome = Joining.ask(
                            keys,
                            HostPort.parse(address).toString(),
                            token(token),
                            settings,
                            key.isPresent(),
                            this::doing);
                    if (welcome.networkKey().isPresent())
                        keys.writeNetworkKey(welcome.networkKey().get());
                    keys.write(welcome.certificate(), welcome.authority());
                    keys.writeTrusted(welcome.counting());
                    var made = new StoreHeader(
                            welcome.networkName(),
                            welcome.networkId(),
                            welcome.generation(),
                            welcome.incarnation(),
                            Joining.storeToken(welcome.certificate().getPublicKey()),
                            0,
                            0);
                    IdSource.create(volume, made.incarnation());
                    made.write(volume);
                    header = Optional.of(made);
                    met = welcome.pods();
                    LOG.info("admitted to network " + welcome.networkName() + " as " + welcome.incarnation());
                }
                case StartIntent.Reform _, StartIntent.Rejoin _ ->
                    throw new IOException("the store " + store + " belongs to no network that could go on");
            }
        } else if (intent.orElse(null) instanceof StartIntent.Create(var _, var toml)) {
            founded = toml; // founding was interrupted: it goes on, the log tells what is done
        } else {
            var moved = changeGeneration(
                    new Reformer(store, volume, header.get(), key, this::doing), keys, header.get(), start);
            if (moved.isPresent()) {
                header = Optional.of(moved.get().header());
                met = moved.get().pods();
            }
        }
        var secure = Secure.open(keys, header.get());
        var known = header.get().started();
        known.write(volume);
        run(known, volume, secure, key, settings, founded, met);
        start.intentDone();
        var heap = new IdleHeap();
        closeLater(heap);
        heap.start();
        stage = PodState.Stage.READY;
        doing("ready");
        ready.complete(null);
    }

    /** Into the next generation, where this pod was told to go there or may; empty where it stays in its own. */
    private Optional<Reformer.Rejoined> changeGeneration(
            Reformer reformer, KeyFiles keys, StoreHeader header, DaemonStart start)
            throws IOException, InterruptedException {
        switch (start.intent().orElse(null)) {
            case StartIntent.Reform reform -> {
                return Optional.of(once(start, () -> new Reformer.Rejoined(reformer.reform(keys, reform), List.of())));
            }
            case StartIntent.Rejoin(var address, var token) -> {
                return Optional.of(once(
                        start,
                        () -> reformer.rejoin(
                                HostPort.parse(address).toString(), token(token), settings(addresses()))));
            }
            case null, default -> {}
        }
        var superseded =
                Superseded.read(store, header, Secure.open(keys, header).trusted());
        if (superseded.isEmpty()) return Optional.empty();
        if (!superseded.get().takesAlong())
            throw new IOException(superseded.get().advice(store));
        return Optional.of(new Reformer.Rejoined(reformer.follow(superseded.get()), List.of()));
    }

    private interface Transit {
        Reformer.Rejoined run() throws IOException, InterruptedException;
    }

    /** What was refused is not tried again at the next start: the store is what it was, and starts as that. */
    private static Reformer.Rejoined once(DaemonStart start, Transit change) throws IOException, InterruptedException {
        try {
            return change.run();
        } catch (IOException refused) {
            start.intentDone();
            throw refused;
        }
    }

    private void run(
            StoreHeader header,
            DiskVolume volume,
            Secure secure,
            Optional<Secret> key,
            PodSettings settings,
            @Nullable String founded,
            List<Joining.Welcome.Pod> met)
            throws IOException, InterruptedException {
        Incarnation self = header.incarnation();
        doing("opening the store");
        IdSource ids = IdSource.open(volume, self);
        var maintenance = Executors.newSingleThreadExecutor(
                Thread.ofPlatform().name("store-maintenance").daemon().factory());
        closeLater(maintenance::shutdownNow);
        // Told from the first moment, also before anybody is there to mend them.
        var damaged = new ArrayBlockingQueue<SliceId>(DAMAGED_MAX);
        var slices = SliceStore.open(
                volume,
                SliceStore.Config.of(
                        Math.min(config.storage().limitBytes(), volume.totalBytes()),
                        config.storage().keepFree().bytes(volume.totalBytes())),
                damaged::offer,
                maintenance,
                new SecureRandom(),
                key);
        closeLater(slices);
        var table = RocksTable.open(store.resolve("tables"), RocksTable.Memory.SMALL);
        closeLater(table);

        var transport = secure.transport();
        var identity = new Identity(header.networkId(), header.generation(), self);
        var cluster = new ClusterView(self);
        var applied = new java.util.concurrent.atomic.AtomicReference<@Nullable PodLog>();
        java.util.function.LongSupplier appliedIndex = () -> {
            var log = applied.get();
            return log == null ? 0 : Math.max(0, log.applied());
        };
        var peers = new Peers(transport, () -> identity, appliedIndex, Peers.Limits.DEFAULT);
        closeLater(peers);
        var server = new Server(transport, () -> identity, appliedIndex, Server.Limits.DEFAULT);
        closeLater(server);
        server.onPeer(peers::heard);
        var log = new PodLog(
                self,
                header.startCount(),
                header.generation(),
                table,
                new LogSeal(secure.files().networkKey()),
                peers,
                cluster,
                config.disconnected().after(),
                this::fail);
        applied.set(log);
        var watch = new GenerationWatch(header, log, cluster, secure::trusted, this::superseded);
        closeLater(watch);
        peers.onRefused(refused -> {
            if (refused.code() == PeerRefused.WRONG_GENERATION) watch.look();
            refusedByOthers(refused);
        });
        var network = new NetworkSettings(log::view);
        network.refresh();
        var sender = new SliceSender(peers, slices);
        var reader = new RemoteReader(peers, RemoteReader.Limits.DEFAULT);
        var repair = new java.util.concurrent.atomic.AtomicReference<@Nullable Repairer>();
        var replication = new PodReplication(self, cluster, network, peers, sender, reader, () -> {
            var repairer = repair.get();
            if (repairer != null) repairer.lookAgain();
        });
        var custodian = new Custodian(self, log, slices, FormerSlices.open(store, slices), damaged);
        var received = new ReceivingStore(slices, custodian::received);
        new SliceReceiver(server, peers, () -> identity, received, sender, SliceReceiver.Limits.DEFAULT);
        new SliceProvider(server, slices);
        PodReplication.serve(server, slices);

        var files = new WormholeFileSystem(
                log,
                slices,
                replication,
                () -> next(ids),
                self,
                InstantSource.system(),
                System::nanoTime,
                fileSystemSettings(log, network));
        var repairer = new Repairer(self, log, cluster, replication, slices);
        repair.set(repairer);
        var steward = new Steward(
                self,
                log,
                peers,
                cluster,
                () -> state(self, log, slices),
                network::get,
                files::acknowledgeableIndex,
                this::lostNetwork);
        var authorityKey = new AuthorityKey(self, secure, log, peers);
        closeLater(authorityKey);
        authorityKey.serve(server);
        var requests = new JoinRequests(new Approvals(System::nanoTime), log, peers);
        requests.serve(server);
        var whereabouts = new Whereabouts(
                self,
                header.startCount(),
                this::addresses,
                peers,
                log::learn,
                log::reconnect,
                () -> log.propose(new Command.UpdatePod(self, settings(addresses()))));
        closeLater(whereabouts);
        whereabouts.serve(server);
        var recertifying = new Recertifying(
                header.networkId(),
                log,
                peers,
                network,
                requests.approvals(),
                authorityKey,
                secure,
                InstantSource.system());
        recertifying.serve(server);
        var renewal = new Renewal(
                self,
                settings.name(),
                secure,
                log,
                network,
                authorityKey,
                recertifying,
                InstantSource.system(),
                this::doing);
        parts = new Parts(
                header,
                secure,
                requests,
                authorityKey,
                renewal,
                log,
                cluster,
                network,
                slices,
                replication,
                repairer,
                steward,
                peers,
                files);

        for (var pod : met) peers.learn(pod.incarnation(), pod.addresses());
        learn(log, peers, server, cluster, secure, whereabouts);
        files.tell(log.visibility()::told);
        log.listen((index, changes, own) -> {
            for (Change change : changes) {
                if (change instanceof Change.Configured || change instanceof Change.Replaced) network.refresh();
                if (change instanceof Change.PodsChanged || change instanceof Change.Replaced)
                    learn(log, peers, server, cluster, secure, whereabouts);
                if (change instanceof Change.PodsChanged || change instanceof Change.Replaced) authorityKey.look();
                if (change instanceof Change.PodsChanged
                        || change instanceof Change.Configured
                        || change instanceof Change.Replaced) renewal.look();
            }
            files.changed(index, changes, own);
            custodian.changed(changes);
            repairer.changed(changes);
        });

        doing("opening the log");
        var listen = config.pod().listen();
        var logListen = new InetSocketAddress(listen.host(), listen.port() + 1);
        // In an empty directory; of a network that was re-formed, who did that has a log by then.
        boolean founder = self.number() == 1 && header.generation() == Reforming.FIRST_GENERATION;
        var raft = RaftLog.open(
                Settings.of(
                                store.resolve("log-raft"),
                                group(header),
                                new Member(
                                        self,
                                        Steward.logAddress(settings.addresses().getFirst())),
                                logListen,
                                founder || begins(log, header) ? Settings.Start.FOUND : Settings.Start.JOIN)
                        .with(secure.logTls()),
                log);
        closeLater(raft);
        closeLater(log);
        log.start(raft, server);
        steward.start(server);
        closeLater(steward);
        Joining.serve(
                server,
                log,
                peers,
                network,
                requests.approvals(),
                authorityKey,
                header.networkName(),
                header.networkId(),
                header.generation());
        StatusReport.serve(server, this);
        watch.start(server);
        server.start(listen.toString());
        whereabouts.start(
                config.pod().discovery() && config.pod().isOnANetwork()
                        ? Discovery.open(self, header.networkId(), listen.port(), whereabouts::hint)
                                .orElse(null)
                        : null);

        closeLater(repairer);
        closeLater(custodian);
        closeLater(renewal);
        renewal.start();
        boolean first = header.startCount() == 1 || log.applied() <= 0 && !founder;
        connect(first, () -> {
            if (founder && founded != null) {
                doing("founding the network");
                log.sendWithoutSession(
                        new Command.AdmitPod(header.storeToken(), settings),
                        () -> log.view().pod(self) != null,
                        "to found the network");
            }
            doing("looking for the network");
            log.openSession(dev.wormhole.model.Ids.counter(ids.settledBefore()));
            if (founded != null && log.view().configuration().version() == 0) {
                await(log.propose(ownRoot()), "to give the folder its owner");
                await(log.propose(new Command.SetAdministrator(self, true)), "to make this pod an administrator's");
                await(log.propose(new Command.Configure(0, founded)), "to record the configuration");
            }
            doing("catching up");
            log.barrier();
            log.armDisconnection();
            tellSettings(log, self, settings);
            repairer.start();
            custodian.start();
            authorityKey.look();
            renewal.connected();
        });
        closeLater(this::handOver);
        closeLater(files);
        if (config.pod().mount().isPresent()) {
            closeLater(() -> leavePromptSet(log, steward));
            watch.askAll();
            if (past) throw new IOException("the network goes on in another generation");
            Path mountPoint = config.pod().mount().get();
            doing("mounting " + mountPoint);
            var mount = LinuxMount.mount(
                    MountOwners.over(files, config.mount()),
                    new LinuxMount.Options(
                            mountPoint,
                            "wormhole:" + store,
                            bug -> LOG.log(Level.SEVERE, "a bug met while serving the mount", bug)));
            closeLater(() -> {
                mount.unmount(UNMOUNT_GRACE);
                mount.close();
            });
            log.visibility().opened();
        }
    }

    /** Whether this pod is the one that began the generation: its log has no other voter yet. */
    private static boolean begins(PodLog log, StoreHeader header) throws IOException {
        var reformings = log.view().reformings();
        return !reformings.isEmpty()
                && Reformation.decode(reformings.getLast()).generation() == header.generation()
                && Reformation.decode(reformings.getLast()).by().equals(header.incarnation());
    }

    /** The keys are durable before the header says that this is a pod. */
    private void makeAuthority(KeyFiles keys, StoreHeader founder) throws IOException {
        doing("making the network's authority");
        var now = InstantSource.system().instant();
        var authority = Authority.create(founder.networkId(), founder.networkName(), now);
        var identity = new PodIdentity(founder.networkId(), founder.incarnation(), PodIdentity.Role.MEMBER);
        keys.write(authority);
        keys.write(
                authority.issue(keys.ownKeys().getPublic(), config.pod().name(), identity, now),
                authority.certificate());
    }

    private static Optional<JoinToken> token(String text) throws IOException {
        try {
            return text.isEmpty() ? Optional.empty() : Optional.of(JoinToken.parse(text));
        } catch (IllegalArgumentException e) {
            throw new IOException("what was given as the invitation " + e.getMessage(), e);
        }
    }

    /** The folder is gone: others need not wait for this pod until it is late. */
    private static void leavePromptSet(PodLog log, Steward steward) throws InterruptedException {
        var left = log.visibility().closed();
        steward.wake();
        try {
            left.get(PROMPT_LEAVE_MAX.toMillis(), TimeUnit.MILLISECONDS);
        } catch (java.util.concurrent.TimeoutException late) {
            LOG.info("leaving without a word from the leader");
        } catch (ExecutionException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** The tree belongs to the user who founds the network: nobody else could make the first file. */
    private static Command ownRoot() throws IOException {
        var self = Path.of("/proc/self");
        int uid = (Integer) java.nio.file.Files.getAttribute(self, "unix:uid");
        int gid = (Integer) java.nio.file.Files.getAttribute(self, "unix:gid");
        return new Command.SetAttributes(InodeId.ROOT, null, uid, gid, null, null, null, false);
    }

    private interface Connecting {
        void run() throws IOException, InterruptedException;
    }

    /**
     * Finds the network and catches up. A pod that has been a member before does not wait for it longer than its file says:
     * it goes on without, as its file says for a lost network, and connects when the network is there. A pod's first start
     * waits.
     */
    private void connect(boolean first, Connecting steps) throws IOException, InterruptedException {
        var connected = new CompletableFuture<Void>();
        var thread = Thread.ofPlatform().name("connect").daemon().start(() -> {
            try {
                steps.run();
                connected.complete(null);
                if (frozen) doing("ready");
            } catch (IOException | RuntimeException failure) {
                if (!connected.completeExceptionally(failure) || stopping.get()) return;
                if (frozen) fail(String.valueOf(failure.getMessage()));
            } catch (InterruptedException stop) {
                connected.completeExceptionally(new IOException("the pod is stopping"));
            }
        });
        closeLater(thread::interrupt);
        var patience = first ? FIRST_START_MAX : config.disconnected().after().plus(ELECTION_MAX);
        try {
            connected.get(patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (ExecutionException failure) {
            throw new IOException(Causes.message(failure), failure);
        } catch (java.util.concurrent.TimeoutException late) {
            var known = parts;
            if (first || known == null)
                throw new IOException("no leader of the network was heard for " + patience.toSeconds()
                        + " s; a majority of its voters must run and be reachable");
            frozen = true;
            known.log().freeze();
            LOG.warning("no leader is heard: " + withoutNetwork());
        }
    }

    /** A file changed what this pod tells of itself: the log hears of it. */
    private static void tellSettings(PodLog log, Incarnation self, PodSettings settings)
            throws IOException, InterruptedException {
        PodRecord own = log.view().pod(self);
        if (own == null) throw new IOException("this pod is no member of the network any more");
        if (!own.settings().equals(settings))
            await(log.propose(new Command.UpdatePod(self, settings)), "to tell the network what changed in pod.toml");
    }

    private FileSystemSettings fileSystemSettings(PodLog log, NetworkSettings network) {
        var defaults =
                FileSystemSettings.defaults(ValidityPolicy.shared(log, log.visibility()::freshNanos, System::nanoTime));
        return new FileSystemSettings(
                () -> network.get().durability().fsync() == NetworkConfig.Fsync.LOCAL
                        ? FileSystemSettings.Fsync.LOCAL
                        : FileSystemSettings.Fsync.REPLICATED,
                config.disconnected().reaction() == PodConfig.Reaction.STOP
                        ? FileSystemSettings.OnDisconnect.STOP
                        : FileSystemSettings.OnDisconnect.FREEZE,
                defaults.validity(),
                defaults.commitAfter(),
                defaults.commitBytes(),
                defaults.stagedBytesMax(),
                defaults.closeWait(),
                defaults.syncDeadline(),
                defaults.shutdownDeadline());
    }

    private static void learn(
            PodLog log, Peers peers, Server server, ClusterView cluster, Secure secure, Whereabouts whereabouts) {
        secure.follow(log.view().authorities());
        for (var removed : secure.admission().refresh(log.view())) {
            server.drop(removed);
            peers.forget(removed);
        }
        var pods = log.view().pods();
        cluster.members(pods);
        whereabouts.recorded(pods);
    }

    private static UUID group(StoreHeader header) {
        return Reformer.group(header.networkId(), header.generation());
    }

    private static long next(IdSource ids) {
        try {
            return ids.next();
        } catch (IOException failure) {
            throw new java.io.UncheckedIOException("no ids can be reserved on disk", failure);
        }
    }

    static void await(CompletableFuture<?> future, String purpose) throws IOException, InterruptedException {
        try {
            future.get(60, TimeUnit.SECONDS);
        } catch (ExecutionException failure) {
            throw new IOException(
                    "could not " + purpose.replaceFirst("^to ", "") + ": " + Causes.message(failure), failure);
        } catch (java.util.concurrent.TimeoutException late) {
            throw new IOException("could not " + purpose.replaceFirst("^to ", "") + " within 60 s");
        }
    }

    /** Before anybody is told of this pod: its two ports must be free, or it would be a member that cannot be reached. */
    private void checkPorts() throws IOException {
        var listen = config.pod().listen();
        if (listen.port() == 0 || listen.port() == 65535)
            throw new IOException(
                    "key pod.listen = \"" + listen + "\": name a port from 1 to 65534; the log takes the one above it");
        for (int port : new int[] {listen.port(), listen.port() + 1}) {
            try (var probe = new java.net.ServerSocket()) {
                probe.setReuseAddress(true);
                probe.bind(new InetSocketAddress(listen.host(), port));
            } catch (IOException taken) {
                throw new IOException("cannot listen at " + listen.host() + ":" + port + ": " + taken.getMessage()
                        + "; a pod needs its port and the one above it, choose others with --listen");
            }
        }
    }

    /** Where others reach this pod, at this moment. */
    private List<String> addresses() {
        return config.reachableAt(Surroundings.here(), config.pod().listen().port());
    }

    private PodSettings settings(List<String> addresses) {
        return new PodSettings(
                config.pod().name(),
                config.pod().role() == PodConfig.Role.WITNESS ? PodSettings.Role.WITNESS : PodSettings.Role.STORAGE,
                config.pod().presence() == PodConfig.Presence.INTERMITTENT,
                config.pod().zone(),
                addresses,
                config.storage().limitBytes());
    }

    // ---- what it is doing

    PodConfig config() {
        return config;
    }

    String doing() {
        return doing;
    }

    /** Completes when the folder can be used; exceptionally when that will not be. */
    CompletableFuture<Void> ready() {
        return ready;
    }

    /** Null until the pod is a member and its log runs. */
    @Nullable Parts parts() {
        return parts;
    }

    /** Each reason is told once: the others go on refusing. */
    private void refusedByOthers(PeerRefused refused) {
        var reason = String.valueOf(refused.getMessage());
        if (!reason.equals(lastRefusal.getAndSet(reason)))
            LOG.warning("a connection with another pod was refused: " + reason);
    }

    private void doing(String what) {
        if (what.equals(doing)) return;
        doing = what;
        LOG.info(what);
    }

    void leaving(boolean leaving) {
        stage = leaving ? PodState.Stage.LEAVING : PodState.Stage.READY;
    }

    PodState state(Incarnation self, PodLog log, ContentStore slices) {
        var usage = slices.usage();
        var now = stage;
        if (now == PodState.Stage.READY && log.disconnected()) now = PodState.Stage.FROZEN;
        String fault = usage.fault();
        return new PodState(
                self,
                log.visibility().told(),
                usage.usedBytes(),
                usage.limitBytes(),
                usage.freeBytes(),
                ProcessHandle.current().pid(),
                store.toString(),
                config.pod().mount().map(Path::toString).orElse(""),
                now,
                residentBytes(),
                TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startedNanos),
                fault == null ? "" : fault);
    }

    private long residentBytes;
    private long residentAtNanos;

    /** Resident memory of this process, looked up every 5 s at most. */
    private synchronized long residentBytes() {
        long now = System.nanoTime();
        if (residentAtNanos != 0 && now - residentAtNanos < 5_000_000_000L) return residentBytes;
        residentAtNanos = now;
        try {
            String[] fields =
                    java.nio.file.Files.readString(Path.of("/proc/self/statm")).split(" ");
            residentBytes = Long.parseLong(fields[1]) * 4096;
        } catch (IOException | RuntimeException unknown) {
            residentBytes = 0;
        }
        return residentBytes;
    }

    // ---- the end

    private void lostNetwork() {
        LOG.warning("the network is lost: " + withoutNetwork());
        var known = parts;
        if (known != null) known.files().networkLost();
    }

    /** What the folder does while there is no network, as pod.toml says. */
    String withoutNetwork() {
        return config.disconnected().reaction() == PodConfig.Reaction.STOP
                ? "its folder answers \"Input/output error\" until a leader is heard"
                : "its folder is read-only until a leader is heard";
    }

    /** The pod cannot go on: it stops, its data stays. */
    private void fail(String reason) {
        Thread.ofPlatform().name("stop").start(() -> {
            LOG.severe(reason);
            stop(reason, 1);
        });
    }

    /** The network goes on without this pod, or in a generation that takes it along: what it serves is the past. */
    private void superseded(Superseded by) {
        past = true;
        Thread.ofPlatform().name("superseded").start(() -> {
            try {
                by.write(store);
            } catch (IOException failure) {
                fail(by.advice(store) + " (which cannot be written down: " + failure.getMessage() + ")");
                return;
            }
            if (by.takesAlong())
                restart("the network goes on in generation "
                        + Reforming.number(by.last().generation()) + ", which "
                        + by.last().byName() + " began, with this pod");
            else fail(by.advice(store));
        });
    }

    /** Ends, to be opened anew by the same process. */
    void restart(String reason) {
        Thread.ofPlatform().name("restart").start(() -> {
            stop(reason, RESTART);
        });
    }

    int awaitEnd() throws InterruptedException {
        try {
            return end.get();
        } catch (ExecutionException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** Why the pod ended, empty while it goes on. */
    String ended() {
        return ended.get();
    }

    /** Ends the pod in good order; the second call does nothing. */
    void stop(String reason) {
        stop(reason, 0);
    }

    private void stop(String reason, int code) {
        if (!stopping.compareAndSet(false, true)) return;
        ended.set(reason);
        LOG.info("stopping: " + reason);
        ready.completeExceptionally(new IOException("the pod is stopping: " + reason));
        closeAll();
        end.complete(code);
    }

    /** Leadership goes to another pod that is present, so that nobody waits for an election. */
    void handOver() {
        var known = parts;
        if (known == null || !known.log().leads()) return;
        for (var voter : known.log().raft().status().voters()) {
            var pod = voter.incarnation();
            var member = known.cluster().members().get(pod);
            if (pod.equals(known.header().incarnation()) || member == null || !member.isLive()) continue;
            try {
                known.log().raft().transferLeadership(pod).get(3, TimeUnit.SECONDS);
                return;
            } catch (ExecutionException | java.util.concurrent.TimeoutException failure) {
                LOG.log(Level.INFO, "leadership was not handed to {0}: {1}", new Object[] {pod, failure.getMessage()});
            } catch (InterruptedException interrupt) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }

    private void closeLater(AutoCloseable closer) {
        synchronized (closers) {
            closers.push(closer);
        }
    }

    private void closeAll() {
        while (true) {
            AutoCloseable next;
            synchronized (closers) {
                next = closers.poll();
            }
            if (next == null) return;
            try {
                next.close();
            } catch (Exception failure) {
                LOG.log(Level.WARNING, "closing: " + failure.getMessage(), failure);
            }
        }
    }
}
