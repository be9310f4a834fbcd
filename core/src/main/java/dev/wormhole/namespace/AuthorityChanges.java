// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The network's authorities, which certificates its pods show, and the one right that an authority's key itself gives. */
final class AuthorityChanges {
    private static final Outcome DONE = new Outcome.Done(0);
    private static final byte[] CLAIM_DOMAIN = "wormhole administration 1".getBytes(StandardCharsets.US_ASCII);

    private final Working state;
    private final @Nullable Incarnation proposer;

    /** @param proposer the pod whose session the commands come in; null: in none */
    AuthorityChanges(Working state, @Nullable Incarnation proposer) {
        this.state = state;
        this.proposer = proposer;
    }

    private static Outcome refused(Errno errno) {
        return new Outcome.Refused(errno);
    }

    private boolean isAdministrator() {
        return proposer != null && state.get(Keys.of(Keys.ADMINISTRATOR, proposer.number())) != null;
    }

    private List<AuthorityRecord> all() {
        var all = new ArrayList<AuthorityRecord>();
        state.scan(Keys.table(Keys.AUTHORITY), (key, row) -> {
            all.add(AuthorityRecord.decode((int) Keys.id(key, 0), row));
            return true;
        });
        return all;
    }

    private @Nullable AuthorityRecord authority(int number) {
        byte[] row = state.get(Keys.of(Keys.AUTHORITY, number));
        return row == null ? null : AuthorityRecord.decode(number, row);
    }

    private void put(AuthorityRecord authority) {
        state.put(Keys.of(Keys.AUTHORITY, authority.number()), authority.encode());
        state.changes.add(new Change.PodsChanged());
    }

    Outcome trust(Command.TrustAuthority c) {
        if (!isAdministrator()) return refused(Errno.EPERM);
        var all = all();
        for (var known : all) if (Arrays.equals(known.publicKey(), c.publicKey())) return refused(Errno.EEXIST);
        if (all.stream().filter(AuthorityRecord::isTrusted).count() > 1) return refused(Errno.EBUSY);
        if (all.size() >= AuthorityRecord.COUNT_MAX) return refused(Errno.ENOSPC);
        if (all.isEmpty() != (c.link().length == 0)) return refused(Errno.EINVAL);
        if (c.number() != all.size() + 1) return refused(Errno.ESTALE);
        put(new AuthorityRecord(c.number(), state.now, 0, c.certificate(), c.publicKey(), c.link()));
        return new Outcome.Done(c.number());
    }

    Outcome drop(Command.DropAuthority c) {
        if (!isAdministrator()) return refused(Errno.EPERM);
        var known = authority(c.number());
        if (known == null || !known.isTrusted()) return refused(Errno.ENOENT);
        if (c.number() == all().size()) return refused(Errno.EBUSY);
        if (!c.force())
            for (int pod : state.pods.keySet()) {
                byte[] row = state.get(Keys.of(Keys.CERTIFICATE, pod));
                if (row == null || CertificateRecord.decode(row).authority() <= c.number())
                    return refused(Errno.EAGAIN);
            }
        put(known.dropped(state.now));
        return DONE;
    }

    Outcome certified(Command.Certified c) {
        if (proposer == null || !state.isMember(proposer.number())) return refused(Errno.EPERM);
        var issuer = authority(c.authority());
        if (issuer == null || !issuer.isTrusted()) return refused(Errno.ENOENT);
        byte[] keyRow = Keys.of(Keys.POD_KEY, proposer.number());
        byte[] known = state.get(keyRow);
        if (known == null) state.put(keyRow, Rows.opaque(c.key()));
        else if (!Arrays.equals(Rows.opaqueValue(known), c.key())) return refused(Errno.EACCES);
        byte[] key = Keys.of(Keys.CERTIFICATE, proposer.number());
        byte[] row = new CertificateRecord(c.authority(), c.expiresMillis()).encode();
        byte[] before = state.get(key);
        if (before != null && Arrays.equals(before, row)) return DONE;
        state.put(key, row);
        state.changes.add(new Change.PodsChanged());
        return DONE;
    }

    Outcome recertify(Command.Recertify c) {
        if (!isAdministrator()) return refused(Errno.EPERM);
        if (!state.isMember(c.incarnation().number())) return refused(Errno.ENOENT);
        byte[] known = state.get(Keys.of(Keys.POD_KEY, c.incarnation().number()));
        if (known == null || !Arrays.equals(Rows.opaqueValue(known), c.key())) return refused(Errno.EACCES);
        // What it showed before counts no more; it says itself what it shows next.
        state.remove(Keys.of(Keys.CERTIFICATE, c.incarnation().number()));
        state.changes.add(new Change.PodsChanged());
        return DONE;
    }

    Outcome exported(Command.ExportedAuthority c) {
        if (!isAdministrator()) return refused(Errno.EPERM);
        return c.number() > 0 && c.number() == all().size() ? DONE : refused(Errno.ENOENT);
    }

    Outcome claim(Command.ClaimAdministration c) {
        if (proposer == null || !state.isMember(proposer.number())) return refused(Errno.EPERM);
        int newest = all().size();
        var authority = authority(newest);
        if (authority == null) return refused(Errno.ENOENT);
        byte[] acts = state.get(Keys.AUDITED);
        if (c.acts() != (acts == null ? 0 : Rows.number(acts, 0))) return refused(Errno.ESTALE);
        if (!verifies(authority.publicKey(), claim(proposer, newest, c.acts()), c.signature()))
            return refused(Errno.EACCES);
        state.put(Keys.of(Keys.ADMINISTRATOR, proposer.number()), Rows.MARK);
        state.changes.add(new Change.PodsChanged());
        return DONE;
    }

    /** What the authority's key signs, see {@link Command.ClaimAdministration}. */
    static byte[] claim(Incarnation pod, int authority, long acts) {
        return ByteBuffer.allocate(CLAIM_DOMAIN.length + 16)
                .put(CLAIM_DOMAIN)
                .putInt(pod.number())
                .putInt(authority)
                .putLong(acts)
                .array();
    }

    /** The same on every pod: keys and signatures have one form each, and whatever has another is refused. */
    private static boolean verifies(byte[] publicKey, byte[] message, byte[] signature) {
        try {
            var verifier = Signature.getInstance("SHA256withECDSAinP1363Format");
            verifier.initVerify(KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(publicKey)));
            verifier.update(message);
            return verifier.verify(signature);
        } catch (GeneralSecurityException e) {
            return false;
        }
    }
}
