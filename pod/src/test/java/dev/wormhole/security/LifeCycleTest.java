// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.consensus.NativeTls;
import dev.wormhole.security.Network.Kind;
import dev.wormhole.transfer.TcpTransport;
import dev.wormhole.transfer.Transport;
import dev.wormhole.transfer.Transport.Duplex;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Certificates that end and are renewed, authorities that follow on each other, keys in recovery files; with a clock that is set. */
@Timeout(60)
final class LifeCycleTest {
    private static final Instant START = Instant.parse("2026-03-01T12:00:00Z");
    private static final Duration LIFETIME = Duration.ofDays(90);
    private static final Network NETWORK = new Network(1);

    private static final Executor THREADS = Thread::startVirtualThread;

    private volatile Instant now = START;

    @TempDir
    private Path store;

    /** One pod: what it shows and whom it trusts may be changed while its connections stand. */
    private final class Pod {
        final KeyPair keys = Keys.generate();
        final PodIdentity identity;
        volatile Optional<Credentials> shown = Optional.empty();
        volatile List<X509Certificate> trusted;
        final Transport transport;

        Pod(int number, Authority authority, Kind kind) {
            identity = NETWORK.pod(number);
            trusted = List.of(authority.certificate());
            renew(authority);
            var trust = PodTrust.of(() -> trusted, () -> now, _ -> true);
            transport = new TlsTransport(new TcpTransport(), engines(trust, kind), trust);
        }

        private TlsEngines engines(PodTrust trust, Kind kind) {
            var manager = new PodKeyManager(() -> shown);
            if (kind == Kind.JDK) return new JdkTls(manager, trust);
            var tls = NativeTls.open(manager, trust).orElseThrow();
            return TlsEngines.of(tls::client, tls::server, NativeTls::release);
        }

        void renew(Authority authority) {
            try {
                shown = Optional.of(Credentials.of(
                        keys.getPrivate(),
                        authority.issue(keys.getPublic(), "pod", identity, now, LIFETIME),
                        authority.certificate(),
                        authority.link()));
            } catch (GeneralSecurityException e) {
                throw new AssertionError(e);
            }
        }

        /** A connection over which a byte went there and back, with a peer that is known. */
        Duplex meet(Pod other) throws Exception {
            try (var listener = other.transport.listen("127.0.0.1:0")) {
                var served = CompletableFuture.runAsync(
                        () -> {
                            try {
                                var accepted = listener.accept();
                                var byteRead = ByteBuffer.allocate(1);
                                while (byteRead.hasRemaining())
                                    if (accepted.read(byteRead) < 0) throw new IOException("ended");
                                accepted.authenticate(
                                        new dev.wormhole.transfer.Identity(NETWORK.id, 1, identity.incarnation()));
                                accepted.write(byteRead.flip());
                                THREADS.execute(() -> echo(accepted));
                            } catch (IOException e) {
                                throw new java.io.UncheckedIOException(e);
                            }
                        },
                        THREADS);
                var duplex = transport.connect(listener.address(), Duration.ofSeconds(5));
                try {
                    ping(duplex);
                    served.get(5, TimeUnit.SECONDS);
                    return duplex;
                } catch (Exception e) {
                    duplex.close();
                    throw e;
                }
            }
        }
    }

    private static void echo(Duplex duplex) {
        var buffer = ByteBuffer.allocate(100);
        try {
            while (duplex.read(buffer.clear()) >= 0) duplex.write(buffer.flip());
        } catch (IOException end) {
            duplex.close();
        }
    }

    private static void ping(Duplex duplex) throws IOException {
        duplex.write(ByteBuffer.wrap(new byte[] {7}));
        var answer = ByteBuffer.allocate(1);
        while (answer.hasRemaining()) if (duplex.read(answer) < 0) throw new IOException("ended");
        assertThat(answer.array()).containsExactly(7);
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void whatExpiredIsRefusedUntilItIsRenewedAndConnectionsGoOn(Kind kind) throws Exception {
        var authority = NETWORK.authority;
        var a = new Pod(1, authority, kind);
        var b = new Pod(2, authority, kind);
        now = START.plus(Duration.ofDays(80));
        b.renew(authority);
        var standing = a.meet(b);
        now = START.plus(Duration.ofDays(91));
        assertThatThrownBy(() -> a.meet(b)).isInstanceOf(Exception.class);
        assertThatThrownBy(() -> b.meet(a)).hasMessageContaining("expired at 2026-05-30");
        ping(standing);
        a.renew(authority);
        a.meet(b).close();
        b.meet(a).close();
        ping(standing);
        standing.close();
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void oneAuthorityFollowsAnotherWhileConnectionsStand(Kind kind) throws Exception {
        var old = Authority.create(NETWORK.id, "net", now);
        var next = old.successor(now);
        var a = new Pod(1, old, kind);
        var b = new Pod(2, old, kind);
        var asleep = new Pod(3, old, kind);
        var standing = a.meet(b);
        // Both count; pods renew one after the other.
        for (var pod : List.of(a, b)) pod.trusted = List.of(old.certificate(), next.certificate());
        a.renew(next);
        a.meet(b).close();
        b.meet(a).close();
        b.renew(next);
        a.meet(b).close();
        // One that knows the old alone is led on by what the others show.
        asleep.meet(a).close();
        b.meet(asleep).close();
        for (var pod : List.of(a, b)) pod.trusted = List.of(next.certificate());
        a.meet(b).close();
        assertThatThrownBy(() -> asleep.meet(a)).isInstanceOf(Exception.class);
        assertThatThrownBy(() -> a.meet(asleep)).hasMessageContaining("did not issue");
        asleep.renew(next);
        asleep.meet(a).close();
        ping(standing);
        standing.close();
    }

    /** Only an authority names its successor: a pod's own certificate, signed by the authority too, does not. */
    @Test
    void onlyTheAuthoritysWordLeadsToAnother() throws Exception {
        var old = Authority.create(NETWORK.id, "net", now);
        var next = old.successor(now);
        var third = next.successor(now);
        var link = next.link().orElseThrow();
        assertThat(Succession.follows(next.certificate(), link, old.certificate()))
                .isTrue();
        assertThat(Succession.follows(third.certificate(), link, old.certificate()))
                .isFalse();
        assertThat(Succession.follows(next.certificate(), next.certificate(), old.certificate()))
                .isFalse();
        assertThat(Succession.follows(next.certificate(), link, third.certificate()))
                .isFalse();
        // A pod's key certifies itself as an authority, and shows its pod's certificate as the link.
        var keys = Keys.generate();
        var pod = old.issue(keys.getPublic(), "pod", NETWORK.pod(3), now);
        var forged = Authority.create(NETWORK.id, "net", now);
        assertThat(Succession.follows(forged.certificate(), pod, old.certificate()))
                .isFalse();
        assertThat(Succession.follows(pod, pod, old.certificate())).isFalse();
        var other = Authority.create(new Network(2).id, "net", now);
        assertThat(Succession.follows(
                        other.certificate(), other.successor(now).link().orElseThrow(), old.certificate()))
                .isFalse();

        var a = new Pod(1, old, Kind.NATIVE);
        var liar = new Pod(2, forged.linked(Optional.of(pod)), Kind.NATIVE);
        assertThatThrownBy(() -> a.meet(liar)).isInstanceOf(Exception.class);

        var steps = List.of(
                new Succession.Step(old.certificate(), Optional.empty()),
                new Succession.Step(next.certificate(), next.link()),
                new Succession.Step(third.certificate(), third.link()));
        assertThat(Succession.trusted(List.of(old.certificate()), steps))
                .containsExactly(old.certificate(), next.certificate(), third.certificate());
        assertThat(Succession.trusted(List.of(next.certificate()), steps))
                .containsExactly(next.certificate(), third.certificate());
        assertThat(Succession.trusted(List.of(forged.certificate()), steps)).isEmpty();
        assertThat(Succession.trusted(List.of(old.certificate()), List.of(steps.get(0), steps.get(2))))
                .containsExactly(old.certificate());
    }

    @Test
    void anInvitationOfBeforeIsToldApart() throws Exception {
        var old = Authority.create(NETWORK.id, "net", now);
        var next = old.successor(now);
        var pod = new Pod(1, next, Kind.NATIVE);
        for (var authority : List.of(old, next)) {
            var token = JoinToken.make(authority.certificate().getPublicKey());
            var joining = TlsTransport.joining(new TcpTransport(), Optional.of(token), () -> now);
            try (var listener = pod.transport.listen("127.0.0.1:0")) {
                var served = CompletableFuture.runAsync(
                        () -> {
                            try {
                                echo(listener.accept());
                            } catch (IOException refused) {
                                // It is the other side that says why.
                            }
                        },
                        THREADS);
                try (var duplex = joining.connect(listener.address(), Duration.ofSeconds(5))) {
                    if (authority == next) assertThatCode(() -> ping(duplex)).doesNotThrowAnyException();
                    else assertThatThrownBy(() -> ping(duplex)).hasMessageContaining("ask for a new invitation");
                }
                served.get(5, TimeUnit.SECONDS);
            }
        }
    }

    @Test
    void certificatesAreRenewedWithAThirdLeftAndWhenTheNetworkWantsShorterLives() {
        var keys = Keys.generate();
        var certificate = NETWORK.authority.issue(keys.getPublic(), "pod", NETWORK.pod(1), START, LIFETIME);
        assertThat(Lifetimes.expiry(certificate)).isEqualTo(START.plus(LIFETIME));
        assertThat(Lifetimes.renewal(certificate, LIFETIME, START)).isEqualTo(START.plus(Duration.ofDays(60)));
        // The administrator's clock is a few hours ahead: no reason for another one.
        assertThat(Lifetimes.renewal(certificate, LIFETIME, START.minus(Duration.ofHours(5))))
                .isEqualTo(START.plus(Duration.ofDays(60)));
        assertThat(Lifetimes.renewal(certificate, Duration.ofDays(30), START)).isEqualTo(START);
        assertThat(Lifetimes.renewal(certificate, Duration.ofDays(300), START)).isBefore(START);
        var expiry = START.plus(LIFETIME);
        assertThat(Lifetimes.isWorrying(expiry, LIFETIME, START.plus(Duration.ofDays(62))))
                .isFalse();
        assertThat(Lifetimes.isWorrying(expiry, LIFETIME, START.plus(Duration.ofDays(64))))
                .isTrue();
    }

    // ---- files

    @Test
    void whatBelongsTogetherIsReplacedTogether() throws Exception {
        var files = new KeyFiles(store);
        var keys = files.ownKeys();
        var old = Authority.create(NETWORK.id, "net", now);
        var next = old.successor(now);
        files.write(old);
        files.write(old.issue(keys.getPublic(), "pod", NETWORK.pod(1), now), old.certificate());
        assertThat(files.trusted()).containsExactly(old.certificate());
        assertThat(files.next()).isEmpty();
        files.writeNext(next);
        assertThat(files.authority().orElseThrow().certificate()).isEqualTo(old.certificate());
        var read = files.next().orElseThrow();
        assertThat(read.certificate()).isEqualTo(next.certificate());
        assertThat(read.link()).isEqualTo(next.link());
        assertThat(old.issued(read.link().orElseThrow())).isTrue();
        files.write(read);
        files.forgetNext();
        assertThat(files.next()).isEmpty();
        assertThat(files.authority().orElseThrow().link()).isEqualTo(next.link());
        // A stop between the two: the pod still shows what the old one issued.
        assertThat(files.credentials().orElseThrow().authority()).isEqualTo(old.certificate());
        files.writeTrusted(List.of(old.certificate(), next.certificate()));
        assertThat(files.trusted()).containsExactly(old.certificate(), next.certificate());
        files.write(Credentials.of(
                keys.getPrivate(),
                next.issue(keys.getPublic(), "pod", NETWORK.pod(1), now, LIFETIME),
                next.certificate(),
                next.link()));
        var again = new KeyFiles(store).credentials().orElseThrow();
        assertThat(again.authority()).isEqualTo(next.certificate());
        assertThat(again.link()).isEqualTo(next.link());
    }

    @Test
    void severalMayWriteOneFileAtOnce() throws Exception {
        var files = new KeyFiles(store);
        files.ownKeys();
        var writers = new ArrayList<CompletableFuture<Void>>();
        for (var i = 0; i < 8; i++)
            writers.add(CompletableFuture.runAsync(
                    () -> {
                        try {
                            for (var j = 0; j < 10; j++) files.write(NETWORK.authority);
                        } catch (IOException e) {
                            throw new java.io.UncheckedIOException(e);
                        }
                    },
                    THREADS));
        for (var writer : writers) writer.get(30, TimeUnit.SECONDS);
        assertThat(files.authority().orElseThrow().certificate()).isEqualTo(NETWORK.authority.certificate());
    }

    // ---- recovery files

    private static final char[] PASSPHRASE = "correct horse battery".toCharArray();

    @Test
    void aRecoveryFileGivesTheKeyBackToWhoKnowsThePassphrase() throws Exception {
        var text = RecoveryFile.seal(NETWORK.authority, PASSPHRASE);
        assertThat(text).startsWith("-----BEGIN WORMHOLE AUTHORITY-----\n").hasSizeLessThan(2000);
        var opened = RecoveryFile.open(text, PASSPHRASE);
        assertThat(opened.certificate()).isEqualTo(NETWORK.authority.certificate());
        assertThat(opened.secretKey()).isEqualTo(NETWORK.authority.secretKey());
        assertThat(RecoveryFile.seal(NETWORK.authority, PASSPHRASE)).isNotEqualTo(text);
        assertThatThrownBy(() -> RecoveryFile.open(text, "correct horse batterz".toCharArray()))
                .hasMessageContaining("the passphrase is wrong")
                .hasMessageNotContaining("horse");
        // Composed and decomposed letters are the same passphrase.
        var composed = RecoveryFile.seal(NETWORK.authority, "caf\u00e9 caf\u00e9".toCharArray(), 10);
        assertThat(RecoveryFile.open(composed, "cafe\u0301 cafe\u0301".toCharArray())
                        .certificate())
                .isEqualTo(NETWORK.authority.certificate());
        assertThatThrownBy(() -> RecoveryFile.checked("seven77".toCharArray()))
                .isInstanceOf(IllegalArgumentException.class);
    }

    /** Whatever was changed in it, it is refused with a reason, and takes no more memory than a good one. */
    @Test
    void aDamagedRecoveryFileIsRefused() throws Exception {
        long seed = 20261123;
        var random = new Random(seed);
        var good = RecoveryFile.seal(NETWORK.authority, PASSPHRASE, 10);
        var bytes = KeyFiles.fromPem(good, "WORMHOLE AUTHORITY");
        var bad = new ArrayList<byte[]>();
        for (var i = 0; i < bytes.length; i++) {
            // Costly parameters are tried once each.
            if (i < 4) continue;
            if (i > 40 && random.nextInt(8) > 0) continue;
            var changed = bytes.clone();
            changed[i] ^= (byte) (1 << random.nextInt(8));
            bad.add(changed);
        }
        for (var head :
                new int[][] {{0, 2}, {1, 9}, {1, 17}, {1, 127}, {1, -1}, {2, 0}, {2, 9}, {2, -1}, {3, 0}, {3, 5}}) {
            var changed = bytes.clone();
            changed[head[0]] = (byte) head[1];
            bad.add(changed);
        }
        for (var i = 0; i < 50; i++) bad.add(java.util.Arrays.copyOf(bytes, random.nextInt(bytes.length)));
        for (var each : bad)
            assertThatThrownBy(() -> RecoveryFile.open(KeyFiles.toPem("WORMHOLE AUTHORITY", each), PASSPHRASE))
                    .as("seed %d", seed)
                    .isInstanceOf(GeneralSecurityException.class)
                    .hasMessageNotContaining("horse");
        for (var i = 0; i < 2000; i++) {
            var noise = new byte[random.nextInt(300)];
            random.nextBytes(noise);
            var text = random.nextBoolean()
                    ? new String(noise, java.nio.charset.StandardCharsets.ISO_8859_1)
                    : good.substring(0, random.nextInt(good.strip().length()));
            assertThatThrownBy(() -> RecoveryFile.open(text, PASSPHRASE))
                    .as("seed %d", seed)
                    .isInstanceOf(GeneralSecurityException.class);
        }
        assertThatThrownBy(() -> RecoveryFile.open("x".repeat(RecoveryFile.TEXT_MAX + 1), PASSPHRASE))
                .hasMessageContaining("too large");
    }
}
