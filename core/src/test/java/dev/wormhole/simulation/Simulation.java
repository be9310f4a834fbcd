// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.simulation;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.function.BooleanSupplier;

/** Virtual time and chance. Everything happens in events, one after the other; the seed decides all. */
public final class Simulation {
    private static final int TRACE_LINES = 400;

    private record Event(long time, long order, Runnable action) implements Comparable<Event> {
        @Override
        public int compareTo(Event other) {
            int byTime = Long.compare(time, other.time);
            return byTime != 0 ? byTime : Long.compare(order, other.order);
        }
    }

    public final long seed;
    public final Random random;
    private final PriorityQueue<Event> events = new PriorityQueue<>();
    private final ArrayDeque<String> trace = new ArrayDeque<>();
    private long now;
    private long order;

    public Simulation(long seed) {
        this.seed = seed;
        this.random = new Random(seed);
    }

    /** Nanoseconds since the simulation began. */
    public long now() {
        return now;
    }

    public void after(long nanos, Runnable action) {
        events.add(new Event(now + Math.max(0, nanos), order++, action));
    }

    /** Uniform between the two, in milliseconds. */
    public long millis(int from, int to) {
        return (from * 1_000_000L) + (long) (random.nextDouble() * (to - from) * 1_000_000L);
    }

    public boolean chance(double probability) {
        return random.nextDouble() < probability;
    }

    public void note(String line) {
        if (trace.size() == TRACE_LINES) trace.removeFirst();
        trace.addLast("%10.3f %s".formatted(now / 1e6, line));
    }

    /** Lets so much time pass. */
    public void run(Duration time) {
        long end = now + time.toNanos();
        while (!events.isEmpty() && events.peek().time <= end) step();
        now = end;
    }

    /** Runs until it holds. */
    public void until(String what, Duration most, BooleanSupplier condition) {
        long end = now + most.toNanos();
        while (!condition.getAsBoolean()) {
            if (events.isEmpty() || events.peek().time > end) throw failure("not within " + most + ": " + what, null);
            step();
        }
    }

    private void step() {
        var event = events.remove();
        now = event.time;
        try {
            event.action.run();
        } catch (SimulationFailure e) {
            throw e;
        } catch (RuntimeException | AssertionError e) {
            throw failure(e.toString(), e);
        }
    }

    public void check(boolean holds, String promise) {
        if (!holds) throw failure(promise, null);
    }

    public SimulationFailure failure(String what, @org.jspecify.annotations.Nullable Throwable cause) {
        return new SimulationFailure("seed " + seed + ": " + what + "\n" + String.join("\n", trace), cause);
    }

    /** A promise was broken; carries the seed and what happened before. */
    public static final class SimulationFailure extends AssertionError {
        private static final long serialVersionUID = 1;

        SimulationFailure(String message, @org.jspecify.annotations.Nullable Throwable cause) {
            super(message, cause);
        }
    }
}
