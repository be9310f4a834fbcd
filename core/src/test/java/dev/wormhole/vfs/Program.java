// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.vfs;

import dev.wormhole.model.Answer;
import dev.wormhole.model.Attributes;
import dev.wormhole.model.Errno;
import dev.wormhole.model.FileName;
import dev.wormhole.model.FileType;
import dev.wormhole.model.InodeId;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** A program on one pod, whose files all lie in the root directory. A refusal that it did not ask for is an exception. */
final class Program {
    static final int O_RDWR = 2, O_CREAT = 0100, O_EXCL = 0200, O_TRUNC = 01000, O_APPEND = 02000;
    private static final FileSystem.Caller CALLER = new FileSystem.Caller(1000, 1000, 1, 0);

    private final SimulatedNetwork.Pod pod;

    Program(SimulatedNetwork.Pod pod) {
        this.pod = pod;
    }

    static final class RefusedException extends RuntimeException {
        final Errno errno;

        RefusedException(Errno errno) {
            super(errno.toString());
            this.errno = errno;
        }
    }

    interface Operation<T> {
        Answer<T> run() throws IOException, InterruptedException;
    }

    static <T> T ok(Answer<T> answer) {
        return switch (answer) {
            case Answer.Ok<T>(T value) -> value;
            case Answer.Refused<T>(Errno errno) -> throw new RefusedException(errno);
        };
    }

    WormholeFileSystem files() {
        return pod.files();
    }

    long open(String name, int flags) throws Exception {
        return opened(name, flags).handle();
    }

    FileSystem.Opened opened(String name, int flags) throws Exception {
        FileName file = FileName.of(name);
        Answer<FileSystem.Entry> found = files().lookup(InodeId.ROOT, file);
        if (found instanceof Answer.Ok<FileSystem.Entry>(var entry)) {
            if ((flags & O_EXCL) != 0) throw new RefusedException(Errno.EEXIST);
            return ok(files().open(entry.attributes().inode(), flags & ~O_CREAT));
        }
        if ((flags & O_CREAT) == 0) throw new RefusedException(Errno.ENOENT);
        return ok(files().create(CALLER, InodeId.ROOT, file, 0644, flags)).opened();
    }

    InodeId inode(String name) throws Exception {
        return ok(files().lookup(InodeId.ROOT, FileName.of(name))).attributes().inode();
    }

    Attributes stat(String name) throws Exception {
        return ok(files().attributes(inode(name), 0)).attributes();
    }

    void write(long handle, long offset, byte[] bytes) throws Exception {
        var buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            int before = buffer.position();
            int count = ok(files().write(handle, offset + before, buffer, 0));
            if (count != buffer.position() - before) throw new AssertionError("wrote " + count);
        }
    }

    byte[] read(long handle, long offset, int length) throws Exception {
        var buffer = ByteBuffer.allocate(length);
        int count = ok(files().read(handle, offset, buffer));
        if (count != buffer.position()) throw new AssertionError("read " + count + " of " + buffer.position());
        return java.util.Arrays.copyOf(buffer.array(), count);
    }

    void sync(long handle) throws Exception {
        ok(files().sync(handle, false));
    }

    void close(long handle) throws Exception {
        try {
            ok(files().flush(handle));
        } finally {
            files().release(handle);
        }
    }

    byte[] content(String name) throws Exception {
        long handle = open(name, 0);
        try {
            return read(handle, 0, Math.toIntExact(stat(name).size()) + 100);
        } finally {
            close(handle);
        }
    }

    void put(String name, byte[] bytes) throws Exception {
        long handle = open(name, O_RDWR | O_CREAT | O_TRUNC);
        write(handle, 0, bytes);
        close(handle);
    }

    void truncate(long handle, InodeId inode, long size) throws Exception {
        ok(files().setAttributes(
                        inode, handle, new FileSystem.Changes(null, null, null, size, null, null, false, false)));
    }

    void unlink(String name) throws Exception {
        ok(files().unlink(InodeId.ROOT, FileName.of(name)));
    }

    InodeId mkdir(String name) throws Exception {
        return ok(files().make(CALLER, InodeId.ROOT, FileName.of(name), FileType.DIRECTORY, 0755, 0, new byte[0]))
                .attributes()
                .inode();
    }

    List<String> list(InodeId directory, int perCall) throws Exception {
        long handle = ok(files().openDirectory(directory)).handle();
        var names = new ArrayList<String>();
        long cookie = 0;
        while (true) {
            var some = new ArrayList<FileSystem.Listed>();
            ok(files().list(handle, cookie, false, entry -> {
                if (some.size() == perCall) return false;
                some.add(entry);
                return true;
            }));
            if (some.isEmpty()) break;
            for (FileSystem.Listed entry : some)
                names.add(new String(entry.name(), java.nio.charset.StandardCharsets.UTF_8));
            cookie = some.getLast().cookie();
        }
        files().releaseDirectory(handle);
        return names;
    }

    /** Runs it on a thread of its own. */
    static <T> CompletableFuture<T> async(java.util.concurrent.Callable<T> work) {
        var done = new CompletableFuture<T>();
        Thread.ofVirtual().start(() -> {
            try {
                done.complete(work.call());
            } catch (Throwable e) {
                done.completeExceptionally(e);
            }
        });
        return done;
    }

    static Errno refusal(java.util.concurrent.Callable<?> work) throws Exception {
        try {
            work.call();
        } catch (RefusedException e) {
            return e.errno;
        }
        throw new AssertionError("not refused");
    }
}
