// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalTime;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConfigValuesTest {
    private static final Surroundings AROUND = ConfigErrorsTest.AROUND;

    @Test
    void anEmptyFileIsAWorkingNetworkAndPod() throws IOException {
        assertThat(NetworkConfig.parse("n", "").orFail()).isEqualTo(NetworkConfig.DEFAULT);
        var pod = PodConfig.parse("p", "", AROUND).orFail();
        assertThat(pod.pod().name()).isEqualTo("nas-1");
        assertThat(pod.pod().presence()).isEqualTo(PodConfig.Presence.ALWAYS);
        assertThat(pod.pod().store()).isEqualTo(Path.of("/var/lib/wormhole/wormhole/nas-1"));
        assertThat(pod.pod().mount()).isEmpty();
        assertThat(pod.pod().listen()).hasToString("0.0.0.0:7420");
        assertThat(pod.storage().limitBytes()).isEqualTo(Long.MAX_VALUE);
        assertThat(pod.storage().keepFree().bytes(10_000_000_000L)).isEqualTo(500_000_000);
        assertThat(pod.storage().keepFree().bytes(10_000_000_000_000L)).isEqualTo(1_000_000_000);
        assertThat(pod.disconnected().after()).isEqualTo(Duration.ofSeconds(5));
    }

    @Test
    void aLaptopIsIntermittentUnlessToldOtherwise() throws IOException {
        var laptop = new Surroundings("x", true, Path.of("/s"), List.of());
        assertThat(PodConfig.parse("p", "", laptop).orFail().pod().presence())
                .isEqualTo(PodConfig.Presence.INTERMITTENT);
        assertThat(PodConfig.parse("p", "[pod]\npresence = \"always\"", laptop)
                        .orFail()
                        .pod()
                        .presence())
                .isEqualTo(PodConfig.Presence.ALWAYS);
    }

    @Test
    void whatIsWrittenIsReadBackTheSame() throws IOException {
        var network = NetworkConfig.parse("n", """
                        [network]
                        name = "atelier"
                        pods = ["nas-1:7420", "dns:pods.example:99", "[fe80::1]:7"]
                        [redundancy]
                        copies = 3
                        min_copies = 2
                        rebuild_after = "90s"
                        rebuild_after_intermittent = "36h"
                        [durability]
                        fsync = "local"
                        [[rule]]
                        path = "/a \\"quoted\\" \\u00e9/**"
                        copies = 1
                        read_only = true
                        [[rule]]
                        path = "/b"
                        read_only = false
                        """).orFail();
        assertThat(network.rules().rules()).hasSize(2);
        assertThat(NetworkConfig.parse("again", network.toToml()).orFail()).isEqualTo(network);
        assertThat(NetworkConfig.parse("d", NetworkConfig.DEFAULT.toToml()).orFail())
                .isEqualTo(NetworkConfig.DEFAULT);

        var pod = PodConfig.parse("p", """
                        [pod]
                        name = "nas-2"
                        network = "atelier"
                        role = "witness"
                        presence = "intermittent"
                        zone = "paris"
                        mount = "/mnt/a b"
                        listen = "127.0.0.1:0"
                        advertise = ["nas-2.local:7420"]
                        store = "/srv/w"
                        [storage]
                        keep_free = "2.5%"
                        [disconnected]
                        reaction = "stop"
                        after = "1m30s"
                        """, AROUND).orFail();
        assertThat(PodConfig.parse("again", pod.toToml(), AROUND).orFail()).isEqualTo(pod);
        var plain = PodConfig.of("x", Optional.empty(), Path.of("/srv/x"), new HostPort("0.0.0.0", 1));
        assertThat(PodConfig.parse("again", plain.toToml(), AROUND).orFail()).isEqualTo(plain);
    }

    @Test
    void aPodIsFoundWhereItSaysElseWhereItListensElseAtItsMachine() throws IOException {
        assertThat(PodConfig.parse("p", "[pod]\nadvertise = [\"n:1\"]", AROUND)
                        .orFail()
                        .reachableAt(AROUND, 7))
                .containsExactly("n:1");
        assertThat(PodConfig.parse("p", "[pod]\nlisten = \"127.0.0.1:0\"", AROUND)
                        .orFail()
                        .reachableAt(AROUND, 7))
                .containsExactly("127.0.0.1:7");
        assertThat(PodConfig.parse("p", "", AROUND).orFail().reachableAt(AROUND, 7))
                .containsExactly("10.0.0.1:7");
    }

    @ParameterizedTest
    @CsvSource({
        "4TB,4000000000000",
        "1.5GB,1500000000",
        "512MiB,536870912",
        "10 gb,10000000000",
        "0,0",
        "7B,7",
        "0.5kB,500"
    })
    void sizes(String text, long bytes) {
        assertThat(Size.parse(text).bytes()).isEqualTo(bytes);
        assertThat(Size.parse(Size.parse(text).toString()).bytes()).isEqualTo(bytes);
    }

    @Test
    void everySizeAndDurationIsReadBackTheSame() {
        var seed = new Random().nextLong();
        var random = new Random(seed);
        for (var i = 0; i < 10_000; i++) {
            var bytes = random.nextLong() >>> (1 + random.nextInt(62));
            assertThat(Size.parse(new Size(bytes).toString()).bytes())
                    .as("seed %d", seed)
                    .isEqualTo(bytes);
            var duration =
                    Duration.ofMillis(random.nextLong(Duration.ofDays(9999).toMillis()));
            assertThat(Durations.parse(Durations.format(duration)))
                    .as("seed %d", seed)
                    .isEqualTo(duration);
        }
        assertThatThrownBy(() -> Size.parse("99999999PB")).hasMessage("is too large");
    }

    @Test
    void aScheduleGoesPastMidnight() {
        var schedule = Rate.Schedule.parse("2MB/s, 22:00-07:00 unlimited, 12:00-13:00 1kB/s");
        assertThat(schedule.at(LocalTime.of(21, 59)).bytesPerSecond()).isEqualTo(2_000_000);
        assertThat(schedule.at(LocalTime.of(23, 0))).isEqualTo(Rate.UNLIMITED);
        assertThat(schedule.at(LocalTime.of(6, 59))).isEqualTo(Rate.UNLIMITED);
        assertThat(schedule.at(LocalTime.of(7, 0)).bytesPerSecond()).isEqualTo(2_000_000);
        assertThat(schedule.at(LocalTime.of(12, 30)).bytesPerSecond()).isEqualTo(1000);
        assertThat(Rate.Schedule.parse(schedule.toString())).isEqualTo(schedule);
    }

    @Test
    void copyWhenBindsAndTighterThanOr() {
        var rule = CopyWhen.parse("size < 1MB or size < 64MB and reads_per_day > 3");
        assertThat(rule.holds(10, 0)).isTrue();
        assertThat(rule.holds(10_000_000, 3)).isFalse();
        assertThat(rule.holds(10_000_000, 3.5)).isTrue();
        assertThat(rule.holds(100_000_000, 100)).isFalse();
        assertThat(CopyWhen.parse(rule.toString())).isEqualTo(rule);
    }

    // -- rules -----------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({
        "/archive/**,/archive,true",
        "/archive/**,/archive/a/b,true",
        "/archive/**,/archives,false",
        "/**,/,true",
        "/**,/a/b,true",
        "/,/,true",
        "/,/a,false",
        "/a/*,/a/b,true",
        "/a/*,/a/b/c,false",
        "/a/*,/a,false",
        "/**/*.iso,/x.iso,true",
        "/**/*.iso,/a/b/x.iso,true",
        "/**/*.iso,/a/b/x.is,false",
        "/a/**/z,/a/z,true",
        "/a/**/z,/a/b/c/z,true",
        "/a/**/z,/a/b/c/z/y,false",
        "/photo?,/photos,true",
        "/photo?,/photo,false"
    })
    void patterns(String pattern, String path, boolean matches) {
        assertThat(PathPattern.parse(pattern).matches(path)).isEqualTo(matches);
    }

    /** Against the plainest definition of a glob there is. */
    @Test
    void randomPatternsMatchAsTheDefinitionSays() {
        var seed = new Random().nextLong();
        var random = new Random(seed);
        var matched = 0;
        for (var i = 0; i < 20_000; i++) {
            var pattern = word(random, "ab*?", true);
            var path = word(random, "ab", false);
            var expected = naive(
                    List.of(pattern.substring(1).split("/")),
                    List.of(path.substring(1).split("/")));
            if (expected) matched++;
            assertThat(PathPattern.parse(pattern).matches(path))
                    .as("seed %d: %s on %s", seed, pattern, path)
                    .isEqualTo(expected);
        }
        assertThat(matched).as("seed %d", seed).isGreaterThan(500);
    }

    private static String word(Random random, String letters, boolean stars) {
        var word = new StringBuilder();
        for (var names = 1 + random.nextInt(4); names > 0; names--) {
            word.append('/');
            if (stars && random.nextInt(4) == 0) {
                word.append("**");
                continue;
            }
            for (var length = 1 + random.nextInt(3); length > 0; length--) {
                var letter = letters.charAt(random.nextInt(letters.length()));
                if (letter == '*' && word.charAt(word.length() - 1) == '*') letter = 'a';
                word.append(letter);
            }
        }
        return word.toString();
    }

    private static boolean naive(List<String> pattern, List<String> path) {
        if (pattern.isEmpty()) return path.isEmpty();
        var rest = pattern.subList(1, pattern.size());
        if (pattern.getFirst().equals("**")) {
            for (var skipped = 0; skipped <= path.size(); skipped++) {
                if (naive(rest, path.subList(skipped, path.size()))) return true;
            }
            return false;
        }
        return !path.isEmpty()
                && path.getFirst()
                        .matches(pattern.getFirst().replace("*", "[ab]*").replace("?", "[ab]"))
                && naive(rest, path.subList(1, path.size()));
    }

    @Test
    void theLastRuleThatMatchesWinsPerKey() throws IOException {
        var config = NetworkConfig.parse("n", """
                        [redundancy]
                        copies = 2
                        min_copies = 2
                        [[rule]]
                        path = "/archive/**"
                        copies = 3
                        read_only = true
                        [[rule]]
                        path = "/archive/scratch/**"
                        copies = 1
                        [[rule]]
                        path = "/archive/scratch/open/**"
                        read_only = false
                        """).orFail();
        assertThat(config.rules().wish("/home")).isEqualTo(Rules.Wish.NONE);
        assertThat(config.rules().wish("/archive/x").copies()).isEqualTo(OptionalInt.of(3));
        assertThat(config.wish("/archive/scratch/open/f"))
                .isEqualTo(new NetworkConfig.Wish(1, 1, "rule /archive/scratch/**", false, ""));
        assertThat(config.wish("/archive/scratch/f"))
                .isEqualTo(new NetworkConfig.Wish(1, 1, "rule /archive/scratch/**", true, "rule /archive/**"));
        assertThat(config.wish("/home")).isEqualTo(new NetworkConfig.Wish(2, 2, "redundancy.copies", false, ""));
    }

    // -- differences -----------------------------------------------------------------------------------------------

    private static List<String> diff(String before, String after) throws IOException {
        return NetworkConfig.diff(
                        NetworkConfig.parse("a", before).orFail(),
                        NetworkConfig.parse("b", after).orFail())
                .stream()
                .map(line -> (line.losesSafety() ? "!" : line.impossible() ? "x" : " ") + line.text())
                .toList();
    }

    @Test
    void differencesSayWhatChangesAndWhatLosesSafety() throws IOException {
        assertThat(diff("", "")).isEmpty();
        assertThat(diff("[redundancy]\ncopies = 3", "[redundancy]\ncopies = 2"))
                .containsExactly("!redundancy.copies: 3 -> 2");
        assertThat(diff("", "[redundancy]\ncopies = 3\nmin_copies = 2\nrebuild_after = \"5m\""))
                .containsExactly(
                        " redundancy.copies: 2 -> 3",
                        " redundancy.min_copies: 1 -> 2",
                        " redundancy.rebuild_after: 10m -> 5m");
        assertThat(diff("", "[redundancy]\nrebuild_after = \"1h\"\n[durability]\nfsync = \"local\""))
                .containsExactly("!redundancy.rebuild_after: 10m -> 1h", "!durability.fsync: replicated -> local");
        assertThat(diff("", "[network]\nname = \"other\""))
                .containsExactly("xnetwork.name: wormhole -> other (a network keeps its name for life)");
        assertThat(diff("", "[[rule]]\npath = \"/s\"\ncopies = 1")).containsExactly("!rule /s added: copies = 1");
        assertThat(diff("", "[[rule]]\npath = \"/s\"\ncopies = 3")).containsExactly(" rule /s added: copies = 3");
        assertThat(diff("[[rule]]\npath = \"/s\"\ncopies = 3", "")).containsExactly("!rule /s removed: copies = 3");
        assertThat(diff("[[rule]]\npath = \"/s\"\ncopies = 3", "[[rule]]\npath = \"/s\"\nread_only = true"))
                .containsExactly("!rule /s: copies = 3 -> read_only = true");
        assertThat(diff(
                        "[[rule]]\npath = \"/a\"\ncopies=3\n[[rule]]\npath = \"/**\"\ncopies=2",
                        "[[rule]]\npath = \"/**\"\ncopies=2\n[[rule]]\npath = \"/a\"\ncopies=3"))
                .containsExactly("!rules in another order (the last match wins): /**, /a");
    }
}
