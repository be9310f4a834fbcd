// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Connections that have not shown yet who they are: so many at the most. When one comes too many, the oldest one of the host
 * that has most of them gives way, so that whoever knocks too often is in nobody's way but its own. Thread-safe.
 *
 * @param <C> a connection, told from others by equals
 */
public final class Newcomers<C> {
    private final int max;
    /** Each with its host, the oldest first. */
    private final Map<C, String> waiting = new LinkedHashMap<>();

    public Newcomers(int max) {
        if (max < 1) throw new IllegalArgumentException("newcomers: " + max);
        this.max = max;
    }

    /**
     * One more.
     *
     * @param host where it comes from, without the port
     * @return who gives way: it is no newcomer any more, and to be closed by the caller
     */
    public synchronized Optional<C> add(C connection, String host) {
        Optional<C> out = waiting.size() < max ? Optional.empty() : Optional.of(oldestOf(busiest(host)));
        out.ifPresent(waiting::remove);
        waiting.put(connection, host);
        return out;
    }

    /** It has shown who it is, or ended. False if it gave way or was none. */
    public synchronized boolean remove(C connection) {
        return waiting.remove(connection) != null;
    }

    /** The oldest first. */
    public synchronized List<C> all() {
        return List.copyOf(waiting.keySet());
    }

    public synchronized int size() {
        return waiting.size();
    }

    /** With the one that comes; among equals, the one that has waited longest. */
    private String busiest(String coming) {
        Map<String, Integer> counts = new HashMap<>();
        counts.put(coming, 1);
        for (String host : waiting.values()) counts.merge(host, 1, Integer::sum);
        Iterator<String> hosts = waiting.values().iterator();
        String busiest = hosts.next();
        while (hosts.hasNext()) {
            String host = hosts.next();
            if (counts.getOrDefault(host, 0) > counts.getOrDefault(busiest, 0)) busiest = host;
        }
        return busiest;
    }

    private C oldestOf(String host) {
        for (Map.Entry<C, String> one : waiting.entrySet()) if (one.getValue().equals(host)) return one.getKey();
        throw new IllegalStateException("nobody from " + host);
    }
}
