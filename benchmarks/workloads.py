#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""workloads.py NAME DIR [options]: the workloads of ../shared/bench, and beside them what single requests cost.

Ours measure what the mount itself costs: everything below it is in memory where nothing else is said, so that the disk does
not hide it. Each prints one line of JSON as the shared ones do. Any other name goes to shared-workloads.py beside this file.

    getattr, getattr-4p     statx(2) that the kernel's cache may not answer (AT_STATX_FORCE_SYNC), 1 and 4 processes
    list-10k                scandir(3) and stat(2) of 10,000 names in one directory, the kernel's dentries dropped
    open-read-close         of 4 KiB files whose pages the kernel has
    reread                  sequential, of a file whose pages the kernel has
    rand-read-4k-warm       the mount's pages dropped, those of the filesystem below not
    rand-write-4k-buffered  without any fsync
    direct-read-16, direct-write-16, direct-read-1, direct-write-1    O_DIRECT, 4 KiB, so many threads
    rename                  of one file to and fro
    untar-src, grep-src     a source tree of 1,000 files; grep with everything in caches
"""
import ctypes, json, os, random, shutil, subprocess, sys, time

SHARED = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "shared-workloads.py")
SECONDS = 3.0
FILES = 1_000
TREE_FILES = 1_000
BLOCK = random.Random(7).randbytes(1 << 20)
AT_FDCWD, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS = -100, 0x2000, 0x7FF
libc = ctypes.CDLL(None, use_errno=True)


def emit(name, value, unit, better, **more):
    line = {"workload": name, "value": round(value, 3), "unit": unit, "better": better}
    print(json.dumps(line | more), flush=True)


def file_of(path, megabytes):
    """A file of so many MiB, as it was left by an earlier workload or anew."""
    if os.path.exists(path) and os.path.getsize(path) == megabytes << 20:
        return path
    with open(path, "wb", 0) as f:
        for i in range(megabytes):
            f.write(i.to_bytes(8, "big") + BLOCK[8:])
        os.fsync(f.fileno())
    return path


def small_files(directory, count):
    if not os.path.isdir(directory):
        os.mkdir(directory)
        for i in range(count):
            with open(f"{directory}/f{i}", "wb", 0) as f:
                f.write(BLOCK[:4096])
    return directory


def statx_for(paths, seconds):
    """Latencies in nanoseconds of statx of the paths in turn."""
    buffer = ctypes.create_string_buffer(256)
    names = [os.fsencode(p) for p in paths]
    latencies, n, clock, statx = [], 0, time.perf_counter_ns, libc.statx
    end = clock() + int(seconds * 1e9)
    before = clock()
    while before < end:
        if statx(AT_FDCWD, names[n % len(names)], AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, buffer) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        after = clock()
        latencies.append(after - before)
        before, n = after, n + 1
    return latencies


def getattr_1(name, d):
    s = small_files(f"{d}/getattr", 100)
    paths = [f"{s}/f{i}" for i in range(100)]
    statx_for(paths, 0.5)
    all_ = sorted(statx_for(paths, SECONDS))
    at = lambda q: all_[min(len(all_) - 1, int(len(all_) * q))] / 1e3
    emit(name, 1e9 * len(all_) / sum(all_), "ops/s", "more", p50_us=at(0.5), p99_us=at(0.99), p999_us=at(0.999))


def forked(processes, work):
    """Sum of what work(i) answers in so many processes at once."""
    pipes = []
    for i in range(processes):
        r, w = os.pipe()
        if os.fork() == 0:
            os.write(w, str(work(i)).encode())
            os._exit(0)
        os.close(w)
        pipes.append(r)
    total = 0
    for r in pipes:
        total += int(os.read(r, 32) or b"0")
        os.close(r)
        os.wait()
    return total


def getattr_4(name, d):
    s = small_files(f"{d}/getattr", 100)
    mine = lambda i: [f"{s}/f{k}" for k in range(i * 25, i * 25 + 25)]
    forked(4, lambda i: len(statx_for(mine(i), 0.5)))
    emit(name, forked(4, lambda i: len(statx_for(mine(i), SECONDS))) / SECONDS, "ops/s", "more")


def list_10k(name, d):
    many = f"{d}/many"
    if not os.path.isdir(many):
        os.mkdir(many)
        for i in range(10_000):
            os.close(os.open(f"{many}/entry-{i:05}", os.O_CREAT | os.O_WRONLY, 0o644))
    os.sync()
    times = []
    for _ in range(5):
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("2")
        before = time.perf_counter()
        with os.scandir(many) as entries:
            found = sum(1 for e in entries if e.stat(follow_symlinks=False).st_mode)
        times.append(time.perf_counter() - before)
        if found != 10_000:
            raise SystemExit(f"{found} entries")
    emit(name, 10_000 / sorted(times)[2], "names/s", "more")


def open_read_close(name, d):
    paths = [f"{small_files(f'{d}/small-{FILES}', FILES)}/f{i}" for i in range(FILES)]

    def round_():
        for p in paths:
            fd = os.open(p, os.O_RDONLY)
            if len(os.read(fd, 8192)) != 4096:
                raise SystemExit("short read")
            os.close(fd)

    round_()
    n, before = 0, time.perf_counter()
    while time.perf_counter() - before < SECONDS:
        round_()
        n += FILES
    emit(name, n / (time.perf_counter() - before), "files/s", "more")


def reread(name, d):
    path, buffer = file_of(f"{d}/big", 256), bytearray(1 << 20)

    def once():
        fd, n = os.open(path, os.O_RDONLY), 0
        while k := os.readv(fd, [buffer]):
            n += k
        os.close(fd)
        return n

    once()
    once()
    n, before = 0, time.perf_counter()
    while time.perf_counter() - before < SECONDS:
        n += once()
    emit(name, n / 1e6 / (time.perf_counter() - before), "MB/s", "more")


def forget_pages(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def fio(path, *options):
    command = ["fio", "--name=x", f"--filename={path}", "--bs=4k", "--size=256M", "--ioengine=psync", "--thread",
        f"--runtime={SECONDS}", "--time_based", "--randrepeat=0", "--norandommap", "--group_reporting",
        "--output-format=json", "--fallocate=none", *options]
    p = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if p.returncode:
        raise SystemExit(p.stderr or p.stdout)
    return json.loads(p.stdout[p.stdout.index("{"):])["jobs"][0]


def rand_read_warm(name, d):
    path, ops = file_of(f"{d}/big", 256), 0
    with open(path, "rb", 0) as f:  # what is below is in memory
        while f.read(1 << 20):
            pass
    forget_pages(path)
    # without the kernel's read-ahead, as for any program that says how it reads; fio says so itself
    fd, n, pread, random_ = os.open(path, os.O_RDONLY), 0, os.pread, random.Random(time.time_ns())
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    pages = list(range((256 << 20) // 4096))
    random_.shuffle(pages)  # each page once: none comes from the kernel's memory
    before = time.perf_counter()
    for page in pages:
        pread(fd, 4096, page * 4096)
        n += 1
        if not n & 255 and time.perf_counter() - before > SECONDS:
            break
    emit(name, n / (time.perf_counter() - before), "IOPS", "more")
    os.close(fd)


def rand_write_buffered(name, d):
    j = fio(file_of(f"{d}/written", 256), "--rw=randwrite")
    emit(name, j["write"]["iops"], "IOPS", "more")


def direct(rw, threads):
    def measure(name, d):
        path = file_of(f"{d}/direct", 256)
        j = fio(path, f"--rw=rand{rw}", "--direct=1", f"--numjobs={threads}")[rw]
        c = j["clat_ns"].get("percentile", {})
        emit(name, j["iops"], "IOPS", "more", p50_us=c.get("50.000000", 0) / 1e3, p99_us=c.get("99.000000", 0) / 1e3)
    return measure


def rename(name, d):
    open(f"{d}/a", "w").close()
    n, before = 0, time.perf_counter()
    while time.perf_counter() - before < SECONDS:
        os.rename(f"{d}/a", f"{d}/b")
        os.rename(f"{d}/b", f"{d}/a")
        n += 2
    emit(name, n / (time.perf_counter() - before), "ops/s", "more")


def source_tar(d):
    """Made of the shared source tree, in the scratch directory of the benchmark: a part of it, the same for all."""
    tar = os.path.join(os.environ["BENCH_ROOT"], "part.tar")
    if not os.path.exists(tar):
        source = os.path.join(os.environ["BENCH_SRC"], "src.tar")
        names = subprocess.run(["tar", "-tf", source], capture_output=True, text=True, check=True).stdout.split("\n")
        part = os.path.join(os.environ["BENCH_ROOT"], "part")
        os.makedirs(part, exist_ok=True)
        files = [n for n in names if n and not n.endswith("/")][:TREE_FILES]
        subprocess.run(["tar", "-xf", source, "-C", part, *files], check=True)
        subprocess.run(["tar", "-cf", tar, "-C", part, "."], check=True)
        shutil.rmtree(part)
    return tar


def untar(name, d):
    tar, tree = source_tar(d), f"{d}/tree"
    shutil.rmtree(tree, ignore_errors=True)
    os.mkdir(tree)
    before = time.perf_counter()
    subprocess.run(["tar", "-xf", tar, "-C", tree], check=True)
    emit(name, time.perf_counter() - before, "s", "less")


def grep(name, d):
    tree = f"{d}/tree"
    if not os.path.isdir(tree):
        os.mkdir(tree)
        subprocess.run(["tar", "-xf", source_tar(d), "-C", tree], check=True)
    times = []
    for _ in range(9):
        before = time.perf_counter()
        subprocess.run(["grep", "-rI", "AtomicReferenceFieldUpdater.newUpdater", tree], stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - before)
    emit(name, sorted(times[2:])[len(times[2:]) // 2], "s", "less", first=round(times[0], 3))


OURS = {
    "getattr": getattr_1, "getattr-4p": getattr_4, "list-10k": list_10k, "open-read-close": open_read_close,
    "reread": reread, "rand-read-4k-warm": rand_read_warm, "rand-write-4k-buffered": rand_write_buffered,
    "direct-read-16": direct("read", 16), "direct-write-16": direct("write", 16),
    "direct-read-1": direct("read", 1), "direct-write-1": direct("write", 1),
    "rename": rename, "untar-src": untar, "grep-src": grep,
}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in OURS:
        os.execv(SHARED, [SHARED, *sys.argv[1:]])
    directory = os.path.abspath(sys.argv[2])
    os.makedirs(directory, exist_ok=True)
    OURS[sys.argv[1]](sys.argv[1], directory)
