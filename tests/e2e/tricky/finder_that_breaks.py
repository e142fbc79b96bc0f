# $ exec $PYTHON finder_that_breaks.py --lr 3
# captures nothing
import sys


class Finder:
    def find_spec(self, name, path=None, target=None):
        raise ImportError("no " + name)


sys.meta_path.insert(1, Finder())
import argparse
