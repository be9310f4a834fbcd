// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** Lengths of time as people write them: {@code 10m}, {@code 1h30m}, {@code 30d}, {@code 500ms}. */
public final class Durations {
    private static final Pattern FORM = Pattern.compile("(?:\\d{1,9}(?:ms|[smhd]))+");
    private static final Pattern PART = Pattern.compile("(\\d+)(ms|[smhd])");
    private static final Map<String, Duration> UNITS = new LinkedHashMap<>();

    static {
        UNITS.put("d", Duration.ofDays(1));
        UNITS.put("h", Duration.ofHours(1));
        UNITS.put("m", Duration.ofMinutes(1));
        UNITS.put("s", Duration.ofSeconds(1));
        UNITS.put("ms", Duration.ofMillis(1));
    }

    private Durations() {}

    /** @throws IllegalArgumentException whose message says what is wrong, for a user */
    public static Duration parse(String text) {
        var stripped = text.strip();
        if (stripped.equals("0")) return Duration.ZERO;
        if (!FORM.matcher(stripped).matches()) {
            throw new IllegalArgumentException(
                    stripped.matches("\\d+(\\.\\d+)?") ? "lacks a unit" : "is no length of time");
        }
        var total = Duration.ZERO;
        var parts = PART.matcher(stripped);
        while (parts.find()) {
            var unit = UNITS.get(parts.group(2));
            if (unit == null) throw new IllegalStateException("unit " + parts.group(2));
            total = total.plus(unit.multipliedBy(Long.parseLong(parts.group(1))));
        }
        return total;
    }

    /** Exact to the millisecond; {@link #parse} reads it back. */
    public static String format(Duration duration) {
        var left = duration.toMillis();
        if (left <= 0) return "0s";
        var text = new StringBuilder();
        for (var unit : UNITS.entrySet()) {
            var count = left / unit.getValue().toMillis();
            if (count > 0) text.append(count).append(unit.getKey());
            left %= unit.getValue().toMillis();
        }
        return text.toString();
    }
}
