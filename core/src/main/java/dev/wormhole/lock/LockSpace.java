// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.lock;

/** The two kinds of locks of a file, which know nothing of each other, as on Linux's local filesystems. */
public enum LockSpace {
    /** fcntl(2): ranges of bytes, of a process (POSIX) or of an open file (OFD). */
    RANGES,
    /** flock(2): the whole file, of an open file. */
    WHOLE
}
