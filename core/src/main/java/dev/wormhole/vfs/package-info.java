// SPDX-License-Identifier: Apache-2.0
/** What a file operation means: open files, write-back, caches and their invalidation. */
@NullMarked
package dev.wormhole.vfs;

import org.jspecify.annotations.NullMarked;
