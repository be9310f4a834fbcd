// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.PodConfig;
import dev.wormhole.control.DaemonStart;
import dev.wormhole.seal.Secret;
import dev.wormhole.security.KeyFiles;
import dev.wormhole.security.StoreKey;
import java.io.IOException;
import java.util.Optional;

/** Whether a store is encrypted, and its key: decided when it is made, and never changed behind anybody's back. */
final class AtRest {
    private AtRest() {}

    /**
     * The store's key: opened, or made for a store that is being made.
     *
     * @param member the store belongs to a network already
     * @throws IOException if the file and the store disagree, or the key cannot be opened; nothing is changed then
     */
    static Optional<Secret> open(PodConfig.Storage storage, KeyFiles keys, boolean member, DaemonStart start)
            throws IOException {
        boolean encrypted = StoreKey.exists(keys);
        if (encrypted && !storage.encrypt())
            throw new IOException(
                    "the store is encrypted and its pod.toml does not say so: set [storage] encrypt = true."
                            + " For a plain one: wormhole leave, which moves the data to the others, then wormhole join");
        if (!storage.encrypt()) return Optional.empty();
        if (encrypted) return Optional.of(StoreKey.open(keys, storage.keyFile(), start.passphrase()));
        if (member)
            throw new IOException(
                    "the store was made without encryption, and [storage] encrypt = true cannot change what is"
                            + " on the disk: wormhole leave, which moves the data to the others, then wormhole join --encrypt."
                            + " To go on without: encrypt = false");
        var passphrase = start.passphrase();
        StoreKey.Lock lock = passphrase.isPresent()
                ? new StoreKey.Lock.Passphrase(passphrase.get())
                : storage.keyFile().<StoreKey.Lock>map(StoreKey.Lock.File::new).orElseGet(() -> StoreKey.besides(keys));
        return Optional.of(StoreKey.make(keys, lock));
    }

    /** The files of keys as this store has them. */
    static KeyFiles keys(KeyFiles plain, Optional<Secret> key) {
        return key.map(plain::sealedWith).orElse(plain);
    }
}
