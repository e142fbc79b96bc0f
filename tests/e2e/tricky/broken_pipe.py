# $ $PYTHON broken_pipe.py --lr 3 | true; echo done
# captures argparse
import argparse, signal, time

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
options = parser.parse_args()
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
while True:
    print(options)
