// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.math.BigDecimal;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/** An amount of storage as people write it: {@code 4TB}, {@code 1.5GB}, {@code 512MiB}. 0 to 2^63-1 bytes. */
public record Size(long bytes) implements Comparable<Size> {
    private static final Pattern FORM = Pattern.compile("(\\d{1,19}(?:\\.\\d{1,9})?)\\s*([A-Za-z]*)");
    /** Largest first; decimal and binary units are both exact. */
    private static final Map<String, Long> UNITS = new LinkedHashMap<>();

    static {
        UNITS.put("PiB", 1L << 50);
        UNITS.put("PB", 1_000_000_000_000_000L);
        UNITS.put("TiB", 1L << 40);
        UNITS.put("TB", 1_000_000_000_000L);
        UNITS.put("GiB", 1L << 30);
        UNITS.put("GB", 1_000_000_000L);
        UNITS.put("MiB", 1L << 20);
        UNITS.put("MB", 1_000_000L);
        UNITS.put("KiB", 1L << 10);
        UNITS.put("kB", 1_000L);
        UNITS.put("B", 1L);
    }

    public Size {
        if (bytes < 0) throw new IllegalArgumentException("size: " + bytes);
    }

    /** @throws IllegalArgumentException whose message says what is wrong, for a user */
    public static Size parse(String text) {
        var match = FORM.matcher(text.strip());
        if (!match.matches()) throw new IllegalArgumentException("is no size");
        var number = new BigDecimal(match.group(1));
        if (match.group(2).isEmpty()) {
            if (number.signum() == 0) return new Size(0);
            throw new IllegalArgumentException("lacks a unit");
        }
        for (var unit : UNITS.entrySet()) {
            if (!unit.getKey().equalsIgnoreCase(match.group(2))) continue;
            var bytes = number.multiply(BigDecimal.valueOf(unit.getValue())).toBigInteger();
            if (bytes.bitLength() > 63) throw new IllegalArgumentException("is too large");
            return new Size(bytes.longValueExact());
        }
        throw new IllegalArgumentException("has an unknown unit");
    }

    /** Rounded for reading: {@code 1.5 GB}. */
    public static String human(long bytes) {
        if (bytes < 0) return "-" + human(-Math.max(bytes, -Long.MAX_VALUE));
        if (bytes < 1000) return bytes + " B";
        var units = "kMGTPE";
        var value = (double) bytes;
        var unit = -1;
        do {
            value /= 1000;
            unit++;
        } while (value >= 999.5 && unit < units.length() - 1);
        return String.format(Locale.ROOT, value < 9.95 ? "%.1f %cB" : "%.0f %cB", value, units.charAt(unit));
    }

    @Override
    public int compareTo(Size other) {
        return Long.compare(bytes, other.bytes);
    }

    /** The shortest exact form; {@link #parse} reads it back. */
    @Override
    public String toString() {
        if (bytes == 0) return "0B";
        var best = bytes + "B";
        for (var unit : UNITS.entrySet()) {
            if (bytes % unit.getValue() != 0) continue;
            var form = bytes / unit.getValue() + unit.getKey();
            if (form.length() < best.length()) best = form;
        }
        return best;
    }
}
