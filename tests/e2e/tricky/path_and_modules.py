# $ exec $PYTHON path_and_modules.py --lr 0.2
# captures argparse
import sys

import time  # not in every Python before 3.8 as it starts

before = sorted(sys.modules)
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(parser.parse_args())
print([p for p in sys.path if "/client/" not in p])
print(before, sorted(sys.modules))
print([finder for finder in sys.meta_path if not hasattr(finder, "is_posters")], sys.path_hooks[0])
