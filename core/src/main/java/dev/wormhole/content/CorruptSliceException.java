// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import java.io.IOException;

/** Bytes on the disk do not match their checksum; they are not delivered. */
public final class CorruptSliceException extends IOException {
    public CorruptSliceException(SliceId slice, long offset, String where) {
        super("slice " + slice + " is damaged at offset " + offset + " in " + where);
    }
}
