// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.vfs.FileSystem;
import dev.wormhole.vfs.LockContract;

/** The fake does with locks what the real filesystem does. */
class MemoryFileSystemLocksTest extends LockContract {
    private final MemoryFileSystem files = new MemoryFileSystem();

    @Override
    protected FileSystem files() {
        return files;
    }
}
