# $ exec $PYTHON error_in_type.py --lr 0.2
# captures nothing
import argparse, traceback


def rate(text):
    traceback.print_stack()
    raise RuntimeError("no such rate: " + text)


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=rate)
parser.parse_args()
