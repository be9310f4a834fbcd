// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.health;

/**
 * A pod's word to leaders: once a new leader has asked it, it follows no older one. A leader can count on being followed
 * from its answer to a heartbeat on, once the next heartbeat has brought that back ({@link Authority}); so what a pod
 * remembers is when it got the answers that it has brought back. Times are of this pod's own clock that counts sleep.
 * Thread-safe.
 */
public final class Following {
    private long askedTerm;
    /** The newest term followed, its last answer that was brought back, and the last one of any older term. */
    private long term = -1;

    private long at;
    private long olderAt;

    /** @param nowNanos a former life of this pod followed others until now at the latest */
    public Following(long nowNanos) {
        at = nowNanos;
        olderAt = nowNanos;
    }

    /**
     * A heartbeat to the leader of a term is about to be sent. Answers whether it may be.
     *
     * @param answerNanos when the answer came that it brings back; {@link Long#MIN_VALUE} if it brings back none
     */
    public synchronized boolean mayFollow(long inTerm, long answerNanos) {
        if (inTerm < askedTerm) return false;
        if (inTerm < term) {
            olderAt = Math.max(olderAt, answerNanos);
            return true;
        }
        if (inTerm > term) olderAt = Math.max(olderAt, at);
        term = inTerm;
        at = Math.max(at, answerNanos);
        return true;
    }

    /** The leader of a term asks for how many nanoseconds no older one can have counted on this pod. */
    public synchronized long asked(long byTerm, long nowNanos) {
        askedTerm = Math.max(askedTerm, byTerm);
        return Math.max(0, nowNanos - (term < byTerm ? at : olderAt));
    }
}
