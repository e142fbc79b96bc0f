import argparse, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), __name__, sys.argv[0][-11:], __spec__ and __spec__.name)
