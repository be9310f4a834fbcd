// SPDX-License-Identifier: Apache-2.0
/**
 * The FUSE kernel protocol alone: bytes of /dev/fuse to {@link Request}s, {@link Reply}s to bytes. Knows nothing of
 * Wormhole and makes no system call. Layouts are those of {@code <linux/fuse.h>} 7.45, in the machine's byte order;
 * docs/formats/fuse.md says which parts are spoken.
 */
@NullMarked
package dev.wormhole.mount.fuse;

import org.jspecify.annotations.NullMarked;
