# $ $PYTHON -m venv --without-pip venv && cp -r lib/* venv/lib/python*/site-packages && exec venv/bin/python main.py --lr 3
# captures argparse
import argparse, sys

module = sys.modules.get("sitecustomize")
print(module and (module.__file__, module.__name__, module.__spec__, module.times))
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args())
