// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.util.ArrayList;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * Knocks at ports and never shows who it is: hundreds of connections at a time that say nothing, begin a handshake and never end
 * it, send garbage, or one byte now and then; for so long, again and again. Prints how many it opened, and how many stood
 * at once.
 *
 * <p>Arguments: SECONDS, then HOST:PORT...
 */
final class Knocker {
    private static final int AT_ONCE = 300;

    private Knocker() {}

    public static void main(String[] arguments) throws Exception {
        var random = new Random(11);
        var end = System.nanoTime() + TimeUnit.SECONDS.toNanos(Integer.parseInt(arguments[0]));
        var open = new ArrayList<Socket>();
        int opened = 0;
        int most = 0;
        while (System.nanoTime() < end) {
            for (int i = 0; i < AT_ONCE; i++) {
                var to = arguments[1 + i % (arguments.length - 1)].split(":");
                var socket = new Socket();
                try {
                    socket.connect(new InetSocketAddress(to[0], Integer.parseInt(to[1])), 2000);
                    opened++;
                    open.add(socket);
                    say(socket, random, opened);
                } catch (IOException refused) {
                    socket.close();
                }
            }
            int standing = 0;
            for (var socket : open) if (stands(socket)) standing++;
            most = Math.max(most, standing);
            for (var socket : open) socket.close();
            open.clear();
        }
        System.out.println("opened " + opened + ", standing " + most);
    }

    private static void say(Socket socket, Random random, int turn) throws IOException {
        if (turn % 3 == 0) return; // silence
        var bytes = new byte[6 + random.nextInt(3000)];
        random.nextBytes(bytes);
        if (turn % 3 == 1) System.arraycopy(new byte[] {0x16, 3, 1, 0x3f, (byte) 0xff, 1}, 0, bytes, 0, 6);
        socket.getOutputStream().write(bytes, 0, turn % 6 == 1 ? 1 : bytes.length);
    }

    private static boolean stands(Socket socket) {
        try {
            socket.setSoTimeout(1);
            while (socket.getInputStream().read() >= 0) {} // an alert
            return false;
        } catch (SocketTimeoutException e) {
            return true;
        } catch (IOException e) {
            return false;
        }
    }
}
