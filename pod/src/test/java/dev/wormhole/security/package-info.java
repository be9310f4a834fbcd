// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.security;

import org.jspecify.annotations.NullMarked;
