// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.lock;

import dev.wormhole.model.Incarnation;

/**
 * Whose lock it is. Locks of one owner never conflict.
 *
 * @param pod where the program runs
 * @param key the kernel's name there for a process's table of files or for an open file
 */
public record LockOwner(Incarnation pod, long key) implements Comparable<LockOwner> {
    @Override
    public int compareTo(LockOwner other) {
        int order = pod.compareTo(other.pod);
        return order != 0 ? order : Long.compare(key, other.key);
    }

    @Override
    public String toString() {
        return pod + "/" + Long.toHexString(key);
    }
}
