// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import dev.wormhole.model.Incarnation;

/** A member as the log knows it. */
public record PodRecord(
        Incarnation incarnation,
        PodSettings settings,
        boolean draining,
        boolean absent,
        long startCount,
        long settledCounter,
        long orphansAcknowledgedIndex) {}
