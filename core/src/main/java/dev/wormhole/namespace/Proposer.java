// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.namespace;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * The proposing end of a session: gathers commands into batches, numbers them, says what to send and when to send it
 * again, and gives each command the outcome that this pod's own apply found. It neither sends nor reads a clock, so that
 * the simulation drives it as the pod does.
 *
 * <p>Group commit: while a batch is under way, commands gather; when it is applied, all that gathered (up to
 * {@link #COMMANDS_MAX}) travel as the next one. With one batch in flight no order can be lost; a repeat of it is
 * recognised by apply and answered from the stored outcomes, so sending again is always safe. Thread-safe.
 */
public final class Proposer {
    /** Most commands of one batch. */
    public static final int COMMANDS_MAX = 512;

    /** A batch's weight (its rough size in bytes) at which it is closed. */
    static final int WEIGHT_MAX = 512 * 1024;

    /**
     * Where a command ended.
     *
     * @param index log index of the entry that was applied first with it, or of its repeat
     */
    public record Applied(Outcome outcome, long index) {}

    /** A numbered batch, the same object each time it is sent. */
    public static final class Batch {
        private final long sequence;
        private final long lowestUnanswered;
        private final List<Command> commands;
        private final List<CompletableFuture<Applied>> futures;
        private long sendAgainNanos;
        private boolean sent;
        private byte @Nullable [] encoded;
        /** What was given up for now is answered here after all; null if nobody gave up. */
        private @Nullable List<CompletableFuture<Applied>> afterAll;

        private Batch(long sequence, List<Pending> pending) {
            this.sequence = sequence;
            this.lowestUnanswered = sequence;
            this.commands = pending.stream().map(Pending::command).toList();
            this.futures = pending.stream().map(Pending::future).toList();
        }

        /** 1 for the session's first. */
        public long sequence() {
            return sequence;
        }

        /** Answers to batches below this one are not needed any more. */
        public long lowestUnanswered() {
            return lowestUnanswered;
        }

        public List<Command> commands() {
            return commands;
        }

        /** What {@link #remember} was given: a repeat must be the same bytes, with the same stamp. */
        public byte @Nullable [] encoded() {
            return encoded;
        }

        public void remember(byte[] bytes) {
            encoded = bytes;
        }
    }

    private record Pending(Command command, CompletableFuture<Applied> future) {}

    /** The session is gone; what was under way may or may not have happened. */
    public static final class SessionLostException extends java.io.IOException {
        public SessionLostException() {
            super("the session of this pod was ended; the outcome is not known");
        }
    }

    /** The command was sent, and what became of it cannot be told for now. */
    public static final class InDoubtException extends java.io.IOException {
        @SuppressWarnings("serial") // never written
        private final CompletableFuture<Applied> outcome;

        private InDoubtException(java.io.IOException reason, CompletableFuture<Applied> outcome) {
            super(reason.getMessage(), reason);
            this.outcome = outcome;
        }

        /** Completes when it is known: whoever wants to propose the same again must wait for it, or it may be done twice. */
        public CompletableFuture<Applied> outcome() {
            return outcome;
        }
    }

    private final long sendAgainAfterNanos;
    private final Deque<Pending> queue = new ArrayDeque<>();
    private @Nullable Batch inFlight;
    private long nextSequence = 1;
    private boolean lost;

    /** @param sendAgainAfterNanos how long a batch that was sent may stay without being applied before it is sent again */
    public Proposer(long sendAgainAfterNanos) {
        this.sendAgainAfterNanos = sendAgainAfterNanos;
    }

    /** Queues a command; the future completes when this pod has applied it. Bounding the queue is the caller's. */
    public CompletableFuture<Applied> propose(Command command) {
        var future = new CompletableFuture<Applied>();
        synchronized (this) {
            if (!lost) {
                queue.add(new Pending(command, future));
                return future;
            }
        }
        future.completeExceptionally(new SessionLostException());
        return future;
    }

    /** What to send now, or null: nothing is queued, or the batch in flight was sent and it is not time to repeat it. */
    public synchronized @Nullable Batch next(long nowNanos) {
        if (inFlight == null) inFlight = gather();
        if (inFlight == null) return null;
        if (inFlight.sent && nowNanos - inFlight.sendAgainNanos < 0) return null;
        inFlight.sent = true;
        inFlight.sendAgainNanos = nowNanos + sendAgainAfterNanos;
        return inFlight;
    }

    /** When {@link #next} may have something although nothing new was proposed: {@link Long#MAX_VALUE} for never. */
    public synchronized long wakeNanos(long nowNanos) {
        if (inFlight == null) return queue.isEmpty() ? Long.MAX_VALUE : nowNanos;
        return inFlight.sent ? inFlight.sendAgainNanos : nowNanos;
    }

    /** The batch did not reach a leader, or the leader changed: it may go again from the given time on. */
    public synchronized void sendAgain(long sequence, long notBeforeNanos) {
        if (inFlight != null && inFlight.sequence == sequence) inFlight.sendAgainNanos = notBeforeNanos;
    }

    /** Another leader is known: the batch in flight, if any, goes to it now. The old one may never answer. */
    public synchronized void leaderChanged(long nowNanos) {
        if (inFlight != null) inFlight.sendAgainNanos = nowNanos;
    }

    /** This pod's own apply met the batch, for the first time or as a repeat. Other sequences are passed over. */
    public void applied(long sequence, long index, List<Outcome> outcomes) {
        Batch batch;
        synchronized (this) {
            batch = inFlight;
            if (batch == null || batch.sequence != sequence) return;
            if (outcomes.size() != batch.commands.size())
                throw new IllegalStateException("batch " + sequence + " of " + batch.commands.size() + " commands got "
                        + outcomes.size() + " outcomes");
            inFlight = null;
        }
        var afterAll = batch.afterAll;
        for (int i = 0; i < outcomes.size(); i++) {
            var applied = new Applied(outcomes.get(i), index);
            batch.futures.get(i).complete(applied);
            if (afterAll != null) afterAll.get(i).complete(applied);
        }
    }

    /** Apply said that there is no such session: everything under way and queued fails, and so will what is proposed. */
    public void sessionLost() {
        var failed = new ArrayList<CompletableFuture<Applied>>();
        synchronized (this) {
            lost = true;
            if (inFlight != null) {
                failed.addAll(inFlight.futures);
                if (inFlight.afterAll != null) failed.addAll(inFlight.afterAll);
            }
            inFlight = null;
            queue.forEach(pending -> failed.add(pending.future));
            queue.clear();
        }
        for (var future : failed) future.completeExceptionally(new SessionLostException());
    }

    /**
     * Gives up waiting for the network: what is queued fails and will never be sent. What was sent fails with an {@link
     * InDoubtException} and stays in flight, so that the order of the session is kept.
     */
    public void giveUp(java.io.IOException reason) {
        var failed = new ArrayList<CompletableFuture<Applied>>();
        Batch doubtful = null;
        synchronized (this) {
            if (inFlight != null && !inFlight.sent) {
                failed.addAll(inFlight.futures);
                inFlight = null;
                nextSequence--;
            } else if (inFlight != null && inFlight.afterAll == null) {
                doubtful = inFlight;
                doubtful.afterAll = doubtful.futures.stream()
                        .map(_ -> new CompletableFuture<Applied>())
                        .toList();
            }
            queue.forEach(pending -> failed.add(pending.future));
            queue.clear();
        }
        if (doubtful != null && doubtful.afterAll != null) {
            for (int i = 0; i < doubtful.futures.size(); i++)
                doubtful.futures.get(i).completeExceptionally(new InDoubtException(reason, doubtful.afterAll.get(i)));
        }
        for (var future : failed) future.completeExceptionally(reason);
    }

    /** Commands that wait or are under way. */
    public synchronized int waiting() {
        return queue.size() + (inFlight == null ? 0 : inFlight.commands.size());
    }

    private @Nullable Batch gather() {
        if (queue.isEmpty()) return null;
        var taken = new ArrayList<Pending>();
        int weight = 0;
        while (!queue.isEmpty() && taken.size() < COMMANDS_MAX) {
            int more = weight(queue.peek().command);
            if (!taken.isEmpty() && weight + more > WEIGHT_MAX) break;
            weight += more;
            taken.add(queue.poll());
        }
        return new Batch(nextSequence++, taken);
    }

    /** A rough size in bytes, for the bound alone. */
    private static int weight(Command command) {
        return switch (command) {
            case Command.Write write ->
                100 + 50 * (write.slices().size() + write.extents().size());
            case Command.Append append ->
                100 + 50 * (append.slices().size() + append.parts().size());
            case Command.SetXattr xattr -> 100 + xattr.value().length;
            case Command.SetAcl acl -> 100 + acl.acl().length;
            case Command.AddHolders holders -> 50 + 9 * holders.slices().size();
            case Command.LoseHolder holders -> 50 + 9 * holders.slices().size();
            case Command.Discard discard -> 50 + 9 * discard.slices().size();
            case Command.Abandon abandon -> 50 + 9 * abandon.slices().size();
            case Command.Reap reap -> 50 + 9 * reap.inodes().size();
            case Command.ShareLocks locks ->
                50 + 42 * (locks.held().size() + locks.waiters().size());
            case Command.Configure configure -> 50 + 2 * configure.toml().length();
            default -> 200;
        };
    }
}
