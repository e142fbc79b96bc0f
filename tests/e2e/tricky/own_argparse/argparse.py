import sys


def parse():
    return sys.argv[1:]
