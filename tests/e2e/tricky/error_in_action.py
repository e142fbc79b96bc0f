# $ exec $PYTHON error_in_action.py --lr 0.2
# captures nothing
import argparse


class Rate(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        raise LookupError(repr(values))


parser = argparse.ArgumentParser()
parser.add_argument("--lr", action=Rate)
parser.parse_args()
