// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.fuse;

/**
 * What INIT settles for the life of a mount.
 *
 * @param flags {@link Flags} of both sides
 * @param maxWriteBytes most bytes of one WRITE, and of one READ
 * @param pageBytes the kernel's page size
 */
public record Negotiation(
        int minor,
        int maxReadaheadBytes,
        long flags,
        int maxBackground,
        int congestionThreshold,
        int maxWriteBytes,
        int pageBytes) {
    public static final int MAJOR = 7;
    /** The newest revision whose structures are known here. */
    public static final int MINOR = 45;
    /** Linux 5.17: the first with {@link Flags#INIT_EXT}; everything relied on is there. */
    public static final int MINOR_MIN = 36;

    /** Without these the requests would have other layouts or files would be unsafe. */
    private static final long NEEDED =
            Flags.BIG_WRITES | Flags.MAX_PAGES | Flags.SETXATTR_EXT | Flags.INIT_EXT | Flags.HANDLE_KILLPRIV_V2;

    /**
     * Left out on purpose: WRITEBACK_CACHE (per mount, ignores sizes changed elsewhere), NO_OPEN (close-to-open needs
     * OPEN), ASYNC_DIO (leaves stale pages).
     * AUTO_INVAL_DATA would drop a writer's own pages with each change of mtime. EXPLICIT_INVAL_DATA would keep pages when
     * a size changes elsewhere, and the zeros behind the old end in the last page would be read as data; without both, a
     * changed size drops a file's pages and nothing else does but OPEN and notifications. CACHE_SYMLINKS is safe as an
     * inode's target never changes.
     */
    private static final long WANTED = NEEDED
            | Flags.ASYNC_READ
            | Flags.POSIX_LOCKS
            | Flags.FLOCK_LOCKS
            | Flags.ATOMIC_O_TRUNC
            | Flags.EXPORT_SUPPORT
            | Flags.POSIX_ACL
            | Flags.DONT_MASK
            | Flags.DO_READDIRPLUS
            | Flags.READDIRPLUS_AUTO
            | Flags.PARALLEL_DIROPS
            | Flags.CACHE_SYMLINKS
            | Flags.DIRECT_IO_ALLOW_MMAP;

    /**
     * Read-ahead, asynchronous I/O and RELEASE that the kernel has under way before it holds all further ones back. Far more
     * than a disk needs: reads that wait for a dead network must not use them up, or reads of local files would wait too.
     */
    private static final int BACKGROUND_MAX = 8192;

    /**
     * Answers the kernel's offer.
     *
     * @param maxWriteBytes what the buffers take; whole pages
     * @param pageBytes the kernel's page size
     * @throws ProtocolException if the kernel is too old; the message says so for people
     */
    public static Negotiation of(Request.Init init, int maxWriteBytes, int pageBytes) {
        if (maxWriteBytes < pageBytes || maxWriteBytes % pageBytes != 0)
            throw new IllegalArgumentException("max write: " + maxWriteBytes + " in pages of " + pageBytes);
        if (init.major() != MAJOR || init.minor() < MINOR_MIN || (init.flags() & NEEDED) != NEEDED)
            throw new ProtocolException("the kernel speaks FUSE " + init.major() + "." + init.minor() + " with flags "
                    + Long.toHexString(init.flags()) + "; Linux 5.17 or newer is needed");
        return new Negotiation(
                Math.min(MINOR, init.minor()),
                init.maxReadaheadBytes(),
                init.flags() & WANTED,
                BACKGROUND_MAX,
                BACKGROUND_MAX * 3 / 4,
                maxWriteBytes,
                pageBytes);
    }
}
