// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.seal;

import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.concurrent.ArrayBlockingQueue;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/**
 * Authenticated encryption without a nonce, after the SIV construction of Rogaway and Shrimpton: the first 16 bytes of
 * HMAC-SHA256 over context and text are at once the tag and the initial counter of AES-256-CTR. The same text in the same
 * context always gives the same bytes, on every pod that has the secret, and that is all it tells; nothing has to be counted,
 * drawn or remembered, so no crash and no replay can spoil it. Two texts would share a counter after about 2^64 of them.
 *
 * <p>Thread-safe. What one call needs is kept for the next.
 */
public final class SyntheticSeal {
    /** What a sealed text is longer. */
    public static final int OVERHEAD_BYTES = 16;

    private static final int WORKERS_KEPT = 16;

    private final byte[] macKey;
    private final SecretKeySpec cipherKey;
    private final ArrayBlockingQueue<Worker> workers = new ArrayBlockingQueue<>(WORKERS_KEPT);

    /** @param purpose what is sealed, so that nothing sealed for another purpose passes for it */
    public SyntheticSeal(Secret secret, String purpose) {
        macKey = secret.derive(purpose + ": authenticate").bytes();
        cipherKey = new SecretKeySpec(secret.derive(purpose + ": encrypt").bytes(), "AES");
    }

    /** @param context what must be the same when it is opened: its place */
    public byte[] seal(byte[] context, byte[] text) {
        Worker worker = take();
        try {
            byte[] sealed = new byte[OVERHEAD_BYTES + text.length];
            byte[] tag = worker.tag(context, text);
            System.arraycopy(tag, 0, sealed, 0, OVERHEAD_BYTES);
            worker.cipher.init(Cipher.ENCRYPT_MODE, cipherKey, new IvParameterSpec(sealed, 0, OVERHEAD_BYTES));
            worker.cipher.doFinal(text, 0, text.length, sealed, OVERHEAD_BYTES);
            return sealed;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("sealing", e);
        } finally {
            boolean _ = workers.offer(worker);
        }
    }

    /** @return null if this was not sealed so, here and with this secret */
    public byte @Nullable [] open(byte[] context, byte[] sealed) {
        if (sealed.length < OVERHEAD_BYTES) return null;
        Worker worker = take();
        try {
            worker.cipher.init(Cipher.DECRYPT_MODE, cipherKey, new IvParameterSpec(sealed, 0, OVERHEAD_BYTES));
            byte[] text = worker.cipher.doFinal(sealed, OVERHEAD_BYTES, sealed.length - OVERHEAD_BYTES);
            byte[] tag = Arrays.copyOf(worker.tag(context, text), OVERHEAD_BYTES);
            return MessageDigest.isEqual(tag, Arrays.copyOf(sealed, OVERHEAD_BYTES)) ? text : null;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("opening", e);
        } finally {
            boolean _ = workers.offer(worker);
        }
    }

    /** 64 bits that only who has the secret can compute. */
    public long fingerprint(byte[] text) {
        Worker worker = take();
        try {
            return ByteBuffer.wrap(worker.tag(FINGERPRINT, text)).getLong();
        } finally {
            boolean _ = workers.offer(worker);
        }
    }

    /** No context of a sealed text: keys of tables do not look so. */
    private static final byte[] FINGERPRINT = {-1, -1, 'f', 'i', 'n', 'g', 'e', 'r', 'p', 'r', 'i', 'n', 't'};

    private Worker take() {
        Worker kept = workers.poll();
        return kept == null ? new Worker() : kept;
    }

    private final class Worker {
        final Mac mac = Secret.mac(macKey);
        final Cipher cipher;
        private final ByteBuffer length = ByteBuffer.allocate(8);

        Worker() {
            try {
                cipher = Cipher.getInstance("AES/CTR/NoPadding");
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException("this Java lacks AES-CTR", e);
            }
        }

        byte[] tag(byte[] context, byte[] text) {
            mac.update(length.putLong(0, context.length).array());
            mac.update(context);
            return mac.doFinal(text);
        }
    }
}
