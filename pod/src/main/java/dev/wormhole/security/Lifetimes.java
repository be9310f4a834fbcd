// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.security;

import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;

/** When a certificate is renewed, given the network's lifetime of certificates: with a third of it left. */
public final class Lifetimes {
    /** The clocks of an administrator's pod and of this one may differ by so much without a new certificate every minute. */
    private static final Duration CLOCKS_APART = Duration.ofDays(1);

    private Lifetimes() {}

    /** From then on it should be replaced; never later than {@link #expiry}. */
    public static Instant renewal(X509Certificate certificate, Duration lifetime, Instant now) {
        var expiry = expiry(certificate);
        // The network wants shorter lives since: those that are still out begin to end.
        if (Duration.between(now, expiry).compareTo(lifetime.plus(CLOCKS_APART)) > 0) return now;
        return expiry.minus(lifetime.dividedBy(3));
    }

    public static Instant expiry(X509Certificate certificate) {
        return certificate.getNotAfter().toInstant();
    }

    /** Renewal should have happened, with time to spare for an administrator's pod to be reached: a person should know. */
    public static boolean isWorrying(Instant expiry, Duration lifetime, Instant now) {
        return !now.isBefore(expiry.minus(lifetime.multipliedBy(3).dividedBy(10)));
    }
}
