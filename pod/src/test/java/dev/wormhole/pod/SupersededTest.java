// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.content.StoreHeader;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Reforming;
import dev.wormhole.security.Authority;
import dev.wormhole.security.Credentials;
import dev.wormhole.security.Keys;
import dev.wormhole.security.PodIdentity;
import dev.wormhole.security.Reformation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a pod believes of other generations: the signed word of a member of its own, and nothing else. */
final class SupersededTest {
    private static final UUID NETWORK = new UUID(7, 8);
    private static final Incarnation SELF = new Incarnation(1);
    private static final Incarnation THIRD = new Incarnation(3);
    private static final long SECOND_GENERATION = Reforming.after(1, 5);
    private static final Authority AUTHORITY = Authority.create(NETWORK, "net", Instant.now());

    @TempDir
    private Path store;

    private static Credentials member(Authority authority, UUID network, Incarnation pod, PodIdentity.Role role) {
        var keys = Keys.generate();
        try {
            return Credentials.of(
                    keys.getPrivate(),
                    authority.issue(keys.getPublic(), "pod", new PodIdentity(network, pod, role), Instant.now()),
                    authority.certificate());
        } catch (java.security.GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    private static Reformation word(
            long parent, long generation, Credentials by, Optional<Authority> authority, Incarnation... stay) {
        return Reformation.sign(
                NETWORK,
                parent,
                generation,
                "pod-3",
                99,
                1_700_000_000_000L,
                List.of(stay),
                List.of("10.0.0.3:7420"),
                List.of("10.0.0.2:7420"),
                by,
                authority);
    }

    private static Optional<Superseded> judge(byte[]... shown) {
        return Superseded.judge(List.of(shown), NETWORK, 1, SELF, List.of(AUTHORITY.certificate()));
    }

    private static Credentials third() {
        return member(AUTHORITY, NETWORK, THIRD, PodIdentity.Role.MEMBER);
    }

    @Test
    void whoIsListedByTheAuthorityIsTakenAlong() {
        var listed = word(1, SECOND_GENERATION, third(), Optional.of(AUTHORITY), SELF, THIRD);
        assertThat(judge(listed.encode())).hasValueSatisfying(found -> {
            assertThat(found.takesAlong()).isTrue();
            assertThat(found.last().generation()).isEqualTo(SECOND_GENERATION);
        });
        var left = word(1, SECOND_GENERATION, third(), Optional.of(AUTHORITY), THIRD);
        assertThat(judge(left.encode()))
                .hasValueSatisfying(found -> assertThat(found.takesAlong()).isFalse());
        var without = word(1, SECOND_GENERATION, third(), Optional.empty(), SELF, THIRD);
        assertThat(judge(without.encode()))
                .hasValueSatisfying(found -> assertThat(found.takesAlong()).isFalse());
    }

    /** As long as every one lists it; behind one that does not, it stays out. */
    @Test
    void severalGenerationsAreFollowedInOneGo() {
        long third = Reforming.after(SECOND_GENERATION, 6);
        var first = word(1, SECOND_GENERATION, third(), Optional.of(AUTHORITY), SELF, THIRD);
        var then = word(SECOND_GENERATION, third, third(), Optional.of(AUTHORITY), SELF, THIRD);
        assertThat(judge(then.encode(), first.encode())).hasValueSatisfying(found -> {
            assertThat(found.last().generation()).isEqualTo(third);
            assertThat(found.takesAlong()).isTrue();
        });
        var thenWithout = word(SECOND_GENERATION, third, third(), Optional.of(AUTHORITY), THIRD);
        assertThat(judge(first.encode(), thenWithout.encode()))
                .hasValueSatisfying(found -> assertThat(found.takesAlong()).isFalse());
        assertThat(judge(then.encode())).as("what lies between is not shown").isEmpty();
    }

    @Test
    void whatIsNotSignedByAMemberIsNotBelieved() throws Exception {
        var strange = Authority.create(NETWORK, "net", Instant.now());
        var impostor = member(strange, NETWORK, THIRD, PodIdentity.Role.MEMBER);
        assertThat(judge(word(1, SECOND_GENERATION, impostor, Optional.of(strange), SELF)
                        .encode()))
                .isEmpty();
        var client = member(AUTHORITY, NETWORK, THIRD, PodIdentity.Role.CLIENT);
        assertThat(judge(word(1, SECOND_GENERATION, client, Optional.empty(), SELF)
                        .encode()))
                .isEmpty();
        var elsewhere = member(AUTHORITY, new UUID(1, 1), THIRD, PodIdentity.Role.MEMBER);
        assertThat(judge(word(1, SECOND_GENERATION, elsewhere, Optional.empty(), SELF)
                        .encode()))
                .isEmpty();
        // The authority's part by another one: the member's alone would do, but this is no honest word.
        assertThat(judge(word(1, SECOND_GENERATION, third(), Optional.of(strange), SELF)
                        .encode()))
                .isEmpty();
        assertThat(judge(word(1, Reforming.after(SECOND_GENERATION, 1), third(), Optional.of(AUTHORITY), SELF)
                        .encode()))
                .as("a generation is left out")
                .isEmpty();
    }

    /** Every bit counts. */
    @Test
    void aChangedWordIsWorthNothing() {
        long seed = Long.getLong("seed", System.nanoTime());
        var random = new Random(seed);
        var good = word(1, SECOND_GENERATION, third(), Optional.of(AUTHORITY), SELF, THIRD)
                .encode();
        for (int i = 0; i < 300; i++) {
            var bad = good.clone();
            bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
            var judged = judge(bad);
            // Where the certificate's own unused bits, or a signature's form, take a change, what is said is the same.
            judged.ifPresent(
                    found -> assertThat(found.last().stay()).as("seed " + seed).containsExactly(SELF, THIRD));
            var cut = java.util.Arrays.copyOf(good, random.nextInt(good.length));
            assertThatThrownBy(() -> Reformation.decode(cut)).as("seed " + seed).isInstanceOf(IOException.class);
            var noise = new byte[random.nextInt(400)];
            random.nextBytes(noise);
            assertThat(judge(noise)).isEmpty();
        }
    }

    @Test
    void aPodRemembersItAndSaysWhatToDo() throws Exception {
        var header = new StoreHeader("net", NETWORK, 1, SELF, 1, 1, 0);
        assertThat(Superseded.read(store, header, List.of(AUTHORITY.certificate())))
                .isEmpty();
        var judged = judge(word(1, SECOND_GENERATION, third(), Optional.empty(), THIRD)
                        .encode())
                .orElseThrow();
        judged.write(store);
        var read =
                Superseded.read(store, header, List.of(AUTHORITY.certificate())).orElseThrow();
        assertThat(read).isEqualTo(judged);
        assertThat(read.advice(store))
                .contains(
                        "pod-3 began generation 2",
                        "keeps every byte",
                        "wormhole invite",
                        "wormhole join 10.0.0.3:7420 --token TOKEN --store " + store,
                        "remove " + store.resolve("superseded"));
        // A file that is damaged is no leave to serve again.
        Files.write(store.resolve("superseded"), Superseded.encode(List.of(new byte[] {1, 2, 3})));
        assertThatThrownBy(() -> Superseded.read(store, header, List.of(AUTHORITY.certificate())))
                .hasMessageContaining("re-formed without this pod");
        Files.write(store.resolve("superseded"), new byte[] {9});
        assertThatThrownBy(() -> Superseded.read(store, header, List.of(AUTHORITY.certificate())))
                .isInstanceOf(IOException.class);
    }
}
