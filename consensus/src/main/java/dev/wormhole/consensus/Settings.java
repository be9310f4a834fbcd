// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.consensus;

import dev.wormhole.model.Incarnation;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.Optional;
import java.util.UUID;
import java.util.function.BiConsumer;
import java.util.function.BiPredicate;
import java.util.function.Predicate;
import javax.net.ssl.X509ExtendedKeyManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * How one pod follows one log.
 *
 * @param directory of this log alone; made if missing
 * @param group the log's identity (16 bytes): a generation of the network. Pods of other groups are refused
 * @param self this store's incarnation, and the address the others reach it at
 * @param listen where to accept the others; the port must be given, a wildcard host is allowed
 * @param start what an empty directory means; a directory with content is always continued
 */
public record Settings(
        Path directory,
        UUID group,
        Member self,
        InetSocketAddress listen,
        Start start,
        Timing timing,
        Sizes sizes,
        Optional<Tls> tls) {

    /** What to do in an empty directory. */
    public enum Start {
        /** A new log, with this pod as its only voter. Once in the life of a group. */
        FOUND,
        /** Wait, without a vote, for the leader to add this pod ({@link RaftLog#setMembers}) and to bring it up to date. */
        JOIN
    }

    /** Plain settings for a trusted network: no TLS. */
    public static Settings of(Path directory, UUID group, Member self, InetSocketAddress listen, Start start) {
        return new Settings(directory, group, self, listen, start, Timing.LAN, Sizes.SMALL, Optional.empty());
    }

    public Settings with(Timing other) {
        return new Settings(directory, group, self, listen, start, other, sizes, tls);
    }

    public Settings with(Sizes other) {
        return new Settings(directory, group, self, listen, start, timing, other, tls);
    }

    public Settings with(Tls other) {
        return new Settings(directory, group, self, listen, start, timing, sizes, Optional.of(other));
    }

    /**
     * @param electionMin a follower that hears nothing for this long to {@code electionMax} (chosen at random) stands
     *     for election; the leader sends heartbeats at half of it, and may answer reads alone for 9/10 of it
     * @param electionMax more than {@code electionMin}
     * @param request deadline of each call to another pod
     * @param call deadline of {@link RaftLog#append}, {@link RaftLog#readIndex} and a transfer of leadership
     * @param membership deadline of {@link RaftLog#setMembers}, which waits until a new voter has caught up
     * @param snapshotInterval a log that moved gets a snapshot, and is shortened, at least this often
     */
    public record Timing(
            Duration electionMin,
            Duration electionMax,
            Duration request,
            Duration call,
            Duration membership,
            Duration snapshotInterval) {
        /** Failover within 2 s. */
        public static final Timing LAN = new Timing(
                Duration.ofMillis(500),
                Duration.ofSeconds(1),
                Duration.ofSeconds(3),
                Duration.ofSeconds(10),
                Duration.ofSeconds(60),
                Duration.ofMinutes(10));

        /** Between sites: failover within 6 s. */
        public static final Timing WAN = new Timing(
                Duration.ofSeconds(2),
                Duration.ofSeconds(4),
                Duration.ofSeconds(6),
                Duration.ofSeconds(20),
                Duration.ofMinutes(5),
                Duration.ofMinutes(10));

        public Timing {
            if (electionMin.compareTo(Duration.ofMillis(100)) < 0 || electionMax.compareTo(electionMin) <= 0) {
                throw new IllegalArgumentException("election timeouts: " + electionMin + " to " + electionMax);
            }
        }
    }

    /**
     * @param entryBytesMax largest entry; also sizes the buffers for sending and writing
     * @param segmentBytes size of a log file; up to three of them are kept in memory too
     * @param snapshotEntries a snapshot after so many entries
     * @param snapshotLogBytes or after so many bytes of entries
     * @param entriesKept entries left in the log behind a snapshot, so that a pod a little behind needs no snapshot
     * @param purgeEntriesMin the log is shortened by at least so many entries at once
     * @param heldLogBytesMax the log is not shortened while a snapshot is being installed elsewhere, up to this size
     */
    public record Sizes(
            int entryBytesMax,
            int segmentBytes,
            long snapshotEntries,
            long snapshotLogBytes,
            long entriesKept,
            int purgeEntriesMin,
            long heldLogBytesMax) {
        /**
         * For a pod whose heap is 128 MB or more. A start reads what is left of the log and walks again over what came
         * after the snapshot, about 30 us an entry in a young JVM: hence many snapshots, which cost 50 ms each.
         */
        public static final Sizes SMALL = new Sizes(1 << 20, 8 << 20, 10_000, 64L << 20, 8_000, 1_024, 1L << 30);

        public Sizes {
            if (entryBytesMax < 1024 || entryBytesMax > 16 << 20) {
                throw new IllegalArgumentException("entry bytes: " + entryBytesMax);
            }
            if (segmentBytes < entryBytesMax) throw new IllegalArgumentException("segment bytes: " + segmentBytes);
        }
    }

    /**
     * Mutual TLS. Both managers are asked at every handshake, so they may change their mind and their keys at any time;
     * connections that stand are not asked again.
     *
     * @param speaksFor whether the holder of a certificate may speak as an incarnation; asked once per stream
     * @param admitted whether an incarnation is let in at this moment; asked with every message, so it must be quick
     * @param refused told of each connection that came to nothing before it had shown a member's certificate: from where, and
     *     why; must be quick, and bound what it writes
     */
    public record Tls(
            X509ExtendedKeyManager keys,
            X509ExtendedTrustManager trust,
            BiPredicate<X509Certificate, Incarnation> speaksFor,
            Predicate<Incarnation> admitted,
            BiConsumer<String, String> refused) {}
}
