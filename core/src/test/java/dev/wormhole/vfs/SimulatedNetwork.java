// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.content.ContentStore;
import dev.wormhole.content.CrashingVolume;
import dev.wormhole.content.SliceStore;
import dev.wormhole.model.HolderState;
import dev.wormhole.model.Ids;
import dev.wormhole.model.Incarnation;
import dev.wormhole.model.InodeId;
import dev.wormhole.model.SliceId;
import dev.wormhole.namespace.Applied;
import dev.wormhole.namespace.Change;
import dev.wormhole.namespace.Command;
import dev.wormhole.namespace.Entry;
import dev.wormhole.namespace.MemoryTable;
import dev.wormhole.namespace.Namespace;
import dev.wormhole.namespace.NamespaceView;
import dev.wormhole.namespace.Outcome;
import dev.wormhole.namespace.PodSettings;
import dev.wormhole.namespace.SessionId;
import dev.wormhole.namespace.SliceRecord;
import dev.wormhole.placement.Custody;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Pods in one process over one simulated log: each applies it, in order, to a real namespace of its own, has a real slice
 * store on a disk that can lose power, and copies slices straight into other pods' stores. What a pod has applied can be held back, pods can be cut off,
 * killed and started again.
 */
final class SimulatedNetwork implements AutoCloseable {
    private static final long GENERATION = 1;

    private record Logged(
            Entry entry, @Nullable Pod proposer, int life, CompletableFuture<Metadata.Committed> answer) {}

    private final List<Logged> log = new ArrayList<>(); // guarded by this, like the pods' counters
    final List<Pod> pods = new ArrayList<>();
    private final AtomicLong clockNanos = new AtomicLong(1_700_000_000_000_000_000L);
    volatile Replication.Wish wish = new Replication.Wish(2, 1, false);
    volatile FileSystemSettings settings = FileSystemSettings.defaults(ValidityPolicy.NONE);
    /** Copies wait for it; open unless a test closes it. */
    volatile CountDownLatch pushGate = new CountDownLatch(0);

    /** The usual settings with other times. */
    static FileSystemSettings settings(Duration commitAfter, Duration closeWait) {
        FileSystemSettings usual = FileSystemSettings.defaults(ValidityPolicy.NONE);
        return settings(usual.fsync(), usual.validity(), commitAfter, closeWait);
    }

    static FileSystemSettings settings(
            Supplier<FileSystemSettings.Fsync> fsync,
            ValidityPolicy validity,
            Duration commitAfter,
            Duration closeWait) {
        FileSystemSettings usual = FileSystemSettings.defaults(validity);
        return new FileSystemSettings(
                fsync,
                usual.onDisconnect(),
                validity,
                commitAfter,
                usual.commitBytes(),
                usual.stagedBytesMax(),
                closeWait,
                Duration.ofSeconds(10),
                Duration.ofSeconds(10));
    }

    Pod add() throws Exception {
        return add(4L << 30);
    }

    /** @param limitBytes what its store takes; 0 for a witness */
    Pod add(long limitBytes) throws Exception {
        var pod = new Pod("pod-" + (pods.size() + 1), limitBytes);
        pods.add(pod);
        pod.start();
        return pod;
    }

    long now() {
        return clockNanos.addAndGet(1_000);
    }

    synchronized long lastIndex() {
        return log.size();
    }

    /** Commands in the log behind an index. */
    synchronized List<Command> commandsAfter(long index) {
        var commands = new ArrayList<Command>();
        for (Logged logged : log.subList((int) index, log.size())) commands.addAll(logged.entry.commands());
        return commands;
    }

    /** What the leader does from time to time: lets go of what nobody holds and nothing names. */
    void collect() throws Exception {
        for (Pod pod : pods)
            if (pod.up)
                pod.await(new Command.AcknowledgeOrphans(
                        pod.incarnation(), pod.files().acknowledgeableIndex()));
        Pod leader = pods.stream().filter(pod -> pod.up).findFirst().orElseThrow();
        var orphans = new ArrayList<InodeId>();
        for (NamespaceView.Orphan orphan : leader.view().orphans(null, 1_000)) orphans.add(orphan.inode());
        if (!orphans.isEmpty()) leader.await(new Command.Reap(orphans));
        List<SliceId> unnamed = leader.view().unnamedSlices(10_000);
        if (!unnamed.isEmpty()) leader.await(new Command.Discard(unnamed));
    }

    void settle() throws Exception {
        long index = lastIndex();
        for (Pod pod : pods) if (pod.up) pod.awaitApplied(index);
    }

    private synchronized long append(
            Entry entry, @Nullable Pod proposer, int life, CompletableFuture<Metadata.Committed> answer) {
        log.add(new Logged(entry.stamped(now()), proposer, life, answer));
        notifyAll();
        return log.size();
    }

    @Override
    public void close() throws IOException {
        for (Pod pod : pods) if (pod.up) pod.kill(0);
    }

    /** One pod: a namespace, a store, a filesystem. */
    final class Pod implements Metadata, Replication {
        final String name;
        private final long limitBytes;
        private final CrashingVolume volume = new CrashingVolume(64L << 30);
        private final long token = new Random().nextLong();
        private final AtomicLong counter = new AtomicLong(1_000);
        private final List<CompletableFuture<Void>> waitingForDisks = new ArrayList<>();
        final List<InodeId> pagesDropped = java.util.Collections.synchronizedList(new ArrayList<>());
        final AtomicInteger barriers = new AtomicInteger();

        volatile boolean up;
        volatile boolean disconnected;
        /** Others may take what it has. */
        volatile boolean silent;

        volatile boolean keepsDiscarded;
        volatile boolean losesPushAnswers;
        /** The free space that others believe in; the real one while it is negative. */
        volatile long toldRoom = -1;

        private volatile boolean sessionOpen;
        private final Set<SliceId> claims = ConcurrentHashMap.newKeySet();
        /** What proposers wait for, and the answer that comes with the apply. */
        private final Map<CompletableFuture<Committed>, CompletableFuture<Committed>> waiting =
                new ConcurrentHashMap<>();

        private int life;
        private boolean paused; // guarded by the network, as are the next two
        private long applied;
        private long sequence;
        private long startCount;
        private @Nullable Incarnation incarnation;
        private @Nullable Namespace namespace;
        private @Nullable FaultyStore store;
        private volatile @Nullable WormholeFileSystem files;
        private @Nullable Thread applier;

        Pod(String name, long limitBytes) {
            this.name = name;
            this.limitBytes = limitBytes;
        }

        void start() throws Exception {
            var slices = SliceStore.open(
                    volume,
                    new SliceStore.Config(limitBytes, 0, 0, 64L << 20, 16 << 20, 64),
                    damaged -> {},
                    Runnable::run,
                    new Random(1));
            store = new FaultyStore(slices);
            namespace = new Namespace(new MemoryTable());
            applied = 0;
            sequence = 0;
            up = true;
            disconnected = false;
            int mine = ++life;
            applier = Thread.ofPlatform().daemon().name("apply-" + name).start(() -> apply(mine));
            if (incarnation == null) {
                var settings = new PodSettings(
                        name,
                        limitBytes > 0 ? PodSettings.Role.STORAGE : PodSettings.Role.WITNESS,
                        false,
                        "",
                        List.of(),
                        limitBytes);
                Outcome admitted = sessionless(new Command.AdmitPod(token, settings));
                incarnation = new Incarnation((int) ((Outcome.Done) admitted).value());
            }
            sessionless(new Command.OpenSession(incarnation(), ++startCount, counter.get()));
            sessionOpen = true;
            store().forEachDurable(slice -> judge(slice, false));
            files = new WormholeFileSystem(
                    this,
                    store(),
                    this,
                    () -> Ids.of(incarnation().number(), counter.incrementAndGet()),
                    incarnation(),
                    () -> Instant.ofEpochSecond(0, now()),
                    System::nanoTime,
                    settings);
            files().attach(new FileSystem.KernelCache() {
                @Override
                public void attributesChanged(InodeId inode) {}

                @Override
                public void contentChanged(InodeId inode) {
                    pagesDropped.add(inode);
                }

                @Override
                public void afterContent(InodeId inode, Runnable action) {
                    action.run();
                }

                @Override
                public void afterAttributes(Runnable action) {
                    action.run();
                }
            });
        }

        private Outcome sessionless(Command command) throws Exception {
            var answer = new CompletableFuture<Committed>();
            append(Entry.withoutSession(GENERATION, now(), List.of(command)), this, life, answer);
            return answer.get(10, TimeUnit.SECONDS).outcome();
        }

        /** Power failure: of what was not synced, anything may be gone. */
        void kill(long seed) throws IOException {
            files().crash();
            sessionOpen = false;
            List<CompletableFuture<Committed>> unanswered = new ArrayList<>();
            synchronized (SimulatedNetwork.this) {
                up = false;
                for (Logged logged : log)
                    if (logged.proposer == this && !logged.answer.isDone()) unanswered.add(logged.answer);
                SimulatedNetwork.this.notifyAll();
            }
            try {
                Objects.requireNonNull(applier).join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            for (var answer : unanswered) answer.completeExceptionally(new IOException(name + " was killed"));
            volume.crash(seed);
            try {
                store().close();
            } catch (IOException e) {
                // its disk is gone
            }
            wakeDisks();
        }

        Incarnation incarnation() {
            return Objects.requireNonNull(incarnation);
        }

        WormholeFileSystem files() {
            return Objects.requireNonNull(files);
        }

        FaultyStore store() {
            return Objects.requireNonNull(store);
        }

        Namespace namespace() {
            return Objects.requireNonNull(namespace);
        }

        // ---- the log

        private void apply(int mine) {
            while (true) {
                Logged next;
                long index;
                synchronized (SimulatedNetwork.this) {
                    while (up && life == mine && (paused || applied == log.size())) {
                        try {
                            SimulatedNetwork.this.wait();
                        } catch (InterruptedException e) {
                            throw new IllegalStateException(e);
                        }
                    }
                    if (!up || life != mine) return;
                    next = log.get((int) applied);
                    index = applied + 1;
                }
                Applied done = namespace().apply(index, next.entry);
                WormholeFileSystem told = files;
                if (told != null) told.changed(index, done.changes(), next.proposer == this);
                custody(done.changes());
                if (done.status() != Applied.Status.FRESH && next.proposer == this && next.life == mine)
                    throw new IllegalStateException(name + ": " + done);
                if (next.proposer == this && next.life == mine)
                    next.answer.complete(new Committed(done.outcomes().getFirst(), index));
                synchronized (SimulatedNetwork.this) {
                    applied = index;
                    SimulatedNetwork.this.notifyAll();
                }
                wakeDisks();
            }
        }

        // ---- custody, as the pod's custodian keeps it

        private void custody(List<Change> changes) {
            for (Change change : changes) {
                switch (change) {
                    case Change.SlicesDiscarded(List<SliceId> slices) -> {
                        if (!keepsDiscarded) delete(slices);
                    }
                    case Change.HolderDropped(SliceId slice, Incarnation holder) -> {
                        if (holder.equals(incarnation)) judge(slice, true);
                    }
                    case Change.HoldersChanged(List<SliceId> slices) -> {
                        for (SliceId slice : slices) judge(slice, false);
                    }
                    default -> {}
                }
            }
        }

        private void judge(SliceId slice, boolean dropped) {
            Incarnation self = incarnation;
            if (self == null) return; // not admitted yet
            SliceRecord row = view().slice(slice);
            boolean dead = row == null && Custody.isDead(view(), slice);
            boolean stored = store().isDurable(slice);
            switch (Custody.judge(self, row, dead, stored, dropped, claims.contains(slice), sessionOpen)) {
                case KEEP -> {}
                case CLAIM -> claim(new Command.AddHolders(self, HolderState.DURABLE, List.of(slice)), slice);
                case DELETE -> delete(List.of(slice));
                case REPORT_LOST -> propose(new Command.LoseHolder(self, List.of(slice)));
            }
        }

        private void claim(Command.AddHolders command, SliceId slice) {
            if (claims.add(slice)) propose(command).whenComplete((answer, failure) -> claims.remove(slice));
        }

        private void delete(List<SliceId> slices) {
            try {
                store().delete(slices);
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }

        /** Nothing is applied here until {@link #resume}. */
        void pause() {
            synchronized (SimulatedNetwork.this) {
                paused = true;
            }
        }

        void resume() {
            synchronized (SimulatedNetwork.this) {
                paused = false;
                SimulatedNetwork.this.notifyAll();
            }
        }

        void awaitApplied(long index) throws InterruptedException {
            synchronized (SimulatedNetwork.this) {
                while (up && applied < index) SimulatedNetwork.this.wait();
            }
        }

        @Override
        public NamespaceView view() {
            return namespace().view();
        }

        @Override
        public void barrier() throws IOException, InterruptedException {
            barriers.incrementAndGet();
            if (disconnected) throw new DisconnectedException(name);
            awaitApplied(lastIndex());
        }

        @Override
        public CompletableFuture<Void> told(long index) {
            return CompletableFuture.completedFuture(null); // everybody asks for a barrier
        }

        @Override
        public boolean barrierIsFree() {
            return false;
        }

        @Override
        public CompletableFuture<Committed> propose(Command command) {
            var answer = new CompletableFuture<Committed>();
            synchronized (SimulatedNetwork.this) {
                if (!up) return CompletableFuture.failedFuture(new IOException(name + " is down"));
                if (disconnected) return CompletableFuture.failedFuture(new DisconnectedException(name));
                sequence++;
                append(
                        Entry.of(
                                GENERATION,
                                new SessionId(incarnation(), startCount),
                                sequence,
                                sequence,
                                now(),
                                List.of(command)),
                        this,
                        life,
                        answer);
                var told = new CompletableFuture<Committed>();
                waiting.put(told, answer);
                answer.whenComplete((committed, failure) -> {
                    waiting.remove(told);
                    if (failure == null) told.complete(committed);
                    else told.completeExceptionally(failure);
                });
                return told;
            }
        }

        /** Loses the network: what was proposed and is not answered yet is in doubt. */
        void loseNetwork() {
            disconnected = true;
            waiting.forEach((told, answer) -> told.completeExceptionally(new InDoubtException(name, answer)));
        }

        Outcome await(Command command) throws Exception {
            return propose(command).get(10, TimeUnit.SECONDS).outcome();
        }

        @Override
        public CompletableFuture<Void> onDisks(long index) {
            var durable = new CompletableFuture<Void>();
            Thread.ofVirtual().start(() -> {
                synchronized (SimulatedNetwork.this) {
                    while (up && !isOnDisks(index)) {
                        try {
                            SimulatedNetwork.this.wait();
                        } catch (InterruptedException e) {
                            durable.completeExceptionally(e);
                            return;
                        }
                    }
                }
                durable.complete(null);
            });
            return durable;
        }

        private boolean isOnDisks(long index) {
            int disks = 0;
            int present = 0;
            for (Pod pod : pods) {
                if (!pod.up) continue;
                present++;
                if (pod.applied >= index) disks++;
            }
            return disks >= Math.min(2, present);
        }

        private void wakeDisks() {
            synchronized (SimulatedNetwork.this) {
                SimulatedNetwork.this.notifyAll();
            }
        }

        @Override
        public boolean isSilent(Incarnation pod) {
            for (Pod other : pods) if (other != this && other.incarnation().equals(pod)) return other.silent;
            return false;
        }

        @Override
        public boolean disconnected() {
            return disconnected;
        }

        // ---- other pods

        @Override
        public CompletableFuture<List<Incarnation>> push(
                SliceId slice, long lengthBytes, int copies, boolean keptHere) {
            var pushed = new CompletableFuture<List<Incarnation>>();
            CountDownLatch gate = pushGate;
            FaultyStore from = store();
            Thread.ofVirtual().start(() -> {
                var got = new ArrayList<Incarnation>();
                try {
                    gate.await();
                    for (Pod other : pods) {
                        if (got.size() >= (keptHere ? copies - 1 : copies)) break;
                        if (other == this || !other.up || other.disconnected || disconnected) continue;
                        try {
                            other.receive(from, slice, lengthBytes);
                            got.add(other.incarnation());
                        } catch (IOException e) {
                            // the other one is gone, or full, or this one is gone
                        }
                    }
                } catch (Throwable e) {
                    pushed.completeExceptionally(e);
                }
                pushed.complete(losesPushAnswers ? List.of() : got);
            });
            return pushed;
        }

        private void receive(ContentStore from, SliceId slice, long length) throws IOException {
            FaultyStore into = store();
            synchronized (into) {
                if (into.isDurable(slice)) return;
                ByteBuffer bytes = ByteBuffer.allocate((int) length);
                while (bytes.hasRemaining())
                    if (from.read(slice, bytes.position(), bytes) < 0) throw new IOException(slice + " is short");
                try (var writer = into.stage(slice, length)) {
                    writer.append(bytes.flip());
                    writer.seal();
                }
                into.sync(List.of(slice));
            }
            judge(slice, false);
        }

        @Override
        public void read(SliceRecord slice, long offset, ByteBuffer into) throws IOException {
            for (Pod other : pods) {
                if (other == this || !other.up || other.disconnected || !slice.heldBy(other.incarnation())) continue;
                int start = into.position();
                long at = offset;
                while (into.hasRemaining()) {
                    int count = other.store().read(slice.slice(), at, into);
                    if (count <= 0) break;
                    at += count;
                }
                if (!into.hasRemaining()) return;
                into.position(start);
            }
            throw new IOException("no holder of " + slice + " is there");
        }

        @Override
        public Wish wish(InodeId inode) {
            return wish;
        }

        @Override
        public int presentStoringPods() {
            int present = 0;
            for (Pod pod : pods) if (pod.up && !pod.disconnected && pod.limitBytes > 0) present++;
            return present;
        }

        @Override
        public Capacity capacity() {
            long total = 0;
            long free = 0;
            for (Pod pod : pods) {
                if (!pod.up) continue;
                total += pod.limitBytes;
                free += pod.room();
            }
            return new Capacity(total / wish.copies(), free / wish.copies());
        }

        @Override
        public List<Room> rooms() {
            var rooms = new ArrayList<Room>();
            for (Pod pod : pods)
                if (pod != this && pod.up && pod.limitBytes > 0)
                    rooms.add(new Room(
                            pod.incarnation(), pod.toldRoom >= 0 ? pod.toldRoom : pod.room(), !pod.disconnected));
            return rooms;
        }

        private long room() {
            return store().full ? 0 : store().usage().freeBytes();
        }

        // ---- as a program

        Program program() {
            return new Program(this);
        }
    }

    /** A real store whose disk can be made to fail. */
    static final class FaultyStore implements ContentStore {
        private final SliceStore store;
        final AtomicInteger failingSyncs = new AtomicInteger();
        volatile boolean full;
        final Map<SliceId, Boolean> staged = java.util.Collections.synchronizedMap(new HashMap<>());

        FaultyStore(SliceStore store) {
            this.store = store;
        }

        @Override
        public SliceWriter stage(SliceId slice, long expectedBytes) throws IOException {
            if (full) throw new dev.wormhole.content.OutOfSpaceException("full, as the test wants it");
            SliceWriter writer = store.stage(slice, expectedBytes);
            staged.put(slice, true);
            return writer;
        }

        @Override
        public SliceWriter stageTransit(SliceId slice, int expectedBytes) throws IOException {
            return store.stageTransit(slice, expectedBytes);
        }

        @Override
        public void endTransit(Collection<SliceId> slices) {
            store.endTransit(slices);
        }

        @Override
        public long transitBytes() {
            return store.transitBytes();
        }

        @Override
        public void sync(Collection<SliceId> slices) throws IOException {
            if (failingSyncs.getAndUpdate(left -> Math.max(0, left - 1)) > 0)
                throw new IOException("the disk failed, as the test wants it");
            store.sync(slices);
        }

        @Override
        public int read(SliceId slice, long offset, ByteBuffer into) throws IOException {
            return store.read(slice, offset, into);
        }

        @Override
        public long length(SliceId slice) {
            return store.length(slice);
        }

        @Override
        public boolean isDurable(SliceId slice) {
            return store.isDurable(slice);
        }

        @Override
        public void delete(Collection<SliceId> slices) throws IOException {
            store.delete(slices);
        }

        @Override
        public void forEachDurable(Consumer<SliceId> visitor) {
            store.forEachDurable(visitor);
        }

        @Override
        public void verify(SliceId slice) throws IOException {
            store.verify(slice);
        }

        @Override
        public Usage usage() {
            return store.usage();
        }

        @Override
        public void close() throws IOException {
            store.close();
        }
    }

    static <T> T within10Seconds(CompletableFuture<T> future) throws Exception {
        try {
            return future.get(10, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw new AssertionError("still waiting after 10 s", e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof Exception cause) throw cause;
            throw e;
        }
    }
}
