// SPDX-License-Identifier: Apache-2.0
/**
 * A {@link dev.wormhole.vfs.FileSystem} as a Linux directory: system calls through the foreign function interface, reader
 * threads, hand-off of what waits, kernel cache notifications.
 */
@NullMarked
package dev.wormhole.mount.linux;

import org.jspecify.annotations.NullMarked;
