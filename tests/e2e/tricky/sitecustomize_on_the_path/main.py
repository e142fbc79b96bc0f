# $ PYTHONPATH=lib${PYTHONPATH:+:$PYTHONPATH} exec $PYTHON main.py --lr 3
# captures nothing
import argparse, sitecustomize

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), sitecustomize.__file__, sitecustomize.times)
