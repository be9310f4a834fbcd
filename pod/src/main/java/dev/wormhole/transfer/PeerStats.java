// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

/**
 * What this pod has measured of one peer since it started.
 *
 * @param bytesOut bytes sent to it by our calls and pushes, frames included
 * @param bytesIn bytes of its replies, frames included
 * @param calls calls begun
 * @param failures calls that ended without a reply or with a refusal
 * @param outstanding calls not answered yet
 * @param roundTripMicros smoothed time of control calls, their handling included; 0 before the first
 * @param connected whether a control connection stands
 */
public record PeerStats(
        long bytesOut,
        long bytesIn,
        long calls,
        long failures,
        long outstanding,
        long roundTripMicros,
        boolean connected) {}
