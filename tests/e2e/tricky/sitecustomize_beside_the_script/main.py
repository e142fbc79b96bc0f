# $ exec $PYTHON main.py --lr 3
# captures argparse
import argparse, sys

print("sitecustomize" in sys.modules)
import sitecustomize

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), sitecustomize.__file__)
