// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testkit;

import java.io.ByteArrayOutputStream;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Gives a decoder bytes that nobody would write: sound samples with flipped bits, other lengths, extreme numbers, pieces cut,
 * repeated and exchanged. Whatever it is given, a decoder either refuses it as it has declared, or takes it for something
 * that it encodes again to the same; within bounds of time and memory that follow from the length of its input.
 *
 * <p>Seeds are fixed, so that each run is the same; {@code -Dfuzz.seconds=N} goes on for N seconds with others, and
 * {@code -Dfuzz.seed=N} repeats one. A failure names its seed.
 */
public final class Fuzz {
    private static final int SEEDS = 3_000;
    private static final long NANOS_MAX = TimeUnit.SECONDS.toNanos(5);
    private static final com.sun.management.ThreadMXBean THREADS =
            (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

    /** Decodes, and encodes what it has decoded; null where nothing encodes it. */
    @FunctionalInterface
    public interface Decoder {
        byte @Nullable [] decode(byte[] bytes) throws Exception;
    }

    private final String name;
    private final List<byte[]> samples;
    private UnaryOperator<byte[]> mended = UnaryOperator.identity();
    private long bytesMax = 1 << 20;
    private int seeds = SEEDS;

    private Fuzz(String name, List<byte[]> samples) {
        this.name = name;
        this.samples = samples;
    }

    public static Fuzz of(String name, byte[]... samples) {
        return new Fuzz(name, List.of(samples));
    }

    /** Makes checksums good again, so that damage gets past them; half of the inputs are treated so. */
    public Fuzz mendedBy(UnaryOperator<byte[]> mend) {
        mended = mend;
        return this;
    }

    /** Fewer inputs than usual, for a slow decoder. */
    public Fuzz seeds(int count) {
        seeds = count;
        return this;
    }

    /** What the decoder may allocate for the smallest input; 1 MiB if nothing is said. */
    public Fuzz allocating(long bytes) {
        bytesMax = bytes;
        return this;
    }

    /** @param declared what the decoder may answer with instead; anything else fails the test */
    @SafeVarargs
    public final void run(Decoder decoder, Class<? extends Exception>... declared) throws Exception {
        // The samples themselves are sound: a decoder that refuses all would pass what follows.
        for (byte[] sample : samples) again(decoder, sample, decoder.decode(sample.clone()), 0);
        var only = Long.getLong("fuzz.seed");
        if (only != null) {
            once(decoder, only, declared);
            return;
        }
        for (long seed = 1; seed <= seeds; seed++) once(decoder, seed, declared);
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(Long.getLong("fuzz.seconds", 0));
        long tried = 0;
        for (long seed = new Random().nextLong(); System.nanoTime() < end; seed++, tried++)
            once(decoder, seed, declared);
        if (tried > 0) System.out.println("fuzz " + name + ": " + tried + " more inputs");
    }

    @SafeVarargs
    private final void once(Decoder decoder, long seed, Class<? extends Exception>... declared) {
        byte[] bytes = damaged(new Random(seed));
        long began = System.nanoTime();
        long before = THREADS.getCurrentThreadAllocatedBytes();
        byte[] encoded = null;
        try {
            encoded = decoder.decode(bytes.clone());
        } catch (Exception | StackOverflowError | OutOfMemoryError e) {
            boolean refused = false;
            for (Class<?> type : declared) refused |= type.isInstance(e);
            if (!refused) throw failure(seed, bytes, e);
        }
        long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
        if (allocated > bytesMax + 200L * bytes.length)
            throw failure(seed, bytes, new AssertionError(allocated + " bytes allocated"));
        if (System.nanoTime() - began > NANOS_MAX) throw failure(seed, bytes, new AssertionError("too slow"));
        again(decoder, bytes, encoded, seed);
    }

    /** What was made of it is made of its own encoding too. */
    private void again(Decoder decoder, byte[] bytes, byte @Nullable [] encoded, long seed) {
        if (encoded == null) return;
        try {
            if (!Arrays.equals(decoder.decode(encoded.clone()), encoded))
                throw new AssertionError("decoded, encoded and decoded again it is something else");
        } catch (Exception | AssertionError e) {
            throw failure(seed, bytes, e);
        }
    }

    private AssertionError failure(long seed, byte[] bytes, Throwable cause) {
        return new AssertionError(
                "fuzz " + name + ", -Dfuzz.seed=" + seed + ": " + cause + "\n"
                        + HexFormat.of().formatHex(bytes, 0, Math.min(bytes.length, 2000)),
                cause);
    }

    private byte[] damaged(Random random) {
        byte[] bytes = samples.get(random.nextInt(samples.size())).clone();
        for (int i = 1 + random.nextInt(4); i > 0; i--) bytes = damaged(bytes, random);
        return random.nextBoolean() ? mended.apply(bytes) : bytes;
    }

    private byte[] damaged(byte[] bytes, Random random) {
        if (bytes.length == 0) return new byte[] {(byte) random.nextInt()};
        int at = random.nextInt(bytes.length);
        int length = Math.min(1 + random.nextInt(8), bytes.length - at);
        switch (random.nextInt(10)) {
            case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> bytes[at] = (byte) random.nextInt();
            case 2 -> Arrays.fill(bytes, at, at + length, (byte) (random.nextBoolean() ? -1 : 0));
            case 3 -> bytes[at] = (byte) (random.nextBoolean() ? 0x7f : 0x80);
            case 4 -> bytes[at] += (byte) (random.nextBoolean() ? 1 : -1);
            case 5 -> {
                return Arrays.copyOf(bytes, at);
            }
            case 6 -> {
                return without(bytes, at, length);
            }
            case 7 -> {
                return with(bytes, at, Arrays.copyOfRange(bytes, at, at + length));
            }
            case 8 -> {
                var more = new byte[random.nextInt(20)];
                random.nextBytes(more);
                return with(bytes, random.nextBoolean() ? bytes.length : at, more);
            }
            default -> {
                byte[] other = samples.get(random.nextInt(samples.size()));
                int from = random.nextInt(other.length + 1);
                return with(Arrays.copyOf(bytes, at), at, Arrays.copyOfRange(other, from, other.length));
            }
        }
        return bytes;
    }

    private static byte[] without(byte[] bytes, int at, int length) {
        return with(Arrays.copyOf(bytes, at), at, Arrays.copyOfRange(bytes, at + length, bytes.length));
    }

    private static byte[] with(byte[] bytes, int at, byte[] inserted) {
        var to = new ByteArrayOutputStream(bytes.length + inserted.length);
        to.write(bytes, 0, at);
        to.writeBytes(inserted);
        to.write(bytes, at, bytes.length - at);
        return to.toByteArray();
    }
}
