// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.wormhole.model.Errno;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.AuditRecord.Act;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Which authorities count, and what an authority's key gives, as the log decides it. */
final class AuthoritiesTest {
    private static final Incarnation FIRST = new Incarnation(1);
    private static final byte[] CERTIFICATE = {1};
    private static final byte[] LINK = {2};
    private static final byte[] NONE = {};

    private final TestLog log = new TestLog();

    private static byte[] hash(int number) {
        byte[] hash = new byte[32];
        Arrays.fill(hash, (byte) number);
        return hash;
    }

    private static KeyPair key() {
        try {
            var generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(new ECGenParameterSpec("secp256r1"));
            return generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    private static Command.TrustAuthority trust(int number, KeyPair key, byte[] link) {
        return new Command.TrustAuthority(number, CERTIFICATE, key.getPublic().getEncoded(), link);
    }

    private static byte[] sign(KeyPair key, Incarnation pod, int authority, long acts) {
        try {
            var signer = Signature.getInstance("SHA256withECDSAinP1363Format");
            signer.initSign(key.getPrivate());
            signer.update(Command.ClaimAdministration.signed(pod, authority, acts));
            return signer.sign();
        } catch (GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    private void as(Incarnation pod, long start) {
        log.session = log.open(pod, start, 0);
        log.sequence = 0;
    }

    @Test
    void twoAuthoritiesCountAtMostAndTheOldOneGoesWhenEverybodyShowsTheNew() {
        Incarnation second = log.admit("second");
        KeyPair a = key();
        KeyPair b = key();
        log.refused(trust(1, a, NONE), Errno.EPERM);
        log.done(new Command.SetAdministrator(FIRST, true));
        log.refused(trust(1, a, LINK), Errno.EINVAL);
        log.refused(new Command.Certified(1, 5, hash(1)), Errno.ENOENT);
        log.refused(trust(2, a, NONE), Errno.ESTALE);
        log.done(trust(1, a, NONE));
        log.refused(trust(2, a, LINK), Errno.EEXIST);
        log.refused(trust(2, b, NONE), Errno.EINVAL);
        log.done(new Command.Certified(1, 5, hash(1)));
        log.refused(new Command.Certified(1, 5, hash(2)), Errno.EACCES);
        assertThat(log.view().podKey(FIRST)).isEqualTo(hash(1));
        assertThat(log.view().certificate(FIRST)).isEqualTo(new CertificateRecord(1, 5));
        assertThat(log.view().certificate(second)).isNull();
        log.refused(new Command.DropAuthority(1, true), Errno.EBUSY);

        log.refused(trust(1, b, LINK), Errno.ESTALE);
        log.done(trust(2, b, LINK));
        log.refused(trust(3, key(), LINK), Errno.EBUSY);
        assertThat(log.view().authorities())
                .extracting(AuthorityRecord::isTrusted)
                .containsExactly(true, true);
        log.done(new Command.Certified(2, 6, hash(1)));
        log.refused(new Command.DropAuthority(1, false), Errno.EAGAIN); // the second pod has said nothing
        log.refused(new Command.DropAuthority(3, true), Errno.ENOENT);
        as(second, 1);
        log.refused(new Command.DropAuthority(1, true), Errno.EPERM);
        log.done(new Command.Certified(1, 7, hash(3)));
        as(FIRST, log.view().pod(FIRST).startCount() + 1);
        log.refused(new Command.DropAuthority(1, false), Errno.EAGAIN); // it shows one of the old
        as(second, 2);
        log.done(new Command.Certified(2, 8, hash(3)));
        as(FIRST, log.view().pod(FIRST).startCount() + 1);
        log.done(new Command.DropAuthority(1, false));
        log.refused(new Command.DropAuthority(1, false), Errno.ENOENT);
        log.refused(new Command.Certified(1, 9, hash(1)), Errno.ENOENT);
        log.refused(trust(3, a, LINK), Errno.EEXIST); // one that went does not come back
        assertThat(log.view().authorities())
                .extracting(AuthorityRecord::isTrusted)
                .containsExactly(false, true);
        assertThat(log.view().audit(10))
                .extracting(AuditRecord::act)
                .containsExactly(
                        Act.MADE_ADMINISTRATOR, Act.TRUSTED_AUTHORITY, Act.TRUSTED_AUTHORITY, Act.DROPPED_AUTHORITY);
        assertThat(log.view().audit(10).getLast().subject()).isEqualTo("authority 1");
        log.check();
    }

    @Test
    void whoIsLetBackHasItsOwnKeyAndSaysAnewWhatItShows() {
        Incarnation second = log.admit("second");
        log.done(new Command.SetAdministrator(FIRST, true));
        log.done(trust(1, key(), NONE));
        as(second, 1);
        log.done(new Command.Certified(1, 7, hash(3)));
        log.refused(new Command.Recertify(second, hash(3)), Errno.EPERM);
        log.refused(new Command.ExportedAuthority(1), Errno.EPERM);
        as(FIRST, log.view().pod(FIRST).startCount() + 1);
        log.refused(new Command.Recertify(second, hash(4)), Errno.EACCES);
        log.refused(new Command.Recertify(new Incarnation(9), hash(3)), Errno.ENOENT);
        log.done(new Command.Recertify(second, hash(3)));
        assertThat(log.view().certificate(second)).isNull();
        log.refused(new Command.ExportedAuthority(2), Errno.ENOENT);
        log.done(new Command.ExportedAuthority(1));
        assertThat(log.view().audit(2))
                .extracting(AuditRecord::act)
                .containsExactly(Act.LET_BACK, Act.EXPORTED_AUTHORITY);
        log.done(new Command.RemovePod(second, true));
        log.refused(new Command.Recertify(second, hash(3)), Errno.ENOENT);
        assertThat(log.view().podKey(second)).isNull();
        log.check();
    }

    /** The only administrator is lost; whoever has its key takes over, once for each signature. */
    @Test
    void theNewestAuthoritysKeyMakesAnAdministrator() {
        Incarnation second = log.admit("second");
        KeyPair old = key();
        KeyPair key = key();
        log.done(new Command.SetAdministrator(FIRST, true));
        log.done(trust(1, old, NONE));
        log.done(trust(2, key, LINK));
        long acts = log.view().acts();
        as(second, 1);
        byte[] good = sign(key, second, 2, acts);
        log.refused(new Command.ClaimAdministration(acts, sign(old, second, 2, acts)), Errno.EACCES);
        log.refused(new Command.ClaimAdministration(acts, sign(old, second, 1, acts)), Errno.EACCES);
        log.refused(new Command.ClaimAdministration(acts, sign(key, FIRST, 2, acts)), Errno.EACCES);
        log.refused(new Command.ClaimAdministration(acts - 1, sign(key, second, 2, acts - 1)), Errno.ESTALE);
        log.refused(new Command.ClaimAdministration(acts, new byte[64]), Errno.EACCES);
        assertThat(log.view().administrators()).containsExactly(FIRST);
        log.done(new Command.ClaimAdministration(acts, good));
        assertThat(log.view().administrators()).containsExactly(FIRST, second);
        assertThat(log.view().audit(1))
                .extracting(AuditRecord::act, AuditRecord::subject)
                .containsExactly(org.assertj.core.groups.Tuple.tuple(Act.CLAIMED_ADMINISTRATION, "second"));
        // Taken away again, what was signed then is worth nothing.
        log.done(new Command.SetAdministrator(second, false));
        log.refused(new Command.ClaimAdministration(acts, good), Errno.ESTALE);
        assertThat(log.view().administrators()).isEqualTo(List.of(FIRST));
        log.check();
    }
}
