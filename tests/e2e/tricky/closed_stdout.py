# $ exec $PYTHON closed_stdout.py --lr 3 >&-
# captures argparse
import argparse, os, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
options = parser.parse_args()
with open("file") as file:
    sys.stderr.write("%r %d %r\n" % (sys.stdout, file.fileno(), options))
