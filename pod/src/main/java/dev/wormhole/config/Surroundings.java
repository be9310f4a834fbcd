// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What the defaults of a pod depend on.
 *
 * @param hostName of this machine, without its domain
 * @param battery it runs on one at times: a laptop
 * @param stores below it each network has a folder with a store for each pod
 * @param addresses of this machine that others can reach, without loopback unless there is nothing else
 */
public record Surroundings(String hostName, boolean battery, Path stores, List<String> addresses) {
    public Surroundings {
        addresses = List.copyOf(addresses);
    }

    /** This machine, for the user of this process. */
    public static Surroundings here() {
        return new Surroundings(hostNameHere(), batteryHere(), storesHere(), addressesHere());
    }

    private static String hostNameHere() {
        try {
            return Files.readString(Path.of("/proc/sys/kernel/hostname"))
                    .strip()
                    .replaceAll("\\..*", "");
        } catch (IOException e) {
            try {
                return InetAddress.getLocalHost().getHostName().replaceAll("\\..*", "");
            } catch (IOException unknown) {
                return "pod";
            }
        }
    }

    private static boolean batteryHere() {
        var supplies = Path.of("/sys/class/power_supply");
        if (!Files.isDirectory(supplies)) return false;
        try (var list = Files.newDirectoryStream(supplies, "BAT*")) {
            return list.iterator().hasNext();
        } catch (IOException e) {
            return false;
        }
    }

    private static Path storesHere() {
        if ("root".equals(System.getProperty("user.name"))) return Path.of("/var/lib/wormhole");
        var data = System.getenv("XDG_DATA_HOME");
        return data != null && data.startsWith("/")
                ? Path.of(data, "wormhole")
                : Path.of(System.getProperty("user.home", "/"), ".local", "share", "wormhole");
    }

    private static List<String> addressesHere() {
        var addresses = new ArrayList<String>();
        try {
            for (var network : NetworkInterface.networkInterfaces()
                    .filter(Surroundings::isUp)
                    .toList()) {
                network.inetAddresses()
                        .filter(address -> address instanceof Inet4Address && !address.isLinkLocalAddress())
                        .map(InetAddress::getHostAddress)
                        .forEach(addresses::add);
            }
        } catch (SocketException e) {
            addresses.clear();
        }
        return addresses.isEmpty() ? List.of("127.0.0.1") : addresses;
    }

    private static boolean isUp(NetworkInterface network) {
        try {
            return network.isUp() && !network.isLoopback();
        } catch (SocketException e) {
            return false;
        }
    }
}
