// SPDX-License-Identifier: Apache-2.0
/** The replicated state: a pure machine from commands to outcomes, and its local view. */
@NullMarked
package dev.wormhole.namespace;

import org.jspecify.annotations.NullMarked;
