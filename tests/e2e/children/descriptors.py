"""Writes what its descriptors are to a file as JSON: number, target and close-on-exec flag, isatty of 0–2."""

import json
import os
import sys

facts = {"open": {}, "tty": []}
listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
for name in sorted(os.listdir(listing), key=int):
    number = int(name)
    if number != listing:
        try:
            facts["open"][name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # the second descriptor that listdir uses
os.close(listing)
for number in (0, 1, 2):
    try:
        facts["tty"].append(os.isatty(number))
    except OSError:
        facts["tty"].append(None)
with open(sys.argv[1] + ".new", "w") as out:
    json.dump(facts, out)
os.rename(sys.argv[1] + ".new", sys.argv[1])
