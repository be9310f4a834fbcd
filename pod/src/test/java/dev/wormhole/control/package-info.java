// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.control;

import org.jspecify.annotations.NullMarked;
