// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.io.IOException;

/** Bytes that are no entry this code knows: damaged, cut short, or of a later format. */
public final class MalformedEntryException extends IOException {
    private final int offset;

    MalformedEntryException(String message, int offset) {
        super(message + " at byte " + offset);
        this.offset = offset;
    }

    /** Where in the entry's bytes decoding ended. */
    public int offset() {
        return offset;
    }
}
