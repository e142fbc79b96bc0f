#!/usr/bin/env python3
"""Tells which signals it gets, and ends well on SIGTERM.

    poster run --grace 5s python3 examples/signals.py      # then, from another shell: poster stop last
"""

import os
import signal
import sys
import time


def say(text):
    os.write(1, text.encode() + b"\n")  # print() may not be entered a second time by a handler


def tell(number, frame):
    say(f"got {signal.Signals(number).name}")
    if number == signal.SIGTERM:
        say("saving what matters")
        time.sleep(0.2)
        sys.exit(0)


for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
    signal.signal(number, tell)
say("waiting for signals")
while True:
    signal.pause()
