// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeId;

/**
 * One name of a directory.
 *
 * @param cookie its place in the directory's order, positive, the same for the name's whole life; entries that share a
 *     cookie (a hash collision) are always listed together
 */
public record DirectoryEntry(FileName name, InodeId inode, FileType type, long cookie) {}
