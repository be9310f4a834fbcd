// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.benchmarks;

import dev.wormhole.namespace.Command;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;

/**
 * Entries of the log applied, from their bytes to the table. Time and allocation are per command, also where an entry has
 * 64. Each iteration applies 25,600 commands to a fresh tree, so all iterations see the same sizes.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(
        value = 1,
        jvmArgsAppend = {"-Xmx1g", "-XX:+UseSerialGC"})
@Warmup(iterations = 4)
@Measurement(iterations = 6)
public class NamespaceApply {
    private static final int COMMANDS = 25_600;

    /** A tree and the entries that the benchmark will apply. */
    @State(Scope.Benchmark)
    @SuppressWarnings("NullAway.Init")
    public abstract static class Prepared {
        @Param({"memory", "rocks"})
        public String table;

        @Param({"1", "64"})
        public int batch;

        Tree tree;
        byte[][] entries;

        /** Applied before the measurement. */
        abstract List<IntFunction<Command>> before();

        abstract Command measured(int number);

        @Setup(Level.Iteration)
        public void prepare() throws IOException {
            tree = new Tree(table);
            for (var command : before()) for (byte[] entry : tree.entries(all(command), 64)) tree.apply(entry);
            entries = tree.entries(all(this::measured), batch);
        }

        private static List<Command> all(IntFunction<Command> command) {
            return IntStream.range(0, COMMANDS).mapToObj(command).toList();
        }

        @TearDown(Level.Iteration)
        public void remove() throws IOException {
            tree.close();
        }

        void run(Blackhole applied) {
            for (byte[] entry : entries) applied.consume(tree.apply(entry));
        }
    }

    public static class Creates extends Prepared {
        @Override
        List<IntFunction<Command>> before() {
            return List.of();
        }

        @Override
        Command measured(int number) {
            return Tree.create(number);
        }
    }

    public static class Writes extends Prepared {
        @Override
        List<IntFunction<Command>> before() {
            return List.of(Tree::create);
        }

        @Override
        Command measured(int number) {
            return Tree.write(number);
        }
    }

    /** Of files with content, so slices go too. */
    public static class Unlinks extends Prepared {
        @Override
        List<IntFunction<Command>> before() {
            return List.of(Tree::create, Tree::write);
        }

        @Override
        Command measured(int number) {
            return Tree.unlink(number);
        }
    }

    @Benchmark
    @OperationsPerInvocation(COMMANDS)
    public void create(Creates prepared, Blackhole applied) {
        prepared.run(applied);
    }

    @Benchmark
    @OperationsPerInvocation(COMMANDS)
    public void write(Writes prepared, Blackhole applied) {
        prepared.run(applied);
    }

    @Benchmark
    @OperationsPerInvocation(COMMANDS)
    public void unlink(Unlinks prepared, Blackhole applied) {
        prepared.run(applied);
    }
}
