// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.seal.Secret;
import dev.wormhole.seal.SyntheticSeal;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.InvalidKeyException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Keys and certificates in a pod's store, as PEM: {@code keys/pod.key}, {@code pod.pub}, {@code pod.crt},
 * {@code authority.crt}, on an administrator's pod {@code authority.key}, and {@code network.key} in a network whose names are
 * sealed. In an encrypted store what is secret is sealed too. The directory is 0700 and each file 0600; a key
 * that others can read is refused. Each file is written whole and synced, and replaces its predecessor in one step. One
 * process at a time, which the store's lock sees to.
 */
public final class KeyFiles {
    private static final String KEY = "pod.key";
    private static final String PUBLIC = "pod.pub";
    private static final String CERTIFICATE = "pod.crt";
    private static final String AUTHORITY = "authority.crt";
    private static final String AUTHORITY_KEY = "authority.key";
    /** Far above what a key or certificate needs. */
    private static final long FILE_BYTES_MAX = 64 << 10;

    private static final Set<PosixFilePermission> OWNER_FILE =
            EnumSet.of(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE);

    private static final String NETWORK_KEY = "network.key";
    private static final String SEALED = "WORMHOLE SEALED KEY";

    private static final Set<PosixFilePermission> OWNER = EnumSet.of(
            PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE, PosixFilePermission.OWNER_EXECUTE);

    private final Path store;
    private final Path directory;
    private final @Nullable SyntheticSeal seal;

    /** @param store the pod's store; nothing is made there before something is written */
    public KeyFiles(Path store) {
        this(store, null);
    }

    private KeyFiles(Path store, @Nullable SyntheticSeal seal) {
        this.store = store;
        this.seal = seal;
        directory = store.resolve("keys");
    }

    /** The same files, of an encrypted store: what is secret in them is sealed with its key. */
    public KeyFiles sealedWith(Secret key) {
        return new KeyFiles(store, new SyntheticSeal(key, "wormhole keys 1"));
    }

    public Path directory() {
        return directory;
    }

    /** The pod's key, made and durable when this returns; the same at every call, so that a repeated join is recognised. */
    public KeyPair ownKeys() throws IOException {
        if (exists(KEY) && exists(PUBLIC)) {
            try {
                var key = privateKey(KEY);
                var factory = KeyFactory.getInstance("EC");
                var open = factory.generatePublic(new X509EncodedKeySpec(pem(PUBLIC, "PUBLIC KEY")));
                checkPair(key, open);
                return new KeyPair(open, key);
            } catch (GeneralSecurityException e) {
                throw unusable(KEY, e);
            }
        }
        var made = Keys.generate();
        writeSecret(KEY, "PRIVATE KEY", made.getPrivate().getEncoded());
        write(PUBLIC, "PUBLIC KEY", made.getPublic().getEncoded());
        return made;
    }

    /** Durable when this returns. */
    public void write(X509Certificate certificate, X509Certificate authority) throws IOException {
        try {
            write(AUTHORITY, "CERTIFICATE", authority.getEncoded());
            write(CERTIFICATE, "CERTIFICATE", certificate.getEncoded());
        } catch (GeneralSecurityException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
    }

    /** Durable when this returns. */
    public void write(Authority authority) throws IOException {
        try {
            writeSecret(AUTHORITY_KEY, "PRIVATE KEY", authority.key().getEncoded());
            write(AUTHORITY, "CERTIFICATE", authority.certificate().getEncoded());
        } catch (GeneralSecurityException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
    }

    /** Empty before the pod has a certificate. @throws IOException if what is there cannot be used, with the reason */
    public Optional<Credentials> credentials() throws IOException {
        if (!exists(CERTIFICATE)) return Optional.empty();
        try {
            return Optional.of(Credentials.of(privateKey(KEY), certificate(CERTIFICATE), certificate(AUTHORITY)));
        } catch (GeneralSecurityException e) {
            throw unusable(CERTIFICATE, e);
        }
    }

    /** Empty on a pod that is no administrator's. @throws IOException if what is there cannot be used, with the reason */
    public Optional<Authority> authority() throws IOException {
        if (!exists(AUTHORITY_KEY)) return Optional.empty();
        try {
            return Optional.of(Authority.of(privateKey(AUTHORITY_KEY), certificate(AUTHORITY)));
        } catch (GeneralSecurityException e) {
            throw unusable(AUTHORITY_KEY, e);
        }
    }

    /** The secret that seals names and log of the network; durable when this returns. */
    public void writeNetworkKey(Secret secret) throws IOException {
        writeSecret(NETWORK_KEY, "WORMHOLE NETWORK KEY", secret.bytes());
    }

    /** Empty in a network whose names are not sealed. */
    public Optional<Secret> networkKey() throws IOException {
        if (!exists(NETWORK_KEY)) return Optional.empty();
        try {
            return Optional.of(Secret.of(secret(NETWORK_KEY, "WORMHOLE NETWORK KEY")));
        } catch (GeneralSecurityException | IllegalArgumentException e) {
            throw unusable(NETWORK_KEY, new GeneralSecurityException(e.getMessage(), e));
        }
    }

    private void writeSecret(String file, String kind, byte[] bytes) throws IOException {
        if (seal == null) write(file, kind, bytes);
        else write(file, SEALED, seal.seal(file.getBytes(StandardCharsets.US_ASCII), bytes));
    }

    private byte[] secret(String file, String kind) throws IOException, GeneralSecurityException {
        requirePrivate(directory.resolve(file));
        if (seal == null) return pem(file, kind);
        var opened = seal.open(file.getBytes(StandardCharsets.US_ASCII), pem(file, SEALED));
        if (opened == null) throw new GeneralSecurityException("it is sealed with another key, or was changed");
        return opened;
    }

    static void checkPair(PrivateKey key, PublicKey open) throws GeneralSecurityException {
        var probe = new byte[] {'w', 'o', 'r', 'm', 'h', 'o', 'l', 'e'};
        var signer = Signature.getInstance(Keys.SIGNATURE);
        signer.initSign(key);
        signer.update(probe);
        var signature = signer.sign();
        signer.initVerify(open);
        signer.update(probe);
        if (!signer.verify(signature)) throw new InvalidKeyException("the key is not that of the certificate");
    }

    /** One certificate from its bytes. @throws GeneralSecurityException if they are none */
    public static X509Certificate parse(byte[] encoded) throws GeneralSecurityException {
        Certificate read =
                CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(encoded));
        if (!(read instanceof X509Certificate certificate)) throw new GeneralSecurityException("no X.509 certificate");
        return certificate;
    }

    private X509Certificate certificate(String file) throws IOException, GeneralSecurityException {
        return parse(pem(file, "CERTIFICATE"));
    }

    private PrivateKey privateKey(String file) throws IOException, GeneralSecurityException {
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(secret(file, "PRIVATE KEY")));
    }

    static void requirePrivate(Path key) throws IOException {
        var open = Files.getPosixFilePermissions(key, LinkOption.NOFOLLOW_LINKS);
        if (!OWNER.containsAll(open)) // disks without permissions of their own say that the owner may run it
        throw new IOException("the key " + key + " is readable by others (" + PosixFilePermissions.toString(open)
                + "); if nobody else has read it: chmod 600 " + key);
    }

    boolean isOfKind(String file, String kind) throws IOException {
        return Files.readString(directory.resolve(file), StandardCharsets.ISO_8859_1)
                .startsWith("-----BEGIN " + kind + "-----");
    }

    boolean exists(String file) {
        return Files.exists(directory.resolve(file), LinkOption.NOFOLLOW_LINKS);
    }

    private IOException unusable(String file, GeneralSecurityException why) {
        return new IOException(
                directory.resolve(file) + " cannot be used: " + why.getMessage()
                        + "; put it back from a backup of this store, or join again with an empty store and another --name",
                why);
    }

    byte[] pem(String file, String kind) throws IOException, GeneralSecurityException {
        var path = directory.resolve(file);
        try {
            if (Files.size(path) > FILE_BYTES_MAX) throw new GeneralSecurityException("too large");
            return fromPem(Files.readString(path, StandardCharsets.US_ASCII), kind);
        } catch (NoSuchFileException e) {
            throw new GeneralSecurityException(path.getFileName() + " is missing", e);
        } catch (java.nio.charset.CharacterCodingException e) {
            throw new GeneralSecurityException("it is no PEM", e);
        }
    }

    /** The bytes in a text of one PEM block. @throws GeneralSecurityException if it is none of that kind */
    static byte[] fromPem(String text, String kind) throws GeneralSecurityException {
        var begin = "-----BEGIN " + kind + "-----";
        var end = "-----END " + kind + "-----";
        var trimmed = text.strip();
        if (!trimmed.startsWith(begin) || !trimmed.endsWith(end) || trimmed.length() < begin.length() + end.length())
            throw new GeneralSecurityException("it is no PEM of a " + kind.toLowerCase(java.util.Locale.ROOT));
        try {
            return Base64.getMimeDecoder().decode(trimmed.substring(begin.length(), trimmed.length() - end.length()));
        } catch (IllegalArgumentException e) {
            throw new GeneralSecurityException("it is no PEM", e);
        }
    }

    private static String toPem(String kind, byte[] bytes) {
        var lines = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
        return "-----BEGIN " + kind + "-----\n" + lines + "\n-----END " + kind + "-----\n";
    }

    void write(String file, String kind, byte[] bytes) throws IOException {
        writeText(directory.resolve(file), toPem(kind, bytes));
    }

    /** Whole and synced, for its owner alone; in the folder of keys, which is made, or another, which is there. */
    void writeText(Path target, String content) throws IOException {
        if (directory.equals(target.getParent())) makeDirectory();
        var temporary = target.resolveSibling(target.getFileName() + ".new");
        Files.deleteIfExists(temporary);
        try (var channel = FileChannel.open(
                temporary,
                Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(OWNER_FILE))) {
            var text = ByteBuffer.wrap(content.getBytes(StandardCharsets.US_ASCII));
            while (text.hasRemaining()) channel.write(text);
            channel.force(true);
        }
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        var folder = target.getParent();
        if (folder != null) sync(folder);
    }

    private void makeDirectory() throws IOException {
        try {
            Files.createDirectory(
                    directory, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            sync(store);
        } catch (FileAlreadyExistsException there) {
            Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwx------"));
        }
    }

    private static void sync(Path folder) throws IOException {
        try (var channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
