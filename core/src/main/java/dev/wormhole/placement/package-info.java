// SPDX-License-Identifier: Apache-2.0
/** Who should hold what: a pure planner and the checker that re-verifies its plans. */
@NullMarked
package dev.wormhole.placement;

import org.jspecify.annotations.NullMarked;
