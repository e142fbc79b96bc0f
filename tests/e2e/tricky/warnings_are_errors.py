# $ exec $PYTHON -W error -X dev warnings_are_errors.py --lr 0.2
# captures argparse
import argparse, gc, warnings

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(parser.parse_args(), warnings.filters[0][:2])
gc.collect()
