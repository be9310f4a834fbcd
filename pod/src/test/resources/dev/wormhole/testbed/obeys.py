# SPDX-License-Identifier: Apache-2.0
"""A program that does what it is told: one expression a line, one line of answer, an errno's name for an error."""
import errno
import fcntl
import os
import sqlite3
import sys

names = {'os': os, 'fcntl': fcntl, 'sqlite3': sqlite3}


def count(path, times, lock, unlock):
    """Counts up in a file, each time under a lock."""
    for _ in range(times):
        f = os.open(path, os.O_RDWR)
        lock(f, fcntl.LOCK_EX)
        value = int(os.pread(f, 20, 0))
        os.pwrite(f, b'%d' % (value + 1), 0)
        if unlock:
            lock(f, fcntl.LOCK_UN)
        os.close(f)
    return times


def insert(path, first, last):
    """Inserts numbers into a table, each in a transaction."""
    database = sqlite3.connect(path, timeout=60)
    for number in range(first, last):
        database.execute('insert into t values(?)', (number,))
        database.commit()
    database.close()
    return last - first


names['count'] = count
names['insert'] = insert
for line in sys.stdin:
    try:
        if ' = ' in line:
            exec(line, names)
            print('done', flush=True)
        else:
            print(eval(line, names), flush=True)
    except OSError as e:
        print(errno.errorcode[e.errno], flush=True)
    except Exception as e:
        print(repr(e), flush=True)
