# $ exec $PYTHON main.py --lr 3
# captures argparse
import argparse

import capture, click, finder, hydra_plugins, json, poster, poster_capture, uses

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
modules = (capture, click, finder, hydra_plugins, json, poster, poster_capture, uses)
print(parser.parse_args(), [(module.__name__, module.whose) for module in modules], poster.__file__)
