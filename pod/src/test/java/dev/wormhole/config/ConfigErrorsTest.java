// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Wrong files, and exactly what is said of them. */
class ConfigErrorsTest {
    static final Surroundings AROUND =
            new Surroundings("NAS-1", false, Path.of("/var/lib/wormhole"), List.of("10.0.0.1"));

    static List<String> network(String toml) {
        return NetworkConfig.parse("n.toml", toml).errors().stream()
                .map(ConfigError::toString)
                .toList();
    }

    static List<String> pod(String toml) {
        return PodConfig.parse("p.toml", toml, AROUND).errors().stream()
                .map(ConfigError::toString)
                .toList();
    }

    static List<Arguments> networkErrors() {
        return List.of(
                Arguments.of(
                        "[network]\nname = 5",
                        "n.toml:2:1: key network.name must be a name of 1 to 63 letters a-z, digits and -, not 5"),
                Arguments.of(
                        "[network]\nname = \"My Net\"",
                        "n.toml:2:1: key network.name must be a name of 1 to 63 letters a-z, digits and -, not \"My Net\","
                                + " which could be \"my-net\""),
                Arguments.of(
                        "[redundancy]\n  copys = 2",
                        "n.toml:2:3: unknown key copys in [redundancy]; did you mean copies?"),
                Arguments.of(
                        "[redundency]\ncopies = 2",
                        "n.toml:1:1: unknown key redundency at the top of the file; did you mean redundancy?"),
                Arguments.of(
                        "[durability]\ncopies = 2",
                        "n.toml:2:1: unknown key copies in [durability]; it belongs in [redundancy]"),
                Arguments.of(
                        "[durability]\nmin_copeis = 2",
                        "n.toml:2:1: unknown key min_copeis in [durability]; did you mean redundancy.min_copies?"),
                Arguments.of(
                        "copies = 2",
                        "n.toml:1:1: unknown key copies at the top of the file; it belongs in [redundancy]"),
                Arguments.of("[trash]\nxyzzy = 2", "n.toml:2:1: unknown key xyzzy in [trash]; known here: keep"),
                Arguments.of(
                        "[redundancy]\ncopies = 0",
                        "n.toml:2:1: key redundancy.copies must be a whole number from 1 to 31, not 0"),
                Arguments.of(
                        "[redundancy]\ncopies = 2.0",
                        "n.toml:2:1: key redundancy.copies must be a whole number from 1 to 31, not 2.0"),
                Arguments.of(
                        "[redundancy]\ncopies = 2\nmin_copies = 3",
                        "n.toml:3:1: key redundancy.min_copies = 3 is more than redundancy.copies = 2; no file could be"
                                + " written"),
                Arguments.of(
                        "[redundancy]\nrebuild_after = \"10\"",
                        "n.toml:2:1: key redundancy.rebuild_after must be a length of time such as \"10m\" or \"30d\","
                                + " from 1s to 3650d, not \"10\", which lacks a unit"),
                Arguments.of(
                        "[redundancy]\nrebuild_after = \"10ms\"",
                        "n.toml:2:1: key redundancy.rebuild_after must be a length of time such as \"10m\" or \"30d\","
                                + " from 1s to 3650d, not \"10ms\""),
                Arguments.of(
                        "[durability]\nfsync = \"always\"",
                        "n.toml:2:1: key durability.fsync must be \"replicated\" or \"local\", not \"always\""),
                Arguments.of("network = 3", "n.toml:1:1: key network must be a table: [network], not 3"),
                Arguments.of(
                        "[network]\npods = [\"a:1\",\n  7]",
                        "n.toml:3:3: every element of network.pods must be HOST:PORT or dns:NAME, not 7"),
                Arguments.of(
                        "[network]\npods = [\"a:99999\"]",
                        "n.toml:2:9: every element of network.pods must be HOST:PORT or dns:NAME, not \"a:99999\" (has no"
                                + " port from 0 to 65535)"),
                Arguments.of(
                        "[network]\nprofile = \"office\"",
                        "n.toml:2:1: key network.profile is not available yet (planned); remove it"),
                Arguments.of(
                        "[network]\nprofile = \"ofice\"",
                        "n.toml:2:1: key network.profile is not available yet (planned); remove it\n"
                                + "n.toml:2:1: key network.profile must be \"home\", \"office\", \"lab\" or \"service\", not"
                                + " \"ofice\""),
                Arguments.of(
                        "[situations.degraded]\nreaction = [\"throttle\"]\nthrottle = \"20MB/s\"",
                        "n.toml:2:1: key situations.degraded.reaction is not available yet (planned); remove it\n"
                                + "n.toml:3:1: key situations.degraded.throttle is not available yet (planned); remove it"),
                Arguments.of(
                        "[situations.critical]\nreaction = [\"freze\"]",
                        "n.toml:2:13: every element of situations.critical.reaction must be \"throttle\","
                                + " \"lower-redundancy\", \"freeze\" or \"stop\", not \"freze\" (unknown)"),
                Arguments.of(
                        "[conflicts]\nstrategy = \"keep-both\"",
                        "n.toml:2:1: key conflicts.strategy is not available yet (planned); remove it"),
                Arguments.of(
                        "[[rule]]\ncopies = 3",
                        "n.toml:2:1: a [[rule]] needs its path, such as path = \"/archive/**\""),
                Arguments.of(
                        "[[rule]]\npath = \"archive\"",
                        "n.toml:2:1: key rule.path must be a path in the tree such as \"/archive/**\", not \"archive\", which"
                                + " must begin with / (the root of the tree)"),
                Arguments.of(
                        "[[rule]]\npath = \"/a/**\"\nplace = [{ copies = 2, zoen = \"x\" }]",
                        "n.toml:3:1: key rule.place is not available yet (planned); remove it\n"
                                + "n.toml:3:24: unknown key zoen in [rule.place]; did you mean zone?"),
                Arguments.of(
                        "[[rule]]\npath = \"/a\"\nread_only = 1",
                        "n.toml:3:1: key rule.read_only must be true or false, not 1"),
                Arguments.of("rule = 7", "n.toml:1:1: key rule must be a list of tables: [[rule]], not 7"),
                Arguments.of("[network]\nname = \n", "n.toml:2:8: Unexpected end of line, expected a value"));
    }

    @ParameterizedTest
    @MethodSource
    void networkErrors(String toml, String report) {
        assertThat(String.join("\n", network(toml))).isEqualTo(report);
    }

    static List<Arguments> podErrors() {
        return List.of(
                Arguments.of(
                        "[pod]\nrole = \"client\"",
                        "p.toml:2:1: key pod.role = \"client\" is not available yet (planned); use \"storage\" or"
                                + " \"witness\""),
                Arguments.of(
                        "[pod]\nrole = \"voter\"",
                        "p.toml:2:1: key pod.role must be \"storage\", \"client\" or \"witness\", not \"voter\""),
                Arguments.of(
                        "[pod]\nmount = \"mnt\"",
                        "p.toml:2:1: key pod.mount must be an absolute path, not \"mnt\", which is not absolute"),
                Arguments.of(
                        "[pod]\nstore = \"/a\"\nmount = \"/a/b\"",
                        "p.toml:3:1: key pod.mount = \"/a/b\" and pod.store = \"/a\" lie in each other"),
                Arguments.of(
                        "[pod]\nlisten = \"::1:7420\"",
                        "p.toml:2:1: key pod.listen must be ADDRESS:PORT, not \"::1:7420\", which is an IPv6 address"
                                + " without brackets"),
                Arguments.of(
                        "[pod]\nadvertise = [\"0.0.0.0:7420\"]",
                        "p.toml:2:14: every element of pod.advertise must be HOST:PORT, not \"0.0.0.0:7420\" (is nothing to"
                                + " connect to)"),
                Arguments.of(
                        "[storage]\nlimit = \"4 trillion\"",
                        "p.toml:2:1: key storage.limit must be a size such as \"4TB\", not \"4 trillion\", which has an"
                                + " unknown unit"),
                Arguments.of(
                        "[storage]\nlimit = \"4\"",
                        "p.toml:2:1: key storage.limit must be a size such as \"4TB\", not \"4\", which lacks a unit"),
                Arguments.of(
                        "[storage]\nkeep_free = \"95%\"",
                        "p.toml:2:1: key storage.keep_free must be a part of the disk such as \"5%\" or \"10GB\", not"
                                + " \"95%\", which leaves no room to store anything"),
                Arguments.of(
                        "[pod]\nrole = \"witness\"\n[storage]\nlimit = \"1GB\"",
                        "p.toml:4:1: key storage.limit must be \"0\" or absent for a witness, which stores nothing"),
                Arguments.of(
                        "[disconnected]\nreaction = \"continue\"",
                        "p.toml:2:1: key disconnected.reaction = \"continue\" is not available yet (planned); use"
                                + " \"freeze\" or \"stop\""),
                Arguments.of(
                        "[cache]\ncopy_when = \"size < 64MB or reads > 3\"",
                        "p.toml:2:1: key cache.copy_when is not available yet (planned); remove it\n"
                                + "p.toml:2:1: key cache.copy_when must be a rule such as \"size < 64MB or reads_per_day > 3\","
                                + " not \"size < 64MB or reads > 3\", which compares neither size nor reads_per_day"),
                Arguments.of(
                        "[affinity]\nhot_files = \"avoid\"",
                        "p.toml:2:1: key affinity.hot_files is not available yet (planned); remove it"),
                Arguments.of(
                        "[limits]\nupload = \"2MB/s, 22:00-27:00 unlimited\"",
                        "p.toml:2:1: key limits.upload must be a rate such as \"2MB/s\" or \"2MB/s, 22:00-07:00 unlimited\","
                                + " not \"2MB/s, 22:00-27:00 unlimited\", which has a part that is no HH:MM-HH:MM RATE"));
    }

    @ParameterizedTest
    @MethodSource
    void podErrors(String toml, String report) {
        assertThat(String.join("\n", pod(toml))).isEqualTo(report);
    }

    @Test
    void allErrorsOfAFileAreToldInItsOrder() {
        assertThat(network("""
                        [network]
                        name = "A"
                        nmae = "b"
                        [redundancy]
                        copies = 99
                        [wat]
                        """))
                .extracting(line -> line.substring(0, line.indexOf(": ")))
                .containsExactly("n.toml:2:1", "n.toml:3:1", "n.toml:5:1", "n.toml:6:1");
    }

    @Test
    void theValuesOfTodayMayBeWrittenDown() {
        assertThat(network("""
                        [network]
                        join = "open"
                        admin_pods = []
                        [redundancy]
                        spread = "pod"
                        replication_delay = "0s"
                        [durability]
                        consistency = "close-to-open"
                        [conflicts]
                        strategy = "overwrite"
                        [situations.recoverable]
                        reaction = []
                        [trash]
                        keep = "0s"
                        [scrub]
                        every = "0s"
                        [notify]
                        command = ""
                        on = []
                        [[rule]]
                        path = "/scratch/**"
                        cache = false
                        """)).isEmpty();
        assertThat(pod("""
                        [cache]
                        limit = "0"
                        reads = "stream"
                        writes = "local"
                        [affinity]
                        replicas = "neutral"
                        [limits]
                        upload = "unlimited"
                        """)).isEmpty();
    }

    /** The aim of the design: every key of it is known and well-formed, what does not exist yet is refused by name. */
    @Test
    void theSampleOfTheDesignIsKnownWhole() {
        assertThat(network(resource("sample-network.toml")))
                .allMatch(line -> line.endsWith(" is not available yet (planned); remove it"))
                .extracting(line -> line.split(" ", 4)[2])
                .containsExactly(
                        "network.profile",
                        "network.max_size",
                        "conflicts.strategy",
                        "situations.degraded.reaction",
                        "situations.degraded.throttle",
                        "situations.critical.reaction",
                        "trash.keep",
                        "scrub.every",
                        "notify.on",
                        "rule.place",
                        "rule.max_size");
        assertThat(pod(resource("sample-pod.toml")))
                .allMatch(line -> line.contains(" is not available yet (planned); "))
                .extracting(line -> line.split(" ", 4)[2])
                .containsExactly(
                        "storage.disk",
                        "storage.volume",
                        "cache.limit",
                        "cache.reads",
                        "cache.copy_when",
                        "keep",
                        "affinity.replicas",
                        "affinity.hot_files",
                        "affinity.cold_files",
                        "disconnected.reaction",
                        "limits.upload");
    }

    private static String resource(String name) {
        try (var stream = ConfigErrorsTest.class.getResourceAsStream(name)) {
            if (stream == null) throw new IllegalStateException("no resource " + name);
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
