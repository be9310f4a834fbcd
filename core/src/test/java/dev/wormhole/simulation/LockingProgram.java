// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.simulation;

import dev.wormhole.health.Presence;
import dev.wormhole.lock.FileLock;
import dev.wormhole.lock.LockOwner;
import dev.wormhole.lock.LockSpace;
import dev.wormhole.lock.LockTable;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.LockRecord;
import dev.wormhole.namespace.Outcome;
import java.util.HashSet;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A program on one pod that makes a file longer by one byte, each time under its lock, and what its pod does for that: it
 * decides from memory, tells when asked, takes locks from silent pods, and gives up when its own were taken. One step at a time;
 * a crash forgets it.
 */
final class LockingProgram {
    static final FileName FILE = FileName.of("counted");
    private static final LockSpace SPACE = LockSpace.RANGES;

    /** What all programs did together. */
    static final class Counts {
        long begun;
        long acknowledged;
        long refused;
        long taken;
    }

    private enum Doing {
        NOTHING,
        WAITING,
        HOLDING,
        UNLOCKING
    }

    private final SimulatedPod pod;
    private final Counts counts;
    private Doing doing = Doing.NOTHING;
    private boolean busy;
    private long ticket;

    LockingProgram(SimulatedPod pod, Counts counts) {
        this.pod = pod;
        this.counts = counts;
    }

    boolean rests() {
        return doing == Doing.NOTHING && !busy;
    }

    private LockOwner owner() {
        return new LockOwner(pod.self(), 1);
    }

    private FileLock wanted() {
        return new FileLock(SPACE, owner(), true, 0, Long.MAX_VALUE, 1);
    }

    private void propose(Command command, Consumer<Outcome> then) {
        busy = true;
        int life = pod.life;
        pod.propose(command).whenComplete((applied, failure) -> {
            if (!pod.up || pod.life != life) return;
            busy = false;
            if (failure == null) then.accept(applied.outcome());
        });
    }

    /** @param begins whether it may begin again */
    void step(boolean begins) {
        if (!pod.sessionOpen || busy) return;
        InodeId file = pod.view().lookup(InodeId.ROOT, FILE);
        if (file == null) {
            if (begins) {
                busy = true;
                pod.create(FILE.toString()).whenComplete((_, _) -> busy = false);
            }
            return;
        }
        LockRecord row = pod.view().locks(file);
        Incarnation self = pod.self();
        if (row != null && row.lost().contains(self)) {
            doing = Doing.NOTHING; // cut off
            propose(new Command.ForgoLocks(file), _ -> {});
            return;
        }
        boolean decides = row != null && self.equals(row.holder());
        if (decides && row.asked()) {
            boolean holds = doing == Doing.HOLDING || doing == Doing.UNLOCKING;
            propose(
                    new Command.ShareLocks(file, row.epoch(), holds ? List.of(wanted()) : List.of(), List.of()),
                    _ -> {});
            return;
        }
        switch (doing) {
            case NOTHING -> {
                if (begins && pod.sim.chance(0.3)) lock(file, decides);
            }
            case WAITING -> wait(file, row, decides);
            case HOLDING -> count(file);
            case UNLOCKING -> {
                if (decides) {
                    doing = Doing.NOTHING;
                    return;
                }
                propose(new Command.Unlock(file, SPACE, owner(), 0, Long.MAX_VALUE), outcome -> {
                    if (outcome instanceof Outcome.Done(long value) && value == 0) doing = Doing.NOTHING;
                });
            }
        }
    }

    private void lock(InodeId file, boolean decides) {
        if (decides) {
            doing = Doing.HOLDING;
            return;
        }
        propose(new Command.Lock(file, wanted(), ++ticket, Command.LockMode.WAIT), outcome -> {
            if (!(outcome instanceof Outcome.Done(long value))) return;
            if (value == Command.Lock.GRANTED) doing = Doing.HOLDING;
            else if (value == Command.Lock.WAITING) doing = Doing.WAITING;
        });
    }

    private void wait(InodeId file, @Nullable LockRecord row, boolean decides) {
        if (decides) {
            doing = Doing.HOLDING;
            return;
        }
        var table = row == null ? new LockTable() : new LockTable(row.held(), row.waiters());
        if (!table.isWaiting(owner(), ticket)) {
            doing = table.covers(wanted()) ? Doing.HOLDING : Doing.NOTHING;
            return;
        }
        var blocking = new HashSet<Incarnation>();
        if (row != null && row.holder() != null) blocking.add(row.holder());
        table.blockers(wanted()).forEach(other -> blocking.add(other.pod()));
        for (Incarnation other : blocking) {
            Presence presence = pod.presenceOf(other);
            if (presence == null || presence == Presence.PRESENT) continue;
            propose(new Command.TakeLocks(file, other), outcome -> {
                if (outcome instanceof Outcome.Done(long value) && value == 1) counts.taken++;
            });
            return;
        }
    }

    private void count(InodeId file) {
        var now = pod.view().attributes(file);
        if (now == null) throw new IllegalStateException("nobody removes it");
        counts.begun++;
        propose(new Command.SetAttributes(file, null, null, null, now.size() + 1, null, null, false), outcome -> {
            switch (outcome) {
                case Outcome.Done _ -> counts.acknowledged++;
                case Outcome.Refused(Errno errno) -> {
                    pod.sim.check(errno == Errno.EIO, "counting was refused: " + errno);
                    counts.refused++;
                }
            }
            if (doing == Doing.HOLDING) doing = Doing.UNLOCKING;
        });
    }
}
