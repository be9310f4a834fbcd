// SPDX-License-Identifier: Apache-2.0
/** The commands of {@code wormhole}. The only place that knows the command line library. */
@NullMarked
package dev.wormhole.cli;

import org.jspecify.annotations.NullMarked;
