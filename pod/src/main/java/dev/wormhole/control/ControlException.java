// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.control;

/** The answer no to a control command, in words for the person who gave it. */
public final class ControlException extends Exception {
    /** It would lose safety or break a rule; the answer stays no until something changes. */
    public static final String REFUSED = "refused";
    /** Not now: starting, stopping, without a leader. The same command may work later. */
    public static final String NOT_READY = "not-ready";

    public static final String NOT_FOUND = "not-found";
    public static final String BAD_REQUEST = "bad-request";
    public static final String UNKNOWN_COMMAND = "unknown-command";
    public static final String BUSY = "busy";
    /** Disk, network or a bug: see the pod's log. */
    public static final String FAILED = "failed";

    private final String code;
    private final String hint;

    /**
     * @param code one of the constants
     * @param message what is the matter, one sentence without a full stop
     * @param hint what to do about it, or empty
     */
    public ControlException(String code, String message, String hint) {
        super(message);
        this.code = code;
        this.hint = hint;
    }

    public String code() {
        return code;
    }

    /** Never null. */
    public String message() {
        var message = getMessage();
        return message == null ? code : message;
    }

    public String hint() {
        return hint;
    }
}
