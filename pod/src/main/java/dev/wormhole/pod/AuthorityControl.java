// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.control.AuthorityApi;
import dev.wormhole.control.ControlException;
import dev.wormhole.control.ControlHandler;
import dev.wormhole.control.Json;
import dev.wormhole.model.Errno;
import dev.wormhole.namespace.AuthorityRecord;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.security.Authority;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.Keys;
import dev.wormhole.security.RecoveryFile;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** What a person can ask about the network's authority. */
final class AuthorityControl {
    /** The parts of the pod, or why there are none. */
    interface Source {
        Pod.Parts parts() throws ControlException;
    }

    private final Source source;

    private AuthorityControl(Source source) {
        this.source = source;
    }

    static void add(Map<String, ControlHandler> handlers, Source source) {
        var control = new AuthorityControl(source);
        handlers.put(AuthorityApi.SHOW, (arguments, progress) -> Json.of(control.show()));
        handlers.put(
                AuthorityApi.EXPORT,
                (arguments, progress) -> Json.of(
                        control.export(Json.text(arguments, "passphrase").toCharArray())));
        handlers.put(
                AuthorityApi.RESTORE,
                (arguments, progress) -> Json.of(control.restore(
                        Json.text(arguments, "text"),
                        Json.text(arguments, "passphrase").toCharArray())));
        handlers.put(
                AuthorityApi.ROTATE,
                (arguments, progress) -> Json.of(control.rotate(
                        Json.to(AuthorityApi.Rotate.class, arguments).finish())));
    }

    private static ControlException refused(String message, String hint) {
        return new ControlException(ControlException.REFUSED, message, hint);
    }

    private AuthorityApi.Overview show() throws ControlException {
        var parts = source.parts();
        var view = parts.log().view();
        var authorities = new ArrayList<AuthorityApi.Overview.Authority>();
        var all = view.authorities();
        for (var each : all)
            authorities.add(new AuthorityApi.Overview.Authority(
                    each.number(),
                    fingerprint(each),
                    TimeUnit.NANOSECONDS.toMillis(each.sinceNanos()),
                    !each.isTrusted() ? "dropped" : each.equals(all.getLast()) ? "current" : "previous"));
        var pods = new ArrayList<AuthorityApi.Overview.Pod>();
        for (PodRecord pod : view.pods()) {
            var shown = view.certificate(pod.incarnation());
            pods.add(new AuthorityApi.Overview.Pod(
                    pod.settings().name(),
                    view.administrators().contains(pod.incarnation()),
                    shown == null ? 0 : shown.authority(),
                    shown == null ? 0 : shown.expiresMillis()));
        }
        return new AuthorityApi.Overview(
                authorities, pods, parts.authorityKey().get().isPresent());
    }

    private static String fingerprint(AuthorityRecord authority) {
        try {
            return Keys.fingerprint(KeyFiles.parse(authority.certificate()).getPublicKey());
        } catch (GeneralSecurityException e) {
            return "unreadable";
        }
    }

    private static Authority held(Pod.Parts parts) throws ControlException {
        return parts.authorityKey()
                .get()
                .orElseThrow(() -> refused(
                        "this pod does not have the authority's key yet",
                        "it fetches it from another administrator's pod, which must run and be reachable"));
    }

    private AuthorityApi.Exported export(char[] passphrase) throws ControlException, IOException, InterruptedException {
        var parts = source.parts();
        parts.log().barrier();
        ControlCommands.checkAdministrator(parts);
        var authority = held(parts);
        var newest = parts.authorityKey().newest();
        if (newest == null)
            throw new ControlException(
                    ControlException.NOT_READY, "the network has not written its authority down yet", "try again");
        String text;
        try {
            text = RecoveryFile.seal(authority, RecoveryFile.checked(passphrase));
        } catch (IllegalArgumentException e) {
            throw new ControlException(ControlException.BAD_REQUEST, String.valueOf(e.getMessage()), "");
        }
        // In the audit log before anybody has the file.
        if (ControlCommands.propose(parts, new Command.ExportedAuthority(newest.number()))
                instanceof Outcome.Refused(var errno)) throw refused("the network refused: " + errno, "try again");
        return new AuthorityApi.Exported(text, newest.number(), fingerprint(newest));
    }

    private AuthorityApi.Restored restore(String text, char[] passphrase)
            throws ControlException, IOException, InterruptedException {
        var parts = source.parts();
        var log = parts.log();
        boolean led = log.leader().isPresent() && !log.disconnected();
        if (led) log.barrier();
        Authority authority;
        try {
            authority = RecoveryFile.open(text, passphrase);
        } catch (GeneralSecurityException e) {
            throw refused("the recovery file cannot be used: " + e.getMessage(), "nothing was changed");
        }
        var all = log.view().authorities();
        var newest = parts.authorityKey().newest();
        if (newest == null || !AuthorityKey.is(authority.certificate(), newest)) {
            boolean earlier = all.stream().anyMatch(each -> AuthorityKey.is(authority.certificate(), each));
            throw refused(
                    earlier
                            ? "the recovery file is of an authority that the network has replaced since"
                            : "the recovery file is of another network",
                    "the present authority is " + (newest == null ? "not known here" : fingerprint(newest))
                            + ", the file's "
                            + Keys.fingerprint(authority.certificate().getPublicKey()));
        }
        if (led) claim(parts, authority, newest);
        try {
            parts.authorityKey()
                    .hold(authority.linked(
                            newest.link().length == 0
                                    ? java.util.Optional.empty()
                                    : java.util.Optional.of(KeyFiles.parse(newest.link()))));
        } catch (GeneralSecurityException e) {
            throw new IOException("the authority in the log makes no sense", e);
        }
        parts.renewal().look();
        return new AuthorityApi.Restored(fingerprint(newest), led);
    }

    /** Whoever has the newest authority's key may certify anybody: so it is an administrator. */
    private static void claim(Pod.Parts parts, Authority authority, AuthorityRecord newest)
            throws ControlException, InterruptedException {
        var self = parts.header().incarnation();
        for (var attempt = 0; attempt < 3; attempt++) {
            if (parts.log().view().administrators().contains(self)) return;
            long acts = parts.log().view().acts();
            byte[] signature = authority.sign(Command.ClaimAdministration.signed(self, newest.number(), acts));
            var outcome = ControlCommands.propose(parts, new Command.ClaimAdministration(acts, signature));
            if (!(outcome instanceof Outcome.Refused(var errno))) return;
            // Somebody changed the network meanwhile: what was signed was of before.
            if (errno != Errno.ESTALE) throw refused("the network refused: " + errno, "try again");
        }
        throw refused("the network is being changed by others", "try again");
    }

    private AuthorityApi.Rotated rotate(boolean finish) throws ControlException, IOException, InterruptedException {
        var parts = source.parts();
        parts.log().barrier();
        ControlCommands.checkAdministrator(parts);
        var counting = parts.log().view().authorities().stream()
                .filter(AuthorityRecord::isTrusted)
                .toList();
        if (counting.isEmpty())
            throw new ControlException(
                    ControlException.NOT_READY, "the network has not written its authority down yet", "try again");
        return finish ? finish(parts, counting) : begin(parts, counting);
    }

    private static List<String> behind(Pod.Parts parts, int authority) {
        return parts.renewal().behind(authority).stream()
                .map(pod -> pod.settings().name())
                .toList();
    }

    private AuthorityApi.Rotated begin(Pod.Parts parts, List<AuthorityRecord> counting)
            throws ControlException, IOException, InterruptedException {
        var newest = counting.getLast();
        if (counting.size() > 1)
            throw refused(
                    "the authority is being changed already; not yet certified by the new one: "
                            + String.join(
                                    ", ", behind(parts, counting.getFirst().number())),
                    "start them, or go on without them: wormhole authority rotate --finish");
        var next = parts.authorityKey().next(held(parts), InstantSource.system().instant());
        var link = next.link().orElseThrow();
        Command command;
        try {
            command = new Command.TrustAuthority(
                    newest.number() + 1,
                    next.certificate().getEncoded(),
                    next.certificate().getPublicKey().getEncoded(),
                    link.getEncoded());
        } catch (GeneralSecurityException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
        if (ControlCommands.propose(parts, command) instanceof Outcome.Refused(var errno))
            throw refused(
                    errno == Errno.ESTALE || errno == Errno.EBUSY
                            ? "another administrator changes the authority at this moment"
                            : "the network refused: " + errno,
                    "see wormhole authority");
        parts.authorityKey().settle();
        parts.renewal().look();
        return new AuthorityApi.Rotated(
                newest.number() + 1,
                Keys.fingerprint(next.certificate().getPublicKey()),
                behind(parts, newest.number()),
                invitations(parts));
    }

    private AuthorityApi.Rotated finish(Pod.Parts parts, List<AuthorityRecord> counting)
            throws ControlException, InterruptedException {
        var newest = counting.getLast();
        if (counting.size() == 1) throw refused("there is nothing to finish: one authority counts", "");
        var old = counting.getFirst();
        var behind = behind(parts, old.number());
        if (behind.contains(name(parts)))
            throw refused("this pod itself is not certified by the new authority yet", "try again in a few seconds");
        if (ControlCommands.propose(parts, new Command.DropAuthority(old.number(), true))
                instanceof Outcome.Refused(var errno))
            throw refused("the network refused: " + errno, "see wormhole authority");
        return new AuthorityApi.Rotated(newest.number(), fingerprint(newest), behind, invitations(parts));
    }

    private static String name(Pod.Parts parts) {
        return parts.cluster().name(parts.header().incarnation());
    }

    /** Those that could still be used. */
    private static int invitations(Pod.Parts parts) {
        long now = System.currentTimeMillis();
        return (int) parts.log().view().invitations().stream()
                .filter(each -> each.usesLeft() > 0 && each.expiresMillis() > now)
                .count();
    }
}
