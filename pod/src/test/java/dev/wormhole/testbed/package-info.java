// SPDX-License-Identifier: Apache-2.0
/** Real pods, in processes and network namespaces of their own, and the faults that befall them. Needs root and FUSE. */
@NullMarked
package dev.wormhole.testbed;

import org.jspecify.annotations.NullMarked;
