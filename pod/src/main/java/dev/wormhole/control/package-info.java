// SPDX-License-Identifier: Apache-2.0
/**
 * How commands of the same machine talk to a pod's daemon: a unix socket in the pod's store, JSON lines. The only place
 * that knows the JSON library; its {@code JsonObject} is the form of arguments and results.
 */
@NullMarked
package dev.wormhole.control;

import org.jspecify.annotations.NullMarked;
