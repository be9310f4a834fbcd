// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/**
 * What a file operation answers: a value, or a refusal with its errno. Failures of disks and peers are
 * {@link java.io.IOException}s and become EIO in one place, at the mount; bugs are {@link IllegalStateException}s.
 */
public sealed interface Answer<T> {
    record Ok<T>(T value) implements Answer<T> {}

    record Refused<T>(Errno errno) implements Answer<T> {}

    static <T> Answer<T> ok(T value) {
        return new Ok<>(value);
    }

    static <T> Answer<T> refused(Errno errno) {
        return new Refused<>(errno);
    }
}
