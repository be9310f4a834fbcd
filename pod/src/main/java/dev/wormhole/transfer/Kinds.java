// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.transfer;

/** Numbers of calls. Those below 256 belong to this package; the others are given out by the pod. */
public final class Kinds {
    static final int PUSH_GROUP = 1;
    static final int READ_BLOCKS = 2;
    static final int PUSH_STREAM = 3;
    /** The first kind that other packages may use. */
    public static final int KINDS_FREE = 256;

    private Kinds() {}
}
