// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

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

/**
 * Keys and certificates in a pod's store, as PEM: {@code keys/pod.key}, {@code pod.pub}, {@code pod.crt},
 * {@code authority.crt}, and on an administrator's pod {@code authority.key}. The directory is 0700 and each file 0600; a key
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

    private final Path store;
    private final Path directory;

    /** @param store the pod's store; nothing is made there before something is written */
    public KeyFiles(Path store) {
        this.store = store;
        directory = store.resolve("keys");
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
        write(KEY, "PRIVATE KEY", made.getPrivate().getEncoded());
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
            write(AUTHORITY_KEY, "PRIVATE KEY", authority.key().getEncoded());
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
        var open = Files.getPosixFilePermissions(directory.resolve(file), LinkOption.NOFOLLOW_LINKS);
        if (!OWNER_FILE.containsAll(open))
            throw new IOException("the key " + directory.resolve(file) + " is readable by others ("
                    + PosixFilePermissions.toString(open) + "); if nobody else has read it: chmod 600 "
                    + directory.resolve(file));
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(pem(file, "PRIVATE KEY")));
    }

    private boolean exists(String file) {
        return Files.exists(directory.resolve(file), LinkOption.NOFOLLOW_LINKS);
    }

    private IOException unusable(String file, GeneralSecurityException why) {
        return new IOException(
                directory.resolve(file) + " cannot be used: " + why.getMessage()
                        + "; put it back from a backup of this store, or join again with an empty store and another --name",
                why);
    }

    private byte[] pem(String file, String kind) throws IOException, GeneralSecurityException {
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

    private void write(String file, String kind, byte[] bytes) throws IOException {
        try {
            Files.createDirectory(
                    directory, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            sync(store);
        } catch (FileAlreadyExistsException there) {
            Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwx------"));
        }
        var temporary = directory.resolve(file + ".new");
        Files.deleteIfExists(temporary);
        try (var channel = FileChannel.open(
                temporary,
                Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(OWNER_FILE))) {
            var text = ByteBuffer.wrap(toPem(kind, bytes).getBytes(StandardCharsets.US_ASCII));
            while (text.hasRemaining()) channel.write(text);
            channel.force(true);
        }
        Files.move(temporary, directory.resolve(file), StandardCopyOption.ATOMIC_MOVE);
        sync(directory);
    }

    private static void sync(Path folder) throws IOException {
        try (var channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
