// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** Enum constants as users write them ({@code LOWER_REDUNDANCY} is {@code lower-redundancy}), and near misses. */
public final class Words {
    private Words() {}

    public static String of(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    static <E extends Enum<E>> Optional<E> parse(Class<E> type, String word) {
        return Arrays.stream(type.getEnumConstants())
                .filter(constant -> of(constant).equals(word))
                .findFirst();
    }

    /** {@code "a", "b" or "c"}. */
    static <E extends Enum<E>> String choices(Class<E> type) {
        return list(Arrays.stream(type.getEnumConstants()).map(Words::of).toList());
    }

    static String list(List<String> words) {
        var quoted = words.stream().map(word -> '"' + word + '"').toList();
        if (quoted.size() == 1) return quoted.getFirst();
        return quoted.subList(0, quoted.size() - 1).stream().collect(Collectors.joining(", "))
                + " or "
                + quoted.getLast();
    }

    /** The known word that was probably meant: at most a third of its letters differ, two for short ones. */
    public static Optional<String> nearest(String word, List<String> known) {
        String best = null;
        var bestDistance = Integer.MAX_VALUE;
        for (var candidate : known) {
            var distance = distance(word, candidate);
            if (distance <= Math.max(2, candidate.length() / 3)
                    && distance < Math.max(word.length(), candidate.length())
                    && distance < bestDistance) {
                best = candidate;
                bestDistance = distance;
            }
        }
        return Optional.ofNullable(best);
    }

    /** Insertions, deletions, replacements and swaps of neighbours between two words. */
    static int distance(String a, String b) {
        var rows = new int[a.length() + 1][b.length() + 1];
        for (var i = 0; i <= a.length(); i++) {
            for (var j = 0; j <= b.length(); j++) {
                if (i == 0 || j == 0) {
                    rows[i][j] = i + j;
                    continue;
                }
                var same = a.charAt(i - 1) == b.charAt(j - 1);
                var best = Math.min(rows[i - 1][j - 1] + (same ? 0 : 1), Math.min(rows[i - 1][j], rows[i][j - 1]) + 1);
                if (i > 1 && j > 1 && a.charAt(i - 1) == b.charAt(j - 2) && a.charAt(i - 2) == b.charAt(j - 1)) {
                    best = Math.min(best, rows[i - 2][j - 2] + 1);
                }
                rows[i][j] = best;
            }
        }
        return rows[a.length()][b.length()];
    }
}
