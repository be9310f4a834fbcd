// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.cli;

import org.jspecify.annotations.NullMarked;
