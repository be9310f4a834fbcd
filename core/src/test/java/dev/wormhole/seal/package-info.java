// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.seal;

import org.jspecify.annotations.NullMarked;
