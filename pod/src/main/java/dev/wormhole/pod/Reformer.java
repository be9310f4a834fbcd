// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.consensus.Applier;
import dev.wormhole.consensus.FormerLog;
import dev.wormhole.consensus.Position;
import dev.wormhole.consensus.RocksTable;
import dev.wormhole.content.DiskVolume;
import dev.wormhole.content.StoreHeader;
import dev.wormhole.control.StartIntent;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Namespace;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.namespace.Reforming;
import dev.wormhole.namespace.Table;
import dev.wormhole.seal.Secret;
import dev.wormhole.security.Authority;
import dev.wormhole.security.Credentials;
import dev.wormhole.security.JoinToken;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.Reformation;
import dev.wormhole.security.StoreKey;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.logging.Logger;

/**
 * How a stopped store goes over to the next generation: by beginning it ({@link #reform}), by following one that takes it
 * along ({@link #follow}), or by being invited ({@link #rejoin}). Each ends in a {@link Transition}, which is what happens at
 * once or not at all; before it the store is as it was.
 */
final class Reformer {
    /** Keys of a store that asks to be taken in again: the same at every attempt. */
    static final String REJOIN = "rejoin";

    private static final Logger LOG = Logger.getLogger(Reformer.class.getName());
    /** The lost majority may have let in fewer than that. */
    private static final int GRANTS_SKIPPED = 4096;

    private static final long CACHE_BYTES = 4L << 20;

    private final Path store;
    private final DiskVolume volume;
    private final StoreHeader header;
    private final Optional<Secret> key;
    private final Consumer<String> doing;

    /** @param key of an encrypted store */
    Reformer(Path store, DiskVolume volume, StoreHeader header, Optional<Secret> key, Consumer<String> doing) {
        this.store = store;
        this.volume = volume;
        this.header = header;
        this.key = key;
        this.doing = doing;
    }

    static UUID group(UUID network, long generation) {
        return new UUID(network.getMostSignificantBits(), network.getLeastSignificantBits() ^ generation);
    }

    private StoreHeader next(String name, long generation) {
        return new StoreHeader(
                name,
                header.networkId(),
                generation,
                header.incarnation(),
                header.storeToken(),
                header.startCount(),
                header.volume());
    }

    // ---- beginning a generation

    /** Begins the next generation from all that this store's log has, with this pod as its only voter. */
    StoreHeader reform(KeyFiles keys, StartIntent.Reform wanted) throws IOException {
        doing.accept("re-forming the network");
        var random = new SecureRandom();
        var generation = Reforming.after(header.generation(), random.nextInt());
        var transition = Transition.begin(store);
        var copy = transition.folder().resolve("copy");
        try (var old = RocksTable.open(store.resolve(Transition.TABLES), RocksTable.Memory.SMALL)) {
            old.checkpoint(copy);
        }
        try (var rocks = RocksTable.open(transition.folder().resolve(Transition.TABLES), RocksTable.Memory.SMALL)) {
            rocks.replaceWith(copy);
            Transition.removeTree(copy);
            var state = new Replayed(rocks, header.generation(), new LogSeal(keys.networkKey()));
            FormerLog.replay(store.resolve(Transition.LOG), group(header.networkId(), header.generation()), state);
            begin(keys, wanted, transition, generation, state, random.nextInt(GRANTS_SKIPPED));
            FormerLog.begin(
                    Files.createDirectories(transition.folder().resolve(Transition.LOG)),
                    group(header.networkId(), generation),
                    rocks);
        }
        transition.commit(header, next(header.networkName(), generation), false);
        LOG.warning("re-formed the network: generation " + Reforming.number(generation));
        return finished();
    }

    private void begin(
            KeyFiles keys,
            StartIntent.Reform wanted,
            Transition transition,
            long generation,
            Replayed state,
            int skipped)
            throws IOException {
        var own = keys.credentials().orElseThrow(() -> new IOException("the store has no certificate"));
        var authority = keys.authority();
        var view = state.namespace.view();
        var self = view.pod(header.incarnation());
        if (self == null) throw new IOException("this pod is no member of the network any more: it cannot re-form it");
        var dropped = dropped(view, wanted, authority.isEmpty());
        var stay = new ArrayList<Incarnation>();
        var left = new ArrayList<String>();
        for (PodRecord pod : view.pods()) {
            if (!dropped.contains(pod.incarnation())) stay.add(pod.incarnation());
            else left.addAll(pod.settings().addresses());
        }
        var now = InstantSource.system().instant();
        var word = Reformation.sign(
                header.networkId(),
                header.generation(),
                generation,
                self.settings().name(),
                state.position().index(),
                now.toEpochMilli(),
                stay,
                self.settings().addresses(),
                left,
                own,
                authority);
        new Reforming(
                        generation,
                        header.incarnation(),
                        dropped,
                        authority.isPresent(),
                        view.lastGranted() + GRANTS_SKIPPED + skipped,
                        word.encode(),
                        PodLog.nowNanos())
                .apply(state.rows);
        if (authority.isEmpty()) renewAuthority(keys, own, self.settings().name(), transition);
    }

    private Set<Incarnation> dropped(NamespaceView view, StartIntent.Reform wanted, boolean all) throws IOException {
        var unknown = new HashSet<>(wanted.without());
        var dropped = new HashSet<Incarnation>();
        for (PodRecord pod : view.pods()) {
            var named = unknown.remove(pod.settings().name());
            if (pod.incarnation().equals(header.incarnation())) {
                if (named) throw new IOException("a pod does not re-form its network without itself");
            } else if (named || all) dropped.add(pod.incarnation());
        }
        if (!unknown.isEmpty())
            throw new IOException("there is no pod named " + unknown.iterator().next());
        return dropped;
    }

    /** The old one's key is lost: this pod goes on with the same key of its own, certified by a new authority. */
    private void renewAuthority(KeyFiles keys, Credentials own, String name, Transition transition) throws IOException {
        var now = InstantSource.system().instant();
        var authority = Authority.create(header.networkId(), header.networkName(), now);
        copy(keys.directory(), transition.folder().resolve(Transition.KEYS));
        var made = AtRest.keys(new KeyFiles(transition.folder()), key);
        made.write(authority);
        made.writeTrusted(List.of(authority.certificate()));
        made.write(
                authority.issue(own.certificate().getPublicKey(), name, own.identity(), now), authority.certificate());
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectory(
                to,
                java.nio.file.attribute.PosixFilePermissions.asFileAttribute(
                        java.nio.file.attribute.PosixFilePermissions.fromString("rwx------")));
        try (var files = Files.newDirectoryStream(from)) {
            for (var file : files)
                if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS))
                    Files.copy(file, to.resolve(file.getFileName()), StandardCopyOption.COPY_ATTRIBUTES);
        }
    }

    // ---- following one

    /** Goes over with its place in the network; the state comes from the others. */
    StoreHeader follow(Superseded by) throws IOException {
        doing.accept("going over to generation " + Reforming.number(by.last().generation()) + ", which "
                + by.last().byName() + " began");
        var transition = empty();
        transition.commit(header, next(header.networkName(), by.last().generation()), true);
        return finished();
    }

    private Transition empty() throws IOException {
        var transition = Transition.begin(store);
        Files.createDirectory(transition.folder().resolve(Transition.TABLES));
        Files.createDirectory(transition.folder().resolve(Transition.LOG));
        return transition;
    }

    // ---- being invited into one

    /** What the store is now, and who is in the network. */
    record Rejoined(StoreHeader header, List<Joining.Welcome.Pod> pods) {}

    /** Asks to be let in as any machine is, as a new life of this store, and brings its slices along. */
    Rejoined rejoin(String address, Optional<JoinToken> token, PodSettings settings)
            throws IOException, InterruptedException {
        doing.accept("asking " + address + " to be admitted with this store");
        var folder = store.resolve(REJOIN);
        Files.createDirectories(folder);
        var keys = AtRest.keys(new KeyFiles(folder), key);
        var welcome = Joining.ask(keys, address, token, settings, key.isPresent(), doing);
        if (!welcome.networkId().equals(header.networkId()))
            throw new IOException("the pod at " + address + " is of another network, " + welcome.networkName()
                    + " (" + welcome.networkId() + "); the store is one of " + header.networkName() + " ("
                    + header.networkId() + ")");
        if (Reforming.number(welcome.generation()) < Reforming.number(header.generation()))
            throw new IOException("the pod at " + address + " is of generation "
                    + Reforming.number(welcome.generation()) + ", which this store has left behind");
        keys.write(welcome.certificate(), welcome.authority());
        keys.writeTrusted(welcome.counting());
        if (welcome.networkKey().isPresent())
            keys.writeNetworkKey(welcome.networkKey().get());
        StoreKey.copy(new KeyFiles(store), keys.directory());
        var transition = empty();
        copy(keys.directory(), transition.folder().resolve(Transition.KEYS));
        transition.commit(
                header,
                new StoreHeader(
                        welcome.networkName(),
                        welcome.networkId(),
                        welcome.generation(),
                        welcome.incarnation(),
                        Joining.storeToken(welcome.certificate().getPublicKey()),
                        0,
                        header.volume()),
                true);
        LOG.info("admitted again to network " + welcome.networkName() + " as " + welcome.incarnation());
        return new Rejoined(finished(), welcome.pods());
    }

    private StoreHeader finished() throws IOException {
        Transition.finish(store, volume);
        return StoreHeader.read(volume).orElseThrow(() -> new IOException("the store has lost its header"));
    }

    /** A copy of the state, to which the old log is applied without a pod around it. */
    private static final class Replayed implements Applier {
        final RocksTable rocks;
        final PodLog.PositionedTable table;
        final LogSeal seal;
        final Table rows;
        final Namespace namespace;

        Replayed(RocksTable rocks, long generation, LogSeal seal) {
            this.rocks = rocks;
            this.table = new PodLog.PositionedTable(rocks);
            this.seal = seal;
            this.rows = seal.table(table);
            this.namespace = new Namespace(rows, generation, CACHE_BYTES);
        }

        @Override
        public void apply(long term, long index, byte[] entry) {
            table.at(term, index);
            var _ = namespace.apply(index, seal.open(index, entry));
            table.passed(term, index);
        }

        @Override
        public void applyEmpty(long term, long index) {
            rocks.advance(term, index);
            namespace.applyEmpty(index);
        }

        @Override
        public Position position() {
            return rocks.position();
        }

        @Override
        public void takeSnapshot(Path directory) throws IOException {
            rocks.checkpoint(directory);
        }

        @Override
        public void installSnapshot(Path directory) throws IOException {
            rocks.replaceWith(directory);
            namespace.reload();
        }

        @Override
        public void leaderChanged(Optional<Incarnation> leader) {
            // Nobody leads.
        }

        @Override
        public void bug(Throwable cause) {
            throw new IllegalStateException(cause);
        }
    }
}
