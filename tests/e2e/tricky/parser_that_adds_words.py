# $ exec $PYTHON parser_that_adds_words.py --lr 3
# captures argparse
import argparse, sys


class Parser(argparse.ArgumentParser):
    def parse_args(self, args=None, namespace=None):
        return self.parse_known_args(args, namespace)[0]

    def parse_known_args(self, args=None, namespace=None):
        args = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(["--name", "of a file"] + args, namespace)


parser = Parser()
parser.add_argument("--lr", type=int)
parser.add_argument("--name")
print(parser.parse_args())
