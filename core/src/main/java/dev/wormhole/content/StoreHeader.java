// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.Incarnation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.UUID;

/**
 * Whose store this is: the file {@code store}, replaced whole, so that after a crash there is the old or the new one.
 * Layout in docs/formats/store.md.
 *
 * @param networkName 1 to 255 bytes of UTF-8
 * @param networkId 128 random bits, drawn when the network was founded
 * @param generation which life of the network's log
 * @param incarnation which life of this store
 * @param storeToken made with this store, the founder's at random, the others' from their keys; tells a store from another one
 * @param startCount how often a daemon has opened the store; a restored image is known by its lower count
 * @param volume which volume of the pod this is, from 0
 */
public record StoreHeader(
        String networkName,
        UUID networkId,
        long generation,
        Incarnation incarnation,
        long storeToken,
        long startCount,
        int volume) {
    public static final String FILE = "store";

    private static final long MAGIC = 0x5748_5354_4F52_0001L; // "WHSTOR", 1
    private static final int VERSION = 1;
    private static final int FIXED_BYTES = 64;
    private static final int NAME_BYTES_MAX = 255;

    public StoreHeader {
        int bytes = networkName.getBytes(StandardCharsets.UTF_8).length;
        if (bytes == 0 || bytes > NAME_BYTES_MAX) throw new IllegalArgumentException("network name: " + networkName);
        if (generation < 0 || startCount < 0 || volume < 0 || volume > 0xFFFF)
            throw new IllegalArgumentException("count out of range");
    }

    /** The header of the next start. */
    public StoreHeader started() {
        return new StoreHeader(networkName, networkId, generation, incarnation, storeToken, startCount + 1, volume);
    }

    /** Durable on return. */
    public void write(Volume volume) throws IOException {
        byte[] name = networkName.getBytes(StandardCharsets.UTF_8);
        var bytes = ByteBuffer.allocate(FIXED_BYTES + name.length + 4);
        bytes.putLong(MAGIC).putInt(VERSION).putInt(bytes.capacity());
        bytes.putLong(networkId.getMostSignificantBits()).putLong(networkId.getLeastSignificantBits());
        bytes.putLong(generation).putLong(storeToken).putLong(startCount);
        bytes.putInt(incarnation.number()).putShort((short) this.volume).putShort((short) name.length);
        bytes.put(name);
        bytes.putInt(Checksums.crc(bytes.duplicate().flip()));
        AtomicFile.write(volume, FILE, bytes.clear());
    }

    /** Reads the header. @return empty if the volume has none @throws IOException if it is damaged or newer than us */
    public static Optional<StoreHeader> read(Volume volume) throws IOException {
        ByteBuffer bytes = AtomicFile.read(volume, FILE, FIXED_BYTES + NAME_BYTES_MAX + 4);
        if (bytes == null) return Optional.empty();
        int size = bytes.remaining();
        if (size < FIXED_BYTES + 4 || bytes.getLong() != MAGIC) throw new IOException("this is no store: bad header");
        int version = bytes.getInt();
        if (version != VERSION) throw new IOException("the store has format " + version + ", we know " + VERSION);
        if (bytes.getInt() != size
                || bytes.getInt(size - 4)
                        != Checksums.crc(bytes.duplicate().position(0).limit(size - 4))) {
            throw new IOException("the store's header is damaged: checksum");
        }
        var networkId = new UUID(bytes.getLong(), bytes.getLong());
        long generation = bytes.getLong();
        long storeToken = bytes.getLong();
        long startCount = bytes.getLong();
        int number = bytes.getInt();
        int volumeNumber = Short.toUnsignedInt(bytes.getShort());
        byte[] name = new byte[Short.toUnsignedInt(bytes.getShort())];
        if (name.length != size - FIXED_BYTES - 4) throw new IOException("the store's header is damaged: name");
        bytes.get(name);
        try {
            return Optional.of(new StoreHeader(
                    new String(name, StandardCharsets.UTF_8),
                    networkId,
                    generation,
                    new Incarnation(number),
                    storeToken,
                    startCount,
                    volumeNumber));
        } catch (IllegalArgumentException e) {
            throw new IOException("the store's header is damaged: " + e.getMessage(), e);
        }
    }
}
