// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.time.LocalTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Bytes per second: {@code 20MB/s}, or {@code unlimited}.
 *
 * @param bytesPerSecond positive; {@link Long#MAX_VALUE} is unlimited
 */
public record Rate(long bytesPerSecond) {
    public static final Rate UNLIMITED = new Rate(Long.MAX_VALUE);

    public Rate {
        if (bytesPerSecond <= 0) throw new IllegalArgumentException("rate: " + bytesPerSecond);
    }

    /** @throws IllegalArgumentException whose message says what is wrong, for a user */
    public static Rate parse(String text) {
        var stripped = text.strip();
        if (stripped.equals("unlimited")) return UNLIMITED;
        if (!stripped.endsWith("/s")) throw new IllegalArgumentException("is no rate");
        var size = Size.parse(stripped.substring(0, stripped.length() - 2));
        if (size.bytes() == 0) throw new IllegalArgumentException("must be more than zero");
        return new Rate(size.bytes());
    }

    @Override
    public String toString() {
        return equals(UNLIMITED) ? "unlimited" : new Size(bytesPerSecond) + "/s";
    }

    /**
     * A rate with exceptions by time of day: {@code 2MB/s, 22:00-07:00 unlimited}.
     *
     * @param windows the first one that contains the time of day wins over {@code usual}
     */
    public record Schedule(Rate usual, List<Window> windows) {
        public static final Schedule UNLIMITED = new Schedule(Rate.UNLIMITED, List.of());
        private static final Pattern WINDOW =
                Pattern.compile("([01]\\d|2[0-3]):([0-5]\\d)-([01]\\d|2[0-3]):([0-5]\\d)\\s+(\\S+)");

        public Schedule {
            windows = List.copyOf(windows);
        }

        /** @throws IllegalArgumentException whose message says what is wrong, for a user */
        public static Schedule parse(String text) {
            var parts = text.split(",", -1);
            var windows = new ArrayList<Window>();
            for (var i = 1; i < parts.length; i++) {
                var match = WINDOW.matcher(parts[i].strip());
                if (!match.matches()) throw new IllegalArgumentException("has a part that is no HH:MM-HH:MM RATE");
                windows.add(new Window(
                        LocalTime.of(Integer.parseInt(match.group(1)), Integer.parseInt(match.group(2))),
                        LocalTime.of(Integer.parseInt(match.group(3)), Integer.parseInt(match.group(4))),
                        Rate.parse(match.group(5))));
            }
            return new Schedule(Rate.parse(parts[0]), windows);
        }

        /** The rate at a local time of day. */
        public Rate at(LocalTime time) {
            return windows.stream()
                    .filter(window -> window.contains(time))
                    .map(Window::rate)
                    .findFirst()
                    .orElse(usual);
        }

        @Override
        public String toString() {
            return usual
                    + windows.stream()
                            .map(window ->
                                    String.format(Locale.ROOT, ", %s-%s %s", window.from, window.until, window.rate))
                            .collect(Collectors.joining());
        }
    }

    /** From a time of day, included, until another, excluded; past midnight where {@code until} is the earlier. */
    public record Window(LocalTime from, LocalTime until, Rate rate) {
        boolean contains(LocalTime time) {
            return from.isBefore(until)
                    ? !time.isBefore(from) && time.isBefore(until)
                    : !time.isBefore(from) || time.isBefore(until);
        }
    }
}
