// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.config;

import java.io.IOException;
import java.util.List;
import java.util.stream.Collectors;

/** What reading a configuration file gives: its value, or all that is wrong with it. */
public sealed interface Parsed<T> {
    record Good<T>(T value) implements Parsed<T> {}

    /** @param errors at least one, in the order of the file */
    record Bad<T>(List<ConfigError> errors) implements Parsed<T> {
        public Bad {
            errors = List.copyOf(errors);
            if (errors.isEmpty()) throw new IllegalArgumentException("no error");
        }

        /** All errors, one a line. */
        public String report() {
            return errors.stream().map(ConfigError::toString).collect(Collectors.joining("\n"));
        }
    }

    /** Empty for a good file. */
    default List<ConfigError> errors() {
        return switch (this) {
            case Good<T> _ -> List.of();
            case Bad<T> bad -> bad.errors;
        };
    }

    /** @throws IOException whose message is the whole report; for callers that can only give up */
    default T orFail() throws IOException {
        return switch (this) {
            case Good<T> good -> good.value;
            case Bad<T> bad -> throw new IOException(bad.report());
        };
    }
}
