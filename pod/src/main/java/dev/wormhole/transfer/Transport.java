// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;

/**
 * Ordered, reliable byte streams between addresses; everything in this package goes through it, so TLS or a faulty network
 * is one implementation more. Thread-safe.
 */
public interface Transport {
    /**
     * @param address {@code host:port}; an IPv6 host stands in brackets
     * @param deadline longest time to wait for the connection, the name's resolution included
     * @throws IOException if there is no connection by then
     */
    Duplex connect(String address, Duration deadline) throws IOException;

    /**
     * @param address {@code host:port}; port 0 takes a free one
     * @throws IOException if the address cannot be listened on
     */
    Listener listen(String address) throws IOException;

    /** One connection. One thread may read while another writes; {@link #close} from any thread ends both. */
    interface Duplex extends Closeable {
        /** Reads at least one byte, or returns -1 at the stream's end. */
        int read(ByteBuffer into) throws IOException;

        /** Writes all remaining bytes of all buffers; blocks while the other side takes none. */
        void write(ByteBuffer... bytes) throws IOException;

        /**
         * Whether the other side may speak as it says, now; called once it has said so, and for a stranger too, which
         * claims nothing.
         *
         * @throws PeerRefused UNAUTHENTICATED if it may not
         */
        void authenticate(Identity claimed) throws PeerRefused;

        /** The other side's address, for people. */
        String remote();

        /** Never blocks on unsent bytes; a second close does nothing. */
        @Override
        void close();
    }

    interface Listener extends Closeable {
        Duplex accept() throws IOException;

        /** The address listened on, {@code host:port}, with the port that was taken. */
        String address();

        @Override
        void close();
    }
}
