// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.util.regex.Pattern;

/**
 * The part of a disk that slices never use: {@code 5%}, {@code 10GB}, or {@code 5%, at most 10GB}.
 *
 * @param percent 0 to 100
 * @param bytesMax not negative
 */
public record KeepFree(double percent, long bytesMax) {
    /** 5 % of the disk, at most 1 GB: the log, the tables and their compaction live there. */
    public static final KeepFree DEFAULT = new KeepFree(5, 1_000_000_000);

    private static final Pattern PERCENT = Pattern.compile("(\\d{1,3}(?:\\.\\d{1,3})?)\\s*%");

    public KeepFree {
        if (!(percent >= 0 && percent <= 100)) throw new IllegalArgumentException("percent: " + percent);
        if (bytesMax < 0) throw new IllegalArgumentException("bytes: " + bytesMax);
    }

    /** @throws IllegalArgumentException whose message says what is wrong, for a user */
    public static KeepFree parse(String text) {
        var both = text.split(",\\s*at most\\s+", 2);
        if (both.length == 2)
            return new KeepFree(parse(both[0]).percent, Size.parse(both[1]).bytes());
        var match = PERCENT.matcher(text.strip());
        if (!match.matches()) return new KeepFree(100, Size.parse(text).bytes());
        var percent = Double.parseDouble(match.group(1));
        if (percent > 90) throw new IllegalArgumentException("leaves no room to store anything");
        return new KeepFree(percent, Long.MAX_VALUE);
    }

    /** Bytes to keep free on a disk of this size. */
    public long bytes(long diskBytes) {
        return Math.min((long) (diskBytes * (percent / 100)), bytesMax);
    }

    @Override
    public String toString() {
        if (percent == 100) return new Size(bytesMax).toString();
        var share = (percent == Math.rint(percent) ? Long.toString((long) percent) : Double.toString(percent)) + "%";
        return bytesMax == Long.MAX_VALUE ? share : share + ", at most " + new Size(bytesMax);
    }
}
