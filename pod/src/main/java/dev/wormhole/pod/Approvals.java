// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;

/**
 * Machines that wait for an administrator's yes, on the pod that they were led to. They ask again every few seconds, so nothing is
 * kept of those that have stopped asking, and nothing at all on disk: no stranger makes an entry in the log. Bounded and
 * thread-safe.
 */
final class Approvals {
    /** More are told to come back later. */
    static final int WAITING_MAX = 64;

    /** Who has not asked for so long does not wait any more. */
    static final Duration PATIENCE = Duration.ofSeconds(30);

    /** A decision is kept for so long: the answer to who asks next may be lost. */
    private static final Duration KEPT = Duration.ofMinutes(10);

    enum Answer {
        WAIT,
        YES,
        NO,
        TOO_MANY
    }

    /**
     * @param fingerprint of the machine's key, for two people to compare
     * @param from its address, as the pod that it asked saw it, or that pod
     * @param member a member whose certificate does not count any more; otherwise a machine that wants to be one
     */
    record Waiting(String name, String fingerprint, String from, boolean member) {}

    private static final class Request {
        final Waiting waiting;
        Answer answer = Answer.WAIT;
        long askedAt;

        Request(Waiting waiting) {
            this.waiting = waiting;
        }
    }

    private final LongSupplier nanos;
    private final Map<String, Request> requests = new HashMap<>();

    /** @param nanos a clock as {@link System#nanoTime} */
    Approvals(LongSupplier nanos) {
        this.nanos = nanos;
    }

    /** @param key the hash of the key that is to be certified */
    synchronized Answer ask(byte[] key, Waiting waiting) {
        forget();
        var id = HexFormat.of().formatHex(key);
        var request = requests.get(id);
        if (request != null && !request.waiting.name().equals(waiting.name())) {
            requests.remove(id); // what was agreed to was another name
            request = null;
        }
        if (request == null) {
            if (requests.size() >= WAITING_MAX) return Answer.TOO_MANY;
            request = new Request(waiting);
            requests.put(id, request);
        }
        request.askedAt = nanos.getAsLong();
        return request.answer;
    }

    private void forget() {
        var now = nanos.getAsLong();
        requests.values()
                .removeIf(
                        request -> now - request.askedAt > (request.answer == Answer.WAIT ? PATIENCE : KEPT).toNanos());
    }

    synchronized List<Waiting> waiting() {
        forget();
        var waiting = new ArrayList<Waiting>();
        for (var request : requests.values()) if (request.answer == Answer.WAIT) waiting.add(request.waiting);
        waiting.sort(java.util.Comparator.comparing(Waiting::name).thenComparing(Waiting::fingerprint));
        return waiting;
    }

    /** Decides about the one that waits with this name and fingerprint. @return false if it does not wait any more */
    synchronized boolean decide(String name, String fingerprint, boolean yes) {
        forget();
        for (var request : requests.values()) {
            if (request.answer != Answer.WAIT
                    || !request.waiting.name().equals(name)
                    || !request.waiting.fingerprint().equals(fingerprint)) continue;
            request.answer = yes ? Answer.YES : Answer.NO;
            request.askedAt = nanos.getAsLong();
            return true;
        }
        return false;
    }
}
