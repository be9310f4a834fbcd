// SPDX-License-Identifier: Apache-2.0
/**
 * The replicated log, on Apache Ratis, and the tables, on RocksDB. Nothing outside this package knows either: others
 * see {@link dev.wormhole.consensus.RaftLog} and {@link dev.wormhole.namespace.Table}.
 */
@NullMarked
package dev.wormhole.consensus;

import org.jspecify.annotations.NullMarked;
