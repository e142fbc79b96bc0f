# $ exec $PYTHON environment.py --lr 0.2
# captures argparse
import os

print(sorted(f"{k}={v}" for k, v in os.environ.items() if not k.startswith(("POSTER_", "PYTHONPATH"))))
os.environ.clear()
os.environ["PATH"] = "/usr/bin:/bin"

import argparse, subprocess, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(parser.parse_args())
code = "import sys; print(sys.path[1:], sorted(sys.modules))"
print(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, universal_newlines=True).stdout)
