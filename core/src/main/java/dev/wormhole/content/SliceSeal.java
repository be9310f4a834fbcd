// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import dev.wormhole.seal.Secret;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.random.RandomGenerator;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Slices that cannot be read without a key: each block is AES-256-GCM, and its trailer has nonce and tag where a plain one has
 * its CRC. The key is the slice's own, HMAC-SHA256 of its id under the store's; what is authenticated beside the bytes are the
 * block's number and, in a pack, the slice's length. So no block passes for another one, of this slice or of any. In a file of
 * its own, whose length is not known while blocks are written, the footer's tag has it.
 *
 * <p>Nonces are random, 96 bits, and serve one slice each: a key sees as many as its slice has blocks, so that none comes
 * twice, whatever crashed, was written again or came back from an old image of the disk. Compaction copies sealed bytes as
 * they are.
 *
 * <p>Thread-safe. A {@link Worker} has what one call needs; a few are kept. docs/formats/slices.md has the layout.
 */
final class SliceSeal {
    /** A trailer in memory: nonce and tag. */
    static final int WORDS = 7;

    /** What a worker reads or writes at once. */
    static final int RUN_BYTES = 4 * ContentStore.BLOCK_BYTES;

    static final byte GCM_TRAILER = 2;

    private static final int NONCE_BYTES = 12;
    private static final int TAG_BYTES = 16;
    private static final int WORKERS_KEPT = 8;
    /** Of a slice with a file of its own, to its blocks. */
    static final long UNKNOWN_LENGTH = -1;

    private static final int FOOTER_BLOCK = -1;

    private final SecretKeySpec key;
    private final RandomGenerator random;
    private final ArrayBlockingQueue<Worker> workers = new ArrayBlockingQueue<>(WORKERS_KEPT);

    /** @param random thread-safe, and unpredictable in production */
    SliceSeal(Secret secret, RandomGenerator random) {
        this.key = new SecretKeySpec(secret.derive("wormhole slices 1").bytes(), "HmacSHA256");
        this.random = random;
    }

    /** To be closed by the same thread. */
    Worker worker() {
        Worker kept = workers.poll();
        return kept == null ? new Worker() : kept;
    }

    /** Puts 33 bytes. */
    static void putTrailer(ByteBuffer into, int[] words, int block) {
        into.put(GCM_TRAILER);
        for (int i = 0; i < WORDS; i++) into.putInt(words[block * WORDS + i]);
        into.putInt(0);
    }

    /** Takes a trailer into words. @return whether it is one that we understand */
    static boolean readTrailer(ByteBuffer from, int at, int[] words, int block) {
        if (from.get(at) != GCM_TRAILER || from.getInt(at + 29) != 0) return false;
        for (int i = 0; i < WORDS; i++) words[block * WORDS + i] = from.getInt(at + 1 + 4 * i);
        return true;
    }

    /** Whether a record's data and trailers, from a place in a buffer on, are what was sealed. */
    boolean isWhole(ByteBuffer record, int data, SliceId slice, int length) {
        int[] words = new int[WORDS];
        try (var worker = worker()) {
            int trailer = data + length;
            for (int block = 0; block < Checksums.blocks(length); block++, trailer += Checksums.TRAILER_BYTES) {
                if (!readTrailer(record, trailer, words, 0)) return false;
                int bytes = Checksums.blockLength(length, block);
                record.get(data + block * ContentStore.BLOCK_BYTES, worker.in, 0, bytes);
                if (!worker.open(slice, length, block, bytes, words, 0)) return false;
            }
        }
        return true;
    }

    /** Puts the data of a record, sealed, and its trailers. */
    void putRecord(ByteBuffer into, SliceId slice, byte[] plain, int length) {
        int blocks = Checksums.blocks(length);
        int[] words = new int[blocks * WORDS];
        try (var worker = worker()) {
            for (int block = 0; block < blocks; block++) {
                int bytes = Checksums.blockLength(length, block);
                System.arraycopy(plain, block * ContentStore.BLOCK_BYTES, worker.in, 0, bytes);
                worker.seal(slice, length, block, bytes, words, block);
                into.put(worker.out, 0, bytes);
            }
        }
        for (int block = 0; block < blocks; block++) putTrailer(into, words, block);
    }

    final class Worker implements AutoCloseable {
        /** A block to seal, or a sealed one, and room for its tag. */
        final byte[] in = new byte[ContentStore.BLOCK_BYTES + TAG_BYTES];
        /** What came of it. */
        final byte[] out = new byte[ContentStore.BLOCK_BYTES + TAG_BYTES];
        /** Between files and {@link #in}. */
        final ByteBuffer run = ByteBuffer.allocateDirect(RUN_BYTES);

        private final Cipher cipher;
        private final Mac mac;
        private final byte[] nonce = new byte[NONCE_BYTES];
        private final ByteBuffer place = ByteBuffer.allocate(12);
        private final ByteBuffer id = ByteBuffer.allocate(8);
        private long keyOf; // a slice, 0 for none
        private SecretKeySpec sliceKey = key; // never used before keyOf is set

        private Worker() {
            try {
                cipher = Cipher.getInstance("AES/GCM/NoPadding");
                mac = Mac.getInstance("HmacSHA256");
                mac.init(key);
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException("this Java lacks AES-GCM", e);
            }
        }

        /**
         * Seals so many bytes of {@link #in} into {@link #out}.
         *
         * @param length of the slice, where it is in a pack
         * @param at the trailer's number in the words
         */
        void seal(SliceId slice, long length, int block, int bytes, int[] words, int at) {
            random.nextBytes(nonce);
            try {
                begin(Cipher.ENCRYPT_MODE, slice, length, block);
                cipher.doFinal(in, 0, bytes, out, 0);
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException("sealing " + slice, e);
            }
            for (int i = 0; i < 3; i++) words[at * WORDS + i] = word(nonce, 4 * i);
            for (int i = 0; i < 4; i++) words[at * WORDS + 3 + i] = word(out, bytes + 4 * i);
        }

        /** Opens so many sealed bytes of {@link #in} into {@link #out}. @return false if they are not what was sealed */
        boolean open(SliceId slice, long length, int block, int bytes, int[] words, int at) {
            for (int i = 0; i < 3; i++) putWord(nonce, 4 * i, words[at * WORDS + i]);
            for (int i = 0; i < 4; i++) putWord(in, bytes + 4 * i, words[at * WORDS + 3 + i]);
            try {
                begin(Cipher.DECRYPT_MODE, slice, length, block);
                cipher.doFinal(in, 0, bytes + TAG_BYTES, out, 0);
                return true;
            } catch (AEADBadTagException changed) {
                return false;
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException("opening " + slice, e);
            }
        }

        private void begin(int mode, SliceId slice, long length, int block) throws GeneralSecurityException {
            if (keyOf != slice.value()) {
                keyOf = 0;
                sliceKey = new SecretKeySpec(
                        mac.doFinal(id.putLong(0, slice.value()).array()), "AES");
                keyOf = slice.value();
            }
            cipher.init(mode, sliceKey, new GCMParameterSpec(8 * TAG_BYTES, nonce));
            cipher.updateAAD(place.putInt(0, block).putLong(4, length).array());
        }

        /** For a block of a file of its own. */
        void sealOwn(SliceId slice, int block, int bytes, int[] words, int at) {
            seal(slice, UNKNOWN_LENGTH, block, bytes, words, at);
        }

        boolean openOwn(SliceId slice, int block, int bytes, int[] words, int at) {
            return open(slice, UNKNOWN_LENGTH, block, bytes, words, at);
        }

        /** Nonce and tag that say how long a slice with a file of its own is. */
        void sealLength(SliceId slice, long length, int[] words) {
            seal(slice, length, FOOTER_BLOCK, 0, words, 0);
        }

        boolean hasLength(SliceId slice, long length, int[] words) {
            return open(slice, length, FOOTER_BLOCK, 0, words, 0);
        }

        @Override
        public void close() {
            boolean _ = workers.offer(this); // enough are kept: the collector takes it
        }
    }

    private static int word(byte[] bytes, int at) {
        return (bytes[at] & 0xff) << 24
                | (bytes[at + 1] & 0xff) << 16
                | (bytes[at + 2] & 0xff) << 8
                | bytes[at + 3] & 0xff;
    }

    private static void putWord(byte[] bytes, int at, int word) {
        bytes[at] = (byte) (word >>> 24);
        bytes[at + 1] = (byte) (word >>> 16);
        bytes[at + 2] = (byte) (word >>> 8);
        bytes[at + 3] = (byte) word;
    }
}
