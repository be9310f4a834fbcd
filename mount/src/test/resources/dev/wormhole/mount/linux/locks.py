# SPDX-License-Identifier: Apache-2.0
"""Locks as a program sees them. Prints the same on every local filesystem of Linux."""
import errno, fcntl, os, signal, struct, sys, threading, time
d = sys.argv[1]
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
RD, WR, UN = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
def fl(t, start=0, length=0): return struct.pack('hhqqi4x', t, 0, start, length, 0)
def err(f, *a):
    try: f(*a); return 'ok'
    except OSError as e: return errno.errorcode[e.errno]
def posix(fd, t, start=0, length=0, wait=False): return err(fcntl.fcntl, fd, fcntl.F_SETLKW if wait else fcntl.F_SETLK, fl(t, start, length))
def ofd(fd, t, start=0, length=0, wait=False): return err(fcntl.fcntl, fd, F_OFD_SETLKW if wait else F_OFD_SETLK, fl(t, start, length))
def getlk(fd, t, start=0, length=0):
    r = struct.unpack('hhqqi4x', fcntl.fcntl(fd, fcntl.F_GETLK, fl(t, start, length)))
    return ('U',) if r[0] == UN else ({RD:'R',WR:'W'}[r[0]], r[2], r[3])
def op(name): return os.open(os.path.join(d, name), os.O_RDWR | os.O_CREAT, 0o600)
def child(f):
    """runs f in a child; answers what it returned"""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try: out = repr(f())
        except BaseException as e: out = 'EXC ' + repr(e)
        os.write(w, out.encode()); os._exit(0)
    os.close(w)
    out = b''
    while True:
        b = os.read(r, 4096)
        if not b: break
        out += b
    os.close(r); os.waitpid(pid, 0)
    return out.decode()
def holder(f):
    """a child that does f, then holds until killed or told"""
    r, w = os.pipe(); r2, w2 = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(w2)
        x = f(); os.write(w, b'.'); os.read(r2, 1); os._exit(0)
    os.close(w); os.close(r2); os.read(r, 1); os.close(r)
    return pid, w2
def section(name): print('--', name)

section('ranges')
fd = op('ranges')
print(posix(fd, WR, 0, 100), posix(fd, UN, 40, 20), posix(fd, RD, 10, 5))
print(child(lambda: [getlk(op('ranges'), WR), getlk(op('ranges'), RD, 10, 5), getlk(op('ranges'), RD, 15, 1), getlk(op('ranges'), WR, 45, 5), getlk(op('ranges'), WR, 60, 0), getlk(op('ranges'), WR, 100, 0)]))
print(child(lambda: [posix(op('ranges'), RD, 12, 2), posix(op('ranges'), WR, 12, 2), posix(op('ranges'), WR, 40, 20), posix(op('ranges'), WR, 100, 0)]))
section('upgrade')
fd = op('up')
print(posix(fd, RD)); pid, w = holder(lambda: posix(op('up'), RD))
print(posix(fd, WR), getlk(fd, WR)); os.close(w); os.waitpid(pid, 0); print(posix(fd, WR), posix(fd, RD), child(lambda: posix(op('up'), RD)))
section('close of any descriptor ends posix locks')
fd = op('cl'); print(posix(fd, WR)); print(child(lambda: posix(op('cl'), WR))); os.close(op('cl')); print(child(lambda: posix(op('cl'), WR)))
section('ofd')
a, b = op('ofd'), op('ofd')
print(ofd(a, WR, 0, 10), ofd(b, WR, 0, 10), ofd(b, WR, 10, 10), ofd(a, RD, 0, 10), ofd(b, RD, 0, 5))
c = os.dup(a); os.close(a); print(ofd(b, WR, 5, 5)); os.close(c); print(ofd(b, WR, 5, 5))
section('posix and ofd meet, flock does not')
fd = op('meet'); print(posix(fd, WR)); x = op('meet'); print(ofd(x, WR), err(fcntl.flock, x, fcntl.LOCK_EX | fcntl.LOCK_NB))
section('flock')
a, b = op('fl'), op('fl')
print(err(fcntl.flock, a, fcntl.LOCK_SH), err(fcntl.flock, b, fcntl.LOCK_SH | fcntl.LOCK_NB), err(fcntl.flock, a, fcntl.LOCK_EX | fcntl.LOCK_NB))
print(err(fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB), err(fcntl.flock, a, fcntl.LOCK_SH | fcntl.LOCK_NB), err(fcntl.flock, b, fcntl.LOCK_UN), err(fcntl.flock, a, fcntl.LOCK_EX | fcntl.LOCK_NB))
section('flock is inherited and shared by dup')
c = os.dup(a); os.close(a); print(err(fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB))
pid = os.fork()
if pid == 0:
    fcntl.flock(c, fcntl.LOCK_UN); os._exit(0)
os.waitpid(pid, 0); print(err(fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB))
section('deadlock')
f, g = op('da'), op('db')
print(posix(f, WR))
r, w = os.pipe(); pid = os.fork()
if pid == 0:
    g2, f2 = op('db'), op('da'); posix(g2, WR); os.write(w, b'.'); os.write(w, posix(f2, WR, 0, 0, True).encode()); os._exit(0)
os.close(w); os.read(r, 1); time.sleep(0.5)
print(posix(g, WR, 0, 0, True)); posix(f, UN); print(os.read(r, 100)); os.waitpid(pid, 0)
section('interrupt')
pid, w = holder(lambda: posix(op('intr'), WR))
fd = op('intr')
class Alarm(Exception): pass
def alarm(*_): raise Alarm()
signal.signal(signal.SIGALRM, alarm)
for wait in (lambda: posix(fd, WR, 0, 0, True), lambda: ofd(fd, WR, 0, 0, True)):
    signal.setitimer(signal.ITIMER_REAL, 0.2); t = time.time()
    try: print(wait())
    except Alarm: print('interrupted', time.time() - t < 10)
os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0); print('after kill', posix(fd, WR))
print(child(lambda: posix(op('intr'), RD)))
section('wakeup')
pid, w = holder(lambda: fcntl.flock(op('wake'), fcntl.LOCK_EX))
t = time.time(); threading.Timer(0.4, lambda: os.kill(pid, signal.SIGKILL)).start()
print(err(fcntl.flock, op('wake'), fcntl.LOCK_EX), 0.3 < time.time() - t < 10); os.waitpid(pid, 0)
section('kill then nonblocking flock at once, 100 times')
bad = 0
for i in range(100):
    pid, w = holder(lambda: fcntl.flock(op('k'), fcntl.LOCK_EX))
    os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0); os.close(w)
    x = op('k')
    if err(fcntl.flock, x, fcntl.LOCK_EX | fcntl.LOCK_NB) != 'ok': bad += 1
    os.close(x)
print('not free', bad)
section('counter')
n, per = 4, 100
open(os.path.join(d, 'count'), 'w').write('0')
def work():
    for _ in range(per):
        f = os.open(os.path.join(d, 'count'), os.O_RDWR); fcntl.lockf(f, fcntl.LOCK_EX)
        v = int(os.pread(f, 20, 0)); os.pwrite(f, str(v + 1).encode(), 0); os.close(f)
pids = []
for _ in range(n):
    pid = os.fork()
    if pid == 0: work(); os._exit(0)
    pids.append(pid)
for p in pids: os.waitpid(p, 0)
print(open(os.path.join(d, 'count')).read())
