"""Appends the name of each signal it receives to a file, beginning with a line "ready", until it is told to end by SIGRTMIN.

record_signals.py FILE [--exit-on SIGNAL=CODE]
"""

import signal
import sys

path, ends = sys.argv[1], {signal.SIGRTMIN: 0}
if "--exit-on" in sys.argv:
    name, _, code = sys.argv[sys.argv.index("--exit-on") + 1].partition("=")
    ends[signal.Signals[name]] = int(code)
everything = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGTTOU}
signal.pthread_sigmask(signal.SIG_BLOCK, everything)
with open(path, "ab", buffering=0) as log:
    log.write(b"ready\n")
    while True:
        got = signal.sigwaitinfo(everything)
        name = signal.Signals(got.si_signo).name if got.si_signo in list(signal.Signals) else str(got.si_signo)
        log.write(name.encode() + b"\n")
        if got.si_signo in ends:
            sys.exit(ends[got.si_signo])
