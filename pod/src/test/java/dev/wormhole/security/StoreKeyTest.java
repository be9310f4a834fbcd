// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.wormhole.seal.Secret;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A store's key opens with its lock and with nothing else, and a lock that does not fit changes nothing. */
final class StoreKeyTest {
    @TempDir
    private Path folder;

    private Path store = Path.of("/nowhere");
    private KeyFiles files = new KeyFiles(store);

    @BeforeEach
    void aStore() throws IOException {
        store = Files.createDirectory(folder.resolve("store"));
        files = new KeyFiles(store);
    }

    private Secret open(Optional<Path> keyFile, Optional<String> passphrase) throws IOException {
        return StoreKey.open(files, keyFile, passphrase);
    }

    @Test
    void aPassphraseOpensItAndCanBeChanged() throws IOException {
        var key = StoreKey.make(files, new StoreKey.Lock.Passphrase("correct horse"));
        assertThat(open(Optional.empty(), Optional.of("correct horse"))).isEqualTo(key);
        byte[] before = Files.readAllBytes(files.directory().resolve("data.key"));
        assertThatThrownBy(() -> open(Optional.empty(), Optional.of("correct Horse")))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("does not open");
        assertThatThrownBy(() -> open(Optional.empty(), Optional.empty()))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("--passphrase-file");
        assertThatThrownBy(() -> StoreKey.wrap(files, key, new StoreKey.Lock.Passphrase("short")))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("8 characters");
        assertThat(Files.readAllBytes(files.directory().resolve("data.key"))).isEqualTo(before);

        StoreKey.wrap(files, key, new StoreKey.Lock.Passphrase("ba\u0308tterie staple")); // a and its dots apart
        assertThat(open(Optional.empty(), Optional.of("b\u00e4tterie staple"))).isEqualTo(key);
        assertThatThrownBy(() -> open(Optional.empty(), Optional.of("correct horse")))
                .isInstanceOf(IOException.class);
    }

    @Test
    void aKeyFileOpensItWhereverItIsMoved() throws IOException {
        var usb = folder.resolve("usb.key");
        var key = StoreKey.make(files, new StoreKey.Lock.File(usb));
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(usb)))
                .isEqualTo("rw-------");
        assertThat(open(Optional.empty(), Optional.empty())).isEqualTo(key);
        var moved = Files.move(usb, folder.resolve("elsewhere.key"));
        assertThatThrownBy(() -> open(Optional.empty(), Optional.empty()))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(usb.toString())
                .hasMessageContaining("missing");
        assertThat(open(Optional.of(moved), Optional.empty())).isEqualTo(key);

        var others = folder.resolve("others.key");
        StoreKey.make(new KeyFiles(Files.createDirectory(folder.resolve("other"))), new StoreKey.Lock.File(others));
        assertThatThrownBy(() -> open(Optional.of(others), Optional.empty()))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("another's");
        Files.writeString(others, "no key");
        assertThatThrownBy(() -> open(Optional.of(others), Optional.empty()))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("no key file");
        Files.setPosixFilePermissions(moved, PosixFilePermissions.fromString("rw-r--r--"));
        assertThatThrownBy(() -> open(Optional.of(moved), Optional.empty()))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("chmod 600");
        Files.setPosixFilePermissions(moved, PosixFilePermissions.fromString("rw-------"));
        assertThat(open(Optional.of(moved), Optional.empty())).isEqualTo(key);
    }

    @Test
    void fromAPassphraseToAKeyFileAndBack() throws IOException {
        var key = StoreKey.make(files, new StoreKey.Lock.Passphrase("correct horse"));
        StoreKey.wrap(files, key, StoreKey.besides(files));
        assertThat(open(Optional.empty(), Optional.empty())).isEqualTo(key);
        StoreKey.wrap(files, key, new StoreKey.Lock.Passphrase("correct horse"));
        assertThat(open(Optional.empty(), Optional.of("correct horse"))).isEqualTo(key);
    }

    @Test
    void noChangedBitOfAWrappedKeyGivesAnotherKey() throws GeneralSecurityException {
        byte[] secret = "thirty-two bytes that are secret".getBytes(StandardCharsets.US_ASCII);
        byte[] box = PassphraseBox.seal("correct horse", secret, new SecureRandom());
        assertThat(PassphraseBox.open("correct horse", box))
                .hasValueSatisfying(opened -> assertThat(opened).isEqualTo(secret));
        for (int at = 0; at < box.length; at += 19) { // each costs what a guess costs
            byte[] changed = box.clone();
            changed[at] ^= 1;
            if (at == 0) {
                assertThatThrownBy(() -> PassphraseBox.open("correct horse", changed))
                        .isInstanceOf(GeneralSecurityException.class);
            } else {
                assertThat(PassphraseBox.open("correct horse", changed)).isEmpty();
            }
        }
        assertThatThrownBy(() -> PassphraseBox.open("correct horse", new byte[20]))
                .isInstanceOf(GeneralSecurityException.class);
        byte[] greedy = box.clone();
        greedy[1] = 30; // 32 TiB
        assertThatThrownBy(() -> PassphraseBox.open("correct horse", greedy))
                .isInstanceOf(GeneralSecurityException.class);
    }

    /** Made by version 1, and opened by Python's scrypt and OpenSSL too. */
    @Test
    void aBoxOfAReleasedVersionIsOpened() throws GeneralSecurityException {
        byte[] box = HexFormat.of()
                .parseHex(
                        "010f0803ddd7167da81ea652d93872b03e21bd0c61008f7bc923029355548659ce812f25c696566c6918fa90768e0103"
                                + "095b7015545d8c12a48575e8327da97293c52a0120bc9181d3ed87512f437eb6");
        assertThat(PassphraseBox.open("correct horse", box).map(HexFormat.of()::formatHex))
                .contains("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    }

    @Test
    void secretFilesOfAnEncryptedStoreAreSealed() throws IOException {
        var key = StoreKey.make(files, StoreKey.besides(files));
        var sealed = files.sealedWith(key);
        var own = sealed.ownKeys();
        var network = Secret.make(new SecureRandom());
        sealed.writeNetworkKey(network);
        assertThat(sealed.ownKeys().getPrivate()).isEqualTo(own.getPrivate());
        assertThat(sealed.networkKey()).contains(network);
        assertThat(Files.readString(files.directory().resolve("pod.key"))).contains("SEALED");
        assertThatThrownBy(() -> files.ownKeys()).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> files.networkKey()).isInstanceOf(IOException.class);
        var wrong = files.sealedWith(Secret.make(new SecureRandom()));
        assertThatThrownBy(() -> wrong.ownKeys())
                .isInstanceOf(IOException.class)
                .hasMessageContaining("another key");
        // one sealed file does not pass for another
        Files.copy(
                files.directory().resolve("pod.key"),
                files.directory().resolve("network.key"),
                java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        assertThatThrownBy(() -> sealed.networkKey()).isInstanceOf(IOException.class);
    }
}
