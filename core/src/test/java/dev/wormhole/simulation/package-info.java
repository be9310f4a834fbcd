// SPDX-License-Identifier: Apache-2.0
/** A deterministic network of pods: real namespace, proposer, placement and health; simulated time, log, links, disks. */
@NullMarked
package dev.wormhole.simulation;

import org.jspecify.annotations.NullMarked;
