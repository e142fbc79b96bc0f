# $ $PYTHON help_and_version.py --help; echo $?; $PYTHON help_and_version.py --version; echo $?
# captures nothing
import argparse

parser = argparse.ArgumentParser(description="A program.", epilog="That is all.")
parser.add_argument("--version", action="version", version="%(prog)s 1.0")
parser.add_argument("--lr", type=float, default=0.1, help="(default: %(default)s)")
parser.parse_args()
