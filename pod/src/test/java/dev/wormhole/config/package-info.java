// SPDX-License-Identifier: Apache-2.0
@NullMarked
package dev.wormhole.config;

import org.jspecify.annotations.NullMarked;
