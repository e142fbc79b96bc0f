# $ exec $PYTHON -s -OO -bb no_user_site.py --lr 0.2
# captures argparse
import argparse, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(parser.parse_args(), sys.flags.optimize, sys.flags.no_user_site)
