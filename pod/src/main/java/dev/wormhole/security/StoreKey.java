// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.seal.Secret;
import dev.wormhole.seal.SyntheticSeal;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * The key of a store that is encrypted: {@code keys/data.key}, random and made with the store, wrapped by a key file or by a
 * passphrase. The wrapping can be changed, the key cannot. Layout in docs/formats/store.md.
 */
public final class StoreKey {
    public static final int PASSPHRASE_LENGTH_MIN = 8;

    private static final String FILE = "data.key";
    private static final String BY_FILE = "WORMHOLE KEY BY FILE";
    /** {@link dev.wormhole.control.StoreFiles#wantsPassphrase} looks for it. */
    private static final String BY_PASSPHRASE = "WORMHOLE KEY BY PASSPHRASE";

    private static final String KEY_FILE = "unlock.key";
    private static final String KEY_FILE_BEGIN = "wormhole-key-1 ";
    private static final int KEY_FILE_BYTES_MAX = 4096;
    private static final byte[] CONTEXT = FILE.getBytes(StandardCharsets.US_ASCII);

    private StoreKey() {}

    /** What opens a store. */
    public sealed interface Lock {
        /** @param path of a key file; where there is none, one is made */
        record File(Path path) implements Lock {}

        record Passphrase(String text) implements Lock {
            @Override
            public String toString() {
                return "a passphrase";
            }
        }
    }

    /** Copies what opens the store to another folder of keys for it; nothing where it is not encrypted. */
    public static void copy(KeyFiles from, Path to) throws IOException {
        for (var name : List.of(FILE, KEY_FILE)) {
            var file = from.directory().resolve(name);
            if (Files.exists(file))
                Files.copy(
                        file,
                        to.resolve(name),
                        StandardCopyOption.COPY_ATTRIBUTES,
                        StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /** In the store itself: that is of use where the folder of keys, or a link in its place, lies elsewhere. */
    public static Lock.File besides(KeyFiles files) {
        return new Lock.File(files.directory().resolve(KEY_FILE));
    }

    public static boolean exists(KeyFiles files) {
        return files.exists(FILE);
    }

    /** A new key, wrapped and durable when this returns. */
    public static Secret make(KeyFiles files, Lock lock) throws IOException {
        var key = Secret.make(new SecureRandom());
        wrap(files, key, lock);
        return key;
    }

    /** Wraps the key anew, in place of what wrapped it before: after a crash the old or the new lock opens it. */
    public static void wrap(KeyFiles files, Secret key, Lock lock) throws IOException {
        switch (lock) {
            case Lock.Passphrase(var text) -> {
                if (text.codePointCount(0, text.length()) < PASSPHRASE_LENGTH_MIN)
                    throw new IOException("a passphrase needs " + PASSPHRASE_LENGTH_MIN
                            + " characters or more: whoever has the disk can try many a second");
                files.write(FILE, BY_PASSPHRASE, PassphraseBox.seal(text, key.bytes(), new SecureRandom()));
            }
            case Lock.File(var path) -> {
                var sealed = seal(keyFile(files, path)).seal(CONTEXT, key.bytes());
                var where = path.toString().getBytes(StandardCharsets.UTF_8);
                var bytes = ByteBuffer.allocate(2 + where.length + sealed.length)
                        .putShort((short) where.length)
                        .put(where)
                        .put(sealed);
                files.write(FILE, BY_FILE, bytes.array());
            }
        }
    }

    /**
     * Opens the key that is there.
     *
     * @param keyFile where it is now, if not where it was
     * @throws IOException if it cannot be opened so, with what to do; nothing is changed
     */
    public static Secret open(KeyFiles files, Optional<Path> keyFile, Optional<String> passphrase) throws IOException {
        try {
            if (files.isOfKind(FILE, BY_PASSPHRASE)) {
                if (passphrase.isEmpty())
                    throw new IOException(
                            "the store is encrypted with a passphrase and none was given: wormhole up asks"
                                    + " for it on a terminal, or reads it with --passphrase-file FILE");
                var opened = PassphraseBox.open(passphrase.get(), files.pem(FILE, BY_PASSPHRASE))
                        .orElseThrow(() -> new IOException(
                                "this passphrase does not open the store's key; nothing was changed, try again"));
                return Secret.of(opened);
            }
            var bytes = ByteBuffer.wrap(files.pem(FILE, BY_FILE));
            int whereBytes = bytes.remaining() < 2 ? -1 : Short.toUnsignedInt(bytes.getShort());
            if (whereBytes < 0 || bytes.remaining() < whereBytes) throw new GeneralSecurityException("it is damaged");
            var where = new byte[whereBytes];
            bytes.get(where);
            var sealed = new byte[bytes.remaining()];
            bytes.get(sealed);
            var path = keyFile.orElseGet(() -> Path.of(new String(where, StandardCharsets.UTF_8)));
            var key = seal(readKeyFile(path)).open(CONTEXT, sealed);
            if (key == null)
                throw new IOException(
                        "the key file " + path + " does not open this store's key: it is another's; name the"
                                + " right one in [storage] key_file");
            return Secret.of(key);
        } catch (GeneralSecurityException | IllegalArgumentException e) {
            throw new IOException(
                    files.directory().resolve(FILE) + " cannot be used: " + e.getMessage()
                            + "; put it back from a backup of the store's keys",
                    e);
        }
    }

    private static SyntheticSeal seal(Secret of) {
        return new SyntheticSeal(of, "wormhole data key 1");
    }

    private static Secret keyFile(KeyFiles files, Path path) throws IOException {
        if (Files.exists(path)) return readKeyFile(path);
        var made = Secret.make(new SecureRandom());
        files.writeText(path, KEY_FILE_BEGIN + HexFormat.of().formatHex(made.bytes()) + "\n");
        return made;
    }

    private static Secret readKeyFile(Path path) throws IOException {
        try {
            if (Files.size(path) > KEY_FILE_BYTES_MAX) throw noKeyFile(path);
            KeyFiles.requirePrivate(path);
            var text = Files.readString(path, StandardCharsets.US_ASCII).strip();
            if (!text.matches(KEY_FILE_BEGIN + "[0-9a-f]{" + 2 * Secret.BYTES + "}")) throw noKeyFile(path);
            return Secret.of(HexFormat.of().parseHex(text.substring(KEY_FILE_BEGIN.length())));
        } catch (NoSuchFileException e) {
            throw new IOException(
                    "the key file " + path + " is missing: put in the disk it is on, or name where it is in [storage]"
                            + " key_file; without it nobody can read this store",
                    e);
        } catch (java.nio.charset.CharacterCodingException e) {
            throw noKeyFile(path);
        }
    }

    private static IOException noKeyFile(Path path) {
        return new IOException(path + " is no key file of Wormhole");
    }
}
