// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.placement;

import dev.wormhole.placement.Move.Cause;
import java.util.EnumMap;
import java.util.Map;

/**
 * What repair has done and has still to do, for status, metrics and logs. A walk over the slices counts what is to be done
 * ({@link #begin}, {@link #planned}, {@link #walked}); work counts itself ({@link #copied}, {@link #dropped},
 * {@link #failed}). All methods are thread-safe; {@link #shown} is one moment.
 */
public final class RepairProgress {
    /**
     * @param slicesToDo moves of this pod found by the last whole walk and not done since
     * @param bytesToDo bytes that these copy
     * @param slicesDone copies made and dropped since the pod started
     * @param bytesDone bytes copied since the pod started
     * @param failures attempts that failed since the pod started; they are planned again
     * @param causes how many slices are to be done or wait, by cause, from the last whole walk
     */
    public record Shown(
            long slicesToDo, long bytesToDo, long slicesDone, long bytesDone, long failures, Map<Cause, Long> causes) {
        public Shown {
            causes = Map.copyOf(causes);
        }

        /** Slices that cannot be mended now. */
        public long waiting() {
            long waiting = 0;
            for (var cause : WAITING) waiting += causes.getOrDefault(cause, 0L);
            return waiting;
        }

        private static final Cause[] WAITING = {
            Cause.NO_LIVE_HOLDER, Cause.HOLDER_LATE, Cause.NO_ROOM, Cause.TARGET_LATE
        };
    }

    private EnumMap<Cause, Long> walking = new EnumMap<>(Cause.class);
    private long walkingSlices;
    private long walkingBytes;
    private EnumMap<Cause, Long> causes = new EnumMap<>(Cause.class);
    private long slicesToDo;
    private long bytesToDo;
    private long slicesDone;
    private long bytesDone;
    private long failures;

    /** A walk begins; what the last one found stands until it ends. */
    public synchronized void begin() {
        walking = new EnumMap<>(Cause.class);
        walkingSlices = 0;
        walkingBytes = 0;
    }

    /** The walk came by a slice of that length. */
    public synchronized void planned(Move move, long lengthBytes) {
        if (move instanceof Move.None) return;
        walking.merge(move.cause(), 1L, Long::sum);
        switch (move) {
            case Move.Copy _ -> {
                walkingSlices++;
                walkingBytes += lengthBytes;
            }
            case Move.Drop _ -> walkingSlices++;
            case Move.None _, Move.Wait _ -> {}
        }
    }

    /** The walk has seen every slice. */
    public synchronized void walked() {
        causes = walking;
        slicesToDo = walkingSlices;
        bytesToDo = walkingBytes;
        begin();
    }

    public synchronized void copied(Cause cause, long lengthBytes) {
        bytesDone += lengthBytes;
        bytesToDo = Math.max(0, bytesToDo - lengthBytes);
        done(cause);
    }

    public synchronized void dropped(Cause cause) {
        done(cause);
    }

    private void done(Cause cause) {
        slicesDone++;
        slicesToDo = Math.max(0, slicesToDo - 1);
        causes.computeIfPresent(cause, (_, count) -> count > 1 ? count - 1 : null);
    }

    public synchronized void failed() {
        failures++;
    }

    public synchronized Shown shown() {
        return new Shown(slicesToDo, bytesToDo, slicesDone, bytesDone, failures, causes);
    }
}
