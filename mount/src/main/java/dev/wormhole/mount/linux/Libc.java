// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.charset.Charset;

/**
 * The system calls the mount needs. Pointers are addresses. Each call answers what the C function does, or -errno. A handle
 * is bound when its call is first used (one holder class each): binding all of them would take half of the start.
 */
final class Libc {
    static final int EINTR = 4;
    static final int ENOENT = 2;
    static final int EAGAIN = 11;
    static final int EBUSY = 16;
    static final int ENODEV = 19;
    static final int EINVAL = 22;
    static final int ENOTCONN = 107;

    static final int O_RDWR = 2;
    static final int O_CLOEXEC = 0x80000;
    static final int MNT_DETACH = 2;
    static final int UMOUNT_NOFOLLOW = 8;

    /** Path names as the kernel has them. */
    static final Charset PATHS = Charset.forName(System.getProperty("sun.jnu.encoding", "UTF-8"));

    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");

    private Libc() {}

    /** Room for errno: one per thread or buffer, at least {@link #STATE_BYTES} long. */
    static final int STATE_BYTES = (int) Linker.Option.captureStateLayout().byteSize();

    private static int errno(MemorySegment state) {
        return state.get(JAVA_INT, 0);
    }

    private static MethodHandle bind(String name, FunctionDescriptor type, Linker.Option... options) {
        return LINKER.downcallHandle(
                LINKER.defaultLookup()
                        .find(name)
                        .orElseThrow(() -> new IllegalStateException("this C library has no " + name)),
                type,
                options);
    }

    private static IllegalStateException broken(Throwable cause) {
        return new IllegalStateException("native call", cause);
    }

    private static final class Read {
        static final MethodHandle CALL =
                bind("read", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG), ERRNO);
    }

    static long read(int fd, long address, long bytes, MemorySegment state) {
        try {
            long n = (long) Read.CALL.invokeExact(state, fd, address, bytes);
            return n < 0 ? -errno(state) : n;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Write {
        static final MethodHandle CALL =
                bind("write", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG), ERRNO);
    }

    static long write(int fd, long address, long bytes, MemorySegment state) {
        try {
            long n = (long) Write.CALL.invokeExact(state, fd, address, bytes);
            return n < 0 ? -errno(state) : n;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Mmap {
        static final MethodHandle CALL = bind(
                "mmap",
                FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG),
                ERRNO);
    }

    /** Private zeroed pages that cost no memory until touched. Throws when the address space is used up. */
    static long mapPages(long bytes) {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            long at = (long) Mmap.CALL.invokeExact(
                    state, 0L, bytes, 3 /* READ|WRITE */, 0x4022 /* PRIVATE|ANON|NORESERVE */, -1, 0L);
            if (at == -1) throw new OutOfMemoryError("mmap of " + bytes + " bytes: errno " + errno(state));
            return at;
        } catch (Error e) {
            throw e;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Munmap {
        static final MethodHandle CALL = bind("munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
    }

    static void unmapPages(long address, long bytes) {
        try {
            int failed = (int) Munmap.CALL.invokeExact(address, bytes);
            if (failed != 0) throw new IllegalStateException("munmap");
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Madvise {
        static final MethodHandle CALL =
                bind("madvise", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
    }

    /** Gives the memory behind the pages back; they read as zeros from now on. */
    static void dropPages(long address, long bytes) {
        try {
            int failed = (int) Madvise.CALL.invokeExact(address, bytes, 4 /* DONTNEED */);
            if (failed != 0) throw new IllegalStateException("madvise");
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Open {
        static final MethodHandle CALL = bind(
                "open",
                FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT),
                ERRNO,
                Linker.Option.firstVariadicArg(2));
    }

    static int open(String path, int flags) {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            int fd = (int)
                    Open.CALL.invokeExact(state, arena.allocateFrom(path, PATHS).address(), flags, 0);
            return fd < 0 ? -errno(state) : fd;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Close {
        static final MethodHandle CALL = bind("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    }

    static void close(int fd) {
        try {
            int ignored = (int) Close.CALL.invokeExact(fd); // on Linux the descriptor is gone whatever it answers
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Ioctl {
        static final MethodHandle CALL = bind(
                "ioctl",
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG),
                ERRNO,
                Linker.Option.firstVariadicArg(2));
    }

    /** Makes a fresh /dev/fuse descriptor serve the same mount as another one, with a queue of its own. */
    static int cloneFuse(int freshFd, int mountedFd) {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            long argument = arena.allocateFrom(JAVA_INT, mountedFd).address();
            int r = (int) Ioctl.CALL.invokeExact(state, freshFd, 0x8004e500L /* FUSE_DEV_IOC_CLONE */, argument);
            return r < 0 ? -errno(state) : r;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Mount {
        static final MethodHandle CALL = bind(
                "mount", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG), ERRNO);
    }

    static int mount(String source, String target, String type, long flags, String data) {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            int r = (int) Mount.CALL.invokeExact(
                    state,
                    arena.allocateFrom(source, PATHS).address(),
                    arena.allocateFrom(target, PATHS).address(),
                    arena.allocateFrom(type).address(),
                    flags,
                    arena.allocateFrom(data).address());
            return r < 0 ? -errno(state) : r;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Umount2 {
        static final MethodHandle CALL = bind("umount2", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT), ERRNO);
    }

    static int umount2(String target, int flags) {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            int r = (int) Umount2.CALL.invokeExact(
                    state, arena.allocateFrom(target, PATHS).address(), flags);
            return r < 0 ? -errno(state) : r;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Statx {
        static final MethodHandle CALL = bind(
                "statx", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG), ERRNO);
    }

    /** st_mode of what the path names, symlinks followed, asked of its filesystem and not of a cache; or -errno. */
    static int mode(String path) {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            var out = arena.allocate(256, 8);
            int r = (int) Statx.CALL.invokeExact(
                    state,
                    -100 /* AT_FDCWD */,
                    arena.allocateFrom(path, PATHS).address(),
                    0x2000 /* AT_STATX_FORCE_SYNC */,
                    0x7ff /* STATX_BASIC_STATS */,
                    out.address());
            return r < 0 ? -errno(state) : Short.toUnsignedInt(out.get(java.lang.foreign.ValueLayout.JAVA_SHORT, 28));
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Getpagesize {
        static final MethodHandle CALL = bind("getpagesize", FunctionDescriptor.of(JAVA_INT));
    }

    static int pageBytes() {
        try {
            return (int) Getpagesize.CALL.invokeExact();
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Geteuid {
        static final MethodHandle CALL = bind("geteuid", FunctionDescriptor.of(JAVA_INT));
    }

    static int geteuid() {
        try {
            return (int) Geteuid.CALL.invokeExact();
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class ClockGettime {
        static final MethodHandle CALL = bind(
                "clock_gettime",
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, java.lang.foreign.ValueLayout.ADDRESS),
                Linker.Option.critical(true));
    }

    /** Nanoseconds of a clock of clock_gettime(2). Microseconds at most, so a critical call that may take heap memory. */
    static long clockNanos(int clock) {
        try {
            var time = new long[2];
            int r = (int) ClockGettime.CALL.invokeExact(clock, MemorySegment.ofArray(time));
            if (r != 0) throw new IllegalStateException("clock_gettime(" + clock + ")");
            return time[0] * 1_000_000_000 + time[1];
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    // -- what only a mount through fusermount3 needs --

    private static final class Socketpair {
        static final MethodHandle CALL =
                bind("socketpair", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG), ERRNO);
    }

    /** A connected pair of local stream sockets that no child inherits. */
    static int[] socketPair() throws IOException {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            var pair = arena.allocate(8, 8);
            int r = (int) Socketpair.CALL.invokeExact(state, 1, 1 | O_CLOEXEC, 0, pair.address());
            if (r < 0) throw new IOException("socketpair: errno " + errno(state));
            return new int[] {pair.get(JAVA_INT, 0), pair.get(JAVA_INT, 4)};
        } catch (IOException e) {
            throw e;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Spawn {
        private static final FunctionDescriptor POINTER = FunctionDescriptor.of(JAVA_INT, JAVA_LONG);
        static final MethodHandle INIT = bind("posix_spawn_file_actions_init", POINTER);
        static final MethodHandle DESTROY = bind("posix_spawn_file_actions_destroy", POINTER);
        static final MethodHandle DUP2 = bind(
                "posix_spawn_file_actions_adddup2", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT));
        static final MethodHandle OPEN = bind(
                "posix_spawn_file_actions_addopen",
                FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT));
        static final MethodHandle SPAWNP = bind(
                "posix_spawnp",
                FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG));
        static final MethodHandle WAITPID =
                bind("waitpid", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_INT), ERRNO);
    }

    /**
     * Starts a program with one descriptor passed on, which ProcessBuilder cannot (it closes all above 2).
     *
     * @param errors file that takes its standard error
     * @return its process id
     */
    static int spawn(String[] arguments, String[] environment, int fd, int fdInChild, String errors)
            throws IOException {
        try (var arena = Arena.ofConfined()) {
            long actions = arena.allocate(512, 16).address();
            int r = (int) Spawn.INIT.invokeExact(actions);
            if (r == 0) r = (int) Spawn.DUP2.invokeExact(actions, fd, fdInChild);
            long path = arena.allocateFrom(errors, PATHS).address();
            if (r == 0) r = (int) Spawn.OPEN.invokeExact(actions, 2, path, 01 | 01000 /* WRONLY|TRUNC */, 0600);
            var pid = arena.allocate(8, 8);
            long program = arena.allocateFrom(arguments[0], PATHS).address();
            if (r == 0)
                r = (int) Spawn.SPAWNP.invokeExact(
                        pid.address(), program, actions, 0L, strings(arena, arguments), strings(arena, environment));
            int ignored = (int) Spawn.DESTROY.invokeExact(actions);
            if (r != 0)
                throw new IOException(
                        "cannot start " + arguments[0] + (r == ENOENT ? ": not installed" : ": errno " + r));
            return pid.get(JAVA_INT, 0);
        } catch (IOException e) {
            throw e;
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static long strings(Arena arena, String[] strings) {
        var array = arena.allocate(JAVA_LONG, strings.length + 1);
        for (int i = 0; i < strings.length; i++)
            array.setAtIndex(JAVA_LONG, i, arena.allocateFrom(strings[i], PATHS).address());
        return array.address();
    }

    /** Waits for a child; its exit status as waitpid(2) has it. */
    static int waitFor(int pid) {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            var status = arena.allocate(8, 8);
            while (true) {
                int r = (int) Spawn.WAITPID.invokeExact(state, pid, status.address(), 0);
                if (r == pid) return status.get(JAVA_INT, 0);
                if (errno(state) != EINTR) return -errno(state);
            }
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private static final class Recvmsg {
        static final MethodHandle CALL =
                bind("recvmsg", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT), ERRNO);
    }

    /** Receives one descriptor that the other side of a local socket sends; -1 if it closed without. */
    static int receiveDescriptor(int socket) {
        try (var arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE_BYTES, 8);
            var data = arena.allocate(8, 8);
            var vector = arena.allocate(16, 8);
            vector.set(JAVA_LONG, 0, data.address());
            vector.set(JAVA_LONG, 8, 1);
            var control = arena.allocate(64, 8);
            var message =
                    arena.allocate(56, 8); // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags
            message.set(JAVA_LONG, 16, vector.address());
            message.set(JAVA_LONG, 24, 1);
            message.set(JAVA_LONG, 32, control.address());
            message.set(JAVA_LONG, 40, control.byteSize());
            while (true) {
                long n = (long) Recvmsg.CALL.invokeExact(state, socket, message.address(), 0x40000000 /* CLOEXEC */);
                if (n < 0 && errno(state) == EINTR) continue;
                boolean descriptor = n > 0
                        && message.get(JAVA_LONG, 40) >= 20
                        && control.get(JAVA_INT, 8) == 1 /* SOL_SOCKET */
                        && control.get(JAVA_INT, 12) == 1 /* SCM_RIGHTS */;
                return descriptor ? control.get(JAVA_INT, 16) : -1;
            }
        } catch (Throwable e) {
            throw broken(e);
        }
    }
}
