// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

/**
 * The other pod said no, with a code that travels. Handlers throw it to refuse. Codes below 100 belong to this package,
 * the others to the kinds that define them.
 */
public final class PeerRefused extends PeerException {
    public static final int WRONG_NETWORK = 1;
    public static final int WRONG_GENERATION = 2;
    public static final int WRONG_VERSION = 3;
    public static final int STRANGER = 4;
    public static final int OVERLOADED = 5;
    public static final int UNKNOWN_KIND = 6;
    public static final int BAD_REQUEST = 7;
    public static final int TIMEOUT = 8;
    public static final int FAILED = 9;
    public static final int NO_SPACE = 10;
    public static final int UNKNOWN_SLICE = 11;
    public static final int CORRUPT_SLICE = 12;
    public static final int TOO_LARGE = 13;
    public static final int WRONG_POD = 14;
    /** The caller's, or the callee's, certificate does not let it speak as it does. */
    public static final int UNAUTHENTICATED = 15;

    /** The first code that other packages may use. */
    public static final int CODES_FREE = 100;

    private final int code;

    /** @param message for people; cut to 1,000 characters on the wire */
    public PeerRefused(int code, String message) {
        super(message);
        this.code = code;
    }

    public int code() {
        return code;
    }
}
