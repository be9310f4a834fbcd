// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.pod;

import dev.wormhole.config.HostPort;
import dev.wormhole.config.PodConfig;
import dev.wormhole.control.DaemonStart;
import dev.wormhole.control.StartIntent;
import dev.wormhole.control.StoreFiles;
import dev.wormhole.model.Answer;
import dev.wormhole.model.FileName;
import dev.wormhole.model.InodeId;
import dev.wormhole.namespace.Command.RenameMode;
import dev.wormhole.vfs.FileSystem;
import dev.wormhole.vfs.WormholeFileSystem;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A short life of a small network in one process, from which the JVM learns what later daemons will do: which classes they
 * load, and which methods are worth compiling for what. Three pods, so that it sees a leader and followers, pushes and
 * remote reads; the first one is mounted where that is possible. What it computes is thrown away.
 */
final class Training {
    private static final int PODS = 3;
    private static final Duration LOAD = Duration.ofSeconds(6);
    private static final int O_RDWR = 2;
    private static final FileSystem.Caller CALLER = new FileSystem.Caller(0, 0, 1, 0);

    private final Path folder;
    private final ByteBuffer bytes = ByteBuffer.allocate(64 << 10);

    private Training(Path folder) {
        this.folder = folder;
    }

    /**
     * Returns after about ten seconds, with everything stopped; the folder's content is left to the caller.
     *
     * @param folder empty
     * @param mounted also through a mount at {@code folder/mount}, which the caller's namespace of mounts must isolate
     */
    static void run(Path folder, boolean mounted) throws IOException, InterruptedException {
        new Training(folder).run(mounted);
    }

    private void run(boolean mounted) throws IOException, InterruptedException {
        var pods = new ArrayList<Pod>();
        try {
            var ports = freePorts();
            Optional<Path> mount =
                    mounted ? Optional.of(Files.createDirectories(folder.resolve("mount"))) : Optional.empty();
            pods.add(pod(1, ports, mount, new StartIntent.Create("training", "[network]\njoin = \"open\"\n")));
            for (int n = 2; n <= PODS; n++)
                pods.add(pod(n, ports, Optional.empty(), new StartIntent.Join("127.0.0.1:" + ports.getFirst(), "")));
            long end = System.nanoTime() + LOAD.toNanos();
            for (int round = 0; System.nanoTime() < end; round++) {
                if (mount.isPresent()) use(mount.get(), round);
                for (Pod pod : pods) {
                    var parts = pod.parts();
                    if (parts != null)
                        use(parts.files(), round + "-" + parts.header().incarnation());
                }
            }
        } finally {
            for (Pod pod : pods.reversed()) pod.stop("the training is over");
        }
    }

    private Pod pod(int number, List<Integer> ports, Optional<Path> mount, StartIntent intent)
            throws IOException, InterruptedException {
        var store = folder.resolve("pod-" + number);
        StoreFiles.make(store);
        intent.write(store);
        var config = PodConfig.of("pod-" + number, mount, store, new HostPort("127.0.0.1", ports.get(number - 1)));
        return Pod.open(config, new DaemonStart(store));
    }

    /** Ports whose next one is free too. */
    private static List<Integer> freePorts() throws IOException {
        var ports = new ArrayList<Integer>();
        for (int attempt = 0; ports.size() < PODS; attempt++) {
            if (attempt == 1000) throw new IOException("no free ports on 127.0.0.1");
            try (var first = listen(0);
                    var _ = listen(first.getLocalPort() + 1)) {
                if (first.getLocalPort() < 65535) ports.add(first.getLocalPort());
            } catch (IOException | IllegalArgumentException taken) {
                continue;
            }
        }
        return ports;
    }

    private static ServerSocket listen(int port) throws IOException {
        var socket = new ServerSocket();
        try {
            socket.bind(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port));
            return socket;
        } catch (IOException | IllegalArgumentException taken) {
            socket.close();
            throw taken;
        }
    }

    // ---- what programs do

    /** Through the kernel. */
    private void use(Path mount, int round) throws IOException {
        var directory = Files.createDirectories(mount.resolve("d" + round % 8));
        var file = directory.resolve("f" + round);
        try (var channel = FileChannel.open(
                file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, StandardOpenOption.APPEND)) {
            for (int i = 0; i < 4; i++) {
                channel.write(bytes.clear().limit(4096));
                channel.force(false);
            }
            channel.write(bytes.clear());
        }
        var renamed = directory.resolve("g" + round);
        Files.move(file, renamed, StandardCopyOption.ATOMIC_MOVE);
        Files.readAllBytes(renamed);
        Files.exists(file);
        try (var listing = Files.list(directory)) {
            for (Path each : listing.toList()) Files.size(each);
        }
        if (round % 2 == 1) Files.delete(renamed);
    }

    /** As the mount does for its kernel. */
    private void use(WormholeFileSystem files, String round) throws IOException, InterruptedException {
        var name = FileName.of("t" + round);
        if (!(files.create(CALLER, InodeId.ROOT, name, 0644, O_RDWR) instanceof Answer.Ok(var created))) return;
        InodeId inode = created.entry().attributes().inode();
        long handle = created.opened().handle();
        for (int i = 0; i < 4; i++) {
            files.write(handle, i * 4096L, bytes.clear().limit(4096), 0);
            files.sync(handle, true);
        }
        files.write(handle, 16384, bytes.clear(), 0);
        files.flush(handle);
        files.read(handle, 0, bytes.clear());
        files.release(handle);
        files.lookup(InodeId.ROOT, name);
        files.attributes(inode, 0);
        if (files.openDirectory(InodeId.ROOT) instanceof Answer.Ok(var directory)) {
            files.list(directory.handle(), 0, false, _ -> true);
            files.releaseDirectory(directory.handle());
        }
        var renamed = FileName.of("u" + round);
        files.rename(InodeId.ROOT, name, InodeId.ROOT, renamed, RenameMode.REPLACE);
        files.unlink(InodeId.ROOT, renamed);
        files.forget(inode, 2);
    }
}
