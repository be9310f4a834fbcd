// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.testbed;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Linux's calls on files, as programs make them: what Java's own cannot ask for. An error is an exception with its number. */
final class SystemCalls {
    static final int O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_EXCL = 0200, O_TRUNC = 01000;
    static final int O_APPEND = 02000, O_DIRECT = 040000, O_DIRECTORY = 0200000, O_TMPFILE = 020200000;
    static final int SEEK_END = 2, SEEK_DATA = 3, SEEK_HOLE = 4;
    static final int KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16;
    static final int NOREPLACE = 1, EXCHANGE = 2;
    static final int ENXIO = 6;

    private static final int AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_SYMLINK_FOLLOW = 0x400;
    private static final int STATX_BASIC = 0x7ff, STATX_BYTES = 256;
    private static final int PROT_READ_WRITE = 3, MAP_SHARED = 1, MS_SYNC = 4;
    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
    private static final StructLayout STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO_IN_STATE = STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;

    private static final MethodHandle OPEN = LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("open"),
            FunctionDescriptor.of(INT, LONG, INT, INT),
            ERRNO,
            Linker.Option.firstVariadicArg(2));
    private static final MethodHandle CLOSE = call("close", INT, INT);
    private static final MethodHandle FSYNC = call("fsync", INT, INT);
    private static final MethodHandle PREAD = call("pread", LONG, INT, LONG, LONG, LONG);
    private static final MethodHandle PWRITE = call("pwrite", LONG, INT, LONG, LONG, LONG);
    private static final MethodHandle LSEEK = call("lseek", LONG, INT, LONG, INT);
    private static final MethodHandle FTRUNCATE = call("ftruncate", INT, INT, LONG);
    private static final MethodHandle FALLOCATE = call("fallocate", INT, INT, INT, LONG, LONG);
    private static final MethodHandle COPY = call("copy_file_range", LONG, INT, LONG, INT, LONG, LONG, INT);
    private static final MethodHandle MMAP = call("mmap", LONG, LONG, LONG, INT, INT, INT, LONG);
    private static final MethodHandle MSYNC = call("msync", INT, LONG, LONG, INT);
    private static final MethodHandle MUNMAP = call("munmap", INT, LONG, LONG);
    private static final MethodHandle READ = call("read", LONG, INT, LONG, LONG);
    private static final MethodHandle WRITE = call("write", LONG, INT, LONG, LONG);
    private static final MethodHandle RENAME = call("renameat2", INT, INT, LONG, INT, LONG, INT);
    private static final MethodHandle LINK = call("linkat", INT, INT, LONG, INT, LONG, INT);
    private static final MethodHandle SYMLINK = call("symlink", INT, LONG, LONG);
    private static final MethodHandle READLINK = call("readlink", LONG, LONG, LONG, LONG);
    private static final MethodHandle UNLINK = call("unlink", INT, LONG);
    private static final MethodHandle MKDIR = call("mkdir", INT, LONG, INT);
    private static final MethodHandle RMDIR = call("rmdir", INT, LONG);
    private static final MethodHandle CHMOD = call("chmod", INT, LONG, INT);
    private static final MethodHandle UTIMENSAT = call("utimensat", INT, INT, LONG, LONG, INT);
    private static final MethodHandle SETXATTR = call("setxattr", INT, LONG, LONG, LONG, LONG, INT);
    private static final MethodHandle GETXATTR = call("getxattr", LONG, LONG, LONG, LONG, LONG);
    private static final MethodHandle REMOVEXATTR = call("removexattr", INT, LONG, LONG);
    private static final MethodHandle STATX = call("statx", INT, INT, LONG, INT, INT, LONG);
    private static final MethodHandle GETDENTS = call("getdents64", LONG, INT, LONG, LONG);

    static final class FailedException extends RuntimeException {
        final int errno;

        FailedException(String call, int errno) {
            super(call + " failed with errno " + errno);
            this.errno = errno;
        }
    }

    private interface Invocation {
        long with(MemorySegment state) throws Throwable;
    }

    private SystemCalls() {}

    private static MethodHandle call(String name, ValueLayout result, MemoryLayout... arguments) {
        return LINKER.downcallHandle(
                LINKER.defaultLookup().findOrThrow(name), FunctionDescriptor.of(result, arguments), ERRNO);
    }

    private static long checked(String name, Invocation invocation) {
        try (Arena arena = Arena.ofConfined()) {
            var state = arena.allocate(STATE);
            long result = invocation.with(state);
            if (result == -1) throw new FailedException(name, (int) ERRNO_IN_STATE.get(state, 0L));
            return result;
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    static int open(Path path, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            long name = arena.allocateFrom(path.toString()).address();
            return (int) checked("open " + path, s -> (int) OPEN.invokeExact(s, name, flags, 0644));
        }
    }

    static void close(int fd) {
        checked("close", s -> (int) CLOSE.invokeExact(s, fd));
    }

    static void fsync(int fd) {
        checked("fsync", s -> (int) FSYNC.invokeExact(s, fd));
    }

    /** @return how many bytes were read into the memory's beginning */
    static int pread(int fd, MemorySegment into, long offset) {
        return (int) checked("pread", s -> (long) PREAD.invokeExact(s, fd, into.address(), into.byteSize(), offset));
    }

    static int pwrite(int fd, MemorySegment from, long offset) {
        return (int) checked("pwrite", s -> (long) PWRITE.invokeExact(s, fd, from.address(), from.byteSize(), offset));
    }

    static long lseek(int fd, long offset, int whence) {
        return checked("lseek", s -> (long) LSEEK.invokeExact(s, fd, offset, whence));
    }

    static void ftruncate(int fd, long size) {
        checked("ftruncate", s -> (int) FTRUNCATE.invokeExact(s, fd, size));
    }

    static void fallocate(int fd, int mode, long offset, long length) {
        checked("fallocate", s -> (int) FALLOCATE.invokeExact(s, fd, mode, offset, length));
    }

    static long copyFileRange(int from, long fromOffset, int to, long toOffset, long length) {
        try (Arena arena = Arena.ofConfined()) {
            long in = arena.allocateFrom(LONG, fromOffset).address();
            long out = arena.allocateFrom(LONG, toOffset).address();
            return checked("copy_file_range", s -> (long) COPY.invokeExact(s, from, in, to, out, length, 0));
        }
    }

    /** A shared mapping from the file's beginning; to be given to {@link #munmap}. */
    static MemorySegment mmap(int fd, long length) {
        long address =
                checked("mmap", s -> (long) MMAP.invokeExact(s, 0L, length, PROT_READ_WRITE, MAP_SHARED, fd, 0L));
        return MemorySegment.ofAddress(address).reinterpret(length);
    }

    static void msync(MemorySegment mapping) {
        checked("msync", s -> (int) MSYNC.invokeExact(s, mapping.address(), mapping.byteSize(), MS_SYNC));
    }

    static void munmap(MemorySegment mapping) {
        checked("munmap", s -> (int) MUNMAP.invokeExact(s, mapping.address(), mapping.byteSize()));
    }

    /** @return how many bytes were read from where the file stands */
    static int read(int fd, MemorySegment into) {
        return (int) checked("read", s -> (long) READ.invokeExact(s, fd, into.address(), into.byteSize()));
    }

    static int write(int fd, MemorySegment from) {
        return (int) checked("write", s -> (long) WRITE.invokeExact(s, fd, from.address(), from.byteSize()));
    }

    // ---- names

    private interface PathCall {
        int with(MemorySegment state, long path) throws Throwable;
    }

    private static void at(String call, Path path, PathCall invocation) {
        try (Arena arena = Arena.ofConfined()) {
            long name = arena.allocateFrom(path.toString()).address();
            checked(call + " " + path, s -> invocation.with(s, name));
        }
    }

    private interface TwoPathsCall {
        int with(MemorySegment state, long first, long second) throws Throwable;
    }

    private static void at(String call, String first, String second, TwoPathsCall invocation) {
        try (Arena arena = Arena.ofConfined()) {
            long one = arena.allocateFrom(first).address();
            long two = arena.allocateFrom(second).address();
            checked(call + " " + first + " " + second, s -> invocation.with(s, one, two));
        }
    }

    static int open(Path path, int flags, int mode) {
        try (Arena arena = Arena.ofConfined()) {
            long name = arena.allocateFrom(path.toString()).address();
            return (int) checked("open " + path, s -> (int) OPEN.invokeExact(s, name, flags, mode));
        }
    }

    /** @param flags 0, {@link #NOREPLACE} or {@link #EXCHANGE} */
    static void rename(Path from, Path to, int flags) {
        at("rename", from.toString(), to.toString(), (s, one, two) ->
                (int) RENAME.invokeExact(s, AT_FDCWD, one, AT_FDCWD, two, flags));
    }

    /** A symbolic link is not followed. */
    static void link(Path existing, Path name) {
        at("link", existing.toString(), name.toString(), (s, one, two) ->
                (int) LINK.invokeExact(s, AT_FDCWD, one, AT_FDCWD, two, 0));
    }

    /** Gives a file without a name (O_TMPFILE) one. */
    static void link(int fd, Path name) {
        at("link of O_TMPFILE", "/proc/self/fd/" + fd, name.toString(), (s, one, two) ->
                (int) LINK.invokeExact(s, AT_FDCWD, one, AT_FDCWD, two, AT_SYMLINK_FOLLOW));
    }

    static void symlink(String target, Path name) {
        at("symlink", target, name.toString(), (s, one, two) -> (int) SYMLINK.invokeExact(s, one, two));
    }

    static String readlink(Path path) {
        try (Arena arena = Arena.ofConfined()) {
            long name = arena.allocateFrom(path.toString()).address();
            var into = arena.allocate(4096);
            long length = checked(
                    "readlink " + path, s -> (long) READLINK.invokeExact(s, name, into.address(), into.byteSize()));
            return new String(into.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
        }
    }

    static void unlink(Path path) {
        at("unlink", path, (s, name) -> (int) UNLINK.invokeExact(s, name));
    }

    static void mkdir(Path path) {
        at("mkdir", path, (s, name) -> (int) MKDIR.invokeExact(s, name, 0755));
    }

    static void rmdir(Path path) {
        at("rmdir", path, (s, name) -> (int) RMDIR.invokeExact(s, name));
    }

    static void chmod(Path path, int mode) {
        at("chmod", path, (s, name) -> (int) CHMOD.invokeExact(s, name, mode));
    }

    /** Sets when it was read and written. */
    static void times(Path path, long seconds, long nanos) {
        try (Arena arena = Arena.ofConfined()) {
            long times =
                    arena.allocateFrom(LONG, seconds, nanos, seconds, nanos).address();
            at("utimensat", path, (s, name) -> (int) UTIMENSAT.invokeExact(s, AT_FDCWD, name, times, 0));
        }
    }

    static void setxattr(Path path, String attribute, String value) {
        at("setxattr", path.toString(), attribute, (s, one, two) -> {
            try (Arena arena = Arena.ofConfined()) {
                var bytes = arena.allocateFrom(value);
                return (int) SETXATTR.invokeExact(s, one, two, bytes.address(), bytes.byteSize() - 1, 0);
            }
        });
    }

    static String getxattr(Path path, String attribute) {
        try (Arena arena = Arena.ofConfined()) {
            long name = arena.allocateFrom(path.toString()).address();
            long key = arena.allocateFrom(attribute).address();
            var into = arena.allocate(4096);
            long length = checked("getxattr " + path, s ->
                    (long) GETXATTR.invokeExact(s, name, key, into.address(), into.byteSize()));
            return new String(into.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
        }
    }

    static void removexattr(Path path, String attribute) {
        at("removexattr", path.toString(), attribute, (s, one, two) -> (int) REMOVEXATTR.invokeExact(s, one, two));
    }

    /** @param mode with the type's bits */
    record Stat(long inode, int mode, int links, long size) {}

    /** What a name leads to; a symbolic link is not followed. */
    static Stat stat(Path path) {
        try (Arena arena = Arena.ofConfined()) {
            var into = arena.allocate(STATX_BYTES, 8);
            at("statx", path, (s, name) ->
                    (int) STATX.invokeExact(s, AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC, into.address()));
            return new Stat(
                    into.get(LONG, 32),
                    Short.toUnsignedInt(into.get(ValueLayout.JAVA_SHORT, 28)),
                    into.get(INT, 16),
                    into.get(LONG, 40));
        }
    }

    /** The names that an open directory goes on with; empty at its end. */
    static List<String> entries(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            var into = arena.allocate(32 << 10, 8);
            long length =
                    checked("getdents64", s -> (long) GETDENTS.invokeExact(s, fd, into.address(), into.byteSize()));
            var names = new ArrayList<String>();
            for (long at = 0; at < length; at += Short.toUnsignedInt(into.get(ValueLayout.JAVA_SHORT, at + 16)))
                names.add(into.getString(at + 19));
            return names;
        }
    }
}
