// SPDX-License-Identifier: Apache-2.0
/**
 * TOML files to records: every key typed and checked, every error with its file, line and column. The only place that
 * knows the TOML library.
 */
@NullMarked
package dev.wormhole.config;

import org.jspecify.annotations.NullMarked;
