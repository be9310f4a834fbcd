// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.model;

/** Linux's error numbers that Wormhole answers with. {@link #number} is the kernel's positive value. */
public enum Errno {
    EPERM(1),
    ENOENT(2),
    EINTR(4),
    EIO(5),
    ENXIO(6),
    E2BIG(7),
    EBADF(9),
    EAGAIN(11),
    ENOMEM(12),
    EACCES(13),
    EBUSY(16),
    EEXIST(17),
    EXDEV(18),
    ENODEV(19),
    ENOTDIR(20),
    EISDIR(21),
    EINVAL(22),
    EMFILE(24),
    ETXTBSY(26),
    EFBIG(27),
    ENOSPC(28),
    ESPIPE(29),
    EROFS(30),
    EMLINK(31),
    ERANGE(34),
    EDEADLK(35),
    ENAMETOOLONG(36),
    ENOLCK(37),
    ENOSYS(38),
    ENOTEMPTY(39),
    ELOOP(40),
    ENODATA(61),
    EOVERFLOW(75),
    EOPNOTSUPP(95),
    ENOTCONN(107),
    ETIMEDOUT(110),
    ESTALE(116);

    private static final Errno[] VALUES = values();
    private final int number;

    Errno(int number) {
        this.number = number;
    }

    public int number() {
        return number;
    }

    /** @throws IllegalArgumentException for a number that is not listed here */
    public static Errno ofNumber(int number) {
        for (Errno errno : VALUES) if (errno.number == number) return errno;
        throw new IllegalArgumentException("errno: " + number);
    }
}
