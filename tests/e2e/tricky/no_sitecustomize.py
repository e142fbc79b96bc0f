# $ exec $PYTHON no_sitecustomize.py --lr 3
# captures argparse
import argparse, sys

for name in ("sitecustomize", "poster_capture", "poster_capture.capture"):
    try:
        print(__import__(name))
    except ImportError as error:
        print(repr(error), error.name)
    print(name in sys.modules)
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args())
