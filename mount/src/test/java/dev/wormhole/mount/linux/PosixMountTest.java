// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What only a kernel shows of POSIX: which requests it makes of programs' calls, and what it does with our answers. Each
 * expectation here is what ext4 does. Needs root and /dev/fuse, and fails without.
 */
class PosixMountTest extends MountedTest {
    PosixMountTest() throws Exception {}

    @BeforeEach
    void anybodyMayWork() throws Exception {
        shell.must("chmod 777 .");
    }

    /** Runs a program of Python with what the tests share in scope. */
    private String python(String program) throws Exception {
        return shell.must("python3 - <<'PY'\n" + """
                import os, errno, ctypes, fcntl, mmap, stat, struct
                libc = ctypes.CDLL(None, use_errno=True)
                def e(f, *a, **k):
                    try:
                        r = f(*a, **k)
                        return "ok" if r is None else r
                    except OSError as x:
                        return errno.errorcode[x.errno]
                def c(name, *a):
                    r = getattr(libc, name)(*a)
                    return r if r >= 0 else errno.errorcode[ctypes.get_errno()]
                def put(name, value=b"x"):
                    with open(name, "wb") as f: f.write(value)
                def get(name):
                    with open(name, "rb") as f: return f.read()
                def opened(name, flags):
                    fd = e(os.open, name, flags)
                    if isinstance(fd, int): os.close(fd); return "ok"
                    return fd
                def asUser(f, uid=1234, gid=1234, groups=()):
                    r, w = os.pipe()
                    if os.fork() == 0:
                        os.setgroups(groups); os.setgid(gid); os.setuid(uid)
                        os.write(w, str(f()).encode()); os._exit(0)
                    os.close(w); os.wait()
                    return os.read(r, 4096).decode()
                """ + program + "\nPY");
    }

    // ---- ACLs

    @Test
    void anAclIsKeptShownAndObeyed() throws Exception {
        assertThat(python("""
                def acl(*entries):
                    return b"\\2\\0\\0\\0" + b"".join(struct.pack("<HHi", *x) for x in entries)
                A = "system.posix_acl_access"
                put("f"); os.chmod("f", 0o600)
                os.setxattr("f", A, acl((1,6,-1), (2,4,1234), (4,0,-1), (8,6,555), (16,6,-1), (32,0,-1)))
                print(oct(os.stat("f").st_mode), os.listxattr("f"))
                print(asUser(lambda: opened("f", os.O_RDONLY)), asUser(lambda: opened("f", os.O_WRONLY)))
                print(asUser(lambda: opened("f", os.O_WRONLY), 9, 9, [555]), asUser(lambda: opened("f", os.O_RDONLY), 9, 9))
                os.chmod("f", 0o640)  # narrows the mask
                print(asUser(lambda: opened("f", os.O_WRONLY), 9, 9, [555]), os.getxattr("f", A)[36:40].hex())
                print(asUser(lambda: e(os.setxattr, "f", A, acl((1,7,-1), (4,7,-1), (32,7,-1)))))
                os.setxattr("f", A, acl((1,6,-1), (4,4,-1), (32,0,-1)))
                print(oct(os.stat("f").st_mode), os.listxattr("f"), e(os.getxattr, "f", A))
                os.chown("f", 1234, 77); os.chmod("f", 0o2770)
                asUser(lambda: os.setxattr("f", A, acl((1,7,-1), (2,7,5), (4,7,-1), (16,7,-1), (32,0,-1))))
                print(oct(os.stat("f").st_mode))
                os.removexattr("f", A); print(oct(os.stat("f").st_mode), e(os.removexattr, "f", "user.no"))
                print(e(os.setxattr, "f", "system.posix_acl_default", acl((1,7,-1), (4,7,-1), (32,7,-1))))
                """)).isEqualTo("""
                0o100660 ['system.posix_acl_access']
                ok EACCES
                ok EACCES
                EACCES 10000400
                EPERM
                0o100640 [] ENODATA
                0o100770
                0o100770 ENODATA
                EACCES""");
    }

    @Test
    void aDefaultAclIsInheritedAndTheUmaskCountsOnlyWithoutOne() throws Exception {
        assertThat(python("""
                os.umask(0o077)
                D, A = "system.posix_acl_default", "system.posix_acl_access"
                acl = b"\\2\\0\\0\\0" + b"".join(struct.pack("<HHi", *x)
                    for x in ((1,7,-1), (2,7,5), (4,5,-1), (16,7,-1), (32,4,-1)))
                os.mkdir("d"); os.setxattr("d", D, acl)
                put("d/f"); os.mkdir("d/sub"); os.mkfifo("d/p"); os.symlink("x", "d/l")
                fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o666)
                print(c("linkat", -100, b"/proc/self/fd/%d" % fd, -100, b"d/t", 0x400)); os.close(fd)
                for n in ("f", "sub", "p", "l", "t"):
                    print(n, oct(os.lstat("d/" + n).st_mode), os.listxattr("d/" + n, follow_symlinks=False))
                print(os.getxattr("d/sub", D) == acl)
                put("plain"); os.mkdir("dir"); os.mkfifo("fifo")
                print([oct(os.stat(n).st_mode) for n in ("plain", "dir", "fifo")])
                """)).isEqualTo("""
                0
                f 0o100664 ['system.posix_acl_access']
                sub 0o40774 ['system.posix_acl_access', 'system.posix_acl_default']
                p 0o10664 ['system.posix_acl_access']
                l 0o120777 []
                t 0o100664 ['system.posix_acl_access']
                True
                ['0o100600', '0o40700', '0o10600']""");
    }

    // ---- inode flags

    @Test
    void chattrAndItsStructAreServed() throws Exception {
        assertThat(shell.must("""
                touch f; mkdir d; mkfifo p
                chattr +aA f; lsattr f | cut -c 1-22; chattr -a f; chattr +id f; lsattr f | cut -c 1-22
                for c in 'rm -f f' 'touch f' 'chmod 1 f' 'mv f g' 'tee -a f'; do $c </dev/null 2>&1 | grep -o 'not permitted'; done
                chattr -i f; chattr +D d; lsattr -d d | cut -c 1-22
                chattr +c f 2>&1 | grep -o 'not supported'
                chattr +A d; touch d/f; lsattr d/f | cut -c 1-22
                setpriv --reuid 99 --clear-groups chattr +A f 2>&1 | grep -o 'not permitted'
                """)).isEqualTo("""
                -----a-A--------------
                ----i-dA--------------
                not permitted
                not permitted
                not permitted
                not permitted
                not permitted
                ---D------------------
                not supported
                -------A--------------
                not permitted""");
        assertThat(python("""
                fd = os.open("f", os.O_RDONLY)
                x = bytearray(28); fcntl.ioctl(fd, 0x801c581f, x); print(x[0:4].hex())
                x[0] = 0x40; fcntl.ioctl(fd, 0x401c5820, bytes(x)); fcntl.ioctl(fd, 0x801c581f, x); print(x[0:4].hex())
                x[12] = 7; print(e(fcntl.ioctl, fd, 0x401c5820, bytes(x)))
                print(e(fcntl.ioctl, fd, 0x5401, bytearray(64)))
                """)).isEqualTo("c0000000\n40000000\nENOTSUP\nENOTTY");
    }

    // ---- descriptors

    @Test
    void anAppendingDescriptorAppendsUnlessItTakesThatBack() throws Exception {
        assertThat(python("""
                put("f", b"0123456789")
                fd = os.open("f", os.O_RDWR | os.O_APPEND); flags = fcntl.fcntl(fd, fcntl.F_GETFL)
                os.pwrite(fd, b"AB", 0); fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
                os.pwrite(fd, b"CD", 0); fcntl.fcntl(fd, fcntl.F_SETFL, flags); os.pwrite(fd, b"EF", 0)
                m = mmap.mmap(fd, 14); m[5:7] = b"mm"; m.flush(); m.close(); os.close(fd)
                print(get("f").decode())
                fd = os.open("f", os.O_PATH)
                print(e(os.read, fd, 1), e(os.fchmod, fd, 0), os.fstat(fd).st_size)
                fd = os.open("f", os.O_RDWR | os.O_DIRECT); b = mmap.mmap(-1, 4096); b[:] = b"D" * 4096
                print(os.writev(fd, [b]), os.preadv(fd, [b], 0), get("f") == b"D" * 4096)
                """)).isEqualTo("CD234mm789ABEF\nEBADF EBADF 14\n4096 4096 True");
    }

    @Test
    void spaceIsAllocatedPunchedAndZeroedAsAsked() throws Exception {
        assertThat(python("""
                libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
                fd = os.open("f", os.O_RDWR | os.O_CREAT); os.write(fd, b"z" * 300000)
                f = lambda mode, at, length: (c("fallocate", fd, mode, at, length), os.fstat(fd).st_size)
                print(f(1, 0, 900000), f(3, 131072, 131072), f(16, 10, 20), f(16, 290000, 20000), f(17, 300000, 50000))
                print(f(2, 0, 9), f(8, 0, 4096), f(32, 0, 4096), f(0, -1, 1), f(0, 0, 0), f(0, (1 << 63) - 1, 2))
                print(os.pread(fd, 3, 131071), set(os.pread(fd, 22, 9)), os.lseek(fd, 0, os.SEEK_HOLE))
                print(e(os.lseek, fd, 310001, os.SEEK_DATA), e(os.lseek, fd, -1, os.SEEK_HOLE))
                """)).isEqualTo("""
                (0, 300000) (0, 300000) (0, 300000) (0, 310000) (0, 310000)
                ('ENOTSUP', 310000) ('ENOTSUP', 310000) ('ENOTSUP', 310000) ('EINVAL', 310000) ('EINVAL', 310000) ('EFBIG', 310000)
                b'z\\x00\\x00' {0, 122} 131072
                ENXIO ENXIO""");
    }

    @Test
    void aHandleFindsItsFileAgain() throws Exception {
        assertThat(python("""
                class Handle(ctypes.Structure):
                    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("h", ctypes.c_ubyte * 128)]
                def handle(name):
                    h = Handle(); h.bytes = 128
                    assert libc.name_to_handle_at(-100, name, ctypes.byref(h), ctypes.byref(ctypes.c_int()), 0) == 0
                    return h
                os.makedirs("a/b"); put("a/b/f", b"found"); f, b = handle(b"a/b/f"), handle(b"a/b")
                mount = os.open(".", os.O_RDONLY)
                open("/proc/sys/vm/drop_caches", "w").write("2")  # the kernel asks by number
                fd = libc.open_by_handle_at(mount, ctypes.byref(f), os.O_RDONLY); print(os.read(fd, 9)); os.close(fd)
                fd = libc.open_by_handle_at(mount, ctypes.byref(b), os.O_RDONLY); print(os.listdir(fd), os.readlink("/proc/self/fd/%d" % fd)[-4:])
                os.close(fd); os.unlink("a/b/f"); print(c("open_by_handle_at", mount, ctypes.byref(f), os.O_RDONLY))
                """)).isEqualTo("b'found'\n['f'] /a/b\nESTALE");
    }

    // ---- attributes

    @Test
    void timesAreKeptToTheNanosecondFarAndNear() throws Exception {
        assertThat(python("""
                put("f")
                for t in (7, -1_500_000_001, -2**40 * 10**6 + 1, 2**32 * 10**9 + 5, 9_000_000_000 * 10**9 + 123456789):
                    os.utime("f", ns=(t, t + 1)); s = os.stat("f"); assert (s.st_atime_ns, s.st_mtime_ns) == (t, t + 1), (t, s)
                libc.utimensat(-100, b"f", struct.pack("qqqq", 2**36, 0, -2**36, 0), 0)
                print(os.stat("f").st_atime_ns // 10**9, os.stat("f").st_mtime_ns // 10**9)
                NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
                libc.utimensat(-100, b"f", struct.pack("qqqq", 0, OMIT, 5, 6), 0)
                print(os.stat("f").st_atime_ns // 10**9, os.stat("f").st_mtime_ns)
                before = os.stat("f").st_ctime_ns; libc.utimensat(-100, b"f", struct.pack("qqqq", 0, OMIT, 0, OMIT), 0)
                print(os.stat("f").st_ctime_ns == before, c("utimensat", -100, b"f", struct.pack("qqqq", 0, 10**9, 0, 0), 0))
                """)).isEqualTo("9223372036 -9223372037\n9223372036 5000000006\nTrue EINVAL");
    }

    @Test
    void attributeNamesAreLinuxs() throws Exception {
        assertThat(python("""
                put("f"); os.chmod("f", 0o666)
                s = lambda n, v=b"1", how=0: e(os.setxattr, "f", n, v, how)
                print(s("user.a"), s("user.a", b"", os.XATTR_CREATE), s("user.b", b"", os.XATTR_REPLACE), s("user.e", b""))
                print(s("other.a"), s("user."), s("system.x"), s("user." + "n" * 250), s("user." + "n" * 251))
                print(s("trusted.t"), s("security.s"), s("user.big", b"v" * 65536), s("user.more", b"v" * 65537))
                for i in range(1500): os.setxattr("f", "user.%04d" % i, b"%d" % i)
                print(len(os.listxattr("f")), os.getxattr("f", "user.1499"), len(os.getxattr("f", "user.big")))
                print(asUser(lambda: ("trusted.t" in os.listxattr("f"), e(os.getxattr, "f", "trusted.t"), e(os.setxattr, "f", "trusted.t", b""))))
                os.mkfifo("p"); os.symlink("f", "l")
                print(e(os.setxattr, "p", "user.a", b""), e(os.setxattr, "p", "trusted.a", b""), e(os.setxattr, "l", "user.a", b"", follow_symlinks=False))
                """)).isEqualTo("""
                ok EEXIST ENODATA ok
                ENOTSUP EINVAL ENOTSUP ok ERANGE
                ok ok ok E2BIG
                1506 b'1499' 65536
                (False, 'ENODATA', 'EPERM')
                EPERM ok EPERM""");
    }

    // ---- mappings and programs

    @Test
    void mappingsAreOneWithReadsAndWrites() throws Exception {
        assertThat(python("""
                put("f", bytes(10000)); fd = os.open("f", os.O_RDWR)
                m = mmap.mmap(fd, 10000); private = mmap.mmap(fd, 10000, flags=mmap.MAP_PRIVATE)
                m[100:104] = b"mmap"; os.pwrite(fd, b"pw", 200); private[300:302] = b"no"
                print(os.pread(fd, 4, 100), m[200:202], private[100:104], os.pread(fd, 2, 300))
                os.ftruncate(fd, 50); os.ftruncate(fd, 10000); print(m[100:104], m[200:202])
                m[5000:5004] = b"late"; m.close(); os.close(fd); print(get("f")[5000:5004])
                """))
                .isEqualTo("b'mmap' b'pw' b'mmap' b'\\x00\\x00'\nb'\\x00\\x00\\x00\\x00' b'\\x00\\x00'\nb'late'");
    }

    @Test
    void programsAndLibrariesRunFromIt() throws Exception {
        assertThat(shell.must("""
                cp "$(command -v sleep)" s; ./s 30 & p=$!
                until [ "$(readlink /proc/$p/exe)" = "$PWD/s" ]; do :; done
                (: > s) 2>&1 | grep -o 'Text file busy'
                kill $p; wait $p 2>/dev/null || true
                printf '#!/bin/sh\\necho "$0 $1"\\n' > script; chmod +x script; ./script x
                ldd ./s > /dev/null; cp "$(ldd ./s | grep -o '/[^ ]*libc.so[^ ]*')" libc.so.6
                LD_LIBRARY_PATH=$PWD ./s 0 && echo ran
                """)).isEqualTo("Text file busy\n./script x\nran");
    }
}
