// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.content.StoreHeader;
import dev.wormhole.model.Incarnation;
import dev.wormhole.namespace.Reforming;
import dev.wormhole.security.Reformation;
import dev.wormhole.transfer.Messages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.UUID;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The network goes on in a later generation than this pod's: who began it, and whether this pod may go over by itself. Kept in
 * the store's file {@code superseded}, so that the pod serves no more however often it is started.
 *
 * @param shown the words that say so, as they were shown
 * @param last of those that follow from this pod's generation
 * @param takesAlong whether each of them lists this pod and is the authority's too
 */
record Superseded(List<byte[]> shown, Reformation last, boolean takesAlong) {
    static final String FILE = "superseded";

    private static final Logger LOG = Logger.getLogger(Superseded.class.getName());
    private static final int SHOWN_MAX = 16;
    private static final int SUCCESSION_BYTES_MAX = 16 << 10;

    Superseded {
        shown = List.copyOf(shown);
    }

    /**
     * What a pod's word means for this one.
     *
     * @param authorities those that this pod trusts: what they cannot vouch for is not believed
     * @return empty if nothing follows from it
     */
    static Optional<Superseded> judge(
            List<byte[]> shown, UUID network, long generation, Incarnation self, List<X509Certificate> authorities) {
        Reformation last = null;
        var along = true;
        var at = generation;
        for (var next = next(shown, network, at, authorities);
                next.isPresent();
                next = next(shown, network, at, authorities)) {
            last = next.get();
            at = last.generation();
            along &= last.takesAlong(self);
        }
        return last == null ? Optional.empty() : Optional.of(new Superseded(shown, last, along));
    }

    private static Optional<Reformation> next(
            List<byte[]> shown, UUID network, long at, List<X509Certificate> authorities) {
        for (var bytes : shown) {
            try {
                var read = Reformation.decode(bytes);
                if (!read.network().equals(network)
                        || read.parent() != at
                        || Reforming.number(read.generation()) != Reforming.number(at) + 1) continue;
                read.verify(authorities);
                return Optional.of(read);
            } catch (IOException | GeneralSecurityException unbelievable) {
                LOG.log(Level.FINE, "a re-forming that is not believed: {0}", unbelievable.getMessage());
            }
        }
        return Optional.empty();
    }

    // ---- on the wire and on disk

    static byte[] encode(List<byte[]> shown) {
        var newest = shown.subList(Math.max(0, shown.size() - SHOWN_MAX), shown.size());
        return Messages.writer().putList(newest, Messages.Writer::putBytes).toBytes();
    }

    static List<byte[]> decode(byte[] bytes) throws IOException {
        var from = Messages.reader(bytes);
        var shown = from.getList(SHOWN_MAX, reader -> reader.getBytes(SUCCESSION_BYTES_MAX));
        from.end();
        return shown;
    }

    /** Durable on return. */
    void write(Path store) throws IOException {
        Transition.write(store.resolve(FILE), encode(shown));
    }

    /** @throws IOException if the file is damaged: then nothing is known, and nothing may be served */
    static Optional<Superseded> read(Path store, StoreHeader header, List<X509Certificate> authorities)
            throws IOException {
        List<byte[]> shown;
        try {
            shown = decode(Files.readAllBytes(store.resolve(FILE)));
        } catch (NoSuchFileException none) {
            return Optional.empty();
        }
        var judged = judge(shown, header.networkId(), header.generation(), header.incarnation(), authorities);
        if (judged.isEmpty())
            throw new IOException("the network was re-formed without this pod, says " + store.resolve(FILE)
                    + ", and the file does not say how any more; " + wayBack(store, List.of()));
        return judged;
    }

    // ---- for people

    /** What happened and what to do. */
    String advice(Path store) {
        var addresses = new ArrayList<>(last.addresses());
        return "the network was re-formed without this pod: " + last.byName() + " began generation "
                + Reforming.number(last.generation()) + " on "
                + DateTimeFormatter.ofPattern("yyyy-MM-dd 'at' HH:mm", Locale.ROOT)
                        .format(Instant.ofEpochMilli(last.millis()).atZone(ZoneId.systemDefault()))
                + ". This pod serves no more and keeps every byte; " + wayBack(store, addresses);
    }

    private static String wayBack(Path store, List<String> addresses) {
        return "to take it in again with what it has: wormhole invite on an administrator's pod there, and here: wormhole join "
                + (addresses.isEmpty() ? "ADDRESS" : addresses.getFirst()) + " --token TOKEN --store " + store
                + ". If it was the re-forming that was a mistake: stop the re-formed pods for good, remove "
                + store.resolve(FILE) + " and start this one";
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Superseded(var s, var l, var t)
                && l.generation() == last.generation()
                && t == takesAlong
                && s.size() == shown.size();
    }

    @Override
    public int hashCode() {
        return Long.hashCode(last.generation());
    }
}
