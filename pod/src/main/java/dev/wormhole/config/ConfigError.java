// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.util.Comparator;

/**
 * One thing wrong in a configuration file.
 *
 * @param line from 1
 * @param column from 1, in characters
 */
public record ConfigError(String file, int line, int column, String message) implements Comparable<ConfigError> {
    private static final Comparator<ConfigError> BY_POSITION = Comparator.comparing(ConfigError::file)
            .thenComparingInt(ConfigError::line)
            .thenComparingInt(ConfigError::column)
            .thenComparing(ConfigError::message);

    @Override
    public int compareTo(ConfigError other) {
        return BY_POSITION.compare(this, other);
    }

    /** {@code FILE:LINE:COLUMN: message}, as compilers print it and editors jump to it. */
    @Override
    public String toString() {
        return file + ":" + line + ":" + column + ": " + message;
    }
}
