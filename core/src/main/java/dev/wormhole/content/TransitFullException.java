// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.content;

import java.io.IOException;

/** No more slices can be on their way through this pod at the moment: it passes when earlier ones have left. */
public final class TransitFullException extends IOException {
    public TransitFullException(String message) {
        super(message);
    }
}
