// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import dev.wormhole.model.SliceId;
import java.io.IOException;

/** This store has no such slice. */
public final class UnknownSliceException extends IOException {
    public UnknownSliceException(SliceId slice) {
        super("slice " + slice + " is not in this store");
    }
}
