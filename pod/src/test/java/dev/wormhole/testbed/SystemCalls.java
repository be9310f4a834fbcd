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
import java.nio.file.Path;

/** Linux's calls on files, as programs make them: what Java's own cannot ask for. An error is an exception with its number. */
final class SystemCalls {
    static final int O_RDONLY = 0, O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000, O_APPEND = 02000, O_DIRECT = 040000;
    static final int SEEK_END = 2, SEEK_DATA = 3, SEEK_HOLE = 4;
    static final int KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16;
    static final int ENXIO = 6;

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
}
