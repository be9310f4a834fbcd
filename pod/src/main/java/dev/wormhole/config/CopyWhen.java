// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * When a file that is read is also copied to the local cache: {@code size < 64MB or reads_per_day > 3}.
 *
 * @param anyOf one of these, each with all of its comparisons ({@code and} binds tighter than {@code or})
 */
public record CopyWhen(List<List<Comparison>> anyOf) {
    private static final Pattern COMPARISON = Pattern.compile("([a-z_]+)\\s*([<>])\\s*(\\S+)");

    public CopyWhen {
        anyOf = anyOf.stream().map(List::copyOf).toList();
    }

    public enum Measure {
        SIZE,
        READS_PER_DAY
    }

    /** @param value bytes or reads */
    public record Comparison(Measure measure, boolean less, long value) {
        boolean holds(long sizeBytes, double readsPerDay) {
            var actual = measure == Measure.SIZE ? sizeBytes : readsPerDay;
            return less ? actual < value : actual > value;
        }

        @Override
        public String toString() {
            return measure.name().toLowerCase(Locale.ROOT)
                    + (less ? " < " : " > ")
                    + (measure == Measure.SIZE ? new Size(value).toString() : Long.toString(value));
        }
    }

    /** @throws IllegalArgumentException whose message says what is wrong, for a user */
    public static CopyWhen parse(String text) {
        var anyOf = new ArrayList<List<Comparison>>();
        for (var alternative : text.strip().split("\\s+or\\s+", -1)) {
            var allOf = new ArrayList<Comparison>();
            for (var part : alternative.split("\\s+and\\s+", -1)) {
                var match = COMPARISON.matcher(part.strip());
                if (!match.matches()) throw new IllegalArgumentException("is no comparison");
                var less = match.group(2).equals("<");
                switch (match.group(1)) {
                    case "size" ->
                        allOf.add(new Comparison(
                                Measure.SIZE, less, Size.parse(match.group(3)).bytes()));
                    case "reads_per_day" -> {
                        if (!match.group(3).matches("\\d{1,9}")) {
                            throw new IllegalArgumentException("compares reads_per_day with no whole number");
                        }
                        allOf.add(new Comparison(Measure.READS_PER_DAY, less, Long.parseLong(match.group(3))));
                    }
                    default -> throw new IllegalArgumentException("compares neither size nor reads_per_day");
                }
            }
            anyOf.add(allOf);
        }
        return new CopyWhen(anyOf);
    }

    public boolean holds(long sizeBytes, double readsPerDay) {
        return anyOf.stream()
                .anyMatch(allOf -> allOf.stream().allMatch(comparison -> comparison.holds(sizeBytes, readsPerDay)));
    }

    @Override
    public String toString() {
        return anyOf.stream()
                .map(allOf -> allOf.stream().map(Comparison::toString).collect(Collectors.joining(" and ")))
                .collect(Collectors.joining(" or "));
    }
}
