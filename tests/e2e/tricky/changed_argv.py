# $ exec $PYTHON changed_argv.py --lr 3
# captures argparse
import argparse, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
sys.argv = ["other", "--lr", "4"]
print(parser.parse_args())
del sys.argv
print(parser.parse_args(["--lr", "5"]))
