"""Builds a small process tree: itself, a child, one in a session of its own and a double-forked orphan, and waits.

tree.py FILE [stubborn]     writes the pids to FILE, one a line; `stubborn` ones ignore SIGTERM, SIGINT and SIGHUP
"""

import os
import signal
import sys

path, stubborn = sys.argv[1], "stubborn" in sys.argv[2:]
null = os.open("/dev/null", os.O_RDWR)


def settle():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if stubborn else signal.SIG_DFL)
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, b"%d\n" % os.getpid())
    os.close(log)
    while True:
        signal.pause()


def fork_into(action):
    if os.fork() == 0:
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        action()
        os._exit(0)


def in_own_session():
    os.setsid()
    settle()


def orphan():
    os.setsid()
    if os.fork() == 0:
        settle()


fork_into(settle)
fork_into(in_own_session)
fork_into(orphan)
settle()
