// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.mount.fuse.Negotiation;
import dev.wormhole.vfs.FileSystem;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * A {@link FileSystem} mounted on a directory of this machine. As root by mount(2), else through fusermount3 (then nosuid
 * and nodev). The process that mounts must never open, map, list or write anything below its own mount point: it would
 * wait for itself, beyond kill.
 *
 * <p>The filesystem is called from many threads. The buffers of reads and writes are the mount's, good until the call
 * returns. An interrupt of a calling thread is a signal to the program that waits; a filesystem whose file channels must
 * not be closed by it does not use interruptible channels there. Thread-safe.
 */
public final class LinuxMount implements AutoCloseable {
    private static final Duration INIT_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration CLOSE_GRACE = Duration.ofSeconds(2);
    private static final Duration DISPOSE_TIMEOUT = Duration.ofSeconds(5);
    private static final long BUSY_RETRY_MILLIS = 50;
    private static final int READ_AHEAD_KIB = 1024;

    private final Path path;
    private final MountTable.Mounted mounted;
    private final boolean helper;
    private final Session session;
    private final Notifier notifier;
    private final Troubles troubles;
    private final ReentrantLock unmounting = new ReentrantLock();
    /** The mount is out of the tree: ids of mounts are used again, so it must never be looked for after. */
    private boolean gone;

    private boolean disposed;

    /**
     * What a mount is called and where it is.
     *
     * @param mountPoint a directory, empty or missing; a dead mount of ours on it is removed first
     * @param source shown as the mounted device, for instance the network's name
     * @param onBug told of every bug met while serving, after it was logged and answered with EIO; must not block
     */
    public record Options(Path mountPoint, String source, Consumer<Throwable> onBug) {
        public Options {
            if (source.isEmpty() || source.indexOf(',') >= 0 || source.indexOf('\n') >= 0 || source.indexOf('\\') >= 0)
                throw new IllegalArgumentException("mount source: " + source);
        }
    }

    private LinuxMount(
            Path path,
            MountTable.Mounted mounted,
            boolean helper,
            Session session,
            Notifier notifier,
            Troubles troubles) {
        this.path = path;
        this.mounted = mounted;
        this.helper = helper;
        this.session = session;
        this.notifier = notifier;
        this.troubles = troubles;
    }

    /**
     * Mounts the filesystem and serves it. On return programs can use it.
     *
     * @throws IOException with a text for people, when nothing is mounted
     */
    public static LinuxMount mount(FileSystem fs, Options options) throws IOException, InterruptedException {
        return mount(fs, options, Libc.geteuid() != 0);
    }

    /** @param helper through fusermount3 */
    static LinuxMount mount(FileSystem fs, Options options, boolean helper) throws IOException, InterruptedException {
        Path path = MountPoint.prepare(options.mountPoint());
        String name = String.valueOf(path.getFileName());
        var troubles = new Troubles(path.toString(), options.onBug());
        int fd = helper ? mountWithHelper(path, options.source()) : mountAsRoot(path, options.source());
        var first = new Device(fd);
        MountTable.Mounted mounted = null;
        Session session = null;
        try {
            mounted = MountTable.topmostAt(path.toString());
            if (mounted == null || !mounted.type().equals(MountPoint.TYPE))
                throw new IOException(path + " is not in the mount table after mounting it");
            var notifier = new Notifier(name, troubles);
            fs.attach(notifier);
            session = new Session(fs, notifier, name, first, troubles, InstantSource.system());
            session.start();
            if (session.awaitInitialised(INIT_TIMEOUT) == null)
                throw new IOException("the kernel and this program did not agree on a FUSE protocol; the log says why");
            notifier.start(session.notifications());
            var mount = new LinuxMount(path, mounted, helper, session, notifier, troubles);
            mount.raiseReadAhead();
            return mount;
        } catch (Throwable e) {
            if (mounted != null && isOnTop(mounted))
                MountPoint.unmount(path.toString(), Libc.MNT_DETACH | Libc.UMOUNT_NOFOLLOW, helper);
            if (session != null) session.dispose(DISPOSE_TIMEOUT);
            else first.close();
            throw e;
        }
    }

    private static int mountAsRoot(Path path, String source) throws IOException {
        int fd = Device.openFresh();
        int r = Libc.mount(
                source,
                path.toString(),
                MountPoint.TYPE,
                0,
                "fd=" + fd + ",rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other");
        if (r < 0) {
            Libc.close(fd);
            throw new IOException("cannot mount on " + path + ": "
                    + switch (-r) {
                        case 1 -> "not permitted (a container without CAP_SYS_ADMIN?)";
                        case 19 -> "this kernel has no FUSE";
                        default -> "errno " + -r;
                    });
        }
        return fd;
    }

    private static int mountWithHelper(Path path, String source) throws IOException {
        boolean others = Libc.geteuid() == 0 || userAllowsOthers();
        String options = "fsname=" + source + ",subtype=wormhole,default_permissions" + (others ? ",allow_other" : "");
        int childFd = 3;
        Path errors = Files.createTempFile("wormhole-fusermount", ".err");
        int[] pair = Libc.socketPair();
        try {
            int pid;
            try {
                pid = Libc.spawn(
                        new String[] {"fusermount3", "-o", options, "--", path.toString()},
                        new String[] {
                            "_FUSE_COMMFD=" + childFd,
                            "PATH=" + System.getenv().getOrDefault("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
                        },
                        pair[0],
                        childFd,
                        errors.toString());
            } finally {
                Libc.close(pair[0]);
            }
            int fd = Libc.receiveDescriptor(pair[1]);
            int status = Libc.waitFor(pid);
            if (fd >= 0 && status == 0) return fd;
            if (fd >= 0) Libc.close(fd);
            throw new IOException(
                    "cannot mount on " + path + ": " + new String(Files.readAllBytes(errors), Libc.PATHS).strip());
        } finally {
            Libc.close(pair[1]);
            Files.deleteIfExists(errors);
        }
    }

    private static boolean userAllowsOthers() {
        try {
            for (String line : Files.readAllLines(Path.of("/etc/fuse.conf")))
                if (line.strip().equals("user_allow_other")) return true;
        } catch (IOException e) {
            // no such file, no such right
        }
        return false;
    }

    /** The kernel offers 128 KiB and lets INIT only lower it. Not allowed to non-root, then it stays. */
    private void raiseReadAhead() {
        Path knob = Path.of("/sys/class/bdi/" + mounted.device() + "/read_ahead_kb");
        try {
            Files.write(knob, Integer.toString(READ_AHEAD_KIB).getBytes(StandardCharsets.US_ASCII));
        } catch (IOException e) {
            troubles.note(System.Logger.Level.DEBUG, "read-ahead stays at the kernel's default: " + e);
        }
    }

    /** The real path of the mount point. */
    public Path mountPoint() {
        return path;
    }

    /** Minor device number: what {@link FuseConnections#abort} takes. */
    public int connection() {
        return mounted.minor();
    }

    /** What INIT agreed on. */
    public Negotiation terms() throws InterruptedException {
        var terms = session.awaitInitialised(Duration.ZERO);
        if (terms == null) throw new IllegalStateException("mounted without INIT");
        return terms;
    }

    /**
     * Takes the mount out of the tree. While programs use it, waits for them for the grace, then detaches it: they keep
     * what they have open and are served until they close it, nobody else finds it. Only ever this mount: what someone else
     * mounted over it, or at the same place after it, is left alone.
     *
     * @return whether it could be unmounted without detaching
     * @throws IOException if something else is mounted over it
     */
    public boolean unmount(Duration grace) throws IOException, InterruptedException {
        unmounting.lockInterruptibly();
        try {
            long deadline = System.nanoTime() + grace.toNanos();
            while (!gone) {
                if (!isMounted()) break;
                if (!isOnTop(mounted))
                    throw new IOException("cannot unmount " + path + ": something else is mounted over it");
                int r = MountPoint.unmount(path.toString(), Libc.UMOUNT_NOFOLLOW, helper);
                if (r == 0) break;
                if (r != -Libc.EBUSY) throw new IOException("cannot unmount " + path + ": errno " + -r);
                if (System.nanoTime() - deadline >= 0) {
                    r = MountPoint.unmount(path.toString(), Libc.MNT_DETACH | Libc.UMOUNT_NOFOLLOW, helper);
                    if (r < 0 && isMounted()) throw new IOException("cannot detach " + path + ": errno " + -r);
                    gone = true;
                    return false;
                }
                Thread.sleep(BUSY_RETRY_MILLIS); // the kernel tells nobody when a mount is no longer busy
            }
            gone = true;
            return true;
        } finally {
            unmounting.unlock();
        }
    }

    /** Whether within the timeout nobody uses the mount any more, in any mount namespace, and the kernel ended it. */
    public boolean awaitUnmounted(Duration timeout) throws InterruptedException {
        return session.awaitEnded(timeout);
    }

    /**
     * Unmounts, detaching if busy, and, once no program uses the mount, gives back descriptors, threads and memory. Programs
     * that still have something open 5 s later get ENOTCONN when this process ends; their requests are served until then.
     */
    @Override
    public void close() throws IOException, InterruptedException {
        unmount(CLOSE_GRACE);
        dispose();
    }

    private void dispose() throws InterruptedException {
        unmounting.lockInterruptibly();
        try {
            if (disposed || !session.awaitEnded(DISPOSE_TIMEOUT)) return;
            disposed = true;
            notifier.stop();
            notifier.join();
            session.dispose(DISPOSE_TIMEOUT);
        } finally {
            unmounting.unlock();
        }
    }

    /** Someone else may have unmounted it, and mounted another one that got the same ids; ours would then be dead. */
    private boolean isMounted() throws IOException, InterruptedException {
        boolean listed = false;
        for (var mount : MountTable.read()) listed |= isSame(mount, mounted);
        return listed && (!session.awaitEnded(Duration.ZERO) || MountPoint.isDead(path));
    }

    private static boolean isOnTop(MountTable.Mounted mounted) throws IOException {
        var top = MountTable.topmostAt(mounted.path());
        return top != null && isSame(top, mounted);
    }

    private static boolean isSame(MountTable.Mounted one, MountTable.Mounted other) {
        return one.id() == other.id() && one.device().equals(other.device());
    }
}
