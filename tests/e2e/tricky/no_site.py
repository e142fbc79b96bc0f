# $ exec $PYTHON -S no_site.py --lr 0.2
# captures nothing
import argparse, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(parser.parse_args(), sys.flags.no_site, "site" in sys.modules, [p for p in sys.path if "/client/" not in p])
