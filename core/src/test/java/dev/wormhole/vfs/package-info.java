// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.vfs;

import org.jspecify.annotations.NullMarked;
