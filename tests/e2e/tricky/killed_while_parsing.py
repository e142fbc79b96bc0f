# $ exec $PYTHON killed_while_parsing.py --lr 3
# captures nothing
import argparse, os, signal


def rate(text):
    os.kill(os.getpid(), signal.SIGINT)


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=rate)
parser.parse_args()
