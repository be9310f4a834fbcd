// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import dev.wormhole.model.Incarnation;
import dev.wormhole.transfer.Messages;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * The word of a pod that it re-formed its network: which generation follows which, and who goes on in it. Signed by that pod
 * with the key that the parent generation knows it by, so every pod of the parent can check it, whoever shows it and over
 * whatever connection; and by the authority, where its key was at hand. Immutable. Layout: {@code docs/formats/calls.md},
 * GENERATION.
 *
 * @param parent the generation that ended
 * @param generation the one that follows
 * @param by who re-formed the network
 * @param byName its name, for people
 * @param index the last entry of the log that it had
 * @param millis its clock, for people
 * @param stay members of the parent that are members of the generation too, without being invited again
 * @param addresses where the new generation is found
 * @param left where members of the parent that do not stay were last found
 * @param certificate of {@code by}, from the parent's authority, DER
 * @param signature of {@code by}'s key
 * @param authoritySignature of the parent's authority; empty where its key was lost, and then nobody else stays
 */
@SuppressWarnings("ArrayRecordComponent")
public record Reformation(
        UUID network,
        long parent,
        long generation,
        Incarnation by,
        String byName,
        long index,
        long millis,
        List<Incarnation> stay,
        List<String> addresses,
        List<String> left,
        byte[] certificate,
        byte[] signature,
        byte[] authoritySignature) {
    private static final byte[] DOMAIN = "wormhole succession 1".getBytes(StandardCharsets.US_ASCII);
    private static final int FORMAT = 1;
    private static final int NAME_BYTES_MAX = 63;
    private static final int ADDRESS_BYTES_MAX = 300;
    private static final int PODS_MAX = 10_000;
    private static final int CERTIFICATE_BYTES_MAX = 8192;
    private static final int SIGNATURE_BYTES_MAX = 128;

    public Reformation {
        stay = List.copyOf(stay);
        addresses = List.copyOf(addresses);
        left = List.copyOf(left);
    }

    /**
     * Signs it.
     *
     * @param own of the pod that re-forms, in the parent generation
     * @param authority the parent's, where its key is at hand
     */
    public static Reformation sign(
            UUID network,
            long parent,
            long generation,
            String byName,
            long index,
            long millis,
            List<Incarnation> stay,
            List<String> addresses,
            List<String> left,
            Credentials own,
            Optional<Authority> authority) {
        try {
            var unsigned = new Reformation(
                    network,
                    parent,
                    generation,
                    own.identity().incarnation(),
                    byName,
                    index,
                    millis,
                    stay,
                    addresses,
                    left,
                    own.certificate().getEncoded(),
                    new byte[0],
                    new byte[0]);
            return new Reformation(
                    network,
                    parent,
                    generation,
                    unsigned.by,
                    byName,
                    index,
                    millis,
                    stay,
                    addresses,
                    left,
                    unsigned.certificate,
                    signature(own.key(), unsigned.signed()),
                    authority.isPresent() ? signature(authority.get().key(), unsigned.signed()) : new byte[0]);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("a re-forming that cannot be signed", e);
        }
    }

    private static byte[] signature(PrivateKey key, byte[] bytes) throws GeneralSecurityException {
        var signer = Signature.getInstance(Keys.SIGNATURE);
        signer.initSign(key);
        signer.update(bytes);
        return signer.sign();
    }

    private static boolean isSigned(PublicKey key, byte[] bytes, byte[] signature) throws GeneralSecurityException {
        var verifier = Signature.getInstance(Keys.SIGNATURE);
        verifier.initVerify(key);
        verifier.update(bytes);
        return verifier.verify(signature);
    }

    /**
     * Checks that a member of the parent said so.
     *
     * @param authorities of the parent; its newest may have signed what a pod says that is still certified by another
     * @throws GeneralSecurityException with the reason, if it is not to be believed
     */
    public void verify(List<X509Certificate> authorities) throws GeneralSecurityException {
        var shown = KeyFiles.parse(certificate);
        if (authorities.stream().noneMatch(authority -> Succession.issued(authority, shown)))
            throw new GeneralSecurityException("no authority of that network knows " + by);
        var identity = PodIdentity.of(shown);
        if (!identity.network().equals(network)
                || !identity.incarnation().equals(by)
                || identity.role() != PodIdentity.Role.MEMBER)
            throw new GeneralSecurityException(
                    "the certificate of " + identity.incarnation() + " does not speak for " + by + " of that network");
        if (!isSigned(shown.getPublicKey(), signed(), signature))
            throw new GeneralSecurityException(by + " did not sign it");
        if (authoritySignature.length == 0) return;
        for (var authority : authorities) if (isSigned(authority.getPublicKey(), signed(), authoritySignature)) return;
        throw new GeneralSecurityException("the authority did not sign it");
    }

    /** Whether a member of the parent may go over by itself; of one that is verified. */
    public boolean takesAlong(Incarnation pod) {
        return authoritySignature.length > 0 && stay.contains(pod);
    }

    private byte[] signed() {
        var to = Messages.writer().putBytes(DOMAIN);
        fields(to);
        return to.toBytes();
    }

    private void fields(Messages.Writer to) {
        to.putByte(FORMAT)
                .putLong(network.getMostSignificantBits())
                .putLong(network.getLeastSignificantBits())
                .putLong(parent)
                .putLong(generation)
                .putIncarnation(by)
                .putString(byName)
                .putLong(index)
                .putLong(millis)
                .putList(stay, Messages.Writer::putIncarnation)
                .putList(addresses, Messages.Writer::putString)
                .putList(left, Messages.Writer::putString)
                .putBytes(certificate);
    }

    public byte[] encode() {
        var to = Messages.writer();
        fields(to);
        return to.putBytes(signature).putBytes(authoritySignature).toBytes();
    }

    /** @throws IOException if the bytes make no sense */
    public static Reformation decode(byte[] bytes) throws IOException {
        var from = Messages.reader(bytes);
        var format = from.getByte();
        if (format != FORMAT) throw new IOException("a re-forming of format " + format);
        var read = new Reformation(
                new UUID(from.getLong(), from.getLong()),
                from.getLong(),
                from.getLong(),
                from.getIncarnation(),
                from.getString(NAME_BYTES_MAX),
                from.getLong(),
                from.getLong(),
                from.getList(PODS_MAX, Messages.Reader::getIncarnation),
                from.getList(PODS_MAX, reader -> reader.getString(ADDRESS_BYTES_MAX)),
                from.getList(PODS_MAX, reader -> reader.getString(ADDRESS_BYTES_MAX)),
                from.getBytes(CERTIFICATE_BYTES_MAX),
                from.getBytes(SIGNATURE_BYTES_MAX),
                from.getBytes(SIGNATURE_BYTES_MAX));
        from.end();
        // They are shown on people's terminals, and written into logs.
        if (!read.byName.matches("[a-z0-9][a-z0-9-]{0,62}")) throw new IOException("a re-forming by nobody");
        for (var list : List.of(read.addresses, read.left))
            for (var address : list)
                if (!address.matches("[!-~]+")) throw new IOException("an address with characters that none has");
        return read;
    }
}
