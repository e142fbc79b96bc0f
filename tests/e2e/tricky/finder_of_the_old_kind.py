# $ exec $PYTHON -W ignore finder_of_the_old_kind.py --lr 3
# captures any
import sys


class Finder:
    def find_module(self, name, path=None):
        print("asked for", name)


sys.meta_path.insert(0, Finder())
sys.meta_path.append(Finder())
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args())
