// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import dev.wormhole.mount.fuse.Reply;
import java.io.IOException;

/** One descriptor of /dev/fuse. A request is answered on the one it was read from. Thread-safe but for {@link #close}. */
final class Device {
    private final int fd;

    Device(int fd) {
        this.fd = fd;
    }

    static int openFresh() throws IOException {
        int fd = Libc.open("/dev/fuse", Libc.O_RDWR | Libc.O_CLOEXEC);
        if (fd < 0)
            throw new IOException(
                    switch (-fd) {
                        case 2 -> "/dev/fuse is missing: load the fuse module or give the container the device";
                        case 1, 13 -> "/dev/fuse may not be opened by this user";
                        default -> "cannot open /dev/fuse: errno " + -fd;
                    });
        return fd;
    }

    /** Another descriptor of the same mount, which must have been made already. */
    Device another() throws IOException {
        int fresh = openFresh();
        int r = Libc.cloneFuse(fresh, fd);
        if (r < 0) {
            Libc.close(fresh);
            throw new IOException("cannot clone /dev/fuse: errno " + -r);
        }
        return new Device(fresh);
    }

    /** Waits for the next request. Answers its bytes or -errno. */
    int read(Slab slab) {
        return (int) Libc.read(fd, slab.requestAddress(), slab.requestBytesMax(), slab.state);
    }

    /** Answers 0 or -errno. */
    int reply(long unique, Reply reply, Slab slab) {
        int bytes = Reply.encode(reply, unique, slab.replyAddress());
        return send(slab, bytes);
    }

    /** Sends bytes that stand at the slab's reply address. */
    int send(Slab slab, int bytes) {
        long n = Libc.write(fd, slab.replyAddress(), bytes, slab.state);
        return n < 0 ? (int) n : 0;
    }

    void close() {
        Libc.close(fd);
    }
}
