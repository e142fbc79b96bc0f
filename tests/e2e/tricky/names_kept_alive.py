# $ exec $PYTHON names_kept_alive.py --lr 3
# captures argparse
import argparse, sys


class Options(argparse.Namespace):
    def __del__(self):
        print("gone", self.lr)


def rate(text):
    return Rate(text)


class Rate(float):
    def __del__(self):
        print("the rate is gone")


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=rate)
options = parser.parse_args(namespace=Options())
print(sys.getrefcount(options), sys.getrefcount(options.lr))
del options
print("end")
