// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.AuthorityRecord;
import dev.wormhole.namespace.CertificateRecord;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodRecord;
import dev.wormhole.security.Credentials;
import dev.wormhole.security.Keys;
import dev.wormhole.security.Lifetimes;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Keeps this pod's certificate in force: renews it in time, and at once when the network has another authority; says in the log
 * what it shows; asks to be let back where it does not count any more. On an administrator's pod it also writes down the first
 * authority, and drops the old one when nobody shows its certificates any more. One thread of its own; thread-safe.
 */
final class Renewal implements AutoCloseable {
    private static final Logger LOG = Logger.getLogger(Renewal.class.getName());
    private static final Duration CHECK_MAX = Duration.ofMinutes(10);
    private static final Duration CHECK_MIN = Duration.ofSeconds(1);
    private static final Duration AGAIN_MAX = Duration.ofMinutes(1);
    /** Without a leader for so long, perhaps it is this pod that the others refuse. */
    private static final Duration LOST_AFTER = Duration.ofSeconds(4);

    /** It was another reason; but that may change. */
    private static final Duration ASK_LOST_EVERY = Duration.ofSeconds(30);

    private static final long PROPOSE_SECONDS = 10;

    private final Incarnation self;
    private final String name;
    private final Secure secure;
    private final PodLog log;
    private final NetworkSettings settings;
    private final AuthorityKey key;
    private final Recertifying recertifying;
    private final InstantSource clock;
    private final Consumer<String> doing;
    private final Thread thread;
    private volatile boolean connected;
    private volatile boolean closed;
    /** Why there is no new certificate; empty while all is well. */
    private volatile String problem = "";
    /** What the pod waits for; empty while it waits for nobody. */
    private volatile String waiting = "";

    private long leaderlessSinceNanos; // by the thread alone; 0: there is one
    private long askLostNanos = System.nanoTime(); // likewise; not before, unless expired

    /** @param doing told what the pod waits for */
    Renewal(
            Incarnation self,
            String name,
            Secure secure,
            PodLog log,
            NetworkSettings settings,
            AuthorityKey key,
            Recertifying recertifying,
            InstantSource clock,
            Consumer<String> doing) {
        this.self = self;
        this.name = name;
        this.secure = secure;
        this.log = log;
        this.settings = settings;
        this.key = key;
        this.recertifying = recertifying;
        this.clock = clock;
        this.doing = doing;
        this.thread = Thread.ofPlatform().name("certificates").daemon().unstarted(this::run);
    }

    void start() {
        thread.start();
    }

    /** The log takes proposals from now on. */
    void connected() {
        connected = true;
        look();
    }

    /** Something may be to do: authorities, members or the configuration changed. Does not block. */
    void look() {
        LockSupport.unpark(thread);
    }

    private void run() {
        while (!closed) {
            var pause = CHECK_MIN;
            try {
                pause = step();
            } catch (IOException failure) {
                problem = String.valueOf(failure.getMessage());
                LOG.log(Level.WARNING, "this pod''s certificate: {0}", problem);
                pause = again();
            } catch (RuntimeException bug) {
                LOG.log(Level.SEVERE, "certificates: a bug", bug);
                pause = AGAIN_MAX;
            } catch (InterruptedException stop) {
                return;
            }
            LockSupport.parkNanos(pause.toNanos());
        }
    }

    /** @return when to look again at the latest */
    private Duration step() throws IOException, InterruptedException {
        secure.keepTrusted();
        key.settle();
        boolean renewed = renewIfDue();
        boolean back = comeBackIfNeeded();
        if (connected && log.leader().isPresent() && !log.disconnected()) agree();
        if (!waiting.isEmpty()) return CHECK_MIN;
        if (!renewed || !back) return again();
        var now = clock.instant();
        var due = Duration.between(now, Lifetimes.renewal(secure.credentials().certificate(), lifetime(), now));
        // A clock may be set, a machine may sleep: it is looked at now and then.
        var most = log.leader().isPresent() ? CHECK_MAX : CHECK_MIN;
        return due.compareTo(most) > 0 ? most : due.compareTo(CHECK_MIN) < 0 ? CHECK_MIN : due;
    }

    private Duration lifetime() {
        return settings.get().certificates().lifetime();
    }

    private Duration again() {
        var part = lifetime().dividedBy(60);
        return part.compareTo(AGAIN_MAX) > 0 ? AGAIN_MAX : part.compareTo(CHECK_MIN) < 0 ? CHECK_MIN : part;
    }

    private Instant expiry() {
        return Lifetimes.expiry(secure.credentials().certificate());
    }

    // ---- the next certificate

    /** @return false if it is due, and not to be had now */
    private boolean renewIfDue() throws IOException, InterruptedException {
        var now = clock.instant();
        var shown = secure.credentials();
        var newest = key.newest();
        // A pod that slept, and was let back, may show what an authority issued that its own log does not know yet.
        boolean ahead = newest != null
                && log.view().authorities().stream().noneMatch(each -> AuthorityKey.is(shown.authority(), each));
        boolean outdated = newest != null && !ahead && !AuthorityKey.is(shown.authority(), newest);
        if (!outdated && now.isBefore(Lifetimes.renewal(shown.certificate(), lifetime(), now))) {
            problem = "";
            return true;
        }
        var authority = key.get();
        if (authority.isPresent()
                && !ahead
                && (log.leader().isEmpty() || log.view().administrators().contains(self))) {
            var own = secure.files().ownKeys();
            var made = recertifying.issue(authority.get(), own.getPublic(), self);
            try {
                secure.show(Credentials.of(
                        own.getPrivate(),
                        made,
                        authority.get().certificate(),
                        authority.get().link()));
            } catch (GeneralSecurityException e) {
                throw new IOException("the authority's key does not fit", e);
            }
            problem = "";
            return true;
        }
        var why = "there is no administrator's pod";
        for (var administrator : log.view().administrators()) {
            if (administrator.equals(self)) continue;
            try {
                var next = recertifying.askRenewal(administrator, name);
                if (!Lifetimes.expiry(next.certificate()).isAfter(now))
                    throw new IOException("its clock is far behind this one's");
                secure.show(next);
                problem = "";
                return true;
            } catch (IOException notNow) {
                why = "administrator's pod " + nameOf(administrator) + ": " + notNow.getMessage();
                LOG.log(Level.FINE, "no certificate: {0}", why);
            }
        }
        problem = why;
        return false;
    }

    private String nameOf(Incarnation pod) {
        PodRecord record = log.view().pod(pod);
        return record == null ? pod.toString() : record.settings().name();
    }

    // ---- a certificate that does not count any more

    private boolean isLost() {
        long now = System.nanoTime();
        if (log.leader().isPresent() && !log.disconnected()) leaderlessSinceNanos = 0;
        else if (leaderlessSinceNanos == 0) leaderlessSinceNanos = now;
        return leaderlessSinceNanos != 0 && now - leaderlessSinceNanos > LOST_AFTER.toNanos();
    }

    /** @return false if it does not count, and nobody could be asked */
    private boolean comeBackIfNeeded() throws IOException, InterruptedException {
        boolean expired = !clock.instant().isBefore(expiry());
        boolean lost = isLost() && System.nanoTime() - askLostNanos >= 0;
        if (!lost && !expired) {
            waiting = "";
            return true;
        }
        for (var address : addresses()) {
            if (closed) return true;
            try {
                switch (recertifying.askReturn(address, name)) {
                    case Recertifying.Answer.LetBack(var credentials) -> {
                        secure.show(credentials);
                        waiting = "";
                        problem = "";
                        LOG.info("an administrator let this pod back");
                        return true;
                    }
                    case Recertifying.Answer.Waiting(var fingerprint) -> {
                        var now = (expired
                                        ? "this pod's certificate expired at " + expiry()
                                        : "the network has another authority since this pod was here")
                                + "; it waits for an administrator: wormhole approve " + name
                                + " on their pod; the fingerprint to compare: " + fingerprint;
                        if (!now.equals(waiting)) doing.accept(now);
                        waiting = now;
                        return true;
                    }
                    case Recertifying.Answer.StillGood _ -> {
                        waiting = "";
                        askLostNanos = System.nanoTime() + ASK_LOST_EVERY.toNanos();
                        return !expired;
                    }
                }
            } catch (IOException next) {
                LOG.log(Level.FINE, "not let back by {0}: {1}", new Object[] {address, next.getMessage()});
                if (expired) problem = "the pod at " + address + ": " + next.getMessage();
            }
        }
        if (!expired) waiting = "";
        else {
            var now = "this pod's certificate expired at " + expiry()
                    + "; it looks for a pod of the network that can ask an administrator to let it back"
                    + (problem.isEmpty() ? "" : " (" + problem + ")");
            if (!now.equals(waiting)) doing.accept(now);
            waiting = now;
        }
        return !expired;
    }

    /** Administrators' pods first: they need not ask others. */
    private LinkedHashSet<String> addresses() {
        var addresses = new LinkedHashSet<String>();
        var view = log.view();
        for (var administrator : view.administrators()) {
            PodRecord pod = view.pod(administrator);
            if (pod != null && !administrator.equals(self))
                addresses.addAll(pod.settings().addresses());
        }
        for (PodRecord pod : view.pods())
            if (!pod.incarnation().equals(self)) addresses.addAll(pod.settings().addresses());
        for (var seed : settings.get().network().pods()) addresses.add(seed.toString());
        return addresses;
    }

    // ---- what the log should know

    private void agree() throws IOException, InterruptedException {
        var view = log.view();
        var shown = secure.credentials();
        var newest = key.newest();
        boolean administrator = view.administrators().contains(self);
        var authority = key.get();
        if (newest == null) {
            if (administrator && authority.isPresent())
                propose(first(authority.get().certificate()));
            return;
        }
        for (AuthorityRecord each : view.authorities()) {
            if (!each.isTrusted() || !AuthorityKey.is(shown.authority(), each)) continue;
            var now = new CertificateRecord(each.number(), expiry().toEpochMilli());
            if (!now.equals(view.certificate(self)))
                propose(new Command.Certified(
                        now.authority(),
                        now.expiresMillis(),
                        Keys.hash(shown.certificate().getPublicKey())));
        }
        if (!administrator || authority.isEmpty()) return;
        for (AuthorityRecord each : view.authorities())
            if (each.isTrusted()
                    && each.number() != newest.number()
                    && behind(each.number()).isEmpty()) {
                LOG.log(
                        Level.INFO,
                        "nobody shows a certificate of authority {0} any more: it is dropped",
                        each.number());
                propose(new Command.DropAuthority(each.number(), false));
            }
    }

    private static Command first(java.security.cert.X509Certificate certificate) throws IOException {
        try {
            return new Command.TrustAuthority(
                    1, certificate.getEncoded(), certificate.getPublicKey().getEncoded(), new byte[0]);
        } catch (GeneralSecurityException e) {
            throw new IOException("a certificate that cannot be written", e);
        }
    }

    /** Members that have not said yet that they show a certificate of a newer authority than this one. */
    List<PodRecord> behind(int authority) {
        var behind = new ArrayList<PodRecord>();
        for (PodRecord pod : log.view().pods()) {
            var shown = log.view().certificate(pod.incarnation());
            if (shown == null || shown.authority() <= authority) behind.add(pod);
        }
        return behind;
    }

    private void propose(Command command) throws InterruptedException {
        try {
            var outcome =
                    log.propose(command).get(PROPOSE_SECONDS, TimeUnit.SECONDS).outcome();
            if (outcome instanceof Outcome.Refused(var errno))
                LOG.log(Level.INFO, "{0} was refused: {1}", new Object[] {
                    command.getClass().getSimpleName(), errno
                });
        } catch (ExecutionException | TimeoutException notNow) {
            LOG.log(Level.FINE, "not decided now: {0}", Causes.message(notNow));
        }
    }

    // ---- for people

    /** What a person should know of this pod's own certificate. */
    List<String> warnings() {
        var now = waiting;
        if (!now.isEmpty()) return List.of(now);
        var why = problem;
        if (why.isEmpty() || !Lifetimes.isWorrying(expiry(), lifetime(), clock.instant())) return List.of();
        return List.of("this pod's certificate expires at " + expiry() + " and could not be renewed (" + why
                + "): see that an administrator's pod can be reached; past that time it must be let back by one");
    }

    /** What a person should know of all members' certificates, by what they said. */
    List<String> warningsOfMembers() {
        var warnings = new ArrayList<String>();
        var now = clock.instant();
        var names = new ArrayList<String>();
        var all = log.view().authorities();
        var counting = all.stream().filter(AuthorityRecord::isTrusted).toList();
        for (PodRecord pod : log.view().pods()) {
            var shown = log.view().certificate(pod.incarnation());
            if (shown == null) continue;
            var called = pod.settings().name();
            var expires = Instant.ofEpochMilli(shown.expiresMillis());
            if (counting.stream().noneMatch(each -> each.number() == shown.authority()))
                warnings.add(called + " was not there when the authority changed: when it is back, wormhole approve "
                        + called + " on an administrator's pod");
            else if (!now.isBefore(expires))
                warnings.add("the certificate of " + called + " expired at " + expires
                        + ": when it is back, wormhole approve " + called + " on an administrator's pod");
            else if (Lifetimes.isWorrying(expires, lifetime(), now))
                warnings.add("the certificate of " + called + " expires at " + expires
                        + ": it must run and reach an administrator's pod before, or be let back by one after");
        }
        if (counting.size() > 1) {
            for (PodRecord pod : behind(counting.getFirst().number()))
                names.add(pod.settings().name());
            if (!names.isEmpty())
                warnings.add("the network's authority changes; not yet certified by the new one: "
                        + String.join(", ", names) + " (see wormhole authority)");
        }
        return warnings;
    }

    @Override
    public void close() throws InterruptedException {
        closed = true;
        thread.interrupt();
        thread.join(TimeUnit.SECONDS.toMillis(5));
    }
}
