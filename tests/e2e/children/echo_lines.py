"""Says "ready", then "read LINE" for each line of its input, and "end of input"."""

import sys

print("ready", flush=True)
for line in sys.stdin:
    print("read", line.strip(), flush=True)
print("end of input")
