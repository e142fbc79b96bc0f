# $ exec $PYTHON -E no_environment.py --lr 0.2
# captures nothing
import argparse, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(parser.parse_args(), sys.flags.ignore_environment, sys.path)
