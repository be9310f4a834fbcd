// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.time.Instant;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Certificates, keys on disk, tokens and requests. */
final class SecurityTest {
    private static final Network NETWORK = new Network(3);

    @TempDir
    private Path store;

    private static String mode(Path path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    }

    // ---- certificates

    @Test
    void aCertificateSaysWhoItsHolderIs() throws Exception {
        for (var role : PodIdentity.Role.values()) {
            var identity = new PodIdentity(NETWORK.id, new Incarnation((1 << 24) - 1), role);
            var certificate = NETWORK.credentials(identity, Instant.now()).certificate();
            assertThat(PodIdentity.of(certificate)).isEqualTo(identity);
            assertThat(certificate.getBasicConstraints()).isEqualTo(-1);
            assertThat(certificate.getSigAlgName()).isEqualTo("SHA256withECDSA");
        }
        assertThat(NETWORK.authority.certificate().getBasicConstraints()).isZero();
        assertThatThrownBy(() -> PodIdentity.of(NETWORK.authority.certificate()))
                .hasMessageContaining("names no pod");
        assertThat(PodTrust.network(NETWORK.authority.certificate())).isEqualTo(NETWORK.id.toString());
    }

    @Test
    void onlyWhatBelongsTogetherIsTaken() {
        var one = NETWORK.credentials(1);
        var two = NETWORK.credentials(2);
        assertThatThrownBy(() -> Credentials.of(one.key(), two.certificate(), two.authority()))
                .isInstanceOf(GeneralSecurityException.class);
        assertThatThrownBy(() -> Credentials.of(one.key(), one.certificate(), new Network(4).authority.certificate()))
                .hasMessageContaining("not of the network's authority");
        assertThat(one.toString()).isEqualTo("credentials of " + NETWORK.pod(1));
    }

    @Test
    void aFingerprintIsOfAMachineAndANetwork() {
        var one = Keys.generate().getPublic();
        var authority = NETWORK.authority.certificate().getPublicKey();
        var other = new Network(3).authority.certificate().getPublicKey();
        var print = Keys.fingerprint(one, authority);
        assertThat(print).matches("[0-9a-f]{4}(-[0-9a-f]{4}){3}").isEqualTo(Keys.fingerprint(one, authority));
        assertThat(print)
                .isNotEqualTo(Keys.fingerprint(one, other))
                .isNotEqualTo(Keys.fingerprint(Keys.generate().getPublic(), authority));
    }

    // ---- files

    @Test
    void keysAreForTheirOwnerAloneAndStay() throws Exception {
        var files = new KeyFiles(store);
        assertThat(files.credentials()).isEmpty();
        assertThat(files.authority()).isEmpty();
        var keys = files.ownKeys();
        assertThat(files.ownKeys().getPublic()).isEqualTo(keys.getPublic());
        files.write(NETWORK.authority);
        files.write(
                NETWORK.authority.issue(keys.getPublic(), "pod", NETWORK.pod(1), Instant.now()),
                NETWORK.authority.certificate());
        var again = new KeyFiles(store);
        assertThat(again.credentials().orElseThrow().identity()).isEqualTo(NETWORK.pod(1));
        assertThat(again.authority().orElseThrow().certificate()).isEqualTo(NETWORK.authority.certificate());
        assertThat(mode(store.resolve("keys"))).isEqualTo("rwx------");
        try (var list = Files.list(store.resolve("keys"))) {
            for (var file : list.toList())
                assertThat(mode(file)).as(file.toString()).isEqualTo("rw-------");
        }
    }

    @Test
    void whatCannotBeUsedIsSaidAndNeverReplaced() throws Exception {
        var files = new KeyFiles(store);
        var keys = files.ownKeys();
        files.write(
                NETWORK.authority.issue(keys.getPublic(), "pod", NETWORK.pod(1), Instant.now()),
                NETWORK.authority.certificate());
        var key = store.resolve("keys/pod.key");
        Files.setPosixFilePermissions(key, PosixFilePermissions.fromString("rw-r-----"));
        assertThatThrownBy(files::credentials)
                .hasMessageContaining("readable by others")
                .hasMessageContaining("chmod 600");
        Files.setPosixFilePermissions(key, PosixFilePermissions.fromString("rw-------"));
        var good = Files.readString(key);
        for (var bad : new String[] {"", "nonsense", good.substring(0, good.length() / 2), good.replace('M', 'N')}) {
            Files.writeString(key, bad);
            assertThatThrownBy(files::credentials)
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("cannot be used")
                    .hasMessageNotContaining(good.substring(40, 60));
            assertThatThrownBy(files::ownKeys).isInstanceOf(IOException.class);
            assertThat(Files.readString(key)).isEqualTo(bad);
        }
        Files.writeString(key, good);
        assertThat(files.credentials()).isPresent();
        Files.delete(store.resolve("keys/authority.crt"));
        assertThat(files.credentials()).isPresent(); // its authority stands behind the certificate
        // As older builds left it: the authority in its own file alone.
        var certificate = store.resolve("keys/pod.crt");
        var both = Files.readString(certificate);
        var end = both.indexOf("-----BEGIN", 1);
        Files.writeString(certificate, both.substring(0, end));
        assertThatThrownBy(files::credentials).hasMessageContaining("authority.crt is missing");
        Files.writeString(store.resolve("keys/authority.crt"), both.substring(end));
        assertThat(files.credentials().orElseThrow().authority()).isEqualTo(NETWORK.authority.certificate());
        files.writeTrusted(java.util.List.of(new Network(2).authority.certificate()));
        assertThatThrownBy(files::credentials).hasMessageContaining("not of the network's authority");
    }

    // ---- tokens

    @Test
    void aTokenIsReadBackAndItsTypingErrorsAreFound() {
        var token = JoinToken.make(NETWORK.authority.certificate().getPublicKey());
        var text = token.text();
        assertThat(text).matches("A[A-Za-z0-9_-]{47}");
        var read = JoinToken.parse(" " + text + "\n");
        assertThat(read.id()).isEqualTo(token.id()).hasSize(32);
        assertThat(read.pins(NETWORK.authority.certificate())).isTrue();
        assertThat(read.pins(new Network(3).authority.certificate())).isFalse();
        assertThat(token.toString()).doesNotContain(text);
        for (var i = 0; i < text.length(); i++) {
            var wrong = text.substring(0, i) + (text.charAt(i) == 'x' ? 'y' : 'x') + text.substring(i + 1);
            assertThatThrownBy(() -> JoinToken.parse(wrong))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageNotContaining(wrong.substring(10, 20));
        }
        for (var wrong : new String[] {"", "A", text.substring(1), text + "A", "!".repeat(48)})
            assertThatThrownBy(() -> JoinToken.parse(wrong)).isInstanceOf(IllegalArgumentException.class);
        assertThat(JoinToken.make(NETWORK.authority.certificate().getPublicKey())
                        .text())
                .isNotEqualTo(text);
    }

    // ---- requests

    private static final byte[] SETTINGS = "settings".getBytes(StandardCharsets.US_ASCII);

    @Test
    void aRequestProvesItsKeyAndItsToken() throws Exception {
        var authority = NETWORK.authority.certificate().getPublicKey();
        var keys = Keys.generate();
        var token = JoinToken.make(authority);
        var request = JoinRequest.decode(
                JoinRequest.make(keys, "nas-2", SETTINGS, Optional.of(token)).encode());
        assertThat(request.verify(authority)).isEqualTo(keys.getPublic());
        assertThat(request.tokenId().orElseThrow()).isEqualTo(token.id());
        assertThat(request.settings()).isEqualTo(SETTINGS);
        // What travels does not say the token.
        assertThat(new String(request.encode(), StandardCharsets.ISO_8859_1)).doesNotContain(token.text());
        var without = JoinRequest.decode(
                JoinRequest.make(keys, "nas-2", SETTINGS, Optional.empty()).encode());
        assertThat(without.tokenId()).isEmpty();
        assertThat(without.verify(authority)).isEqualTo(keys.getPublic());
    }

    /** What one machine was given serves no other: not with another key, other settings, or at another network. */
    @Test
    void aTokensSignatureFitsOneRequestOnly() throws Exception {
        var authority = NETWORK.authority.certificate().getPublicKey();
        var token = JoinToken.make(authority);
        var mine = JoinRequest.make(Keys.generate(), "nas-2", SETTINGS, Optional.of(token));
        var thief = JoinRequest.make(Keys.generate(), "nas-2", SETTINGS, Optional.empty());
        var stolen = new JoinRequest(thief.pkcs10(), SETTINGS, mine.tokenKey(), mine.signature());
        assertThatThrownBy(() -> stolen.verify(authority)).hasMessageContaining("did not sign this");
        var renamed = new JoinRequest(mine.pkcs10(), new byte[] {1}, mine.tokenKey(), mine.signature());
        assertThatThrownBy(() -> renamed.verify(authority)).hasMessageContaining("did not sign this");
        assertThatThrownBy(
                        () -> mine.verify(new Network(5).authority.certificate().getPublicKey()))
                .hasMessageContaining("of another network");
        var other = JoinToken.make(authority);
        var swapped = new JoinRequest(mine.pkcs10(), SETTINGS, other.publicKey(), mine.signature());
        assertThatThrownBy(() -> swapped.verify(authority)).hasMessageContaining("did not sign this");
    }

    /** Damaged in a few places, cut, or random: an answer is a refusal, never another exception. */
    @Test
    void noBytesBringTheReaderOfRequestsDown() throws Exception {
        var authority = NETWORK.authority.certificate().getPublicKey();
        var token = JoinToken.make(authority);
        var whole = JoinRequest.make(Keys.generate(), "nas-2", SETTINGS, Optional.of(token))
                .encode();
        var accepted = 0;
        for (var seed = 1; seed <= 3000; seed++) {
            var random = new Random(seed);
            var bytes = whole.clone();
            for (var i = 1 + random.nextInt(3); i > 0; i--)
                bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
            if (random.nextInt(5) == 0) bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
            if (random.nextInt(20) == 0) random.nextBytes(bytes);
            try {
                var unused = JoinRequest.decode(bytes).verify(authority);
                if (!Arrays.equals(bytes, whole)) accepted++;
            } catch (IOException | GeneralSecurityException expected) {
                // refused
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed, e);
            }
        }
        assertThat(accepted).isZero();
    }

    @Test
    void noBytesBringTheReadersOfTokensAndKeysDown() {
        for (var seed = 1; seed <= 3000; seed++) {
            var random = new Random(seed);
            var bytes = new byte[random.nextInt(80)];
            random.nextBytes(bytes);
            var text = new String(bytes, StandardCharsets.ISO_8859_1);
            assertThatThrownBy(() -> JoinToken.parse(text)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> KeyFiles.fromPem(text, "PRIVATE KEY"))
                    .isInstanceOf(GeneralSecurityException.class);
            assertThatThrownBy(() -> KeyFiles.parse(bytes)).isInstanceOf(GeneralSecurityException.class);
        }
    }
}
