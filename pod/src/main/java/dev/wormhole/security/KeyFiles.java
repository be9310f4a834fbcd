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
import java.util.ArrayList;
import java.util.Base64;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Keys and certificates in a pod's store, as PEM: {@code keys/pod.key}, {@code pod.pub}, {@code pod.crt} (with the authority
 * that issued it), {@code authority.crt} (those that count), on an administrator's pod {@code authority.key}, and
 * {@code network.key} in a network whose names are sealed. What must fit together stands in one file. In an encrypted store
 * what is secret is sealed too. The directory is 0700 and each file 0600; a key that others can read is refused. Each file is
 * written whole and synced, and replaces its predecessor in one step. One process at a time, which the store's lock sees to.
 */
public final class KeyFiles {
    private static final String KEY = "pod.key";
    private static final String PUBLIC = "pod.pub";
    private static final String CERTIFICATE = "pod.crt";
    private static final String AUTHORITY = "authority.crt";
    private static final String AUTHORITY_KEY = "authority.key";
    /** The authority that is to follow, until the network has agreed. */
    private static final String NEXT_KEY = "authority-next.key";

    /** Far above what a key or certificate needs. */
    private static final long FILE_BYTES_MAX = 64 << 10;

    private static final Set<PosixFilePermission> OWNER_FILE =
            EnumSet.of(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE);

    private static final String NETWORK_KEY = "network.key";
    private static final String SEALED = "WORMHOLE SEALED KEY";

    private static final Set<PosixFilePermission> OWNER = EnumSet.of(
            PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE, PosixFilePermission.OWNER_EXECUTE);

    private static final Pattern BEGIN = Pattern.compile("-----BEGIN ([A-Z ]{1,40})-----");

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
        writeSecret(KEY, toPem("PRIVATE KEY", made.getPrivate().getEncoded()));
        write(PUBLIC, "PUBLIC KEY", made.getPublic().getEncoded());
        return made;
    }

    /** Durable when this returns. */
    public void write(X509Certificate certificate, X509Certificate authority) throws IOException {
        writeTrusted(List.of(authority));
        write(CERTIFICATE, pem(certificate) + pem(authority));
    }

    /** Durable when this returns. */
    public void write(Credentials credentials) throws IOException {
        var text = new StringBuilder();
        for (var each : credentials.chain()) text.append(pem(each));
        write(CERTIFICATE, text.toString());
    }

    /** The authorities that count, durable when this returns. */
    public void writeTrusted(List<X509Certificate> authorities) throws IOException {
        var text = new StringBuilder();
        for (var each : authorities) text.append(pem(each));
        write(AUTHORITY, text.toString());
    }

    /** The authorities that count, as far as was known here; none before the pod has met its network. */
    public List<X509Certificate> trusted() throws IOException {
        if (!exists(AUTHORITY)) return List.of();
        try {
            return certificates(AUTHORITY);
        } catch (GeneralSecurityException e) {
            throw unusable(AUTHORITY, e);
        }
    }

    /** Durable when this returns. */
    public void write(Authority authority) throws IOException {
        writeSecret(AUTHORITY_KEY, pem(authority));
    }

    /** An authority that the network is about to be asked to trust, durable when this returns. */
    public void writeNext(Authority authority) throws IOException {
        writeSecret(NEXT_KEY, pem(authority));
    }

    /** The last one that was written with {@link #writeNext} and neither took its place nor was forgotten. */
    public Optional<Authority> next() throws IOException {
        return authority(NEXT_KEY);
    }

    public void forgetNext() throws IOException {
        if (Files.deleteIfExists(directory.resolve(NEXT_KEY))) sync(directory);
    }

    /** Empty before the pod has a certificate. @throws IOException if what is there cannot be used, with the reason */
    public Optional<Credentials> credentials() throws IOException {
        if (!exists(CERTIFICATE)) return Optional.empty();
        try {
            var chain = certificates(CERTIFICATE);
            // An older build left the authority to the other file.
            var authority =
                    chain.size() > 1 ? chain.get(1) : Succession.issuer(chain.getFirst(), certificates(AUTHORITY));
            return Optional.of(Credentials.of(
                    privateKey(KEY),
                    chain.getFirst(),
                    authority,
                    chain.stream().skip(2).findFirst()));
        } catch (GeneralSecurityException e) {
            throw unusable(CERTIFICATE, e);
        }
    }

    /** Empty on a pod that is no administrator's. @throws IOException if what is there cannot be used, with the reason */
    public Optional<Authority> authority() throws IOException {
        return authority(AUTHORITY_KEY);
    }

    private Optional<Authority> authority(String file) throws IOException {
        if (!exists(file)) return Optional.empty();
        try {
            var key = privateKey(file);
            var own = allFromPem(secret(file), "CERTIFICATE");
            if (own.isEmpty())
                return Optional.of(Authority.of(key, certificates(AUTHORITY).getFirst()));
            return Optional.of(Authority.of(
                    key, parse(own.getFirst()), own.size() > 1 ? Optional.of(parse(own.get(1))) : Optional.empty()));
        } catch (GeneralSecurityException e) {
            throw unusable(file, e);
        }
    }

    private static String pem(X509Certificate certificate) throws IOException {
        try {
            return toPem("CERTIFICATE", certificate.getEncoded());
        } catch (GeneralSecurityException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
    }

    private static String pem(Authority authority) throws IOException {
        return toPem("PRIVATE KEY", authority.key().getEncoded())
                + pem(authority.certificate())
                + (authority.link().isPresent() ? pem(authority.link().get()) : "");
    }

    /** The secret that seals names and log of the network; durable when this returns. */
    public void writeNetworkKey(Secret secret) throws IOException {
        writeSecret(NETWORK_KEY, toPem("WORMHOLE NETWORK KEY", secret.bytes()));
    }

    /** Empty in a network whose names are not sealed. */
    public Optional<Secret> networkKey() throws IOException {
        if (!exists(NETWORK_KEY)) return Optional.empty();
        try {
            return Optional.of(Secret.of(one(secret(NETWORK_KEY), "WORMHOLE NETWORK KEY")));
        } catch (GeneralSecurityException | IllegalArgumentException e) {
            throw unusable(NETWORK_KEY, new GeneralSecurityException(e.getMessage(), e));
        }
    }

    private void writeSecret(String file, String pem) throws IOException {
        if (seal == null) write(file, pem);
        else write(file, SEALED, seal.seal(context(file), pem.getBytes(StandardCharsets.US_ASCII)));
    }

    /** The text of a file that its owner alone may read. */
    private String secret(String file) throws IOException, GeneralSecurityException {
        requirePrivate(directory.resolve(file));
        if (seal == null) return text(file);
        var opened = seal.open(context(file), pem(file, SEALED));
        if (opened == null) throw new GeneralSecurityException("it is sealed with another key, or was changed");
        return new String(opened, StandardCharsets.US_ASCII);
    }

    private static byte[] context(String file) {
        return file.getBytes(StandardCharsets.US_ASCII);
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

    private List<X509Certificate> certificates(String file) throws IOException, GeneralSecurityException {
        var certificates = new ArrayList<X509Certificate>();
        for (var each : all(file, "CERTIFICATE")) certificates.add(parse(each));
        if (certificates.isEmpty()) throw new GeneralSecurityException("there is no certificate in it");
        return certificates;
    }

    private PrivateKey privateKey(String file) throws IOException, GeneralSecurityException {
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(one(secret(file), "PRIVATE KEY")));
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

    /** The one block of that kind in a file. */
    byte[] pem(String file, String kind) throws IOException, GeneralSecurityException {
        return one(text(file), kind);
    }

    private static byte[] one(String text, String kind) throws GeneralSecurityException {
        var all = allFromPem(text, kind);
        if (all.size() != 1)
            throw new GeneralSecurityException("it is no PEM of a " + kind.toLowerCase(java.util.Locale.ROOT));
        return all.getFirst();
    }

    private List<byte[]> all(String file, String kind) throws IOException, GeneralSecurityException {
        return allFromPem(text(file), kind);
    }

    private String text(String file) throws IOException, GeneralSecurityException {
        var path = directory.resolve(file);
        try {
            if (Files.size(path) > FILE_BYTES_MAX) throw new GeneralSecurityException("too large");
            return Files.readString(path, StandardCharsets.US_ASCII);
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

    /** The bytes in each block of that kind. @throws GeneralSecurityException if the text is no PEM */
    static List<byte[]> allFromPem(String text, String kind) throws GeneralSecurityException {
        var found = new ArrayList<byte[]>();
        var left = text.strip();
        if (left.isEmpty()) throw new GeneralSecurityException("it is empty");
        while (!left.isEmpty()) {
            var begin = BEGIN.matcher(left);
            if (!begin.lookingAt()) throw new GeneralSecurityException("it is no PEM");
            var end = "-----END " + begin.group(1) + "-----";
            var at = left.indexOf(end);
            if (at < 0) throw new GeneralSecurityException("it is no PEM");
            if (begin.group(1).equals(kind)) found.add(fromPem(left.substring(0, at + end.length()), kind));
            left = left.substring(at + end.length()).strip();
        }
        return found;
    }

    static String toPem(String kind, byte[] bytes) {
        var lines = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
        return "-----BEGIN " + kind + "-----\n" + lines + "\n-----END " + kind + "-----\n";
    }

    void write(String file, String kind, byte[] bytes) throws IOException {
        write(file, toPem(kind, bytes));
    }

    private void write(String file, String pem) throws IOException {
        writeText(directory.resolve(file), pem);
    }

    /**
     * Whole and synced, for its owner alone; in the folder of keys, which is made, or another, which is there. One at a time: a
     * command and the fetching of the authority's key may want the same file.
     */
    synchronized void writeText(Path target, String content) throws IOException {
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
