// SPDX-License-Identifier: Apache-2.0
/** Microbenchmarks of what every operation goes through; run by {@code benchmarks/jmh}, never by the build. */
@NullMarked
package dev.wormhole.benchmarks;

import org.jspecify.annotations.NullMarked;
