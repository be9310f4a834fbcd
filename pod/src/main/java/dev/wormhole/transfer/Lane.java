// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

/** Connections of their own, so that bytes in bulk never stand in front of control calls. The numbers travel. */
enum Lane {
    /** Calls of every package; multiplexed. */
    CONTROL,
    /** Groups of small slices on their way to a holder; multiplexed. */
    PUSH,
    /** Blocks that a reader asks for; multiplexed. */
    READ,
    /** One large slice at a time. */
    STREAM;

    static Lane of(int number) throws MalformedMessageException {
        var lanes = values();
        if (number < 0 || number >= lanes.length) throw new MalformedMessageException("lane " + number);
        return lanes[number];
    }
}
