// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * {@code pod.toml}: what one machine brings to a network. Immutable. Keys whose feature does not exist yet hold their only
 * possible value; a file that asks for more is refused while it is read.
 */
public record PodConfig(
        Pod pod,
        Storage storage,
        Cache cache,
        List<PathPattern> keep,
        Affinity affinity,
        Disconnected disconnected,
        Mount mount,
        Limits limits) {
    /** The highest is the kernel's word for none. */
    private static final int ID_MAX = Integer.MAX_VALUE - 1;

    public PodConfig {
        keep = List.copyOf(keep);
    }

    /**
     * @param name unique in the network, 1-63 of [a-z0-9-]; by default the machine's host name
     * @param network absent while a pod that joins does not know it yet; then the store knows
     * @param presence by default intermittent on a machine with a battery
     * @param zone empty when none is declared
     * @param mount absolute; absent for a pod without a mount
     * @param listen where other pods connect to
     * @param advertise where other pods find this one; empty for the addresses of the machine
     * @param discovery looks for the network's pods on the local network, and is found by them
     * @param store absolute; metadata and slices
     */
    public record Pod(
            String name,
            Optional<String> network,
            Role role,
            Presence presence,
            String zone,
            Optional<Path> mount,
            HostPort listen,
            List<HostPort> advertise,
            boolean discovery,
            Path store) {
        public Pod {
            advertise = List.copyOf(advertise);
        }

        /** Whether pods of other machines reach it at all. */
        public boolean isOnANetwork() {
            return !listen.host().startsWith("127.")
                    && !listen.host().equals("::1")
                    && !listen.host().equals("localhost");
        }
    }

    /**
     * @param limitBytes most bytes of slices; {@link Long#MAX_VALUE} where only keep_free limits them, 0 for a witness
     * @param keepFree of the disk of the store
     * @param disk, volumes not available yet: empty
     * @param encrypt nothing in the store can be read without its key; decided when the store is made
     * @param keyFile opens the key, where no passphrase does; by default in the store's folder of keys
     */
    public record Storage(
            long limitBytes,
            KeepFree keepFree,
            Optional<Disk> disk,
            List<Volume> volumes,
            boolean encrypt,
            Optional<Path> keyFile) {
        public Storage {
            volumes = List.copyOf(volumes);
        }
    }

    /** Not available yet. */
    public record Volume(Path path, Optional<Disk> disk, Optional<Size> limit, VolumeState state) {}

    /** Not available yet: nothing is cached beside the kernel's page cache, writes are staged locally. */
    public record Cache(Size limit, Reads reads, Optional<CopyWhen> copyWhen, Writes writes) {}

    /** Not available yet: all neutral. */
    public record Affinity(Preference replicas, Preference newFiles, Preference hotFiles, Preference coldFiles) {}

    /**
     * @param reaction freeze or stop so far
     * @param after without a leader for so long; 1 s to 1 h
     */
    public record Disconnected(Reaction reaction, Duration after) {}

    /**
     * Whose the files of the folder are on this machine.
     *
     * @param user with {@code ME}: whose they are; absent for the user who runs the pod
     * @param uid with {@code ME}: whose the new files are in the network; absent for the same number, nobody's if that is root's
     * @param root whether somebody of this machine may be root in the network
     * @param users with {@code NAMES}: the network's number of each user of this machine that has one
     */
    public record Mount(
            Owner owner,
            Optional<String> user,
            Optional<Integer> uid,
            Optional<Integer> gid,
            boolean root,
            Map<String, Integer> users,
            Map<String, Integer> groups) {
        public static final Mount SAME =
                new Mount(Owner.SAME, Optional.empty(), Optional.empty(), Optional.empty(), false, Map.of(), Map.of());

        public Mount {
            users = Map.copyOf(users);
            groups = Map.copyOf(groups);
        }
    }

    public enum Owner {
        SAME,
        ME,
        NAMES
    }

    /** Not available yet: unlimited. */
    public record Limits(Rate.Schedule upload) {}

    public enum Role {
        STORAGE,
        CLIENT,
        WITNESS
    }

    public enum Presence {
        ALWAYS,
        INTERMITTENT
    }

    public enum Disk {
        SSD,
        HDD
    }

    public enum VolumeState {
        ACTIVE,
        DRAIN
    }

    public enum Reads {
        STREAM,
        COPY,
        BY_RULE
    }

    public enum Writes {
        LOCAL,
        STREAM
    }

    public enum Preference {
        PREFER,
        NEUTRAL,
        AVOID
    }

    public enum Reaction {
        FREEZE,
        CONTINUE,
        STOP
    }

    // -- reading ---------------------------------------------------------------------------------------------------

    /** Reads a file with the defaults of this machine; its errors name the file as given here. */
    public static Parsed<PodConfig> load(Path file) throws IOException {
        return parse(file.toString(), Files.readString(file), Surroundings.here());
    }

    /** @param file only for messages */
    public static Parsed<PodConfig> parse(String file, String text, Surroundings around) {
        var document = new TomlSection.Document(file, text);
        var root = document.root();
        var pod = pod(root.section("pod"), around);
        var config = new PodConfig(
                pod,
                storage(root.section("storage"), pod.role),
                cache(root.section("cache")),
                keep(root),
                affinity(root.section("affinity")),
                disconnected(root.section("disconnected")),
                mount(root.section("mount")),
                limits(root.section("limits")));
        return document.finish(_ -> config);
    }

    /** A pod as an empty file declares it, with these few things given. */
    public static PodConfig of(String name, Optional<Path> mount, Path store, HostPort listen) {
        return new PodConfig(
                new Pod(
                        name,
                        Optional.empty(),
                        Role.STORAGE,
                        Presence.ALWAYS,
                        "",
                        mount,
                        listen,
                        List.of(),
                        true,
                        store),
                new Storage(Long.MAX_VALUE, KeepFree.DEFAULT, Optional.empty(), List.of(), false, Optional.empty()),
                new Cache(new Size(0), Reads.STREAM, Optional.empty(), Writes.LOCAL),
                List.of(),
                new Affinity(Preference.NEUTRAL, Preference.NEUTRAL, Preference.NEUTRAL, Preference.NEUTRAL),
                new Disconnected(Reaction.FREEZE, Duration.ofSeconds(5)),
                Mount.SAME,
                new Limits(Rate.Schedule.UNLIMITED));
    }

    private static Pod pod(TomlSection section, Surroundings around) {
        var name = section.value("name", Names::check, Names.FORM, Names.from(around.hostName()));
        var network = section.optional("network", Names::check, Names.FORM);
        var role = section.choice("role", Role.class, Role.STORAGE);
        if (role == Role.CLIENT) section.notYet("role", "client", "\"storage\" or \"witness\"");
        var presence =
                section.choice("presence", Presence.class, around.battery() ? Presence.INTERMITTENT : Presence.ALWAYS);
        var zone = section.value("zone", text -> text.isEmpty() ? "" : Names.check(text), Names.FORM, "");
        var mount = section.optional("mount", PodConfig::absolute, "an absolute path");
        var listen =
                section.value("listen", PodConfig::listening, "ADDRESS:PORT", new HostPort("0.0.0.0", HostPort.PORT));
        var advertise = section.list("advertise", PodConfig::advertised, "HOST:PORT");
        var store = section.value(
                "store",
                PodConfig::absolute,
                "an absolute path",
                around.stores()
                        .resolve(network.orElse(NetworkConfig.DEFAULT_NAME))
                        .resolve(name));
        if (mount.isPresent() && (mount.get().startsWith(store) || store.startsWith(mount.get()))) {
            section.noteMissing(
                    "mount",
                    "key pod.mount = \"" + mount.get() + "\" and pod.store = \"" + store + "\" lie in each other");
        }
        var discovery = section.flag("discovery", true);
        return new Pod(name, network, role, presence, zone, mount, listen, advertise, discovery, store);
    }

    private static Path absolute(String text) {
        if (!text.startsWith("/")) throw new IllegalArgumentException("is not absolute");
        if (text.indexOf('\0') >= 0) throw new IllegalArgumentException("holds a NUL");
        var path = Path.of(text).normalize();
        if (path.getNameCount() == 0) throw new IllegalArgumentException("is the root of this machine");
        return path;
    }

    private static HostPort listening(String text) {
        var address = HostPort.parse(text);
        if (address.everyAddress()) throw new IllegalArgumentException("is no single address");
        return address;
    }

    private static HostPort advertised(String text) {
        var address = listening(text);
        if (address.isWildcard() || address.port() == 0) throw new IllegalArgumentException("is nothing to connect to");
        return address;
    }

    private static Storage storage(TomlSection section, Role role) {
        var limit = section.optional("limit", Size::parse, "a size such as \"4TB\"");
        var keepFree = section.value(
                "keep_free", KeepFree::parse, "a part of the disk such as \"5%\" or \"10GB\"", KeepFree.DEFAULT);
        var disk = NetworkConfig.optionalChoice(section, "disk", Disk.class);
        var volumes = new ArrayList<Volume>();
        for (var inner : section.sections("volume")) {
            if (!inner.has("path")) inner.noteMissing("path", "a [[storage.volume]] needs its path");
            var path = inner.optional("path", PodConfig::absolute, "an absolute path");
            var volumeDisk = NetworkConfig.optionalChoice(inner, "disk", Disk.class);
            var volumeLimit = inner.optional("limit", Size::parse, "a size such as \"1TB\"");
            var state = inner.choice("state", VolumeState.class, VolumeState.ACTIVE);
            path.ifPresent(present -> volumes.add(new Volume(present, volumeDisk, volumeLimit, state)));
        }
        section.notYet("disk", true);
        section.notYet("volume", true);
        var encrypt = section.flag("encrypt", false);
        var keyFile = section.optional("key_file", PodConfig::absolute, "an absolute path");
        if (keyFile.isPresent() && !encrypt)
            section.note("key_file", "key storage.key_file needs storage.encrypt = true");
        if (role == Role.WITNESS && limit.isPresent() && limit.get().bytes() > 0) {
            section.note("limit", "key storage.limit must be \"0\" or absent for a witness, which stores nothing");
        }
        return new Storage(
                role == Role.WITNESS ? 0 : limit.map(Size::bytes).orElse(Long.MAX_VALUE),
                keepFree,
                disk,
                volumes,
                encrypt,
                keyFile);
    }

    private static Cache cache(TomlSection section) {
        var cache = new Cache(
                section.value("limit", Size::parse, "a size such as \"100GB\"", new Size(0)),
                section.choice("reads", Reads.class, Reads.STREAM),
                section.optional("copy_when", CopyWhen::parse, "a rule such as \"size < 64MB or reads_per_day > 3\""),
                section.choice("writes", Writes.class, Writes.LOCAL));
        section.notYet("limit", cache.limit.bytes() > 0);
        section.notYet("reads", cache.reads != Reads.STREAM);
        section.notYet("copy_when", true);
        section.notYet("writes", cache.writes != Writes.LOCAL);
        return cache;
    }

    private static List<PathPattern> keep(TomlSection root) {
        var keep = new ArrayList<PathPattern>();
        for (var inner : root.sections("keep")) {
            inner.optional("path", PathPattern::parse, "a path in the tree such as \"/photos/2026/**\"")
                    .ifPresent(keep::add);
        }
        root.notYet("keep", true);
        return keep;
    }

    private static Affinity affinity(TomlSection section) {
        return new Affinity(
                preference(section, "replicas"),
                preference(section, "new_files"),
                preference(section, "hot_files"),
                preference(section, "cold_files"));
    }

    private static Preference preference(TomlSection section, String key) {
        var preference = section.choice(key, Preference.class, Preference.NEUTRAL);
        section.notYet(key, preference != Preference.NEUTRAL);
        return preference;
    }

    private static Disconnected disconnected(TomlSection section) {
        var disconnected = new Disconnected(
                section.choice("reaction", Reaction.class, Reaction.FREEZE),
                section.duration("after", Duration.ofSeconds(1), Duration.ofHours(1), Duration.ofSeconds(5)));
        if (disconnected.reaction == Reaction.CONTINUE) {
            section.notYet("reaction", "continue", "\"freeze\" or \"stop\"");
        }
        return disconnected;
    }

    private static Mount mount(TomlSection section) {
        var owner = section.choice("owner", Owner.class, Owner.SAME);
        var mount = new Mount(
                owner,
                section.optional("user", text -> text, "a user of this machine"),
                section.number("uid", ID_MAX),
                section.number("gid", ID_MAX),
                section.flag("root", false),
                section.section("users").numbers(ID_MAX),
                section.section("groups").numbers(ID_MAX));
        only(section, owner, Owner.ME, "user", "uid", "gid");
        only(section, owner, Owner.NAMES, "users", "groups");
        if (owner == Owner.SAME && section.has("root"))
            section.note(
                    "root", "key mount.root is for mount.owner = \"me\" or \"names\": now root is the same everywhere");
        if (!mount.root) {
            for (var key : List.of("uid", "gid"))
                if ((key.equals("uid") ? mount.uid : mount.gid).equals(Optional.of(0)))
                    section.note(
                            key,
                            "key mount." + key + " = 0 is root in the network; if that is meant: mount.root = true");
            mount.users.forEach((name, number) -> {
                if (number == 0)
                    section.note(
                            "users",
                            "key mount.users." + name
                                    + " = 0 is root in the network; if that is meant: mount.root = true");
            });
            mount.groups.forEach((name, number) -> {
                if (number == 0)
                    section.note(
                            "groups",
                            "key mount.groups." + name
                                    + " = 0 is root's in the network; if that is meant: mount.root = true");
            });
        }
        return mount;
    }

    private static void only(TomlSection section, Owner given, Owner with, String... keys) {
        for (var key : keys)
            if (given != with && section.has(key))
                section.note(
                        key,
                        "key mount." + key + " is for mount.owner = \"" + Words.of(with) + "\", not \""
                                + Words.of(given) + "\"");
    }

    private static Limits limits(TomlSection section) {
        var upload = section.value(
                "upload",
                Rate.Schedule::parse,
                "a rate such as \"2MB/s\" or \"2MB/s, 22:00-07:00 unlimited\"",
                Rate.Schedule.UNLIMITED);
        section.notYet("upload", !upload.equals(Rate.Schedule.UNLIMITED));
        return new Limits(upload);
    }

    // -- asking ----------------------------------------------------------------------------------------------------

    /**
     * Where other pods find this one, best first: what it advertises, else where it listens, else the machine's addresses.
     *
     * @param port the one really bound, where {@code listen} asks for any
     */
    public List<String> reachableAt(Surroundings around, int port) {
        if (!pod.advertise.isEmpty()) {
            return pod.advertise.stream().map(HostPort::toString).toList();
        }
        if (!pod.listen.isWildcard()) return List.of(new HostPort(pod.listen.host(), port).toString());
        return around.addresses().stream()
                .map(address -> new HostPort(address, port).toString())
                .toList();
    }

    public PodConfig withMount(Mount changed) {
        return new PodConfig(pod, storage, cache, keep, affinity, disconnected, changed, limits);
    }

    public PodConfig withNetwork(String network) {
        return withPod(new Pod(
                pod.name,
                Optional.of(network),
                pod.role,
                pod.presence,
                pod.zone,
                pod.mount,
                pod.listen,
                pod.advertise,
                pod.discovery,
                pod.store));
    }

    public PodConfig withPod(Pod changed) {
        return new PodConfig(changed, storage, cache, keep, affinity, disconnected, mount, limits);
    }

    public PodConfig withStorage(Storage changed) {
        return new PodConfig(pod, changed, cache, keep, affinity, disconnected, mount, limits);
    }

    // -- writing ---------------------------------------------------------------------------------------------------

    /** The file for this pod, every working key with its value and a comment. {@link #parse} reads it back. */
    public String toToml() {
        var toml = new TomlWriter();
        toml.comment("This machine's part in a network. A change takes effect with: wormhole down, wormhole up");
        toml.table("pod");
        toml.value("name", pod.name, "");
        pod.network.ifPresent(network -> toml.value("network", network, ""));
        toml.value("role", Words.of(pod.role), "storage | witness (votes, stores nothing)");
        toml.value("presence", Words.of(pod.presence), "always | intermittent (sleeps at times)");
        if (pod.zone.isEmpty()) toml.example("zone", "paris", "where it stands");
        else toml.value("zone", pod.zone, "where it stands");
        pod.mount.ifPresent(mount -> toml.value("mount", mount, "where the tree appears"));
        toml.value("listen", pod.listen, "for other pods");
        if (pod.advertise.isEmpty()) {
            toml.line(
                    "# advertise = [\"nas-1.local:7420\"]", "where other pods find it; else this machine's addresses");
        } else {
            toml.list("advertise", pod.advertise, "where other pods find it");
        }
        toml.value("discovery", pod.discovery, "finds pods that moved, and is found, on the local network");
        toml.value("store", pod.store, "metadata and data");
        toml.table("storage");
        if (storage.limitBytes == Long.MAX_VALUE)
            toml.example("limit", "4TB", "at most so much data; else all but keep_free");
        else toml.value("limit", new Size(storage.limitBytes), "at most so much data");
        toml.value("keep_free", storage.keepFree, "of the disk");
        toml.value("encrypt", storage.encrypt, "unreadable without a key; fixed when the store is made");
        storage.keyFile.ifPresent(file -> toml.value("key_file", file, "opens that key"));
        toml.table("disconnected");
        toml.value(
                "reaction",
                Words.of(disconnected.reaction),
                "freeze (read only) | stop (errors), when the network is lost");
        toml.value("after", Durations.format(disconnected.after), "without it");
        toml.table("mount");
        toml.value(
                "owner", Words.of(mount.owner), "same | me (all files are one user's here) | names (see the manual)");
        mount.user.ifPresent(user -> toml.value("user", user, "whose they are here"));
        mount.uid.ifPresent(uid -> toml.value("uid", uid, "whose new files are in the network"));
        mount.gid.ifPresent(gid -> toml.value("gid", gid, ""));
        if (mount.owner != Owner.SAME) toml.value("root", mount.root, "somebody here may be root in the network");
        if (!mount.users.isEmpty()) toml.table("mount.users");
        new TreeMap<>(mount.users).forEach((name, number) -> toml.value(TomlWriter.key(name), number, ""));
        if (!mount.groups.isEmpty()) toml.table("mount.groups");
        new TreeMap<>(mount.groups).forEach((name, number) -> toml.value(TomlWriter.key(name), number, ""));
        return toml.toString();
    }
}
