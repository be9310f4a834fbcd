// SPDX-License-Identifier: Apache-2.0
/** What tests of several rooms share. */
@NullMarked
package dev.wormhole.testkit;

import org.jspecify.annotations.NullMarked;
