// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.List;

/**
 * Where a pod listens or is found: {@code nas-1:7420}, {@code 10.0.0.1}, {@code [fe80::1]:7420}.
 *
 * @param host a name, an IPv4 address, or an IPv6 address without brackets
 * @param port 0 to 65535; 0, any free one, is only for listening
 * @param everyAddress {@code dns:NAME}: all addresses of the name are pods of the network, not one
 */
public record HostPort(String host, int port, boolean everyAddress) {
    public static final int PORT = 7420;

    public HostPort {
        if (host.isEmpty() || port < 0 || port > 65535)
            throw new IllegalArgumentException("address: " + host + ":" + port);
    }

    public HostPort(String host, int port) {
        this(host, port, false);
    }

    /**
     * Reads {@code HOST}, {@code HOST:PORT} or {@code dns:NAME[:PORT]}; the port is {@value #PORT} where none is given.
     *
     * @throws IllegalArgumentException whose message says what is wrong, for a user
     */
    public static HostPort parse(String text) {
        var rest = text.strip();
        var every = rest.startsWith("dns:");
        if (every) rest = rest.substring(4);
        String host;
        String port;
        if (rest.startsWith("[")) {
            var end = rest.indexOf(']');
            if (end < 0 || end + 1 < rest.length() && rest.charAt(end + 1) != ':') {
                throw new IllegalArgumentException("is no address");
            }
            host = rest.substring(1, end);
            port = end + 1 < rest.length() ? rest.substring(end + 2) : "";
            if (end + 1 < rest.length() && port.isEmpty()) throw new IllegalArgumentException("lacks its port");
            if (!host.matches("[0-9A-Fa-f:.]+(%[0-9A-Za-z]+)?")) throw new IllegalArgumentException("is no address");
        } else {
            var colon = rest.indexOf(':');
            if (colon >= 0 && colon != rest.lastIndexOf(':')) {
                throw new IllegalArgumentException("is an IPv6 address without brackets");
            }
            host = colon < 0 ? rest : rest.substring(0, colon);
            port = colon < 0 ? "" : rest.substring(colon + 1);
            if (colon >= 0 && port.isEmpty()) throw new IllegalArgumentException("lacks its port");
            if (!host.matches("[0-9A-Za-z]([0-9A-Za-z._-]*[0-9A-Za-z])?")) {
                throw new IllegalArgumentException("is no address");
            }
        }
        if (port.isEmpty()) return new HostPort(host, PORT, every);
        if (!port.matches("\\d{1,5}") || Integer.parseInt(port) > 65535) {
            throw new IllegalArgumentException("has no port from 0 to 65535");
        }
        return new HostPort(host, Integer.parseInt(port), every);
    }

    /** All interfaces of this machine, rather than one. */
    public boolean isWildcard() {
        return host.equals("0.0.0.0") || host.equals("::");
    }

    /** Asks the resolver: the first address, or with {@code dns:} all of them. */
    public List<InetSocketAddress> resolve() throws UnknownHostException {
        if (!everyAddress) return List.of(new InetSocketAddress(InetAddress.getByName(host), port));
        return Arrays.stream(InetAddress.getAllByName(host))
                .map(address -> new InetSocketAddress(address, port))
                .toList();
    }

    /** {@link #parse} reads it back. */
    @Override
    public String toString() {
        return (everyAddress ? "dns:" : "") + (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
    }
}
