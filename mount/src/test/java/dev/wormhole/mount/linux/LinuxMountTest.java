// SPDX-License-Identifier: Apache-2.0
package dev.wormhole.mount.linux;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Programs on a real mount of a filesystem in memory. Needs root and /dev/fuse, and fails without. */
class LinuxMountTest extends MountedTest {
    LinuxMountTest() throws Exception {}

    @Override
    @AfterEach
    void unmount() throws Exception {
        super.unmount();
        assertThat(mount.awaitUnmounted(java.time.Duration.ZERO)).isTrue();
        assertThat(fs.openHandles()).isZero();
    }

    @Test
    void itIsShownAsWhatItIs() throws Exception {
        assertThat(MountTable.topmostAt(mount.mountPoint().toString()))
                .satisfies(m -> assertThat(m.type() + " " + m.source()).isEqualTo("fuse.wormhole memory"));
        assertThat(shell.must("stat -f -c '%s %b %f %l' .")).isEqualTo("4096 1048576 524288 255");
        assertThat(shell.must("cat /sys/class/bdi/0:" + mount.connection() + "/read_ahead_kb"))
                .isEqualTo("1024");
        assertThat(mount.terms().maxWriteBytes()).isEqualTo(1 << 20);
    }

    @Test
    void filesKeepTheirBytes() throws Exception {
        shell.must("""
                head -c 5000000 /dev/urandom > /tmp/wormhole-$$
                cp /tmp/wormhole-$$ a
                dd if=/tmp/wormhole-$$ of=b bs=7777 status=none
                dd if=/tmp/wormhole-$$ of=c bs=1M oflag=direct iflag=fullblock status=none
                cmp a /tmp/wormhole-$$ && cmp b /tmp/wormhole-$$ && cmp c /tmp/wormhole-$$
                dd if=a bs=1M iflag=direct status=none | cmp - /tmp/wormhole-$$
                echo tail >> a
                (cat /tmp/wormhole-$$; echo tail) | cmp - a
                dd if=/dev/zero of=a bs=1 count=3 seek=10 conv=notrunc status=none
                test $(stat -c %s a) = 5000005
                truncate -s 100 a
                test $(stat -c %s a) = 100
                truncate -s 200000 a
                tail -c 199000 a | tr -d '\\0' | wc -c | grep -qx 0
                : > a
                test ! -s a
                rm /tmp/wormhole-$$
                """);
    }

    @Test
    void manyThreadsWriteAndReadAtOnce() throws Exception {
        shell.must("""
                for i in $(seq 24); do
                  (head -c 3000000 /dev/urandom | tee w$i | sha256sum > s$i; sha256sum < w$i | cmp - s$i || echo bad $i) &
                done
                wait
                test $(ls w* | wc -l) = 24
                """);
    }

    @Test
    void namesMoveLinkAndVanish() throws Exception {
        assertThat(shell.must("""
                mkdir -p a/b/c && echo 1 > a/b/c/f
                mv a/b x && cat x/c/f
                ln x/c/f y && stat -c %h y
                ln -s x/c/f z && cat z && readlink z
                echo 2 > n && mv n y && cat y && stat -c %h x/c/f
                mv -n y z
                rmdir a
                rm -r x
                ls -A
                """)).isEqualTo("1\n2\n1\nx/c/f\n2\n1\ny\nz");
        assertThat(shell.run("rmdir nothing").output()).contains("No such file");
        assertThat(shell.run("mkdir d d/e; rmdir d").output()).contains("not empty");
        assertThat(shell.run("touch $(printf 'n%.0s' $(seq 256))").output()).contains("too long");
        shell.must("touch $(printf 'n%.0s' $(seq 255)) && ls | grep -q nnn");
    }

    @Test
    void specialFilesOwnersAndModes() throws Exception {
        assertThat(shell.must("""
                mkfifo p; (echo through > p &); cat p
                mknod null c 1 3; echo gone > null; stat -c '%F %t %T' null
                chmod 777 .
                setpriv --reuid 1234 --regid 2345 --clear-groups bash -c 'umask 027; echo x > mine; mkdir dir'
                stat -c '%u %g %a' mine dir
                setpriv --reuid 99 --regid 99 --clear-groups cat mine 2>&1 | grep -o 'Permission denied'
                mkdir g; chgrp 50 g; chmod 2777 g; touch g/f; stat -c %g g/f
                """)).isEqualTo("""
                through
                character special file 1 3
                1234 2345 640
                1234 2345 750
                Permission denied
                50""");
    }

    @Test
    void suidIsClearedByWritersAndByChangesOfOwner() throws Exception {
        assertThat(shell.must("""
                umask 0; chmod 777 .
                touch a b c d; chmod 6777 a b c d
                mkdir e; chmod 2777 e
                u() { setpriv --reuid 99 --regid 99 --clear-groups bash -c "$1"; }
                chown 1:1 a e
                u 'echo x >> b'
                u ': > c'
                u 'truncate -s 5 d'
                stat -c '%a %Y' a b c d e | cut -d ' ' -f 1
                """)).isEqualTo("777\n777\n777\n777\n2777");
    }

    @Test
    void extendedAttributes() throws Exception {
        assertThat(shell.must("""
                touch f
                setfattr -n user.one -v 1 f; setfattr -n user.two -v "$(printf 'v%.0s' $(seq 4000))" f
                getfattr --only-values -n user.one f; echo
                getfattr --only-values -n user.two f | wc -c
                getfattr f | grep -c user
                setfattr -x user.one f
                getfattr -n user.one f 2>&1 | grep -o 'No such attribute'
                for i in $(seq 300); do setfattr -n user.many$i -v $i f; done
                getfattr f | grep -c many
                setfattr -n system.wormhole -v 1 f 2>&1 | grep -o 'not supported'
                """)).isEqualTo("1\n4000\n2\nNo such attribute\n300\nnot supported");
    }

    @Test
    void gitAndTarWork() throws Exception {
        shell.must("""
                export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
                git init -q r && cd r
                for i in $(seq 200); do mkdir -p d$((i%10)); echo $i > d$((i%10))/f$i; done
                git add . && git commit -qm one && git fsck --strict 2>&1
                test -z "$(git status --porcelain)"
                git gc -q && git clone -q . ../s && diff -r --exclude .git . ../s
                cd .. && tar cf t.tar s && mkdir u && tar xf t.tar -C u && diff -r s u/s
                rm -rf r s u
                test "$(ls)" = t.tar
                """);
    }

    @Test
    void whatShellsCannotAskFor() throws Exception {
        assertThat(shell.must("""
                cat > /tmp/wormhole-$$.py <<'PY'
                import os, mmap, ctypes, fcntl
                fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
                os.write(fd, b"unnamed")
                os.link(f"/proc/self/fd/{fd}", "named", src_dir_fd=0, follow_symlinks=True)
                os.close(fd)
                print(open("named").read())
                fd = os.open("m", os.O_RDWR | os.O_CREAT)
                os.ftruncate(fd, 1 << 20)
                m = mmap.mmap(fd, 1 << 20); m[500000:500005] = b"paged"; m.flush()
                print(os.pread(fd, 5, 500000).decode()); m.close()
                os.ftruncate(fd, 4 << 20)
                print(os.lseek(fd, 0, os.SEEK_DATA) >> 17, os.lseek(fd, 1 << 20, os.SEEK_HOLE) >> 20)
                os.posix_fallocate(fd, 0, 8 << 20); print(os.fstat(fd).st_size >> 20)
                to = os.open("copy", os.O_RDWR | os.O_CREAT)
                n = os.copy_file_range(fd, to, 1 << 20, 0, 0); print(n >> 20)
                print(os.pread(to, 5, 500000).decode())
                os.unlink("m"); print(os.pread(fd, 5, 500000).decode(), os.fstat(fd).st_nlink)
                libc = ctypes.CDLL(None, use_errno=True)
                open("a", "w").write("A"); open("b", "w").write("B")
                print(libc.renameat2(-100, b"a", -100, b"b", 1), ctypes.get_errno())
                print(libc.renameat2(-100, b"a", -100, b"b", 2), open("a").read(), open("b").read())
                fcntl.flock(fd, fcntl.LOCK_EX); fcntl.lockf(to, fcntl.LOCK_EX)
                d = os.open("gone", os.O_CREAT | os.O_APPEND | os.O_WRONLY); os.write(d, b"1"); os.write(d, b"2"); os.fsync(d)
                print(open("gone").read(), os.statvfs(".").f_bsize)
                dd = os.open(".", os.O_RDONLY); os.fsync(dd)
                PY
                python3 /tmp/wormhole-$$.py; rm /tmp/wormhole-$$.py
                """)).isEqualTo("unnamed\npaged\n3 1\n8\n1\npaged\npaged 0\n-1 17\n0 B A\n12 4096");
    }

    @Test
    void aListingSurvivesTheDeletionOfWhatItLists() throws Exception {
        assertThat(shell.must("""
                mkdir d && cd d && seq 20000 | xargs touch && ls -f | wc -l && ls -l | wc -l
                python3 - <<'PY'
                import os
                seen = []
                with os.scandir(".") as entries:
                    for e in entries:
                        seen.append(e.name); os.unlink(e.name)
                print(len(seen), len(set(seen)), len(os.listdir(".")))
                PY
                cd .. && rmdir d
                """)).isEqualTo("20002\n20001\n20000 20000 0");
    }

    @Test
    void theKernelGivesItsReferencesBack() throws Exception {
        shell.must("mkdir d && touch d/a d/b && ls -l d && rm -r d");
        long deadline = System.nanoTime() + 10_000_000_000L; // FORGET follows a removal when the kernel finds time
        while (!fs.references.isEmpty() && System.nanoTime() < deadline) Thread.onSpinWait();
        assertThat(fs.references).isEmpty();
    }
}
