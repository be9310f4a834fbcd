// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.model.Errno;
import dev.wormhole.mount.fuse.Negotiation;
import dev.wormhole.mount.fuse.ProtocolException;
import dev.wormhole.mount.fuse.Reply;
import dev.wormhole.mount.fuse.Request;
import dev.wormhole.vfs.FileSystem;
import java.io.IOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * Serves one mounted connection until it is unmounted.
 *
 * <p>Reader threads wait in read(2), each on a descriptor of its own. What is answered from memory is answered right there:
 * a hand-off costs more than most answers. What may wait is also answered right there while at most
 * {@link #WAITING_READERS_MAX} readers do so, and never by the last one; beyond that it
 * is handed off, what works with the disk to platform threads (a native call would hold a carrier), what waits for other
 * pods to virtual ones. So operations that wait for a dead network never keep others from being served. All is bounded: at
 * {@link #HANDED_OFF_MAX} waiting operations further ones are refused with ENOMEM; beyond {@link #WRITES_HANDED_OFF_MAX} a
 * WRITE holds its reader back, as writing waits for no commit.
 *
 * <p>There are no more readers than cores: the kernel wakes them in turn, so that of many each is cold when its turn comes (with
 * two cores and four readers a statx took 36 to 51 µs, with two 15 to 21).
 */
final class Session {
    private static final int WAITING_READERS_MAX = 2;
    private static final int HANDED_OFF_MAX = 16_384;
    private static final int DISK_THREADS_MAX = 128;
    /** WRITEs that may keep their buffers, 1 MiB each, off the readers. */
    private static final int WRITES_HANDED_OFF_MAX = 64;
    /** READs hold a slab while they wait for other pods; its memory is taken only when the bytes come. */
    private static final int SLABS_MAX = 4_096;

    /**
     * How long an operation may go on after a signal for its program. The kernel tells every signal, also those that a
     * program handles and forgets (a child that ended, a timer), and no program expects EINTR from rename or stat: so
     * waits of the usual length, up to a change of leader, are waited out. Longer ones end: nothing hangs beyond Ctrl-C.
     */
    private static final long PATIENCE_MILLIS = 3_000;
    /** After this a request that was read by another reader is registered. */
    private static final long REGISTERED_MILLIS = 50;

    /** Programs that wait for locks at once; further ones are refused with ENOLCK. */
    private static final int LOCK_WAITS_MAX = 8_192;
    /** A lock that is in the way waits for so long for the RELEASE that may end it, and was sent before. */
    private static final long RELEASES_MILLIS = 1_000;

    private static final Reply EIO = new Reply.Failed(Errno.EIO.number());
    private static final Reply EINTR = new Reply.Failed(Errno.EINTR.number());
    private static final Reply ENOMEM = new Reply.Failed(Errno.ENOMEM.number());
    private static final Reply ENOLCK = new Reply.Failed(Errno.ENOLCK.number());

    private final FileSystem fs;
    private final Operations operations;
    private final Troubles troubles;
    private final String name;
    private final Slabs slabs = new Slabs(SLABS_MAX);
    private final List<Reader> readers = new ArrayList<>();
    private final List<Device> devices = new ArrayList<>();
    private final Semaphore waitingReaders;
    private final Semaphore handedOff = new Semaphore(HANDED_OFF_MAX);
    private final Semaphore writes = new Semaphore(WRITES_HANDED_OFF_MAX);
    private final Semaphore lockWaits = new Semaphore(LOCK_WAITS_MAX);
    /** RELEASEs being served, by their unique number. */
    private final ConcurrentHashMap<Long, Releasing> releasing = new ConcurrentHashMap<>();

    private final ConcurrentHashMap<Long, HandedOff> underway = new ConcurrentHashMap<>();
    private final ThreadPoolExecutor diskThreads;
    private final ScheduledThreadPoolExecutor interrupts;
    private final CountDownLatch initialised = new CountDownLatch(1);
    private final CountDownLatch ended;
    private volatile @Nullable Negotiation terms;

    Session(
            FileSystem fs,
            FileSystem.KernelCache kernel,
            String name,
            Device first,
            Troubles troubles,
            InstantSource clock)
            throws IOException {
        this.fs = fs;
        this.name = name;
        this.troubles = troubles;
        operations = new Operations(fs, kernel, clock);
        diskThreads = new ThreadPoolExecutor(
                0,
                DISK_THREADS_MAX,
                10,
                TimeUnit.SECONDS,
                new SynchronousQueue<>(),
                Thread.ofPlatform().daemon().name("fuse-disk-" + name + "-", 0).factory());
        interrupts = new ScheduledThreadPoolExecutor(
                1, Thread.ofPlatform().daemon().name("fuse-interrupts-" + name).factory());
        interrupts.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
        int count = Math.clamp(Runtime.getRuntime().availableProcessors(), 2, 8);
        waitingReaders = new Semaphore(Math.min(WAITING_READERS_MAX, count - 1));
        ended = new CountDownLatch(count);
        devices.add(first);
        for (int i = 1; i < count; i++) {
            try {
                devices.add(first.another());
            } catch (IOException e) {
                for (Device device : devices.subList(1, i)) device.close();
                throw e;
            }
        }
        for (Device device : devices) readers.add(new Reader(device));
    }

    void start() {
        for (int i = 0; i < readers.size(); i++)
            Thread.ofPlatform().daemon().name("fuse-" + name + "-" + i).start(readers.get(i));
    }

    /** The terms of INIT; null if it was not answered in time. */
    @Nullable Negotiation awaitInitialised(Duration timeout) throws InterruptedException {
        return initialised.await(timeout.toNanos(), TimeUnit.NANOSECONDS) ? terms : null;
    }

    /** Whether within the timeout the kernel ended the connection, because nothing mounted is left of it. */
    boolean awaitEnded(Duration timeout) throws InterruptedException {
        return ended.await(timeout.toNanos(), TimeUnit.NANOSECONDS);
    }

    Device notifications() {
        return devices.get(0);
    }

    /**
     * Interrupts what still runs after the end and gives back descriptors and memory once it stopped. What does not stop in
     * time keeps them for good: a descriptor's number must not be used by others while someone may still write to it.
     */
    void dispose(Duration timeout) throws InterruptedException {
        long deadline = System.nanoTime() + timeout.toNanos();
        interruptAll();
        diskThreads.shutdown();
        interrupts.shutdown();
        boolean idle = handedOff.tryAcquire(HANDED_OFF_MAX, deadline - System.nanoTime(), TimeUnit.NANOSECONDS)
                && ended.await(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
        if (!idle) {
            troubles.note(
                    System.Logger.Level.WARNING,
                    underway.size() + " operations have not stopped " + timeout + " after the unmount");
            return;
        }
        for (Device device : devices) device.close();
        slabs.unmapAll();
    }

    /** Reads requests and serves or hands off each. */
    private final class Reader extends Interruptible implements Runnable {
        private final Device device;
        private Slab slab;

        Reader(Device device) {
            this.device = device;
            this.slab = slabs.acquire();
        }

        @Override
        public void run() {
            try {
                while (true) {
                    int bytes = device.read(slab);
                    if (bytes > 0) receive(bytes);
                    else if (bytes == -Libc.ENODEV) break;
                    else if (bytes != -Libc.EINTR && bytes != -Libc.EAGAIN && bytes != -Libc.ENOENT)
                        throw new IllegalStateException("read of /dev/fuse: errno " + -bytes);
                }
                interruptAll(); // nobody waits for what is still being served
            } catch (Throwable e) {
                troubles.bug("reader", e);
            } finally {
                slabs.release(slab);
                ended.countDown();
            }
        }

        private void receive(int bytes) {
            Request request;
            try {
                request = Request.decode(slab.requestAddress(), bytes);
            } catch (ProtocolException e) {
                troubles.bug("decoding", e);
                long unique = Request.uniqueOf(slab.requestAddress(), bytes);
                if (unique != 0) device.reply(unique, EIO, slab);
                return;
            }
            if (request instanceof Request.Release(var header, long _))
                releasing.put(header.unique(), new Releasing(header.node(), new CompletableFuture<>()));
            if (request instanceof Request.Interrupt interrupt) {
                interruptRequest(interrupt.interrupted());
            } else if (request instanceof Request.SetLock lock && lock.mayWaitLong()) {
                if (lockWaits.tryAcquire()) handOff(request);
                else send(device, request, ENOLCK, slab);
            } else if (!mayWait(request)) {
                send(device, request, serve(request, slab, null), slab);
                if (request instanceof Request.Init) initialised.countDown();
            } else if (waitingReaders.tryAcquire()) {
                serveWaiting(request);
            } else {
                handOff(request);
            }
        }

        private void serveWaiting(Request request) {
            Reply reply;
            try {
                expect(interruptible(request));
                begin();
                reply = serve(request, slab, this);
            } finally {
                waitingReaders.release();
                ended(request);
            }
            send(device, request, reply, slab);
        }

        private void handOff(Request request) {
            if (!handedOff.tryAcquire()) {
                send(device, request, ENOMEM, slab);
                ended(request);
                return;
            }
            boolean keepsSlab = request instanceof Request.Write;
            if (keepsSlab) writes.acquireUninterruptibly();
            var operation = new HandedOff(device, request, keepsSlab ? slab : null);
            operation.expect(interruptible(request));
            underway.put(request.header().unique(), operation);
            operation.submit();
            if (keepsSlab) slab = slabs.acquire();
        }
    }

    /** One operation on a thread of its own. */
    private final class HandedOff extends Interruptible implements Runnable {
        private final Device device;
        private final Request request;
        /** The one that a WRITE came in. */
        private final @Nullable Slab slab;

        HandedOff(Device device, Request request, @Nullable Slab slab) {
            this.device = device;
            this.request = request;
            this.slab = slab;
        }

        void submit() {
            if (usesDisk(request)) {
                try {
                    diskThreads.execute(this);
                    return;
                } catch (RejectedExecutionException e) {
                    // all busy or waiting: rather hold a carrier than keep this one waiting for them
                }
            }
            Thread.ofVirtual().name("fuse-wait-" + name).start(this);
        }

        @Override
        public void run() {
            Slab own = slab;
            try {
                if (own == null && Operations.needsPayload(request)) own = slabs.acquire();
                begin();
                Reply reply = serve(request, own, this);
                if (own == null) own = slabs.acquire();
                send(device, request, reply, own);
            } catch (Throwable e) {
                troubles.bug(Troubles.describe(request), e);
            } finally {
                underway.remove(request.header().unique());
                ended(request);
                if (own != null) slabs.release(own);
                if (request instanceof Request.Write) writes.release();
                handedOff.release();
            }
        }
    }

    /** Asks the filesystem and turns whatever comes into a reply; here failures become EIO. */
    private @Nullable Reply serve(Request request, @Nullable Slab slab, @Nullable Interruptible served) {
        Reply reply;
        boolean interrupted = false;
        try {
            // the kernel may have given the name of a file that is being released to the one that asks
            if (request instanceof Request.SetLock lock && !lock.wanted().whole())
                awaitReleases(request.header().node());
            reply = operations.answer(request, slab);
            if (request instanceof Request.SetLock(var header, long _, var _, boolean wait)
                    && !wait
                    && reply instanceof Reply.Failed(int errno)
                    && errno == Errno.EAGAIN.number()
                    && awaitReleases(header.node())) reply = operations.answer(request, slab);
            if (reply instanceof Reply.Agreed(var agreed)) terms = agreed;
        } catch (InterruptedException e) {
            reply = EINTR;
        } catch (IOException e) {
            interrupted = served != null && served.end();
            reply = interrupted ? EINTR : EIO;
            if (!interrupted) troubles.failure(request, e);
        } catch (Throwable e) {
            troubles.bug(Troubles.describe(request), e);
            reply = EIO;
        }
        if (served != null) served.end();
        else Thread.interrupted();
        return reply;
    }

    /** @param served completes when it is done */
    private record Releasing(long node, CompletableFuture<Void> served) {}

    /** Whatever is counted while a request is under way ends with it. */
    private void ended(Request request) {
        Releasing release = releasing.remove(request.header().unique());
        if (release != null) release.served().complete(null);
        if (request instanceof Request.SetLock lock && lock.mayWaitLong()) lockWaits.release();
    }

    /**
     * Nobody waits for a RELEASE: a program that sees another one end, and takes its flock, may be here first. Answers whether
     * one of that file was served meanwhile.
     */
    private boolean awaitReleases(long node) throws InterruptedException {
        if (releasing.isEmpty()) return false;
        var before = new ArrayList<CompletableFuture<Void>>();
        for (Releasing release : releasing.values()) if (release.node() == node) before.add(release.served());
        if (before.isEmpty()) return false;
        try {
            CompletableFuture.allOf(before.toArray(CompletableFuture[]::new))
                    .get(RELEASES_MILLIS, TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            throw new IllegalStateException("it completes with nothing", e);
        } catch (TimeoutException e) {
            return false;
        }
        return true;
    }

    private void send(Device device, Request request, @Nullable Reply reply, Slab slab) {
        if (reply == null) return;
        int r = device.reply(request.header().unique(), reply, slab);
        if (r == 0) return;
        operations.undo(request, reply);
        if (r != -Libc.ENOENT && r != -Libc.ENODEV)
            troubles.bug("reply to " + Troubles.describe(request), new IllegalStateException("errno " + -r));
    }

    /** Whether serving the request here could keep the reader from the next one. */
    private boolean mayWait(Request request) {
        return switch (request) {
            case Request.Lookup _,
                    Request.GetAttr _,
                    Request.Statx _,
                    Request.OpenDir _,
                    Request.ReadDir _,
                    Request.ReadLink _,
                    Request.GetXattr _,
                    Request.ListXattr _ -> !fs.answersFromMemory();
            case Request.Open open -> (open.flags() & 01000 /* O_TRUNC */) != 0 || !fs.answersFromMemory();
            case Request.Forget _,
                    Request.BatchForget _,
                    Request.ReleaseDir _,
                    Request.Init _,
                    Request.Destroy _,
                    Request.Interrupt _,
                    Request.SyncFs _,
                    Request.Unknown _ -> false;
            case Request.SetAttr _,
                    Request.Symlink _,
                    Request.MkNod _,
                    Request.MkDir _,
                    Request.Unlink _,
                    Request.RmDir _,
                    Request.Rename _,
                    Request.Link _,
                    Request.Read _,
                    Request.Write _,
                    Request.StatFs _,
                    Request.Release _,
                    Request.Flush _,
                    Request.GetLock _,
                    Request.SetLock _,
                    Request.Fsync _,
                    Request.FsyncDir _,
                    Request.SetXattr _,
                    Request.RemoveXattr _,
                    Request.Create _,
                    Request.TmpFile _,
                    Request.Fallocate _,
                    Request.Ioctl _,
                    Request.Lseek _,
                    Request.CopyFileRange _ -> true;
        };
    }

    private static boolean usesDisk(Request request) {
        return request instanceof Request.Read
                || request instanceof Request.Write
                || request instanceof Request.Flush
                || request instanceof Request.Fsync
                || request instanceof Request.FsyncDir
                || request instanceof Request.Release
                || request instanceof Request.Fallocate;
    }

    private void interruptAll() {
        for (Reader reader : readers) reader.interruptAny();
        for (HandedOff operation : underway.values()) operation.interruptAny();
    }

    /** What {@link Interruptible#expect} takes: nobody waits for a RELEASE, so nothing may cut it short. */
    private static long interruptible(Request request) {
        return request instanceof Request.Release ? 0 : request.header().unique();
    }

    /**
     * It may be read before its request is registered, or after that was answered: so there is a second look. Who waits for a
     * lock waits for another program, for as long as that likes, and expects EINTR at once.
     */
    private void interruptRequest(long unique) {
        try {
            if (interruptLockWait(unique)) return;
            interrupts.schedule(() -> interruptLockWait(unique), REGISTERED_MILLIS, TimeUnit.MILLISECONDS);
            interrupts.schedule(() -> reach(unique), PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
        } catch (RejectedExecutionException e) {
            // unmounted: all have been interrupted
        }
    }

    private boolean interruptLockWait(long unique) {
        HandedOff operation = underway.get(unique);
        return operation != null
                && operation.request instanceof Request.SetLock lock
                && lock.mayWaitLong()
                && operation.interrupt(unique);
    }

    private void reach(long unique) {
        HandedOff operation = underway.get(unique);
        if (operation != null && operation.interrupt(unique)) return;
        for (Reader reader : readers) if (reader.interrupt(unique)) return;
    }
}
