# $ exec $PYTHON explicit_arguments.py --lr 3
# captures nothing
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(["--lr", "4"]), parser.parse_known_args(["--lr", "5", "--what"]))
