// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.pod;

import org.jspecify.annotations.NullMarked;
