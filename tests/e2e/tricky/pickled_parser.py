# $ exec $PYTHON pickled_parser.py --lr 3
# captures argparse
import argparse, hashlib, pickle

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
before = pickle.dumps(vars(parser.parse_args()))
print(pickle.loads(before), hashlib.sha256(before).hexdigest())
try:
    print(len(pickle.dumps(parser)))
except Exception as error:
    print(type(error), error)
