#!/usr/bin/env python3
"""Tells which signals it gets, and ends well on SIGTERM.

    poster run --grace 5s python3 examples/signals.py      # then, from another shell: poster stop last
"""

import signal
import sys
import time


def tell(number, frame):
    print(f"got {signal.Signals(number).name}", flush=True)
    if number == signal.SIGTERM:
        print("saving what matters", flush=True)
        time.sleep(0.2)
        sys.exit(0)


for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
    signal.signal(number, tell)
print("waiting for signals", flush=True)
while True:
    signal.pause()
