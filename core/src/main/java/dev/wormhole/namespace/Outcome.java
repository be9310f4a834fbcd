// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Errno;

/** What apply answers to one command: the same on every pod, stored for repeats. */
public sealed interface Outcome {
    /** @param value what the command's documentation says; 0 where it says nothing */
    record Done(long value) implements Outcome {}

    record Refused(Errno errno) implements Outcome {}
}
