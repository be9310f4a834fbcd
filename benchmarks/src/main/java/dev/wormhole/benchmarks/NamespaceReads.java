// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.benchmarks;

import dev.wormhole.model.Attributes;
import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.NamespaceView;
import java.io.IOException;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What stat(2) asks of the view: a name, then its attributes, in random order, when all have been asked before. A pod's
 * cache has 32,768 places of each kind and every row exactly one place: by chance alone, of 1,000 files 98 % of the reads
 * hit, of 10,000 86 %, of 100,000 31 %. Where the time goes up beyond that, the cache has become worse.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(
        value = 1,
        jvmArgsAppend = {"-Xmx1g", "-XX:+UseSerialGC"})
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@SuppressWarnings("NullAway.Init")
public class NamespaceReads {
    private static final int ORDER = 1 << 16;

    @Param({"memory", "rocks"})
    public String table;

    @Param({"1000", "10000", "100000"})
    public int files;

    private Tree tree;
    private NamespaceView view;
    private final int[] numbers = new int[ORDER];
    private final FileName[] names = new FileName[ORDER];
    private int at;

    @Setup
    public void prepare() throws IOException {
        tree = new Tree(table);
        view = tree.namespace.view();
        var creates = IntStream.range(0, files).mapToObj(Tree::create).toList();
        for (byte[] entry : tree.entries(creates, 64)) tree.apply(entry);
        var random = new Random(42);
        for (int i = 0; i < ORDER; i++) {
            numbers[i] = random.nextInt(files);
            names[i] = Tree.name(numbers[i]);
        }
    }

    @TearDown
    public void remove() throws IOException {
        tree.close();
    }

    @Benchmark
    public Attributes lookupAndAttributes() {
        int i = at++ & ORDER - 1;
        InodeId inode = view.lookup(Tree.directory(numbers[i]), names[i]);
        Attributes attributes = inode == null ? null : view.attributes(inode);
        if (attributes == null) throw new IllegalStateException("file " + numbers[i] + " is gone");
        return attributes;
    }
}
