// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.namespace.SealedTable;
import dev.wormhole.namespace.Table;
import dev.wormhole.seal.Secret;
import dev.wormhole.seal.SyntheticSeal;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Names and log as they lie on disks: sealed in a network that was founded so, else as they are. Thread-safe. */
final class LogSeal {
    /** An entry's place in the log is not known when it is sealed; its session and number are within. */
    private static final byte[] NO_CONTEXT = {};

    private final Optional<Secret> secret;
    private final @Nullable SyntheticSeal entries;

    /** @param secret the network's */
    LogSeal(Optional<Secret> secret) {
        this.secret = secret;
        this.entries =
                secret.map(key -> new SyntheticSeal(key, "wormhole entries 1")).orElse(null);
    }

    /** Empty where nothing is sealed. */
    Optional<Secret> secret() {
        return secret;
    }

    Table table(Table rows) {
        return secret.<Table>map(key -> new SealedTable(rows, key)).orElse(rows);
    }

    byte[] seal(byte[] entry) {
        return entries == null ? entry : entries.seal(NO_CONTEXT, entry);
    }

    /** @throws IllegalStateException if the entry was sealed with another key, or changed */
    byte[] open(long index, byte[] bytes) {
        if (entries == null) return bytes;
        byte[] entry = entries.open(NO_CONTEXT, bytes);
        if (entry == null)
            throw new IllegalStateException("entry " + index + " of the log is not what was sealed: it was changed on a"
                    + " disk, or the network's key here is another; the store is kept");
        return entry;
    }
}
