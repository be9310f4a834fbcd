// SPDX-License-Identifier: Apache-2.0
/** The daemon: builds the parts of a pod, starts and stops them, and carries out what the pure layers decide. */
@NullMarked
package dev.wormhole.pod;

import org.jspecify.annotations.NullMarked;
