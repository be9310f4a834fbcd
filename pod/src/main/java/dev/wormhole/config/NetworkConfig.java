// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Collectors;

/**
 * {@code network.toml}: what a network should do, declared once. Immutable. Keys whose feature does not exist yet hold their
 * only possible value; a file that asks for more is refused while it is read.
 */
public record NetworkConfig(
        Network network,
        Redundancy redundancy,
        Durability durability,
        Conflicts conflicts,
        Map<Situation, Reactions> situations,
        Trash trash,
        Scrub scrub,
        Notify notifications,
        Certificates certificates,
        Rules rules) {
    public static final int COPIES_MAX = 31;
    public static final String DEFAULT_NAME = "wormhole";
    /** What an empty file means. */
    public static final NetworkConfig DEFAULT = new NetworkConfig(
            new Network(DEFAULT_NAME, Optional.empty(), Join.TOKEN, List.of(), List.of(), Optional.empty()),
            new Redundancy(2, 1, Spread.POD, Duration.ZERO, Duration.ofMinutes(10), Duration.ofDays(30)),
            new Durability(Fsync.REPLICATED, Consistency.CLOSE_TO_OPEN, Reads.LOCAL),
            new Conflicts(Strategy.OVERWRITE),
            Map.of(),
            new Trash(Duration.ZERO),
            new Scrub(Duration.ZERO),
            new Notify("", "", false, List.of()),
            new Certificates(Duration.ofDays(90)),
            Rules.NONE);

    public NetworkConfig {
        situations = Map.copyOf(situations);
    }

    /**
     * @param name 1-63 of [a-z0-9-], unique on every machine that takes part
     * @param pods where pods of the network are found
     * @param adminPods names of the administrators' pods; empty to leave that to commands
     * @param profile, maxSize not available yet: empty
     * @param join who may add a pod
     */
    public record Network(
            String name,
            Optional<Profile> profile,
            Join join,
            List<String> adminPods,
            List<HostPort> pods,
            Optional<Size> maxSize) {
        public Network {
            adminPods = List.copyOf(adminPods);
            pods = List.copyOf(pods);
        }
    }

    /**
     * @param copies 1 to {@link #COPIES_MAX}, each on another pod
     * @param minCopies 1 to copies; below it writes are refused
     * @param rebuildAfter how long a pod stays away before its copies are made again
     * @param rebuildAfterIntermittent the same for pods that sleep at times
     * @param spread, replicationDelay not available yet: POD and zero
     */
    public record Redundancy(
            int copies,
            int minCopies,
            Spread spread,
            Duration replicationDelay,
            Duration rebuildAfter,
            Duration rebuildAfterIntermittent) {}

    /** @param consistency only {@link Consistency#CLOSE_TO_OPEN} so far */
    public record Durability(Fsync fsync, Consistency consistency, Reads reads) {}

    /** Only {@link Strategy#OVERWRITE} so far. */
    public record Conflicts(Strategy strategy) {}

    /** Not available yet: empty, which is to continue. */
    public record Reactions(List<Reaction> reaction, Optional<Rate> throttle) {
        public Reactions {
            reaction = List.copyOf(reaction);
        }
    }

    /** Not available yet: zero. */
    public record Trash(Duration keep) {}

    /** Not available yet: zero, never. */
    public record Scrub(Duration every) {}

    /** Not available yet: empty. */
    public record Notify(String command, String webhook, boolean desktop, List<Event> on) {
        public Notify {
            on = List.copyOf(on);
        }
    }

    /** @param lifetime of what pods show; renewed with a third of it left */
    public record Certificates(Duration lifetime) {}

    public enum Profile {
        HOME,
        OFFICE,
        LAB,
        SERVICE
    }

    public enum Join {
        /** Who has an invitation of an administrator. */
        TOKEN,
        /** Whom an administrator says yes to while it waits; and who has an invitation. */
        APPROVAL,
        /** Nobody. */
        CLOSED,
        /** Whoever reaches a pod: for networks that are thrown away. */
        OPEN
    }

    public enum Spread {
        POD,
        ZONE
    }

    /** How a look at names and attributes is certain to see what others changed before. Both are right. */
    public enum Reads {
        /** Pods answer from what they have; a change waits until all that are present answer by it. */
        LOCAL,
        /** A look asks the leader; a change waits for nobody. */
        LEADER
    }

    public enum Fsync {
        /** Durable on min(2, copies) pods before fsync answers. */
        REPLICATED,
        /** Durable on this pod. */
        LOCAL
    }

    public enum Consistency {
        STRICT,
        CLOSE_TO_OPEN,
        RELAXED
    }

    public enum Strategy {
        KEEP_BOTH,
        OVERWRITE
    }

    public enum Situation {
        RECOVERABLE,
        DEGRADED,
        CRITICAL
    }

    public enum Reaction {
        THROTTLE,
        LOWER_REDUNDANCY,
        FREEZE,
        STOP
    }

    public enum Event {
        RECOVERABLE,
        DEGRADED,
        CRITICAL,
        CONFLICT,
        DISK,
        UNSAFE
    }

    // -- reading ---------------------------------------------------------------------------------------------------

    /** Reads a file; its errors name it as given here. */
    public static Parsed<NetworkConfig> load(Path file) throws IOException {
        return parse(file.toString(), Files.readString(file));
    }

    /** @param file only for messages */
    public static Parsed<NetworkConfig> parse(String file, String text) {
        var document = new TomlSection.Document(file, text);
        var root = document.root();
        var config = new NetworkConfig(
                network(root.section("network")),
                redundancy(root.section("redundancy"), document.wellFormed()),
                durability(root.section("durability")),
                conflicts(root.section("conflicts")),
                situations(root.section("situations")),
                trash(root.section("trash")),
                scrub(root.section("scrub")),
                notifications(root.section("notify")),
                certificates(root.section("certificates")),
                new Rules(root.sections("rule").stream()
                        .map(NetworkConfig::rule)
                        .flatMap(Optional::stream)
                        .toList()));
        return document.finish(_ -> config);
    }

    private static Network network(TomlSection section) {
        var defaults = DEFAULT.network;
        var network = new Network(
                section.value("name", Names::check, Names.FORM, defaults.name),
                optionalChoice(section, "profile", Profile.class),
                section.choice("join", Join.class, defaults.join),
                section.list("admin_pods", Names::check, Names.FORM),
                section.list("pods", NetworkConfig::seed, "HOST:PORT or dns:NAME"),
                section.optional("max_size", Size::parse, "a size such as \"20TB\""));
        section.notYet("profile", true);
        section.notYet("max_size", true);
        return network;
    }

    /** A choice without a default. */
    static <E extends Enum<E>> Optional<E> optionalChoice(TomlSection section, String key, Class<E> type) {
        var any = section.choice(key, type, type.getEnumConstants()[0]);
        return section.has(key) ? Optional.of(any) : Optional.empty();
    }

    private static HostPort seed(String text) {
        var address = HostPort.parse(text);
        if (address.port() == 0) throw new IllegalArgumentException("has no port");
        if (address.isWildcard()) throw new IllegalArgumentException("is no address of one machine");
        return address;
    }

    private static Redundancy redundancy(TomlSection section, boolean wellFormed) {
        var defaults = DEFAULT.redundancy;
        var shortest = Duration.ofSeconds(1);
        var longest = Duration.ofDays(3650);
        var redundancy = new Redundancy(
                section.integer("copies", 1, COPIES_MAX, defaults.copies),
                section.integer("min_copies", 1, COPIES_MAX, defaults.minCopies),
                section.choice("spread", Spread.class, defaults.spread),
                section.duration("replication_delay", Duration.ZERO, Duration.ofDays(1), defaults.replicationDelay),
                section.duration("rebuild_after", shortest, longest, defaults.rebuildAfter),
                section.duration("rebuild_after_intermittent", shortest, longest, defaults.rebuildAfterIntermittent));
        if (wellFormed && redundancy.minCopies > redundancy.copies) {
            section.note(
                    "min_copies",
                    "key redundancy.min_copies = " + redundancy.minCopies + " is more than redundancy.copies = "
                            + redundancy.copies + "; no file could be written");
        }
        section.notYet("spread", redundancy.spread != Spread.POD);
        section.notYet("replication_delay", !redundancy.replicationDelay.isZero());
        return redundancy;
    }

    private static Durability durability(TomlSection section) {
        var durability = new Durability(
                section.choice("fsync", Fsync.class, DEFAULT.durability.fsync),
                section.choice("consistency", Consistency.class, DEFAULT.durability.consistency),
                section.choice("reads", Reads.class, DEFAULT.durability.reads));
        section.notYet("consistency", durability.consistency != Consistency.CLOSE_TO_OPEN);
        return durability;
    }

    private static Conflicts conflicts(TomlSection section) {
        var conflicts = new Conflicts(section.choice("strategy", Strategy.class, DEFAULT.conflicts.strategy));
        section.notYet("strategy", conflicts.strategy != Strategy.OVERWRITE);
        return conflicts;
    }

    private static Map<Situation, Reactions> situations(TomlSection section) {
        var situations = new LinkedHashMap<Situation, Reactions>();
        for (var situation : Situation.values()) {
            var inner = section.section(Words.of(situation));
            var reactions = new Reactions(
                    inner.choices("reaction", Reaction.class),
                    inner.optional("throttle", Rate::parse, "a rate such as \"20MB/s\""));
            inner.notYet("reaction", !reactions.reaction.isEmpty());
            inner.notYet("throttle", true);
            if (!reactions.reaction.isEmpty()) situations.put(situation, reactions);
        }
        return situations;
    }

    private static Trash trash(TomlSection section) {
        var trash = new Trash(section.duration("keep", Duration.ZERO, Duration.ofDays(36500), Duration.ZERO));
        section.notYet("keep", !trash.keep.isZero());
        return trash;
    }

    private static Scrub scrub(TomlSection section) {
        var scrub = new Scrub(section.duration("every", Duration.ZERO, Duration.ofDays(3650), Duration.ZERO));
        section.notYet("every", !scrub.every.isZero());
        return scrub;
    }

    private static Notify notifications(TomlSection section) {
        var notify = new Notify(
                section.value("command", text -> text, "a command line", ""),
                section.value("webhook", text -> text, "an address", ""),
                section.flag("desktop", false),
                section.choices("on", Event.class));
        section.notYet("command", !notify.command.isEmpty());
        section.notYet("webhook", !notify.webhook.isEmpty());
        section.notYet("desktop", notify.desktop);
        section.notYet("on", !notify.on.isEmpty());
        return notify;
    }

    private static Certificates certificates(TomlSection section) {
        return new Certificates(section.duration(
                "lifetime", Duration.ofSeconds(10), Duration.ofDays(3650), DEFAULT.certificates.lifetime));
    }

    private static Optional<Rules.Rule> rule(TomlSection section) {
        if (!section.has("path"))
            section.noteMissing("path", "a [[rule]] needs its path, such as path = \"/archive/**\"");
        var path = section.optional("path", PathPattern::parse, "a path in the tree such as \"/archive/**\"");
        var copies = section.integer("copies", 1, COPIES_MAX, 1);
        var readOnly = section.flag("read_only", false);
        var place = new ArrayList<Rules.Place>();
        for (var inner : section.sections("place")) {
            place.add(new Rules.Place(
                    inner.integer("copies", 1, COPIES_MAX, 1),
                    inner.optional("zone", Names::check, Names.FORM),
                    optionalChoice(inner, "disk", PodConfig.Disk.class)));
        }
        var cache = section.flag("cache", false);
        var maxSize = section.optional("max_size", Size::parse, "a size such as \"2TB\"");
        section.notYet("place", true);
        section.notYet("cache", cache);
        section.notYet("max_size", true);
        if (path.isEmpty()) return Optional.empty();
        return Optional.of(new Rules.Rule(
                path.get(),
                section.has("copies") ? OptionalInt.of(copies) : OptionalInt.empty(),
                section.has("read_only") ? Optional.of(readOnly) : Optional.empty(),
                place,
                section.has("cache") ? Optional.of(cache) : Optional.empty(),
                maxSize));
    }

    // -- asking ----------------------------------------------------------------------------------------------------

    /** What holds for one path, rules and the network's own settings together. */
    public Wish wish(String path) {
        var wish = rules.wish(path);
        var copies = wish.copies().orElse(redundancy.copies);
        return new Wish(
                copies,
                Math.min(redundancy.minCopies, copies),
                wish.copies().isPresent() ? "rule " + wish.copiesBy() : "redundancy.copies",
                wish.readOnly(),
                wish.readOnly() ? "rule " + wish.readOnlyBy() : "");
    }

    /**
     * @param minCopies never more than copies: a rule may ask for fewer than the network's min_copies
     * @param copiesBy what decided, for people
     */
    public record Wish(int copies, int minCopies, String copiesBy, boolean readOnly, String readOnlyBy) {}

    // -- differences -----------------------------------------------------------------------------------------------

    /**
     * One line of what an apply would change.
     *
     * @param losesSafety data would be less safe than before: a person should agree
     * @param impossible what cannot be changed in a living network
     */
    public record Difference(String text, boolean losesSafety, boolean impossible) {}

    /** What changes from one configuration to another, for people. Empty where nothing does. */
    public static List<Difference> diff(NetworkConfig before, NetworkConfig after) {
        var lines = new ArrayList<Difference>();
        if (!before.network.name.equals(after.network.name)) {
            lines.add(new Difference(
                    "network.name: " + before.network.name + " -> " + after.network.name
                            + " (a network keeps its name for life)",
                    false,
                    true));
        }
        var was = before.redundancy;
        var is = after.redundancy;
        change(lines, "network.pods", list(before.network.pods), list(after.network.pods), false);
        change(
                lines,
                "network.join",
                Words.of(before.network.join),
                Words.of(after.network.join),
                after.network.join == Join.OPEN);
        change(lines, "network.admin_pods", before.network.adminPods, after.network.adminPods, false);
        change(lines, "redundancy.copies", was.copies, is.copies, is.copies < was.copies);
        change(lines, "redundancy.min_copies", was.minCopies, is.minCopies, is.minCopies < was.minCopies);
        change(
                lines,
                "redundancy.rebuild_after",
                Durations.format(was.rebuildAfter),
                Durations.format(is.rebuildAfter),
                is.rebuildAfter.compareTo(was.rebuildAfter) > 0);
        change(
                lines,
                "redundancy.rebuild_after_intermittent",
                Durations.format(was.rebuildAfterIntermittent),
                Durations.format(is.rebuildAfterIntermittent),
                is.rebuildAfterIntermittent.compareTo(was.rebuildAfterIntermittent) > 0);
        change(
                lines,
                "durability.fsync",
                Words.of(before.durability.fsync),
                Words.of(after.durability.fsync),
                after.durability.fsync == Fsync.LOCAL);
        change(lines, "durability.reads", Words.of(before.durability.reads), Words.of(after.durability.reads), false);
        change(
                lines,
                "certificates.lifetime",
                Durations.format(before.certificates.lifetime),
                Durations.format(after.certificates.lifetime),
                false);
        ruleChanges(before, after, lines);
        return lines;
    }

    private static void change(List<Difference> lines, String key, Object before, Object after, boolean losesSafety) {
        if (!before.equals(after)) {
            lines.add(new Difference(key + ": " + before + " -> " + after, losesSafety, false));
        }
    }

    private static String list(List<HostPort> pods) {
        return pods.stream().map(HostPort::toString).collect(Collectors.joining(", ", "[", "]"));
    }

    /** Rules are compared by path. A change of order is told too: the last match wins. */
    private static void ruleChanges(NetworkConfig before, NetworkConfig after, List<Difference> lines) {
        var was = byPath(before.rules);
        var is = byPath(after.rules);
        was.forEach((path, rule) -> {
            if (!is.containsKey(path)) {
                var copies = rule.copies().orElse(0);
                lines.add(new Difference(
                        "rule " + path + " removed: " + describe(rule), copies > after.redundancy.copies, false));
            }
        });
        is.forEach((path, rule) -> {
            var old = was.get(path);
            if (old == null) {
                lines.add(new Difference(
                        "rule " + path + " added: " + describe(rule),
                        rule.copies().orElse(COPIES_MAX) < before.redundancy.copies,
                        false));
            } else if (!old.equals(rule)) {
                lines.add(new Difference(
                        "rule " + path + ": " + describe(old) + " -> " + describe(rule),
                        rule.copies().orElse(after.redundancy.copies)
                                < old.copies().orElse(before.redundancy.copies),
                        false));
            }
        });
        if (was.keySet().equals(is.keySet()) && !List.copyOf(was.keySet()).equals(List.copyOf(is.keySet()))) {
            lines.add(new Difference(
                    "rules in another order (the last match wins): " + String.join(", ", is.keySet()), true, false));
        }
    }

    /** Of several rules with one path the keys of the later ones win. */
    private static Map<String, Rules.Rule> byPath(Rules rules) {
        var byPath = new LinkedHashMap<String, Rules.Rule>();
        for (var rule : rules.rules()) {
            byPath.merge(
                    rule.path().toString(),
                    rule,
                    (older, newer) -> new Rules.Rule(
                            newer.path(),
                            newer.copies().isPresent() ? newer.copies() : older.copies(),
                            newer.readOnly().or(older::readOnly)));
        }
        return byPath;
    }

    private static String describe(Rules.Rule rule) {
        var parts = new ArrayList<String>();
        rule.copies().ifPresent(copies -> parts.add("copies = " + copies));
        rule.readOnly().ifPresent(readOnly -> parts.add("read_only = " + readOnly));
        return parts.isEmpty() ? "(nothing)" : String.join(", ", parts);
    }

    // -- writing ---------------------------------------------------------------------------------------------------

    /** The file for this configuration, every working key with its value and a comment. {@link #parse} reads it back. */
    public String toToml() {
        var toml = new TomlWriter();
        toml.comment("The network, declared once; keep it in version control.");
        toml.comment("Change it and run: wormhole apply network.toml");
        toml.table("network");
        toml.value("name", network.name, "");
        toml.list("pods", network.pods, "where its pods are found");
        if (network.join != Join.TOKEN)
            toml.value("join", Words.of(network.join), "who may add a pod: token, approval, closed or open");
        if (!network.adminPods.isEmpty())
            toml.list("admin_pods", network.adminPods, "whose pods administer: exactly these");
        toml.table("redundancy");
        toml.value("copies", redundancy.copies, "of every file, each on another pod");
        toml.value("min_copies", redundancy.minCopies, "below it writes are refused");
        toml.value(
                "rebuild_after",
                Durations.format(redundancy.rebuildAfter),
                "a pod is away so long: make its copies again");
        toml.value(
                "rebuild_after_intermittent",
                Durations.format(redundancy.rebuildAfterIntermittent),
                "the same for pods that sleep at times");
        toml.table("durability");
        toml.value("fsync", Words.of(durability.fsync), "replicated: waits for two pods' disks; local: for this pod's");
        toml.value(
                "reads",
                Words.of(durability.reads),
                "local: pods answer from what they have, changes wait for all; leader: every look asks the leader");
        toml.table("certificates");
        toml.value(
                "lifetime",
                Durations.format(certificates.lifetime),
                "of what pods show each other; they renew it with a third of it left");
        for (var rule : rules.rules()) {
            toml.arrayTable("rule");
            toml.value("path", rule.path(), "");
            rule.copies().ifPresent(copies -> toml.value("copies", copies, ""));
            rule.readOnly().ifPresent(readOnly -> toml.value("read_only", readOnly, ""));
            rule.cache().ifPresent(cache -> toml.value("cache", cache, ""));
        }
        if (rules.rules().isEmpty()) {
            toml.blank();
            toml.comment("[[rule]]                # folders and files; the last match wins per key");
            toml.comment("path = \"/archive/**\"");
            toml.comment("copies = 3");
            toml.comment("read_only = true");
        }
        return toml.toString();
    }
}
