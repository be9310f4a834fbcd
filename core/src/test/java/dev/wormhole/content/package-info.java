// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.content;

import org.jspecify.annotations.NullMarked;
