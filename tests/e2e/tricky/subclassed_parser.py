# $ exec $PYTHON subclassed_parser.py --lr 3 rest
# captures argparse
import argparse, sys


class Parser(argparse.ArgumentParser):
    def parse_args(self, args=None, namespace=None):
        options, rest = self.parse_known_args(args, namespace)
        options.rest = rest
        return options

    def parse_known_args(self, args=None, namespace=None):
        print("asked for", args)
        return super().parse_known_args(args, namespace)

    def error(self, message):
        print("error:", message)
        sys.exit(7)


parser = Parser()
parser.add_argument("--lr", type=int)
print(parser.parse_args())
print(parser.parse_args(["--lr", "x"]))
