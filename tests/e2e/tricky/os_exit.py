# $ exec $PYTHON os_exit.py --lr 3
# captures argparse
import argparse, os

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), flush=True)
os._exit(9)
