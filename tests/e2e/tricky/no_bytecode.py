# $ $PYTHON -B no_bytecode.py --lr 0.2; ls
# captures argparse
import argparse, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(parser.parse_args(), sys.dont_write_bytecode)
