import argparse, sys

import inner

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=int)
print(parser.parse_args(), inner.__file__, type(inner.__loader__), sys.path[0])
raise SystemExit(inner.fail())
