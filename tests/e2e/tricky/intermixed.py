# $ exec $PYTHON intermixed.py a --lr 3 b @file
# captures argparse
import argparse

open("file", "w").write("c\n--name\nfrom file\n")
parser = argparse.ArgumentParser(fromfile_prefix_chars="@")
parser.add_argument("--lr", type=int)
parser.add_argument("--name")
parser.add_argument("files", nargs="*")
print(parser.parse_intermixed_args())
